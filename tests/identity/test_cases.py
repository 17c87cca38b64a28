"""Cases on pages: counted for everybody, read and moved by those concerned, a no only with reason and provision."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import dataclass

import httpx
import pytest

from lienthong.cases.opening import Wish, open_case
from lienthong.cases.queries import case_by_id, events_of
from lienthong.identity.models import Role
from lienthong.portal.cases import case_pages
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.seal import Seal
from tests.identity.build import ELSEWHERE, HERE, NOW, a_person, acting
from tests.identity.portal import Small, send, small_portal
from tests.portal.axe import AXE, breaches, open_chromium

HOSTILE = "<script>alert(1)</script>\u202e đảo\u200b"


@dataclass
class Desk:
    """A portal with one access request: who opened it, and the officer who handles it."""

    small: Small
    case: str
    opener: httpx.AsyncClient
    officer: httpx.AsyncClient

    @property
    def path(self) -> str:
        return f"/cases/{self.case}"

    async def act(self, browser: httpx.AsyncClient, **fields: str) -> httpx.Response:
        shown = await browser.get(self.path)
        version = re.search(r'name="version" value="(\d+)"', shown.text)
        return await send(browser, self.path, {"version": version[1] if version else "1", **fields})


@pytest.fixture
async def desk(emptied: DatabaseDsns) -> AsyncIterator[Desk]:
    async with small_portal(emptied.app, more=lambda small: [case_pages(small.pool, Seal(b"s" * 32))]) as small:
        async with reading(small.pool) as db:
            opener = await a_person(db, "an", Role.INTEGRATOR, member=ELSEWHERE)
            await a_person(db, "hoa", Role.DATA_OFFICER)
            await a_person(db, "la", Role.DATA_OFFICER, member="VN/GOV/G01")
            wish = Wish("access-request", HERE, "Xin dùng bảng dân số", f"Để cấp thẻ {HOSTILE}")
            case = await open_case(db, wish, by=acting(opener), now=NOW)
        yield Desk(small, case.id, await small.signed_in("an"), await small.signed_in("hoa"))


async def test_a_case_is_read_answered_and_refused_only_with_reason_and_provision(desk: Desk) -> None:
    shown = await desk.officer.get(desk.path)
    assert "Xin dùng bảng dân số" in shown.text
    assert "<script>alert" not in shown.text
    assert "\u202e" not in shown.text
    step = re.findall(r'<option value="([a-z-]+)"', shown.text)
    if "refused" not in step:
        taken = await desk.act(desk.officer, verb="move", target=step[0])
        assert taken.status_code == 303, taken.text

    bare = await desk.act(desk.officer, verb="move", target="refused", reason="Dữ liệu mật", text="giữ lại")
    assert bare.status_code == 422
    assert "giữ lại" in bare.text, "what was typed stays"
    async with reading(desk.small.pool) as db:
        before = await case_by_id(db, desk.case)
    assert before is not None
    assert before.state != "refused"

    done = await desk.act(
        desk.officer, verb="move", target="refused", reason="Dữ liệu mật", provision="Luật 91/2025/QH15, Đ19"
    )
    assert done.status_code == 303, done.text
    told = (await desk.opener.get(desk.path)).text
    assert "Luật 91/2025/QH15, Đ19" in told
    assert 'name="verb"' not in told, "it has ended"


async def test_both_sides_write_and_a_second_officer_who_read_an_older_version_is_told(desk: Desk) -> None:
    asked = await desk.act(desk.opener, verb="answer", text="Còn bao lâu?")
    assert asked.status_code == 303
    page = await desk.officer.get(desk.path)
    version = re.search(r'name="version" value="(\d+)"', page.text)
    assert version
    first, second = [
        await send(desk.officer, desk.path, {"version": version[1], "verb": "answer", "text": f"Lời {number}"})
        for number in (1, 2)
    ]
    assert (first.status_code, second.status_code) == (303, 409)
    assert "Lời 2" in second.text, "nothing typed is lost"
    async with reading(desk.small.pool) as db:
        events = await events_of(db, desk.case)
    assert [event.text for event in events][1:] == ["Còn bao lâu?", "Lời 1"]


async def test_the_clock_is_extended_once_or_paused_by_the_handler_alone(desk: Desk) -> None:
    refused = await desk.act(desk.opener, verb="pause", reason="x")
    assert refused.status_code == 403
    unknown = await desk.act(desk.officer, verb="burn", reason="x")
    assert unknown.status_code == 422
    nothing = await desk.act(desk.officer, verb="answer", text=" \u200b ")
    assert nothing.status_code == 422
    nowhere = await desk.act(desk.officer, verb="move", target="sold")
    assert nowhere.status_code == 409


async def test_the_opener_is_offered_to_add_what_the_pause_waits_for(desk: Desk) -> None:
    assert (await desk.act(desk.officer, verb="pause", reason="Chờ bổ sung")).status_code == 303
    assert 'value="answer"' in (await desk.opener.get(desk.path)).text
    assert 'value="answer"' not in (await desk.officer.get(desk.path)).text
    assert (await desk.act(desk.opener, verb="answer", text="Xin gửi kèm")).status_code == 303


async def test_others_learn_nothing_not_even_that_there_is_a_case(desk: Desk) -> None:
    stranger, nobody = await desk.small.signed_in("la"), desk.small.browser()
    for path in (desk.path, "/cases/0123456789abcdef", "/cases/%2e%2e"):
        assert (await stranger.get(path)).status_code == 404, path
    login = await nobody.get(desk.path)
    assert login.status_code in (302, 303, 401)
    listed = await nobody.get("/cases")
    assert "Xin dùng bảng dân số" not in listed.text
    assert HERE in listed.text
    [count] = (await nobody.get("/v1/cases")).json()["rows"]
    assert (count["running"], count["ended"]) == (1, 0)


async def test_the_pages_have_no_fault_that_axe_finds(desk: Desk) -> None:
    async with open_chromium() as browser:
        page = await browser.new_page(viewport={"width": 360, "height": 800}, color_scheme="dark")
        await page.add_init_script(AXE)
        cookies = [
            {"name": each.name, "value": each.value or "", "url": desk.small.url} for each in desk.officer.cookies.jar
        ]
        await page.context.add_cookies(cookies)  # type: ignore[arg-type]
        await page.goto(desk.small.url + desk.path)
        assert await page.locator("form[action$='" + desk.path + "']").count() == 1
        assert await breaches(page) == []
        assert await page.evaluate("document.documentElement.scrollWidth") <= 360
