"""Turns at a busy provider, fair among consumers: one that asks a thousand times does not keep the others waiting.

Promises: as long as there is room nobody waits; then the members take turns, each in its own order; nobody waits longer
than a few seconds, and a member's queue has an end.  Belongs to one event loop.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T

MOST_AT_ONCE: Final = 256
PATIENCE_S: Final = 5.0


class NodeBusy(Problem):
    """The node carries out as many uses as it may, and this one waited too long for its turn."""

    kind: ClassVar[str] = "node-busy"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The provider's node is busy")


class FairQueue:
    """So many uses at once; waiting ones by consumer, round and round."""

    def __init__(
        self, most: int = MOST_AT_ONCE, *, most_waiting: int | None = None, patience_s: float = PATIENCE_S
    ) -> None:
        """``most``: uses at once; ``most_waiting``: of one member, as many again unless told."""
        self._most = most
        self._most_waiting = most if most_waiting is None else most_waiting
        self._patience_s = patience_s
        self._running = 0
        self._waiting: dict[str, deque[asyncio.Future[None]]] = {}
        """Members with somebody waiting, the one whose turn is next first."""

    @asynccontextmanager
    async def turn(self, member: str) -> AsyncGenerator[None]:
        """Carry out one use of ``member``.  Raises NodeBusy."""
        if self._running < self._most:
            self._running += 1
        else:
            await self._wait(member)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, member: str) -> None:
        """Until a use that ends hands its place over."""
        queue = self._waiting.setdefault(member, deque())
        if len(queue) >= self._most_waiting:
            raise self._busy()
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(place)
        try:
            async with asyncio.timeout(self._patience_s):
                await place
        except BaseException as failure:
            if place.done() and not place.cancelled():
                self._pass_on()  # the place came at the last moment
            elif member in self._waiting and place in self._waiting[member]:
                self._forget(member, place)
            if isinstance(failure, TimeoutError):
                raise self._busy() from None
            raise

    def _pass_on(self) -> None:
        """Give the place that is free now to the next member's oldest, or to nobody."""
        while self._waiting:
            member, queue = next(iter(self._waiting.items()))
            del self._waiting[member]
            place = queue.popleft()
            if queue:
                self._waiting[member] = queue  # behind all others
            if not place.done():
                place.set_result(None)
                return
        self._running -= 1

    def _forget(self, member: str, place: asyncio.Future[None]) -> None:
        queue = self._waiting[member]
        queue.remove(place)
        if not queue:
            del self._waiting[member]

    def _busy(self) -> NodeBusy:
        return NodeBusy(
            T("The node carries out {most} uses already, and others of the same consumer wait."),
            mend=T("Try again after a second, with fewer calls at once."),
            most=self._most,
            retry_after_s=1,
        )
