"""Open data needs no agreement: members' uses are on record, those of strangers are counted and name nobody."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import psycopg
import pyarrow.parquet as pq
import pytest

from lienthong.access.gate import NoAgreement, PurposeNotGranted
from lienthong.catalog.models import Field, OpenPersonal, Service
from lienthong.catalog.publish import PublishRequest
from lienthong.catalog.publish import publish as publish_service
from lienthong.directory.models import ServiceId
from lienthong.exchange.consume import Wish
from lienthong.node.opencounts import record_open_days
from lienthong.node.profiles import ProfileOffice, ask_profile
from lienthong.node.questions import Subqueries
from lienthong.node.web import PublicWeb
from lienthong.query.operations import Restrictor
from lienthong.storage.server import PostgresServer
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.trust.keys import generate_es256
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration
UNIT = "VN/GOV/G01/dancu/unit"
OPEN = f"/v1/open/{UNIT}"
UNITS = """
CREATE TABLE unit (code text PRIMARY KEY, name text NOT NULL, level text NOT NULL);
INSERT INTO unit VALUES ('31', 'Hải Phòng', 'province'), ('11', 'Hà, "Nội"', 'province'), ('00001', '=1+1', 'commune');
"""


@dataclass
class Register:
    """A member's node with an open table, another's node, and the first one's public listener."""

    consumer: TestNode
    provider: TestNode
    public: httpx.AsyncClient
    web: PublicWeb

    async def read(self, path: str, status: int = 200) -> httpx.Response:
        answer = await self.public.get(path)
        assert answer.status_code == status, answer.text
        return answer

    async def counted(self) -> dict[tuple[str, str], tuple[int, int]]:
        async with self.provider.local.pool.connection() as db:
            cursor = await db.execute("SELECT way, file, uses, bytes FROM open_use")
            return {(way, file): (uses, size) for way, file, uses, size in await cursor.fetchall()}


@pytest.fixture
async def register(
    pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[Register]:
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        monkeypatch.setattr("lienthong.node.web.sandbox_socket", lambda settings: node_sandbox)
        sandbox, sources = Sandbox(node_sandbox), Sources()
        answers = Subqueries(sandbox, Restrictor(sandbox), sources, locals_[1].settings)
        consumer = await start_node(locals_[0])
        provider = await start_node(locals_[1], answer_subquery=answers.answer)
        with psycopg.connect(provider.local.dsns.owner, autocommit=True) as source:
            source.execute(UNITS)
        async with provider.local.pool.connection() as db:
            for name, sharing in ((UNIT, "open"), (UNIT + "2", "shared")):
                service = await publish_service(db, a_request(provider, name, sharing))
                provider.services[name] = service
        for node in (consumer, provider):
            node.parts.gate._is_open = lambda name: name == UNIT
        web = PublicWeb(provider.local)
        await web._live.reload()
        transport = httpx.ASGITransport(web.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://public", timeout=30) as public:
            yield Register(consumer, provider, public, web)
        await asyncio.gather(web._sources.close(), web._commit.close(), web._pages.close(), sources.close())
        for node in (consumer, provider):
            await node.stop()


def a_request(provider: TestNode, name: str, sharing: str) -> PublishRequest:
    return PublishRequest(
        service=ServiceId(name), source=f"{provider.local.dsns.owner}#public.unit", title_vi="Đơn vị", sharing=sharing,
        lookup=("level",),
    )  # fmt: skip


def a_wish(**changes) -> Wish:
    body = json.dumps({"level": "province"}).encode()
    return replace(
        Wish(consumer=COUNTER, service=UNIT, way="call", target=f"/x1/{UNIT}".encode(), body=body), **changes
    )


async def test_a_members_use_needs_no_agreement_and_is_on_record_with_both_sides(register: Register):
    called = await register.consumer.consumer.use(a_wish())
    asked = await register.consumer.consumer.use(
        a_wish(way="query", target=b"/x1/query", body=b'{"sql": "SELECT count(*) AS n FROM unit"}', purpose=PURPOSE)
    )

    assert len(json.loads(called.answer.body)["rows"]) == 2
    assert asked.answer.status == 200
    for node in (register.consumer, register.provider):
        call, query = await node.leaves()
        assert (call["way"], query["way"]) == ("call", "query")
        assert call["agreement"] is query["agreement"] is None
        assert (call["ground"], call["outcome"], call["purpose"]) == ("open", "permitted", None)
        assert (query["ground"], query["purpose"]) == ("open", PURPOSE)


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"service": UNIT + "2", "target": f"/x1/{UNIT}2".encode()}, NoAgreement),
        ({"purpose": "031085000777"}, PurposeNotGranted),
    ],
)
async def test_what_is_not_open_still_needs_one_and_an_unknown_purpose_is_refused(register: Register, changes, problem):
    with pytest.raises(problem):
        await register.consumer.consumer.use(a_wish(**changes))

    assert "031085000777" not in json.dumps(await register.consumer.leaves())


async def test_anybody_reads_rows_files_and_answers_and_each_is_counted_once(register: Register, tmp_path: Path):
    listed = (await register.read("/v1/open")).json()["services"]
    rows = await register.read(f"{OPEN}/rows?level=province")
    [file] = (await register.read(f"{OPEN}/files")).json()["files"]
    parquet = await register.read(f"{OPEN}/files/{file['name']}")
    csv = await register.read(f"{OPEN}/table.csv")
    answer = await register.read(f"{OPEN}/query?sql=SELECT level, count(*) AS n FROM unit GROUP BY 1 ORDER BY 1")

    assert [service["id"] for service in listed] == [UNIT]
    assert {row["code"] for row in rows.json()["rows"]} == {"31", "11"}
    (tmp_path / "unit.parquet").write_bytes(parquet.content)
    assert pq.read_table(tmp_path / "unit.parquet").num_rows == file["rows"] == 3
    assert csv.text.splitlines()[0] == '"code","name","level"'
    assert '"Hà, ""Nội"""' in csv.text
    assert answer.json()["rows"] == [["commune", 1], ["province", 2]]
    assert await register.counted() == {
        ("call", "rows"): (1, len(rows.content)),
        ("table", file["name"]): (1, len(parquet.content)),
        ("table", "csv"): (1, len(csv.content)),
        ("query", "sql"): (1, len(answer.content)),
    }
    assert await register.provider.leaves() == []


@pytest.mark.parametrize("path", ["rows", "files", "table.csv", "query?sql=SELECT 1 FROM unit2"])
async def test_a_table_that_is_not_open_looks_to_strangers_like_one_that_does_not_exist(register: Register, path: str):
    hidden = await register.read(f"/v1/open/{UNIT}2/{path}", 404)
    absent = await register.read(f"/v1/open/{UNIT}9/{path}", 404)

    assert hidden.json()["type"].endswith("not-open")
    assert hidden.json()["type"] == absent.json()["type"]
    assert hidden.json()["detail"] == absent.json()["detail"]
    assert await register.counted() == {}


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT * FROM unit2", "unknown-table"),
        ("DROP TABLE unit", "not-one-select"),
        ("SELECT getenv('HOME') FROM unit", "function-not-allowed"),
        ("", "not-one-select"),
    ],
)
async def test_a_strangers_query_reaches_the_one_table_only_and_the_next_is_answered(register: Register, sql, kind):
    refused = await register.public.get(f"{OPEN}/query", params={"sql": sql})

    assert refused.json()["type"].removeprefix("urn:lienthong:problem:") in (kind, "query-not-readable")
    assert (await register.read(f"{OPEN}/query?sql=SELECT count(*) AS n FROM unit")).json()["rows"] == [[3]]


async def test_the_place_for_strangers_is_taken_once_and_told_when_it_is_taken(register: Register, monkeypatch):
    monkeypatch.setattr("lienthong.node.opendata.WAIT_S", 0.0)

    answers = await asyncio.gather(
        *(register.public.get(f"{OPEN}/query?sql=SELECT 1 AS n FROM unit") for _ in range(3))
    )

    assert sorted(answer.status_code for answer in answers) == [200, 503, 503]
    assert {answer.headers.get("retry-after") for answer in answers if answer.status_code == 503} == {"5"}


async def test_a_day_of_anonymous_uses_becomes_one_record_once_it_has_ended(register: Register):
    for _ in range(3):
        await register.read(f"{OPEN}/rows")
    local = register.provider.local
    writer = register.provider.parts.writer
    now = datetime.now(UTC)

    assert await record_open_days(local.pool, writer, local.settings.node, now) == 0
    assert await record_open_days(local.pool, writer, local.settings.node, now + timedelta(days=1)) == 1
    assert await record_open_days(local.pool, writer, local.settings.node, now + timedelta(days=1)) == 0

    [leaf] = await register.provider.leaves()
    assert (leaf["consumer"], leaf["resource"], leaf["ground"], leaf["subjects"]) == ("-", UNIT, "open", [])
    assert leaf["reason"].startswith("anonymous;day=")
    assert leaf["reason"].endswith(";uses=3")


async def test_a_member_takes_open_data_by_a_profile_without_agreement_and_each_reading_is_on_record(
    register: Register,
):
    local = register.provider.local
    office = ProfileOffice(local.settings, local.pool, register.web._live.index, register.web._live.services)
    register.provider.parts.notices["profiles"] = office.issue  # type: ignore[index]
    granted = await ask_profile(register.consumer.parts.link, register.web._live.index, COUNTER, f"open:{UNIT}", None)
    bearer = {"Authorization": f"Bearer {granted['profile']['bearerToken']}"}

    answer = await register.public.post("/delta/shares/g01/schemas/dancu/tables/unit/query", json={}, headers=bearer)
    url = next(json.loads(line)["file"]["url"] for line in answer.text.splitlines() if '"file"' in line)
    taken = await register.public.get(httpx.URL(url).raw_path.decode())

    assert taken.content[:4] == b"PAR1"
    [opened] = await register.provider.leaves()
    assert (opened["way"], opened["consumer"], opened["agreement"]) == ("table", COUNTER, None)
    assert (opened["ground"], opened["reason"]) == ("open", "opened")
    with pytest.raises(Exception, match=r"open data|dữ liệu mở"):
        await ask_profile(register.consumer.parts.link, register.web._live.index, COUNTER, f"open:{UNIT}2", None)


def test_personal_data_can_not_be_open():
    service = Service(ServiceId(UNIT), "http", "a", "a", "open", ())

    with pytest.raises(OpenPersonal) as refused:
        replace(service, fields=(Field("$.number", "string", personal=True),))

    assert refused.value.kind == "open-personal"
