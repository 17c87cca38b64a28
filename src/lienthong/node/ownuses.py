"""Who used data about the citizen that asks: found in this node's log, where it answered as provider.

Records hold salted commitments, which only who knows salt and number can try; both lie sealed beside them.  They are
opened once, in order, and what remains is the number's keyed hash beside the place in the log.  Promises: looking
through takes no more than ``SHARE`` of the time; what was not looked through yet is told; a record about somebody else
is not there.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, cast

import orjson
import structlog

from lienthong.directory.models import member_of
from lienthong.errors import Problem
from lienthong.identity import queries as identity_queries
from lienthong.identity.models import Actor
from lienthong.identity.numbers import KIND, keyed
from lienthong.node import queries
from lienthong.node.gathered import Gathered
from lienthong.portal.mine import OwnUse, OwnUses
from lienthong.storage.pool import DatabaseFailed, Pool, reading
from lienthong.trust.seal import Seal, SealBroken

log = structlog.get_logger("lienthong.ownuses")
BATCH: Final = 200
VISIT_S: Final = 1.0
"""How long a citizen's visit looks through what is new, at most."""
EVERY_S: Final = 30.0
SHARE: Final = 0.05
MOST: Final = 200


class NodeOwnUses:
    """See ``portal.mine.OwnUsesDesk``."""

    def __init__(
        self,
        pool: Pool,
        seal: Seal,
        key: bytes,
        gathered: Callable[[], Awaitable[Gathered]],
        *,
        visit_s: float = VISIT_S,
    ) -> None:
        self._pool = pool
        self._seal = seal
        self._key = key
        self._gathered = gathered
        self._visit_s = visit_s

    async def uses(self, actor: Actor) -> OwnUses:
        """The newest uses of data about ``actor``."""
        left = await self.look_through(self._visit_s)
        number, found = await self._found(actor, None)
        return OwnUses(tuple(found), left, known=number is not None)

    async def use(self, actor: Actor, record: str) -> OwnUse | None:
        """One of them, by the hash of its record; None for a record about somebody else."""
        _, found = await self._found(actor, bytes.fromhex(record))
        return found[0] if found else None

    async def look_through(self, for_s: float) -> int:
        """Open records that are new, for about ``for_s`` seconds; returns how many are left."""
        until = time.monotonic() + for_s
        while True:
            async with reading(self._pool) as db:
                first, size = await queries.hold_looked(db)
                if first >= size:
                    return 0
                end = min(first + BATCH, size)
                records = await queries.sealed_records(db, first, end)
                found = [(keyed(self._key, code), each.idx) for each in records for code in self._numbers_in(each)]
                await queries.note_subjects(db, found, end)
            if end < size and time.monotonic() >= until:
                return size - end

    async def keep(self) -> None:
        """Look through what is new again and again, at leisure; for as long as the process runs."""
        while True:
            began = time.monotonic()
            left = 0
            try:
                left = await self.look_through(0.0)
            except (Problem, DatabaseFailed, OSError) as failed:
                log.warning("own-uses.not-looked", error=type(failed).__name__)
            pause = (time.monotonic() - began) * (1 / SHARE - 1)
            await asyncio.sleep(pause if left else EVERY_S)

    def _numbers_in(self, record: queries.Sealed) -> Sequence[str]:
        try:
            detail: dict[str, Any] = orjson.loads(self._seal.decrypt(bytes(record.detail), bytes(record.hash)))
        except SealBroken:  # sealed under a key that was taken away: nobody can say any more whom it is about
            return ()
        listed = cast("list[tuple[str, str]]", detail.get("subjects") or [])
        return [code for kind, code in listed if kind == KIND]

    async def _found(self, actor: Actor, record: bytes | None) -> tuple[bytes | None, list[OwnUse]]:
        async with reading(self._pool) as db:
            number = await identity_queries.number_of(db, str(actor.person))
            rows = await queries.uses_about(db, number, record=record, most=MOST) if number else []
        named = await self._gathered()
        return number, [
            OwnUse(
                record=bytes(row.hash).hex(),
                at=row.at,
                consumer=named.member_name(member_of(row.consumer)),
                provider=named.member_name(row.provider),
                provider_id=row.provider,
                title=named.title(row.resource),
                resource=row.resource,
                way=row.way,
                purpose=named.purpose_name(row.purpose),
                purpose_code=row.purpose or "",
            )
            for row in rows
        ]
