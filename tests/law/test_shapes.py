"""The map of the provinces: all of them, every commune where it belongs, and Hoàng Sa and Trường Sa always."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from itertools import pairwise

import pytest

from lienthong.law.figures import commune_place
from lienthong.law.shapes import Feature, archipelagos, map_of_provinces
from lienthong.law.units import unit_on, units_on
from tools import build_map

TODAY = date(2026, 11, 1)
ARCHIPELAGOS = {"hoang-sa": ("20333", "48"), "truong-sa": ("22736", "56")}


def test_every_province_of_today_is_on_the_map_once():
    shown = [
        each["properties"] for each in map_of_provinces(TODAY)["features"] if each["properties"]["kind"] == "province"
    ]

    wanted = [(unit.code, unit.full_name) for unit in units_on("province", TODAY)]
    assert sorted((each["id"], each["name"]) for each in shown) == sorted(wanted)


def test_communes_lie_in_their_province():
    shapes = {each["properties"].get("id"): each for each in map_of_provinces(TODAY)["features"]}
    placed = [(unit, place) for unit in units_on("commune", TODAY) if (place := commune_place(unit.code))]

    wrong = [unit.full_name for unit, place in placed if not holds(shapes[unit.parent], (place.lon, place.lat))]

    # Places at a border or on a shore fall out of a map that is simplified to a kilometre.
    assert len(placed) > 3_000
    assert len(wrong) < 0.03 * len(placed), wrong


def test_a_province_is_called_as_it_was_on_the_day():
    names = [
        next(
            each["properties"]["name"] for each in map_of_provinces(day)["features"] if each["properties"]["id"] == "22"
        )
        for day in (date(2026, 4, 29), TODAY)
    ]

    assert names == ["Tỉnh Quảng Ninh", "Thành phố Quảng Ninh"]


def test_a_day_of_other_provinces_has_no_map():
    with pytest.raises(ValueError, match="2025-07-01"):
        map_of_provinces(date(2025, 6, 30))


@pytest.mark.parametrize("only", [None, (), ("01",), ("48", "56")], ids=["all", "none", "Hà Nội", "their provinces"])
def test_the_archipelagos_stay_whatever_is_left_out(only: Sequence[str] | None):
    shown = map_of_provinces(TODAY, only)["features"]

    found = {
        each["properties"]["id"]: each["properties"] for each in shown if each["properties"]["kind"] == "archipelago"
    }
    assert {name: (each["unit"], each["province"]) for name, each in found.items()} == ARCHIPELAGOS
    assert all(len(each["geometry"]["coordinates"]) >= 10 for each in shown if each["properties"]["id"] in ARCHIPELAGOS)


def test_the_islands_belong_to_the_shape_of_their_province_too():
    shapes = {each["properties"]["id"]: each for each in map_of_provinces(TODAY)["features"]}

    for archipelago in archipelagos():
        about = archipelago["properties"]
        unit = unit_on(about["unit"], "commune", TODAY)
        assert unit is not None
        assert unit.parent == about["province"]
        assert unit.name in about["name"]
        for island in about["islands"]:
            assert holds(shapes[about["province"]], island["at"]), island


def test_outlines_close_and_run_anticlockwise():
    for each in map_of_provinces(TODAY)["features"]:
        for (ring,) in each["geometry"]["coordinates"]:
            assert ring[0] == ring[-1]
            assert sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in pairwise(ring)) > 0, each["properties"]


def holds(feature: Feature, point: Sequence[float]) -> bool:
    """Whether ``point`` (degrees east, north) lies in a surface of the feature; islands may overlap."""
    return any(encloses(ring, point) for (ring,) in feature["geometry"]["coordinates"])


def encloses(ring: Sequence[Sequence[float]], point: Sequence[float]) -> bool:
    """Whether a ray to the east crosses the line an odd number of times."""
    crossed = False
    for (x0, y0), (x1, y1) in pairwise(ring):
        if (y0 > point[1]) != (y1 > point[1]):
            crossed ^= point[0] < (x1 - x0) * (point[1] - y0) / (y1 - y0) + x0
    return crossed


def test_the_tool_that_draws_them_joins_the_63_provinces_into_those_of_the_map():
    joined = build_map.successors_of_the_63()

    assert len(joined) == 63
    assert set(joined.values()) == {unit.code for unit in units_on("province", TODAY)}
