"""Synthetic land parcels: ids that lie in the commune they name, owned by synthetic people and firms.

A parcel id is a GeoHash of 12 characters of a drawn point near the commune's centre; the cell is a few centimetres
wide, so a real parcel may lie around it, but no real certificate is meant.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from math import cos, radians
from random import Random
from typing import Final

from lienthong.demo.firms import Firm
from lienthong.demo.places import Place
from lienthong.demo.population import FIRST_PERSON, Population
from lienthong.law.identifiers import geohash, in_vietnam

KM_PER_DEGREE: Final = 111.2
_TOWN_HOUSE: Final = (("ODT", 35, 260),)
_VILLAGE: Final = (("ONT", 90, 600),)
_FIELDS: Final = (("LUC", 300, 3_200), ("CLN", 400, 6_000), ("NTS", 500, 9_000))
_BUSINESS: Final = (("SKC", 800, 45_000), ("TMD", 300, 12_000))
"""Usual abbreviations of land-use kinds with the least and largest area drawn, in square metres."""

LAND_USES: Final = tuple(kind for group in (_TOWN_HOUSE, _VILLAGE, _FIELDS, _BUSINESS) for kind, _, _ in group)


@dataclass(frozen=True, slots=True)
class Parcel:
    """A row of the register ``parcel``."""

    parcel_id: str
    commune_code: str
    province_code: str
    area_m2: Decimal
    land_use: str
    owner_kind: str
    """``person`` or ``enterprise``."""
    owner_code: str
    """Personal number or enterprise code of the land user."""
    issued_on: date
    synthetic: bool = True


def make_parcels(population: Population, firms: tuple[Firm, ...], *, seed: int) -> tuple[Parcel, ...]:
    """Houses and fields of the households' heads and business land of half the firms; ids are unique."""
    surveyor = _Surveyor(Random(f"land {seed}"), population.day, set())  # noqa: S311 - synthetic data, not a secret
    places = {household.place.code: household.place for household in population.households}
    parcels: list[Parcel] = []
    for household in population.households:
        head, place = household.head, household.place
        parcels += surveyor.of_person(place, head.personal_number, head.birth_date)
    for firm in firms:
        parcels += surveyor.of_firm(places[firm.commune_code], firm)
    return tuple(parcels)


@dataclass(slots=True)
class _Surveyor:
    """Draws parcels and remembers which ids are given."""

    rng: Random
    day: date
    given: set[str]

    def of_person(self, place: Place, number: str, born: date) -> Iterator[Parcel]:
        rng = self.rng
        since = min(born + timedelta(days=20 * 365), self.day)
        if number == FIRST_PERSON or rng.random() < 0.8:
            yield self._parcel(place, _TOWN_HOUSE if place.urban else _VILLAGE, "person", number, since)
        for _ in range(0 if place.urban else rng.choices((0, 1, 2), (45, 40, 15))[0]):
            yield self._parcel(place, _FIELDS, "person", number, since)

    def of_firm(self, place: Place, firm: Firm) -> Iterator[Parcel]:
        if self.rng.random() < 0.5:
            yield self._parcel(place, _BUSINESS, "enterprise", firm.enterprise_code, firm.founded_on)

    def _parcel(
        self, place: Place, kinds: tuple[tuple[str, int, int], ...], owner_kind: str, owner: str, since: date
    ) -> Parcel:
        rng = self.rng
        land_use, least, most = rng.choice(kinds)
        return Parcel(
            parcel_id=self._id(place),
            commune_code=place.code,
            province_code=place.province,
            area_m2=Decimal(rng.randint(least * 10, most * 10)) / 10,
            land_use=land_use,
            owner_kind=owner_kind,
            owner_code=owner,
            issued_on=since + timedelta(days=rng.randint(0, max(0, (self.day - since).days))),
        )

    def _id(self, place: Place) -> str:
        while True:
            lat, lon = self._point(place)
            found = geohash(lat, lon)
            if found not in self.given and in_vietnam(lat, lon):
                self.given.add(found)
                return found

    def _point(self, place: Place) -> tuple[float, float]:
        """A point within ``reach_km`` of the centre, thinning out from it."""
        rng = self.rng
        north = max(-1.0, min(1.0, rng.gauss(0, 0.4))) * place.reach_km / KM_PER_DEGREE
        east = max(-1.0, min(1.0, rng.gauss(0, 0.4))) * place.reach_km / (KM_PER_DEGREE * cos(radians(place.lat)))
        return place.lat + north, place.lon + east
