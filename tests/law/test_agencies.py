"""Agency codes: what is accepted, who bore them, and what closing one means."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import pytest

from lienthong.law.agencies import (
    AgencyCodeInvalid,
    AgencyCodeTaken,
    AgencyUnknown,
    ContactInvalid,
    agencies_on,
    agency_on,
    check_agency_code,
    check_free,
    check_parent,
    code_of,
    is_legacy_code,
    look_up,
    one_focal_contact,
    parent_code,
    present_agency,
    province_agency,
)
from lienthong.law.reference import rows
from lienthong.law.units import unit_on, units_on

BEFORE, AFTER, NOW = date(2025, 6, 30), date(2025, 7, 1), date(2026, 11, 22)


@dataclass(frozen=True)
class Contact:
    name: str = "Nguyễn Thị Ví Dụ"
    position: str = "Trưởng phòng"
    phone: str = "0225 3123 456"
    email: str = "vidu@haiphong.gov.vn"


@pytest.mark.parametrize("code", ["G01", "H24", "H24.05", "G22.99.AB.1", "K57", "A" + "00" + ".1" * 16])
def test_r01_a_well_formed_agency_code_is_accepted(code: str) -> None:
    assert check_agency_code(code) == code


@pytest.mark.parametrize(
    "code",
    ["", "g01", "G1", "G001", "G01.", ".G01", "G01..2", "G01 ", "G 01", "G01.a", "Đ01", "G01.Ă", "G01\n", "G01-2",
     "Ｇ01", "G٠١", "A00" + ".1" * 17],
)  # fmt: skip
def test_r01_lower_case_spaces_accents_and_36_characters_are_rejected(code: str) -> None:
    with pytest.raises(AgencyCodeInvalid):
        check_agency_code(code)


def test_r02_a_legacy_code_resolves_to_exactly_one_agency() -> None:
    assert is_legacy_code("000.00.04.G14")
    assert code_of("000.00.04.G14") == "G14.04"
    assert code_of("000.00.00.H41") == "H41"
    resolved = [legacy for legacy, _, _ in rows("legacy_codes")]
    assert len(resolved) == len(set(resolved))
    for legacy in resolved:
        assert look_up(legacy, date(2021, 1, 1)).agency.code == code_of(legacy)


def test_r02_a_legacy_code_outside_the_table_is_not_guessed() -> None:
    with pytest.raises(AgencyUnknown):
        code_of("000.00.77.G14")


def test_r02_a_legacy_code_is_never_given_to_a_new_agency() -> None:
    for legacy, _, _ in rows("legacy_codes"):
        with pytest.raises(AgencyCodeInvalid):
            check_free(legacy)
    assert not any(is_legacy_code(agency.code) for agency in agencies_on(NOW))


def test_r03_a_closed_code_answers_its_state_closing_date_and_successor() -> None:
    standing = look_up("H63", NOW)
    assert (standing.state, standing.closed_on, standing.successor) == ("closed", BEFORE, "H38")
    assert look_up("H63", BEFORE).state == "active"


@pytest.mark.parametrize("code", ["H63", "G14", "H38", "G01"])
def test_r03_a_code_borne_now_or_ever_can_not_be_given_again(code: str) -> None:
    with pytest.raises(AgencyCodeTaken):
        check_free(code)


def test_r03_a_code_the_directory_holds_can_not_be_given_again() -> None:
    assert check_free("G01.99") == "G01.99"
    with pytest.raises(AgencyCodeTaken):
        check_free("G01.99", borne={"G01.99"})


@pytest.mark.parametrize(
    ("old", "new", "name"),
    [
        ("H63", "H38", "Ủy ban nhân dân tỉnh Lào Cai"),
        ("H02", "H05", "Ủy ban nhân dân thành phố Bắc Ninh"),
        ("H23", "H24", "Ủy ban nhân dân thành phố Hải Phòng"),
        ("G14", "G06", "Bộ Khoa học và Công nghệ"),
        ("G13", "G10", "Bộ Nông nghiệp và Môi trường"),
    ],
)
def test_r04_an_old_code_resolves_to_the_present_body_and_its_record_stays_readable(
    old: str, new: str, name: str
) -> None:
    present = present_agency(old, NOW)
    assert (present.code, present.name_vi) == (new, name)
    record = look_up(old, NOW).agency
    assert record.code == old
    assert record.valid_to is not None
    assert agency_on(old, record.valid_to) == record


def test_r04_the_29_closed_codes_all_lead_to_one_of_the_34_provinces() -> None:
    old = {agency.code for agency in agencies_on(BEFORE) if agency.kind == "province"}
    now = {agency.code for agency in agencies_on(NOW) if agency.kind == "province"}
    assert (len(old), len(now), len(old - now)) == (63, 34, 29)
    assert {present_agency(code, NOW).code for code in old} == now


def test_r05_a_child_extends_its_parent_by_one_group() -> None:
    assert parent_code("G01") is None
    assert parent_code("G01.02.03") == "G01.02"
    assert check_parent("G01.02", {"G01"}) == "G01"
    assert check_parent("G01", set()) is None


@pytest.mark.parametrize("orphan", ["G01.02.03", "G99.01"])
def test_r05_an_orphan_is_rejected(orphan: str) -> None:
    with pytest.raises(AgencyCodeInvalid) as refused:
        check_parent(orphan, {"G01", "H24"})
    assert refused.value.facts["parent"] == orphan.rpartition(".")[0]


def test_r06_one_complete_contact_is_accepted() -> None:
    contact = Contact()
    assert one_focal_contact([contact]) is contact


@pytest.mark.parametrize(
    "contacts",
    [
        [],
        [Contact(), Contact()],
        [Contact(name=" ")],
        [Contact(position="")],
        [Contact(phone="")],
        [Contact(email="")],
        [Contact(email="vidu at haiphong")],
        [Contact(phone="call me")],
    ],
)
def test_r06_none_several_or_incomplete_contacts_are_rejected(contacts: list[Contact]) -> None:
    with pytest.raises(ContactInvalid):
        one_focal_contact(contacts)


def test_r11_statistics_code_and_agency_code_are_two_fields() -> None:
    lao_cai = province_agency("15", NOW)
    assert (lao_cai.statistics_code, lao_cai.code) == ("15", "H38")
    assert province_agency("15", BEFORE).code == "H63"
    assert province_agency("10", BEFORE).code == "H38"
    with pytest.raises(AgencyUnknown):
        province_agency("10", NOW)


def test_r11_every_province_of_a_day_has_one_agency_named_after_it() -> None:
    for day in (BEFORE, AFTER, NOW):
        for unit in units_on("province", day):
            agency = province_agency(unit.code, day)
            assert agency.name_vi.endswith(f"{unit.kind} {unit.name}")


def test_codes_not_read_in_a_source_say_so() -> None:
    verified = {agency.code for agency in agencies_on(NOW) if agency.verified and agency.kind == "province"}
    assert verified == {"H05", "H20", "H29", "H38", "H55", "H57"}
    merged = agency_on("G10", NOW)
    assert merged is not None
    assert not merged.verified


def test_every_statistics_code_is_that_of_a_province_and_every_successor_is_known() -> None:
    for code, _, _, _, _, first, _, successor, statistics, _, basis in rows("agencies"):
        assert basis
        if successor:
            assert look_up(successor, NOW).agency.code == successor
        if statistics:
            assert unit_on(statistics, "province", date.fromisoformat(first)) is not None, code
