"""The sequencer: gives durable records their index, writes tiles, signs a checkpoint, publishes it; in that order.

One sequencer runs per database (an advisory lock, and a number that shuts out every earlier one); a crash at any point
is repaired by doing the same again, since records are read in a fixed order and files of a size never change.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.log import CHECKPOINT_FILE, KEY_FILE, LogFiles
from lienthong.access.queries import Head, Waiting
from lienthong.access.witness.policy import Policy, no_policy
from lienthong.access.witness.queries import best_checkpoint
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.trust.cosign import cosigned
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

    async def step(self, db: AsyncConnection, limit: int = BATCH) -> int:
        """Place the records that wait, at most ``limit``; returns how many.

        The connection must hold the sequencer lock and be outside a transaction.  In recovery nothing is done.
        Raises LogShortened, SequencerReplaced.
        """
        at = await queries.head(db)
        if self.epoch is not None and at.epoch != self.epoch:
            await db.rollback()
            raise SequencerReplaced(T("Another process took over the log; this one signs nothing more."))
        if at.recovery is not None:
            await db.rollback()
            return 0
        self._refuse_shorter(at.size)
        waiting = await queries.waiting_records(db, at, limit)
        if not waiting:
            await db.commit()
            return 0
        for path, content in tiles_for(at.size, [record.leaf for record in waiting], self.files.store.get).items():
            self.files.store.put(path, content)
        size = at.size + len(waiting)
        root = TileReader(self.files.store.get, size).root()
        note = sign_checkpoint(Checkpoint(self.files.origin, size, root), self.key, self.files.origin)
        await queries.place_entries(db, [entry_row(at.size + n, record) for n, record in enumerate(waiting)])
        await queries.move_head(db, Head(waiting[-1].tx, waiting[-1].seq, size))
        await queries.keep_checkpoint(db, size, root, note)
        await db.commit()
        self.files.keep_signed(note)
        await publish_best(db, self.files, self.policy())
        return len(waiting)

    async def publish_newest(self, db: AsyncConnection) -> None:
        """At start: publish the newest checkpoint of the database, which a crash may have kept from readers."""
        newest = await queries.newest_checkpoint(db)
        self._refuse_shorter(newest[0] if newest else 0)
        self.files.store.put(KEY_FILE, (self.files.verifier_key + "\n").encode())
        await publish_best(db, self.files, self.policy())

    def _refuse_shorter(self, size: int) -> None:
        published = self.files.published_size()
        if published > size:
            raise LogShortened(
                T("The database knows {size} records, but a checkpoint of {published} was published."),
                mend=T("Restore the missing records; until then nothing is signed."),
                size=size,
                published=published,
            )


async def publish_best(db: AsyncConnection, files: LogFiles, policy: Policy) -> None:
    """Show readers the newest checkpoint that enough witnesses cosigned, or for want of a recent one the newest.

    What is published never becomes smaller.
    """
    best = await best_checkpoint(db, policy.names, policy.threshold, patience_s=UNCOSIGNED_AFTER_S)
    await db.commit()
    if best is None or best.size < files.published_size():
        return
    note = cosigned(bytes(best.note), best.lines)
    if note != files.store.get(CHECKPOINT_FILE):
        files.store.put(CHECKPOINT_FILE, note)


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
