"""From an address in any spelling to the commune that holds it: what is certain, what is not, and that it is said."""

from __future__ import annotations

import random
import socket
import unicodedata
from collections.abc import Callable
from datetime import date

import pytest

from lienthong.law.successions import successors
from lienthong.law.text import latin
from lienthong.law.units import LAST_OLD_DAY, Unit, unit_on, units_on
from lienthong.linkage.address import resolve

TODAY = date(2026, 11, 23)
SHORT = {
    "phường": "P.",
    "xã": "X.",
    "thị trấn": "TT.",
    "quận": "Q.",
    "huyện": "H.",
    "thị xã": "TX.",
    "thành phố": "TP.",
}
Units = tuple[Unit, Unit, Unit]


def old_addresses(seed: int, number: int) -> list[Units]:
    """Commune, district and province of randomly chosen communes of 30 Jun 2025."""
    districts = {unit.code: unit for unit in units_on("district", LAST_OLD_DAY)}
    provinces = {unit.code: unit for unit in units_on("province", LAST_OLD_DAY)}
    communes = random.Random(seed).sample(units_on("commune", LAST_OLD_DAY), number)
    found = [(unit, districts[unit.parent or ""]) for unit in communes if unit.parent in districts]
    return [(unit, district, provinces[district.parent or ""]) for unit, district in found]


def legal_targets(unit: Unit) -> set[str]:
    return {successor.unit.code for successor in successors(unit.code, TODAY)}


def answered(text: str) -> set[str]:
    found = resolve(text, TODAY)
    return {unit.code for unit in (found.unit, *found.alternatives) if unit}


def full(units: Units) -> str:
    return "Số 5 ngõ 10 Trần Phú, " + ", ".join(unit.full_name for unit in units)


SPELLINGS: dict[str, Callable[[Units], str]] = {
    "as written officially": full,
    "in capitals": lambda units: full(units).upper(),
    "without diacritics": lambda units: latin(full(units)),
    "in NFD": lambda units: unicodedata.normalize("NFD", full(units)),
    "without commas": lambda units: full(units).replace(",", ""),
    "between dashes, with the country": lambda units: " - ".join(
        (*(f"{SHORT.get(unit.kind, 'T.')} {unit.name}" for unit in units), "Việt Nam")
    ),
    "in short": lambda units: "12 Lê Lợi, " + ", ".join(SHORT.get(unit.kind, "T.") + unit.name for unit in units),
    "under the province of today": lambda units: ", ".join(
        (units[0].full_name, units[1].full_name, successors(units[2].code, TODAY)[0].unit.full_name)
    ),
    "without the province": lambda units: ", ".join(unit.full_name for unit in units[:2]),
    "without the district": lambda units: ", ".join((units[0].full_name, units[2].full_name)),
}


@pytest.mark.parametrize("spelling", SPELLINGS.values(), ids=SPELLINGS)
def test_an_old_address_names_every_unit_it_may_lie_in_however_it_is_spelled(spelling):
    chosen = old_addresses(seed=7, number=300)

    missed = [spelling(units) for units in chosen if not legal_targets(units[0]) <= answered(spelling(units))]

    assert len(chosen) > 250
    assert missed == []


def test_a_commune_of_today_is_found_by_its_own_name():
    provinces = {unit.code: unit for unit in units_on("province", TODAY)}
    for unit in units_on("commune", TODAY):
        found = resolve(f"{unit.full_name}, {provinces[unit.parent or ''].full_name}", TODAY, written=TODAY)
        assert (found.status, found.unit) == ("exact", unit), unit.full_name


def test_a_divided_unit_is_said_to_be_split_and_all_targets_are_named():
    split = [units for units in old_addresses(seed=3, number=2_000) if len(legal_targets(units[0])) > 1]

    for units in split[:60]:
        found = resolve(full(units), TODAY)
        assert (found.status, found.unit) == ("split", None)
        assert {unit.code for unit in found.alternatives} == legal_targets(units[0])


@pytest.mark.parametrize(
    ("text", "status", "code"),
    [
        ("12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM", "exact", "26740"),
        ("P5, Q3, HCM", "exact", "27154"),
        ("phuong 05 quan 03 tp hcm 70000", "exact", "27154"),
        ("Phường Ba Đình, Hà Nội", "exact", "00004"),
        ("Trúc Bạch, Ba Đình, Hà Nội", "exact", "00004"),
        ("Phường Nguyễn Trung Trực, Quận Ba Đình, Hà Nội", "corrected", "00004"),
        ("Bến Nghee, Quận 1, Hồ Chí Minh", "corrected", "26740"),
        ("Bne Nghé, Quận 1, Hồ Chí Minh", "corrected", "26740"),
        ("Phường Dĩ An, Tỉnh Bình Dương", "corrected", "25942"),
        ("Xã Ea HLeo, huyện Ea H'leo, Đắk Lắk", "exact", "24184"),
    ],
)
def test_an_address_is_found_and_a_correction_is_said(text, status, code):
    found = resolve(text, TODAY)

    assert (found.status, found.unit and found.unit.code) == (status, code)


def test_two_units_of_one_name_are_ambiguous_until_the_day_of_writing_is_known():
    text = "Xã Lê Lợi, Tỉnh Hải Dương"
    several = resolve("Ba To, Ba To, Quang Ngai", TODAY)

    assert {resolve(text, TODAY).status, several.status} == {"ambiguous"}
    assert {unit.name for unit in several.alternatives} == {"Ba Tơ", "Ba Tô"}
    assert resolve(text, TODAY, written=LAST_OLD_DAY).status == "ambiguous"


def test_an_address_of_todays_two_levels_is_taken_so_and_what_it_meant_before_stands_beside():
    today = resolve("Xã Trà Vong, Tỉnh Tây Ninh", TODAY)
    then = resolve("Xã Trà Vong, Tỉnh Tây Ninh", TODAY, written=LAST_OLD_DAY)

    assert (today.status, today.unit and today.unit.name) == ("exact", "Trà Vong")
    assert {unit.name for unit in today.alternatives} == {"Tân Phú"}
    assert (then.status, {unit.name for unit in then.alternatives}) == ("split", {"Trà Vong", "Tân Phú"})
    assert resolve("Xã Trà Vong, Tỉnh Tây Ninh", TODAY, written=TODAY).alternatives == ()


def test_diacritics_tell_two_names_apart_where_they_are_written():
    assert resolve("Xã Ba Tơ, Quảng Ngãi", TODAY, written=TODAY).unit == unit_on("21484", "commune", TODAY)
    assert resolve("Xã Ba Tô, Quảng Ngãi", TODAY, written=TODAY).unit == unit_on("21523", "commune", TODAY)


def test_an_old_day_is_answered_with_the_unit_of_that_day():
    found = resolve("Phường Trúc Bạch, Quận Ba Đình, Hà Nội", LAST_OLD_DAY)

    assert (found.status, found.unit and found.unit.name) == ("exact", "Trúc Bạch")


def test_a_new_address_on_an_old_day_names_all_it_was_made_of():
    found = resolve("Phường Ba Đình, Hà Nội", LAST_OLD_DAY, written=TODAY)

    assert (found.status, found.unit) == ("split", None)
    assert "Trúc Bạch" in {unit.name for unit in found.alternatives}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "   ",
        "🏠🏠🏠",
        "1600 Pennsylvania Avenue, Washington",
        "số 1 đại lộ Thăng Long",
        ", , ,",
        "x" * 10_000_000,
        "12 " * 400_000,
    ],
    ids=["empty", "blank", "emoji", "abroad", "a street alone", "commas", "10 MB line", "many words"],
)
def test_what_names_no_commune_is_said_to_name_none(text):
    found = resolve(text, TODAY)

    assert (found.status, found.unit, found.alternatives) == ("none", None, ())


def test_a_street_named_like_a_commune_is_no_commune():
    found = resolve("123 Nguyễn Huệ, Đà Lạt, Lâm Đồng", TODAY)

    assert (found.status, found.read_as and found.read_as.full_name) == ("none", "Thành phố Đà Lạt")


def test_a_district_that_lies_in_another_province_is_not_believed():
    found = resolve("Phường Bến Nghé, Quận 1, Hà Nội", TODAY)

    assert found.unit is None


def test_nothing_is_asked_from_any_network(monkeypatch):
    def refuse(*_: object, **__: object) -> None:
        raise AssertionError("a socket was opened")

    monkeypatch.setattr(socket, "socket", refuse)
    monkeypatch.setattr(socket, "create_connection", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)

    assert resolve("12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM", TODAY).status == "exact"
