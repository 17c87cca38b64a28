"""A busy node's turns: members one after the other, none for ever, no place lost."""

from __future__ import annotations

import asyncio

import pytest

from lienthong.exchange.fair import FairQueue, NodeBusy


class Uses:
    """Uses that hold their place until they are let go."""

    def __init__(self, queue: FairQueue) -> None:
        self.queue = queue
        self.order: list[str] = []
        self.tasks: list[asyncio.Task[None]] = []
        self.ends = asyncio.Semaphore(0)

    async def _use(self, member: str) -> None:
        async with self.queue.turn(member):
            self.order.append(member)
            await self.ends.acquire()

    async def begin(self, *members: str) -> None:
        for member in members:
            self.tasks.append(asyncio.create_task(self._use(member)))
            await asyncio.sleep(0)

    async def finish(self) -> list[str]:
        for _ in self.tasks:
            self.ends.release()
        await asyncio.gather(*self.tasks)
        return self.order


async def test_nobody_waits_while_there_is_room():
    uses = Uses(FairQueue(3))

    await uses.begin("a", "a", "b")

    assert uses.order == ["a", "a", "b"]
    await uses.finish()


async def test_a_member_that_asks_much_lets_the_others_through_between_its_own():
    uses = Uses(FairQueue(1, most_waiting=10, patience_s=30))

    await uses.begin("greedy", "greedy", "greedy", "greedy", "b", "c", "b")

    assert await uses.finish() == ["greedy", "greedy", "b", "c", "greedy", "b", "greedy"]


async def test_a_members_queue_has_an_end_and_another_members_is_its_own():
    uses = Uses(FairQueue(2, patience_s=30))
    await uses.begin("a", "a", "a", "a")

    with pytest.raises(NodeBusy) as refused:
        async with uses.queue.turn("a"):
            raise AssertionError

    assert (refused.value.kind, refused.value.status, refused.value.facts["retry_after_s"]) == ("node-busy", 503, 1)
    await uses.begin("b")
    assert sorted(await uses.finish()) == ["a", "a", "a", "a", "b"]


async def test_who_waited_too_long_is_told_and_takes_no_place_along():
    uses = Uses(FairQueue(1, patience_s=0.02))
    await uses.begin("a")

    with pytest.raises(NodeBusy):
        async with uses.queue.turn("b"):
            raise AssertionError

    await uses.finish()
    async with uses.queue.turn("b"):
        assert uses.queue._running == 1
    assert uses.queue._running == 0
    assert not uses.queue._waiting


async def test_places_survive_callers_that_give_up_at_any_moment():
    queue = FairQueue(2, patience_s=30)

    async def use(number: int) -> None:
        async with queue.turn(f"m{number % 3}"):
            await asyncio.sleep(0)

    for gone in range(12):
        tasks = [asyncio.create_task(use(number)) for number in range(12)]
        for _ in range(gone):
            await asyncio.sleep(0)
        for task in tasks[::2]:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)

    assert (queue._running, queue._waiting) == (0, {})
