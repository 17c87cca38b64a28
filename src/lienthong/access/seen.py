"""Messages already seen: a nonce is taken once per key, whichever gateway of the node it reaches.

Nonces go by group commit into an UNLOGGED table.  A crash may empty it; therefore messages created before this
process's start plus the clock skew are refused after an unclean start.
"""

from __future__ import annotations

import asyncio
from typing import ClassVar

import asyncpg

from lienthong.errors import Problem, Side
from lienthong.i18n import T

INSERT = """
INSERT INTO nonce (key, nonce, expires)
SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT DO NOTHING
RETURNING key, nonce
"""
SWEEP = "DELETE FROM nonce WHERE expires < $1"


class Replayed(Problem):
    """A message with this key and nonce was taken before."""

    kind: ClassVar[str] = "replayed-message"
    status: ClassVar[int] = 401
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The message was used before")


class SeenUnknown(Problem):
    """The nonces can not be reached, so freshness can not be shown."""

    kind: ClassVar[str] = "replay-check-down"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node can not check for repeated messages")


class SeenMessages:
    """Takes nonces in batches: while one batch is at the database the next gathers."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: list[tuple[str, str, int, asyncio.Future[None]]] = []
        self._wake = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._connection: asyncpg.Connection | None = None

    async def start(self) -> None:
        """Begin taking nonces."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """End; calls still waiting fail."""
        if self._task:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._connection:
            await self._connection.close()

    async def take(self, key: str, nonce: str, expires: int) -> None:
        """Take ``nonce`` of ``key`` until ``expires`` (Unix seconds); raises Replayed or SeenUnknown."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((key, nonce, expires, future))
        self._wake.set()
        await future

    async def sweep(self, now: int) -> None:
        """Forget nonces that expired before ``now``."""
        connection = await self._connected()
        await connection.execute(SWEEP, now)

    async def _run(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            if batch:
                await self._take_batch(batch)

    async def _take_batch(self, batch: list[tuple[str, str, int, asyncio.Future[None]]]) -> None:
        try:
            connection = await self._connected()
            rows = await connection.fetch(INSERT, [b[0] for b in batch], [b[1] for b in batch], [b[2] for b in batch])
        except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._connection = None
            for *_, future in batch:
                if not future.done():
                    future.set_exception(
                        SeenUnknown(
                            T("The database did not answer, so the message was not taken."),
                            mend=T("Send it again in a moment; the operator finds the cause with `lienthong doctor`."),
                        )
                    )
            return
        fresh = {(row[0], row[1]) for row in rows}
        for key, nonce, _, future in batch:
            if future.done():
                continue
            # Of two equal nonces in one batch only the first is fresh.
            if (key, nonce) in fresh:
                fresh.discard((key, nonce))
                future.set_result(None)
            else:
                future.set_exception(
                    Replayed(
                        T("A message with this nonce has been taken before."),
                        mend=T("Sign every message anew; never send the same one twice."),
                    )
                )

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is None or self._connection.is_closed():
            self._connection = await asyncpg.connect(self._dsn)
        return self._connection
