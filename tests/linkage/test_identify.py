"""What a code is: every kind, its parts, and why it does not hold."""

from __future__ import annotations

import csv
from datetime import date
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.id import app
from lienthong.linkage.identify import MOBILE_OF_2018, PLATE_PROVINCES, Identified, identify

FIGURES = Path(__file__).parents[3] / "shared" / "data" / "provinces_63_to_34.csv"
TODAY = date(2026, 11, 23)


def read(code: str, **known: object) -> dict[str, Identified]:
    return {each.kind: each for each in identify(code, today=TODAY, **known)}  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("code", "kind", "verdict", "parts"),
    [
        ("031099990001", "personal-number", "valid", {"birth_place": "031", "birth_year": "1999", "gender": "male"}),
        ("001303000001", "personal-number", "valid", {"birth_year": "2003", "gender": "female"}),
        ("999099990001", "personal-number", "doubtful", {"birth_place": "999"}),
        ("001399000001", "personal-number", "invalid", {}),
        ("0100109106", "enterprise-code", "valid", {"code": "0100109106"}),
        ("0314409058-002", "enterprise-code", "valid", {"branch": "002"}),
        ("0100109107", "enterprise-code", "invalid", {}),
        ("0100109106-000", "enterprise-code", "invalid", {}),
        ("w7er8u0evxp1", "parcel", "valid", {}),
        ("u4pruydqqvj8", "parcel", "invalid", {}),
        ("w7er8u0evxpa", "parcel", "invalid", {}),
        ("1.011442", "procedure", "valid", {"procedure": "1.011442"}),
        ("1.011442.000.00.00.H38", "procedure", "valid", {"agency": "000.00.00.H38"}),
        ("1.011442.02", "procedure", "valid", {"service": "02"}),
        ("1.011442.000.00.00.Z99", "procedure", "invalid", {}),
        ("000.00.01.H38-240115-0001", "dossier", "valid", {"date": "2024-01-15", "sequence": "0001"}),
        ("H38-240230-0001", "dossier", "invalid", {}),
        ("H38-291231-0001", "dossier", "invalid", {}),
        ("Z99-240115-0001", "dossier", "doubtful", {}),
        ("G01", "agency", "valid", {"name": "Bộ Công an"}),
        ("Z99", "agency", "invalid", {}),
        ("0912345678", "phone", "valid", {"number": "0912345678", "type": "mobile"}),
        ("01691234567", "phone", "valid", {"number": "0391234567", "was": "01691234567"}),
        ("+84 912 345 678", "phone", "valid", {"number": "0912345678"}),
        ("024 3825 1234", "phone", "valid", {"type": "fixed"}),
        ("0112345678", "phone", "invalid", {}),
        ("30A-123.45", "plate", "valid", {"series": "30", "letters": "A", "province": "Thành phố Hà Nội"}),
        ("99-H7 7060", "plate", "valid", {"letters": "H7", "number": "7060", "province": "Tỉnh Bắc Ninh"}),
        ("30A12345", "plate", "valid", {"letters": "A", "number": "12345"}),
        ("29X112345", "plate", "valid", {"letters": "X1", "number": "12345"}),
        ("10A-123.45", "plate", "invalid", {}),
        ("123456789", "old-identity-card", "doubtful", {}),
    ],
)  # fmt: skip
def test_a_code_is_read_as_its_kind(code, kind, verdict, parts):
    found = read(code)[kind]

    assert (found.verdict, dict(found.parts) | parts) == (verdict, dict(found.parts))
    assert bool(found.reason("vi")) is (verdict != "valid" or "was" in parts)


def test_a_personal_number_that_contradicts_its_bearer_is_invalid():
    assert read("031099990001", born=date(1999, 5, 1), female=False)["personal-number"].verdict == "valid"
    assert read("031099990001", born=date(1998, 5, 1))["personal-number"].verdict == "invalid"
    assert read("031099990001", female=True)["personal-number"].verdict == "invalid"


@pytest.mark.parametrize("code", ["15", "24", "44", "52", "80", "82", "91"])
def test_a_bare_code_that_changed_its_meaning_is_doubtful_until_the_day_is_said(code):
    assert read(code)["unit"].verdict == "doubtful"
    assert read(code, as_of=date(2025, 6, 30))["unit"].parts != read(code, as_of=date(2025, 7, 1))["unit"].parts


def test_the_valid_reading_comes_first_when_shapes_overlap():
    kinds = [(each.kind, each.verdict) for each in identify("0912345678", today=TODAY)]

    assert kinds == [("phone", "valid"), ("enterprise-code", "invalid")]


@pytest.mark.parametrize("code", ["", " ", "🏠", "abc", "1" * 10_000_000, "٠٣١٠٩٩٩٩٠٠٠١"])
def test_what_is_no_code_is_none(code):
    assert identify(code, today=TODAY) == ()


@pytest.mark.skipif(not FIGURES.exists(), reason="the figures to check against are not on this machine")
def test_every_plate_series_belongs_to_an_old_province():
    with FIGURES.open(encoding="utf-8") as file:
        listed = {
            series: row["old_code"]
            for row in csv.DictReader(file)
            for series in row["plate_codes"].split(";")
            if series != "13"
        }

    assert {series: PLATE_PROVINCES.get(series) for series in listed} == listed
    assert set(PLATE_PROVINCES) - set(listed) <= {"33"}


def test_every_renewed_mobile_number_is_a_number_of_today():
    for before, after in MOBILE_OF_2018.items():
        assert read(f"{after}1234567")["phone"].verdict == "valid", before


def test_the_command_says_kind_parts_and_reason_and_its_status():
    good = CliRunner().invoke(app, ["0100109106", "G01"])
    bad = CliRunner().invoke(app, ["0100109107"])
    piped = CliRunner().invoke(app, ["-", "--json"], input="0100109106\n\n")

    assert (good.exit_code, bad.exit_code, piped.exit_code) == (0, 1, 0)
    assert [line.split("  ")[0] for line in good.stdout.splitlines()] == ["✓ 0100109106", "✓ G01"]
    assert bad.stdout.startswith("✗ 0100109107")
    assert '"verdict": "valid"' in piped.stdout
