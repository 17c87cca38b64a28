"""What stands around every page: whose portal it is, where one can go, who is looking, in which language and theme."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from lienthong.portal.app import create_portal
from lienthong.portal.models import Name
from lienthong.portal.shell import Look, Pages, Section, Shell, both
from lienthong.web import install
from tests.portal import sample
from tests.portal.test_pages import Seen, _schemes

HOSTILE = '<img src=x onerror="alert(1)">\u202e'


@dataclass
class Someone:
    name: str
    session: str | None = "s1"


def room(shell: Shell) -> Pages:
    async def page(request: Request) -> Response:
        problem = {"title": "x", "status": 1, "detail": "", "side": "node", "type": "x"}
        return shell.page(request, "error.html", title="x", problem=problem)

    return Pages(
        both("/room", page),
        (Section("/room", "Members"), Section("/secret", "Nodes", "run-node", "work")),
    )


class SignedIn:
    """Everybody is ``actor``."""

    def __init__(self, app: ASGIApp, actor: Someone | None) -> None:
        self.app = app
        self.actor = actor

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if self.actor:
            scope.setdefault("state", {})["actor"] = self.actor
        await self.app(scope, receive, send)


async def look_at(address: str, actor: Someone | None = None, look: Look | None = None, **headers: str) -> Seen:
    shell = Shell(look, may=lambda who, right: who.name == "Nga" and right == "run-node")
    site = Starlette(routes=create_portal(sample.SampleData(), shell, [room]))
    install(site, error_page=shell.error_page)
    transport = httpx.ASGITransport(SignedIn(site, actor), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://portal.example") as client:
        return Seen((await client.get(address, headers={"accept": "text/html"} | headers)).text)


def links(seen: Seen) -> list[str]:
    return [found.get("href") or "" for tag, found in seen.tags if tag == "a"]


@pytest.mark.parametrize(
    ("actor", "shown"),
    [(None, False), (Someone("Dương"), False), (Someone("Nga"), True), (Someone("Nga", None), False)],
)
async def test_a_room_that_needs_a_right_is_shown_to_those_who_have_it(actor: Someone | None, shown: bool):
    assert ("/secret" in links(await look_at("/room", actor))) is shown


async def test_the_room_one_is_in_is_marked_and_changing_the_language_keeps_what_was_asked():
    seen = await look_at("/en/room?q=a%20b&day=2026-01-01")

    assert ("a", {"href": "/en/room", "aria-current": "page"}) in seen.tags
    assert "/room?q=a%20b&day=2026-01-01" in links(seen)


async def test_an_operator_shows_its_own_name_and_emblem(tmp_path: Path):
    emblem = tmp_path / "emblem.svg"
    emblem.write_text('<svg xmlns="http://www.w3.org/2000/svg"/>')
    look = Look(Name("Cổng dữ liệu Hải Phòng", ""), emblem)

    page = await look_at("/en/room", look=look)

    assert "Cổng dữ liệu Hải Phòng" in page.text
    assert ("img", {"src": "/emblem", "width": "32", "height": "32", "alt": ""}) in page.tags
    assert (await look_at("/emblem", look=look)).tags[0][0] == "svg"


async def test_a_name_is_text_wherever_it_stands():
    seen = await look_at("/room", Someone(HOSTILE), Look(Name(HOSTILE, HOSTILE)))

    assert not [found for tag, found in seen.tags if tag == "img" and found.get("src") == "x"]
    assert not [found for _, found in seen.tags if any(name.startswith("on") for name in found)]


async def test_an_error_is_shown_with_the_same_head_as_every_page():
    assert "/room" in links(await look_at("/nowhere", Someone("Nga")))


async def test_the_page_of_parts_shows_every_macro_of_the_parts():
    defined = set(
        (Path(__file__).parents[2] / "src/lienthong/portal/templates/parts.html").read_text().split("macro ")[1:]
    )
    names = {each.split("(")[0] for each in defined if "(" in each.split("%}")[0]} - {"faults"}
    page = (Path(__file__).parents[2] / "src/lienthong/portal/templates/components.html").read_text()

    public = {name for name in names if not name.startswith("_")}
    assert public - {name for name in public if f"parts.{name}(" in page} <= INNER


INNER = {"icon", "anchor", "count", "checkpoint_list", "hidden", "table", "cell", "at", "live_button"}
"""Parts of other parts, and those that need what only their own page has."""


def test_dark_is_the_same_for_a_device_and_for_whoever_chose_it():
    style = (Path(__file__).parents[2] / "src/lienthong/portal/static/portal.css").read_text()
    device = style.split(':root:not([data-theme="light"]) {')[1].split("}")[0].split()
    chosen = style.split(':root[data-theme="dark"] {')[1].split("}")[0].split()

    assert device == chosen
    assert set(_schemes()) == {"light", "dark"}
