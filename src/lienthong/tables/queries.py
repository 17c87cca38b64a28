"""SQL on the PostgreSQL tables that services publish in place, and on this node's own share tables.

Promises: sources are read in read-only sessions with a time limit, in UTC; nothing here writes to a source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import LiteralString, cast

import psycopg
from psycopg import AsyncConnection
from psycopg import errors as postgres
from psycopg.conninfo import make_conninfo
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.storage.pool import open_pool


class SourceUnavailable(Problem):
    """The table's own database does not answer or refuses this node's account."""

    kind = "source-unavailable"
    status = 503
    side = "provider"
    title = T("The table's database is not available")


class SourceChanged(Problem):
    """The table no longer has the columns or types that were published, or its account lost a right."""

    kind = "source-changed"
    status = 502
    side = "provider"
    title = T("The table is no longer as published")


class SourceTooSlow(Problem):
    """The table's database did not answer in the time this service allows."""

    kind = "source-timeout"
    status = 504
    side = "provider"
    title = T("The table's database did not answer in time")


def source_session(dsn: str, timeout_s: float) -> str:
    """``dsn`` with the session settings every read of a source needs: read-only, UTC, a statement time limit."""
    settings = {
        "default_transaction_read_only": "on",
        "standard_conforming_strings": "on",
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        "IntervalStyle": "iso_8601",
        "extra_float_digits": "1",
        "statement_timeout": str(int(timeout_s * 1000)),
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    return make_conninfo(dsn, options=options, application_name="lienthong", connect_timeout=5)


class Sources:
    """One small pool of read-only connections for each database that holds published tables.

    Belongs to one event loop; ``close`` it there.
    """

    def __init__(self, *, max_size: int = 4) -> None:
        self._max_size = max_size
        self._pools: dict[str, AsyncConnectionPool[AsyncConnection]] = {}
        self._opening = asyncio.Lock()

    async def rows(
        self, dsn: str, timeout_s: float, select: str, values: Mapping[str, str | int | None]
    ) -> list[tuple[object, ...]]:
        """Rows of a SELECT written by ``lienthong.tables.sql``; ``values`` are bound, never pasted.

        Raises SourceUnavailable, SourceChanged, SourceTooSlow.
        """
        try:
            pool = await self._pool(source_session(dsn, timeout_s))
            async with pool.connection() as source, source.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(cast("LiteralString", select), values)
                return await cursor.fetchall()
        except (psycopg.Error, PoolTimeout) as failed:
            raise source_problem(failed) from failed

    async def close(self) -> None:
        """Close every pool."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()

    async def _pool(self, session: str) -> AsyncConnectionPool[AsyncConnection]:
        known = self._pools.get(session)
        if known is not None:
            return known
        async with self._opening:
            if session not in self._pools:
                self._pools[session] = await open_pool(session, min_size=0, max_size=self._max_size)
            return self._pools[session]


def source_problem(failed: Exception) -> Problem:
    """The defined problem behind a failed read of a source."""
    if isinstance(failed, postgres.QueryCanceled):
        return SourceTooSlow(
            T("The table's database did not answer within the service's time limit."),
            mend=T("Narrow the question, or ask the provider for an index."),
        )
    if isinstance(failed, (psycopg.OperationalError, PoolTimeout)):
        return unavailable()
    return SourceChanged(
        T("The table no longer fits its published description."),
        mend=T("The provider has to publish the service again."),
    )


def unavailable() -> SourceUnavailable:
    """The one problem for a source that can not be reached; the cause goes to the provider's log, not to the caller."""
    return SourceUnavailable(
        T("The database that holds this table does not answer."),
        mend=T("Try again in a moment; if it lasts, tell the provider's contact."),
        retry_after_s=5,
    )
