"""The questions only the pages and the counting of open data ask."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime

from psycopg.rows import class_row

from lienthong.access.models import Way
from lienthong.storage.pool import Connection


async def count_open(db: Connection, service: str, way: str, file: str, *, uses: int, size: int) -> None:
    """Count uses of open data that nobody put a name to, in the hour that it is."""
    await db.execute(
        """
        INSERT INTO open_use (service, way, file, hour, uses, bytes)
        VALUES (%s, %s, %s, date_trunc('hour', now(), 'UTC'), %s, %s)
        ON CONFLICT (service, way, file, hour)
        DO UPDATE SET uses = open_use.uses + EXCLUDED.uses, bytes = open_use.bytes + EXCLUDED.bytes
        """,
        (service, way, file, uses, size),
    )


@dataclass(frozen=True, slots=True)
class OpenDay:
    """Anonymous uses of one open service in one way on one day (UTC)."""

    service: str
    way: Way
    day: date
    uses: int
    bytes: int


async def open_days(db: Connection, before: date) -> list[OpenDay]:
    """Days before ``before`` that are not on record yet, oldest first."""
    async with db.cursor(row_factory=class_row(OpenDay)) as cursor:
        await cursor.execute(
            """
            SELECT service, way, (hour AT TIME ZONE 'UTC')::date AS day, sum(uses)::bigint AS uses,
                   sum(bytes)::bigint AS bytes
              FROM open_use
             WHERE NOT recorded AND (hour AT TIME ZONE 'UTC')::date < %s
             GROUP BY 1, 2, 3 ORDER BY 3, 1, 2
            """,
            (before,),
        )
        return await cursor.fetchall()


async def mark_open_day(db: Connection, day: OpenDay) -> None:
    """Remember that ``day`` is on record."""
    await db.execute(
        """
        UPDATE open_use SET recorded = true
         WHERE service = %s AND way = %s AND (hour AT TIME ZONE 'UTC')::date = %s
        """,
        (day.service, day.way, day.day),
    )


async def checkpoint_signed_at(db: Connection, size: int) -> datetime | None:
    """When the checkpoint of exactly ``size`` records was signed, or None when there is none of that size."""
    cursor = await db.execute("SELECT at FROM checkpoint WHERE size = %s", (size,))
    row = await cursor.fetchone()
    return row[0] if row else None


@dataclass(frozen=True, slots=True)
class Sealed:
    """A record of ours as provider with its sealed detail."""

    idx: int
    hash: bytes
    detail: bytes


async def hold_looked(db: Connection) -> tuple[int, int]:
    """How many entries were looked through, held until the transaction ends, and of how many."""
    cursor = await db.execute("SELECT l.size, s.size FROM subject_looked l, sequenced s FOR UPDATE OF l")
    row = await cursor.fetchone()
    return (int(row[0]), int(row[1])) if row else (0, 0)


async def sealed_records(db: Connection, first: int, end: int) -> list[Sealed]:
    """Records from ``first`` to before ``end`` that can be about somebody, in order."""
    async with db.cursor(row_factory=class_row(Sealed)) as cursor:
        await cursor.execute(
            """
            SELECT e.idx, e.hash, r.detail FROM entry e JOIN record r ON r.seq = e.seq
             WHERE e.idx >= %s AND e.idx < %s AND e.side = 'provider' AND e.outcome = 'permitted'
               AND r.detail IS NOT NULL
             ORDER BY e.idx
            """,
            (first, end),
        )
        return await cursor.fetchall()


async def note_subjects(db: Connection, found: list[tuple[bytes, int]], size: int) -> None:
    """Note whom records are about, and that the first ``size`` entries were looked through."""
    async with db.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO subject_use (keyed, idx) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            found,
        )
        await cursor.execute("UPDATE subject_looked SET size = %s", (size,))


@dataclass(frozen=True, slots=True)
class UseRow:
    """One use of data about somebody, as this node's log holds it."""

    hash: bytes
    at: datetime
    consumer: str
    provider: str
    resource: str
    way: Way
    purpose: str | None


async def uses_about(db: Connection, keyed: bytes, *, record: bytes | None, most: int) -> list[UseRow]:
    """Uses about whom the keyed hash stands for, newest first; ``record``: that one alone."""
    async with db.cursor(row_factory=class_row(UseRow)) as cursor:
        await cursor.execute(
            """
            SELECT e.hash, e.at, e.consumer, e.provider, e.resource, e.way, e.purpose
              FROM subject_use u JOIN entry e ON e.idx = u.idx
             WHERE u.keyed = %(keyed)s AND (%(record)s::bytea IS NULL OR e.hash = %(record)s)
             ORDER BY e.idx DESC LIMIT %(most)s
            """,
            {"keyed": keyed, "record": record, "most": most},
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that lies open."""

    hash: bytes
    leaf: bytes
    detail: bytes | None


async def unclosed_streams(db: Connection, before: datetime, most: int = 1_000) -> list[Opened]:
    """Records of streams opened before ``before`` of which no record tells the end; none while an end awaits the log."""
    query = """
        SELECT o.hash, o.leaf, o.detail
          FROM entry e JOIN record o ON o.seq = e.seq
         WHERE e.reason = 'opened' AND e.at < %(before)s
           AND NOT EXISTS (
               SELECT 1 FROM entry c JOIN record r ON r.seq = c.seq
                WHERE c.exchange_id = e.exchange_id AND c.side = e.side AND c.idx > e.idx
                  AND (c.reason = 'closed' OR c.reason LIKE 'closed;%%')
                  AND convert_from(r.leaf, 'UTF8')::json ->> 'request_signature_digest'
                    = convert_from(o.leaf, 'UTF8')::json ->> 'request_signature_digest')
           AND NOT EXISTS (
               SELECT 1 FROM record r, sequenced s
                WHERE (r.tx, r.seq) > (s.tx, s.seq)
                  AND convert_from(r.leaf, 'UTF8')::json ->> 'reason' LIKE 'closed%%')
         ORDER BY e.idx LIMIT %(most)s
    """
    async with db.cursor(row_factory=class_row(Opened)) as cursor:
        await cursor.execute(query, {"before": before, "most": most})
        return await cursor.fetchall()
