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
