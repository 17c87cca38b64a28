"""Coordinators of the national node read changes of the directory on pages and approve them, two different persons."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request

from lienthong.directory import queries
from lienthong.directory.changes import approve_change
from lienthong.directory.lifecycle import ChangeRefused, SameOperator, approve, request_change
from lienthong.directory.models import MemberId
from lienthong.exchange.listen import serve_app
from lienthong.identity.approvals import StrongerSignInNeeded
from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.identity.queries import acts_of
from lienthong.identity.rights import NotAllowed
from lienthong.node.asking import NodeAskDesk
from lienthong.node.changedesk import NodeChangeDesk
from lienthong.node.inboxes import directory_changes
from lienthong.node.pages import NodePages
from lienthong.node.prepare import current_key, identity_of
from lienthong.portal.app import create_portal
from lienthong.portal.asking import Wish, ask_deeds, ask_pages
from lienthong.portal.joining import change_deeds, change_pages
from lienthong.portal.shell import Shell
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from lienthong.web import install
from tests.identity.build import a_person, acting
from tests.portal import sample
from tests.portal.axe import AXE, breaches, open_chromium
from tests.use.nodes import free_port
from tests.use.realm import NATIONAL, Realm, RealmNode, a_realm

pytestmark = pytest.mark.integration

POLICE, PROVINCE = "VN/GOV/G01", "VN/GOV/H24"


class Office:
    """The coordinators' pages over the realm's national node; ``actor`` is whoever asks."""

    def __init__(self, realm: Realm) -> None:
        self.realm = realm
        self.actor: Actor = ANONYMOUS
        self.pages = NodePages(realm.national)
        self.desk = NodeChangeDesk(realm.national, self.pages, least=Assurance.TWO_FACTORS)
        self.app = Starlette(
            routes=create_portal(sample.SampleData(), Shell(secret=b"k" * 32), (change_pages(self.desk),))
        )
        self.app.add_middleware(Named, office=self)
        install(self.app)
        self.web = httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://portal.example")

    async def person(self, login: str, *roles: Role) -> Actor:
        async with self.realm.national.pool.connection() as db:
            return acting(await a_person(db, login, *roles, member=NATIONAL, name=f"Nguyễn {login.title()}"))

    async def send(self, path: str, **fields: str) -> httpx.Response:
        """The form at ``path``, as a browser sends it."""
        page = await self.web.get(path)
        (token, *_) = re.findall(r'name="token" value="([0-9a-f]+)"', page.text)
        return await self.web.post(path, data={"token": token, "form_key": "k" * 20, **fields})


class Named:
    """Sets who asks, as the layer of identity does."""

    def __init__(self, app, office: Office) -> None:
        self.app = app
        self.office = office

    async def __call__(self, scope, receive, send) -> None:
        if scope["type"] == "http":
            Request(scope).state.actor = self.office.actor
        await self.app(scope, receive, send)


@pytest.fixture
async def office(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Office]:
    async with a_realm(pg_server, tmp_path, (f"{POLICE}/dancu", f"{PROVINCE}/motcua"), {}) as realm:
        await realm.spread()
        made = Office(realm)
        yield made
        await made.web.aclose()
        await made.pages.close()


def request_of(node: RealmNode, kind, **wanted) -> bytes:
    local = node.local
    key = current_key(local.settings, local.keyring, node.member, local.directory.snapshot())
    return request_change(kind, MemberId(node.member), wanted, key, datetime.now(UTC))


async def test_a_merging_is_read_and_approved_on_pages_by_two_different_persons(office: Office):
    realm = office.realm
    first, second = await office.person("lan", Role.COORDINATOR), await office.person("mai", Role.COORDINATOR)
    officer = await office.person("hoa", Role.DATA_OFFICER)
    asked = request_of(realm.nodes[PROVINCE], "close", successor=POLICE, day="2026-07-01").decode()

    office.actor = officer
    assert (await office.web.get("/work/changes")).status_code == 403
    assert (await office.web.get("/v1/work/changes.xlsx")).status_code == 403
    office.actor = first
    assert (await office.send("/work/changes/new", request="{}")).status_code == 422
    taken = await office.send("/work/changes/new", request=asked)
    address = taken.headers["Location"]
    change = address.rpartition("/")[2]
    listed = (await office.web.get("/v1/work/changes")).json()["rows"]
    page = (await office.web.get(address)).text
    (todo,) = await directory_changes(realm.national.pool, office.pages.gathered)(first)

    assert taken.status_code == 303
    assert [(row["id"], row["kind"], row["state"]) for row in listed] == [(change, "close", "requested")]
    assert f"{POLICE} tiếp nhận" in page
    assert "Chưa nút nào báo về thỏa thuận của thành viên này." in page
    assert todo.href == address
    assert await directory_changes(realm.national.pool, office.pages.gathered)(officer) == ()

    once = await office.send(address, deed="approve")
    again = await office.send(address, deed="approve")
    own = (await office.web.get(address)).text
    assert once.headers["Location"] == "/work/changes?done=approved-once"
    assert again.status_code == 422
    assert "Nguyễn Lan" in own
    assert 'value="approve"' not in own
    assert await directory_changes(realm.national.pool, office.pages.gathered)(first) == []
    with pytest.raises(StrongerSignInNeeded):
        await office.desk.approve(change, replace(second, assurance=Assurance.ONE_FACTOR))
    with pytest.raises(NotAllowed):
        await office.desk.approve(change, officer)

    office.actor = second
    twice = await office.send(address, deed="approve")
    await realm.spread()
    member = realm.nodes[POLICE].local.directory.snapshot().member(PROVINCE)
    async with realm.national.pool.connection() as db:
        acts = [act.act for act in await acts_of(db, NATIONAL, None, 10)]
    assert twice.headers["Location"] == "/work/changes?done=active"
    assert member is not None
    assert (member.state, member.successor) == ("closed", POLICE)
    assert [act for act in acts if act.startswith("directory.")] == [
        "directory.approved", "directory.approved", "directory.submitted",
    ]  # fmt: skip


async def test_two_keys_in_one_hand_are_one_person(office: Office):
    """A key made on the ceremony machine and the one that the node keeps for the same person do not add up."""
    realm, coordinator = office.realm, await office.person("lan", Role.COORDINATOR)
    other, offline = await office.person("mai", Role.COORDINATOR), generate_es256()
    asked = request_of(realm.nodes[PROVINCE], "close", successor=None, day="2026-07-01")
    change = await office.desk.submit(asked, coordinator)
    async with realm.national.pool.connection() as db:
        now, jwk = datetime.now(UTC), public_jwk(offline)
        await queries.insert_operator(db, key_id(jwk), "Lan", jwk, now, person=str(coordinator.person))
        await approve_change(db, change.id, approve(change.id, offline, now), now)

    with pytest.raises(SameOperator) as refused:
        await office.desk.approve(change.id, coordinator)

    assert refused.value.kind == "same-operator"
    assert (await office.desk.one(change.id, coordinator)).own
    assert (await office.desk.approve(change.id, other)).state == "active"


async def test_one_person_refuses_with_a_reason_that_the_member_sees(office: Office):
    office.actor = await office.person("lan", Role.COORDINATOR)
    change = await office.desk.submit(
        request_of(office.realm.nodes[PROVINCE], "close", successor=None, day="2027-01-01"), office.actor
    )
    address = f"/en/work/changes/{change.id}"

    without = await office.send(address, deed="refuse", reason=" ")
    refused = await office.send(address, deed="refuse", reason="Sai ngày")
    page = (await office.web.get(address)).text
    submit, approving, _ = change_deeds(office.desk)

    assert without.status_code == 422
    assert refused.headers["Location"] == "/en/work/changes?done=refused"
    assert "Sai ngày" in page
    assert 'value="refuse"' not in page
    assert submit.by_screen_alone
    assert approving.by_screen_alone
    gone = await office.web.get("/work/changes/none", headers={"Accept": "application/json"})
    assert (gone.status_code, gone.json()["type"].rpartition(":")[2]) == (404, "change-not-here")


async def test_a_joining_node_is_asked_whether_it_shows_the_certificate_it_brings(office: Office):
    realm, coordinator = office.realm, await office.person("lan", Role.COORDINATOR)
    local = realm.nodes[PROVINCE].local
    told = asdict(identity_of(local.settings, local.keyring))
    key = current_key(local.settings, local.keyring, PROVINCE, local.directory.snapshot())

    async def address_of(**changes: str) -> str:
        asked = request_change("join", MemberId(PROVINCE), {"identity": told | changes}, key, datetime.now(UTC))
        change = await office.desk.submit(asked, coordinator)
        reading = await office.desk.one(change.id, coordinator)
        assert reading is not None
        return next(each.grade for each in reading.checks if each.subject == "Address")

    assert await address_of() == "good"
    assert await address_of(tls_sha256="0" * 64) == "bad"
    other = realm.nodes[POLICE].local.settings.peer_url
    assert await address_of(peer_url=other) == "bad"
    assert await address_of(peer_url=f"https://127.0.0.1:{free_port()}") == "warn"
    assert await address_of(peer_url="https://[") == "bad"


async def test_a_member_s_operator_asks_on_a_page_and_coordinators_can_take_the_file_in(office: Office):
    province = office.realm.nodes[PROVINCE]
    async with province.local.pool.connection() as db:
        operator = acting(await a_person(db, "van", Role.OPERATOR, member=PROVINCE))
        officer = acting(await a_person(db, "hoa", Role.DATA_OFFICER, member=PROVINCE))
        stranger = acting(await a_person(db, "la", Role.OPERATOR, member=POLICE))
    coordinator, desk = await office.person("lan", Role.COORDINATOR), NodeAskDesk(province.local)
    office.app.router.routes[:0] = ask_pages(desk)(Shell(secret=b"k" * 32)).routes

    office.actor = officer
    assert (await office.web.get("/work/ask")).status_code == 403
    office.actor = operator
    files = [
        await office.send("/work/ask", kind="key"),
        await office.send("/en/work/ask", kind="certificate"),
        await office.send("/work/ask", kind="close", day="01/01/2027", successor=POLICE),
    ]
    without = await office.send("/work/ask", kind="close")
    taken = [await office.desk.submit(each.content, coordinator) for each in files]
    read = [await office.desk.one(each.id, coordinator) for each in taken]

    assert without.status_code == 422
    assert [each.kind for each in taken] == ["key", "certificate", "close"]
    assert all("attachment" in each.headers["Content-Disposition"] for each in files)
    assert all(each is not None and "bad" not in {check.grade for check in each.checks} for each in read)
    (deed,) = ask_deeds(desk)
    assert deed.by_screen_alone
    assert set(await deed.do(operator, Wish(kind="key"))) == {"request"}
    with pytest.raises(ChangeRefused):
        await desk.ask(stranger, Wish(kind="key"))


async def test_the_coordinators_pages_keep_the_rules_of_access(office: Office):
    office.actor = await office.person("lan", Role.COORDINATOR)
    asked = request_of(office.realm.nodes[PROVINCE], "close", successor=POLICE, day="2027-01-01")
    change = await office.desk.submit(asked, office.actor)
    await office.desk.approve(change.id, office.actor)
    port, said = free_port(), list[str]()
    listener = await serve_app(office.app, "127.0.0.1", port)
    async with asyncio.timeout(300), open_chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(120_000)
        await page.add_init_script(AXE)
        for prefix, width, theme in (("", 360, "dark"), ("/en", 1280, "light")):
            await page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            await page.set_viewport_size({"width": width, "height": 800})
            for path in ("/work/changes", "/work/changes/new", f"/work/changes/{change.id}"):
                await page.goto(f"http://127.0.0.1:{port}{prefix}{path}")
                said += [f"{prefix}{path}: {each}" for each in await breaches(page)]
                wide = await page.evaluate("document.documentElement.scrollWidth")
                said += [f"{prefix}{path}: {wide} wide"] if wide > width else []
    await listener.stop(1.0)

    assert not said, "\n".join(said)
