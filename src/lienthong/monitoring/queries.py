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


async def keep_calls(db: AsyncConnection, member: str, begins_ms: int, ends_ms: int, packed: bytes) -> None:
    """Keep what was seen of calls of ``member``; times are milliseconds since 1970."""
    await db.execute(
        """
        INSERT INTO monitored_calls (member, begins, ends, calls)
        VALUES (%s, to_timestamp(%s / 1000.0), to_timestamp(%s / 1000.0), %s)
        """,
        (member, begins_ms, ends_ms, packed),
    )


async def kept_calls(
    db: AsyncConnection, member: str, begins_ms: int, ends_ms: int, limit: int
) -> list[tuple[int, bytes]]:
    """Packed calls of ``member`` that may lie between two moments, oldest first."""
    cursor = await db.execute(
        """
        SELECT id, calls FROM monitored_calls
         WHERE member = %s AND ends >= to_timestamp(%s / 1000.0) AND begins < to_timestamp(%s / 1000.0)
         ORDER BY ends, id LIMIT %s
        """,
        (member, begins_ms, ends_ms, limit),
    )
    return [(row[0], bytes(row[1])) for row in await cursor.fetchall()]


async def put_counters(db: AsyncConnection, process: str, started: datetime, counted: Mapping[str, object]) -> None:
    """Put down a process's counters in place of those it put down before."""
    await db.execute(
        """
        INSERT INTO process_counters (process, started, at, counted)
        VALUES (%(process)s, %(started)s, now(), %(counted)s)
        ON CONFLICT (process) DO UPDATE SET started = excluded.started, at = excluded.at, counted = excluded.counted
        """,
        {"process": process, "started": started, "counted": orjson.dumps(counted).decode()},
    )


async def all_counters(db: AsyncConnection, since: datetime) -> list[tuple[str, datetime, Mapping[str, Any]]]:
    """Counters of the processes that put them down after ``since``: name, start, counters."""
    cursor = await db.execute(
        "SELECT process, started, counted FROM process_counters WHERE at > %s ORDER BY process", (since,)
    )
    return [(row[0], row[1], row[2]) for row in await cursor.fetchall()]


async def forget_calls(db: AsyncConnection, before: datetime) -> int:
    """Let go of calls seen before ``before``, and of counters of processes that ended; how many rows of calls."""
    await db.execute("DELETE FROM process_counters WHERE at < now() - interval '1 day'")
    cursor = await db.execute("DELETE FROM monitored_calls WHERE ends < %s", (before,))
    return cursor.rowcount


async def log_size(db: AsyncConnection) -> int:
    """Records with a place in the log."""
    cursor = await db.execute("SELECT size FROM sequenced")
    row = await cursor.fetchone()
    return row[0] if row else 0
