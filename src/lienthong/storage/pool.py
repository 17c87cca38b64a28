"""Connections for the queries of one process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

import psycopg
import psycopg_pool
from psycopg import AsyncConnection, sql
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from lienthong.i18n import T
from lienthong.storage.provision import DatabaseUnavailable

Connection = AsyncConnection[TupleRow]
"""What queries take: verbs and doors pass it on and need not know psycopg."""
Pool = AsyncConnectionPool[Connection]

OPEN_TIMEOUT_S = 15.0
RECONNECT_S = 5.0
"""After an outage a pool begins anew with its growing pauses, so that it is back soon after the server is."""
_TAKE_S = 0.05
"""For reading what has come already."""
PATIENCE_S = 3.0
"""A reader is told within this time that the database is away."""


async def open_pool(dsn: str, *, min_size: int = 1, max_size: int = 8, timeout_s: float = OPEN_TIMEOUT_S) -> Pool:
    """A pool that holds ``min_size`` live connections when this returns; a transaction begins with the first statement.

    The caller closes it.  Raises DatabaseUnavailable when the server does not answer in time.
    """
    pool: Pool = AsyncConnectionPool(
        dsn, min_size=min_size, max_size=max_size, open=False, name="lienthong", reconnect_timeout=RECONNECT_S
    )
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


@asynccontextmanager
async def reading(pool: Pool) -> AsyncGenerator[Connection]:
    """A connection for one public answer.  Raises DatabaseUnavailable when there is none, or when it breaks."""
    try:
        async with pool.connection(timeout=PATIENCE_S) as db:
            yield db
    except (psycopg.OperationalError, psycopg.InterfaceError) as away:
        raise DatabaseUnavailable(T("The node's database does not answer."), mend=T("Try again in a moment.")) from away


DatabaseFailed = psycopg.Error
"""Whatever the database or the way to it answers instead of a result."""


async def connect(dsn: str, *, autocommit: bool = False) -> Connection:
    """One connection of its own; the caller closes it, best by ``async with``."""
    return await AsyncConnection.connect(dsn, autocommit=autocommit)


async def wait_for_notices(dsn: str, channels: tuple[str, ...], quiet_s: float) -> AsyncGenerator[Connection]:
    """Once at the start, then after every notice on ``channels`` and after ``quiet_s`` seconds without any.

    Gives the connection that waits, which commits by itself, for a short look; while nothing comes it costs nothing.
    Ends only with the connection's error (DatabaseFailed, OSError): the caller waits a little and begins again.
    """
    async with await connect(dsn, autocommit=True) as connection:
        for channel in channels:
            await connection.execute(sql.SQL("LISTEN {}").format(sql.Identifier(channel)))
        while True:
            yield connection
            await next_notice(connection, quiet_s)


async def next_notice(connection: Connection, quiet_s: float) -> None:
    """Return at the next notice (at once when one came since the last), and after ``quiet_s`` seconds without any."""
    if not await _taken(connection, 0.0) and await _readable(connection.fileno(), quiet_s):
        await _taken(connection, _TAKE_S)


async def _taken(connection: Connection, within_s: float) -> bool:
    """Whether there was a notice to take; raises the connection's error when it has ended."""
    return any([True async for _ in connection.notifies(timeout=within_s, stop_after=1)])


async def _readable(socket: int, within_s: float) -> bool:
    """Whether bytes came, or the end, within so many seconds; the driver itself would look ten times a second."""
    loop = asyncio.get_running_loop()
    arrived: asyncio.Future[None] = loop.create_future()
    loop.add_reader(socket, lambda: arrived.done() or arrived.set_result(None))
    try:
        async with asyncio.timeout(within_s):
            await arrived
    except TimeoutError:
        return False
    finally:
        loop.remove_reader(socket)
    return True
