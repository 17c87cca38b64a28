"""Administrative units on a day, and as known on a day."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from datetime import date
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lienthong.law.figures import POPULATION_LABEL, commune_place, province_figures
from lienthong.law.units import (
    Unit,
    UnitCodeAmbiguous,
    UnitUnknown,
    level_of,
    province_of,
    province_units,
    readings,
    unit_on,
    units_on,
)

BEFORE, AFTER = date(2025, 6, 30), date(2025, 7, 1)


def name_on(code: str, day: date, known_at: date | None = None) -> str | None:
    unit = unit_on(code, "province", day, known_at)
    return unit.full_name if unit else None


@pytest.mark.parametrize(
    ("code", "old", "new"),
    [
        ("15", "Tỉnh Yên Bái", "Tỉnh Lào Cai"),
        ("24", "Tỉnh Bắc Giang", "Tỉnh Bắc Ninh"),
        ("44", "Tỉnh Quảng Bình", "Tỉnh Quảng Trị"),
        ("52", "Tỉnh Bình Định", "Tỉnh Gia Lai"),
        ("80", "Tỉnh Long An", "Tỉnh Tây Ninh"),
        ("82", "Tỉnh Tiền Giang", "Tỉnh Đồng Tháp"),
        ("91", "Tỉnh Kiên Giang", "Tỉnh An Giang"),
    ],
)
def test_r07_a_code_means_what_it_meant_on_the_day(code: str, old: str, new: str) -> None:
    assert name_on(code, BEFORE) == old
    assert name_on(code, AFTER) == new


def test_r07_exactly_seven_province_codes_are_refused_without_a_day_and_name_both_readings() -> None:
    refused: dict[str, str] = {}
    for unit in units_on("province", AFTER):
        try:
            unit_on(unit.code, "province", None)
        except UnitCodeAmbiguous as problem:
            refused[unit.code] = problem.detail("en")
    assert sorted(refused) == ["15", "24", "44", "52", "80", "82", "91"]
    assert refused["15"] == ("The code 15 has meant Tỉnh Yên Bái (… - 2025-06-30); Tỉnh Lào Cai (2025-07-01 - …).")


def test_r07_an_unambiguous_code_needs_no_day() -> None:
    hanoi, hue = unit_on("01", "province", None), unit_on("46", "province", None)
    assert hanoi is not None
    assert hanoi.full_name == "Thành phố Hà Nội"
    assert hue is not None
    assert hue.full_name == "Thành phố Huế"


def test_r07_a_commune_code_that_lives_on_under_another_name_is_refused_without_a_day() -> None:
    with pytest.raises(UnitCodeAmbiguous) as refused:
        unit_on("00004", "commune", None)
    for name in ("Phường Trúc Bạch", "Phường Ba Đình"):
        assert name in str(refused.value.facts["readings"])


def test_r07_a_code_that_was_free_on_the_day_is_answered_with_nothing() -> None:
    assert unit_on("15", "commune", AFTER) is None
    assert name_on("10", BEFORE) == "Tỉnh Lào Cai"
    assert name_on("10", AFTER) is None
    assert unit_on("001", "district", AFTER) is None


def test_r07_a_change_is_known_only_from_the_day_its_text_was_issued() -> None:
    may_day = date(2026, 5, 1)
    assert name_on("75", may_day, known_at=date(2026, 4, 23)) == "Tỉnh Đồng Nai"
    assert name_on("75", may_day, known_at=date(2026, 4, 24)) == "Thành phố Đồng Nai"
    assert name_on("15", AFTER, known_at=date(2025, 6, 11)) == "Tỉnh Yên Bái"
    earlier = unit_on("75", "province", date(2026, 4, 1), known_at=date(2026, 4, 1))
    assert earlier is not None
    assert (earlier.valid_to, earlier.end_basis) == (None, None)


def test_r07_every_reading_carries_its_legal_basis() -> None:
    for unit in readings("75", "province"):
        assert unit.legal_basis
    assert [unit.legal_basis for unit in readings("75", "province")][1:] == [
        "202/2025/QH15; 19/2025/QĐ-TTg",
        "30/2026/QH16",
    ]


def test_r08_the_present_lists_have_34_provinces_and_3321_communes() -> None:
    assert len(units_on("province", AFTER)) == 34
    assert len(units_on("commune", AFTER)) == 3321
    assert len(units_on("district", AFTER)) == 0


def test_r08_the_old_lists_have_63_provinces_696_districts_and_10035_communes() -> None:
    assert [len(units_on(level, BEFORE)) for level in ("province", "district", "commune")] == [63, 696, 10_035]


@pytest.mark.parametrize(
    ("day", "cities", "xa", "phuong", "dac_khu"),
    [
        (date(2025, 7, 1), 6, 2621, 687, 13),
        (date(2026, 4, 29), 6, 2621, 687, 13),
        (date(2026, 4, 30), 7, 2611, 697, 13),
        (date(2026, 9, 1), 8, 2611, 697, 13),
        (date(2026, 9, 20), 9, 2599, 709, 13),
    ],
)
def test_r08_kinds_are_counted_as_the_resolutions_say(
    day: date, cities: int, xa: int, phuong: int, dac_khu: int
) -> None:
    kinds = [unit.kind for unit in units_on("commune", day)]
    assert sum(unit.kind == "thành phố" for unit in units_on("province", day)) == cities
    assert [kinds.count(kind) for kind in ("xã", "phường", "đặc khu")] == [xa, phuong, dac_khu]


def test_r08_dong_nai_is_a_province_in_april_and_a_city_in_may_2026() -> None:
    assert name_on("75", date(2026, 4, 1)) == "Tỉnh Đồng Nai"
    assert name_on("75", date(2026, 5, 1)) == "Thành phố Đồng Nai"
    long_thanh = [unit_on("26368", "commune", day) for day in (date(2026, 4, 29), date(2026, 4, 30))]
    assert [unit.full_name for unit in long_thanh if unit] == ["Xã Long Thành", "Phường Long Thành"]


def test_r08_settled_codes_and_renamed_provinces() -> None:
    for code, name in (("06970", "Xã Ba Chẽ"), ("23938", "Xã Ia Mơ"), ("20333", "Đặc khu Hoàng Sa")):
        unit = unit_on(code, "commune", AFTER)
        assert unit is not None
        assert unit.full_name == name
    assert name_on("46", date(2024, 12, 31)) == "Tỉnh Thừa Thiên Huế"
    assert name_on("46", date(2025, 1, 1)) == "Thành phố Huế"


def test_r10_codes_travel_through_json_csv_and_xml_as_text_with_their_zeros() -> None:
    records = [unit.as_record() for unit in (_unit("01", "province"), _unit("00070", "commune"))]
    from_json = json.loads(json.dumps(records))
    sheet = io.StringIO()
    writer = csv.DictWriter(sheet, records[0])
    writer.writeheader()
    writer.writerows(records)
    from_csv = list(csv.DictReader(io.StringIO(sheet.getvalue())))
    root = ElementTree.Element("units")
    for record in records:
        ElementTree.SubElement(root, "unit", record)
    from_xml = [dict(element.attrib) for element in ElementTree.fromstring(ElementTree.tostring(root))]
    assert from_json == from_csv == from_xml == records
    assert [record["code"] for record in records] == ["01", "00070"]
    assert records[1]["parent"] == "01"


def test_r10_every_code_is_text_of_its_full_length() -> None:
    for level, length in (("province", 2), ("district", 3), ("commune", 5)):
        units = (*units_on(level, BEFORE), *units_on(level, AFTER))  # type: ignore[arg-type]
        assert {len(unit.code) for unit in units} == {length}
        assert {level_of(unit.code) for unit in units} == {level}


@pytest.mark.parametrize("code", ["", "1", "0001", "000001", "1a", "٠١", "01 "])
def test_a_text_that_is_no_unit_code_is_refused(code: str) -> None:
    with pytest.raises(UnitUnknown):
        level_of(code)


def test_a_province_lists_its_communes_of_the_day() -> None:
    assert len(province_units("31", AFTER)) == 114
    old = province_units("31", BEFORE)
    assert {province_of(unit) for unit in old} == {"31"}
    assert len(province_units("30", BEFORE)) + len(old) > 114
    with pytest.raises(UnitUnknown):
        province_units("30", AFTER)


def test_figures_are_published_for_the_34_provinces_and_labelled_as_registered() -> None:
    figures = [province_figures(unit.code) for unit in units_on("province", AFTER)]
    assert sum(one.registered_population for one in figures) == 112_093_848
    assert all(one.source and one.area_km2 > 0 for one in figures)
    assert "not the census" in POPULATION_LABEL
    with pytest.raises(UnitUnknown):
        province_figures("30")


def test_every_commune_has_a_place_and_all_but_two_an_area() -> None:
    places = [commune_place(unit.code) for unit in units_on("commune", AFTER)]
    assert sum(place.area_km2 is None for place in places) == 2
    assert all(6 < place.lat < 24 and 102 < place.lon < 118 for place in places)
    with pytest.raises(UnitUnknown):
        commune_place("00001")


def test_importing_the_units_reads_no_file() -> None:
    code = (
        "import pathlib; real = pathlib.Path.read_text\n"
        "def refuse(path, *a, **k):\n"
        "    assert path.suffix != '.tsv', path\n"
        "    return real(path, *a, **k)\n"
        "pathlib.Path.read_text = refuse\n"
        "import lienthong.law.units, lienthong.law.successions, lienthong.law.figures\n"
        "import lienthong.law.agencies, lienthong.law.rules, lienthong.law.grounds\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr


def test_a_question_about_today_does_not_read_the_old_communes() -> None:
    code = (
        "from datetime import date\n"
        "from lienthong.law import reference, units\n"
        "units.units_on('commune', date(2026, 5, 1)); units.unit_on('15', 'province', date(2025, 1, 1))\n"
        "assert reference.lines_by_code.cache_info().currsize == 2, reference.lines_by_code.cache_info()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, env=_environment())
    assert done.returncode == 0, done.stderr


def _unit(code: str, level: str) -> Unit:
    unit = unit_on(code, level, AFTER)  # type: ignore[arg-type]
    assert unit is not None
    return unit


def _environment() -> dict[str, str]:
    return {"PYTHONPATH": str(Path(__file__).parents[2] / "src"), "PATH": "/usr/bin:/bin"}
