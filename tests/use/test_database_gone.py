"""A node whose database goes away gives nothing: callers hear 503, what was acknowledged stays, and it comes back."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from lienthong.errors import Problem
from lienthong.exchange.consume import Used, Wish
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from lienthong.verify import verify_receipt
from tests.conftest import start_engine
from tests.use.conftest import PEOPLE, the_agreement, the_service
from tests.use.databases import databases
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = [pytest.mark.integration, pytest.mark.faults]

WAITING = 8
GONE = {"no-record", "replay-check-down", "maybe-replayed"}
"""What a caller may hear while a database is away, and until what it had seen can be told from what it lost."""


@dataclass
class Pair:
    """Two nodes, each on a database server of its own."""

    consumer: TestNode
    provider: TestNode
    servers: dict[str, PostgresServer]

    def node(self, name: str) -> TestNode:
        return self.provider if name == "provider" else self.consumer

    async def use(self) -> Used:
        return await self.consumer.consumer.use(
            Wish(
                consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY,
                purpose=PURPOSE,
            )
        )  # fmt: skip

    async def use_when_it_can(self) -> tuple[Used, list[str]]:
        """The first use that works, asked for as a patient caller would, and what was said before."""
        heard: list[str] = []
        while True:
            try:
                return await self.use(), heard
            except Problem as problem:
                heard.append(kind_of(problem))
                await asyncio.sleep(0.2)

    async def check_logged(self, load: Load) -> None:
        """Every record that anybody was told of is in its log."""
        for name, told in (("consumer", load.records), ("provider", load.peer_records)):
            with psycopg.connect(self.node(name).local.dsns.app) as db:
                kept = {row[0] for row in db.execute("SELECT encode(hash, 'hex') FROM record").fetchall()}
            assert told
            assert told <= kept, f"{len(told - kept)} of the {name}'s records are lost"


@dataclass
class Load:
    """Callers who go on asking, whatever they hear."""

    records: set[str] = field(default_factory=set[str])
    peer_records: set[str] = field(default_factory=set[str])
    heard: Counter[str] = field(default_factory=Counter[str])
    statuses: set[object] = field(default_factory=set[object])
    answers: int = 0
    leaked: int = 0
    _changed: asyncio.Event = field(default_factory=asyncio.Event)

    async def caller(self, pair: Pair) -> None:
        while True:
            try:
                used = await pair.use()
            except Problem as problem:
                self.heard[kind_of(problem)] += 1
                self.statuses.add(problem.as_dict()["status"])
                self.leaked += "Bình" in str(problem.as_dict())
            else:
                assert used.answer.status == 200
                self.answers += 1
                self.records.add(used.record)
                self.peer_records.add(used.peer_record)
            self._changed.set()
            await asyncio.sleep(0)

    async def until(self, true: Callable[[], bool]) -> None:
        while not true():
            self._changed.clear()
            await self._changed.wait()


def kind_of(problem: Problem) -> str:
    return str(problem.as_dict()["type"]).removeprefix("urn:lienthong:problem:")


@pytest.fixture
async def pair(pg_engine: str, pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Pair]:
    servers = {name: start_engine(pg_engine, tmp_path / name) for name in ("consumer", "provider")}
    try:
        with (
            databases(servers["consumer"], 1) as (ours,),
            databases(servers["provider"], 1) as (theirs,),
            databases(pg_server, 1) as (table,),  # the published table lies elsewhere and stays
        ):
            locals_ = await two_locals((ours, theirs), tmp_path)
            publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
            consumer, provider = [await start_node(local) for local in locals_]
            with psycopg.connect(table.owner, autocommit=True) as source:
                source.execute(PEOPLE)
            async with provider.local.pool.connection() as db:
                service = await the_service(db, table.owner)
            provider.services[service.id] = service
            for node in (consumer, provider):
                node.agreements.append(the_agreement())
            yield Pair(consumer, provider, servers)
            for node in (consumer, provider):
                await node.stop()
    finally:
        for server in servers.values():
            server.destroy()


async def lose_under_load(pair: Pair, name: str, lose: Callable[[PostgresServer], None]) -> Load:
    """Let callers ask; take the database of ``name`` away, wait until all were refused, bring it back."""
    load, server = Load(), pair.servers[name]
    callers = [asyncio.create_task(load.caller(pair)) for _ in range(WAITING)]
    try:
        await load.until(lambda: load.answers >= 3 * WAITING)
        await asyncio.to_thread(lose, server)
        answered = load.answers
        await load.until(lambda: load.heard.total() >= 3 * WAITING)
        assert load.answers <= answered + WAITING  # those whose record was durable when it went
    finally:
        for caller in callers:
            caller.cancel()
        ended = await asyncio.gather(*callers, return_exceptions=True)
    assert all(isinstance(one, asyncio.CancelledError) for one in ended), ended
    await asyncio.to_thread(server.start)
    return load


@pytest.mark.parametrize("name", ["provider", "consumer"])
async def test_nothing_is_given_without_the_database_and_the_next_use_works(pair: Pair, name: str) -> None:
    load = await lose_under_load(pair, name, PostgresServer.stop)

    assert set(load.heard) <= GONE
    assert load.statuses == {503}
    assert load.leaked == 0
    used = await pair.use()
    assert used.answer.status == 200
    await pair.check_logged(load)
    await pair.node(name).local.pool.check()  # its idle connections ended with the server
    report = verify_receipt(await pair.node(name).receipt(used.record if name == "consumer" else used.peer_record))
    assert report.ok, report


@pytest.mark.parametrize("name", ["provider", "consumer"])
async def test_a_killed_database_loses_no_record_that_was_acknowledged(pair: Pair, name: str) -> None:
    def kill(server: PostgresServer) -> None:
        assert server.pid
        os.kill(server.pid, signal.SIGKILL)

    load = await lose_under_load(pair, name, kill)

    assert set(load.heard) <= GONE
    assert load.statuses == {503}
    assert load.leaked == 0
    used, heard = await pair.use_when_it_can()
    assert used.answer.status == 200
    # The provider forgot what it had seen: for the length of the clock skew it can not take a message.
    assert set(heard) <= ({"maybe-replayed"} if name == "provider" else set())
    await pair.check_logged(load)
