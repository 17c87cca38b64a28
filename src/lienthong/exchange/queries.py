"""Questions about quotas: how much of an agreement's day is taken, by any gateway of the node."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

from psycopg import AsyncConnection

KEPT_DAYS: Final = 7


async def take_uses(
    db: AsyncConnection, side: str, agreement: str, day: date, *, wanted: int, quota: int
) -> tuple[int, int]:
    """Take up to ``wanted`` of the ``quota`` uses of ``day``: how many were got, and how many are taken now.

    The first taking of a day forgets days long past.
    """
    cursor = await db.execute(
        """
        INSERT INTO quota_day AS q (side, agreement, day, taken, got)
        VALUES (%(side)s, %(agreement)s, %(day)s, least(%(wanted)s::int, %(quota)s), least(%(wanted)s::int, %(quota)s))
        ON CONFLICT (side, agreement, day) DO UPDATE
           SET got = greatest(0, least(%(wanted)s, %(quota)s - q.taken)),
               taken = q.taken + greatest(0, least(%(wanted)s, %(quota)s - q.taken))
        RETURNING got, taken
        """,
        {"side": side, "agreement": agreement, "day": day, "wanted": wanted, "quota": quota},
    )
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("an upsert returned no row")
    if row[0] == row[1]:
        await db.execute("DELETE FROM quota_day WHERE day < %s", (day - timedelta(days=KEPT_DAYS),))
    return row[0], row[1]


async def give_back_uses(db: AsyncConnection, side: str, agreement: str, day: date, count: int) -> None:
    """Uses that a gateway took and did not need."""
    await db.execute(
        "UPDATE quota_day SET taken = greatest(0, taken - %s) WHERE side = %s AND agreement = %s AND day = %s",
        (count, side, agreement, day),
    )
