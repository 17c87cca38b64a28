"""Tables are named member.system.table, own ones more shortly; case does not matter, odd codes are quoted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.query.names import find_service, fold_name, read_name, service_name, write_name
from lienthong.query.problems import AmbiguousTable, UnknownTable

SERVICES = (
    "VN/GOV/G01/dancu/citizen",
    "VN/GOV/G01/hotich/citizen",
    "VN/GOV/G01/hotich/birth",
    "VN/GOV/H31.12/datdai/parcel",
    "VN/COM/G01/dancu/shop",
)


@pytest.mark.parametrize(
    ("text", "service"),
    [
        ("g01.dancu.citizen", "VN/GOV/G01/dancu/citizen"),
        ("G01.DanCu.CITIZEN", "VN/GOV/G01/dancu/citizen"),
        ('"G01"."dancu"."citizen"', "VN/GOV/G01/dancu/citizen"),
        ('"h31.12".datdai.parcel', "VN/GOV/H31.12/datdai/parcel"),
        ("hotich.citizen", "VN/GOV/G01/hotich/citizen"),
        ("birth", "VN/GOV/G01/hotich/birth"),
    ],
)
def test_a_name_finds_its_service(text: str, service: str):
    assert find_service(text, SERVICES, "VN/GOV/G01") == service


@pytest.mark.parametrize(
    "text",
    ["g02.dancu.citizen", "datdai.parcel", "parcel", "shop", "a.b.c.d", "", ".", "g01..citizen", 'g01."dancu', "a b"],
)
def test_a_name_that_fits_nothing_is_unknown(text: str):
    with pytest.raises(UnknownTable):
        find_service(text, SERVICES, "VN/GOV/G01")


def test_a_bare_name_that_fits_two_tables_is_refused():
    with pytest.raises(AmbiguousTable) as refused:
        find_service("citizen", SERVICES, "VN/GOV/G01")

    assert refused.value.kind == "ambiguous-table"
    assert "member.system.table" in refused.value.mend


def test_nobodys_bare_name_means_nothing():
    with pytest.raises(UnknownTable):
        find_service("birth", SERVICES)


@given(st.lists(st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1), min_size=1, max_size=3))
def test_a_written_name_reads_back(parts: list[str]):
    folded = tuple(fold_name(part) for part in parts)

    assert read_name(write_name(folded)) == folded


def test_only_latin_letters_without_marks_fold_as_in_the_engine():
    assert fold_name("ẤP Ab") == "Ấp ab"
    assert service_name("VN/GOV/H31.12/DatDai/Thửa") == ("h31.12", "datdai", "thửa")
