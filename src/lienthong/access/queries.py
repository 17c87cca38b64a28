"""Questions about the log: what waits for a place, what has one, what a hash stands for."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.rows import class_row

from lienthong.access.gaps import Gap
from lienthong.access.shards import Shard

SHOWN_GAPS = 1_000


@dataclass(frozen=True, slots=True)
class Waiting:
    """A durable record that has no index yet."""

    tx: str
    seq: int
    hash: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """A record's place in the log with the fields that people look for."""

    idx: int
    hash: bytes
    at: datetime
    side: str
    exchange_id: str
    consumer: str
    provider: str
    resource: str
    way: str
    purpose: str | None
    agreement: str | None
    agreement_digest: str | None
    outcome: str
    reason: str | None
    rows: int | None
    bytes: int | None


@dataclass(frozen=True, slots=True)
class Stored:
    """A record as it lies in the database, with its index once the sequencer has given one."""

    hash: bytes
    leaf: bytes
    detail: bytes | None
    idx: int | None


@dataclass(frozen=True, slots=True)
class Head:
    """How far the sequencer is: last transaction and row read, number of leaves placed."""

    tx: str
    seq: int
    size: int
    epoch: int = 0
    """Number of the sequencer that last took the lock."""
    recovery: str | None = None
    """Why nothing may be signed; None in good order."""


RECENT = """
    SELECT idx, hash, at, side, exchange_id, consumer, provider, resource, way, purpose,
           agreement, agreement_digest, outcome, reason, rows, bytes
      FROM entry WHERE idx < %(before)s ORDER BY idx DESC LIMIT %(limit)s
"""
OF_EXCHANGE = """
    SELECT idx, hash, at, side, exchange_id, consumer, provider, resource, way, purpose,
           agreement, agreement_digest, outcome, reason, rows, bytes
      FROM entry WHERE exchange_id = %(id)s ORDER BY idx
"""


async def take_sequencer_lock(db: AsyncConnection) -> bool:
    """True if this session now holds the right to sequence; it ends with the session."""
    cursor = await db.execute("SELECT pg_try_advisory_lock(hashtext('lienthong.sequencer'))")
    row = await cursor.fetchone()
    return bool(row and row[0])


async def raise_epoch(db: AsyncConnection) -> int:
    """Shut out every sequencer before this one; returns the new one's number."""
    cursor = await db.execute("UPDATE sequenced SET epoch = epoch + 1 RETURNING epoch")
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("the table sequenced lost its one row")
    return int(row[0])


async def head(db: AsyncConnection) -> Head:
    """Where the sequencer stopped; nobody else can move it before this transaction ends."""
    async with db.cursor(row_factory=class_row(Head)) as cursor:
        await cursor.execute(
            """
            SELECT tx::text AS tx, seq, size, epoch, (SELECT cause FROM log_recovery) AS recovery
              FROM sequenced FOR UPDATE
            """
        )
        found = await cursor.fetchone()
    if found is None:
        raise LookupError("the table sequenced lost its one row")
    return found


async def rest(db: AsyncConnection) -> tuple[int, str | None, str, bool]:
    """The sequencer's number, why nothing may be signed, the open shard's half-year, whether any record waits."""
    cursor = await db.execute(
        """
        SELECT s.epoch, (SELECT cause FROM log_recovery), (SELECT half FROM log_shard ORDER BY begin DESC LIMIT 1),
               EXISTS (SELECT FROM record r
                        WHERE (r.tx, r.seq) > (s.tx, s.seq) AND r.tx < pg_snapshot_xmin(pg_current_snapshot()))
          FROM sequenced s
        """
    )
    found = await cursor.fetchone()
    if found is None:
        raise LookupError("the table sequenced lost its one row")
    return found[0], found[1], found[2], found[3]


async def waiting_records(db: AsyncConnection, after: Head, limit: int) -> list[Waiting]:
    """Records after ``after`` whose transaction, and every older one, has ended; in log order."""
    async with db.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(
            """
            SELECT tx::text AS tx, seq, hash, leaf
              FROM record
             WHERE (tx, seq) > (%(tx)s::xid8, %(seq)s)
               AND tx < pg_snapshot_xmin(pg_current_snapshot())
             ORDER BY record.tx, seq  -- not the text of the same name: "1000" stands before "999"
             LIMIT %(limit)s
            """,
            {"tx": after.tx, "seq": after.seq, "limit": limit},
        )
        return await cursor.fetchall()


async def place_entries(db: AsyncConnection, rows: Sequence[Sequence[object]]) -> None:
    """Insert entries by COPY; columns as in the statement."""
    async with (
        db.cursor() as cursor,
        cursor.copy(
            """COPY entry (idx, seq, hash, at, side, exchange_id, consumer, provider, resource, way, purpose,
                           agreement, agreement_digest, outcome, reason, rows, bytes) FROM STDIN"""
        ) as copy,
    ):
        for row in rows:
            await copy.write_row(row)


async def move_head(db: AsyncConnection, to: Head) -> None:
    """Remember how far the sequencer is."""
    await db.execute(
        "UPDATE sequenced SET tx = %(tx)s::xid8, seq = %(seq)s, size = %(size)s",
        {"tx": to.tx, "seq": to.seq, "size": to.size},
    )


async def keep_checkpoint(db: AsyncConnection, size: int, root: bytes, note: bytes) -> None:
    """Store a signed checkpoint before anybody sees it."""
    await db.execute(
        "INSERT INTO checkpoint (size, root, note) VALUES (%s, %s, %s) ON CONFLICT (size) DO NOTHING",
        (size, root, note),
    )


async def newest_checkpoint(db: AsyncConnection) -> tuple[int, bytes, bytes] | None:
    """Size, root and note of the newest checkpoint, or None before the first."""
    cursor = await db.execute("SELECT size, root, note FROM checkpoint ORDER BY size DESC LIMIT 1")
    row = await cursor.fetchone()
    return (row[0], bytes(row[1]), bytes(row[2])) if row else None


SHARDS = "SELECT name, half, begin, lead(begin) OVER (ORDER BY begin) - 1 AS end FROM log_shard ORDER BY begin"


async def shards(db: AsyncConnection) -> tuple[Shard, ...]:
    """The shards of the log in their order; the last one is open."""
    async with db.cursor(row_factory=class_row(Shard)) as cursor:
        await cursor.execute(SHARDS)
        return tuple(await cursor.fetchall())


async def open_shard(db: AsyncConnection, name: str, begin: int) -> None:
    """Note that a shard of this half-year begins at the number ``begin``; the one before is frozen by that."""
    await db.execute("INSERT INTO log_shard (begin, name, half) VALUES (%s, %s, %s)", (begin, name, name))


async def keep_shard_until(db: AsyncConnection, begin: int, half: str) -> None:
    """Let the shard that begins at ``begin``, which is empty, take the records of ``half``."""
    await db.execute("UPDATE log_shard SET half = %s WHERE begin = %s", (half, begin))


async def checkpoint_of_size(db: AsyncConnection, size: int) -> bytes | None:
    """The note of the checkpoint of exactly ``size`` leaves, or None."""
    cursor = await db.execute("SELECT note FROM checkpoint WHERE size = %s", (size,))
    row = await cursor.fetchone()
    return bytes(row[0]) if row else None


async def stored_record(db: AsyncConnection, named: bytes) -> Stored | None:
    """The record with this hash; its ``idx`` is None until the sequencer has placed it."""
    async with db.cursor(row_factory=class_row(Stored)) as cursor:
        await cursor.execute(
            """
            SELECT r.hash, r.leaf, r.detail, e.idx
              FROM entry e JOIN record r ON r.seq = e.seq
             WHERE e.hash = %(hash)s
             ORDER BY e.idx LIMIT 1
            """,
            {"hash": named},
        )
        placed = await cursor.fetchone()
        if placed is not None:
            return placed
        # Not placed yet: only the last moments' rows can hold it.
        await cursor.execute(
            """
            SELECT r.hash, r.leaf, r.detail, NULL::bigint AS idx
              FROM record r, sequenced s
             WHERE (r.tx, r.seq) > (s.tx, s.seq) AND r.hash = %(hash)s
             LIMIT 1
            """,
            {"hash": named},
        )
        return await cursor.fetchone()


async def recent_entries(db: AsyncConnection, limit: int, before: int | None = None) -> list[Entry]:
    """The newest ``limit`` entries, newest first; ``before`` pages backwards by index."""
    async with db.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(
            RECENT,
            {"before": before if before is not None else 2**62, "limit": limit},
        )
        return await cursor.fetchall()


async def entries_of_exchange(db: AsyncConnection, exchange_id: str) -> list[Entry]:
    """All entries of one exchange on this node, in log order."""
    async with db.cursor(row_factory=class_row(Entry)) as cursor:
        await cursor.execute(OF_EXCHANGE, {"id": exchange_id})
        return await cursor.fetchall()


async def set_recovery(db: AsyncConnection, cause: str, facts: str) -> None:
    """Note why nothing may be signed; what was noted first stays."""
    await db.execute(
        "INSERT INTO log_recovery (cause, facts) VALUES (%s, %s::jsonb) ON CONFLICT (one) DO NOTHING", (cause, facts)
    )


async def recovery_row(db: AsyncConnection) -> tuple[datetime, str, dict[str, Any]] | None:
    """Since when, why and with which facts nothing may be signed; None in good order."""
    cursor = await db.execute("SELECT since, cause, facts FROM log_recovery")
    row = await cursor.fetchone()
    return (row[0], row[1], row[2]) if row else None


async def clear_recovery(db: AsyncConnection) -> None:
    """Let the log be signed again."""
    await db.execute("DELETE FROM log_recovery")


async def counts(db: AsyncConnection) -> list[tuple[str, str, str, int]]:
    """Uses counted by side, way and outcome; the second record of one that was opened first is not a second use."""
    cursor = await db.execute(
        """
        SELECT side, way, outcome, count(*)
          FROM entry
         WHERE reason IS NULL OR reason NOT LIKE 'closed%'
         GROUP BY 1, 2, 3
         ORDER BY 1, 2, 3
        """
    )
    return [(row[0], row[1], row[2], row[3]) for row in await cursor.fetchall()]


FSCK = """
    SELECT e.idx, e.hash, r.hash, r.leaf,
           to_char(e.at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"'), e.side, e.exchange_id, e.consumer,
           e.provider, e.resource, e.way, e.purpose, e.outcome, e.reason, e.rows, e.bytes, e.agreement,
           e.agreement_digest
      FROM entry e LEFT JOIN record r USING (seq)
     ORDER BY e.idx
"""
_SHOWN = (
    "at", "side", "exchange_id", "consumer", "provider", "resource", "way", "purpose", "outcome", "reason", "rows",
    "bytes",
)  # fmt: skip


def placed_records(dsn: str) -> Iterator[tuple[int, bytes, bytes]]:
    """Index, leaf hash and leaf of every entry in log order, for a check of the whole; a row for each that is hidden.

    Where the columns of an entry differ from its record, or the record is gone, an empty leaf stands in its place.
    """
    with psycopg.connect(dsn) as db, db.cursor("fsck") as cursor:
        cursor.itersize = 5_000
        for row in cursor.execute(FSCK):
            index, hash_, own, leaf, *columns = row
            written = b"" if leaf is None else bytes(leaf)
            yield index, bytes(hash_), written if hash_ == own and _as_recorded(written, columns) else b""
    with psycopg.connect(dsn) as db:
        hidden = db.execute(
            """
            SELECT count(*) FROM record r, sequenced s
             WHERE (r.tx, r.seq) <= (s.tx, s.seq) AND NOT EXISTS (SELECT FROM entry e WHERE e.seq = r.seq)
            """
        ).fetchone()
    yield from ((-1, b"", b"") for _ in range(hidden[0] if hidden else 0))


def kept_notes(dsn: str, most: int = 1_000) -> list[bytes]:
    """The newest checkpoints that the database holds, as signed."""
    with psycopg.connect(dsn) as db:
        rows = db.execute("SELECT note FROM checkpoint ORDER BY size DESC LIMIT %s", (most,)).fetchall()
    return [bytes(row[0]) for row in rows]


def _as_recorded(leaf: bytes, columns: Sequence[object]) -> bool:
    """Whether the columns by which people search say what the leaf says."""
    try:
        told: dict[str, Any] = json.loads(leaf)
        agreement = told["agreement"] or {}
        recorded = [told[name] for name in _SHOWN] + [agreement.get("id"), agreement.get("digest")]
    except (ValueError, KeyError, TypeError, AttributeError):
        return False
    return recorded == list(columns)


async def begin_gap(db: AsyncConnection, helper: str, since: datetime) -> None:
    """Note that ``helper`` is missing; a gap that lasts goes on."""
    await db.execute(
        "INSERT INTO helper_gap (helper, since) VALUES (%s, %s) ON CONFLICT (helper) WHERE until IS NULL DO NOTHING",
        (helper, since),
    )


async def end_gap(db: AsyncConnection, helper: str, until: datetime) -> None:
    """Note that ``helper`` is there again."""
    await db.execute(
        "UPDATE helper_gap SET until = %s, basis = NULL WHERE helper = %s AND until IS NULL", (until, helper)
    )


async def note_basis(db: AsyncConnection, helper: str, basis: str | None) -> None:
    """Note by which rule the open gap of ``helper`` stops uses; None: by none."""
    await db.execute(
        "UPDATE helper_gap SET basis = %s WHERE helper = %s AND until IS NULL AND basis IS DISTINCT FROM %s",
        (basis, helper, basis),
    )


async def open_gaps(db: AsyncConnection) -> list[Gap]:
    """The helpers that are missing now."""
    async with db.cursor(row_factory=class_row(Gap)) as cursor:
        await cursor.execute("SELECT helper, since, until, basis FROM helper_gap WHERE until IS NULL ORDER BY since")
        return await cursor.fetchall()


async def gaps_between(db: AsyncConnection, first: datetime, last: datetime) -> list[Gap]:
    """The gaps that touch the time from ``first`` to ``last``, the newest first."""
    async with db.cursor(row_factory=class_row(Gap)) as cursor:
        await cursor.execute(
            """
            SELECT helper, since, until, basis FROM helper_gap
             WHERE since <= %(last)s AND (until IS NULL OR until > %(first)s) ORDER BY since DESC LIMIT %(most)s
            """,
            {"first": first, "last": last, "most": SHOWN_GAPS},
        )
        return await cursor.fetchall()
