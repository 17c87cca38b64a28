"""Staff link their account with an identity provider, sign in by it and end the link; a real provider stands by."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape

import httpx
import pytest

from lienthong.identity import queries
from lienthong.identity.linking import LastWayIn, unlink
from lienthong.identity.models import Assurance, Passkey, Person, Role
from lienthong.identity.persons import close_account
from lienthong.identity.provider import Provider
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import HERE, NOW, PASSWORD, a_person, acting
from tests.identity.portal import Small, send
from tests.identity.test_provider import _to_callback, real_portal

Real = tuple[Small, Provider, str]


@pytest.fixture
async def real(emptied: DatabaseDsns) -> AsyncIterator[Real]:
    """A portal whose one identity provider is for staff, and "hoa", who works there and has a password."""
    async with real_portal(emptied) as opened:
        small, provider, _ = opened
        provider.audience = "staff"
        async with reading(small.pool) as db:
            await a_person(db, "hoa", Role.DATA_OFFICER, password=PASSWORD)
        yield opened


async def _person(small: Small, login: str) -> Person:
    async with reading(small.pool) as db:
        found = await queries.person_by_login(db, login)
    assert found is not None
    return found


async def _callback(browser: httpx.AsyncClient, *, as_: str = "an", page: str = "/account") -> str:
    """The wish is told, the provider vouches: the address it sends the browser back to."""
    to = "/account/links" if page == "/account" else "/login/with/vneid"
    answer = await send(browser, page, {"provider": "vneid"}, to=to)
    assert answer.status_code == 200, answer.text
    address = unescape(re.search(r'class="button main" href="([^"]+)"', answer.text)[1])
    return await _to_callback(browser, address, person=as_)


async def _linked(small: Small, issuer: str, subject: str = "an") -> str | None:
    async with reading(small.pool) as db:
        found = await queries.person_at_provider(db, issuer, subject)
    return found.id if found else None


async def _acts(small: Small) -> list[str]:
    async with reading(small.pool) as db:
        return [act.act for act in await queries.acts_of(db, HERE, None, 50) if act.act.startswith("provider.")]


async def test_staff_link_their_account_sign_in_by_it_and_end_the_link(real: Real):
    small, _, issuer = real
    browser = await small.signed_in("hoa")
    hoa = await _person(small, "hoa")
    assert "Liên kết với VNeID" in (await browser.get("/account")).text
    cookie = browser.cookies.get(small.entrance.cookie)

    back = await browser.get(await _callback(browser))

    assert (back.status_code, back.headers["location"]) == (303, "/account")
    assert browser.cookies.get(small.entrance.cookie) == cookie, "linking signs nobody in"
    assert await _linked(small, issuer) == hoa.id
    assert "Bỏ liên kết với VNeID" in (await browser.get("/account")).text
    assert (await browser.get(await _callback(browser))).status_code == 303, "a second time changes nothing"
    assert await _acts(small) == ["provider.linked"]

    other = small.browser()
    assert (await other.get(await _callback(other, page="/login/staff"))).status_code == 303
    me = (await other.get("/v1/me", headers={"Accept": "application/json"})).json()
    assert (me["person"], me["member"], me["assurance"]) == (hoa.id, HERE, 2)
    async with reading(small.pool) as db:
        assert await queries.number_of(db, hoa.id) is None, "only citizens' numbers are noted"

    assert (await send(browser, "/account", {"provider": "vneid"}, to="/account/links/remove")).status_code == 303
    assert await _linked(small, issuer) is None
    assert (await other.get("/account")).status_code == 303, "what rested on the link ended with it"
    assert (await browser.get("/account")).status_code == 200
    assert await _acts(small) == ["provider.unlinked", "provider.linked"]
    again = small.browser()
    assert (await again.get(await _callback(again, page="/login/staff"))).status_code == 403


async def test_whom_the_provider_knows_as_somebody_else_here_is_not_linked_again(real: Real):
    small, provider, issuer = real
    async with reading(small.pool) as db:
        nam = await a_person(db, "nam", Role.INTEGRATOR)
        await queries.link_provider(db, issuer, "an", nam.id)
        citizen = await a_person(db, "dan", Role.CITIZEN, member=None)
        await queries.link_provider(db, issuer, "binh", citizen.id)

    for taken, owner in (("an", nam), ("binh", citizen)):
        browser = await small.signed_in("hoa")
        refused = await browser.get(await _callback(browser, as_=taken), headers={"Accept": "application/json"})
        assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (409, "link-taken")
        assert await _linked(small, issuer, taken) == owner.id

    assert await _acts(small) == []
    provider.audience = "citizens"
    refused = await send(browser, "/account", {"provider": "vneid"}, to="/account/links")
    assert refused.status_code == 403, "a provider for citizens is not for staff"


async def test_an_answer_in_another_session_links_nobody(real: Real):
    small, _, issuer = real
    async with reading(small.pool) as db:
        await a_person(db, "nam", Role.INTEGRATOR)
    attacker, victim = await small.signed_in("nam"), await small.signed_in("hoa")
    callback = await _callback(attacker)

    assert (await victim.get(callback)).status_code == 403, "a stranger's answer, in a browser that asked for nothing"
    victim.cookies.set("sign-in", attacker.cookies["sign-in"], domain="127.0.0.1", path="/")
    assert (await victim.get(callback)).status_code == 403, "even when the stranger's cookie was planted there"
    assert await _linked(small, issuer) is None

    begun = await small.signed_in("hoa")
    callback = await _callback(begun)
    async with reading(small.pool) as db:
        hoa = await _person(small, "hoa")
        secret = await small.entrance.admit(db, hoa, Assurance.ONE_FACTOR, had=None, way="test")
    begun.cookies.delete(small.entrance.cookie)
    begun.cookies.set(small.entrance.cookie, secret, domain="127.0.0.1", path="/")
    assert (await begun.get(callback)).status_code == 403, "the same person, but another session"
    assert (await begun.get(callback)).status_code == 403, "an answer counts once"
    assert await _linked(small, issuer) is None
    nobody = small.browser()
    assert (await nobody.post("/account/links", data={"provider": "vneid"})).status_code == 401
    assert await _acts(small) == []


async def test_the_last_way_in_is_not_unlinked_and_a_closed_account_does_not_come_in(real: Real):
    small, _, issuer = real
    async with reading(small.pool) as db:
        nam = await a_person(db, "nam", Role.INTEGRATOR)
        await queries.link_provider(db, issuer, "an", nam.id)
    browser = small.browser()
    assert (await browser.get(await _callback(browser, page="/login/staff"))).status_code == 303

    refused = await send(browser, "/account", {"provider": "vneid"}, to="/account/links/remove")
    assert refused.status_code == 422
    assert "Không có VNeID (thử), bạn sẽ không đăng nhập được nữa." in refused.text
    with pytest.raises(LastWayIn) as last:
        await unlink(small.entrance, acting(nam), "vneid")
    assert last.value.kind == "last-way-in"
    assert await _linked(small, issuer) == nam.id

    waiting = small.browser()
    callback = await _callback(waiting, page="/login/staff")
    async with reading(small.pool) as db:
        await close_account(db, nam, by=None, now=small.clock.now)
    assert (await waiting.get(callback)).status_code == 403
    assert (await browser.get("/account")).status_code == 303


async def test_who_has_a_passkey_does_not_link_without_it(real: Real):
    small, _, issuer = real
    hoa = await _person(small, "hoa")
    browser = await small.signed_in("hoa")  # one factor
    callback = await _callback(browser)
    async with reading(small.pool) as db:
        await queries.insert_passkey(db, Passkey(b"k" * 16, hoa.id, b"k", 0, "máy", NOW))

    refused = await browser.get(callback, headers={"Accept": "application/json"})
    assert (refused.status_code, refused.json()["type"].rpartition(":")[2]) == (403, "link-needs-passkey")
    refused = await send(browser, "/account", {"provider": "vneid"}, to="/account/links")
    assert refused.status_code == 422
    assert "Bạn có khóa truy cập nhưng đã đăng nhập mà không dùng khóa đó." in refused.text
    assert await _linked(small, issuer) is None


async def test_a_provider_that_vouches_with_one_factor_is_followed_by_the_passkey(real: Real):
    small, _, issuer = real
    hoa = await _person(small, "hoa")
    async with reading(small.pool) as db:
        await queries.link_provider(db, issuer, "binh", hoa.id)  # vouched for with one factor
    plain, asked = small.browser(), small.browser()
    assert (await plain.get(await _callback(plain, as_="binh", page="/login/staff"))).status_code == 303
    assert (await plain.get("/v1/me", headers={"Accept": "application/json"})).json()["assurance"] == 1
    async with reading(small.pool) as db:
        await queries.insert_passkey(db, Passkey(b"k" * 16, hoa.id, b"k", 0, "máy", NOW))

    step = await asked.get(await _callback(asked, as_="binh", page="/login/staff"))

    assert step.status_code == 200
    assert 'data-passkey="get"' in step.text
    assert small.entrance.cookie not in asked.cookies, "the provider alone opens nothing any more"
