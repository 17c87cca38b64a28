"""Identifiers: what is accepted, refused and warned about, on real published codes and on made ones."""

from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.law.identifiers import (
    BIRTH_PLACES,
    EnterpriseCode,
    IdentifierRefused,
    PersonalNumber,
    check_enterprise_code,
    check_parcel_id,
    check_personal_number,
    check_tax_code,
    enterprise_check_digit,
    geohash,
    geohash_centre,
    in_vietnam,
    masked_number,
    personal_number,
)

TODAY = date(2026, 11, 22)


@given(
    place=st.sampled_from(sorted(BIRTH_PLACES)),
    born=st.dates(date(1900, 1, 1), TODAY),
    female=st.booleans(),
    serial=st.integers(0, 999_999),
)
def test_r12_a_made_personal_number_reads_back_as_what_it_was_made_from(
    place: str, born: date, female: bool, serial: int
) -> None:
    read = check_personal_number(personal_number(place, born, female, serial), today=TODAY, born=born, female=female)
    assert (read.birth_place, read.birth_year, read.female, read.warnings) == (place, born.year, female, ())


def test_r12_century_and_gender_are_one_digit() -> None:
    assert personal_number("31", date(1999, 5, 1), False, 12345) == "031099012345"
    assert personal_number("031", date(1999, 5, 1), True, 12345) == "031199012345"
    assert personal_number("031", date(2001, 5, 1), False, 1) == "031201000001"
    assert personal_number("031", date(2001, 5, 1), True, 1) == "031301000001"


@pytest.mark.parametrize("number", ["", "03109901234", "0310990123456", "03109901234a", "031099 12345", "٠٣١٠٩٩٠١٢٣٤٥"])
def test_r12_only_twelve_ascii_digits_are_a_personal_number(number: str) -> None:
    with pytest.raises(IdentifierRefused):
        check_personal_number(number, today=TODAY)


def test_r12_a_number_that_contradicts_birth_date_gender_or_calendar_is_refused() -> None:
    number = personal_number("031", date(1999, 5, 1), False, 12345)
    with pytest.raises(IdentifierRefused):
        check_personal_number(number, today=TODAY, born=date(1998, 5, 1))
    with pytest.raises(IdentifierRefused):
        check_personal_number(number, today=TODAY, female=True)
    with pytest.raises(IdentifierRefused):
        check_personal_number("031227000001", today=TODAY)


def test_r12_an_unknown_birth_place_is_a_warning_not_an_error() -> None:
    assert check_personal_number("555099012345", today=TODAY).warnings == ("unknown-birth-place",)


def test_r12_a_refusal_never_repeats_the_number() -> None:
    with pytest.raises(IdentifierRefused) as refused:
        check_personal_number("031227000001", today=TODAY)
    assert "031227000001" not in str(refused.value.as_dict("en"))
    assert not refused.value.facts


def test_a_number_is_masked_where_it_is_shown() -> None:
    number = personal_number("001", date(1956, 5, 1), False, 56)
    assert masked_number(number) == "001*******56"
    assert masked_number("123") == "***"
    assert number not in repr(check_personal_number(number, today=TODAY))


@pytest.mark.parametrize("code", ["0100109106", "0100233488", "0100112437", "0300588569"])
def test_r13_published_enterprise_codes_are_valid(code: str) -> None:
    assert check_enterprise_code(code) == EnterpriseCode(code, None)


def test_r13_a_branch_is_read_with_and_without_its_hyphen() -> None:
    assert check_enterprise_code("0314409058-002") == EnterpriseCode("0314409058", "002")
    assert check_enterprise_code("0314409058002") == EnterpriseCode("0314409058", "002")


@pytest.mark.parametrize(
    "code", ["0100109107", "0314409058-000", "0100000000", "010010910", "01001091060", "0100109106-1", "O100109106"]
)
def test_r13_wrong_check_digit_branch_zero_and_odd_shapes_are_refused(code: str) -> None:
    with pytest.raises(IdentifierRefused):
        check_enterprise_code(code)


@given(st.from_regex(r"[0-9]{9}", fullmatch=True))
def test_r13_a_stem_has_at_most_one_valid_tenth_digit_and_none_where_the_formula_gives_ten(stem: str) -> None:
    digit = enterprise_check_digit(stem)
    valid = []
    for last in range(10):
        try:
            valid.append(int(check_enterprise_code(f"{stem}{last}").code[-1]))
        except IdentifierRefused:
            continue
    assert valid == ([] if digit is None or stem[2:] == "0000000" else [digit])


def test_r13_a_stem_whose_formula_gives_ten_has_no_code() -> None:
    without = next(f"{n:09d}" for n in range(100_000_000, 100_000_100) if enterprise_check_digit(f"{n:09d}") is None)
    for last in range(10):
        with pytest.raises(IdentifierRefused):
            check_enterprise_code(f"{without}{last}")


def test_r14_a_tax_code_may_be_a_personal_number() -> None:
    assert isinstance(check_tax_code("031099012345", today=TODAY), PersonalNumber)
    assert isinstance(check_tax_code("0100109106", today=TODAY), EnterpriseCode)
    with pytest.raises(IdentifierRefused):
        check_tax_code("031227000001", today=TODAY)


def test_r15_a_geohash_of_a_known_place_is_the_published_one() -> None:
    assert geohash(57.64911, 10.40744, 11) == "u4pruydqqvj"
    assert geohash(42.6, -5.6, 5) == "ezs42"
    assert len(geohash(20.8449, 106.6881)) == 12


@given(lat=st.floats(-90, 90), lon=st.floats(-180, 180))
def test_r15_a_geohash_holds_its_point(lat: float, lon: float) -> None:
    code = geohash(lat, lon)
    centre = geohash_centre(code)
    assert abs(centre.lat - lat) < 1e-6
    assert abs(centre.lon - lon) < 1e-6
    assert geohash(centre.lat, centre.lon) == code


@pytest.mark.parametrize(
    ("lat", "lon"), [(21.0285, 105.8542), (8.6, 104.7), (23.36, 105.32), (16.5, 111.6), (8.64, 111.92), (10.2, 104.0)]
)
def test_r15_a_parcel_inside_vietnam_is_accepted(lat: float, lon: float) -> None:
    place = check_parcel_id(geohash(lat, lon))
    assert abs(place.lat - lat) < 1e-6
    assert abs(place.lon - lon) < 1e-6


@pytest.mark.parametrize(
    "code",
    [
        "",
        "w7er8u0evws",
        "w7er8u0evws22",
        "W7ER8U0EVWS2",
        "a7er8u0evws2",
        "i7er8u0evws2",
        "l7er8u0evws2",
        "o7er8u0evws2",
    ],
)
def test_r15_other_characters_and_lengths_are_refused(code: str) -> None:
    with pytest.raises(IdentifierRefused):
        check_parcel_id(code)


@pytest.mark.parametrize(
    ("lat", "lon"),
    [(13.75, 100.5), (11.55, 104.92), (17.97, 102.6), (22.3, 114.17), (25.04, 102.7), (48.9, 2.3), (-21.0, 105.8)],
)
def test_r15_a_parcel_abroad_is_refused(lat: float, lon: float) -> None:
    assert not in_vietnam(lat, lon)
    with pytest.raises(IdentifierRefused):
        check_parcel_id(geohash(lat, lon))
