"""The sequencer: gives durable records their index, writes tiles, signs a checkpoint, publishes it; in that order.

One sequencer runs per database (an advisory lock); a crash at any point is repaired by doing the same again, since
records are read in a fixed order and files of a size never change.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import orjson
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.log import CHECKPOINT_FILE, KEY_FILE, LogFiles
from lienthong.access.queries import Head, Waiting
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.trust.note import Checkpoint, sign_checkpoint
from lienthong.trust.tiles import TileReader, tiles_for

BATCH = 20_000


class LogShortened(Problem):
    """The database holds fewer records than a checkpoint that was already published: signing would fork the log."""

    kind: ClassVar[str] = "log-shortened"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The log is shorter than it was")


@dataclass(frozen=True, slots=True)
class Sequencer:
    """Places records in the log of ``files`` and signs with ``key``."""

    files: LogFiles
    key: Ed25519PrivateKey

    async def step(self, db: AsyncConnection, limit: int = BATCH) -> int:
        """Place the records that wait, at most ``limit``; returns how many.

        The connection must hold the sequencer lock and be outside a transaction.  Raises LogShortened.
        """
        at = await queries.head(db)
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
        self.files.store.put(CHECKPOINT_FILE, note)
        return len(waiting)

    async def publish_newest(self, db: AsyncConnection) -> None:
        """At start: publish the newest checkpoint of the database, which a crash may have kept from readers."""
        newest = await queries.newest_checkpoint(db)
        size = newest[0] if newest else 0
        self._refuse_shorter(size)
        self.files.store.put(KEY_FILE, (self.files.verifier_key + "\n").encode())
        if newest:
            self.files.store.put(CHECKPOINT_FILE, newest[2])
        await db.commit()

    def _refuse_shorter(self, size: int) -> None:
        published = self.files.published_size()
        if published > size:
            raise LogShortened(
                T("The database knows {size} records, but a checkpoint of {published} was published."),
                mend=T("Restore the missing records; until then nothing is signed."),
                size=size,
                published=published,
            )


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
