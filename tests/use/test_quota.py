"""A quota holds for all gateways of a node together, tells what is left, and loses nothing to idle gateways."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from lienthong.access.gate import Gate, Quota, QuotaUsedUp
from lienthong.access.models import Use
from lienthong.agreements.policy import Compiled, Request
from lienthong.catalog.models import Service
from lienthong.exchange.quota import LOOK_AGAIN_S, Leases, QuotaUnknown, day_of, seconds_left
from lienthong.node.tablegate import TableGate
from lienthong.storage.pool import open_pool
from lienthong.tables.models import Profile
from tests.agreements.build import compiled
from tests.use.conftest import the_agreement
from tests.use.nodes import COUNTER, POLICE, PURPOSE, TestNode
from tests.use.test_use import CITIZEN, a_wish

pytestmark = pytest.mark.integration

DATASET = "VN/GOV/G01/dancu/ds/citizen"


class Gateway:
    """One gateway's counting, over the node's database."""

    def __init__(self, node: TestNode, quota: int, clock=None) -> None:
        agreement = compiled(target=CITIZEN, purposes=(PURPOSE,), quota=quota)
        known = Quota()
        self.gate = Gate(lambda *_: [agreement], node.local.directory.snapshot, known)
        self.leases = Leases(node.local.pool, known, *([clock] if clock else []))

    async def use(self, side="provider", at: datetime | None = None) -> bool:
        use = Use("call", "x", COUNTER, POLICE, CITIZEN, PURPOSE, at or datetime.now(UTC))
        try:
            await self.leases.admit(self.gate, side, use)
        except QuotaUsedUp:
            return False
        return True


@pytest.mark.parametrize("quota", [1, 7, 120])
async def test_two_gateways_together_let_through_exactly_the_quota(two_nodes, quota):
    first, second = Gateway(two_nodes[0], quota), Gateway(two_nodes[0], quota)

    let = await asyncio.gather(*(gateway.use() for gateway in (first, second) for _ in range(quota + 3)))

    # A refusal is asked about again after a moment: what the other holds may have come back by then.
    for gateway in (first, second):
        await gateway.leases.tidy(everything=True)
    more = [await Gateway(two_nodes[0], quota).use() for _ in range(3 + quota - sum(let))]
    assert sum(let) + sum(more) == quota
    assert more[-3:] == [False] * 3


async def test_what_an_idle_gateway_holds_goes_to_the_one_that_needs_it(two_nodes):
    now = [0.0]
    idle, busy = [Gateway(two_nodes[0], 500, lambda: now[0]) for _ in range(2)]
    assert await idle.use()
    assert [await busy.use() for _ in range(490)] == [True] * 490
    assert not await busy.use()

    now[0] += 10
    await idle.leases.tidy()

    assert [await busy.use() for _ in range(10)] == [True] * 9 + [False]


async def test_each_side_and_each_day_has_its_own_count(two_nodes):
    now = [0.0]
    gateway = Gateway(two_nodes[0], 2, lambda: now[0])
    noon = datetime(2026, 7, 1, 5, tzinfo=UTC)

    for at in (noon, noon + timedelta(days=1)):
        for side in ("consumer", "provider"):
            assert [await gateway.use(side, at) for _ in range(3)] == [True, True, False]
            now[0] += LOOK_AGAIN_S


async def test_days_are_vietnams(two_nodes):
    late, later = datetime(2026, 7, 1, 16, 59, 50, tzinfo=UTC), datetime(2026, 7, 1, 17, 0, 1, tzinfo=UTC)

    assert (day_of(late).day, day_of(later).day) == (1, 2)
    assert seconds_left(late) == 10


async def test_a_limited_use_tells_what_is_left_and_a_refused_one_when_to_come_again(two_nodes):
    consumer, provider = two_nodes
    provider.agreements[:] = [the_agreement(quota=2)]
    leases = Leases(provider.local.pool, provider.parts.gate.quota)
    provider.provider._parts = replace(provider.parts, leases=leases)

    first, second, third = [await consumer.consumer.use(a_wish()) for _ in range(3)]

    assert [used.answer.status for used in (first, second, third)] == [200, 200, 429]
    assert first.answer.header(b"ratelimit-policy") == b'"day";q=2;w=86400'
    assert first.answer.header(b"ratelimit").startswith(b'"day";r=1;t=')
    assert second.answer.header(b"ratelimit").startswith(b'"day";r=0;t=')
    assert 0 < int(third.answer.header(b"retry-after")) <= 86_400
    assert json.loads(third.answer.body)["type"] == "urn:lienthong:problem:quota-used-up"
    assert [leaf["reason"] for leaf in await provider.leaves()] == [None, None, "quota-used-up"]


async def test_a_quota_of_our_own_copy_is_refused_before_anything_is_sent(two_nodes):
    consumer, provider = two_nodes
    consumer.agreements[:] = [the_agreement(quota=1)]
    leases = Leases(consumer.local.pool, consumer.parts.gate.quota)
    consumer.consumer._parts = replace(consumer.parts, leases=leases)

    assert (await consumer.consumer.use(a_wish())).answer.status == 200
    with pytest.raises(QuotaUsedUp) as refused:
        await consumer.consumer.use(a_wish())

    assert refused.value.record is not None
    assert len(await provider.leaves()) == 1


async def test_where_uses_can_not_be_counted_none_is_let_through(two_nodes):
    gateway = Gateway(two_nodes[0], 5)
    pool = await open_pool(two_nodes[0].local.dsns.app, max_size=1)
    gateway.leases = Leases(pool, gateway.gate.quota)
    with psycopg.connect(two_nodes[0].local.dsns.owner, autocommit=True) as owner:
        owner.execute("ALTER TABLE quota_day RENAME TO elsewhere")
        with pytest.raises(QuotaUnknown) as refused:
            await gateway.use()
        owner.execute("ALTER TABLE elsewhere RENAME TO quota_day")

    assert (refused.value.kind, refused.value.status) == ("quota-unknown", 503)
    assert await gateway.use()
    await pool.close()


@dataclass
class Agreed:
    """What the gate of shared tables looks up: one agreement and one table."""

    agreement: Compiled
    table: Service

    @property
    def index(self) -> Agreed:
        return self

    def get(self, name: str) -> Compiled | None:
        return self.agreement if name == self.agreement.id else None

    def services(self) -> list[Service]:
        return [self.table]


async def test_readings_of_a_table_count_against_the_quota_and_one_that_was_opened_is_read_to_its_end(two_nodes):
    _, provider = two_nodes
    agreed = Agreed(the_agreement(quota=2, ways=("call", "table")), provider.services[CITIZEN])
    profile = Profile("p1", agreed.agreement.id, COUNTER, PURPOSE, datetime(2099, 1, 1, tzinfo=UTC))
    called = agreed.agreement.decide(Request(COUNTER, CITIZEN, "call", PURPOSE, datetime.now(UTC), dataset=DATASET))
    assert await Leases(provider.local.pool, Quota()).take("provider", called, datetime.now(UTC))

    async def opened(opens: bool) -> bool:
        leases = Leases(provider.local.pool, Quota())
        gate = TableGate("nut-g01", POLICE, agreed, provider.parts.writer, leases)
        try:
            await gate.admit(profile, agreed.table, opens=opens)
        except QuotaUsedUp:
            return False
        return True

    assert [await opened(True), await opened(True)] == [True, False]
    assert await opened(False)
    assert [leaf["reason"] for leaf in await provider.leaves()] == ["quota-used-up"]
