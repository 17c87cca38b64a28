"""All bodies that a process holds together stay within a budget; who comes too late is told when to come again."""

from __future__ import annotations

import asyncio

import pytest

from lienthong.exchange.budget import FREE_BYTES, Budget, MemoryBudgetSpent
from tests.exchange.test_xroad_node import COUNTER, PATH, Country, country, one_answer, told  # noqa: F401 - a fixture

PIECE = 65_536


def test_small_bodies_are_held_without_counting_and_large_ones_to_the_byte() -> None:
    budget = Budget(100_000)
    with budget.share() as small, budget.share() as large:
        small.grow(FREE_BYTES)
        assert budget.held_bytes == 0
        large.grow(FREE_BYTES)
        large.grow(1)
        assert budget.held_bytes == FREE_BYTES + 1
        large.grow(2)
        assert budget.held_bytes == FREE_BYTES + 3
    assert budget.held_bytes == 0


def test_beyond_the_budget_a_body_is_refused_and_what_was_held_is_given_back() -> None:
    budget = Budget(100_000)
    with budget.share() as first:
        first.grow(90_000)
        with pytest.raises(MemoryBudgetSpent) as refused, budget.share() as second:
            second.grow(90_000)
        assert refused.value.kind == "memory-budget-spent"
        assert (refused.value.status, refused.value.facts["retry_after_s"]) == (503, 2)
        assert budget.held_bytes == 90_000
    with budget.share() as third:
        third.grow(100_000)


@pytest.mark.integration
async def test_a_body_beyond_the_budget_hears_503_while_one_that_is_held_is_served(country: Country) -> None:  # noqa: F811
    budget = country.consumer.parts.budget
    budget.most_bytes = 3 * PIECE
    head = f"POST {PATH} HTTP/1.1\r\nHost: node\r\nX-Road-Client: {COUNTER}\r\nContent-Length: {2 * PIECE}\r\n\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", country.client_listener.port)
    writer.write(head.encode() + bytes(2 * PIECE - 1))
    async with asyncio.timeout(60):
        while True:
            if budget.held_bytes == 2 * PIECE - 1:
                break
            await asyncio.sleep(0.01)

    refused = await country.send("POST", PATH, body=bytes(2 * PIECE))

    assert (refused.status, refused.one("retry-after")) == (503, "2")
    writer.write(b"x")
    answer = told(await one_answer(reader))
    writer.close()
    assert answer.status != 503
    assert budget.held_bytes == 0
