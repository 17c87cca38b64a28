"""Figures by the units of another day, on a page: totals kept, what is lost and assumed said, the table to take."""

from __future__ import annotations

import io
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html import unescape

import httpx
import openpyxl
import pytest
from starlette.applications import Starlette

from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Role
from lienthong.law.successions import successors
from lienthong.law.units import LAST_OLD_DAY, REFORM, units_on
from lienthong.portal.app import create_portal
from lienthong.portal.rekeying import MOST_ROWS, rekeying_pages
from lienthong.portal.shell import Shell
from lienthong.web import install
from tests.portal import sample
from tests.portal.signed import SignedIn

OFFICER = Actor("p-1", "Trần Văn Nam", "VN/GOV/H24", frozenset({Role.DATA_OFFICER}), Assurance.TWO_FACTORS, "s-1")
CITIZEN = Actor("p-2", "Lê Thị Dân", None, frozenset({Role.CITIZEN}), Assurance.TWO_FACTORS, "s-2")
PROVINCES = "ma,dan_so,ty_le\n15,100,10\n10,300,20\n31,50.5,7\n"
DIVIDED = next(
    unit.code for unit in units_on("commune", LAST_OLD_DAY) if unit.parent and len(successors(unit.code, REFORM)) == 2
)


@dataclass
class Desk:
    client: httpx.AsyncClient
    signed_in: list[Actor]

    async def send(self, table: str | bytes, language: str = "", **typed: str) -> httpx.Response:
        page = await self.client.get(f"{language}/work/rekey")
        hidden = dict(re.findall(r'type="hidden" name="(\w+)" value="([^"]*)"', page.text))
        content = table.encode() if isinstance(table, str) else table
        fields = {"code": "ma", "before": "30/06/2025", "after": "01/07/2025"} | typed
        return await self.client.post(
            f"{language}/work/rekey", data=hidden | fields, files={"file": ("so-lieu.csv", content, "text/csv")}
        )


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    shell, signed_in = Shell(secret=b"k" * 32), [OFFICER]
    app = Starlette(routes=create_portal(sample.SampleData(), shell, (rekeying_pages(),)))
    app.add_middleware(SignedIn, signed_in=signed_in)
    install(app, error_page=shell.error_page)
    transport, headers = httpx.ASGITransport(app), {"accept": "text/html"}
    async with httpx.AsyncClient(transport=transport, base_url="http://portal.example", headers=headers) as client:
        yield Desk(client, signed_in)


async def test_provinces_become_those_of_today_with_their_totals_and_weighted_rates(desk: Desk):
    answer = await desk.send(PROVINCES, sums="dan_so", means="ty_le:dan_so")

    page = unescape(answer.text)
    assert answer.status_code == 200
    row = re.search(r"<tr><td[^>]*><code>15</code>.*?</tr>", page, re.S)
    assert row, "Yên Bái and Lào Cai are one"
    assert "Lào Cai" in row[0]
    assert ">400<" in row[0]
    assert "17.5" in row[0]
    assert "15 10" in row[0] or "10 15" in row[0], "where each row comes from"
    totals = re.search(r"<th scope=\"row\"[^>]*>dan_so</th>.*?</tr>", page, re.S)
    assert totals
    assert totals[0].count("450.5") == 2, "the same before and after"


async def test_a_divided_commune_is_left_out_and_listed_or_carried_by_a_method_that_is_said(desk: Desk):
    table = f"ma,ho\n{DIVIDED},10\n99999,5\n"

    left_out = unescape((await desk.send(table, sums="ho", language="/en")).text)
    usual = unescape((await desk.send(table, sums="ho", method="usual", language="/en")).text)

    assert "Rows left out: 2" in left_out
    assert DIVIDED in left_out
    assert "99999" in left_out
    assert "Rows left out: 1" in usual
    assert "assumed" in usual


async def test_the_table_is_taken_as_a_workbook_or_csv_with_codes_as_text(desk: Desk):
    table = "ma,nam,dan_so\n01,2024,7\n01,2025,8\n"

    book = await desk.send(table, sums="dan_so", by="nam", how="xlsx")
    text = await desk.send(table, sums="dan_so", by="nam", how="csv")

    head, *rows = openpyxl.load_workbook(io.BytesIO(book.content)).worksheets[0].iter_rows(values_only=True)
    assert head[:4] == ("nam", "Mã", "Đơn vị", "dan_so")
    assert [(row[1], row[3]) for row in rows] == [("01", 7), ("01", 8)]
    assert text.content.decode("utf-8-sig").splitlines()[1].startswith("2024,01,")


@pytest.mark.parametrize(
    ("table", "typed", "told"),
    [
        ("", {"sums": "dan_so"}, "không có cột"),
        (b"\xff\xfe\x00bad", {"sums": "dan_so"}, "UTF-8"),
        (PROVINCES, {"sums": "khong_co"}, "khong_co"),
        (PROVINCES, {}, "ít nhất một cột"),
        (PROVINCES, {"sums": "dan_so", "means": "dan_so:ty_le"}, "hoặc là"),
        (PROVINCES, {"sums": "dan_so", "before": "1/1/1970"}, "2004-07-08"),
        (PROVINCES, {"means": "ty_le"}, "cột:trọng số"),
        (PROVINCES.replace("100", "1 00"), {"sums": "dan_so"}, "số"),
        (PROVINCES, {"sums": "dan_so", "before": "32/13/2025"}, "31/12/2026"),
        ("ma,dan_so\n" + "01,1\n" * (MOST_ROWS + 1), {"sums": "dan_so"}, "20000"),
        ("ma,ma,dan_so\n01,01,5\n", {"sums": "dan_so"}, "không có cột"),
        ("ma,dan_so\n01,NaN\n", {"sums": "dan_so"}, "số"),
    ],
    ids=[
        "empty",
        "no text",
        "no column",
        "no figures",
        "both",
        "before the register",
        "no weight",
        "no number",
        "no day",
        "too long",
        "twice",
        "NaN",
    ],
)
async def test_what_is_no_table_of_figures_is_told_and_stays_as_typed(desk: Desk, table, typed, told):
    answer = await desk.send(table, **typed)

    assert answer.status_code == 422
    assert told in unescape(answer.text)
    assert 'value="ma"' in answer.text


async def test_a_file_of_columns_without_figures_is_carried_without_inventing_any(desk: Desk):
    answer = await desk.send("ma,dan_so\n01,\n31,\n", sums="dan_so")

    assert answer.status_code == 200
    assert re.findall(r'<td data-label="dan_so" class="figure">([^<]*)</td>', answer.text) == ["—", "—"]


async def test_formulas_and_markup_of_a_file_do_nothing(desk: Desk):
    table = "ma,nam,dan_so\n01,\"=cmd|'/c calc'!A0\",5\n01,<script>alert(1)</script>,6\n"

    shown = await desk.send(table, sums="dan_so", by="nam")
    text = await desk.send(table, sums="dan_so", by="nam", how="csv")

    assert "<script>alert" not in shown.text
    assert "\n'=cmd" in text.content.decode("utf-8-sig") or "\n\"'=cmd" in text.content.decode("utf-8-sig")


@pytest.mark.parametrize(("actor", "status"), [(ANONYMOUS, 401), (CITIZEN, 403)], ids=["nobody", "a citizen"])
async def test_the_page_is_for_those_who_work_here(desk: Desk, actor: Actor, status: int):
    desk.signed_in.append(actor)

    assert (await desk.client.get("/work/rekey")).status_code == status
