"""Where the small country's people live: the real communes, Hải Phòng first, and the rows of the real unit register."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from itertools import accumulate
from math import sqrt

from lienthong.law.figures import CommunePlace, commune_place, province_figures
from lienthong.law.successions import predecessors
from lienthong.law.units import LAST_OLD_DAY, REFORM, Level, province_of, readings, unit_on, units_on

HOME_PROVINCE = "31"
"""Thành phố Hải Phòng, whose offices use the data."""
HOME_SHARE = 0.6
"""Part of all households that live there."""


@dataclass(frozen=True, slots=True)
class Place:
    """A commune of today with what is needed to put people and parcels into it."""

    code: str
    name: str
    urban: bool
    province: str
    province_name: str
    birth_places: tuple[str, ...]
    """Old 2-digit codes of the provinces this one was made of: where its people were registered at birth."""
    lat: float
    lon: float
    reach_km: float
    """Half the side of a square as large as the commune, at most 4."""


@dataclass(frozen=True, slots=True)
class Atlas:
    """All communes of a day with the weight at which households choose them."""

    places: tuple[Place, ...]
    cumulative_weights: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class UnitRow:
    """One reading of a unit's code, as a row of the register ``unit``."""

    reading: str
    code: str
    level: str
    kind: str
    name: str
    full_name: str
    parent_code: str | None
    province_code: str
    valid_from: date | None
    valid_to: date | None
    legal_basis: str
    area_km2: Decimal | None
    lat: float | None
    lon: float | None


def atlas(day: date) -> Atlas:
    """The communes of ``day``: Hải Phòng holds HOME_SHARE of the households, the rest go by registered population."""
    places = tuple(_places(day))
    in_province: dict[str, int] = {}
    for place in places:
        in_province[place.province] = in_province.get(place.province, 0) + 1
    elsewhere = sum(_population(province) for province in in_province if province != HOME_PROVINCE)
    share = {
        province: HOME_SHARE if province == HOME_PROVINCE else (1 - HOME_SHARE) * _population(province) / elsewhere
        for province in in_province
    }
    weights = (share[place.province] / in_province[place.province] for place in places)
    return Atlas(places, tuple(accumulate(weights)))


def unit_rows(day: date) -> list[UnitRow]:
    """Every reading that the codes of the units before the reform, at the reform and on ``day`` have had, by code."""
    levels: tuple[Level, ...] = ("province", "district", "commune")
    codes: set[tuple[Level, str]] = {
        (level, unit.code) for level in levels for at in (LAST_OLD_DAY, REFORM, day) for unit in units_on(level, at)
    }
    return [row for level, code in sorted(codes, key=lambda pair: pair[1]) for row in _readings(code, level)]


def _readings(code: str, level: Level) -> Iterator[UnitRow]:
    for unit in readings(code, level):
        today = unit.valid_from is not None and unit.valid_from >= REFORM
        where = commune_place(code) if today and level == "commune" else None
        yield UnitRow(
            reading=f"{code}/{unit.valid_from or ''}",
            code=code,
            level=level,
            kind=unit.kind,
            name=unit.name,
            full_name=unit.full_name,
            parent_code=unit.parent,
            province_code=province_of(unit),
            valid_from=unit.valid_from,
            valid_to=unit.valid_to,
            legal_basis=unit.legal_basis,
            area_km2=_area(code, level, where) if today else None,
            lat=where.lat if where else None,
            lon=where.lon if where else None,
        )


def _area(code: str, level: Level, where: CommunePlace | None) -> Decimal | None:
    if level == "province":
        return province_figures(code).area_km2
    return where.area_km2 if where else None


def _places(day: date) -> Iterator[Place]:
    births: dict[str, tuple[str, ...]] = {}
    names: dict[str, str] = {}
    for unit in units_on("commune", day):
        province = province_of(unit)
        if province not in births:
            births[province] = tuple(earlier.unit.code for earlier in predecessors(province))
            bearer = unit_on(province, "province", day)
            names[province] = bearer.full_name if bearer else province
        where = commune_place(unit.code)
        yield Place(
            code=unit.code,
            name=unit.full_name,
            urban=unit.kind == "phường",
            province=province,
            province_name=names[province],
            birth_places=births[province],
            lat=where.lat,
            lon=where.lon,
            reach_km=min(sqrt(float(where.area_km2 or 1)) / 2, 4.0),
        )


def _population(province: str) -> int:
    return province_figures(province).registered_population
