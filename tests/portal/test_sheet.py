"""One table for people and programs: what is downloaded is what was shown, and no text becomes a formula."""

from __future__ import annotations

import csv
import io
from datetime import UTC, date, datetime
from typing import Any

import openpyxl
import orjson
import pytest

from lienthong.portal.finding import wanted
from lienthong.portal.models import Name
from lienthong.portal.sheet import Mark, Row, Sheet, as_csv, as_json, as_workbook, columns_of, part_of

HOSTILE = ("=1+1", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "\t=1", '=HYPERLINK("http://x")')
COLUMNS = columns_of(("name", "Full name"), ("code", "Code", "code"), ("uses", "Uses", "figure"), ("from", "From"),
                     ("at", "Time"), ("state", "State"))  # fmt: skip


def a_row(name: str, code: str = "H24", uses: int | None = 1_234) -> Row:
    return Row((Name(name, "Citizens"), code, uses, date(2026, 7, 1), datetime(2026, 7, 1, 20, 30, 9, 5, tzinfo=UTC),
                Mark("good", "Done", "done")))  # fmt: skip


def a_sheet(*rows: Row) -> Sheet:
    return Sheet("bang", "Full name", COLUMNS, rows, datetime(2026, 7, 2, tzinfo=UTC))


def workbook(sheet: Sheet, language: Any = "vi") -> Any:
    return openpyxl.load_workbook(io.BytesIO(as_workbook(sheet, language).body)).active


@pytest.mark.parametrize("text", HOSTILE)
def test_text_that_begins_like_a_formula_stays_text_in_every_download(text: str):
    sheet = a_sheet(a_row("Nguyễn", text))

    cell = workbook(sheet)["B2"]
    told = bytes(as_csv(sheet, "vi").body).decode("utf-8-sig")

    assert (cell.data_type, cell.value) == ("s", text)
    assert list(csv.reader(io.StringIO(told)))[1][1] == f"'{text}"


def test_a_workbook_holds_numbers_days_and_the_time_of_vietnam_as_such_under_a_head_that_stays():
    page = workbook(a_sheet(a_row("Đặng Thuỳ Dương")))

    assert [page["A1"].value, page["B1"].value, page["D1"].value] == ["Họ và tên", "Mã", "Từ"]
    assert page["A2"].value == "Đặng Thuỳ Dương"
    assert page["C2"].value == 1_234
    assert page["D2"].value == datetime(2026, 7, 1)  # noqa: DTZ001 - a workbook knows no zones
    assert page["E2"].value == datetime(2026, 7, 2, 3, 30, 9)  # noqa: DTZ001 - as above
    assert (page["F2"].value, page.freeze_panes) == ("Xong", "A2")


def test_csv_begins_with_the_mark_by_which_excel_knows_its_letters():
    body = bytes(as_csv(a_sheet(a_row("Ưng Hoà Phúc")), "en").body)

    assert body.startswith(b"\xef\xbb\xbf")
    assert body.decode("utf-8-sig").splitlines()[0].startswith("Full name,Code,")


def test_downloads_are_whole_while_pages_and_json_are_leafed_through():
    sheet = a_sheet(*(a_row(f"Số {number}") for number in range(120)))

    told = orjson.loads(as_json(sheet, part_of(sheet, 3)).body)

    assert workbook(sheet).max_row == 121
    assert (told["total"], told["page"], told["pages"], len(told["rows"])) == (120, 3, 3, 20)
    assert told["rows"][0]["name"] == {"vi": "Số 100", "en": "Citizens"}
    assert told["rows"][0]["state"] == "done"
    assert part_of(sheet, 99).page == 3
    assert part_of(a_sheet(), 1).pages == 1


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("", True),
        ("thành phố hồ chí minh", True),
        ("THANH PHO HO CHI", True),
        ("Bình Dương", True),
        ("ubnd binh duong", True),
        ("BR", False),
        ("Bà Rịa - Vũng Tàu", True),
        ("Cần Thơ", False),
        ("people's committee", True),
        ("\u200bHồ\u202e Chí Minh", True),
        ("h29", True),
        ("hinh", False),
        ("%", True),
    ],
)
def test_a_search_is_folded_and_knows_what_provinces_were_called(typed: str, found: bool):
    row = Row((Name("UBND Thành phố Hồ Chí Minh", "People's Committee of Ho Chi Minh City"), "VN/GOV/H29"))

    assert row.found_by(wanted(typed)) is found


def test_an_old_name_finds_the_whole_new_name_and_not_words_that_begin_alike():
    ministry = Row((Name("Bộ Tài chính", "Ministry of Finance"), "mã đã xác minh", "đang hoạt động"))

    assert not ministry.found_by(wanted("Bình Dương"))
    assert ministry.found_by(wanted("tai chi"))


def test_a_search_by_an_old_name_says_where_the_province_went():
    assert wanted("bệnh viện ở Bình Dương").merged == (("Tỉnh Bình Dương", "Thành phố Hồ Chí Minh"),)
    assert wanted("Hưng Yên").merged == ()
