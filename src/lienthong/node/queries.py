"""The questions only the pages ask, and the way every public answer borrows a connection."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import datetime

import psycopg

from lienthong.i18n import T
from lienthong.storage.pool import Connection, Pool
from lienthong.storage.provision import DatabaseUnavailable

PATIENCE_S = 3.0
"""A reader is told within this time that the database is away."""


@asynccontextmanager
async def reading(pool: Pool) -> AsyncGenerator[Connection]:
    """A connection for one public answer.  Raises DatabaseUnavailable when there is none, or when it breaks."""
    try:
        async with pool.connection(timeout=PATIENCE_S) as db:
            yield db
    except (psycopg.OperationalError, psycopg.InterfaceError) as away:
        raise DatabaseUnavailable(T("The node's database does not answer."), mend=T("Try again in a moment.")) from away


async def checkpoint_signed_at(db: Connection, size: int) -> datetime | None:
    """When the checkpoint of exactly ``size`` records was signed, or None when there is none of that size."""
    cursor = await db.execute("SELECT at FROM checkpoint WHERE size = %s", (size,))
    row = await cursor.fetchone()
    return row[0] if row else None
