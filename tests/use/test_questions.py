"""Questions between two real nodes: what the asker learns, and whom the provider's record is about."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from lienthong.catalog.models import Service
from lienthong.config import Client
from lienthong.directory.models import ServiceId
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.describe import Describer, Descriptions
from lienthong.exchange.listen import serve_app
from lienthong.node.questions import Question, Questions, Subqueries, answer_json
from lienthong.query.operations import Planner, Restrictor
from lienthong.storage.server import PostgresServer
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.trust.keys import generate_es256
from lienthong.trust.seal import commitment
from tests.use.conftest import PEOPLE, the_agreement, the_service
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration
SQL = "SELECT full_name FROM g01.dancu.citizen WHERE birth_date < DATE '1990-01-01'"
ASKS = {"X-Road-Client": COUNTER}


@dataclass
class Asking:
    """A node that may ask, over HTTP, and the node it asks."""

    door: httpx.AsyncClient
    consumer: TestNode
    provider: TestNode
    service: Service

    async def ask(self, sql: str = SQL, **headers: str) -> httpx.Response:
        return await self.door.post("/sql", json={"sql": sql, "purpose": PURPOSE}, headers=ASKS | headers)


@pytest.fixture
async def asking(pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path) -> AsyncIterator[Asking]:
    sandbox, sources = Sandbox(node_sandbox), Sources()
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        consumer = await start_node(locals_[0])
        listed: dict[str, Service] = {}
        found: list[TestNode] = []
        describer = Describer(lambda: list(listed.values()), lambda who, targets: found[0].find(who, targets))
        answers = Subqueries(sandbox, Restrictor(sandbox), sources, locals_[1].settings)
        provider = await start_node(locals_[1], answer_subquery=answers.answer, notices={"describe": describer.answer})
        found.append(provider)
        provider.services = listed
        with psycopg.connect(provider.local.dsns.owner, autocommit=True) as source:
            source.execute(PEOPLE)
        async with provider.local.pool.connection() as db:
            service = await the_service(db, provider.local.dsns.owner)
        listed[service.id] = service
        for node in (consumer, provider):
            node.agreements.append(the_agreement(row_filter=()))
        descriptions = Descriptions(consumer.parts.link)
        questions = Questions(consumer.parts, consumer.consumer, sandbox, Planner(sandbox), descriptions)

        async def ask(system, sql, purpose, default) -> bytes:
            return answer_json(await questions.ask(Question(system, sql, purpose, default)))

        parts = replace(consumer.parts, settings=replace(consumer.parts.settings, clients=(Client(COUNTER),)))
        counter = Counter(parts, consumer.consumer, descriptions, ask, _nothing, _nothing, _nothing)
        listener = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}", timeout=30) as door:
            yield Asking(door, consumer, provider, service)
        await listener.stop(2.0)
        for node in (consumer, provider):
            await node.stop()
    await sources.close()


async def _nothing(*_):
    raise AssertionError("not asked for here")


async def test_the_providers_record_commits_to_those_whose_rows_met_the_condition(asking: Asking):
    answer = await asking.ask()

    assert answer.json()["rows"] == [["Trần Văn Hải"]]
    record = answer.json()["sources"][0]["peer_record"]
    leaf, salt = await opened(asking.provider, record)
    assert leaf["way"] == "query"
    assert leaf["subjects"] == [commitment(salt, "personal_number:031085000777").hex()]
    assert "031085000777" not in json.dumps(leaf)


async def test_statistics_of_a_least_group_are_about_nobody(asking: Asking):
    for node in (asking.consumer, asking.provider):
        node.agreements[:] = [the_agreement(row_filter=(), min_group=2)]

    answer = await asking.ask("SELECT province_code, count(*) AS n FROM g01.dancu.citizen GROUP BY 1")

    assert answer.json()["rows"] == [["31", 2]]
    leaf, _ = await opened(asking.provider, answer.json()["sources"][0]["peer_record"])
    assert (leaf["subjects"], leaf["reason"]) == ([], None)


async def test_a_query_about_more_persons_than_a_record_names_says_so(asking: Asking):
    with psycopg.connect(asking.provider.local.dsns.owner, autocommit=True) as source:
        source.execute(
            "INSERT INTO person SELECT lpad(n::text, 12, '0'), 'Người', '1980-01-01', null, null, '31' "
            "FROM generate_series(1, 1001) n"
        )

    answer = await asking.ask("SELECT count(*) AS n FROM g01.dancu.citizen")

    assert answer.json()["rows"] == [[1004]]
    leaf, _ = await opened(asking.provider, answer.json()["sources"][0]["peer_record"])
    assert (leaf["subjects"], leaf["reason"], leaf["outcome"]) == ([], "subjects-not-listed", "permitted")


async def test_a_table_published_after_its_system_was_described_is_found_at_once(asking: Asking, monkeypatch):
    monkeypatch.setattr("lienthong.node.questions.MISSED_S", 0.0)
    assert (await asking.ask()).status_code == 200
    newer = replace(asking.service, id=ServiceId("VN/GOV/G01/dancu/newer"))
    asking.provider.services[newer.id] = newer
    for node in (asking.consumer, asking.provider):
        node.agreements.append(the_agreement(agreement_id="urn:uuid:" + "0" * 8 + "-0000-4000-8000-" + "2" * 12,
                                             target="VN/GOV/G01/dancu/newer"))  # fmt: skip

    assert (await asking.ask("SELECT count(*) AS n FROM g01.dancu.newer")).json()["rows"] == [[2]]
    assert (await asking.ask("SELECT 1 AS n FROM g01.dancu.never")).json()["type"].endswith("unknown-table")


async def test_an_unknown_table_is_asked_about_again_at_most_every_two_seconds(asking: Asking):
    asked: list[str] = []
    honest = asking.provider.parts.notices["describe"]

    async def counted(name, incoming):
        asked.append(name)
        return await honest(name, incoming)

    asking.provider.parts.notices["describe"] = counted  # type: ignore[index]
    for _ in range(5):
        assert (await asking.ask("SELECT 1 AS n FROM g01.dancu.never")).status_code == 404

    assert len(asked) == 1


@pytest.mark.parametrize(
    ("accepted", "words"),
    [
        ("en-GB,vi;q=0.5", "There is no table"),
        ("vi", "Không có bảng"),
        ("fr", "Không có bảng"),
        ("en;q=0, vi", "Không có bảng"),
    ],
)
async def test_a_refusal_is_told_in_the_language_that_the_caller_reads(asking: Asking, accepted: str, words: str):
    answer = await asking.ask("SELECT 1 AS n FROM g01.dancu.never", **{"Accept-Language": accepted})

    assert words in answer.json()["detail"]


async def opened(node: TestNode, record: str) -> tuple[dict, bytes]:
    """A record's leaf and the salt of its commitments, as only the node's owner has it."""
    async with node.local.pool.connection() as db:
        cursor = await db.execute("SELECT leaf, detail FROM record WHERE hash = %s", (bytes.fromhex(record),))
        leaf, detail = await cursor.fetchone() or (b"", b"")
    kept = json.loads(node.local.seal.decrypt(bytes(detail), bytes.fromhex(record)))
    return json.loads(bytes(leaf)), bytes.fromhex(kept["salt"])
