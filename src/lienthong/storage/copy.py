"""Group commit: many callers, one writer, one COPY and one commit for all rows that wait.

``append`` returns when the row is on disk.  A batch fails as a whole and every caller of it hears so.
Measured: binary COPY of asyncpg in autocommit costs 180-700 us a batch, whatever the number of rows; a transaction
around it or a second writer only make it slower.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import ClassVar

import asyncpg

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.durability import QUESTION, refuse_unsafe

Row = tuple[bytes | None, ...]

SMALL_BATCH = 8
"""Below this many rows a batch goes at once: few callers, and waiting would be their whole delay."""
WINDOW_S = 0.001
"""How long the writer gathers at most when the last batch was not small; it goes as soon as as many rows wait again."""
LARGEST_BATCH = 5_000
WAITING_LIMIT = 20_000
"""Rows that may wait; beyond it a caller is refused at once, so memory stays bounded when the disk stalls."""
COMMIT_TIMEOUT_S = 10.0
CONNECT_TIMEOUT_S = 5
RETRY_AFTER_S = 5


class NoRecord(Problem):
    """The row is not known to be durable, so whatever waits for it must not happen."""

    kind: ClassVar[str] = "no-record"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The use could not be recorded")


class GroupCommit:
    """Appends rows to ``table``; safe to share among all tasks of one event loop.

    ``dsn`` is a URI whose role may INSERT into ``columns``.  The connection is made with the first row and made anew
    after an error; ``close`` writes what waits.
    """

    def __init__(self, dsn: str, table: str, columns: Sequence[str]) -> None:
        self._dsn = dsn
        self._table = table
        self._columns = tuple(columns)
        self._rows: list[Row] = []
        self._waiters: list[asyncio.Future[None]] = []
        self._wake = asyncio.Event()
        self._enough = 1  # rows that wake the writer
        self._writer: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None
        self._closing = False

    async def append(self, row: Row) -> None:
        """Write ``row`` (values in the order of ``columns``); returns when it is durable.

        Raises NoRecord: the row may or may not be in the table (a commit whose answer was lost), never rely on it.
        """
        if self._closing or len(self._rows) >= WAITING_LIMIT:
            raise _not_recorded("closing" if self._closing else "overloaded")
        if self._writer is None:
            self._writer = asyncio.create_task(self._write(), name=f"group commit to {self._table}")
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._rows.append(row)
        self._waiters.append(done)
        if len(self._rows) >= self._enough:
            self._wake.set()
        await done

    async def close(self) -> None:
        """Write the rows that wait, then end; later rows are refused."""
        self._closing = True
        self._wake.set()
        if self._writer is not None:
            await self._writer
        await self._disconnect()

    async def _write(self) -> None:
        """The one writer: gathers, commits, answers; ends when closing and nothing waits."""
        last = 0
        while True:
            await self._rows_wait(1)
            if last >= SMALL_BATCH:
                timer = asyncio.get_running_loop().call_later(WINDOW_S, self._wake.set)
                await self._rows_wait(last)
                timer.cancel()
            if self._closing and not self._rows:
                return
            rows, self._rows = self._rows[:LARGEST_BATCH], self._rows[LARGEST_BATCH:]
            waiters, self._waiters = self._waiters[:LARGEST_BATCH], self._waiters[LARGEST_BATCH:]
            last = len(rows)
            await self._commit(rows, waiters)

    async def _rows_wait(self, enough: int) -> None:
        """Return when ``enough`` rows wait, somebody else wakes the writer, or it is closing."""
        if len(self._rows) >= enough or self._closing:
            return
        self._enough = enough
        self._wake.clear()
        await self._wake.wait()

    async def _commit(self, rows: list[Row], waiters: list[asyncio.Future[None]]) -> None:
        try:
            connection = await self._connected()
            await connection.copy_records_to_table(
                self._table, records=rows, columns=self._columns, timeout=COMMIT_TIMEOUT_S
            )
        except Exception as cause:  # the task's root: whatever happened, these rows are not known to be durable
            self._abandon()
            for done in waiters:
                if not done.done():
                    done.set_exception(_not_recorded(type(cause).__name__))
            return
        except BaseException:
            self._abandon()
            for done in waiters:
                done.cancel()
            raise
        for done in waiters:
            if not done.done():  # its caller may have been cancelled; the row is written all the same
                done.set_result(None)

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        connection = await asyncpg.connect(self._dsn, timeout=CONNECT_TIMEOUT_S)
        try:
            refuse_unsafe(tuple(await connection.fetchrow(QUESTION)))
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        return connection

    def _abandon(self) -> None:
        """Drop the connection without a farewell: after an error its state is not known."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None

    async def _disconnect(self) -> None:
        if self._connection is not None:
            try:
                await self._connection.close(timeout=CONNECT_TIMEOUT_S)
            except (TimeoutError, OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                self._connection.terminate()
            self._connection = None


def _not_recorded(cause: str) -> NoRecord:
    return NoRecord(
        T("The record was not confirmed by the database ({cause}), so nothing was released."),
        mend=T("Try again in a moment; the operator finds the cause in the node's log."),
        cause=cause,
        retry_after_s=RETRY_AFTER_S,
    )
