"""A small portal with the pages of identity and one form of its own, on a real socket with a real database."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

import httpx
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response

from lienthong.exchange.listen import serve_app
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import actor_of, identity_routes
from lienthong.identity.models import Assurance, Right
from lienthong.identity.provider import Provider
from lienthong.identity.queries import person_by_login
from lienthong.identity.rights import require
from lienthong.node.entry import guard_pages, has_right
from lienthong.portal.app import PageModule, create_portal
from lienthong.portal.forms import Form, read_form
from lienthong.portal.identity import identity_pages
from lienthong.portal.models import PortalData
from lienthong.portal.shell import Pages, Shell, both
from lienthong.storage.pool import Pool, open_pool, reading
from lienthong.web import install
from tests.identity.build import HERE, KEY, NOW, approvals

TOKEN = re.compile(r'name="token" value="([0-9a-f]+)"')


@dataclass
class Clock:
    """The time the portal believes."""

    now: datetime = NOW


@dataclass
class Small:
    """The portal and what its sample form was sent with."""

    url: str
    pool: Pool
    entrance: Entrance
    clock: Clock
    sent: list[Mapping[str, str]] = field(default_factory=list)
    one: str = ""
    """Id of somebody whose page can be opened."""
    clients: list[httpx.AsyncClient] = field(default_factory=list)
    listener: Any = None
    """What listens; a test may stop it, as when the network is away."""

    def browser(self) -> httpx.AsyncClient:
        """A browser without script: cookies kept, pages asked for, redirects looked at."""
        return self.client({"Accept": "text/html", "Sec-Fetch-Site": "same-origin"})

    def client(self, headers: Mapping[str, str]) -> httpx.AsyncClient:
        """A client that is closed with the portal."""
        opened = httpx.AsyncClient(base_url=self.url, headers=headers, timeout=60)
        self.clients.append(opened)
        return opened

    async def signed_in(self, login: str, password: str = "") -> httpx.AsyncClient:
        """A browser of somebody who is signed in; with ``password`` by way of the page."""
        browser = self.browser()
        if password:
            answer = await send(browser, "/login/staff", {"login": login, "password": password})
            assert answer.status_code == 303, answer.text
            return browser
        async with reading(self.pool) as db:
            person = await person_by_login(db, login)
            assert person is not None
            secret = await self.entrance.admit(db, person, Assurance.ONE_FACTOR, had=None, way="test")
        browser.cookies.set(self.entrance.cookie, secret, domain="127.0.0.1", path="/")
        return browser


async def send(
    browser: httpx.AsyncClient, page: str, fields: Mapping[str, Any], *, to: str | None = None
) -> httpx.Response:
    """Fill in the form of ``page`` and send it, to ``to`` when that is elsewhere."""
    shown = await browser.get(page)
    token = TOKEN.search(shown.text)
    assert token, shown.text
    key = re.search(r'name="form_key" value="([^"]+)"', shown.text)
    assert key
    return await browser.post(to or page, data={"token": token[1], "form_key": key[1], **fields})


def _sample(small: Small) -> Any:
    def join(shell: Shell) -> Pages:
        async def sample(request: Request) -> Response:
            require(actor_of(request), Right.PUBLISH, HERE)
            form = await read_form(request, shell, most_file_bytes=1000) if request.method == "POST" else Form()
            if request.method == "POST" and form.good:
                small.sent.append({name: form.said(name) for name in form.values})
                return PlainTextResponse("done")
            return shell.page(request, "persons.html", title="Sample", form=form, persons=[], role_words={})

        async def own(request: Request) -> Response:
            require(actor_of(request), Right.SEE_OWN)
            return PlainTextResponse(actor_of(request).name)

        return Pages((*both("/sample", sample, ("GET", "POST")), *both("/mine", own, ("GET", "POST"))))

    return join


More = Callable[["Small"], Sequence[PageModule]]


@asynccontextmanager
async def small_portal(
    dsn: str,
    *,
    public_url: str = "",
    providers: Mapping[str, Provider] | None = None,
    clock: Clock | None = None,
    more: More | None = None,
    layers: Callable[[Small, Starlette], None] | None = None,
    port: int = 0,
) -> AsyncIterator[Small]:
    """The portal, serving; with the time of the tests unless ``clock`` is given, ``more`` in place of the sample."""
    pool = await open_pool(dsn, max_size=4)
    clock = clock or Clock()
    shell = Shell(secret=KEY, may=has_right)
    app = Starlette()
    listener = await serve_app(cast(Any, app), "127.0.0.1", port)
    entrance = Entrance(
        pool, KEY, public_url or f"http://127.0.0.1:{listener.port}", (HERE,), approvals(Assurance.ONE_FACTOR),
        providers=providers or {}, now=lambda: clock.now,
    )  # fmt: skip
    small = Small(f"http://127.0.0.1:{listener.port}", pool, entrance, clock, listener=listener)
    modules = (identity_pages(entrance), *(more(small) if more else (_sample(small),)))
    app.router.routes.extend([*identity_routes(entrance), *create_portal(cast(PortalData, None), shell, modules)])
    if layers:
        layers(small, app)
    guard_pages(app, shell, entrance)
    install(app, error_page=shell.error_page)
    try:
        yield small
    finally:
        for client in small.clients:
            await client.aclose()
        await small.listener.stop(1.0)
        await pool.close()
