"""Messages already seen: a nonce is taken once per key, whichever gateway of the node it reaches.

Nonces go by group commit into an UNLOGGED table.  A crash of the database empties it, and with it a marker row; where
the marker is missing, messages created before that moment plus the clock skew are refused.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
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
MARKER = ("", "database-did-not-crash", 2**62)
FIND_MARKER = "SELECT EXISTS (SELECT FROM nonce WHERE key = $1 AND nonce = $2)"
LOST = ("", "database-crashed")
FIND_LOST = "SELECT expires FROM nonce WHERE key = $1 AND nonce = $2"
SKEW_S = 5
KEPT_S = 120
"""How long the moment of a crash is kept: longer than any message signed before it is fresh."""
TIMEOUT_S = 10
RETRY_AFTER_S = 5
SWEEP = "DELETE FROM nonce WHERE expires < $1"
GATHER_FROM = 4
"""From so many nonces in the last batch on, the next gathers for a moment; fewer callers never wait for it."""
GATHER_S = 0.001
"""A statement costs both processes about as much for sixteen nonces as for one."""


class Replayed(Problem):
    """A message with this key and nonce was taken before."""

    kind: ClassVar[str] = "replayed-message"
    status: ClassVar[int] = 401
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The message was used before")


class MaybeReplayed(Problem):
    """The message may have been taken before the database lost what it had seen."""

    kind: ClassVar[str] = "maybe-replayed"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node was restarted after the message was signed")


class SeenUnknown(Problem):
    """The nonces can not be reached, so freshness can not be shown."""

    kind: ClassVar[str] = "replay-check-down"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node can not check for repeated messages")


@dataclass(frozen=True, slots=True)
class Taking:
    """One nonce waiting to be taken."""

    key: str
    nonce: str
    created: int
    expires: int
    future: asyncio.Future[None]

    def refuse(self, problem: Problem) -> None:
        """Tell the waiting call that its message is not taken."""
        if not self.future.done():
            self.future.set_exception(problem)


class SeenMessages:
    """Takes nonces in batches: while one batch is at the database the next gathers."""

    def __init__(self, dsn: str) -> None:
        self._dsn = dsn
        self._waiting: list[Taking] = []
        self._fresh_after = 0
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
            self._task = None
        waiting, self._waiting = self._waiting, []
        _refuse_all(waiting)
        if self._connection:
            await self._connection.close()
            self._connection = None

    async def take(self, key: str, nonce: str, *, created: int, expires: int) -> None:
        """Take ``nonce`` of ``key``, signed at ``created`` and kept until ``expires`` (Unix seconds).

        Raises Replayed, MaybeReplayed or SeenUnknown.
        """
        if self._task is None or self._task.done():
            raise _unknown()
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(Taking(key, nonce, created, expires, future))
        self._wake.set()
        await future

    async def sweep(self, now: int) -> None:
        """Forget nonces that expired before ``now``."""
        connection = await self._connected()
        await connection.execute(SWEEP, now)

    async def _run(self) -> None:
        last = 0
        while True:
            await self._wake.wait()
            if len(self._waiting) < last and last >= GATHER_FROM:
                await asyncio.sleep(GATHER_S)
            self._wake.clear()
            batch, self._waiting = self._waiting, []
            last = len(batch)
            if batch:
                await self._take_batch(batch)

    async def _take_batch(self, batch: list[Taking]) -> None:
        try:
            connection = await self._connected()
            rows = await connection.fetch(
                INSERT, [t.key for t in batch], [t.nonce for t in batch], [t.expires for t in batch]
            )
        except BaseException as cause:  # the task's root: whatever happened, these messages are not known to be new
            self._abandon()
            _refuse_all(batch)
            if isinstance(cause, Exception):  # asyncpg's InternalClientError is of no family of its own
                return
            raise
        fresh = {(row[0], row[1]) for row in rows}
        for taking in batch:
            if taking.created < self._fresh_after:
                taking.refuse(
                    MaybeReplayed(
                        T("This node's database was restarted after the message was signed."),
                        mend=T("Sign the message anew and send it."),
                    )
                )
            # Of two equal nonces in one batch only the first is fresh.
            elif (taking.key, taking.nonce) in fresh:
                fresh.discard((taking.key, taking.nonce))
                if not taking.future.done():
                    taking.future.set_result(None)
            else:
                taking.refuse(
                    Replayed(
                        T("A message with this nonce has been taken before."),
                        mend=T("Sign every message anew; never send the same one twice."),
                    )
                )

    async def _connected(self) -> asyncpg.Connection:
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        self._connection = None
        connection = await asyncpg.connect(self._dsn, timeout=TIMEOUT_S, command_timeout=TIMEOUT_S)
        try:
            self._fresh_after = max(self._fresh_after, await self._lost_at(connection))
        except BaseException:
            connection.terminate()
            raise
        self._connection = connection
        return connection

    async def _lost_at(self, connection: asyncpg.Connection) -> int:
        """Messages signed before this moment may have been taken and forgotten; 0 when nothing was forgotten.

        Whoever first sees that the table was emptied writes the moment down for the node's other gateways.
        """
        if not await connection.fetchval(FIND_MARKER, MARKER[0], MARKER[1]):
            moment = int(time.time()) + SKEW_S
            columns = zip(MARKER, (*LOST, moment + KEPT_S), strict=True)
            await connection.fetch(INSERT, *(list(column) for column in columns))
        kept_until = await connection.fetchval(FIND_LOST, *LOST)
        return kept_until - KEPT_S if kept_until else 0

    def _abandon(self) -> None:
        """Drop the connection without a farewell: after an error its state is not known."""
        if self._connection is not None:
            self._connection.terminate()
            self._connection = None


def _refuse_all(batch: list[Taking]) -> None:
    for taking in batch:
        taking.refuse(_unknown())


def _unknown() -> SeenUnknown:
    return SeenUnknown(
        T("The database did not answer, so the message was not taken."),
        mend=T("Send it again in a moment; the operator finds the cause in the log of the node."),
        retry_after_s=RETRY_AFTER_S,
    )
