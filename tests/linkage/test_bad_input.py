"""Bad input of addresses, codes and tables: each kind has its line in docs/linkage.md, and none is guessed about."""

from __future__ import annotations

import re
import unicodedata
from datetime import date, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.address import app as address_app
from lienthong.cli.rekey import app as rekey_app
from lienthong.law.units import FIRST_KNOWN_DAY, FURTHEST_AHEAD, LAST_OLD_DAY, REFORM, UnitUnknown, check_day
from lienthong.linkage.address import resolve
from lienthong.linkage.identify import identify
from lienthong.linkage.rekey import Figures, rekey

TODAY = date(2026, 11, 23)
ADDRESS = "12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM"
PAGE = Path(__file__).parents[2] / "docs" / "linkage.md"
TESTS = Path(__file__).parents[1]


def test_every_kind_of_bad_input_names_tests_that_exist():
    table = PAGE.read_text("utf-8").split("## Bad input")[1].split("\n## ")[0]
    lines = [line for line in table.splitlines() if line.startswith("| ") and "`" in line]
    assert len(lines) == 13
    for file, name in re.findall(r"`tests/([a-z_/]+\.py)::(test_\w+)`", table):
        assert re.search(rf"def {name}\(", (TESTS / file).read_text("utf-8")), name


@pytest.mark.parametrize(
    "text",
    [
        "Phường Bến Nghé, Quận Ba Đình, Hà Nội",
        "Xã Tân Lập, Quận 1, TP.HCM",
        "Phường Trúc Bạch, TP.HCM",
        "Phường Sài Gòn, Hà Nội",
        "Phường Lạch Tray, tỉnh Cà Mau",
    ],
)
def test_levels_that_contradict_each_other_name_no_commune(text: str):
    assert resolve(text, TODAY).unit is None


@pytest.mark.parametrize("form", ["NFC", "NFD", "NFKD"])
def test_an_address_means_the_same_however_its_letters_are_composed(form: str):
    found = resolve(unicodedata.normalize(form, ADDRESS), TODAY)  # type: ignore[arg-type]

    assert (found.status, found.unit and found.unit.full_name) == ("exact", "Phường Sài Gòn")


@pytest.mark.parametrize(
    "text",
    [
        "12 Lª Lîi, Ph­êng BÕn NghÐ, QuËn 1, TP Hå ChÝ Minh",
        "12 Leâ Lôïi, Phöôøng Beán Ngheù, Quaän 1, TP Hoà Chí Minh",
        "Céng hßa, Phöôøng Beán Ngheù, Quận 1",
    ],
    ids=["TCVN3", "VNI", "both and Unicode"],
)
def test_an_address_in_letters_from_before_unicode_is_never_answered_by_another_commune(text: str):
    found = resolve(text, TODAY)

    assert found.unit is None or found.unit.name == "Sài Gòn"


@pytest.mark.parametrize(
    "day",
    [date.min, date(1900, 1, 1), date(1975, 12, 31), FIRST_KNOWN_DAY - timedelta(days=1), date(2100, 1, 1), date.max],
)
def test_a_day_before_the_register_or_far_ahead_is_refused_with_the_days_it_knows(day: date, tmp_path: Path):
    with pytest.raises(UnitUnknown, match=FIRST_KNOWN_DAY.isoformat()):
        check_day(day, TODAY)
    table = tmp_path / "in.csv"
    table.write_text("ma,n\n01,1\n", "utf-8")

    asked = CliRunner().invoke(address_app, [ADDRESS, "--as-of", day.isoformat()])
    carried = CliRunner().invoke(
        rekey_app, [str(table), "--code-column", "ma", "--from", "2025-06-30", "--to", day.isoformat(), "--sum", "n"]
    )

    assert isinstance(asked.exception, UnitUnknown)
    assert isinstance(carried.exception, UnitUnknown)


def test_the_days_at_the_edge_are_answered():
    for day in (FIRST_KNOWN_DAY, LAST_OLD_DAY, REFORM, TODAY, TODAY + FURTHEST_AHEAD):
        assert check_day(day, TODAY) == day


def test_a_code_of_the_wrong_epoch_is_listed_as_lost_and_doubtful_when_it_stands_alone():
    # 26740 is phường Bến Nghé before the reform and phường Sài Gòn since; district codes ended with it.
    made = rekey([{"ma": "760", "n": "5"}, {"ma": "15", "n": "7"}], Figures("ma", ("n",)), REFORM, REFORM, "whole")

    assert [each.code for each in made.lost] == ["760"]
    assert made.totals[0].lost == 5
    assert [each.verdict for each in identify("15", today=TODAY) if each.kind == "unit"] == ["doubtful"]


def test_ten_thousand_equal_rows_and_a_column_without_values_are_carried_in_one_pass():
    rows = [{"ma": "31", "n": "1", "gia": "5", "trong": ""} for _ in range(10_000)]

    made = rekey(rows, Figures("ma", ("n", "trong"), (("gia", "trong"),)), LAST_OLD_DAY, REFORM, "whole")

    assert [(row["ma"], row["n"], row["gia"], row["trong"]) for row in made.rows] == [("31", "10000", "", "")]
