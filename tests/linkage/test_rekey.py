"""Figures carried to the units of another day: nothing is lost unsaid, totals stay, assumptions are marked."""

from __future__ import annotations

import csv
import io
from datetime import date
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from lienthong.cli.rekey import FiguresUnreadable, app
from lienthong.law.successions import successors
from lienthong.law.units import LAST_OLD_DAY, REFORM, units_on
from lienthong.linkage.rekey import Figures, FigureUnreadable, rekey

OLD_PROVINCES = [unit.code for unit in units_on("province", LAST_OLD_DAY)]


@given(st.lists(st.decimals(-(10**12), 10**12, places=3, allow_nan=False), min_size=63, max_size=63))
def test_totals_of_63_provinces_are_those_of_34(amounts):
    rows = [{"ma": code, "n": str(amount)} for code, amount in zip(OLD_PROVINCES, amounts, strict=True)]

    made = rekey(rows, Figures("ma", ("n",)), LAST_OLD_DAY, REFORM, "whole")

    assert len(made.rows) == 34
    assert sum(Decimal(row["n"]) for row in made.rows) == sum(amounts)
    assert (made.lost, made.totals[0].assumed) == ((), 0)


def test_a_merged_province_adds_amounts_and_weighs_rates():
    rows = [{"ma": "15", "dan": "100", "gia": "2"}, {"ma": "10", "dan": "300", "gia": "6"}]

    [row] = rekey(rows, Figures("ma", ("dan",), (("gia", "dan"),)), LAST_OLD_DAY, REFORM, "whole").rows

    assert (row["ma"], row["unit_name"], row["dan"], row["gia"]) == ("15", "Tỉnh Lào Cai", "400", "5")
    assert (row["sources"], row["assumed"]) == ("15 10", "0")


def test_figures_of_before_2008_are_carried_over_both_mergers():
    rows = [{"ma": "01", "n": "3"}, {"ma": "28", "n": "2.5"}]

    for after in (date(2009, 1, 1), REFORM):
        made = rekey(rows, Figures("ma", ("n",)), date(2007, 12, 31), after, "whole")
        assert [(row["ma"], row["n"], row["sources"]) for row in made.rows] == [("01", "5.5", "01 28")]
        assert made.lost == ()
    back = rekey(rows[:1], Figures("ma", ("n",)), date(2009, 1, 1), date(2007, 12, 31), "whole")
    assert (back.rows, [each.code for each in back.lost]) == ((), ["01"]), "which part was Hà Tây is not known"


def test_years_stay_apart():
    rows = [{"ma": code, "nam": year, "n": "1"} for code in ("15", "10") for year in ("2023", "2024")]

    made = rekey(rows, Figures("ma", ("n",), by=("nam",)), LAST_OLD_DAY, REFORM, "whole")

    assert [(row["nam"], row["ma"], row["n"]) for row in made.rows] == [("2023", "15", "2"), ("2024", "15", "2")]


@pytest.mark.parametrize("method", ["usual", "equal"])
def test_a_divided_unit_keeps_its_total_and_is_marked(method):
    code = divided()
    made = rekey([{"ma": code, "n": "100"}], Figures("ma", ("n",)), LAST_OLD_DAY, REFORM, method)

    assert abs(sum(Decimal(row["n"]) for row in made.rows) - 100) < Decimal("1e-9")
    assert {row["assumed"] for row in made.rows} == {"1"}
    assert (made.totals[0].after, made.totals[0].assumed, made.totals[0].lost) == (100, 100, 0)
    assert abs(sum(share.part for share in made.shares) - 1) < Decimal("1e-20")


def test_a_divided_unit_without_a_method_is_left_out_and_said():
    made = rekey([{"ma": divided(), "n": "100"}], Figures("ma", ("n",)), LAST_OLD_DAY, REFORM, "whole")

    assert (made.rows, made.totals[0].lost) == ((), 100)
    assert "divided" in made.lost[0].why.detail("en")


def divided() -> str:
    return next(unit.code for unit in units_on("commune", LAST_OLD_DAY) if len(successors(unit.code, REFORM)) == 3)


@pytest.mark.parametrize(
    ("code", "before"),
    [("99", LAST_OLD_DAY), ("10", REFORM), ("", REFORM), ("Hà Nội", REFORM), ("15", date(1900, 1, 1))],
    ids=["no such code", "code of the wrong epoch", "empty", "a name", "before all records"],
)
def test_a_row_whose_code_means_nothing_is_listed_not_dropped(code, before):
    made = rekey([{"ma": code, "n": "7"}], Figures("ma", ("n",)), before, date(2026, 6, 1), "usual")

    if code == "15":
        assert made.rows  # the start of old units is not recorded: they are taken as standing
    else:
        assert (made.rows, made.totals[0].lost, made.lost[0].code) == ((), 7, code)


def test_duplicate_keys_add_up_and_columns_without_figures_stay_empty():
    rows = [{"ma": "01", "n": "1", "r": ""}, {"ma": "01", "n": "2", "r": ""}, {"ma": "01", "n": "", "r": ""}]

    [row] = rekey(rows, Figures("ma", ("n", "r"), (("r", "n"),)), LAST_OLD_DAY, REFORM, "whole").rows

    assert (row["n"], row["r"]) == ("3", "")


@pytest.mark.parametrize("text", ["1,5", "một", "NaN", "inf", "1 000"])
def test_what_is_no_number_is_refused_with_its_place(text):
    with pytest.raises(FigureUnreadable) as refused:
        rekey([{"ma": "01", "n": text}], Figures("ma", ("n",)), LAST_OLD_DAY, REFORM, "whole")

    assert "Row 1, column n" in refused.value.detail("en")
    assert FigureUnreadable.kind == "figure-unreadable"


def test_the_command_prints_the_table_and_reports_beside_it(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("ma,a,b,c,w\n15,1,2,3,1\n10,3,4,5,3\n99,1,1,1,1\n", "utf-8-sig")
    days = ["--code-column", "ma", "--from", "2025-06-30", "--to", "2025-07-01"]

    done = CliRunner().invoke(app, [str(file), *days, "--sum", "a,b", "--mean", "c:w"])

    [row] = csv.DictReader(io.StringIO(done.stdout))
    assert (row["ma"], row["a"], row["b"], row["c"], row["sources"]) == ("15", "4", "6", "4.5", "15 10")
    assert done.exit_code == 1
    assert "99" in done.stderr


def test_a_missing_column_is_named(tmp_path):
    file = tmp_path / "in.csv"
    file.write_text("ma\n15\n", "utf-8")
    days = ["--from", "2025-06-30", "--to", "2025-07-01"]

    done = CliRunner().invoke(app, [str(file), "--code-column", "ma", *days, "--sum", "dân số"])

    assert isinstance(done.exception, FiguresUnreadable)
    assert FiguresUnreadable.kind == "figures-unreadable"
    assert "dân số" in done.exception.detail("vi")
