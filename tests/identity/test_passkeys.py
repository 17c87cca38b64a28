"""Passkeys in Chromium with its virtual authenticator, and the pages of identity looked at by axe."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import pytest
from playwright.async_api import Page

from lienthong.identity import passkeys, queries
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Role
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import HERE, NOW, PASSWORD, a_person, acting, approvals
from tests.identity.portal import Small, small_portal
from tests.portal.axe import AXE, breaches, open_chromium

ACCOUNT = re.compile(r"//[^/]+/account$")  # the address itself: /login/staff?next=/account ends so too
AUTHENTICATOR = {
    "protocol": "ctap2", "transport": "internal", "hasResidentKey": True, "hasUserVerification": True,
    "isUserVerified": True, "automaticPresenceSimulation": True,
}  # fmt: skip


@pytest.fixture
async def small(emptied: DatabaseDsns) -> AsyncIterator[Small]:
    async with small_portal(emptied.app) as portal:
        async with reading(portal.pool) as db:
            portal.one = (await a_person(db, "hoa", Role.OPERATOR, password=PASSWORD)).id
        yield portal


@pytest.fixture
async def page() -> AsyncIterator[Page]:
    async with open_chromium() as browser:
        opened = await browser.new_page()
        opened.set_default_timeout(120_000)
        yield opened


async def _authenticator(page: Page, **more: Any) -> Any:
    devtools = await page.context.new_cdp_session(page)
    await devtools.send("WebAuthn.enable")
    made = await devtools.send("WebAuthn.addVirtualAuthenticator", {"options": AUTHENTICATOR | more})
    return devtools, made["authenticatorId"]


def _here(small: Small) -> str:
    """Passkeys are bound to a name, so the page is opened under the loopback's."""
    return small.url.replace("127.0.0.1", "localhost")


async def _with_password(page: Page, small: Small) -> None:
    await page.goto(_here(small) + "/login/staff?next=/account")
    await page.fill("#f-login", "hoa")
    await page.fill("#f-password", PASSWORD)
    await page.click("form[action$='/login/staff'] button")


async def test_a_passkey_is_added_then_opens_the_account_alone_and_after_the_password(small: Small, page: Page):
    await _authenticator(page)
    await _with_password(page, small)
    await page.fill("#f-label", "điện thoại")
    await page.click("form[data-passkey=create] button")
    await page.wait_for_selector("text=điện thoại")
    await page.click("form[action$='/logout'] button")
    await page.wait_for_url("**/")

    await page.goto(_here(small) + "/login/staff?next=/account")
    await page.click("form[data-passkey=get] button")
    await page.wait_for_url(ACCOUNT)
    assert "hai yếu tố" in await page.inner_text("main")
    await page.click("form[action$='/logout'] button")
    await page.wait_for_url("**/")

    await _with_password(page, small)
    assert await page.locator("form[data-passkey=get]").count() == 1, "the password alone opens nothing any more"
    cookies = await page.context.cookies()
    assert not [cookie for cookie in cookies if cookie["name"] == "session"]
    await page.click("form[data-passkey=get] button")
    await page.wait_for_url(ACCOUNT)
    assert "hai yếu tố" in await page.inner_text("main")


async def test_a_passkey_that_did_not_check_its_holder_is_no_only_factor(small: Small, page: Page):
    devtools, authenticator = await _authenticator(page)
    await _with_password(page, small)
    await page.fill("#f-label", "chìa khóa")
    await page.click("form[data-passkey=create] button")
    await page.wait_for_selector("text=chìa khóa")
    await page.context.clear_cookies()
    await devtools.send("WebAuthn.setUserVerified", {"authenticatorId": authenticator, "isUserVerified": False})

    await page.goto(_here(small) + "/login/staff")
    await page.click("form[data-passkey=get] button")

    await page.wait_for_selector("form[data-passkey=get] [data-failed]:visible")
    assert not [cookie for cookie in await page.context.cookies() if cookie["name"] == "session"]


async def test_an_answer_counts_once_for_its_own_challenge_and_person(small: Small, page: Page):
    await _authenticator(page)
    await _with_password(page, small)
    await page.fill("#f-label", "một")
    await page.click("form[data-passkey=create] button")
    await page.wait_for_selector("text=một")
    await page.context.clear_cookies()
    sent: list[str] = []
    page.on(
        "request", lambda request: sent.append(request.post_data or "") if "/login/passkey" in request.url else None
    )
    await page.goto(_here(small) + "/login/staff?next=/account")
    await page.click("form[data-passkey=get] button")
    await page.wait_for_url(ACCOUNT)

    replayed = await small.browser().post(
        "/login/passkey", content=sent[0], headers={"Content-Type": "application/x-www-form-urlencoded"}
    )

    assert replayed.status_code == 403
    assert "session=" not in replayed.headers.get("set-cookie", "")


@pytest.mark.parametrize("answer", ["", "{}", "[]", "nonsense", '{"id": 1, "response": {"clientDataJSON": "e30"}}'])
async def test_nonsense_for_an_answer_is_refused(small: Small, answer: str):
    async with reading(small.pool) as db:
        with pytest.raises(passkeys.PasskeyRefused):
            await passkeys.check(db, small.entrance, answer, after_password=None, now=NOW)
        hoa = await queries.person_by_login(db, "hoa")
        assert hoa is not None
        with pytest.raises(passkeys.PasskeyRefused):
            await passkeys.register(db, small.entrance, hoa, answer, "x", by=acting(hoa), now=NOW)


def test_a_portal_reached_by_a_number_says_so_and_loopback_has_a_name():
    def party(url: str) -> str:
        return Entrance(None, b"", url, (HERE,), approvals()).relying_party  # type: ignore[arg-type]

    assert party("https://data.example.gov.vn") == "data.example.gov.vn"
    assert party("http://127.0.0.1:8080") == "localhost"
    assert party("https://203.0.113.5:8080") == ""


async def test_the_pages_have_no_fault_that_axe_finds(small: Small, page: Page):
    await page.add_init_script(AXE)
    await _with_password(page, small)
    found: dict[str, list[str]] = {}
    for scheme, prefix in (("light", ""), ("dark", "/en")):
        await page.emulate_media(color_scheme=scheme)
        for path in ("/account", "/persons", f"/persons/{small.one}", "/approvals", "/audit", "/login/staff"):
            await page.goto(_here(small) + prefix + path)
            if told := await breaches(page):
                found[scheme + prefix + path] = told

    assert found == {}
