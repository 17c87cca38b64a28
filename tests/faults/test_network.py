"""Whatever the network does between two nodes: an answer is whole and proven or there is none, and both logs agree."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import BadAnswer, PeerClosed, PeerTimeout, PeerUnreachable
from lienthong.exchange.breaker import Breaker
from tests.faults.conftest import Apart
from tests.faults.proxy import Weather

pytestmark = [pytest.mark.integration, pytest.mark.faults]

CALLERS = 6


async def outcomes(apart: Apart) -> tuple[Counter[str], Counter[str]]:
    """Outcomes in the consumer's and the provider's log."""
    ours, theirs = await apart.consumer.leaves(), await apart.provider.leaves()
    return Counter(leaf["outcome"] for leaf in ours), Counter(leaf["outcome"] for leaf in theirs)


async def fresh_link(apart: Apart) -> None:
    """The next use makes its own connection, and nothing is held against the provider."""
    await apart.consumer.parts.link._client.close()
    apart.consumer.parts.link._breaker = Breaker()


async def check_pairs(apart: Apart) -> None:
    """Every use that the consumer holds as permitted names a record that the provider holds for the same message."""
    theirs = {leaf["exchange_id"]: leaf for leaf in await apart.provider.leaves()}
    for leaf in await apart.consumer.leaves():
        if leaf["outcome"] == "permitted":
            other = theirs[leaf["exchange_id"]]
            assert other["request_signature_digest"] == leaf["request_signature_digest"]
            assert other["body_digest"] == leaf["body_digest"]


@pytest.mark.parametrize(
    "weather", [Weather(latency_s=0.05), Weather(latency_s=0.002, drip_bytes=97)], ids=["latency", "slow drip"]
)
async def test_slow_lines_change_nothing_but_the_time(apart: Apart, weather: Weather) -> None:
    apart.proxy.there = apart.proxy.back = weather

    used = await asyncio.gather(*(apart.use(60.0) for _ in range(CALLERS)))

    assert {each.answer.status for each in used} == {200}
    assert await outcomes(apart) == (Counter(permitted=CALLERS), Counter(permitted=CALLERS))
    await check_pairs(apart)


@pytest.mark.parametrize("direction", ["there", "back"])
@pytest.mark.parametrize("ending", ["cut_after", "half_close_after"])
async def test_a_line_that_breaks_anywhere_gives_no_part_of_an_answer(
    apart: Apart, direction: str, ending: str
) -> None:
    await apart.use()  # a whole exchange says how many bytes there are to break at
    whole = apart.proxy.passed[direction]  # type: ignore[index]
    heard: Counter[str] = Counter()
    unrecorded = 0
    for part in range(1, 8):
        await fresh_link(apart)
        setattr(apart.proxy, direction, Weather(**{ending: whole * part // 8}))
        try:
            used = await apart.use(3.0)
        except Problem as problem:
            heard[problem.kind] += 1
            unrecorded += problem.record is None
        else:
            heard["whole"] += 1
            assert used.answer.status == 200
    apart.proxy.clear()
    await fresh_link(apart)

    assert heard.total() == 7
    assert unrecorded == 0
    broken = {BadAnswer.kind, PeerClosed.kind, PeerUnreachable.kind, PeerTimeout.kind, "peer-closed-after-handshake"}
    assert set(heard) - {"whole"} <= broken
    assert set(heard) & broken, "nothing was broken"
    assert (await apart.use()).answer.status == 200
    await check_pairs(apart)


async def test_a_black_hole_ends_with_the_callers_deadline_and_is_on_record(apart: Apart) -> None:
    await apart.use()
    apart.proxy.there = Weather(swallow=True)

    with pytest.raises(PeerTimeout) as refused:
        await apart.use(0.3)

    assert refused.value.record
    ours, theirs = await outcomes(apart)
    assert ours == Counter(permitted=1, failed=1)
    assert theirs == Counter(permitted=1)


async def test_an_answer_lost_on_its_way_leaves_the_providers_record_and_is_not_asked_twice(apart: Apart) -> None:
    await apart.use()
    apart.proxy.back = Weather(swallow=True)

    with pytest.raises(PeerTimeout):
        await apart.use(0.5)

    ours, theirs = await outcomes(apart)
    assert ours == Counter(permitted=1, failed=1)
    assert theirs == Counter(permitted=2)  # it did answer, and says so; once
