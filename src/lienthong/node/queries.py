"""The questions only the pages and the counting of open data ask."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Final

from psycopg.rows import class_row
from psycopg.types.json import Jsonb

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
class CopyRow:
    """The newest comparison of a copy with its source."""

    copy: str
    source: str
    at: datetime
    same: int
    differing: int
    only_here: int
    only_there: int
    by_field: dict[str, int]
    agreement: str
    record: str
    """Hash of our record of the question, hexadecimal."""
    refusal: str
    """Kind of the problem for which it could not be compared; then the counts are those before."""


_COMPARED: Final = """
    INSERT INTO copy_compared (copy, source, at, same, differing, only_here, only_there, by_field, agreement, record)
    VALUES (%(copy)s, %(source)s, %(at)s, %(same)s, %(differing)s, %(only_here)s, %(only_there)s, %(by_field)s,
            %(agreement)s, %(record)s)
    ON CONFLICT (copy, source) DO UPDATE SET at = EXCLUDED.at, same = EXCLUDED.same, differing = EXCLUDED.differing,
        only_here = EXCLUDED.only_here, only_there = EXCLUDED.only_there, by_field = EXCLUDED.by_field,
        agreement = EXCLUDED.agreement, record = EXCLUDED.record, refusal = ''
"""


async def keep_comparison(db: Connection, row: CopyRow, differences: Sequence[tuple[str, str, Sequence[str]]]) -> None:
    """Keep the counts, and the differing rows (key, kind, fields) in place of the last ones.

    What was already asked to be corrected stays so while the row differs in the same fields.
    """
    await db.execute(_COMPARED, asdict(row) | {"by_field": Jsonb(row.by_field)})
    pair = {"copy": row.copy, "source": row.source}
    await db.execute(
        """
        DELETE FROM copy_difference d
         WHERE copy = %(copy)s AND source = %(source)s
           AND (key, kind, fields) NOT IN (SELECT key, kind, string_to_array(fields, ',')
                                             FROM unnest(%(keys)s::text[], %(kinds)s::text[], %(fields)s::text[])
                                                  AS now (key, kind, fields))
        """,
        pair | _columns(differences),
    )
    await db.execute(
        """
        INSERT INTO copy_difference (copy, source, key, kind, fields)
        SELECT %(copy)s, %(source)s, key, kind, string_to_array(fields, ',')
          FROM unnest(%(keys)s::text[], %(kinds)s::text[], %(fields)s::text[]) AS now (key, kind, fields)
        ON CONFLICT (copy, source, key) DO NOTHING
        """,
        pair | _columns(differences),
    )


def _columns(differences: Sequence[tuple[str, str, Sequence[str]]]) -> dict[str, list[str]]:
    return {
        "keys": [key for key, _, _ in differences],
        "kinds": [kind for _, kind, _ in differences],
        "fields": [",".join(fields) for _, _, fields in differences],
    }


async def keep_refusal(db: Connection, copy: str, source: str, at: datetime, kind: str) -> None:
    """Note that the copy could not be compared, and why."""
    await db.execute(
        """
        INSERT INTO copy_compared (copy, source, at, refusal) VALUES (%s, %s, %s, %s)
        ON CONFLICT (copy, source) DO UPDATE SET at = EXCLUDED.at, refusal = EXCLUDED.refusal
        """,
        (copy, source, at, kind),
    )


async def copies_compared(db: Connection) -> list[CopyRow]:
    """The newest comparison of every copy."""
    async with db.cursor(row_factory=class_row(CopyRow)) as cursor:
        await cursor.execute(
            """
            SELECT copy, source, at, same, differing, only_here, only_there, by_field, agreement, record, refusal
              FROM copy_compared ORDER BY source, copy
            """
        )
        return await cursor.fetchall()


@dataclass(frozen=True, slots=True)
class DifferenceRow:
    """A row of a copy that is not as the source has it, for the two sides alone."""

    key: str
    kind: str
    fields: list[str]
    case: str
    """The case at the source that asks for its correction; empty: none yet."""


async def differences_of(db: Connection, copy: str, source: str, most: int, after: str = "") -> list[DifferenceRow]:
    """Rows that differ, by key, from after ``after`` on."""
    async with db.cursor(row_factory=class_row(DifferenceRow)) as cursor:
        await cursor.execute(
            """
            SELECT key, kind, fields, "case" FROM copy_difference
             WHERE copy = %s AND source = %s AND key > %s ORDER BY key LIMIT %s
            """,
            (copy, source, after, most),
        )
        return await cursor.fetchall()


async def note_correction(db: Connection, copy: str, source: str, key: str, case: str) -> None:
    """Remember which case of the source asks for the row's correction."""
    await db.execute(
        """UPDATE copy_difference SET "case" = %s WHERE copy = %s AND source = %s AND key = %s""",
        (case, copy, source, key),
    )


@dataclass(frozen=True, slots=True)
class Opened:
    """A record that lies open."""

    hash: bytes
    leaf: bytes
    detail: bytes | None


async def unclosed_streams(db: Connection, before: datetime, most: int = 1_000) -> list[Opened]:
    """Records of streams opened before ``before`` whose end no record tells; none while an end awaits the log."""
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


async def quotas_taken(db: Connection, day: date) -> dict[tuple[str, str], int]:
    """Uses of limited agreements that the gateways took on ``day`` (Vietnam's), by side and agreement."""
    cursor = await db.execute("SELECT side, agreement, taken FROM quota_day WHERE day = %s", (day,))
    return {(row[0], row[1]): row[2] for row in await cursor.fetchall()}


@dataclass(frozen=True, slots=True)
class UsesCounted:
    """Uses under one agreement as one side recorded them since a moment."""

    side: str
    agreement: str
    used: int
    refused: int
    """Because the quota was used up."""


async def uses_counted(db: Connection, since: datetime, most: int) -> tuple[list[UsesCounted], bool]:
    """Uses since ``since`` by side and agreement, among the newest ``most`` entries; whether those were all.

    The second record of a use that was opened first is not a second use.
    """
    cursor = await db.execute(
        """
        WITH newest AS (SELECT at, side, agreement, outcome, reason FROM entry ORDER BY idx DESC LIMIT %(most)s)
        SELECT side, agreement,
               count(*) FILTER (WHERE outcome <> 'refused'), count(*) FILTER (WHERE reason = 'quota-used-up'),
               (SELECT count(*) = %(most)s AND min(at) >= %(since)s FROM newest)
          FROM newest
         WHERE at >= %(since)s AND agreement IS NOT NULL AND (reason IS NULL OR reason NOT LIKE 'closed%%')
         GROUP BY 1, 2
        """,
        {"since": since, "most": most},
    )
    rows = await cursor.fetchall()
    return [UsesCounted(*row[:4]) for row in rows], not (rows and rows[0][4])
