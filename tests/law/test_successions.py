"""Old units and what became of them: every target, never a silent pick."""

from __future__ import annotations

from datetime import date

import pytest

from lienthong.law.successions import predecessors, successors
from lienthong.law.units import UnitUnknown, units_on

BEFORE, AFTER, NOW = date(2025, 6, 30), date(2025, 7, 1), date(2026, 11, 22)


def test_r09_a_split_commune_answers_all_its_targets_with_one_default() -> None:
    found = successors("09013", AFTER)  # Văn Khê, Mê Linh
    assert [one.unit.full_name for one in found] == ["Xã Mê Linh", "Xã Yên Lãng", "Xã Tiến Thắng", "Xã Ô Diên"]
    assert [one.default for one in found] == [True, False, False, False]
    assert not any(one.whole for one in found)


def test_r09_a_merged_commune_answers_its_one_target_with_the_resolution() -> None:
    (only,) = successors("00001", AFTER)
    assert (only.unit.code, only.unit.full_name, only.whole) == ("00097", "Phường Hồng Hà", True)
    assert only.legal_basis.startswith("1656/NQ-UBTVQH15")


def test_r09_a_code_that_lives_on_is_not_the_same_territory() -> None:
    assert [one.unit.code for one in successors("00004", BEFORE)] == ["00004"]
    assert successors("00004", BEFORE)[0].unit.full_name == "Phường Trúc Bạch"
    assert {one.unit.name for one in successors("00004", AFTER)} == {"Ba Đình"}
    assert len(predecessors("00004")) > 1


def test_r09_every_old_unit_has_targets_and_exactly_one_default() -> None:
    for unit in (*units_on("commune", BEFORE), *units_on("province", BEFORE)):
        found = successors(unit.code, AFTER)
        assert sum(one.default for one in found) == 1, unit.code
        assert found[0].default
        assert all(one.legal_basis for one in found)


def test_r09_the_split_communes_are_443() -> None:
    counts = [len(successors(unit.code, AFTER)) for unit in units_on("commune", BEFORE)]
    assert {size: counts.count(size) for size in (2, 3, 4, 5)} == {2: 371, 3: 55, 4: 16, 5: 1}


def test_r09_an_island_district_without_communes_became_a_special_zone() -> None:
    names = [successors(code, AFTER)[0].unit.full_name for code in ("318", "471", "498", "536", "755")]
    assert names == ["Đặc khu Bạch Long Vĩ", "Đặc khu Cồn Cỏ", "Đặc khu Hoàng Sa", "Đặc khu Lý Sơn", "Đặc khu Côn Đảo"]


def test_r09_a_district_is_succeeded_by_several_communes_and_none_is_the_default() -> None:
    found = successors("001", AFTER)
    assert len(found) > 3
    assert not any(one.default for one in found)


def test_r09_a_target_is_answered_as_it_stands_on_the_day_asked_for() -> None:
    (predecessor, *_) = predecessors("26368")
    april, may = (successors(predecessor.unit.code, day)[0].unit.full_name for day in (date(2026, 4, 1), NOW))
    assert (april, may) == ("Xã Long Thành", "Phường Long Thành")
    assert [one.unit.full_name for one in successors("75", NOW, was_on=date(2026, 1, 1))] == ["Thành phố Đồng Nai"]


def test_r09_a_commune_merged_before_the_last_old_list_still_resolves() -> None:
    assert successors("07693", NOW)[0].unit.full_name == "Phường Tân An"
    assert successors("07693", BEFORE) == ()


def test_r09_provinces_merge_whole() -> None:
    assert [one.unit.full_name for one in successors("15", AFTER)] == ["Tỉnh Lào Cai"]
    assert [(one.unit.full_name, one.whole) for one in predecessors("15")] == [
        ("Tỉnh Lào Cai", True),
        ("Tỉnh Yên Bái", True),
    ]
    assert sum(len(predecessors(unit.code)) for unit in units_on("province", AFTER)) == 63


def test_predecessors_and_successors_are_the_same_edges() -> None:
    forward = {(old.code, one.unit.code) for old in units_on("commune", BEFORE) for one in successors(old.code, AFTER)}
    backward = {
        (one.unit.code, new.code)
        for new in units_on("commune", AFTER)
        for one in predecessors(new.code)
        if one.unit.level == "commune" and one.unit.stood_on(BEFORE)
    }
    assert forward == backward
    assert len(forward) == 10_585 - 12 - 5


@pytest.mark.parametrize("code", ["99999", "03", "999", "abc"])
def test_an_unknown_code_is_refused(code: str) -> None:
    with pytest.raises(UnitUnknown):
        successors(code, NOW)
    with pytest.raises(UnitUnknown):
        predecessors(code)


def test_an_ended_code_has_no_predecessors_under_the_new_lists() -> None:
    with pytest.raises(UnitUnknown):
        predecessors("00001")


def test_r09_ha_tay_ended_in_2008_and_went_whole_into_ha_noi() -> None:
    day_before, day_after = date(2008, 7, 31), date(2008, 8, 1)
    assert len(units_on("province", day_before)) == 64
    assert len(units_on("province", day_after)) == 63
    for day, name in ((day_after, "Hà Nội"), (BEFORE, "Hà Nội"), (NOW, "Hà Nội")):
        (only,) = successors("28", day, was_on=day_before)
        assert (only.unit.name, only.unit.code, only.legal_basis) == (name, "01", "15/2008/QH12")
        assert only.unit.stood_on(day)
    assert [one.unit.code for one in successors("28", day_before, was_on=day_before)] == ["28"]
    assert [one.unit.code for one in predecessors("01")] == ["01"], "Hà Tây was no unit on 30 June 2025"


def test_r09_a_whole_unit_weighs_one_and_the_shares_of_a_divided_one_are_not_known() -> None:
    assert [one.weight for one in successors("00001", AFTER)] == [1.0]
    assert {one.weight for one in successors("09013", AFTER)} == {None}
