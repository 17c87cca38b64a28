"""Agreements in memory, for the process that decides: found in constant time, kept current by events.

Promise: a change committed by any process of the node is seen as soon as its notification arrives (a re-read every
``QUIET_S`` seconds stands behind it); a document nobody understands denies instead of vanishing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from lienthong.agreements import queries
from lienthong.agreements.policy import Compiled, compile_agreement, compile_unreadable
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.records import CurrentAgreement
from lienthong.directory.models import SystemId, class_of, member_of
from lienthong.errors import Problem

QUIET_S: Final = 30.0
_PARSED_AT_ONCE: Final = 50

_Version = tuple[str, datetime | None]
"""Digest, and the moment a notice ends it: together they say everything about how a version decides."""


@dataclass(frozen=True, slots=True)
class _Tables:
    by_version: Mapping[_Version, Compiled] = field(default_factory=dict)
    by_id: Mapping[str, Compiled] = field(default_factory=dict)
    by_wish: Mapping[tuple[str, str], tuple[Compiled, ...]] = field(default_factory=dict)
    published: frozenset[str] = frozenset()
    accepted: frozenset[tuple[str, str]] = frozenset()


class AgreementIndex:
    """The agreements that count at this node.  Reads never wait: ``reload`` swaps whole tables."""

    def __init__(self) -> None:
        self._tables = _Tables()

    def find(
        self,
        consumer: SystemId,
        targets: Iterable[str],
        purpose: str | None = None,
        at: datetime | None = None,
    ) -> list[Compiled]:
        """The agreements between the consumer's member and the owner of ``targets`` (a service and its dataset).

        Narrowed to those naming ``purpose`` and not ended ``at``, where given; whether a use is permitted is for
        ``policy.decide_among`` to say.  An agreement by rule is found while the directory lists it and by members
        who accepted it.
        """
        tables, member = self._tables, member_of(consumer)
        parties = (member, class_of(consumer))
        return [
            compiled
            for target in targets
            for party in parties
            for compiled in tables.by_wish.get((party, target), ())
            if (purpose is None or purpose in compiled.purposes)
            and (at is None or compiled.ended_at is None or at < compiled.ended_at)
            and (
                compiled.mode != "rule"
                or compiled.digest in tables.published
                or (compiled.digest, member) in tables.accepted
            )
        ]

    def get(self, agreement_id: str) -> Compiled | None:
        """The version of this agreement that counts."""
        return self._tables.by_id.get(agreement_id)

    def awaits_acceptance(self, compiled: Compiled, member: str) -> bool:
        """Whether a use by ``member`` is the first under this agreement by rule, hence its acceptance."""
        return compiled.mode == "rule" and (compiled.digest, member) not in self._tables.accepted

    def all(self) -> Sequence[Compiled]:
        """Every agreement that counts, in the order of ids."""
        return tuple(self._tables.by_id.values())

    async def reload(self, db: Connection) -> None:
        """Take up what the tables now say; only documents not seen before are read and compiled."""
        rows = await queries.current_agreements(db)
        published = frozenset(await queries.published_rules(db))
        accepted = frozenset(await queries.acceptances(db))
        known = self._tables.by_version
        missing = {row.digest: row for row in rows if (row.digest, row.ended_at) not in known}
        compiled = await self._compile(db, missing)
        by_version = {
            (row.digest, row.ended_at): known.get((row.digest, row.ended_at)) or compiled[row.digest]
            for row in rows
            if row.digest in compiled or (row.digest, row.ended_at) in known
        }
        by_wish: dict[tuple[str, str], tuple[Compiled, ...]] = {}
        for each in by_version.values():
            by_wish[each.consumer, each.target] = (*by_wish.get((each.consumer, each.target), ()), each)
        by_id = {each.id: each for each in by_version.values()}
        self._tables = _Tables(by_version, by_id, by_wish, published, accepted)

    async def _compile(self, db: Connection, rows: Mapping[str, CurrentAgreement]) -> dict[str, Compiled]:
        compiled: dict[str, Compiled] = {}
        digests = list(rows)
        for start in range(0, len(digests), _PARSED_AT_ONCE):
            for stored in await queries.documents(db, digests[start : start + _PARSED_AT_ONCE]):
                compiled[stored.digest] = compile_row(rows[stored.digest], stored.document)
            await asyncio.sleep(0)  # a large first load must not hold up calls already being served
        return compiled


def compile_row(row: CurrentAgreement, document: bytes) -> Compiled:
    """The compiled agreement of an index row; one that denies everything when its document can not be read."""
    try:
        return compile_agreement(parse_agreement(document), row.ended_at)
    except Problem as unreadable:
        parties = (row.provider, row.consumer, row.target)
        return compile_unreadable(row.id, row.version, row.digest, parties, unreadable)


async def keep_current(db: Connection, index: AgreementIndex, *, quiet_s: float = QUIET_S) -> None:
    """Reload ``index`` now and after every change, for ever; ``db`` is a connection in autocommit of its own.

    Ends only with the connection's error: the caller opens another and calls again.
    """
    async for _ in queries.changes(db, quiet_s):
        await index.reload(db)
