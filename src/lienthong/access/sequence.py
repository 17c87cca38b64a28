"""The sequencer: gives durable records their index, writes tiles, signs a checkpoint, publishes it; in that order.

One sequencer runs per database (an advisory lock, and a number that shuts out every earlier one); a crash at any point
is repaired by doing the same again, since records are read in a fixed order and files of a size never change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, ClassVar

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.log import CHECKPOINT_FILE, KEY_FILE, LogFiles
from lienthong.access.queries import Head, Waiting
from lienthong.access.shards import Shard, final_checkpoint, half_year, next_shard, write_link
from lienthong.access.witness.policy import Policy, no_policy
from lienthong.access.witness.queries import best_checkpoint
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.trust.cosign import cosigned
from lienthong.trust.merkle import leaf_hash
from lienthong.trust.note import Checkpoint, sign_checkpoint
from lienthong.trust.tiles import TileReader, tiles_for

BATCH = 20_000
UNCOSIGNED_AFTER_S = 10.0
"""Readers get the newest checkpoint, cosigned or not, once the last with enough cosignatures is this much older."""


class LogShortened(Problem):
    """The database holds fewer records than a checkpoint that was already published: signing would fork the log."""

    kind: ClassVar[str] = "log-shortened"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The log is shorter than it was")


class SequencerReplaced(Problem):
    """Another process has taken over the log of this database: this one may write and sign nothing more."""

    kind: ClassVar[str] = "sequencer-replaced"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("Another process sequences the log")


@dataclass(frozen=True, slots=True)
class Sequencer:
    """Places records in the log of ``files`` and signs with ``key``."""

    files: LogFiles
    key: Ed25519PrivateKey
    policy: Callable[[], Policy] = field(default=no_policy)
    """Which witnesses readers of this log ask for."""
    epoch: int | None = None
    """The number ``queries.raise_epoch`` gave; None where nobody else can be (a tool, a test)."""

    clock: Callable[[], datetime] = field(default=lambda: datetime.now(UTC))
    """Tells when a half-year ends."""

    async def rests(self, db: AsyncConnection) -> bool:
        """Whether ``step`` would do nothing, by one question that takes no lock and writes nothing.

        The connection must be outside a transaction, and is so afterwards.
        """
        await db.set_autocommit(True)
        try:
            found = await queries.rest(db)
        finally:
            await db.set_autocommit(False)
        epoch, recovery, half, waiting = found
        replaced = self.epoch is not None and epoch != self.epoch
        return not (replaced or recovery or waiting or half_year(self.clock()) > half)

    async def step(self, db: AsyncConnection, limit: int = BATCH) -> int:
        """Place the records that wait, at most ``limit``; returns how many.

        When the half-year has ended, the shard is frozen first and the next one opened.  The connection must hold the
        sequencer lock and be outside a transaction.  In recovery nothing is done.  Raises LogShortened,
        SequencerReplaced.
        """
        at = await queries.head(db)
        if self.epoch is not None and at.epoch != self.epoch:
            await db.rollback()
            raise SequencerReplaced(T("Another process took over the log; this one signs nothing more."))
        if at.recovery is not None:
            await db.rollback()
            return 0
        shard = (await queries.shards(db))[-1]
        files = self.files.shard(shard.name)
        _refuse_shorter(files, shard.size(at.size))
        half = half_year(self.clock())
        if half > shard.half and shard.size(at.size) == 0:
            await queries.keep_shard_until(db, shard.begin, half)
        elif half > shard.half:
            await self._open_next(db, at, shard, half)
            return await self.step(db, limit)
        waiting = await queries.waiting_records(db, at, limit)
        if not waiting:
            await db.commit()
            return 0
        old, new = shard.size(at.size), shard.size(at.size) + len(waiting)
        for path, content in tiles_for(old, [record.leaf for record in waiting], files.store.get).items():
            files.store.put(path, content)
        root = TileReader(files.store.get, new).root()
        note = sign_checkpoint(Checkpoint(files.origin, new, root), self.key, files.origin)
        await queries.place_entries(db, [entry_row(at.size + n, record) for n, record in enumerate(waiting)])
        await queries.move_head(db, Head(waiting[-1].tx, waiting[-1].seq, at.size + len(waiting)))
        await queries.keep_checkpoint(db, at.size + len(waiting), root, note)
        await db.commit()
        self.files.keep_signed(note)
        await publish_best(db, self.files, self.policy())
        return len(waiting)

    async def _open_next(self, db: AsyncConnection, at: Head, shard: Shard, half: str) -> None:
        """Freeze ``shard`` by a final checkpoint and open that of ``half``, whose first entry names it."""
        old, new = self.files.shard(shard.name), self.files.shard(half)
        size = shard.size(at.size)
        last = Checkpoint(old.origin, size, TileReader(old.store.get, size).root())
        link = write_link(new.origin, last)
        first = Checkpoint(new.origin, 1, leaf_hash(link))
        final = sign_checkpoint(final_checkpoint(last, new.origin), self.key, old.origin)
        opening = sign_checkpoint(first, self.key, new.origin)
        for path, content in tiles_for(0, [link], new.store.get).items():
            new.store.put(path, content)
        new.store.put(KEY_FILE, (new.verifier_key + "\n").encode())
        await queries.open_shard(db, half, at.size + 1)
        await queries.keep_checkpoint(db, at.size + 1, last.root, final)
        await queries.keep_checkpoint(db, at.size + 2, first.root, opening)
        await queries.move_head(db, Head(at.tx, at.seq, at.size + 2))
        await db.commit()
        self.files.keep_signed(opening)
        await publish_best(db, self.files, self.policy())

    async def publish_newest(self, db: AsyncConnection) -> None:
        """At start: publish the newest checkpoint of the database, which a crash may have kept from readers."""
        newest = await queries.newest_checkpoint(db)
        shard = (await queries.shards(db))[-1]
        _refuse_shorter(self.files.shard(shard.name), shard.size(newest[0] if newest else 0))
        self.files.store.put(KEY_FILE, (self.files.verifier_key + "\n").encode())
        await publish_best(db, self.files, self.policy())


def _refuse_shorter(files: LogFiles, size: int) -> None:
    published = files.published_size()
    if published > size:
        raise LogShortened(
            T("The database knows {size} records, but a checkpoint of {published} was published."),
            mend=T("Restore the missing records; until then nothing is signed."),
            size=size,
            published=published,
        )


async def publish_best(db: AsyncConnection, files: LogFiles, policy: Policy) -> None:
    """Show readers the newest checkpoint that enough witnesses cosigned, or for want of a recent one the newest.

    What is published never becomes smaller, and a frozen shard never becomes open.  Looks at the open shard and at the
    one before it.
    """
    for shard in (await queries.shards(db))[-2:]:
        best = await best_checkpoint(
            db,
            policy.names,
            policy.threshold,
            above=shard.begin,
            upto=shard.last,
            patience_s=UNCOSIGNED_AFTER_S,
        )
        await db.commit()
        if best is None:
            continue
        here, told = files.shard(shard.name), files.opened(bytes(best.note))
        shown = here.published()
        if shown is not None and (told.size < shown.size or (next_shard(shown) and not next_shard(told))):
            continue
        note = cosigned(bytes(best.note), best.lines)
        if note != here.store.get(CHECKPOINT_FILE):
            here.store.put(CHECKPOINT_FILE, note)


def entry_row(index: int, record: Waiting) -> tuple[object, ...]:
    """The row of ``entry`` for a record at ``index``: the fields that people look for, read from the leaf."""
    leaf: dict[str, Any] = orjson.loads(record.leaf)
    agreement = leaf["agreement"]
    return (
        index,
        record.seq,
        record.hash,
        leaf["at"],
        leaf["side"],
        leaf["exchange_id"],
        leaf["consumer"],
        leaf["provider"],
        leaf["resource"],
        leaf["way"],
        leaf["purpose"],
        agreement["id"] if agreement else None,
        agreement["digest"] if agreement else None,
        leaf["outcome"],
        leaf["reason"],
        leaf["rows"],
        leaf["bytes"],
    )
