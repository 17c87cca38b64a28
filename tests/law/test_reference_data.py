"""The shipped reference data is what the tool builds, small, and agrees with an independent compilation."""

from __future__ import annotations

import csv
import importlib.util
import subprocess
import sys
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest

from lienthong.law.figures import commune_place, province_figures
from lienthong.law.reference import FOLDER, rows
from lienthong.law.units import readings, unit_on, units_on

ROOT = Path(__file__).parents[2]
CHECK_FIGURES = ROOT.parent / "shared" / "data"
AFTER = date(2025, 7, 1)

needs_package = pytest.mark.skipif(
    importlib.util.find_spec("vietnamadminunits") is None,
    reason="the package the data is built from is not installed (requirements-test.lock has it)",
)
needs_check_figures = pytest.mark.skipif(
    not CHECK_FIGURES.is_dir(), reason="the independent compilation to compare with is not beside this checkout"
)


@needs_package
@pytest.mark.parametrize("tool", ["build_units.py", "build_agencies.py"])
def test_the_tools_build_the_shipped_files_byte_for_byte(tool: str) -> None:
    done = subprocess.run(
        [sys.executable, f"tools/{tool}", "--check"],
        cwd=ROOT,
        env={"PYTHONPATH": "src", "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_table_is_sorted_text_below_600_kb() -> None:
    tables = sorted(FOLDER.glob("*.tsv"))
    assert len(tables) >= 9
    for table in tables:
        text = table.read_text("utf-8")
        lines = text.splitlines()[1:]
        assert lines == sorted(lines), table.name
        assert text.endswith("\n")
        assert "\r" not in text
        assert table.stat().st_size < 600_000, table.name


def test_the_licence_of_the_source_travels_with_the_data() -> None:
    notice = (FOLDER / "NOTICE").read_text("utf-8")
    assert "vietnamadminunits" in notice
    assert "MIT License" in notice


@needs_check_figures
def test_the_succession_table_agrees_with_the_majority_of_three_published_tables() -> None:
    ours = {(old, new): default for old, new, default in rows("successions")}
    theirs = {(row["old_code"], row["new_ward_code"]): row["is_default"] for row in _sheet("mapping_old_new_20250701")}
    assert ours == theirs


@needs_check_figures
def test_new_communes_agree_with_the_compilation() -> None:
    theirs = {row["ward_code"]: row for row in _sheet("units_new_20250701")}
    ours = {unit.code: unit for unit in units_on("commune", AFTER)}
    assert ours.keys() == theirs.keys()
    for code, row in theirs.items():
        assert (ours[code].full_name, ours[code].parent) == (row["ward_name"], row["province_code"])
        area = commune_place(code).area_km2
        assert (float(area) if area is not None else None) == (
            pytest.approx(float(row["area_km2"]), abs=0.006) if row["area_km2"] else None
        )


@needs_check_figures
def test_old_communes_agree_with_the_compilation() -> None:
    before = date(2025, 6, 30)
    theirs = {row["ward_code"]: row for row in _sheet("units_old_20250630") if row["ward_code"]}
    ours = {unit.code: unit for unit in units_on("commune", before)}
    assert ours.keys() == theirs.keys()
    for code, row in theirs.items():
        # Six names of the compilation carry stray capitals ("Thị Trấn Óc Eo", "Xã é Tòng"); ours do not.
        assert (ours[code].full_name.lower(), ours[code].parent) == (row["ward_name"].lower(), row["district_code"])
    extra = {row["ward_code"]: row["ward_name"] for row in _sheet("units_old_extra")}
    assert {code: readings(code, "commune")[0].full_name for code in extra} == extra


@needs_check_figures
def test_changes_of_april_2026_agree_with_the_compilation() -> None:
    for row in _sheet("units_changes_20260430"):
        level = "province" if len(row["ward_code"]) == 2 else "commune"
        before, after = (unit_on(row["ward_code"], level, date(2026, 4, day)) for day in (29, 30))
        assert before is not None
        assert after is not None
        assert (before.full_name, after.full_name) == (row["name_before"], row["name_after"])


@needs_check_figures
def test_province_figures_and_merges_agree_with_the_compilation() -> None:
    for row in _sheet("provinces_34"):
        figures = province_figures(row["code"])
        assert (float(figures.area_km2), figures.registered_population) == (
            float(row["area_km2"]),
            int(row["population"]),
        )
    merged = {row["old_code"]: row["new_code"] for row in _sheet("provinces_63_to_34")}
    assert dict(rows("province_successions")) == merged | {"28": "01"}, "Hà Tây, gone in 2008, beside the 63"


def _sheet(name: str) -> Iterator[dict[str, str]]:
    with (CHECK_FIGURES / f"{name}.csv").open(encoding="utf-8-sig", newline="") as source:
        yield from csv.DictReader(source)
