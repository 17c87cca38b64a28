"""The officers' pages about their own node, composed for real: what is wrong and what to do about it."""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import sys
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from html import unescape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import aiohttp
import pytest
import pytest_asyncio

from lienthong.agreements.queries import negotiations_in
from lienthong.agreements.reading import parse_offer, read_canonical
from lienthong.catalog.models import HttpSource, TableSource
from lienthong.catalog.queries import service_by_id, store_service
from lienthong.config import CONFIG_VARIABLE
from lienthong.directory.models import MemberKey, NodeId, ServiceId
from lienthong.errors import Problem
from lienthong.exchange.queries import take_uses
from lienthong.exchange.quota import day_of
from lienthong.identity.models import Actor, Assurance, Role
from lienthong.node.connectordesk import NodeConnectorDesk
from lienthong.node.desk import NOTICE, Desk
from lienthong.node.findingdesk import COMMAND, DoctorSilent, NodeFindingDesk
from lienthong.node.quotadesk import NodeQuotaDesk
from lienthong.portal.connectors import ConnectorUnknown
from lienthong.portal.forms import FORM_HEADER
from lienthong.portal.keys import AHEAD
from lienthong.portal.quotas import OtherQuota, QuotaNotAsked
from lienthong.portal.words import VIETNAM
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.agreements.build import END, an_agreement
from tests.identity.build import PASSWORD, a_person
from tests.node_pages.country import CITIZEN, NODES, Country, Site, open_country
from tests.node_pages.whole import Portal, open_portal
from tests.use.databases import databases
from tests.use.nodes import POLICE, PROVINCE
from tests.use.test_use import a_wish

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
LAND = "VN/GOV/H24/motcua/thua-dat"
STAFF = {"van-hanh": (Role.OPERATOR,), "du-lieu": (Role.DATA_OFFICER,), "tich-hop": (Role.INTEGRATOR,)}


@dataclass
class Office:
    """The police's portal, with a browser for each person who signed in."""

    site: Site
    portal: Portal
    country: Country
    browsers: dict[str, aiohttp.ClientSession] = field(default_factory=dict)

    async def read(self, who: str, address: str, status: int = 200) -> str:
        async with self.browsers[who].get(self.portal.url + address) as answer:
            body = unescape(await answer.text())
            assert answer.status == status, body
        return body

    async def told(self, who: str, address: str) -> dict[str, Any]:
        async with self.browsers[who].get(self.portal.url + address) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def send(self, who: str, address: str, to: str = "", **typed: str) -> tuple[int, str]:
        """Fill in the form of a page, sent to ``to`` or to itself: the status, and what stands there then."""
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', await self.read(who, address)))
        hidden.pop("back", None)
        async with self.browsers[who].post(self.portal.url + (to or address), data=hidden | typed) as answer:
            return answer.status, unescape(await answer.text())

    async def sign_in(self, who: str) -> None:
        self.browsers[who] = browser = aiohttp.ClientSession(cookie_jar=aiohttp.CookieJar(unsafe=True))
        async with browser.get(self.portal.url + "/login/staff?next=/work") as answer:
            hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', await answer.text()))
        typed = hidden | {"login": who, "password": PASSWORD, "next": "/work"}
        async with browser.post(self.portal.url + "/login/staff", data=typed) as answer:
            assert answer.url.path == "/work", await answer.text()


TOML = """
node = "{node}"
data = "{data}"
members = ["{member}"]
database = "{database}"
database_name = "{name}"
public_port = {public}
peer_host = "127.0.0.1"
peer_port = {peer}
peer_url = "{url}"
directory_anchor = "{anchor}"
"""


def written(site: Site, database: str, folder: Path) -> Path:
    """The configuration file of ``site``, as a command reads it."""
    settings = site.local.settings
    name = site.local.dsns.app.split("?")[0].rsplit("/", 1)[1]
    path = folder / "nut-g01.toml"
    filled = TOML.format(
        node=settings.node, data=settings.data, member=settings.members[0], database=database, name=name,
        public=settings.public_port, peer=settings.peer_port, url=settings.peer_url, anchor=settings.directory_anchor,
    )  # fmt: skip
    path.write_text(filled, "utf-8")
    return path


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def office(pg_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Office]:
    folder = tmp_path_factory.mktemp("office")
    with databases(pg_server, len(NODES)) as dsns, pytest.MonkeyPatch.context() as patch:
        async with open_country(dsns, folder) as country:
            site = country.police
            sockets = tuple(parse_qs(urlsplit(dsns[2].owner).query).get("host", ()))
            site.node.local = replace(site.local, settings=replace(site.local.settings, outward_allowed=sockets))
            name = site.local.dsns.app.split("?")[0].rsplit("/", 1)[1]
            patch.setenv(CONFIG_VARIABLE, str(written(site, pg_server.dsn(name), folder)))
            async with site.local.pool.connection() as db:
                for login, roles in STAFF.items():
                    await a_person(db, login, *roles, member=site.local.settings.members[0], password=PASSWORD)
            async with open_portal(site) as portal:
                opened = Office(site, portal, country)
                for login in STAFF:
                    await opened.sign_in(login)
                yield opened
                for browser in opened.browsers.values():
                    await browser.close()


async def test_what_the_doctor_finds_stands_on_a_page_with_cause_side_and_mend_and_among_what_waits(office: Office):
    status, shown = await office.send("van-hanh", "/work/findings")

    assert status == 200
    port = office.site.local.settings.public_port
    assert f"Chương trình khác đang giữ 127.0.0.1:{port}" in shown
    assert f"ss -ltnp 'sport = :{port}'" in shown  # what to do
    assert "nút kết nối này" in shown  # whose side
    assert "port-taken" in shown
    told = await office.told("du-lieu", "/v1/own/findings?lang=en")
    taken = [each for each in told["findings"] if each["finding"] == "port-taken"]
    assert told["at"]
    assert {(each["grave"], each["whose"]) for each in taken} == {(True, "node")}
    assert f"Another program holds 127.0.0.1:{port}, which is this node's public_port." in [
        each["cause"] for each in taken
    ]
    assert f"127.0.0.1:{port}" in await office.read("du-lieu", "/work")  # a to-do
    assert "/work/findings" not in await office.read("tich-hop", "/work")


async def test_only_those_who_may_see_what_is_wrong_with_the_node_see_it(office: Office):
    await office.read("tich-hop", "/work/findings", 403)
    await office.read("tich-hop", "/v1/own/findings", 403)
    await office.read("du-lieu", "/work/findings")
    async with aiohttp.ClientSession() as nobody, nobody.get(office.portal.url + "/v1/own/findings") as answer:
        assert answer.status == 401


@pytest.mark.parametrize(
    ("why", "command", "most_s"),
    [
        ("timeout", (sys.executable, "-c", "import time; time.sleep(600)"), 0.2),
        ("unreadable", (sys.executable, "-c", "print('?')"), 60.0),
        ("unreadable", (sys.executable, "-c", "print('{}')"), 60.0),
    ],
)
async def test_a_doctor_who_does_not_answer_is_told_and_the_last_look_stays(
    office: Office, why: str, command: tuple[str, ...], most_s: float
):
    kept = await NodeFindingDesk(office.site.local).last()

    with pytest.raises(DoctorSilent) as silent:
        await NodeFindingDesk(office.site.local, command=command, most_s=most_s).look()

    assert (silent.value.kind, silent.value.facts["why"]) == ("doctor-silent", why)
    assert await NodeFindingDesk(office.site.local).last() == kept


async def test_without_a_configuration_file_the_page_says_how_to_look_by_command(
    office: Office, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.delenv(CONFIG_VARIABLE)

    status, shown = await office.send("van-hanh", "/work/findings")

    assert status == 422
    assert "no-configuration" in shown
    assert COMMAND[-2:] == ("doctor", "--json")


async def test_keys_are_shown_with_age_and_listing_and_the_next_one_is_asked_for_until_it_is_in_use(office: Office):
    snapshot = office.site.local.directory.snapshot()
    member, node = snapshot.member(POLICE), snapshot.node("nut-g01")
    assert member
    assert node
    told = await office.told("du-lieu", "/v1/own/keys")
    signing, certificate, log, witness = told["keys"]

    assert (told["node"], told["directory"]) == ("nut-g01", snapshot.version)
    assert (signing["id"], signing["state"]) == (member.keys[0].keyid, "used")
    assert signing["ends"] == member.keys[0].valid_to.isoformat()
    assert signing["next_by"] == (member.keys[0].valid_to - AHEAD).isoformat()
    assert (certificate["id"], certificate["state"]) == (node.tls_sha256[0], "used")
    assert (log["id"], log["state"], log["next_by"]) == (node.log_key, "used", None)
    assert (witness["kind"], witness["state"]) == ("witness", "unlisted")  # this directory names no witness
    shown = await office.read("du-lieu", "/work/keys")
    assert signing["id"] in shown
    assert "đang dùng" in shown
    assert member.keys[0].valid_to.astimezone(VIETNAM).strftime("%d/%m/%Y") in shown
    assert "PRIVATE" not in shown
    assert 'name="kind"' not in shown  # a data officer asks for nothing
    await office.read("tich-hop", "/work/keys", 403)
    await office.read("tich-hop", "/v1/own/keys", 403)

    status, request = await office.send("van-hanh", "/work/keys", to="/work/ask", kind="key")

    assert status == 200, request
    told = await office.told("van-hanh", "/v1/own/keys")
    made = next(each for each in told["keys"] if each["state"] == "next")
    assert made["listed"] is False
    assert "đã tạo, chưa được ghi vào danh bạ" in await office.read("van-hanh", "/work/keys")
    now = datetime.now(UTC)
    key = office.site.local.keyring.es256(f"{POLICE}+next")
    stranger = generate_es256()
    listed = [
        MemberKey(key_id(public_jwk(each)), public_jwk(each), NodeId(where), now - timedelta(hours=1), ends)
        for each, where, ends in (
            (key, "nut-g01", now + timedelta(days=20)),
            (stranger, "nut-g01", now + timedelta(days=90)),
        )
    ]
    members = tuple(
        replace(each, keys=(*each.keys, *listed)) if each.id == POLICE else each
        for each in office.country.contents.members
    )
    office.country.redirect(members=members)
    office.site.local.directory.look()

    lines = (await office.told("van-hanh", "/v1/own/keys"))["keys"]
    found = {each["id"]: each["state"] for each in lines if each["kind"] == "signing"}
    assert found == {made["id"]: "used", lines[0]["id"]: "counts", listed[1].keyid: "missing"}
    shown = await office.read("van-hanh", "/work/keys")
    assert "có trong danh bạ nhưng không có ở đây" in shown
    assert "hãy yêu cầu cái tiếp theo ngay" in shown
    async with asyncio.timeout(60):  # its end comes near: a to-do leads here, once the node has looked again
        while "/work/keys" not in await office.read("van-hanh", "/work"):
            pass


@pytest_asyncio.fixture(loop_scope="module")
async def a_back_end() -> AsyncIterator[tuple[str, list[bytes]]]:
    """An HTTP server on this machine, and what it heard."""
    heard: list[bytes] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(b"HTTP/1.1 204 No Content\r\nConnection: close\r\n\r\n")
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/truong", heard
    server.close()


async def offered(site: Site, **changes: Any) -> str:
    """One more service at ``site``, made of the one that stands there."""
    async with site.local.pool.connection() as db:
        standing = await service_by_id(db, CITIZEN)
        assert standing
        await store_service(db, replace(standing, dataset=None, **changes))
    return str(changes["id"])


async def test_each_source_is_shown_without_its_password_and_tried_on_demand(
    office: Office, tmp_path: Path, a_back_end: tuple[str, list[bytes]]
):
    address, heard = a_back_end
    file = tmp_path / "truong_hoc.csv"
    file.write_text("so\n1\n", "utf-8")
    named = {name: ServiceId(f"{POLICE}/dancu/{name}") for name in ("tep", "goi", "kin")}
    await offered(office.site, id=named["tep"], title_vi="Trường học", source=TableSource("csv", path=str(file)))
    secret = f"{address.replace('http://', 'http://may:matkhau-cua-may@')}?khoa=bi-mat"
    await offered(office.site, id=named["goi"], kind="http", source=HttpSource(secret))
    await offered(office.site, id=named["kin"], kind="http", source=HttpSource(address, guarded=True))
    database = urlsplit(office.site.local.dsns.owner)

    told = {each["service"]: each for each in (await office.told("du-lieu", "/v1/own/connectors"))["connectors"]}
    shown = await office.read("du-lieu", "/work/connectors")

    assert set(named.values()) <= set(told)
    assert told[CITIZEN]["part"] == "public.person"
    assert told[CITIZEN]["account"] == database.username
    assert told[named["goi"]]["address"] == address
    assert told[named["tep"]]["address"] == str(file)
    for page in (shown, json.dumps(told)):
        assert address in page
        assert "matkhau-cua-may" not in page
        assert "bi-mat" not in page
        assert not database.password or database.password not in page
    for service in (CITIZEN, named["tep"], named["goi"]):
        _, shown = await office.send("van-hanh", "/work/connectors", service=service)
        assert shown.count("trả lời tốt") >= 1
    assert heard == [b"HEAD /truong HTTP/1.1\r\n"]
    file.unlink()
    _, shown = await office.send("van-hanh", "/work/connectors", service=named["tep"])
    assert f"Tệp của {named['tep']} đã mất hoặc không đọc được." in shown
    assert "Khôi phục tệp hoặc quyền" in shown  # what to do
    _, shown = await office.send("van-hanh", "/work/connectors", service=named["kin"])
    assert len(heard) == 1  # an officer typed this address: nobody went there
    told = {each["service"]: each for each in (await office.told("du-lieu", "/v1/own/connectors"))["connectors"]}
    assert {name: told[service]["fault"] for name, service in named.items()} == {
        "tep": "file-gone", "goi": None, "kin": "backend-not-allowed",
    }  # fmt: skip
    status, shown = await office.send("van-hanh", "/work/connectors", service=f"{PROVINCE}/motcua/x")
    assert status == 422
    assert "không công bố dịch vụ" in shown
    await office.read("tich-hop", "/work/connectors", 403)
    await office.read("tich-hop", "/v1/own/connectors", 403)


async def test_an_unknown_connector_is_no_connector(office: Office):
    desk = NodeConnectorDesk(office.site.local, NodeFindingDesk(office.site.local))

    with pytest.raises(ConnectorUnknown) as unknown:
        await desk.attempt(POLICE, "VN/GOV/G01/dancu/none")

    assert unknown.value.kind == "connector-unknown"


GIVEN, TAKEN = (f"urn:uuid:00000000-0000-4000-8000-00000000000{number}" for number in (2, 3))


async def limited(office: Office) -> None:
    """The police give the province 100 uses a day for one task, and take 5 a day of its land data."""
    task = office.country.contents.purposes[0]
    tasks = (replace(task, code="HP-HAN"), replace(task, code="CA-01", member=POLICE))
    office.country.redirect(purposes=(*office.country.contents.purposes, *tasks))
    terms = {"ends": END, "quota": 100, "purposes": ("HP-HAN",), "target": CITIZEN}
    await office.country.agree(an_agreement(GIVEN, **terms))
    terms |= {"quota": 5, "purposes": ("CA-01",), "target": LAND, "provider": PROVINCE, "consumer": POLICE}
    await office.country.agree(an_agreement(TAKEN, **terms))


async def test_quotas_show_what_is_granted_used_held_and_refused_and_another_one_is_asked_for(office: Office):
    await limited(office)
    wish = a_wish(purpose="HP-HAN")
    await office.country.use(wish)
    await office.country.use(wish)
    counting = office.site.node.parts.gate.quota
    counting.used[GIVEN] = 10**9  # as if the day were used up: the next one is refused by the provider
    with contextlib.suppress(Problem):
        await office.country.use(wish)
    async with office.site.local.pool.connection() as db:
        await take_uses(db, "provider", GIVEN, day_of(datetime.now(UTC)), wanted=12, quota=100)
        await take_uses(db, "consumer", TAKEN, day_of(datetime.now(UTC)), wanted=4, quota=5)

    told = {each["agreement"]: each for each in (await office.told("du-lieu", "/v1/own/quotas"))["quotas"]}
    shown = await office.read("tich-hop", "/work/quotas")

    given, taken = told[GIVEN], told[TAKEN]
    assert {name: given[name] for name in ("ours", "quota", "taken", "used", "leased", "refused", "state")} == {
        "ours": "provider", "quota": 100, "taken": 12, "used": 2, "leased": 10, "refused": 1, "state": "free",
    }  # fmt: skip
    assert (taken["ours"], taken["quota"], taken["taken"], taken["state"]) == ("consumer", 5, 4, "near")
    assert "đã dùng 80 %" in shown
    assert "đã dùng 12 %" in shown
    for who in ("tich-hop", "du-lieu"):
        assert f"{LAND}: đã dùng 80 % hạn mức trong ngày" in await office.read(who, "/work")  # a to-do
    assert 'name="quota"' not in await office.read("du-lieu", "/work/quotas")  # whoever may not ask has no form

    typed = {"agreement": TAKEN, "quota": "50", "note": "Đợt cấp đổi thẻ"}
    status, refused = await office.send("tich-hop", "/work/quotas", **typed | {"quota": "0"})
    assert status == 422
    assert "Đợt cấp đổi thẻ" in refused  # nothing typed is lost
    status, refused = await office.send("tich-hop", "/work/quotas", **typed | {"agreement": GIVEN})
    assert status == 422
    assert "Chỉ bên sử dụng" in refused

    province = office.country.province
    parts = province.node.parts
    parts.notices[NOTICE] = Desk(province.local.pool, province.local.directory, parts.keys, parts.link).receive
    status, asked = await office.send("tich-hop", "/work/quotas", **typed)
    assert status == 200, asked
    assert "đang xin hạn mức khác" in asked
    async with province.local.pool.connection() as db:
        (waiting,) = await negotiations_in(db, "provider", ("REQUESTED",))
    assert (waiting.note, waiting.predecessor) == ("Đợt cấp đổi thẻ", digest_of(taken, office))
    (permission,) = parse_offer(read_canonical(waiting.offer)).permissions
    assert (permission.quota, permission.purposes) == (50, ("CA-01",))


def digest_of(taken: dict[str, Any], office: Office) -> str:
    return next(each.digest for each in office.site.node.agreements if each.id == taken["agreement"])


async def test_what_is_no_limited_agreement_of_ones_own_is_not_asked_for(office: Office):
    officer = Actor("p-1", "Trần Văn Nam", POLICE, frozenset({Role.INTEGRATOR}), Assurance.TWO_FACTORS, "s-1")

    with pytest.raises(QuotaNotAsked) as refused:
        await NodeQuotaDesk(office.site.local, office.site.pages).ask(
            officer, OtherQuota(agreement="urn:uuid:none", quota=5, note="Thử")
        )

    assert refused.value.kind == "quota-not-asked"


async def deed(office: Office, who: str, what: str, /, **wish: Any) -> tuple[int, dict[str, Any]]:
    """A deed by the session of ``who``, as a program in their browser does it."""
    token = (await office.told(who, "/v1/session"))["form_token"]
    headers = {FORM_HEADER: token, "Accept-Language": "en"}
    async with office.browsers[who].post(f"{office.portal.url}/v1/{what}", json=wish, headers=headers) as answer:
        return answer.status, await answer.json()


async def test_what_the_wizard_publishes_a_program_publishes_in_one_call(office: Office):
    database = urlsplit(office.site.local.dsns.owner)
    told = {
        "kind": "postgresql", "place": f"{database.path}?{database.query}", "account": database.username,
        "password": database.password or "", "table": "public.person", "title": "Công dân", "name": "cong-dan",
        "system": f"{POLICE}/dancu", "sharing": "shared",
    }  # fmt: skip

    status, unsure = await deed(office, "du-lieu", "services/publish", **told)
    assert (status, set(unsure["fields"])) == (422, {"person"})  # columns look personal and nobody said a word
    status, elsewhere = await deed(
        office, "du-lieu", "services/publish", **told | {"person": "personal_number", "place": "127.0.0.1:5432/x"}
    )
    assert (status, set(elsewhere["fields"])) == (422, {"", "place"})
    assert "outward_allowed" in elsewhere["fields"]["place"]
    status, published = await deed(office, "du-lieu", "services/publish", **told | {"person": "personal_number"})
    assert (status, published["service"], published["version"]) == (200, f"{POLICE}/dancu/cong-dan", 1)
    assert "full_name" in published["fields"]
    status, twice = await deed(office, "du-lieu", "services/publish", **told | {"person": "personal_number"})
    assert (status, set(twice["fields"])) == (422, {"name"})  # it stands there already
    assert (await deed(office, "tich-hop", "services/publish", **told))[0] == 403
    assert f"{POLICE}/dancu/cong-dan" in await office.read("du-lieu", "/work/services")


async def test_the_buttons_about_the_node_are_deeds_too(office: Office):
    assert (await deed(office, "tich-hop", "findings/look"))[0] == 403
    status, looked = await deed(office, "van-hanh", "findings/look")
    assert status == 200
    assert looked["findings"] >= looked["grave"] >= 1
    status, tried = await deed(office, "du-lieu", "connectors/try", service=str(CITIZEN))
    assert (status, tried["fault"]) == (200, None)
    status, missing = await deed(office, "du-lieu", "connectors/try", service="none")
    assert (status, missing["type"]) == (404, "urn:lienthong:problem:connector-unknown")
    status, refused = await deed(office, "tich-hop", "quotas/ask", agreement="none", quota=5, note="Thử")
    assert (status, refused["type"]) == (422, "urn:lienthong:problem:quota-not-asked")
