"""The map of the provinces since 1 July 2025, with Hoàng Sa and Trường Sa.  Built by ``tools/build_map.py``.

Shapes are GeoJSON (RFC 7946): degrees east and north, simplified to under a kilometre; they show where a province is
and are no record of a border.  Whatever part of the map is asked for, it holds both archipelagos.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from datetime import date
from functools import cache
from importlib.resources import files
from typing import Any, Final

from lienthong.law.units import unit_on

Feature = dict[str, Any]
FIRST_DAY: Final = date(2025, 7, 1)
"""NQ 202/2025/QH15: 34 provinces."""


def map_of_provinces(day: date, only: Collection[str] | None = None) -> dict[str, Any]:
    """A FeatureCollection: provinces (``kind`` province, ``id`` their code), then Hoàng Sa and Trường Sa.

    Provinces are called as they were on ``day``, which is one since 1 July 2025 (ValueError).
    ``only`` keeps the provinces of those codes.  The archipelagos (``kind`` archipelago; thành phố Đà Nẵng, tỉnh Khánh
    Hòa) stay whatever it leaves out.
    """
    if day < FIRST_DAY:
        raise ValueError(f"this map holds from {FIRST_DAY}, not on {day}")
    kept: list[Feature] = []
    for each in _features():
        about = each["properties"]
        if about["kind"] == "archipelago":
            kept.append(each)
        elif only is None or about["id"] in only:
            unit = unit_on(about["id"], "province", day)
            kept.append(each | {"properties": about | {"name": unit.full_name if unit else about["id"]}})
    return {"type": "FeatureCollection", "features": kept}


def archipelagos() -> tuple[Feature, ...]:
    """Hoàng Sa and Trường Sa, each with the names and places of its main islands."""
    return tuple(each for each in _features() if each["properties"]["kind"] == "archipelago")


@cache
def _features() -> tuple[Feature, ...]:
    read = json.loads(files("lienthong.law").joinpath("data/provinces.geojson").read_text(encoding="utf-8"))
    return tuple(read["features"])
