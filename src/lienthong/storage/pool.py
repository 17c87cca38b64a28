"""Connections for the queries of one process."""

from __future__ import annotations

import psycopg_pool
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from lienthong.i18n import T
from lienthong.storage.provision import DatabaseUnavailable

Connection = AsyncConnection[TupleRow]
"""What queries take: verbs and doors pass it on and need not know psycopg."""
Pool = AsyncConnectionPool[Connection]

OPEN_TIMEOUT_S = 15.0


async def open_pool(dsn: str, *, min_size: int = 1, max_size: int = 8, timeout_s: float = OPEN_TIMEOUT_S) -> Pool:
    """A pool that holds ``min_size`` live connections when this returns; a transaction begins with the first statement.

    The caller closes it.  Raises DatabaseUnavailable when the server does not answer in time.
    """
    pool: Pool = AsyncConnectionPool(dsn, min_size=min_size, max_size=max_size, open=False, name="lienthong")
    try:
        await pool.open(wait=True, timeout=timeout_s)
    except psycopg_pool.PoolTimeout as late:
        await pool.close()
        raise DatabaseUnavailable(
            T("The database did not answer in {seconds} seconds."),
            mend=T("See that the server runs and has free connections."),
            seconds=round(timeout_s, 1),
        ) from late
    return pool
