"""What a node's pages show, put together from its database, the directory and, on the national node, the others.

Promises: however many people look, the database is asked a few times a second at most; no other node, and no file of
the one who starts them, can hold up a page or break it.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final, Generic, TypeVar

from lienthong.access import queries as log_queries
from lienthong.agreements import queries as agreement_queries
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.records import CurrentAgreement, StoredDocument
from lienthong.catalog.queries import all_services
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Node
from lienthong.errors import Problem
from lienthong.node.facts import Count, NodeFacts, SignedAgreement
from lienthong.node.gathered import Gathered, gather
from lienthong.node.lines import agreement_lines, member_lines, use_lines, uses_by_way
from lienthong.node.local import Local
from lienthong.node.neighbours import SHOWN_USES, Neighbours, ask_services
from lienthong.node.queries import checkpoint_signed_at
from lienthong.node.sheets import Standing, agreement_page, checkpoint_view, entry_of_leaf, record_page
from lienthong.node.starting import FILE, StartFile
from lienthong.portal.models import AgreementPage, CheckpointView, Home, Name, RecordPage
from lienthong.storage.pool import Connection, reading

V = TypeVar("V")
OWN_EVERY_S: Final = 0.2
TITLES_EVERY_S: Final = 30.0
COUNT_SHARE: Final = 0.05
"""Counting a long log takes seconds: it may not take more than this share of the time."""


class Renewed(Generic[V]):
    """A value that is read anew once it is older than ``every_s``; whoever asks meanwhile shares one reading."""

    def __init__(self, read: Callable[[], Awaitable[V]], every_s: float, *, share: float = 1.0) -> None:
        """``share``: at most this part of the time is spent reading."""
        self._read = read
        self._every_s = every_s
        self._share = share
        self._next = 0.0
        self._task: asyncio.Task[V] | None = None

    async def value(self) -> V:
        """The value; what the reading raised is raised to all who waited for it, and the next asks anew."""
        now = asyncio.get_running_loop().time()
        if self._task is None or (self._task.done() and now >= self._next):
            self._task = asyncio.create_task(self._renew())
        return await asyncio.shield(self._task)

    async def _renew(self) -> V:
        loop = asyncio.get_running_loop()
        begin = self._next = loop.time()
        value = await self._read()
        self._next = max(begin + self._every_s, loop.time() + (loop.time() - begin) * (1 / self._share - 1))
        return value


class NodePages:
    """The portal's questions, answered for one node.  Belongs to one event loop; ``close`` it there."""

    def __init__(self, local: Local, *, neighbours: Neighbours | None = None) -> None:
        self._local = local
        # The national node shows the country; any other only needs the names of what it uses.
        self._neighbours = neighbours or (
            Neighbours() if local.settings.national else Neighbours(ask_services, every_s=TITLES_EVERY_S)
        )
        self._starting = StartFile(local.settings.data.parent / FILE)
        self._own = Renewed(self._read_own, OWN_EVERY_S)
        self._counts = Renewed(self._read_counts, OWN_EVERY_S, share=COUNT_SHARE)
        self._parsed: dict[str, SignedAgreement] = {}

    async def close(self) -> None:
        """Let go of the other nodes."""
        await self._neighbours.close()

    async def home(self) -> Home:
        """What the front page shows now."""
        settings, now = self._local.settings, datetime.now(UTC)
        start = self._starting.look() if settings.national else None
        snapshot = self._snapshot()
        name = self._node_name(snapshot)
        if start and start.under_way:
            return Home(now, name, settings.synthetic, progress=start.progress)
        gathered = await self.gathered()
        async with reading(self._local.pool) as db:
            checkpoint = await self._checkpoint(db)
        return Home(
            at=now,
            node=name,
            synthetic=settings.synthetic,
            members=member_lines(gathered),
            agreements=agreement_lines(gathered),
            uses=use_lines(gathered),
            uses_by_way=uses_by_way(gathered),
            checkpoint=checkpoint,
            commands=start.commands if start else (),
        )

    async def agreement(self, digest: str) -> AgreementPage | None:
        """The agreement whose exact bytes have this SHA-256 (hexadecimal), or None.

        Raises AgreementTermUnknown when this program does not understand it.
        """
        named, gathered = f"sha-256:{digest}", await self.gathered()
        async with reading(self._local.pool) as db:
            stored = await agreement_queries.stored_document(db, named)
            current = await agreement_queries.current_agreement(db, stored.agreement) if stored else None
            accepted = stored is not None and await agreement_queries.is_accepted(db, named)
        if stored is None:
            signed = gathered.agreements.get(named)
            return agreement_page(gathered, signed, "current") if signed else None
        ended = current.ended_at if current and current.digest == stored.digest else None
        return agreement_page(gathered, _signed(stored, ended, accepted=accepted), _standing(stored, current))

    async def record(self, record_hash: str) -> RecordPage | None:
        """The record with this leaf hash (hexadecimal), or None when this node does not hold it."""
        async with reading(self._local.pool) as db:
            stored = await log_queries.stored_record(db, bytes.fromhex(record_hash))
            checkpoint = await self._checkpoint(db)
        if stored is None:
            return None
        covered = checkpoint if checkpoint and stored.idx is not None and stored.idx < checkpoint.size else None
        entry = entry_of_leaf(bytes(stored.leaf), bytes(stored.hash), stored.idx)
        gathered = await self.gathered()
        return record_page(gathered, bytes(stored.leaf), entry, covered, placed=stored.idx is not None)

    def _snapshot(self) -> Snapshot | None:
        """The directory as last verified; None before the first."""
        with contextlib.suppress(Problem):
            self._local.directory.look()
        try:
            return self._local.directory.snapshot()
        except Problem:
            return None

    def _node_name(self, snapshot: Snapshot | None) -> Name:
        node = snapshot.node(self._local.settings.node) if snapshot else None
        operator = snapshot.member(node.operator) if snapshot and node else None
        if operator is None:
            return Name(self._local.settings.node, self._local.settings.node)
        return Name(operator.name_vi, operator.name_en)

    async def gathered(self) -> Gathered:
        """The facts of all nodes that are known here, as they were a moment ago."""
        settings, snapshot = self._local.settings, self._snapshot()
        own = await self._own.value()
        told: tuple[NodeFacts, ...] = ()
        if snapshot is not None:
            nodes = [node for node in snapshot.contents.nodes if node.id != settings.node]
            asked = nodes if settings.national else _providers(nodes, own)
            told = await self._neighbours.facts(snapshot, asked)
        now, synthetic = datetime.now(UTC), settings.synthetic
        if settings.national:
            return gather(now, snapshot, own, told, synthetic=synthetic)
        described = [service for facts in told for service in facts.services]
        return gather(now, snapshot, own, (), described=described, synthetic=synthetic)

    async def _read_own(self) -> NodeFacts:
        counts = await self._counts.value()
        async with reading(self._local.pool) as db:
            newest = await log_queries.newest_checkpoint(db)
            return NodeFacts(
                node=self._local.settings.node,
                base="",
                health="serving",
                log_size=newest[0] if newest else 0,
                services=tuple(service for service in await all_services(db) if service.sharing != "private"),
                agreements=await self._own_agreements(db),
                entries=tuple(await log_queries.recent_entries(db, SHOWN_USES)),
                counts=counts,
            )

    async def _read_counts(self) -> tuple[Count, ...]:
        async with reading(self._local.pool) as db:
            return tuple(await log_queries.counts(db))

    async def _own_agreements(self, db: Connection) -> tuple[SignedAgreement, ...]:
        """The agreements that count; one whose document this program does not understand is left out."""
        current = {row.digest: row for row in await agreement_queries.current_agreements(db)}
        unread = [digest for digest in current if digest not in self._parsed]
        accepted = {digest for digest, _ in await agreement_queries.acceptances(db)}
        for stored in await agreement_queries.documents(db, unread):
            with contextlib.suppress(Problem):
                self._parsed[stored.digest] = _signed(stored, None, accepted=False)
                await asyncio.sleep(0)  # reading takes a millisecond each: others get their turn
        self._parsed = {digest: signed for digest, signed in self._parsed.items() if digest in current}
        return tuple(
            replace(signed, ended_at=current[digest].ended_at, accepted=digest in accepted)
            for digest, signed in self._parsed.items()
        )

    async def _checkpoint(self, db: Connection) -> CheckpointView | None:
        newest = await log_queries.newest_checkpoint(db)
        at = await checkpoint_signed_at(db, newest[0]) if newest else None
        if newest is None or at is None:
            return None
        return checkpoint_view(self._local.files, newest[2], at)


def _providers(nodes: Sequence[Node], own: NodeFacts) -> list[Node]:
    """The nodes that act for the providers of our agreements."""
    members = {signed.agreement.terms.provider for signed in own.agreements}
    return [node for node in nodes if members.intersection(node.members)]


def _signed(stored: StoredDocument, ended_at: datetime | None, *, accepted: bool) -> SignedAgreement:
    return SignedAgreement(
        parse_agreement(bytes(stored.document)), stored.provider_jws, stored.consumer_jws, ended_at, accepted
    )


def _standing(stored: StoredDocument, current: CurrentAgreement | None) -> Standing:
    if current is None or stored.version > current.version:
        return "not-yet"
    return "current" if current.digest == stored.digest else "replaced"
