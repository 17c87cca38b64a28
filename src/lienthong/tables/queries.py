"""SQL on the PostgreSQL tables that services publish in place, and on this node's own share tables.

Promises: sources are read in read-only sessions with a time limit, in UTC; nothing here writes to a source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import LiteralString, cast
from urllib.parse import quote, urlencode

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import tuple_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lienthong.storage.pool import open_pool
from lienthong.tables.sources import source_problem

CONNECT_S = 5.0
"""How long a call waits for a source's database to take a connection."""


def source_session(dsn: str, timeout_s: float) -> str:
    """``dsn`` as a URI with what every read of a source needs: read-only, in UTC, a statement time limit.

    A URI because ADBC takes no other form.
    """
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
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    parts["options"] = f"{parts.get('options', '')} {options}".strip()
    parts |= {"application_name": "lienthong", "connect_timeout": str(int(CONNECT_S))}
    return "postgresql:///?" + urlencode(parts, quote_via=quote, safe="")


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
            async with pool.connection(CONNECT_S) as source, source.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(cast("LiteralString", select), values)
                return await cursor.fetchall()
        except PoolTimeout as away:
            raise source_problem(None) from away
        except psycopg.Error as failed:
            raise source_problem(failed.sqlstate) from failed

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
