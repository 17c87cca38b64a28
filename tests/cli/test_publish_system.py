"""Which system a publication goes to when the command does not say, and which columns are taken for personal."""

from __future__ import annotations

import pytest

from lienthong.catalog.publish import PERSONAL_NAMES
from lienthong.cli.publish import DEFAULT_SYSTEM, WhichSystem, only_system


def test_the_only_system_is_taken_and_one_of_several_is_asked_for():
    assert only_system("VN/GOV/G12", ["VN/GOV/G12/doanhnghiep"], "firm") == "doanhnghiep"
    assert only_system("VN/GOV/G12", [], "firm") == DEFAULT_SYSTEM
    with pytest.raises(WhichSystem) as refused:
        only_system("VN/GOV/H24", ["VN/GOV/H24/motcua", "VN/GOV/H24/phantich"], "truong_hoc")

    assert refused.value.kind == "which-system"
    assert refused.value.facts["systems"] == "motcua, phantich"
    assert "--service SYSTEM/truong_hoc" in refused.value.as_dict("en")["mend"]


@pytest.mark.parametrize(
    ("column", "personal"),
    [
        ("personal_number", True),
        ("representative_number", True),
        ("owner_code", True),
        ("nguoi_dai_dien", True),
        ("chu_so_huu", True),
        ("ho_ten", True),
        ("parcel_number", False),
        ("commune_code", False),
        ("area_m2", False),
        ("ten_truong", False),
    ],
)
def test_columns_that_name_a_person_are_marked(column: str, personal: bool):
    assert bool(PERSONAL_NAMES.search(column)) is personal
