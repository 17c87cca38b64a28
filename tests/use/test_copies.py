"""A city's copy beside the ministry's source: counts for everybody, rows for the two sides, corrections there."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from html import unescape

import httpx
import psycopg
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from lienthong.cases.queries import cases_of_owner
from lienthong.catalog.publish import find
from lienthong.catalog.queries import store_service
from lienthong.config import Copy
from lienthong.demo.copied import copied_residents
from lienthong.demo.country import (
    CITIZEN,
    COPIES,
    DATA_DAY,
    HAI_PHONG,
    ONE_STOP,
    ONE_STOP_SYSTEM,
    POPULATION,
    RESIDENTS,
    SEED,
    agreements,
)
from lienthong.demo.places import HOME_PROVINCE
from lienthong.demo.population import FIRST_PERSON, make_population
from lienthong.demo.queries import load_people, load_residents
from lienthong.directory.models import member_of
from lienthong.exchange.signed import RefusedByProvider
from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.node.copies import ComparisonFailed, Copies, CopyUnknown
from lienthong.node.copydesk import NodeCopyDesk
from lienthong.node.corrections import WrongRow, ask_for_corrections
from lienthong.node.jobs import ALL_OPERATIONS
from lienthong.node.pages import NodePages
from lienthong.node.supervise import sandbox_socket
from lienthong.portal.app import create_portal
from lienthong.portal.copies import copy_pages
from lienthong.portal.shell import Shell
from lienthong.query.digests import NotComparable
from lienthong.storage.pool import connect
from lienthong.storage.server import PostgresServer
from lienthong.tables.sandbox import Keeper
from lienthong.web import install
from tests.portal import sample
from tests.portal.signed import SignedIn
from tests.use.realm import Realm, a_realm

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PEOPLE = tuple(make_population(120, seed=SEED, day=DATA_DAY).people)
COPIED = tuple(copied_residents(PEOPLE, province=HOME_PROVINCE, seed=SEED))
AT_HOME = tuple(person for person in PEOPLE if person.province_code == HOME_PROVINCE)
WRONG, GONE = COPIED[0].personal_number, "031031999995"
COPY = COPIES[0]
PAGE = f"/work/copies/{COPY.copy}"


@dataclass
class City:
    """The city's pages over two real nodes; whoever stands last in ``signed_in`` looks."""

    realm: Realm
    copies: Copies
    client: httpx.AsyncClient
    signed_in: list[Actor]

    async def send(self, **typed: str | list[str]) -> httpx.Response:
        page = await self.client.get(PAGE)
        hidden = dict(re.findall(r'type="hidden" name="(token|form_key)" value="([^"]*)"', page.text))
        return await self.client.post(PAGE, data=hidden | typed)

    async def leaves(self, member: str) -> list[dict]:
        async with self.realm.nodes[member].local.pool.connection() as db:
            cursor = await db.execute("SELECT leaf FROM record ORDER BY seq")
            return [json.loads(bytes(row[0])) for row in await cursor.fetchall()]


def an_officer(*roles: Role, member: str = HAI_PHONG) -> Actor:
    return Actor("p-0007", "Hoàng Thị Tra", member, frozenset(roles), Assurance.TWO_FACTORS, "s-1")


async def publish_register(realm: Realm, offer, load) -> None:
    node = realm.nodes[member_of(offer.service)]
    async with await connect(node.local.dsns.owner) as db:
        await load(db)
    found = await find(f"{node.local.dsns.owner}#public.{offer.register.table}")
    async with node.local.pool.connection() as db:
        await store_service(db, offer.service_over(found.source))


async def agree(realm: Realm) -> None:
    (terms,) = [each for each in agreements(datetime.now(UTC).date()) if each.target == CITIZEN.service]
    alone = replace(terms, permissions=(replace(terms.permissions[0], systems=(ONE_STOP_SYSTEM,)),), bundle=None)
    async with realm.nodes[HAI_PHONG].desk() as desk:
        await desk.request(alone, "Một cửa")
    async with realm.nodes[POPULATION].desk() as desk:
        for pid in await desk.requests():
            await desk.approve(pid, POPULATION)
    async with asyncio.timeout(90):
        body = {"personal_number": FIRST_PERSON}
        while (await realm.call(ONE_STOP_SYSTEM, CITIZEN.service, ONE_STOP, body)).status != 200:  # noqa: ASYNC110 - the notice goes to the gateway alone
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def city(pg_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[City]:
    systems = (CITIZEN.service.rpartition("/")[0], ONE_STOP_SYSTEM)
    folder = tmp_path_factory.mktemp("copies")
    async with a_realm(pg_server, folder, systems, {ONE_STOP: HAI_PHONG}) as realm:
        keepers = [Keeper(sandbox_socket(node.local.settings), ALL_OPERATIONS) for node in realm.nodes.values()]
        for keeper in keepers:
            await keeper.start()
        await publish_register(realm, CITIZEN, lambda db: load_people(db, PEOPLE))
        await publish_register(realm, RESIDENTS, lambda db: load_residents(db, COPIED))
        await agree(realm)
        node = realm.nodes[HAI_PHONG]
        with psycopg.connect(node.local.dsns.owner, autocommit=True) as copied:
            copied.execute(
                "UPDATE resident SET full_name = 'Nguyễn Thị Khác', address = '' WHERE personal_number = %s", (WRONG,)
            )
        copies = Copies(node.local.pool, (COPY,), node.client_url)
        pages = NodePages(node.local)
        shell, signed_in = Shell(secret=b"k" * 32), [an_officer(Role.CASE_OFFICER)]
        modules = (copy_pages(NodeCopyDesk(node.local, copies, pages)),)
        app = Starlette(routes=create_portal(sample.SampleData(), shell, modules))
        app.add_middleware(SignedIn, signed_in=signed_in)
        install(app, error_page=shell.error_page)
        transport = httpx.ASGITransport(app)
        headers = {"accept": "text/html"}
        async with httpx.AsyncClient(transport=transport, base_url="http://portal.example", headers=headers) as client:
            yield City(realm, copies, client, signed_in)
        await pages.close()
        for keeper in keepers:
            await keeper.close()


async def test_what_differs_is_counted_for_everybody_and_found_by_digests_alone(city: City):
    before = len(await city.leaves(POPULATION))

    found = await city.copies.compare(COPY.copy, datetime.now(UTC))

    copied = {each.personal_number: each for each in COPIED}
    fields = COPY.fields
    truth = {
        person.personal_number: [
            name for name in fields if getattr(person, name) != getattr(copied[person.personal_number], name)
        ]
        for person in AT_HOME
        if person.personal_number in copied
    }
    truth[WRONG] = ["full_name", "address"]
    wrong = {number: names for number, names in truth.items() if names}
    assert found.differing == len(wrong)
    assert {each.key: list(each.fields) for each in found.differences if each.kind == "differs"} == wrong
    assert found.same == len(truth) - len(wrong)
    assert found.only_here == len([each for each in COPIED if each.personal_number not in truth]) == 3
    assert found.only_there == len(AT_HOME) - len(truth)
    (leaf,) = (await city.leaves(POPULATION))[before:]
    assert (leaf["way"], leaf["outcome"], leaf["resource"]) == ("query", "permitted", CITIZEN.service)
    page = unescape((await city.client.get("/copies")).text)
    told = (await city.client.get("/v1/copies")).json()["copies"][0]
    assert told["differing"] == len(wrong)
    assert told["by_field"]["full_name"] >= 1
    assert "Bộ Công an" in page or POPULATION in page, "listed by the member whose data it is"
    for number in (WRONG, GONE):
        assert number not in page + json.dumps(told), "rows are for the two sides"


async def test_case_officers_see_the_rows_and_the_source_gets_a_case_for_each_it_has_wrong(city: City):
    source = city.realm.nodes[POPULATION]
    await city.copies.compare(COPY.copy, datetime.now(UTC))
    page = unescape((await city.client.get(PAGE)).text)
    row = page[page.index(f"<code>{WRONG}</code>") :].split("</tr>")[0]
    assert "Họ và tên" in row
    assert "Địa chỉ" in row
    assert COPIED[0].full_name not in page, "no value is known here"

    sent = await city.send(deed="correct", rows=[WRONG, GONE], reason="Theo giấy khai sinh số 12/2019 tại phường.")
    again = await city.send(deed="correct", rows=[WRONG], reason="Theo giấy khai sinh số 12/2019 tại phường.")

    assert sent.status_code == again.status_code == 303, sent.text
    assert WRONG not in sent.headers["location"]
    async with source.local.pool.connection() as db:
        cases = await cases_of_owner(db, POPULATION, ended=False, before=None, most=50)
    assert [case.kind for case in cases] == ["correction"] * 2, "asked twice, one case"
    (case,) = [case for case in cases if WRONG in case.text]
    assert case.opener_member == HAI_PHONG
    assert "full_name, address" in case.text
    assert "giấy khai sinh" in case.text
    assert WRONG not in case.title
    assert WRONG not in json.dumps(dict(case.facts))
    assert case.due is not None, "it runs with its legal time"
    await city.copies.compare(COPY.copy, datetime.now(UTC))
    assert case.id in (await city.client.get(PAGE)).text, "the next comparison keeps what was asked"


@pytest.mark.parametrize(
    ("actor", "status"),
    [
        (ANONYMOUS, 401),
        (an_officer(Role.DATA_OFFICER), 403),
        (an_officer(Role.CASE_OFFICER, member=POPULATION), 403),
    ],
    ids=["nobody", "another role", "another member's officer"],
)
async def test_rows_are_shown_to_case_officers_of_the_member_alone(city: City, actor: Actor, status: int):
    city.signed_in.append(actor)
    try:
        shown = await city.client.get(PAGE)
        public = await city.client.get("/copies")
    finally:
        city.signed_in.pop()

    assert shown.status_code == status
    assert public.status_code == 200
    assert WRONG not in shown.text + public.text


async def test_a_form_without_rows_or_reason_sends_nothing(city: City):
    await city.copies.compare(COPY.copy, datetime.now(UTC))

    for typed in ({"rows": [GONE], "reason": ""}, {"reason": "vì sai"}, {"rows": ["031000000000"], "reason": "vì sai"}):
        answer = await city.send(deed="correct", **typed)
        assert answer.status_code == 422, typed
    assert (await city.send(deed="burn")).status_code == 422


async def test_a_comparison_without_agreement_or_of_masked_fields_is_refused_with_its_reason(city: City):
    node = city.realm.nodes[HAI_PHONG]
    masked = Copies(node.local.pool, (replace(COPY, fields=["phone"]),), node.client_url)
    unknown = Copies(node.local.pool, (Copy(COPY.copy, f"{POPULATION}/dancu/nothing", "personal_number", ["x"],
                                            ONE_STOP_SYSTEM, ONE_STOP),), node.client_url)  # fmt: skip
    away = Copies(node.local.pool, (COPY,), "http://127.0.0.1:9")

    with pytest.raises(NotComparable, match="phone") as hidden:
        await masked.compare(COPY.copy, datetime.now(UTC))
    with pytest.raises(CopyUnknown) as absent:
        await masked.compare(f"{HAI_PHONG}/motcua/nothing", datetime.now(UTC))
    with pytest.raises(ComparisonFailed) as refused:
        await unknown.compare(COPY.copy, datetime.now(UTC))
    with pytest.raises(ComparisonFailed) as silent:
        await away.compare(COPY.copy, datetime.now(UTC))

    assert (hidden.value.kind, absent.value.kind) == ("not-comparable", "copy-unknown")
    assert refused.value.cause == "unknown-table"
    assert silent.value.cause == "comparison-failed"
    told = (await city.client.get("/v1/copies")).json()["copies"][0]
    assert told["refusal"] == "comparison-failed", "the page says so, beside the counts before"
    await city.copies.compare(COPY.copy, datetime.now(UTC))


async def test_the_job_compares_once_a_day(city: City):
    now = datetime.now(UTC) + timedelta(days=3)

    assert await city.copies.compare_due(now) == 1
    assert await city.copies.compare_due(now + timedelta(hours=23)) == 0
    assert await city.copies.compare_due(now + timedelta(hours=24)) == 1
    await city.copies.compare(COPY.copy, datetime.now(UTC))


@pytest.mark.parametrize(
    ("service", "column", "rows", "reason", "kind"),
    [
        (f"{POPULATION}/dancu/nothing", "personal_number", [WrongRow("1", ())], "sai", "correction-not-ours"),
        (CITIZEN.service, "no_such", [WrongRow("1", ())], "sai", "correction-malformed"),
        (CITIZEN.service, "personal_number", [], "sai", "correction-malformed"),
        (CITIZEN.service, "personal_number", [WrongRow("1", ("no_such",))], "sai", "correction-malformed"),
        (CITIZEN.service, "personal_number", [WrongRow("1", ())] * 101, "sai", "correction-malformed"),
        (CITIZEN.service, "personal_number", [WrongRow("", ())], "sai", "correction-malformed"),
        (CITIZEN.service, "personal_number", [WrongRow("1", ())], " ", "correction-malformed"),
    ],
)
async def test_the_source_opens_no_case_for_what_it_can_not_read_or_is_not_its_own(
    city: City, service: str, column: str, rows: list[WrongRow], reason: str, kind: str
):
    async with city.realm.nodes[HAI_PHONG].desk() as desk:
        with pytest.raises(RefusedByProvider) as refused:
            await ask_for_corrections(desk.link, ONE_STOP_SYSTEM, service, column=column, rows=rows, reason=reason)

    assert refused.value.as_dict("en")["type"] == f"urn:lienthong:problem:{kind}"
