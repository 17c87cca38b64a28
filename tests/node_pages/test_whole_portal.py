"""The portal as it is composed for real: every page of its routing table, and what the public rooms say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urljoin
from xml.etree import ElementTree

import aiohttp
import orjson
import psycopg
import pytest
import pytest_asyncio
import vl_convert
from playwright.async_api import Page
from starlette.routing import BaseRoute, Route

from lienthong.identity.models import Role
from lienthong.storage.server import PostgresServer
from tests.identity.build import PASSWORD, a_person
from tests.node_pages.addresses import EXAMPLES, addresses_of, pages_of, without_example
from tests.node_pages.country import NODES, Site, open_country
from tests.node_pages.whole import UNIT, Portal, open_portal, publish_units
from tests.portal.axe import AXE, breaches, open_chromium
from tests.portal.test_pages import Seen
from tests.use.databases import databases
from tests.use.test_use import a_wish

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="module")]
LARGEST = 200_000
SVG = "{http://www.w3.org/2000/svg}"
ROOMS = ("/work", "/account", "/persons", "/approvals", "/audit", "/mine", "/cases")


@dataclass
class Shown:
    """The national node's portal, what stands in its addresses, and a client."""

    portal: Portal
    addresses: list[str]
    web: aiohttp.ClientSession

    site: Site

    async def read(self, address: str, accept: str = "text/html") -> tuple[int, bytes]:
        async with self.web.get(self.portal.url + address, headers={"Accept": accept}) as answer:
            return answer.status, await answer.read()

    async def told(self, address: str) -> dict[str, Any]:
        status, body = await self.read(address, "application/json")
        assert status == 200, body
        return orjson.loads(body)


@pytest_asyncio.fixture(loop_scope="module", scope="module")
async def shown(pg_server: PostgresServer, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Shown]:
    with databases(pg_server, len(NODES)) as dsns:
        async with open_country(dsns, tmp_path_factory.mktemp("country")) as country:
            used = await country.use(a_wish())
            async with country.police.local.pool.connection() as db:
                agreed = await (await db.execute("SELECT digest FROM agreement")).fetchone()
            async with open_portal(country.police) as portal, aiohttp.ClientSession() as web:
                held = {"agreement": str(agreed[0]).removeprefix("sha-256:"), "record": used.peer_record}
                await publish_units(country.police)
                yield Shown(portal, addresses_of(portal.app, **held), web, country.police)


async def test_every_page_of_the_routing_table_has_an_address_here_and_no_address_is_left_over(shown: Shown):
    assert without_example(shown.portal.app) == []
    assert set(EXAMPLES) <= set(pages_of(shown.portal.app))


WAYS = (("", 360, "dark"), ("/en", 1280, "light"))
"""Each language has its theme and its width: what differs between languages does not hang on either."""


async def faults_of(page: Page, base: str, addresses: list[str], shown_as: str = "") -> list[str]:
    """What is wrong with the pages at ``addresses``, each looked at in both ways."""
    said: list[str] = []
    seen: set[tuple[str, str]] = set()
    page.on("console", lambda message: said.append(message.text) if "Content Security" in message.text else None)
    for address, size, theme in [(prefix + each, size, theme) for prefix, size, theme in WAYS for each in addresses]:
        await page.emulate_media(color_scheme=theme)
        await page.set_viewport_size({"width": size, "height": 900})
        await page.goto(base + address)
        if (page.url, theme) in seen:  # several pages led to the same one: to sign in first
            continue
        seen.add((page.url, theme))
        said += [f"{shown_as}{address} ({theme}): {each}" for each in await breaches(page)]
        width = await page.evaluate("document.documentElement.scrollWidth")
        said += [f"{shown_as}{address}: {width} wide where {size} are"] if width > size else []
    return said


async def test_every_page_keeps_the_rules_of_access_in_both_languages_and_both_themes(shown: Shown):
    async with open_chromium() as browser:
        page = await browser.new_page()
        await page.add_init_script(AXE)
        said = await faults_of(page, shown.portal.url, shown.addresses)

    assert not said, "\n".join(said)


async def test_the_rooms_of_those_who_work_here_keep_them_too(shown: Shown):
    staff = (Role.OPERATOR, Role.DATA_OFFICER, Role.CASE_OFFICER, Role.INTEGRATOR, Role.AUDITOR)
    async with shown.site.local.pool.connection() as db:
        member = shown.site.local.settings.members[0]
        await a_person(db, "hoa", *staff, member=member, password=PASSWORD)
    rooms = [each for each in shown.addresses if each.startswith(ROOMS)]
    async with open_chromium() as browser:
        page = await browser.new_page()
        page.set_default_timeout(120_000)
        await page.add_init_script(AXE)
        await page.goto(shown.portal.url + "/login/staff?next=/account")
        await page.fill("#f-login", "hoa")
        await page.fill("#f-password", PASSWORD)
        await page.click("form[action$='/login/staff'] button")
        await page.wait_for_url(re.compile(r"//[^/]+/account$"))
        offered = await page.eval_on_selector_all(
            "nav a[href]", "links => links.map(link => link.getAttribute('href'))"
        )
        said = await faults_of(page, shown.portal.url, rooms, "signed in: ")

    assert {"/work", "/work/services", "/work/requests", "/persons", "/approvals"} <= set(offered)
    assert not said, "\n".join(said)


async def test_every_page_is_small_and_whole_without_script_and_asks_no_other_host(shown: Shown):
    faults: list[str] = []
    for address in [prefix + each for each in shown.addresses for prefix in ("", "/en")]:
        status, body = await shown.read(address)
        seen = Seen(body.decode())
        tags = [tag for tag, _ in seen.tags]
        loaded = [found.get("src") for tag, found in seen.tags if tag in ("img", "script")]
        loaded += [found.get("href") for tag, found in seen.tags if tag == "link" and found.get("rel") != "alternate"]
        loaded += [found.get("srcset") for tag, found in seen.tags if tag == "source"]
        weight = len(body)
        for each in {urljoin("/", link) for link in loaded if link}:
            if not each.startswith("/") or each.startswith("//"):
                faults.append(f"{address} asks {each}")
            elif not each.endswith(".svg") or each.startswith("/static"):
                weight += len((await shown.read(each))[1])
        inline = [found for _, found in seen.tags if "style" in found or any(name.startswith("on") for name in found)]
        if status >= 500 or tags.count("h1") != 1 or inline or weight > LARGEST:
            faults.append(f"{address}: status {status}, h1 {tags.count('h1')}, inline {inline}, {weight} bytes")
        if re.search(r"<script(?![^>]*\ssrc=)", body.decode()):
            faults.append(f"{address}: a script in the page")

    assert not faults, "\n".join(faults)


async def test_no_page_sets_an_identifier_for_somebody_who_does_not_sign_in(shown: Shown):
    """R-61: nothing that could track what a visitor reads."""
    for address in shown.addresses:
        async with shown.web.get(shown.portal.url + address, headers={"Accept": "text/html"}) as answer:
            assert "Set-Cookie" not in answer.headers, address


async def test_the_page_of_a_member_shows_its_one_focal_contact(shown: Shown):
    """R-06: name, position, phone and e-mail, public."""
    told = (await shown.told("/v1/members/VN/GOV/H24"))["contact"]
    page = (await shown.read("/en/members/VN/GOV/H24"))[1].decode()

    assert set(told) == {"name", "position", "phone", "email"}
    assert all(each in page for each in told.values())


async def test_every_figure_can_be_recomputed_from_the_question_it_shows_and_from_the_tables_below(shown: Shown):
    home = Seen((await shown.read("/en/"))[1].decode())

    for _ in range(60):  # records may come in between the page and the tables: then both are asked again
        figures = {each["key"]: each for each in (await shown.told("/v1/figures"))["figures"]}
        with psycopg.connect(shown.site.local.dsns.owner) as db:
            db.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
            asked = {key: db.execute(each["sql"]).fetchone() for key, each in figures.items()}
            records = db.execute("SELECT outcome, reason FROM entry").fetchall()
            services = db.execute("SELECT description, enabled FROM service").fetchall()
            agreements = db.execute("SELECT count(*) FROM agreement").fetchone()
        if {key: (each["value"],) for key, each in figures.items()} == asked:
            break
        await asyncio.sleep(0.5)

    counted = [outcome for outcome, reason in records if not (reason or "").startswith("closed")]
    assert {key: (each["value"],) for key, each in figures.items()} == asked
    assert figures["records"]["value"] == len(counted) > 0
    assert figures["refused"]["value"] == counted.count("refused")
    assert figures["services"]["value"] == sum(told["sharing"] != "private" for told, enabled in services if enabled)
    assert (figures["agreements"]["value"],) == agreements
    links = {found.get("href") for tag, found in home.tags if tag == "a"}
    assert {f"/en/figures/{key}" for key in figures} <= links


async def test_a_figure_shows_its_view_its_question_and_its_moment(shown: Shown):
    page = Seen((await shown.read("/en/figures/records"))[1].decode())

    assert "SELECT coalesce(sum(records), 0)::bigint FROM stat_record" in page.text
    assert "FROM entry" in page.text
    assert [tag for tag, _ in page.tags].count("time") == 1


@pytest.mark.parametrize(
    ("address", "status", "kind"),
    [
        ("/v1/members/VN/GOV/G99", 404, "member-not-here"),
        ("/v1/services/VN/GOV/G99/a/b", 404, "service-not-here"),
        ("/figures/nothing", 404, "figure-not-here"),
        ("/pictures/nothing.vi.light.svg", 404, "no-picture"),
        ("/pictures/calls.fr.light.svg", 404, "no-picture"),
        ("/v1/members?day=31/12/2026", 400, "not-a-day"),
        ("/v1/legal?day=1066-10-14", 400, "not-a-day"),
        ("/v1/members.xlsx?day=%3Cscript%3E", 400, "not-a-day"),
    ],
)
async def test_what_is_not_there_is_said_to_be_not_there(shown: Shown, address: str, status: int, kind: str):
    answered, body = await shown.read(address, "application/json")

    assert (answered, orjson.loads(body)["type"]) == (status, f"urn:lienthong:problem:{kind}")


async def test_a_province_that_was_merged_finds_the_member_that_follows_it(shown: Shown):
    page = (await shown.read(f"/en/members?q={quote('Hải Dương')}"))[1].decode()
    told = await shown.told(f"/v1/members?q={quote('hai duong')}")

    assert "Tỉnh Hải Dương has been part of Thành phố Hải Phòng since 1 July 2025" in page
    assert [row["id"] for row in told["rows"]] == ["VN/GOV/H24"]


async def test_the_tree_holds_the_provinces_of_the_day_asked_for(shown: Shown):
    now = (await shown.read("/members"))[1].decode()
    before = (await shown.read("/members?day=2025-06-30"))[1].decode()

    assert "Tỉnh Hải Dương" not in now
    assert "Tỉnh Hải Dương" in before
    assert "Tỉnh Bình Dương" in before
    assert 'href="/members/VN/GOV/H24"' in now


async def test_an_open_table_can_be_tried_without_script_and_a_service_under_agreement_not(shown: Shown):
    tried = Seen((await shown.read(f"/en/services/{UNIT}?try=1&level=province"))[1].decode())
    closed = Seen((await shown.read("/en/services/VN/GOV/G01/dancu/citizen?try=1"))[1].decode())

    assert "Hải Phòng" in tried.text
    assert "Điện Biên" in tried.text
    assert "=1+1" not in tried.text
    assert "This service can be used under an agreement only" in closed.text
    assert "Nguyễn Thị Bình" not in closed.text


async def test_a_services_documentation_says_what_its_openapi_says(shown: Shown):
    described = await shown.told(f"/v1/services/{UNIT}/openapi.json")
    page = Seen((await shown.read(f"/en/services/{UNIT}"))[1].decode())

    for path, methods in described["paths"].items():
        for method, told in methods.items():
            assert f"{method.upper()} {path}" in page.text
            assert all(each["description"] in page.text for each in told["responses"].values())


async def test_every_list_is_json_a_workbook_and_csv_beside_its_page(shown: Shown):
    for path in ("members", "nodes", "live", "legal"):
        told = await shown.told(f"/v1/{path}?per_page=500")
        assert told["rows"], path
        csv_lines = (await shown.read(f"/v1/{path}.csv"))[1].decode("utf-8-sig")
        status, book = await shown.read(f"/v1/{path}.xlsx?lang=en")
        assert (status, book[:2]) == (200, b"PK")
        assert csv_lines.count("\r\n") >= told["total"]
        assert f"/v1/{path}.xlsx" in (await shown.read(f"/{path}"))[1].decode()


async def test_the_log_page_tells_the_log_and_the_status_page_what_is_wrong(shown: Shown):
    journal, status = await shown.told("/v1/journal"), await shown.told("/v1/status")
    page = Seen((await shown.read("/en/status"))[1].decode())

    assert journal["checkpoint"]["size"] > 0
    assert status["status"] in ("ok", "degraded")
    wrong = [part for part in status["parts"] if part["state"] != "ok"]
    assert all(part["detail"] for part in wrong)
    assert ("Everything works." in page.text) is not bool(wrong)


@pytest.mark.parametrize("name", ["calls", "graph", "map"])
async def test_a_picture_is_drawn_in_the_sandbox_and_its_figures_stand_in_a_table(shown: Shown, name: str):
    status, drawn = await shown.read(f"/pictures/{name}.vi.dark.svg")
    page = (await shown.read("/pictures"))[1].decode()

    assert (status, drawn[:4]) == (200, b"<svg")
    assert b"<script" not in drawn
    assert b"http://" not in drawn.replace(b"http://www.w3.org/", b"")
    assert f'id="table-{name}"' in page
    if name == "graph":
        assert "Hải Phòng".encode() in drawn


@pytest.mark.parametrize("asked", ["", "?q=ca+mau"], ids=["all", "without their provinces"])
@pytest.mark.parametrize("language", ["vi", "en"])
async def test_every_map_that_can_be_taken_away_shows_both_archipelagos(shown: Shown, language: str, asked: str):
    """Found in the routing table, so that a map made later is looked at too."""
    names = (
        ("Quần đảo Hoàng Sa", "Quần đảo Trường Sa")
        if language == "vi"
        else ("Hoàng Sa Archipelago", "Trường Sa Archipelago")
    )
    provinces = ("Thành phố Đà Nẵng", "Tỉnh Khánh Hòa")
    maps = sorted({path.split(".")[0] for path in map(_path, shown.portal.app.routes) if path.startswith("/maps/")})
    assert {"/maps/coverage", "/maps/members"} <= set(maps)
    for path in maps:
        told = orjson.loads((await shown.read(f"{path}.{language}.geojson{asked}"))[1])
        islands = [each["properties"] for each in told["features"] if each["properties"]["kind"] == "archipelago"]
        assert tuple(each[f"name_{language}"] for each in islands) == names
        assert tuple(each["province_vi"] for each in islands) == provinces
        assert len(told["features"]) == (34 + 2 if not asked else 1 + 2)
        if asked and path != maps[0]:
            continue  # one drawing door serves all maps; what a search leaves out is asked of one

        status, drawn = await shown.read(f"{path}.{language}.svg{asked}")
        root = ElementTree.fromstring(drawn)
        words = {text.text for text in root.iter(f"{SVG}text")}
        assert status == 200
        assert {*names, *(f"({each})" for each in provinces)} <= words
        status, dots = await shown.read(f"{path}.{language}.png{asked}")
        assert (status, dots[:8]) == (200, b"\x89PNG\r\n\x1a\n")
        small = vl_convert.svg_to_png(ElementTree.tostring(root, "unicode"), scale=0.5)
        for name, province in zip(names, provinces, strict=True):
            begun = f"{name} ({province}): "
            (island,) = (mark for mark in root.iter(f"{SVG}path") if mark.get("aria-label", "").startswith(begun))
            shape = island.get("d", "")
            island.set("d", "")
            assert vl_convert.svg_to_png(ElementTree.tostring(root, "unicode"), scale=0.5) != small, (path, name)
            island.set("d", shape)
        assert vl_convert.svg_to_png(ElementTree.tostring(root, "unicode"), scale=2.0) == dots


def _path(route: BaseRoute) -> str:
    return route.path if isinstance(route, Route) else ""


async def test_who_chose_dark_keeps_it_and_is_led_back_to_this_portal_alone(shown: Shown):
    choose = shown.portal.url + "/en/theme"
    async with shown.web.post(choose, data={"to": "dark", "back": "/en/legal?q=a"}, allow_redirects=False) as answer:
        assert (answer.status, answer.headers["Location"]) == (303, "/en/legal?q=a")
        assert "dark" in answer.headers["Set-Cookie"]
    async with shown.web.get(shown.portal.url + "/", headers={"Cookie": "theme=dark", "Accept": "text/html"}) as page:
        assert 'data-theme="dark"' in await page.text()
    for elsewhere in (
        "https://elsewhere.example/",
        "//elsewhere.example",
        "/\\elsewhere.example",
        "javascript:alert(1)",
    ):
        async with shown.web.post(choose, data={"to": "x", "back": elsewhere}, allow_redirects=False) as answer:
            assert answer.headers["Location"] == "/"
