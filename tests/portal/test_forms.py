"""Forms: only from our own pages, nothing typed is lost, each fault is said at its field, sent twice is done once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import date
from typing import Any

import httpx
import pytest
from psycopg import AsyncConnection
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.portal.forms import MOST_FIELD_BYTES, Form, read_form
from lienthong.portal.queries import claim_form, form_led_to
from lienthong.portal.shell import Shell
from lienthong.storage.provision import DatabaseDsns
from lienthong.web import install

SECRET = b"k" * 32
KEY = "k" * 24


@dataclass
class Someone:
    name: str = "Nga"
    session: str | None = "s1"


@dataclass
class Door:
    """A site with one form, and what it read."""

    client: httpx.AsyncClient
    shell: Shell
    forms: list[Form] = field(default_factory=list)

    @property
    def token(self) -> str:
        request = Request({"type": "http", "state": {"actor": Someone()}, "headers": []})
        return self.shell.token(request)

    async def send(self, fields: dict[str, Any], headers: dict[str, str] | None = None, **more: Any) -> httpx.Response:
        told = {"sec-fetch-site": "same-origin"} if headers is None else headers
        return await self.client.post(
            "/form", data={"token": self.token, "form_key": KEY} | fields, headers=told, **more
        )


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    shell, forms = Shell(secret=SECRET), list[Form]()

    async def sent(request: Request) -> Response:
        request.state.actor = Someone()
        form = await read_form(request, shell, most_file_bytes=1_000)
        forms.append(form)
        return JSONResponse({"good": form.good})

    site = Starlette(routes=[Route("/form", sent, methods=["POST"])])
    install(site)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(site), base_url="http://portal.example") as client:
        yield Door(client, shell, forms)


@pytest.mark.parametrize(
    "headers",
    [
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"origin": "http://elsewhere.example"},
        {"origin": "null"},
        {"origin": "http://portal.example.elsewhere.example"},
    ],
)
async def test_a_form_of_another_site_is_refused(door: Door, headers: dict[str, str]):
    answer = await door.send({"name": "x"}, headers)

    assert (answer.status_code, answer.json()["type"].rpartition(":")[2]) == (403, "foreign-form")
    assert door.forms == []


@pytest.mark.parametrize("headers", [{"origin": "http://portal.example"}, {"sec-fetch-site": "same-origin"}, {}])
async def test_a_form_of_our_own_page_with_its_token_is_good(door: Door, headers: dict[str, str]):
    assert (await door.send({"name": "x"}, headers)).json() == {"good": True}


@pytest.mark.parametrize("token", ["", "0" * 64, "é"])
async def test_a_form_whose_session_is_over_keeps_what_was_typed_and_does_nothing(door: Door, token: str):
    await door.send({"name": "Đặng Thuỳ Dương", "token": token})

    (form,) = door.forms
    assert (form.good, form.stale) == (False, True)
    assert form.said("name") == "Đặng Thuỳ Dương"
    assert "" in form.wrong


async def test_too_much_is_refused_before_it_is_kept(door: Door):
    large = {"why": "x" * (MOST_FIELD_BYTES + 1)}
    answers = [
        await door.send(large),
        await door.send(large, files={"file": ("a.pdf", b"x")}),
        await door.send({}, files={"file": ("a.pdf", b"x" * 1_001)}),
        await door.send({f"f{number}": "x" for number in range(300)}),
    ]

    assert [answer.status_code for answer in answers] == [413] * 4
    assert {answer.json()["type"].rpartition(":")[2] for answer in answers} == {"form-too-large"}


async def test_a_file_comes_without_the_senders_folders(door: Door):
    await door.send({"name": "x"}, files={"file": ("..\\..\\etc/đơn.pdf", b"%PDF", "application/pdf")})

    (upload,) = door.forms[0].files("file")
    assert (upload.name, upload.content) == ("đơn.pdf", b"%PDF")
    assert door.forms[0].said("name") == "x"


def test_every_field_says_what_is_wrong_with_it_and_what_was_typed_stays():
    form = Form({"name": (" \u200b ",), "day": ("31/2/2026",), "count": ("1.5",), "mail": ("nga@",), "way": ("x",),
                 "long": ("x" * 300,)})  # fmt: skip

    form.text("name")
    form.day("day")
    form.whole("count", least=1, most=9)
    form.mail("mail")
    form.choice("way", ("call", "table"))
    form.text("long")
    form.secret("password")

    assert set(form.wrong) == {"name", "day", "count", "mail", "way", "long", "password"}
    assert not form.good
    assert form.said("day") == "31/2/2026"


def test_fields_are_read_the_vietnamese_way():
    form = Form({"day": ("5/9/2026",), "iso": ("2026-09-05",), "count": ("12.345",), "english": ("12,345",),
                 "name": ("  Nguyê\u0303n \u202e  Nga ",), "why": ("a \r\n\r\nb\x00",), "mail": ("nga@h.gov.vn",),
                 "ways": ("call", "table")})  # fmt: skip

    assert form.day("day") == form.day("iso") == date(2026, 9, 5)
    assert form.whole("count", least=0, most=99_999) == form.whole("english", least=0, most=99_999) == 12_345
    assert form.text("name") == "Nguyễn Nga"
    assert form.lines("why") == "a\n\nb"
    assert form.mail("mail") == "nga@h.gov.vn"
    assert form.all_said("ways") == ("call", "table")
    assert (form.ticked("ways"), form.ticked("absent")) == (True, False)
    assert form.text("absent", required=False) == ""
    assert form.good


async def test_a_form_sent_twice_is_done_once_even_at_the_same_moment(database: DatabaseDsns):
    async with await AsyncConnection.connect(database.app) as one, await AsyncConnection.connect(database.app) as two:
        assert await claim_form(one, KEY) is None
        second = asyncio.create_task(claim_form(two, KEY))
        await form_led_to(one, KEY, "/cases/1")
        await one.commit()

        assert await second == "/cases/1"
        assert await claim_form(two, "") is None


async def test_a_form_whose_deed_failed_may_be_sent_again(database: DatabaseDsns):
    async with await AsyncConnection.connect(database.app) as db:
        assert await claim_form(db, KEY) is None
        await db.rollback()

        assert await claim_form(db, KEY) is None
