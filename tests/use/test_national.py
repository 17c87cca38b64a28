"""One person across three national databases on one page: three agreements, real calls, each with its receipt."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from html import unescape

import httpx
import psycopg
import pytest
import pytest_asyncio
from starlette.applications import Starlette

from lienthong.access.sequence import Sequencer
from lienthong.agreements.queries import current_agreements
from lienthong.catalog.publish import find
from lienthong.catalog.queries import store_service
from lienthong.demo.country import (
    CITIZEN,
    DATA_DAY,
    ENTERPRISE,
    FIRMS,
    HAI_PHONG,
    LAND,
    LOOKUP,
    ONE_STOP,
    ONE_STOP_SYSTEM,
    PARCELS,
    POPULATION,
    SEED,
    agreements,
)
from lienthong.demo.firms import make_firms
from lienthong.demo.land import make_parcels
from lienthong.demo.population import FIRST_PERSON, make_population
from lienthong.demo.queries import load_firms, load_parcels, load_people
from lienthong.directory.models import member_of
from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.node.lookup import NodeLookup
from lienthong.node.prepare import DIRECTORY_KEY, LOG_KEY
from lienthong.portal.app import create_portal
from lienthong.portal.national import national_pages
from lienthong.portal.shell import Shell
from lienthong.storage.pool import connect
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import public_jwk
from lienthong.verify import verify_receipt
from lienthong.web import install
from tests.portal import sample
from tests.portal.signed import SignedIn
from tests.use.realm import Realm, a_realm

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_scope="module")]

PAGE = "/work/national"
CASE = "H24-261123-0007"
OFFERS = (CITIZEN, FIRMS, PARCELS)
PEOPLE = make_population(60, seed=SEED, day=DATA_DAY)
COMPANIES = make_firms(PEOPLE, seed=SEED)
LAND_BOOK = make_parcels(PEOPLE, COMPANIES, seed=SEED)
HER_FIRM = next(firm for firm in COMPANIES if firm.representative_number == FIRST_PERSON)
HER_LAND = [parcel.parcel_id for parcel in LAND_BOOK if parcel.owner_code == FIRST_PERSON]
HER_NAME = next(each.full_name for each in PEOPLE.people if each.personal_number == FIRST_PERSON)
RECORD = re.compile(r'href="/records/([0-9a-f]{64})"')


@dataclass
class Office:
    """The one-stop shop's page over a realm of four real nodes; whoever stands last in ``signed_in`` looks."""

    realm: Realm
    client: httpx.AsyncClient
    signed_in: list[Actor]

    async def ask(self, code: str, case: str = CASE, language: str = "") -> httpx.Response:
        page = await self.client.get(language + PAGE)
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        return await self.client.post(language + PAGE, data=hidden | {"code": code, "case": case})

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


async def agree_on(realm: Realm, offer) -> None:
    """The demo's own agreement about ``offer``, for the one-stop shop alone."""
    (terms,) = [each for each in agreements(datetime.now(UTC).date()) if each.target == offer.service]
    alone = replace(terms, permissions=(replace(terms.permissions[0], systems=(ONE_STOP_SYSTEM,)),), bundle=None)
    async with realm.nodes[HAI_PHONG].desk() as desk:
        await desk.request(alone, "Một cửa")
    async with realm.nodes[terms.provider].desk() as desk:
        for pid in await desk.requests():
            await desk.approve(pid, terms.provider)


async def until(realm: Realm, offer, by: dict[str, str], answered: bool) -> None:
    """Until calls of ``offer`` are answered, or no longer: a gateway hears of a change a moment after it."""
    async with asyncio.timeout(90):
        while ((await realm.call(ONE_STOP_SYSTEM, offer.service, ONE_STOP, by)).status == 200) != answered:  # noqa: ASYNC110 - the notice goes to the gateway alone
            await asyncio.sleep(0.1)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def office(pg_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    systems = (*(offer.service.rpartition("/")[0] for offer in OFFERS), ONE_STOP_SYSTEM)
    folder = tmp_path_factory.mktemp("national")
    async with a_realm(pg_server, folder, systems, {ONE_STOP: HAI_PHONG}) as realm:
        await publish_register(realm, CITIZEN, lambda db: load_people(db, PEOPLE.people))
        await publish_register(realm, FIRMS, lambda db: load_firms(db, COMPANIES))
        await publish_register(realm, PARCELS, lambda db: load_parcels(db, LAND_BOOK))
        for offer in OFFERS:
            await agree_on(realm, offer)
        await until(realm, CITIZEN, {"personal_number": FIRST_PERSON}, answered=True)
        await until(realm, FIRMS, {"representative_number": FIRST_PERSON}, answered=True)
        await until(realm, PARCELS, {"owner_code": FIRST_PERSON}, answered=True)
        node = realm.nodes[HAI_PHONG]
        shell, signed_in = Shell(secret=b"k" * 32), [an_officer(Role.CASE_OFFICER)]
        desk = NodeLookup(LOOKUP, node.local.pool, node.client_url)
        app = Starlette(routes=create_portal(sample.SampleData(), shell, (national_pages(desk),)))
        app.add_middleware(SignedIn, signed_in=signed_in)
        install(app, error_page=shell.error_page)
        transport = httpx.ASGITransport(app)
        headers = {"accept": "text/html"}
        async with httpx.AsyncClient(transport=transport, base_url="http://portal.example", headers=headers) as client:
            yield Office(realm, client, signed_in)


async def test_person_firm_and_land_stand_on_one_page_each_step_with_a_receipt_that_verifies(office: Office):
    before = {member: len(await office.leaves(member)) for member in (POPULATION, ENTERPRISE, LAND)}

    answer = await office.ask(FIRST_PERSON)

    page = unescape(answer.text)
    assert answer.status_code == 200
    assert HER_NAME in page
    assert HER_FIRM.name in page
    assert all(parcel in page for parcel in HER_LAND)
    assert "Dữ liệu giả lập" in page, "what is made up says so"
    assert FIRST_PERSON not in str(answer.url)
    records = list(dict.fromkeys(RECORD.findall(answer.text)))
    assert len(records) == 4, "person, firms, own land, the firm's land"
    node = office.realm.nodes[HAI_PHONG]
    async with node.local.pool.connection() as db:
        await Sequencer(node.local.files, node.local.keyring.ed25519(LOG_KEY)).step(db)
        receipts = [await node.local.receipts.receipt(db, record, to_owner=True) for record in records]
    async with office.realm.web.get(office.realm.national.settings.directory_url) as told:
        directory = await told.read()
    anchor = public_jwk(office.realm.national.keyring.es256(DIRECTORY_KEY))
    assert all(verify_receipt(receipt, directory=directory, anchor=anchor).ok for receipt in receipts)
    leaves = [json.loads(receipt["record"]) for receipt in receipts]
    assert [leaf["resource"] for leaf in leaves] == [each.service for each in (*OFFERS, PARCELS)]
    assert len({leaf["agreement"]["id"] for leaf in leaves}) == 3, "three agreements"
    assert not any(FIRST_PERSON in json.dumps(leaf) for leaf in leaves)
    signed = base64.b64decode(receipts[0]["messages"]["request"]["base"]).decode()
    assert CASE in signed
    assert "p-0007" in signed, "the officer, as a pseudonym"
    for member, more in ((POPULATION, 1), (ENTERPRISE, 1), (LAND, 2)):
        assert len(await office.leaves(member)) == before[member] + more, "the other side has its record, too"


async def test_one_may_begin_with_a_firm_or_a_parcel(office: Office):
    by_firm = unescape((await office.ask(HER_FIRM.enterprise_code, language="/en")).text)
    by_parcel = unescape((await office.ask(HER_LAND[0])).text)

    assert HER_NAME in by_firm
    assert HER_FIRM.name in by_firm
    assert HER_NAME in by_parcel


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("031099", "Hãy cho"),
        ("031999990001", "năm sinh"),
        ("9900000011", "kiểm tra"),
        ("w7er8u0ailo5", "GeoHash"),
        ("<script>alert(1)</script>", "Hãy cho"),
    ],
)
async def test_a_code_that_does_not_hold_is_told_so_and_goes_nowhere(office: Office, code: str, told: str):
    before = len(await office.leaves(HAI_PHONG))

    answer = await office.ask(code)

    assert answer.status_code == 422
    assert told in unescape(answer.text)
    assert "<script>alert" not in answer.text
    assert len(await office.leaves(HAI_PHONG)) == before


async def test_a_reference_that_no_header_field_can_hold_is_refused(office: Office):
    for case in ("", "H24\r\nX-Road-Client: VN/GOV/G01/dancu", "hồ sơ số 7", "x" * 80):
        assert (await office.ask(FIRST_PERSON, case=case)).status_code == 422


@pytest.mark.parametrize(
    ("actor", "status"),
    [
        (ANONYMOUS, 401),
        (an_officer(Role.DATA_OFFICER), 403),
        (an_officer(Role.CASE_OFFICER, member=LAND), 403),
    ],
    ids=["nobody", "another role", "another member's officer"],
)
async def test_only_a_case_officer_of_the_member_may_ask(office: Office, actor: Actor, status: int):
    before = len(await office.leaves(HAI_PHONG))
    office.signed_in.append(actor)
    try:
        shown = await office.client.get(PAGE)
        sent = await office.client.post(PAGE, data={"code": FIRST_PERSON, "case": CASE})
    finally:
        office.signed_in.pop()

    assert shown.status_code == sent.status_code == status
    assert HER_NAME not in sent.text
    assert len(await office.leaves(HAI_PHONG)) == before


async def test_a_withdrawn_agreement_stops_its_step_with_the_reason_and_the_others_answer(office: Office):
    realm = office.realm
    async with realm.nodes[LAND].local.pool.connection() as db:
        (row,) = [each for each in await current_agreements(db) if each.target == PARCELS.service]
    async with realm.nodes[LAND].desk() as desk:
        await desk.end(
            row.id, LAND, reason="Sai mục đích", provision="NĐ 278/2025/NĐ-CP, Đ13", ends_at=datetime.now(UTC)
        )
    await until(realm, PARCELS, {"owner_code": FIRST_PERSON}, answered=False)

    page = unescape((await office.ask(FIRST_PERSON)).text)
    await agree_on(realm, PARCELS)
    await until(realm, PARCELS, {"owner_code": FIRST_PERSON}, answered=True)
    again = unescape((await office.ask(FIRST_PERSON)).text)

    assert HER_NAME in page
    assert HER_FIRM.name in page
    assert not any(parcel in page for parcel in HER_LAND)
    assert "Hãy đề nghị đơn vị giữ dữ liệu lập thỏa thuận" in page, "the reason, and what to do"
    assert len(RECORD.findall(page)) == 8, "a refusal is on record, too: a link in the table and one at each step"
    assert all(parcel in again for parcel in HER_LAND), "under a new agreement the step answers again"


async def test_a_gateway_that_is_away_is_said_on_the_page(office: Office):
    node = office.realm.nodes[HAI_PHONG]
    away = NodeLookup(LOOKUP, node.local.pool, "http://127.0.0.1:9")

    found = await away.look_up("parcel", HER_LAND[0], actor=an_officer(Role.CASE_OFFICER), case=CASE)

    assert [step.refusal is not None for step in found.steps] == [True]


async def test_nothing_that_was_typed_stands_in_the_database_in_the_clear_or_is_logged(
    office: Office, capfd: pytest.CaptureFixture[str]
):
    await office.ask(FIRST_PERSON)
    said = capfd.readouterr()
    assert "route=/work/national" in said.out
    assert FIRST_PERSON not in said.out + said.err

    for node in office.realm.nodes.values():
        with psycopg.connect(node.local.dsns.owner) as db:
            tables = db.execute(
                "SELECT quote_ident(tablename) FROM pg_tables WHERE schemaname = 'public'"
                " AND tablename NOT IN ('person', 'parcel', 'firm')"
            ).fetchall()
            for (table,) in tables:
                found = db.execute(f"SELECT count(*) FROM {table} t WHERE t::text LIKE %s", (f"%{FIRST_PERSON}%",))
                assert found.fetchone() == (0,), table
