"""Addresses on a page and by API: named for certain, asked back, or said to be unknown; nothing typed is kept."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import openpyxl
import pytest
from starlette.applications import Starlette

from lienthong.portal.addresses import MOST, address_pages
from lienthong.portal.app import create_portal
from lienthong.portal.shell import Shell
from lienthong.web import install
from tests.portal import sample

OLD = "12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM"
HOSTILE = "=cmd|'/c calc'!A0 <script>alert(1)</script>, Phường Sài Gòn, TP.HCM"


@pytest.fixture
async def client() -> AsyncIterator[httpx.AsyncClient]:
    shell = Shell(secret=b"k" * 32)
    app = Starlette(routes=create_portal(sample.SampleData(), shell, (address_pages(),)))
    install(app, error_page=shell.error_page)
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://portal.example", headers={"accept": "text/html"}
    ) as client:
        yield client


async def send(client: httpx.AsyncClient, files: Any = None, language: str = "", **typed: str) -> httpx.Response:
    page = (await client.get(f"{language}/addresses")).text
    hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page))
    return await client.post(f"{language}/addresses", data=hidden | typed, files=files)


async def test_pasted_addresses_are_answered_line_by_line(client: httpx.AsyncClient) -> None:
    answer = await send(client, addresses=f"{OLD}\nPhường Trúc Bạch, Quận Ba Đình, Hà Nội\nchẳng ở đâu cả")

    assert answer.status_code == 200
    found, asked_back, unknown = re.findall(r"<tr>\s*<th scope=\"row\".*?</tr>", answer.text, re.S)
    assert "Phường Sài Gòn" in found
    assert "Phường Ba Đình" in asked_back
    assert "không nhận ra" in unknown
    assert OLD in answer.text, "what was typed stays on the page"


async def test_the_day_decides_which_units_are_meant(client: httpx.AsyncClient) -> None:
    now = await send(client, addresses=OLD)
    then = await send(client, addresses=OLD, as_of="30/06/2025")

    assert "26740" in then.text
    assert "Phường Bến Nghé" in then.text
    assert "26740</code>" not in now.text.split("<form")[0] or "Phường Sài Gòn" in now.text


async def test_a_file_is_read_by_its_column_and_taken_as_a_workbook_or_csv(client: httpx.AsyncClient) -> None:
    table = f'id,diachi\n1,"{OLD}"\n2,"{HOSTILE}"\n'.encode("utf-8-sig")
    sent = {"file": ("dia-chi.csv", table, "text/csv")}

    book = await send(client, sent, column="diachi", how="xlsx")
    text = await send(client, sent, column="diachi", how="csv")

    rows = list(openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0].iter_rows(values_only=True))
    assert [row[0] for row in rows[1:]] == [OLD, HOSTILE]
    assert rows[1][2] == "Phường Sài Gòn"
    assert text.content.decode("utf-8-sig").splitlines()[2].startswith("\"'=cmd")
    shown = await send(client, sent, column="diachi")
    assert "<script>alert" not in shown.text


@pytest.mark.parametrize(
    ("typed", "file", "told"),
    [
        ({"addresses": "  \n "}, None, "addresses"),
        ({"addresses": "x\n" * (MOST + 1)}, None, "addresses"),
        ({}, b"\xff\xfe\x00", "file"),
        ({}, b"a,b\n1,2\n", "column"),
        ({"column": "nowhere"}, b"a,b\n1,2\n", "column"),
        ({"addresses": OLD, "as_of": "31/02/2026"}, None, "as_of"),
    ],
)
async def test_what_can_not_be_read_is_said_at_its_field(
    client: httpx.AsyncClient, typed: dict[str, str], file: bytes | None, told: str
) -> None:
    answer = await send(client, {"file": ("a.csv", file, "text/csv")} if file else None, **typed)

    assert answer.status_code == 422
    assert f'id="e-{told}"' in answer.text


async def test_a_program_asks_without_an_address_in_the_url(client: httpx.AsyncClient) -> None:
    odd = ["", "😀", "x" * 200_000, "1600 Pennsylvania Ave, Washington", OLD]
    answer = await client.post("/v1/addresses", json={"addresses": odd, "as_of": "2025-06-30"})

    told = answer.json()
    assert told["as_of"] == "2025-06-30"
    assert [each["status"] for each in told["results"]][:4] == ["none"] * 4
    assert told["results"][4]["unit"]["code"] == "26740"
    assert (await client.get("/v1/addresses")).status_code == 405


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b"{}", b'{"addresses": []}', b'{"addresses": [1]}', b'{"addresses": ["x"], "as_of": "31/12/2026"}',
     b'{"addresses": ["x"], "written": 7}', b'{"addresses": "x"}'],
)  # fmt: skip
async def test_a_program_that_asks_wrongly_is_told_how(client: httpx.AsyncClient, body: bytes) -> None:
    answer = await client.post("/v1/addresses", content=body, headers={"accept": "application/json"})

    assert answer.status_code == 422
    assert answer.json()["type"].endswith("addresses-refused")
    assert "Bến Nghé" in answer.json()["mend"]


async def test_without_script_and_in_english_too(client: httpx.AsyncClient) -> None:
    answer = await send(client, language="/en", addresses=OLD)

    assert "Which commune" in answer.text
    assert "Phường Sài Gòn" in answer.text
