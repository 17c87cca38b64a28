"""Recovery: a log that was restored, shortened or forked signs nothing until somebody shows where it really stands.

A log that signs a second history can never be believed again; so before it signs, a node compares its database with its
own files, with the checkpoint it signed last and with the heads that witnesses hold.  Whatever is compared is signed by
this very log, so nobody else can stop it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import ClassVar

import orjson

from lienthong.access import queries
from lienthong.access.gaps import Gap
from lienthong.access.log import CHECKPOINT_FILE, LogFiles
from lienthong.access.shards import Shard, next_shard, shard_origin
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.pool import Connection, DatabaseFailed, connect, wait_for_notices
from lienthong.trust.note import NoteRefused
from lienthong.trust.tiles import BrokenLog

RETRY_AFTER_S = 300
QUIET_S = 15.0


class Recovery(Problem):
    """The node's log is in recovery: it signs nothing, so the node can answer nothing that must be on record."""

    kind: ClassVar[str] = "recovery"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node is in recovery")


class NotRecovered(Problem):
    """The checkpoint shown does not allow the log to go on."""

    kind: ClassVar[str] = "not-recovered"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The log can not go on")


@dataclass(frozen=True, slots=True)
class Contradiction:
    """Something this log once signed and its database or files do not bear out."""

    cause: str
    """``shortened``: fewer records than were signed; ``forked``: other records; ``files``: tiles missing or damaged."""
    source: str
    """Who showed it: ``published``, ``kept``, ``database``, or a witness's name."""
    size: int
    """Size of the checkpoint that contradicts, counted through all shards."""
    own_size: int


def contradiction(
    files: LogFiles, shards: Sequence[Shard], own_size: int, source: str, note: bytes
) -> Contradiction | None:
    """Whether ``note``, if it is signed by this log, says something that its ``own_size`` numbers do not bear out.

    ``shards`` are those that the database knows.
    """
    try:
        head = files.opened(note)
    except NoteRefused:
        return None  # anybody can write that
    shard = next((one for one in shards if shard_origin(files.origin, one.name) == head.origin), None)
    if shard is None:  # opened after the state that is here
        return Contradiction("shortened", source, own_size + 1 + head.size, own_size)
    size, own = shard.begin + head.size, shard.size(own_size)
    if next_shard(head) and shard.end is None:  # it was frozen, and here it would be continued
        return Contradiction("shortened", source, size + 1, own_size)
    if head.size > own:
        return Contradiction("shortened", source, size, shard.begin + own)
    if head.size == 0:
        return None
    try:
        found = files.shard(shard.name).root_at(head.size, own)
    except BrokenLog:
        return Contradiction("files", source, size, own_size)
    return None if found == head.root else Contradiction("forked", source, size, own_size)


async def examine(db: Connection, files: LogFiles, heads: Iterable[tuple[str, bytes]] = ()) -> Contradiction | None:
    """Compare the database with files, with what was signed last and with ``heads`` (source, note); the first fault."""
    at = await queries.head(db)
    newest, shards = await queries.newest_checkpoint(db), await queries.shards(db)
    await db.commit()
    own = newest[0] if newest else 0
    if own != at.size:
        return Contradiction("shortened", "database", max(own, at.size), min(own, at.size))
    told = [("published", files.shard(shard.name).store.get(CHECKPOINT_FILE)) for shard in shards]
    told.append(("kept", files.last_signed()))
    told.append(("database", newest[2] if newest else None))
    for source, note in [*told, *heads]:
        if note is not None and (found := contradiction(files, shards, own, source, note)):
            return found
    return None


async def enter_recovery(db: Connection, found: Contradiction) -> None:
    """From now on nothing is signed, by whatever process; gateways are told at once."""
    facts = {"source": found.source, "size": found.size, "own_size": found.own_size}
    await queries.set_recovery(db, found.cause, orjson.dumps(facts).decode())
    await db.commit()


@dataclass(frozen=True, slots=True)
class RecoveryState:
    """Why and since when nothing is signed."""

    since: datetime
    cause: str
    source: str
    size: int
    own_size: int

    def problem(self) -> Recovery:
        """What callers are told."""
        return Recovery(
            T("The node's log is in recovery ({cause}, shown by {source}): it signs nothing and answers no use."),
            mend=T("The operator restores the missing records and shows a checkpoint from outside; try again later."),
            cause=self.cause,
            source=self.source,
            retry_after_s=RETRY_AFTER_S,
        )


async def recovery_state(db: Connection) -> RecoveryState | None:
    """The state of recovery, or None in good order."""
    row = await queries.recovery_row(db)
    if row is None:
        return None
    since, cause, facts = row
    return RecoveryState(since, cause, str(facts["source"]), int(facts["size"]), int(facts["own_size"]))


async def lift_recovery(
    db: Connection, files: LogFiles, outside: bytes, heads: Iterable[tuple[str, bytes]] = ()
) -> int:
    """Let the log go on after ``outside``, a checkpoint of this log kept elsewhere (a witness, a mirror, a receipt).

    The log must hold everything that ``outside``, the files, the checkpoint signed last and ``heads`` say it signed:
    restore the missing records first.  Returns the size of the log.  Raises NotRecovered, NoteRefused.
    """
    shown = files.opened(outside)
    found = await examine(db, files, [("outside", outside), *heads])
    if found is not None:
        raise NotRecovered(
            T("The log has {own_size} records; {source} shows {size} that it signed ({cause})."),
            mend=T("Restore the newest backup and the missing records, or found a new log for this node."),
            own_size=found.own_size,
            size=found.size,
            source=found.source,
            cause=found.cause,
        )
    state, shards = await recovery_state(db), await queries.shards(db)
    begin = next(one.begin for one in shards if shard_origin(files.origin, one.name) == shown.origin)
    if state is not None and begin + shown.size + (next_shard(shown) is not None) < state.size:
        raise NotRecovered(
            T("The checkpoint shown has {shown} records, but recovery began over one of {size}."),
            mend=T("Show a checkpoint at least as large, from a witness or a mirror."),
            shown=begin + shown.size,
            size=state.size,
        )
    await queries.clear_recovery(db)
    await db.commit()
    newest = await queries.newest_checkpoint(db)
    await db.commit()
    return newest[0] if newest else 0


class RecoveryWatch:
    """Knows in memory whether the node is in recovery; told by the database, looked up again every few seconds."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._state: RecoveryState | Gap | None = None
        self._task: asyncio.Task[None] | None = None
        self.changed = asyncio.Event()
        """Set whenever recovery began or ended."""

    async def start(self) -> None:
        """Look once, then follow."""
        async with await connect(self._dsn) as db:
            await self._look(db)
        self._task = asyncio.create_task(self._follow())

    async def stop(self) -> None:
        """Follow no more."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def refuse(self) -> None:
        """Raise Recovery while the node is in recovery, HelperMissing while a rule stops uses for want of a helper."""
        if self._state is not None:
            raise self._state.problem()

    async def _look(self, db: Connection) -> None:
        found = await recovery_state(db) or next((gap for gap in await queries.open_gaps(db) if gap.basis), None)
        if found != self._state:
            self._state = found
            self.changed.set()

    async def _follow(self) -> None:
        while True:
            try:
                async for db in wait_for_notices(self._dsn, ("log_recovery",), QUIET_S):
                    await self._look(db)
            except (DatabaseFailed, OSError):
                await asyncio.sleep(1.0)
