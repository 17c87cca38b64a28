"""Asking the other sides for their halves of our uses, and answering them; telling the national node what it observes.

Messages are signed like all others between nodes; they are no uses of data and leave no records.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Final, cast
from urllib.parse import urlsplit

import orjson

from lienthong.access.models import instant
from lienthong.access.reconcile import queries
from lienthong.access.reconcile.answer import our_halves, read_leaves
from lienthong.access.reconcile.compare import PeerAway, Told
from lienthong.access.reconcile.models import Half
from lienthong.access.reconcile.observe import read_observed, write_observed
from lienthong.directory.document import MemberClosed, MemberWithoutNode, Snapshot, UnknownMember
from lienthong.directory.models import MemberId, Node, SystemId, member_of
from lienthong.errors import Problem
from lienthong.exchange.parts import PeerNotice
from lienthong.exchange.signed import Incoming, Message, PeerLink, RefusedByProvider, body_object
from lienthong.i18n import T
from lienthong.node.desk import DESK
from lienthong.node.local import Local
from lienthong.storage.pool import Pool, reading

HALVES: Final = "halves"
OBSERVED: Final = "observed"
DEADLINE_S: Final = 20.0
MAX_ANSWER: Final = 8 * 1024 * 1024
MOST_HALVES: Final = 500


class NationalNodeUnknown(Problem):
    """The directory lists no node at the address where this node fetches the directory."""

    kind = "national-node-unknown"
    status = 502
    side = "node"
    title = T("The national node is not in the directory")


@dataclass(frozen=True, slots=True)
class HalvesDesk:
    """What other nodes ask this one about halves of uses."""

    local: Local

    def handlers(self) -> dict[str, PeerNotice]:
        """Path below ``/x1/`` to handler; only the national node is told what it observes."""
        handlers: dict[str, PeerNotice] = {HALVES: self.answer}
        if self.local.settings.national:
            handlers[OBSERVED] = self.observe
        return handlers

    async def answer(self, _: str, incoming: Incoming) -> dict[str, object]:
        """Our halves of the exchanges whose records the sender shows.  Raises HalvesMalformed."""
        asked = read_leaves(
            body_object(incoming.body), member_of(incoming.consumer), frozenset(self.local.settings.members)
        )
        async with self.local.pool.connection() as db:
            told = await our_halves(db, self.local.receipts, asked, datetime.now(UTC))
        return {"halves": [[{"leaf": each.leaf.decode(), "proof": each.proof} for each in halves] for halves in told]}

    async def observe(self, _: str, incoming: Incoming) -> dict[str, object]:
        """Keep what the sender tells of its uses under agreements by rule.  Raises HalvesMalformed."""
        told = read_observed(body_object(incoming.body), member_of(incoming.consumer))
        async with self.local.pool.connection() as db:
            await queries.observe(db, incoming.node.id, told)
        return {"observed": len(told)}


@dataclass(frozen=True, slots=True)
class HalvesLink:
    """The other direction: our questions and reports."""

    local: Local
    link: PeerLink

    async def ask(self, own: MemberId, peer: MemberId, leaves: Sequence[bytes]) -> list[list[Told]]:
        """What the node of ``peer`` holds of the exchanges of our ``leaves``.  Raises PeerAway."""
        body: dict[str, object] = {"leaves": [leaf.decode() for leaf in leaves]}
        if peer in self.local.settings.members:
            # Both sides are here: the same questions, without a way between.
            asked = read_leaves(body, own, frozenset(self.local.settings.members))
            async with self.local.pool.connection() as db:
                return await our_halves(db, self.local.receipts, asked, datetime.now(UTC))
        try:
            answer = await self._send(own, peer, HALVES, body)
        except (UnknownMember, MemberClosed, MemberWithoutNode):
            raise PeerAway("peer-unknown") from None
        except RefusedByProvider:
            raise PeerAway("peer-refused") from None
        except Problem:
            raise PeerAway("peer-away") from None
        try:
            told = [
                [Told(str(each["leaf"]).encode(), each["proof"]) for each in halves]
                for halves in cast("list[list[dict[str, str | None]]]", answer["halves"])
            ]
        except (KeyError, TypeError, AttributeError):
            raise PeerAway("answer-unreadable") from None
        if len(told) != len(leaves):
            raise PeerAway("answer-unreadable")
        return told

    async def tell(self, member: MemberId, halves: Sequence[Half]) -> None:
        """Tell the national node of uses of ``member``.  Raises what sending raises, NationalNodeUnknown."""
        settings, snapshot = self.local.settings, self.local.directory.snapshot()
        if settings.national:
            async with self.local.pool.connection() as db:
                await queries.observe(db, settings.node, halves)
            return
        await self._send(
            member, national_node(snapshot, settings.directory_url).operator, OBSERVED, write_observed(halves)
        )

    async def _send(self, own: MemberId, peer: MemberId, name: str, body: dict[str, object]) -> dict[str, object]:
        exchanged = await self.link.send(
            Message(
                consumer=SystemId(f"{own}/{DESK}"),
                service=f"{peer}/{DESK}/{name}",
                target=f"/x1/{name}".encode(),
                exchange_id=str(uuid.uuid4()),
                purpose=None,
                agreement=None,
                body=orjson.dumps(body),
            ),
            peer,
            deadline_s=DEADLINE_S,
            max_body=MAX_ANSWER,
        )
        answer = body_object(exchanged.answer.body)
        if exchanged.answer.status >= 400:
            raise RefusedByProvider(answer, exchanged.answer.status)
        return answer


async def halves_of_member(pool: Pool, member: str) -> Mapping[str, object]:
    """The halves of ``member`` that lack their counterpart, and those that the other side holds and it lacks."""
    async with reading(pool) as db:
        halves = await queries.open_halves(db, member, MOST_HALVES)
    return {
        "member": member,
        "halves": [
            asdict(half) | {"hash": half.hash.hex(), "day": half.day.isoformat(), "since": instant(half.since)}
            for half in halves
        ],
    }


def national_node(snapshot: Snapshot, directory_url: str) -> Node:
    """The node that publishes the directory: the one whose public listener ``directory_url`` names.

    Raises NationalNodeUnknown.
    """
    wanted = urlsplit(directory_url)
    for node in snapshot.contents.nodes:
        known = urlsplit(node.public_url)
        if (known.hostname, known.port) == (wanted.hostname, wanted.port):
            return node
    raise NationalNodeUnknown(
        T("No node of the directory has its public listener at {url}."),
        mend=T("Set directory_url to the address under which the directory lists the national node."),
        url=f"{wanted.scheme}://{wanted.netloc}",
    )
