"""What a node remembers of messages holds for all its gateways, through a crash of the database and its absence."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from psycopg import AsyncConnection

from lienthong.access.seen import MaybeReplayed, Replayed, SeenMessages, SeenUnknown
from lienthong.storage.provision import DatabaseDsns

pytestmark = pytest.mark.integration


@asynccontextmanager
async def gateways(database: DatabaseDsns, count: int) -> AsyncIterator[list[SeenMessages]]:
    made = [SeenMessages(database.app) for _ in range(count)]
    for gateway in made:
        await gateway.start()
    yield made
    for gateway in made:
        await gateway.stop()


async def forget_as_a_crash_does(database: DatabaseDsns) -> None:
    async with await AsyncConnection.connect(database.owner) as db:
        await db.execute("TRUNCATE nonce")


async def sweep(database: DatabaseDsns, now: int) -> None:
    sweeper = SeenMessages(database.app)
    await sweeper.sweep(now)
    await sweeper.stop()


async def test_after_a_crash_every_gateway_refuses_older_messages_and_not_only_the_first(database: DatabaseDsns):
    now = int(time.time())
    await forget_as_a_crash_does(database)
    async with gateways(database, 2) as both:
        for number, gateway in enumerate(both):
            with pytest.raises(MaybeReplayed) as refused:
                await gateway.take("key", f"nonce-{number}", created=now, expires=now + 60)
            assert (refused.value.status, refused.value.side) == (503, "node")
            await gateway.take("key", f"later-{number}", created=now + 60, expires=now + 120)


async def test_who_sweeps_first_after_a_crash_does_not_hide_it_from_the_gateways(database: DatabaseDsns):
    now = int(time.time())
    await forget_as_a_crash_does(database)
    await sweep(database, now - 30)

    async with gateways(database, 1) as (gateway,):
        with pytest.raises(MaybeReplayed):
            await gateway.take("key", "nonce", created=now, expires=now + 60)


async def test_a_crash_long_ago_is_forgotten(database: DatabaseDsns):
    now = int(time.time())
    await forget_as_a_crash_does(database)
    await sweep(database, now)
    await sweep(database, now + 3_600)

    async with gateways(database, 1) as (gateway,):
        await gateway.take("key", "nonce", created=now, expires=now + 60)


async def test_a_message_that_waits_when_the_gateway_ends_is_refused(database: DatabaseDsns):
    async with gateways(database, 1) as (gateway,):
        waiting = asyncio.create_task(gateway.take("key", "nonce", created=0, expires=1))
        await asyncio.sleep(0)
        await gateway.stop()
        with pytest.raises(SeenUnknown):
            await waiting
        with pytest.raises(SeenUnknown) as refused:
            await gateway.take("key", "another", created=0, expires=1)

    assert refused.value.kind == "replay-check-down"
    assert refused.value.facts["retry_after_s"] == 5


async def test_a_crowd_of_messages_is_each_taken_once_by_one_gateway_or_the_other(database: DatabaseDsns):
    now = int(time.time())
    async with gateways(database, 2) as both:
        waves: list[bool | BaseException] = []
        for wave in range(3):
            asked = [
                gateway.take("crowd", f"{wave}-{number}", created=now + 60, expires=now + 120)
                for number in range(40)
                for gateway in both
            ]
            told = await asyncio.gather(*asked, return_exceptions=True)
            waves += [True if answer is None else answer for answer in told]

    assert waves.count(True) == 3 * 40
    assert sum(isinstance(answer, Replayed) for answer in waves) == 3 * 40
