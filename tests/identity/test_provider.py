"""OpenID Connect against a certified provider that really runs, and against one that answers wrongly on purpose."""

from __future__ import annotations

import asyncio
import json
import re
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from html import unescape
from pathlib import Path
from typing import Any, cast
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from joserfc import jwt
from joserfc.jwk import ECKey, OctKey
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from lienthong.exchange.listen import serve_app
from lienthong.identity import queries
from lienthong.identity.models import Assurance, Role
from lienthong.identity.provider import LOGOUT_EVENT, Provider, ProviderRefused, ProviderSilent
from lienthong.storage.pool import reading
from lienthong.storage.provision import DatabaseDsns
from tests.identity.build import NOW, a_person
from tests.identity.portal import More, Small, send, small_portal

HERE = Path(__file__).parent
PROGRAM = HERE.parent / "npm" / "node_modules" / "oidc-provider"
SECRET = "only-for-tests-on-loopback-0123456789"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture
async def real(emptied: DatabaseDsns) -> AsyncIterator[tuple[Small, Provider, str]]:
    """A portal whose one identity provider is npm's ``oidc-provider``."""
    async with real_portal(emptied) as opened:
        yield opened


@asynccontextmanager
async def real_portal(dsns: DatabaseDsns, more: More | None = None) -> AsyncIterator[tuple[Small, Provider, str]]:
    """The portal, its provider and the issuer; the provider tells personal numbers."""
    node = shutil.which("node")
    if node is None or not PROGRAM.exists():
        pytest.skip("no oidc-provider: npm ci --prefix tests/npm")
    port = _free_port()
    issuer = f"http://127.0.0.1:{port}"
    provider = Provider("vneid", "VNeID (thử)", issuer, "portal", SECRET, "", {"loa1": 1, "loa2": 2}, "loa2")
    provider.number_claim = "personal_number"
    async with small_portal(dsns.app, providers={"vneid": provider}, more=more) as small:
        small.clock.now = datetime.now(UTC)  # the provider's own clock counts here
        provider.callback = f"{small.url}/login/with/vneid/back"
        told = {
            "client_id": "portal", "client_secret": SECRET, "callback": provider.callback, "person": "an",
            "ended": f"{small.url}/login/with/vneid/ended", "port": port,
        }  # fmt: skip
        running = await asyncio.create_subprocess_exec(
            node, str(HERE / "provider.mjs"), json.dumps(told), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
        )
        try:
            assert running.stdout is not None
            while line := await asyncio.wait_for(running.stdout.readline(), 120):
                if line.startswith(b"ready "):
                    break
            else:
                pytest.fail("the provider did not start")
            yield small, provider, issuer
        finally:
            running.terminate()
            await running.wait()


async def _to_callback(browser: httpx.AsyncClient, address: str, *, person: str = "an") -> str:
    """Through the provider's pages: the address it sends the browser back to."""
    for _ in range(12):
        if "/interaction/" in address:
            address += f"?as={person}"
        answer = await browser.get(address)
        assert answer.status_code in (302, 303), answer.text
        address = str(httpx.URL(address).join(answer.headers["location"]))
        if "/login/with/" in address:
            return address
    raise AssertionError("the provider goes round in circles")


async def _begun(browser: httpx.AsyncClient, **more: str) -> str:
    answer = await send(browser, "/login", more, to="/login/with/vneid")
    assert answer.status_code == 200, answer.text
    return unescape(re.search(r'class="button main" href="([^"]+)"', answer.text)[1])


async def test_a_citizen_comes_in_by_the_provider_and_goes_when_it_says_so(real: tuple[Small, Provider, str]):
    small, _, issuer = real
    browser = small.browser()
    entrance = await browser.get("/mine")
    assert entrance.headers["location"] == "/login?next=/mine"
    page = (await browser.get("/login?next=/mine")).text
    assert "/login/staff" not in page
    assert 'type="password"' not in page

    address = await _begun(browser, next="/mine")
    asked = parse_qs(urlsplit(address).query)
    assert asked["code_challenge_method"] == ["S256"]
    assert {"state", "nonce", "code_challenge"} <= set(asked)
    back = await browser.get(await _to_callback(browser, address))

    assert back.headers["location"] == "/mine"
    assert (await browser.get("/mine")).text == "Nguyễn Thị An"
    me = (await browser.get("/v1/me", headers={"Accept": "application/json"})).json()
    assert (me["roles"], me["member"], me["assurance"]) == (["citizen"], None, 2)
    async with reading(small.pool) as db:
        assert await queries.acts_of(db, "", None, 9) == [], "a citizen's coming is nobody's affair"
    await _sign_out_there(browser, issuer)
    assert (await browser.get("/mine")).status_code == 303, "the provider's logout reached us by the back channel"


async def _sign_out_there(browser: httpx.AsyncClient, issuer: str) -> None:
    page = await browser.get(f"{issuer}/session/end")
    fields = dict(re.findall(r'name="(xsrf)" value="([^"]+)"', page.text))
    done = await browser.post(f"{issuer}/session/end/confirm", data={**fields, "logout": "yes"})
    assert done.status_code in (302, 303), done.text


async def test_a_second_coming_is_the_same_person_and_what_was_typed_is_carried(real: tuple[Small, Provider, str]):
    small, _, _ = real
    people = []
    for _ in range(2):
        browser = small.browser()
        address = await _begun(browser, **{"next": "/mine", "kept.reason": "chữ đã gõ"})
        back = await browser.get(await _to_callback(browser, address))
        assert back.status_code == 200
        assert 'name="reason" value="chữ đã gõ"' in back.text
        people.append((await browser.get("/v1/me", headers={"Accept": "application/json"})).json()["person"])

    assert people[0] == people[1]


async def test_an_answer_in_another_browser_twice_or_altered_is_refused(real: tuple[Small, Provider, str]):
    small, _, _ = real
    browser, other = small.browser(), small.browser()
    callback = await _to_callback(browser, await _begun(browser))

    assert (await other.get(callback)).status_code == 403
    for altered in (
        re.sub(r"state=[^&]+", "state=x", callback),
        re.sub(r"iss=[^&]+", "iss=https://evil.example", callback),
        re.sub(r"&?iss=[^&]+", "", callback),
        re.sub(r"code=[^&]+", "code=x", callback),
    ):
        browser = small.browser()
        callback = await _to_callback(browser, await _begun(browser))
        kept = parse_qs(urlsplit(callback).query)
        changed = altered if "state=x" in altered else re.sub(r"state=[^&]+", f"state={kept['state'][0]}", altered)
        assert (await browser.get(changed)).status_code == 403, changed
        assert (await browser.get(callback)).status_code == 403, "an attempt counts once"


async def test_who_is_vouched_for_with_too_little_stays_outside(real: tuple[Small, Provider, str]):
    small, provider, _ = real
    provider.least = Assurance.TWO_FACTORS
    browser = small.browser()

    callback = await _to_callback(browser, await _begun(browser), person="binh")

    assert (await browser.get(callback)).status_code == 403


async def test_staff_come_in_by_a_provider_only_when_they_were_added(real: tuple[Small, Provider, str]):
    small, provider, issuer = real
    provider.audience = "staff"
    browser = small.browser()
    answer = await send(browser, "/login/staff", {}, to="/login/with/vneid")
    address = unescape(re.search(r'class="button main" href="([^"]+)"', answer.text)[1])
    assert (await browser.get(await _to_callback(browser, address))).status_code == 403

    async with reading(small.pool) as db:
        person = await a_person(db, "an", Role.DATA_OFFICER)
        await queries.link_provider(db, issuer, "an", person.id)
    browser = small.browser()
    answer = await send(browser, "/login/staff", {}, to="/login/with/vneid")
    address = unescape(re.search(r'class="button main" href="([^"]+)"', answer.text)[1])
    assert (await browser.get(await _to_callback(browser, address))).status_code == 303


# A provider that lies


KEY, FOREIGN = ECKey.generate_key("P-256", {"kid": "k1"}), ECKey.generate_key("P-256", {"kid": "k1"})


class Liar:
    """A provider whose next ID token is what the test says."""

    def __init__(self) -> None:
        self.issuer = ""
        self.claims: dict[str, Any] = {}
        self.header: dict[str, Any] = {"alg": "ES256", "kid": "k1"}
        self.key: Any = KEY
        self.metadata: dict[str, Any] = {}

    def token(self, claims: dict[str, Any]) -> str:
        """Signed as told."""
        return jwt.encode(self.header, claims, self.key, algorithms=[self.header["alg"]])

    def good(self) -> dict[str, Any]:
        """The claims of an honest token."""
        at = int(NOW.timestamp())
        return {"iss": self.issuer, "sub": "an", "aud": "portal", "exp": at + 60, "iat": at, "nonce": "n", "name": "An"}

    async def describe(self, _: Request) -> JSONResponse:
        return JSONResponse(
            {"issuer": self.issuer, "authorization_endpoint": self.issuer + "/a", "token_endpoint": self.issuer + "/t",
             "jwks_uri": self.issuer + "/k", **self.metadata}
        )  # fmt: skip

    async def keys(self, _: Request) -> JSONResponse:
        return JSONResponse({"keys": [KEY.as_dict(private=False)]})

    async def redeem(self, _: Request) -> JSONResponse:
        return JSONResponse({"access_token": "a", "token_type": "Bearer", "id_token": self.token(self.claims)})


@asynccontextmanager
async def _lying() -> AsyncIterator[tuple[Liar, Provider]]:
    liar = Liar()
    routes = [
        Route("/.well-known/openid-configuration", liar.describe),
        Route("/k", liar.keys),
        Route("/t", liar.redeem, methods=["POST"]),
    ]
    listener = await serve_app(cast(Any, Starlette(routes=routes)), "127.0.0.1", 0)
    liar.issuer = f"http://127.0.0.1:{listener.port}"
    try:
        yield liar, Provider("x", "X", liar.issuer, "portal", SECRET, "http://127.0.0.1/back")
    finally:
        await listener.stop(1.0)


async def _finish(provider: Provider) -> Any:
    return await provider.finish({"state": "s", "code": "c"}, state="s", nonce="n", verifier="v", now=NOW)


async def test_an_honest_token_is_believed():
    async with _lying() as (liar, provider):
        liar.claims = liar.good()
        told = await _finish(provider)

    assert (told.subject, told.name, told.assurance) == ("an", "An", Assurance.ONE_FACTOR)


@pytest.mark.parametrize(
    "lie",
    [
        {"iss": "https://evil.example"}, {"aud": "somebody-else"}, {"aud": ["portal", "other"], "azp": "other"},
        {"nonce": "other"}, {"nonce": None}, {"exp": int(NOW.timestamp()) - 120}, {"exp": None}, {"sub": None},
        {"azp": "other"}, {"iat": None},
    ],
)  # fmt: skip
async def test_a_token_for_somebody_else_or_another_time_is_refused(lie: dict[str, Any]):
    async with _lying() as (liar, provider):
        liar.claims = {name: value for name, value in (liar.good() | lie).items() if value is not None}
        with pytest.raises(ProviderRefused):
            await _finish(provider)


async def test_a_token_that_the_providers_keys_did_not_sign_is_refused():
    async with _lying() as (liar, provider):
        liar.claims = liar.good()
        liar.key = FOREIGN
        with pytest.raises(ProviderRefused):
            await _finish(provider)
        liar.header, liar.key = {"alg": "HS256"}, OctKey.import_key(json.dumps(KEY.as_dict(private=False)))
        with pytest.raises(ProviderRefused):
            await _finish(provider)
        liar.token = lambda claims: "eyJhbGciOiJub25lIn0.e30."
        with pytest.raises(ProviderRefused):
            await _finish(provider)


async def test_a_missing_issuer_is_refused_where_the_provider_promises_one():
    async with _lying() as (liar, provider):
        liar.metadata = {"authorization_response_iss_parameter_supported": True}
        liar.claims = liar.good()
        with pytest.raises(ProviderRefused):
            await _finish(provider)


@pytest.mark.parametrize(
    "lie", [{"issuer": "https://other.example"}, {"token_endpoint": "http://192.0.2.1/t"}, {"jwks_uri": "file:///etc"}]
)
async def test_a_description_of_another_issuer_or_in_clear_is_not_used(lie: dict[str, str]):
    async with _lying() as (liar, provider):
        liar.metadata = lie
        with pytest.raises(ProviderSilent):
            await provider.begin()


async def test_a_provider_that_is_away_is_said_to_be_silent():
    provider = Provider("x", "X", f"http://127.0.0.1:{_free_port()}", "portal", SECRET, "http://127.0.0.1/back")

    with pytest.raises(ProviderSilent):
        await provider.begin()


@pytest.mark.parametrize(
    ("lie", "counts"),
    [({}, True), ({"nonce": "n"}, False), ({"events": {}}, False), ({"sub": None}, False), ({"aud": "x"}, False),
     ({"iss": "https://evil.example"}, False), ({"iat": int(NOW.timestamp()) - 3600}, False)],
)  # fmt: skip
async def test_a_logout_token_counts_only_when_it_is_one(lie: dict[str, Any], counts: bool):
    async with _lying() as (liar, provider):
        honest = {"iss": liar.issuer, "sub": "an", "aud": "portal", "iat": int(NOW.timestamp()), "jti": "1",
                  "events": {LOGOUT_EVENT: {}}}  # fmt: skip
        token = liar.token({name: value for name, value in (honest | lie).items() if value is not None})
        if counts:
            assert (await provider.read_logout(token, NOW)).subject == "an"
        else:
            with pytest.raises(ProviderRefused):
                await provider.read_logout(token, NOW)
