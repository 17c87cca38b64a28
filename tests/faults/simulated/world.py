"""A world without time of its own: one loop whose clock jumps to the next event, processes that die, one seed.

Promises: the same seed gives the same run; a killed process never gets past a port again, and no clean-up of it runs
while the world is judged, as after ``kill -9``.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

EPOCH = datetime(2026, 7, 1, 5, tzinfo=UTC).timestamp()


class Stalled(AssertionError):
    """Nothing is left that could ever happen, and somebody still waits."""


class Killed(BaseException):
    """Raised inside a process that was killed in the middle of something that can not wait."""


class SimulatedLoop(asyncio.BaseEventLoop):
    """An event loop without sockets: instead of waiting, its clock jumps."""

    def __init__(self) -> None:
        super().__init__()
        self._moment = 0.0
        self._selector = self
        self.set_exception_handler(lambda *_: None)  # what a killed process leaves behind is nobody's error

    def time(self) -> float:
        return self._moment

    def select(self, timeout: float | None) -> list[object]:
        if timeout is None:
            raise Stalled("nothing is left to happen")
        self._moment += timeout
        return []

    def _process_events(self, event_list: list[object]) -> None:
        """There are none."""


class World:
    """One run: its loop, its dice and its processes."""

    def __init__(self, seed: int) -> None:
        self.loop = SimulatedLoop()
        self.dice = random.Random(seed)

    def now(self) -> float:
        return EPOCH + self.loop.time() + (process.skew_s if (process := here.get(None)) else 0.0)

    async def never(self) -> None:
        await self.loop.create_future()

    async def some_time(self, most_s: float) -> None:
        await asyncio.sleep(self.dice.random() * most_s)

    def chance(self, probability: float) -> bool:
        return self.dice.random() < probability

    def run(self, main: Coroutine[Any, Any, None]) -> None:
        token = now_in.set(self)
        try:
            self.loop.run_until_complete(main)
        finally:
            now_in.reset(token)
            tasks = asyncio.all_tasks(self.loop)
            for task in tasks:
                task.cancel()
            if tasks:
                self.loop.run_until_complete(asyncio.wait(tasks, timeout=60.0))
            self.loop.close()


@dataclass(eq=False)
class Process:
    """A process of a node.  Everything it does to the world goes through ``port``."""

    world: World
    name: str
    skew_s: float = 0.0
    alive: bool = True
    dies_at_put: int | None = None
    """It is killed before or after this many more writes of files."""
    _ends: list[asyncio.Future[None]] = field(default_factory=list)

    async def end(self) -> None:
        """Return when it is killed."""
        if self.alive:
            self._ends.append(self.world.loop.create_future())
            await self._ends[-1]

    async def port(self) -> None:
        """Where a killed process stops for ever."""
        if not self.alive:
            await self.world.never()

    def spawn(self, work: Coroutine[Any, Any, Any]) -> asyncio.Task[Any]:
        """Run ``work`` as this process."""

        async def inside() -> Any:
            here.set(self)
            return await work

        return self.world.loop.create_task(inside())

    def kill(self) -> None:
        self.alive = False
        for told in self._ends:
            if not told.done():
                told.set_result(None)


here: ContextVar[Process] = ContextVar("here")
"""The process on whose behalf the code runs."""
now_in: ContextVar[World] = ContextVar("now_in")


class Clock:
    """Stands where the code says ``time``."""

    @staticmethod
    def time() -> float:
        return now_in.get().now()

    @staticmethod
    def monotonic() -> float:
        return now_in.get().loop.time()


class Moment(datetime):
    """Stands where the code says ``datetime``."""

    @classmethod
    def now(cls, tz: Any = None) -> datetime:  # type: ignore[override]
        return datetime.fromtimestamp(now_in.get().now(), tz)
