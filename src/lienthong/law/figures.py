"""Published figures about administrative units: area, registered population, and where a commune lies.

Each figure keeps its source and says what it counts; none is measured by this program.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from typing import Final

from lienthong.i18n import T
from lienthong.law.reference import rows
from lienthong.law.units import UnitUnknown

POPULATION_LABEL: Final = T("Registered population, temporary registration included; not the census")
COMMUNE_AREA_LABEL: Final = T("Area as published per commune; the sum of a province's communes may differ from its own")


@dataclass(frozen=True, slots=True)
class ProvinceFigures:
    """Area and registered population of one of the 34 provinces, as published in ``source``.

    The population is shown with POPULATION_LABEL wherever it is shown.
    """

    code: str
    area_km2: Decimal
    registered_population: int
    source: str


@dataclass(frozen=True, slots=True)
class CommunePlace:
    """Area (None where none was published) and centre of a commune since 1 Jul 2025; degrees WGS84."""

    code: str
    area_km2: Decimal | None
    lat: float
    lon: float


def province_figures(code: str) -> ProvinceFigures:
    """The figures of the province bearing ``code`` since 1 Jul 2025; UnitUnknown for another code."""
    found = _provinces().get(code)
    if found is None:
        raise UnitUnknown(T("No figures are published for the code {code}."), code=code)
    return found


def commune_place(code: str) -> CommunePlace:
    """Where the commune bearing ``code`` since 1 Jul 2025 lies; UnitUnknown for another code."""
    found = _communes().get(code)
    if found is None:
        raise UnitUnknown(T("No figures are published for the code {code}."), code=code)
    return found


@cache
def _provinces() -> dict[str, ProvinceFigures]:
    return {
        code: ProvinceFigures(code, Decimal(area), int(people), source)
        for code, area, people, source in rows("province_figures")
    }


@cache
def _communes() -> dict[str, CommunePlace]:
    return {
        code: CommunePlace(code, Decimal(area) if area else None, float(lat), float(lon))
        for code, area, lat, lon in rows("commune_places")
    }
