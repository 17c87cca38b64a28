"""Questions of monitoring: what the jobs process noted of health, how the log's queue stands."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import orjson
from psycopg import AsyncConnection
from psycopg.rows import class_row

COUNTED = 100_000
"""Most rows of a queue that are counted: more says nothing new and would take long."""


@dataclass(frozen=True, slots=True)
class NotedCheck:
    """A finding as the jobs process noted it; JSON values."""

    check: Mapping[str, Any]
    at: datetime


async def answer(db: AsyncConnection) -> None:
    """One statement, answered."""
    await db.execute("SELECT 1 FROM sequenced")


async def note_health(db: AsyncConnection, checks: Sequence[Mapping[str, Any]]) -> None:
    """Keep what the jobs process found, in place of what it found before."""
    await db.execute("DELETE FROM health_note WHERE name <> ALL(%s)", ([check["name"] for check in checks],))
    async with db.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO health_note (name, finding, at) VALUES (%s, %s, now())
            ON CONFLICT (name) DO UPDATE SET finding = excluded.finding, at = excluded.at
            """,
            [(check["name"], orjson.dumps(check).decode()) for check in checks],
        )


async def noted_health(db: AsyncConnection) -> list[NotedCheck]:
    """What the jobs process found last, by name."""
    async with db.cursor(row_factory=class_row(NotedCheck)) as cursor:
        await cursor.execute("SELECT finding AS check, at FROM health_note ORDER BY name")
        return await cursor.fetchall()


async def unplaced_records(db: AsyncConnection) -> tuple[int, datetime | None]:
    """How many durable records have no place in the log yet, and when the last checkpoint was signed."""
    cursor = await db.execute(
        """
        SELECT (SELECT count(*) FROM (SELECT 1 FROM record r, sequenced s WHERE (r.tx, r.seq) > (s.tx, s.seq)
                                      LIMIT %s) waiting),
               (SELECT at FROM checkpoint ORDER BY size DESC LIMIT 1)
        """,
        (COUNTED,),
    )
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else (0, None)


async def queue_lengths(db: AsyncConnection) -> dict[str, int]:
    """What waits to be done by name of the queue."""
    cursor = await db.execute(
        """
        SELECT (SELECT count(*) FROM (SELECT 1 FROM half_open WHERE finding = 'waiting' LIMIT %(most)s) w),
               (SELECT count(*) FROM agreement_notice WHERE NOT delivered),
               (SELECT count(*) FROM negotiation WHERE NOT delivered)
        """,
        {"most": COUNTED},
    )
    row = await cursor.fetchone() or (0, 0, 0)
    return {"halves": row[0], "notices": row[1], "negotiations": row[2]}
