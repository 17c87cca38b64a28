"""While a node's log is in recovery its uses are refused with 503 and a time to come back; nothing leaves it."""

from __future__ import annotations

import asyncio

import pytest

from lienthong.access import queries
from lienthong.access.recovery import Contradiction, RecoveryWatch, enter_recovery
from lienthong.errors import Problem
from lienthong.exchange.consume import Used, Wish
from lienthong.exchange.provide import retry_after
from tests.use.conftest import node_sandbox, two_nodes  # noqa: F401 - fixtures
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, PURPOSE, TestNode


async def use(consumer: TestNode) -> Used:
    wish = Wish(consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY,
                purpose=PURPOSE)  # fmt: skip
    return await consumer.consumer.use(wish)


@pytest.mark.parametrize("side", ["consumer", "provider"])
async def test_a_use_of_a_node_in_recovery_is_told_to_come_back_and_works_afterwards(two_nodes, side: str):  # noqa: F811
    consumer, provider = two_nodes
    node = consumer if side == "consumer" else provider
    watch = RecoveryWatch(node.local.dsns.app)
    await watch.start()
    node.parts.writer._refuse = watch.refuse  # as the gateway makes its writer
    try:
        async with node.local.pool.connection() as db:
            await enter_recovery(db, Contradiction("shortened", "nut-chung", 9, 3))
        async with asyncio.timeout(5):
            await watch.changed.wait()
        before = await node.leaves()

        with pytest.raises(Problem) as refused:
            await use(consumer)

        told = refused.value.as_dict()
        assert told["status"] == 503, told
        assert told["type"] == "urn:lienthong:problem:recovery"
        if side == "consumer":
            assert retry_after(refused.value) == [(b"retry-after", b"300")]
        assert await node.leaves() == before

        watch.changed.clear()
        async with node.local.pool.connection() as db:
            await queries.clear_recovery(db)
        async with asyncio.timeout(5):
            await watch.changed.wait()
        await use(consumer)
    finally:
        await watch.stop()
