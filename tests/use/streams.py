"""A table of one node that another one follows, for the tests of events."""

from __future__ import annotations

import itertools
import json
from collections.abc import AsyncGenerator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg

from lienthong.agreements.policy import Compiled
from lienthong.catalog.models import Service
from lienthong.events.feed import Comparer, Feeds
from lienthong.events.follow import NOTICE, Follower
from lienthong.events.models import Subscription
from lienthong.exchange.parts import SubqueryAnswer
from lienthong.node.eventdesk import EventOffice
from lienthong.storage.server import PostgresServer
from lienthong.tables.sandbox import Sandbox
from lienthong.trust.keys import generate_es256
from tests.use.conftest import PEOPLE, the_agreement, the_service
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

CITIZEN = "VN/GOV/G01/dancu/citizen"
BINH, HAI, PHUONG = "001099012345", "031085000777", "079099054321"
EVENTS = ("call", "event")


@dataclass
class Stream:
    """A provider's table, and another node that follows it."""

    consumer: TestNode
    provider: TestNode
    service: Service
    follower: Follower
    comparer: Comparer
    bend: list[Callable[[dict], None]] = field(default_factory=list)
    """What a dishonest provider does to its answers before it signs them."""

    def agree(self, *agreements: Compiled) -> None:
        for node in (self.consumer, self.provider):
            node.agreements[:] = agreements

    def change(self, *statements: str) -> None:
        with psycopg.connect(self.provider.local.dsns.owner, autocommit=True) as source:
            for statement in statements:
                source.execute(statement)

    async def compare(self) -> int:
        return await self.comparer.compare_all(datetime.now(UTC))

    async def subscribe(self) -> Subscription:
        return await self.follower.subscribe(COUNTER, CITIZEN, PURPOSE)

    async def followed(self) -> Subscription:
        """Subscribed, and told of the rows that there are."""
        subscription = await self.subscribe()
        await self.compare()
        await self.follower.follow_all()
        return subscription

    async def arrived(self, subscription: Subscription, after: int = 0) -> list[dict]:
        events, _ = await self.follower.read(COUNTER, subscription.id, after, 500)
        return events

    async def told(self, subscription: Subscription) -> list[tuple[str, str, dict]]:
        """Kind, key and changes of everything that arrived."""
        return [
            (e["type"].split(".")[3], e["data"]["key"]["personal_number"], e["data"].get("changed", {}))
            for e in await self.arrived(subscription)
        ]

    async def state(self) -> tuple[str, str | None]:
        [known] = await self.follower.listed(COUNTER)
        return known.state, known.reason


@asynccontextmanager
async def followed_table(pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path) -> AsyncGenerator[Stream]:
    """Two nodes, the second with a table that the first may follow."""
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        consumer = await start_node(locals_[0])
        found: list[TestNode] = []
        bend: list[Callable[[dict], None]] = []
        feeds = Feeds(locals_[1].pool, locals_[1].seal)

        def office() -> EventOffice:
            return EventOffice(feeds, found[0].parts.gate, found[0].parts.service)

        async def answer(service, decision, asked) -> SubqueryAnswer:
            told = await office().answer(service, decision, asked)
            body = json.loads(told.arrow)
            for change in bend:
                change(body)
            return replace(told, arrow=json.dumps(body).encode())

        async def head(name, incoming):
            return await office().head(name, incoming)

        provider = await start_node(locals_[1], answer_events=answer, notices={NOTICE: head})
        found.append(provider)
        with psycopg.connect(provider.local.dsns.owner, autocommit=True) as source:
            source.execute(PEOPLE)
        async with provider.local.pool.connection() as db:
            service = await the_service(db, provider.local.dsns.owner)
        provider.services[service.id] = service
        ticks = itertools.count()

        async def services():
            return provider.services

        async def mark(service, now) -> str:
            return str(next(ticks))  # a table that can not tell whether it changed

        comparer = Comparer(
            locals_[1].pool, locals_[1].seal, Sandbox(node_sandbox), tmp_path / "events", services, mark,
            b"secret",
        )  # fmt: skip
        follower = Follower(locals_[0].pool, locals_[0].seal, consumer.parts.link, consumer.consumer)
        opened = Stream(consumer, provider, service, follower, comparer, bend)
        opened.agree(the_agreement(ways=EVENTS))
        yield opened
        for node in (consumer, provider):
            await node.stop()
