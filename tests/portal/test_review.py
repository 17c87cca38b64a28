"""Reviewing records on pages: four eyes, nobody else's, a line in the audit for each look, nothing in addresses."""

from __future__ import annotations

import asyncio
import csv
import re
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette

from lienthong.entities.link import match
from lienthong.entities.store import Store
from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.identity.queries import acts_of
from lienthong.linkage.matching.columns import FIELDS, Matching
from lienthong.node.reviewdesk import NodeReviewDesk
from lienthong.portal.app import create_portal
from lienthong.portal.review import review_pages
from lienthong.portal.shell import Shell
from lienthong.storage.pool import Pool, open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.web import install
from tests.portal import sample
from tests.portal.axe import AXE, breaches, open_chromium
from tests.portal.signed import SignedIn

MEMBER = "VN/GOV/G01"
NAME, OTHER_NAME, NUMBER = "Nguyễn Thị Hoà An", "Nguyễn Thị Hoà Anh", "031184123456"
PEOPLE = [
    {"record": "ho-so-1", "name": NAME, "birth": "1984-03-12", "gender": "nữ", "phone": "0912345678", "unit": "11344",
     "street": "12 Lê Lợi", "number": NUMBER},
    {"record": "ho-so-2", "name": OTHER_NAME, "birth": "1984", "gender": "nữ", "unit": "11344",
     "street": "12 Lê Lợi"},
    {"record": "ho-so-3", "name": "Trần Văn Bình", "birth": "1990-01-01", "gender": "nam"},
]  # fmt: skip


def officer(person: str, member: str = MEMBER, role: Role = Role.DATA_OFFICER) -> Actor:
    return Actor(person, "Nguyễn Thị Bình", member, frozenset({role}), Assurance.TWO_FACTORS, f"s-{person}")


@dataclass
class Room:
    """Browsers of officers and the node behind them; whoever stands last in ``signed_in`` is looking."""

    client: httpx.AsyncClient
    site: Starlette
    pool: Pool
    signed_in: list[Actor]

    async def open(self, path: str, status: int = 200) -> str:
        answer = await self.client.get(path)
        assert answer.status_code == status, answer.text
        return answer.text

    async def send(self, path: str, page: str = "", **typed: str) -> httpx.Response:
        """Fill in a form of ``page``, by default the one at ``path``."""
        page = page or await self.open(path)
        hidden: dict[str, str] = dict(re.findall(r'type="hidden" name="(token|form_key)" value="([^"]*)"', page))
        return await self.client.post(path, data=hidden | typed)


@asynccontextmanager
async def a_room(database: DatabaseDsns, folder: Path) -> AsyncIterator[Room]:
    pool, shell = await open_pool(database.app), Shell(secret=b"k" * 32)
    desk = NodeReviewDesk(pool, folder, MEMBER)
    site = Starlette(routes=create_portal(sample.SampleData(), shell, [review_pages(desk)]))
    install(site, error_page=shell.error_page)
    signed_in = [officer("p-an")]
    transport = httpx.ASGITransport(SignedIn(site, signed_in), raise_app_exceptions=False)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://portal.example", headers={"accept": "text/html"}
    ) as client:
        yield Room(client, site, pool, signed_in)
    await pool.close()


@pytest.fixture
async def room(database: DatabaseDsns, tmp_path: Path) -> AsyncIterator[Room]:
    file = tmp_path / "dat-dai.csv"
    with file.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, FIELDS, restval="")
        writer.writeheader()
        writer.writerows({"source": "dat-dai", **person} for person in PEOPLE)
    with Store(tmp_path / "state") as store:
        match(store, Matching(automatic=0.9999, review=0.0001), [file])
        assert store.all("SELECT a, b FROM grey") == [(0, 1)]
    async with a_room(database, tmp_path / "state") as running:
        yield running


async def test_two_officers_join_a_pair_and_two_undo_it(room: Room) -> None:
    listed = await room.open("/en/work/review")
    assert "/en/work/review/pairs/0-1" in listed
    assert NAME not in listed
    shown = await room.open("/en/work/review/pairs/0-1")
    assert NAME in shown
    assert OTHER_NAME in shown
    assert NUMBER in shown
    assert "Two entities" in shown

    first = await room.send("/en/work/review/pairs/0-1", verdict="same")
    again = await room.send("/en/work/review/pairs/0-1", verdict="same")
    assert [first.headers["location"], again.headers["location"]] == ["/en/work/review/pairs/0-1?done=kept"] * 2
    assert "You have spoken" in await room.open("/en/work/review")

    room.signed_in.append(officer("p-binh"))
    assert "Waits for a second person" in await room.open("/en/work/review")
    before = await room.open("/en/work/review/pairs/0-1")
    assert "Somebody has spoken before you" in before
    assert "You have said" not in before
    second = await room.send("/en/work/review/pairs/0-1", verdict="same")
    assert second.headers["location"].endswith("?done=counts")
    joined = await room.open(second.headers["location"])
    assert "One entity" in joined
    whole = await room.open("/en/work/review/records/1")
    assert NUMBER in whole
    assert OTHER_NAME in whole
    assert "No pair waits" in await room.open("/en/work/review")

    wanted = await room.send("/en/work/review/records/1", number="1")
    assert wanted.headers["location"].endswith("?done=kept")
    assert "You want it undone" in await room.open("/en/work/review/records/1")
    room.signed_in.append(officer("p-an"))
    assert "Waits for a second person" in await room.open("/en/work/review/records/1")
    undone = await room.send("/en/work/review/records/1", number="1")
    assert undone.headers["location"].endswith("?done=counts")
    parted = await room.open("/en/work/review/records/1")
    assert NUMBER not in parted
    assert OTHER_NAME in parted
    assert "Two entities" in await room.open("/en/work/review/pairs/0-1")
    open_page = await room.open("/en/work/review")
    late = await room.send("/en/work/review/records/1", open_page, number="1")
    assert late.status_code == 422
    assert "There is no change 1 to undo" in late.text


async def test_every_look_and_word_is_in_the_audit_and_no_person_is(room: Room) -> None:
    await room.open("/work/review")
    await room.open("/work/review/pairs/0-1")
    await room.open("/work/review/records/2")
    await room.send("/work/review/pairs/0-1", verdict="different")
    await room.send("/work/review", deed="find", name=NAME, number=NUMBER)

    async with room.pool.connection() as db:
        acts = await acts_of(db, MEMBER, None, 20)
    assert [(act.person, act.act, act.object) for act in reversed(acts)] == [
        ("p-an", "records.read", "0-1"),
        ("p-an", "records.read", "2"),
        ("p-an", "records.read", "0-1"),  # the page with the form
        ("p-an", "records.judged", "0-1"),
        ("p-an", "records.looked-up", ""),
    ]
    assert not re.search("Nguyễn|0311|ho-so", str(acts))


async def test_only_data_officers_of_this_member_see_anything(room: Room) -> None:
    paths = ("/work/review", "/work/review/pairs/0-1", "/work/review/records/1")
    strangers = [
        officer("p-2", "VN/GOV/H24"), *(officer("p-3", role=role) for role in Role if role is not Role.DATA_OFFICER),
    ]  # fmt: skip
    for stranger in strangers:
        room.signed_in.append(stranger)
        for path in paths:
            assert NAME not in await room.open(path, 403)
            assert (await room.client.post(path, data={"verdict": "same", "number": "1"})).status_code == 403
    room.signed_in.append(ANONYMOUS)
    for path in paths:
        assert NAME not in await room.open(path, 401)

    async with room.pool.connection() as db:
        assert await acts_of(db, MEMBER, None, 20) == []


async def test_what_is_typed_leads_to_numbers_and_stands_in_no_address(room: Room) -> None:
    two = await room.send("/work/review", deed="compare", first="ho-so-3", second="dat-dai/ho-so-1")
    found = await room.send("/en/work/review", deed="find", name=NAME, birth="1984-03-12")
    nobody = await room.send("/en/work/review", deed="find", name="Không Ai Cả")
    empty = await room.send("/work/review", deed="find")
    unknown = await room.send("/en/work/review", deed="compare", first="ho-so-3", second="ho-so-77")

    assert (two.status_code, two.headers["location"]) == (303, "/work/review/pairs/0-2")
    assert found.status_code == 200
    assert "/en/work/review/records/0" in found.text
    assert "Nobody like that" in nobody.text
    assert empty.status_code == 422
    assert unknown.status_code == 422
    assert "0 records are called ho-so-77" in unknown.text


async def test_what_is_not_there_is_said_and_changes_nothing(room: Room) -> None:
    for path in ("pairs/0-9", "pairs/1-1", "pairs/x", "pairs/1-99999999999", "records/9", "records/x", "records/-1"):
        answer = await room.client.get(f"/work/review/{path}", headers={"accept": "application/json"})
        assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (404, "matching-unknown"), path
    wrong = await room.send("/work/review/pairs/0-1", verdict="perhaps")
    foreign = await room.client.post(
        "/work/review/pairs/0-1", data={"verdict": "same"}, headers={"origin": "http://evil.example"}
    )
    stale = await room.client.post("/work/review/pairs/0-1", data={"verdict": "same"})

    assert (wrong.status_code, foreign.status_code, stale.status_code) == (422, 403, 422)
    assert "Nobody has looked" in await room.open("/en/work/review")


async def test_a_node_that_matched_nothing_says_so(database: DatabaseDsns, tmp_path: Path) -> None:
    async with a_room(database, tmp_path / "none") as room:
        assert "Nothing was matched here yet" in await room.open("/en/work/review")
    assert not (tmp_path / "none").exists()


@pytest.mark.e2e
async def test_the_pages_hold_to_the_rules_of_accessibility(room: Room) -> None:
    with socket.create_server(("127.0.0.1", 0)) as door:
        config = uvicorn.Config(SignedIn(room.site, room.signed_in), log_config=None, lifespan="off")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[door]))
        base = f"http://127.0.0.1:{door.getsockname()[1]}"
        found: dict[str, list[str]] = {}
        async with open_chromium() as browser:
            page = await browser.new_page()
            await page.add_init_script(AXE)
            for path in ("/work/review", "/work/review/pairs/0-1", "/work/review/records/0"):
                for width in (360, 1280):
                    await page.set_viewport_size({"width": width, "height": 900})
                    await page.goto(base + path)
                    wide = await page.evaluate("document.documentElement.scrollWidth")
                    found[f"{path} {width}"] = [*await breaches(page), *([f"{wide} wide"] if wide > width else [])]
        server.should_exit = True
        await serving

    assert {path: said for path, said in found.items() if said} == {}
