"""The pages of identity, as a browser without script meets them."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from html import unescape

import pytest

from lienthong.identity import queries
from lienthong.identity.http import TokenRefused
from lienthong.identity.models import Role
from lienthong.identity.passwords import digest
from lienthong.identity.sessions.keep import IDLE
from lienthong.portal.signin import own_address
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import ELSEWHERE, HERE, PASSWORD, a_person
from tests.identity.portal import Small, send, small_portal


@pytest.fixture
async def small(emptied: DatabaseDsns) -> AsyncIterator[Small]:
    async with small_portal(emptied.app) as portal:
        async with reading(portal.pool) as db:
            for login, roles, name in (
                ("hoa", (Role.DATA_OFFICER,), "Trần Thị Hoa"),
                ("mot", (Role.OPERATOR,), "Lê Văn Một"),
                ("hai", (Role.OPERATOR,), "Đỗ Thị Hai"),
            ):
                await a_person(db, login, *roles, name=name, password=PASSWORD)
        yield portal


async def test_a_person_signs_in_and_out(small: Small):
    browser = await small.signed_in("hoa", PASSWORD)
    cookie = next(iter(browser.cookies.jar))

    shown = await browser.get("/account")

    assert "Trần Thị Hoa" in shown.text
    assert shown.headers["cache-control"] == "no-store"
    assert shown.headers["x-frame-options"] == "DENY"
    assert "frame-ancestors 'none'" in shown.headers["content-security-policy"]
    assert cookie.has_nonstandard_attr("HttpOnly")
    assert cookie.get_nonstandard_attr("SameSite") == "lax"
    old = cookie.value
    assert (await send(browser, "/account", {}, to="/logout")).status_code == 303
    again = await browser.get("/account", headers={"Cookie": f"session={old}"})
    assert again.status_code == 303, "the session is over on the server, not in the browser alone"


async def test_by_https_the_cookie_is_bound_to_this_host(emptied: DatabaseDsns):
    async with small_portal(emptied.app, public_url="https://portal.example.gov.vn") as small:
        async with reading(small.pool) as db:
            await a_person(db, "hoa", password=PASSWORD)
        browser = small.browser()
        answer = await send(browser, "/login/staff", {"login": "hoa", "password": PASSWORD})

    told = answer.headers["set-cookie"]
    assert told.startswith("__Host-session=")
    assert "Secure" in told
    assert "Path=/" in told
    assert "Domain" not in told


async def test_a_session_planted_before_the_sign_in_is_worth_nothing_after_it(small: Small):
    browser = small.browser()
    browser.cookies.set("session", "planted-by-somebody-else")

    await send(browser, "/login/staff", {"login": "hoa", "password": PASSWORD})

    secret = [cookie.value for cookie in browser.cookies.jar if cookie.value != "planted-by-somebody-else"]
    assert len(secret) == 1
    planted = await small.browser().get("/account", headers={"Cookie": "session=planted-by-somebody-else"})
    assert planted.status_code == 303


async def test_a_wrong_password_says_nothing_more_and_keeps_the_login(small: Small):
    answers = [
        await send(small.browser(), "/login/staff", {"login": login, "password": "khong phai mat khau"})
        for login in ("hoa", "khong-ai")
    ]

    assert [each.status_code for each in answers] == [403, 403]
    plain = [re.sub(r'value="[^"]*"|data-options="[^"]*"', "", each.text) for each in answers]
    assert plain[0] == plain[1]
    assert 'value="hoa"' in answers[0].text
    assert "khong phai mat khau" not in answers[0].text


async def test_citizens_see_no_local_entrance_where_a_provider_is_set_up(small: Small):
    assert "/login/staff" in (await small.browser().get("/login")).text
    assert (await small.browser().get("/mine")).headers["location"].startswith("/login?")
    assert (await small.browser().get("/sample")).headers["location"].startswith("/login/staff?")


async def test_what_was_typed_survives_the_end_of_the_session(small: Small):
    browser = await small.signed_in("hoa")
    page = await browser.get("/sample")
    token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)[1]
    typed = {"token": token, "name": 'Nguyễn "Ba" <b>', "login": "ba.nguyen", "my_password": "không giữ"}
    small.clock.now += IDLE

    stopped = await browser.post("/sample", data=typed)
    assert stopped.status_code == 401
    assert "không giữ" not in stopped.text
    carried = dict(_hidden(stopped.text))
    assert carried["kept.name"] == typed["name"]
    back = await browser.post("/login/staff", data={**carried, "login": "hoa", "password": PASSWORD})
    assert back.status_code == 200
    assert re.search(r'<form method="post" action="/sample">', back.text)
    shown = await browser.post("/sample", data=dict(_hidden(back.text)))

    assert small.sent == [], "nothing is sent again by itself"
    assert shown.status_code == 200
    assert 'value="Nguyễn &#34;Ba&#34; &lt;b&gt;"' in shown.text
    final = await browser.post(
        "/sample", data={**typed, "token": re.search(r'name="token" value="([0-9a-f]+)"', shown.text)[1]}
    )
    assert final.text == "done"
    assert small.sent[0]["name"] == typed["name"]


def _hidden(page: str) -> list[tuple[str, str]]:
    form = re.search(r"<main.*?(<form.*?</form>)", page, re.DOTALL)[1]
    return [(unescape(n), unescape(v)) for n, v in re.findall(r'type="hidden" name="([^"]*)" value="([^"]*)"', form)]


@pytest.mark.parametrize(
    "told",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "\\\\evil", "javascript:alert(1)", "/a\r\nX: y",
     "/ /evil", "", "http:evil", "/\t/evil", "/login/staff", "/en/logout", "/x\"onload=y"],
)  # fmt: skip
def test_only_addresses_of_this_node_are_led_back_to(told: str):
    assert own_address(told) == "/"


def test_own_addresses_are_kept():
    for told in ("/", "/persons/ab12", "/en/audit?before=7", "/logs", "/x?a=b&c=d%2Fe"):
        assert own_address(told) == told


async def test_a_hostile_way_back_ends_at_the_front_page(small: Small):
    typed = {"login": "hoa", "password": PASSWORD, "next": "//evil.example"}

    answer = await send(small.browser(), "/login/staff?next=https://evil.example/", typed)

    assert answer.headers["location"] == "/"


async def test_a_form_of_another_site_signs_nobody_in_or_out(small: Small):
    browser = await small.signed_in("hoa")
    page = await browser.get("/account")
    token = re.search(r'name="token" value="([0-9a-f]+)"', page.text)[1]
    for headers in ({"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}):
        for path in ("/logout", "/login/staff", "/account/sessions/end", "/login/passkey"):
            answer = await browser.post(path, data={"token": token, "which": "all"}, headers=headers)
            assert answer.status_code == 403, path
    assert (await browser.get("/account")).status_code == 200


async def test_a_cookie_alone_writes_nothing_under_the_api_and_reads_by_right(small: Small):
    browser, operator = await small.signed_in("hoa"), await small.signed_in("mot")

    me = (await browser.get("/v1/me", headers={"Accept": "application/json"})).json()
    refused = await browser.get("/v1/persons", headers={"Accept": "application/json"})
    nobody = await small.browser().get("/v1/persons", headers={"Accept": "application/json"})

    assert me["roles"] == ["data-officer"]
    assert "see-bodies" not in me["rights"]
    assert refused.status_code == 403
    assert refused.json()["type"] == "urn:lienthong:problem:not-allowed"
    assert nobody.status_code == 401
    assert nobody.headers["www-authenticate"].startswith("Bearer")
    for path in ("/v1/persons", "/v1/proposals", "/v1/audit"):
        assert (await operator.get(path, headers={"Accept": "application/json"})).status_code == 200


async def test_a_token_is_shown_once_and_reads_the_api(small: Small):
    browser = await small.signed_in("mot")
    fields = {"token_label": "kiểm tra", "days": "30", "scopes": ["see-audit"]}
    made = await send(browser, "/account", fields, to="/account/tokens")
    token = re.search(r"lt_[A-Za-z0-9_-]{40,}", made.text)[0]
    program = small.client({"Authorization": f"Bearer {token}"})

    assert (await program.get("/v1/audit")).status_code == 200
    assert (await program.get("/v1/persons")).status_code == 403
    assert token not in (await browser.get("/account")).text
    wrong = await program.get("/v1/audit", headers={"Authorization": "Bearer lt_wrong"})
    assert (wrong.status_code, wrong.json()["type"]) == (401, f"urn:lienthong:problem:{TokenRefused.kind}")
    withdrawn = re.search(r'name="withdrawn" value="([0-9a-f]+)"', (await browser.get("/account")).text)[1]
    await send(browser, "/account", {"withdrawn": withdrawn}, to="/account/tokens/withdraw")
    assert (await program.get("/v1/audit")).status_code == 401


async def test_two_operators_add_a_person_with_a_role(small: Small):
    first, second = await small.signed_in("mot"), await small.signed_in("hai")
    added = await send(first, "/persons", {"name": "Phạm\u202e Văn\u200b Mới", "login": "moi"})
    link = re.search(r"http://[^<]+/login/first/[A-Za-z0-9_-]+", added.text)[0]
    person = re.search(r"/persons/([0-9a-f]{16})/role", added.text)[1]
    await send(
        first, f"/persons/{person}", {"role": "integrator", "reason": "kết nối LGSP"}, to=f"/persons/{person}/role"
    )
    proposal = re.search(r"/approvals/([0-9a-f]{16})", (await second.get("/approvals")).text)[1]

    alone = await send(first, "/approvals", {"verdict": "approve"}, to=f"/approvals/{proposal}")
    assert alone.status_code == 422
    together = await send(second, "/approvals", {"verdict": "approve"}, to=f"/approvals/{proposal}")
    assert together.status_code == 303
    new = small.browser()
    assert (await send(new, link, {"password": "ba con vịt vàng", "again": "ba con vit vang"})).status_code == 422
    assert (await send(new, link, {"password": "ba con vịt vàng", "again": "ba con vịt vàng"})).status_code == 303
    assert (await new.get(link)).status_code == 410
    signed_in = await small.signed_in("moi", "ba con vịt vàng")

    shown = (await signed_in.get("/account")).text
    assert "Phạm Văn Mới" in shown
    assert "integrator" in (await signed_in.get("/v1/me", headers={"Accept": "application/json"})).text
    audit = (await first.get("/audit")).text
    assert audit.count("Phạm Văn Mới") >= 3


async def test_another_members_ids_are_not_found_on_any_page(small: Small):
    async with reading(small.pool) as db:
        stranger = await a_person(db, "khach", Role.OPERATOR, member=ELSEWHERE, password=PASSWORD)
        own = (await queries.persons_of(db, HERE))[0]
    theirs, ours = await small.signed_in("khach"), await small.signed_in("mot")
    await send(ours, f"/persons/{own.id}", {"role": "integrator", "reason": "x"}, to=f"/persons/{own.id}/role")
    async with reading(small.pool) as db:
        proposal = (await queries.proposals_of(db, HERE, 9))[0].id

    for person in (own.id, "0" * 16):
        assert (await theirs.get(f"/persons/{person}")).status_code == 404
        for deed in ("role", "take", "link", "close"):
            answer = await send(theirs, "/persons", {"role": "operator", "reason": "x"}, to=f"/persons/{person}/{deed}")
            assert answer.status_code == 404, deed
    for asked in (proposal, "0" * 16):
        answer = await send(theirs, "/persons", {"verdict": "approve"}, to=f"/approvals/{asked}")
        assert answer.status_code == 404
    assert own.name not in (await theirs.get("/persons")).text + (await theirs.get("/audit")).text
    assert stranger.name in (await theirs.get("/persons")).text


async def test_every_page_asks_for_its_right(small: Small):
    officer, nobody = await small.signed_in("hoa"), small.browser()

    for path in ("/persons", "/approvals", "/audit", "/en/persons", "/persons/x"):
        assert (await officer.get(path)).status_code == 403, path
        assert (await nobody.get(path)).headers["location"].split("?")[0].endswith("/login/staff"), path
    assert (await nobody.get("/account")).headers["location"] == "/login/staff?next=/account"
    rooms = (await officer.get("/account")).text
    assert 'href="/persons"' not in rooms
    assert 'href="/persons"' in (await (await small.signed_in("mot")).get("/account")).text


async def test_signing_out_everywhere_ends_the_other_browsers(small: Small):
    here, there = await small.signed_in("hoa"), await small.signed_in("hoa")

    await send(here, "/account", {"which": "others"}, to="/account/sessions/end")
    assert (await here.get("/account")).status_code == 200
    assert (await there.get("/account")).status_code == 303
    await send(here, "/account", {"which": "all"}, to="/account/sessions/end")
    assert (await here.get("/account")).status_code == 303


async def test_a_new_password_needs_the_old_one_and_ends_other_sessions(small: Small):
    here, there = await small.signed_in("hoa"), await small.signed_in("hoa")
    new = "mèo vàng trên mái ngói"

    wrong = await send(here, "/account", {"old_password": "sai", "new_password": new}, to="/account/password")
    right = await send(here, "/account", {"old_password": PASSWORD, "new_password": new}, to="/account/password")

    assert (wrong.status_code, right.status_code) == (422, 303)
    assert (await here.get("/account")).status_code == 200
    assert (await there.get("/account")).status_code == 303
    await small.signed_in("hoa", new)


async def test_no_secret_and_no_name_reaches_the_log(small: Small, capfd):
    browser = await small.signed_in("hoa", PASSWORD)
    await browser.get("/account")
    secret = next(iter(browser.cookies.jar)).value

    told = "".join(capfd.readouterr())

    for kept_out in (PASSWORD, secret, digest(secret).hex(), "Trần Thị Hoa", '"hoa"'):
        assert kept_out not in told
