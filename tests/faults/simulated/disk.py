"""A database and a folder that can crash at every point, as far as the exchange and the sequencer use them.

Rows of ``record`` survive a crash, those of the UNLOGGED table ``nonce`` do not; a commit may be durable although its
answer was lost; two writers may commit in another order than they began.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

from lienthong.access import seen
from lienthong.access.queries import Head, Waiting
from lienthong.access.shards import Shard
from lienthong.storage.durability import QUESTION
from tests.faults.simulated.world import Killed, Process, World, here


class Gone(OSError):
    """The connection to the database broke."""


@dataclass(frozen=True, slots=True)
class Row:
    tx: int
    seq: int
    hash: bytes
    leaf: bytes
    committed_at: float


@dataclass
class Database:
    """One node's database, shared by its processes."""

    world: World
    up: bool = True
    generation: int = 0
    safe: bool = True
    """False: ``synchronous_commit`` is off, and a crash loses what was committed in its last moments."""
    slow_s: float = 0.0
    rows: list[Row] = field(default_factory=list)
    nonces: dict[tuple[str, str], int] = field(default_factory=lambda: {seen.MARKER[:2]: seen.MARKER[2]})
    active: set[int] = field(default_factory=set)
    next_tx: int = 100
    next_seq: int = 1
    head: Head = field(default_factory=lambda: Head("0", 0, 0))
    entries: dict[int, bytes] = field(default_factory=dict)
    """Index to record hash."""
    checkpoints: dict[int, tuple[bytes, bytes]] = field(default_factory=dict)
    """Size to root and note."""
    locked_by: Session | None = None
    """The transaction that holds the one row of ``sequenced``."""

    def holds(self, named: bytes) -> bool:
        return any(row.hash == named for row in self.rows)

    def crash(self) -> None:
        """As by ``kill -9``: connections break, transactions end undone, the UNLOGGED table is empty."""
        self.up = False
        self.generation += 1
        self.active.clear()
        self.nonces.clear()
        if not self.safe:
            self.rows = [row for row in self.rows if row.committed_at < self.world.loop.time() - 0.5]

    async def connect(self, process: Process) -> Connection:
        await process.port()
        await self.world.some_time(0.02)
        if not self.up:
            raise Gone
        await process.port()
        return Connection(self, process, self.generation)

    def begin(self) -> int:
        self.next_tx += 1
        self.active.add(self.next_tx)
        return self.next_tx


@dataclass
class Connection:
    """What asyncpg gives, as far as it is used."""

    database: Database
    process: Process
    generation: int
    closed: bool = False

    def is_closed(self) -> bool:
        return self.closed or self.generation != self.database.generation

    def terminate(self) -> None:
        self.closed = True

    async def close(self, timeout: float | None = None) -> None:
        self.closed = True

    def check(self) -> None:
        if self.is_closed():
            raise Gone

    async def work(self) -> None:
        """The server is busy with what was asked."""
        await self.process.port()
        self.check()
        await self.database.world.some_time(0.004 + self.database.slow_s)
        self.check()

    async def answered(self) -> None:
        """The server's answer is on its way."""
        await self.database.world.some_time(0.003)
        await self.process.port()
        self.check()

    async def copy_records_to_table(
        self, table: str, *, records: Sequence[tuple[bytes, bytes, bytes]], columns: Iterable[str], timeout: float
    ) -> None:
        database = self.database
        await self.process.port()
        self.check()
        tx = database.begin()
        numbers = range(database.next_seq, database.next_seq + len(records))
        database.next_seq += len(records)
        try:
            async with asyncio.timeout(timeout):
                await database.world.some_time((2.0 if database.world.chance(0.1) else 0.01) + database.slow_s)
            self.check()
            moment = database.world.loop.time()
            for seq, (named, leaf, _) in zip(numbers, records, strict=True):
                database.rows.append(Row(tx, seq, named, leaf, moment))
        finally:
            database.active.discard(tx)
        await self.answered()

    async def fetch(
        self, statement: str, keys: list[str], nonces: list[str], until: list[int]
    ) -> list[tuple[str, str]]:
        assert statement == seen.INSERT
        await self.work()
        fresh = []
        for key, nonce, expires in zip(keys, nonces, until, strict=True):
            if (key, nonce) not in self.database.nonces:
                self.database.nonces[key, nonce] = expires
                fresh.append((key, nonce))
        await self.answered()
        return fresh

    async def fetchval(self, statement: str, key: str, nonce: str) -> object:
        await self.work()
        found = self.database.nonces.get((key, nonce))
        await self.answered()
        assert statement in (seen.FIND_MARKER, seen.FIND_LOST)
        return found is not None if statement == seen.FIND_MARKER else found

    async def fetchrow(self, statement: str) -> tuple[str, ...]:
        assert statement == QUESTION
        await self.work()
        return ("on", "on" if self.database.safe else "off", "on")


@dataclass(eq=False)
class Session:
    """The sequencer's connection: one transaction after another, each all or nothing."""

    database: Database
    process: Process
    generation: int
    folder: Folder
    staged: list[Callable[[], None]] = field(default_factory=list)

    async def lock(self) -> None:
        """``FOR UPDATE`` of the sequencer's row; a session that died holds nothing."""

        while (holder := self.database.locked_by) and holder is not self and holder.lives:  # noqa: ASYNC110
            await asyncio.sleep(0.1)
        await self.step()
        self.database.locked_by = self

    @property
    def lives(self) -> bool:
        return self.process.alive and self.generation == self.database.generation

    def _unlock(self) -> None:
        if self.database.locked_by is self:
            self.database.locked_by = None

    async def step(self) -> None:
        await self.process.port()
        await self.database.world.some_time(0.003)
        await self.process.port()
        if self.generation != self.database.generation:
            raise Gone

    async def commit(self) -> None:
        await self.step()
        staged, self.staged = self.staged, []
        for change in staged:
            change()
        self._unlock()
        await self.step()

    async def rollback(self) -> None:
        self.staged = []
        self._unlock()


class Queries:
    """Stands where the sequencer says ``queries``."""

    @staticmethod
    async def head(db: Session) -> Head:
        await db.lock()
        return db.database.head

    @staticmethod
    async def shards(db: Session) -> tuple[Shard, ...]:
        await db.step()
        return (Shard("", "9999h2", 0, None),)

    @staticmethod
    async def waiting_records(db: Session, after: Head, limit: int) -> list[Waiting]:
        await db.step()
        oldest = min(db.database.active, default=db.database.next_tx + 1)
        rows = sorted(
            (row for row in db.database.rows if (row.tx, row.seq) > (int(after.tx), after.seq) and row.tx < oldest),
            key=lambda row: (row.tx, row.seq),
        )
        return [Waiting(str(row.tx), row.seq, row.hash, row.leaf) for row in rows[:limit]]

    @staticmethod
    async def place_entries(db: Session, rows: Sequence[Sequence[Any]]) -> None:
        await db.step()
        db.staged.append(lambda: db.database.entries.update({row[0]: row[2] for row in rows}))

    @staticmethod
    async def move_head(db: Session, to: Head) -> None:
        await db.step()
        database = db.database
        db.staged.append(lambda: setattr(database, "head", Head(to.tx, to.seq, to.size, database.head.epoch)))

    @staticmethod
    async def keep_checkpoint(db: Session, size: int, root: bytes, note: bytes) -> None:
        await db.step()
        db.staged.append(lambda: db.database.checkpoints.setdefault(size, (root, note)) and None)

    @staticmethod
    async def newest_checkpoint(db: Session) -> tuple[int, bytes, bytes] | None:
        await db.step()
        kept = db.database.checkpoints
        return (max(kept), *kept[max(kept)]) if kept else None

    @staticmethod
    async def raise_epoch(db: Session) -> int:
        await db.lock()
        old = db.database.head
        db.database.head = Head(old.tx, old.seq, old.size, old.epoch + 1)
        return old.epoch + 1


async def best_checkpoint(db: Session, *_: object, **__: object) -> object:
    """Stands where the sequencer asks which checkpoint readers get."""
    newest = await Queries.newest_checkpoint(db)
    return SimpleNamespace(size=newest[0], note=newest[2], lines=[]) if newest else None


@dataclass
class Folder:
    """Stands where the code keeps objects; what ``put`` returned from stays."""

    objects: dict[str, bytes] = field(default_factory=dict)
    puts: list[tuple[str, bytes]] = field(default_factory=list)
    """Every object ever written, in order."""

    def get(self, key: str) -> bytes | None:
        return self.objects.get(key)

    def put(self, key: str, content: bytes) -> None:
        process = here.get()
        if not process.alive:
            raise Killed
        dies = process.dies_at_put is not None and process.dies_at_put <= 1
        if process.dies_at_put is not None:
            process.dies_at_put -= 1
        if dies and process.world.chance(0.5):
            process.kill()
            raise Killed
        self.objects[key] = content
        self.puts.append((key, content))
        if dies:
            process.kill()
            raise Killed
