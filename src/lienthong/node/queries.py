"""The questions only the pages ask."""

from __future__ import annotations

from datetime import datetime

from lienthong.storage.pool import Connection


async def checkpoint_signed_at(db: Connection, size: int) -> datetime | None:
    """When the checkpoint of exactly ``size`` records was signed, or None when there is none of that size."""
    cursor = await db.execute("SELECT at FROM checkpoint WHERE size = %s", (size,))
    row = await cursor.fetchone()
    return row[0] if row else None
