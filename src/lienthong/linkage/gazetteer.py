"""The names of all administrative units, old and new, arranged so that an address is read from right to left.

A name's key is its folded text without spaces: ``Ea H'leo`` and ``EA HLEO`` are ``eahleo``.  Numbers lose leading
zeros.  Districts are found inside a province, communes inside a district or, since 1 Jul 2025, inside a province.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Final

from lienthong.law.reference import rows
from lienthong.law.successions import predecessors
from lienthong.law.text import fold
from lienthong.law.units import LAST_OLD_DAY, REFORM, Level, Unit, readings, units_on
from lienthong.linkage.edits import one_edit_apart

SHORTEST_MENDED: Final = 4
_NOT_NAME = re.compile(r"[^a-z0-9]+")

PROVINCE_SHORT_NAMES: Final[Mapping[str, tuple[str, ...]]] = {
    "01": ("hn",),
    "46": ("tth", "hue"),
    "77": ("brvt", "bariavt"),
    "79": ("hcm", "tphcm", "hcmc", "saigon", "sg", "tphochiminh"),
}
"""What people write for a province; codes are those of the 63 provinces and of their successors of the same code."""

ENDED_PROVINCES: Final[Mapping[str, tuple[str, ...]]] = {"01": ("hatay",)}
"""Provinces that went whole into another before 2025 and that addresses still name: Hà Tây until 31 Jul 2008."""


@dataclass(frozen=True, slots=True)
class Place:
    """One unit as an address may name it: ``old`` before the reform of 1 Jul 2025.

    ``province`` and ``district`` are codes of the same epoch; ``renamed`` marks a name it bore before 2025.
    """

    code: str
    level: Level
    kind: str
    name: str
    province: str
    district: str | None
    old: bool
    renamed: bool = False


class Scope:
    """The names inside one unit: found by key, or by a key with one slip of the finger.

    For slips each name is kept under itself and under itself less one letter; a wrong, missing or added letter or two
    neighbours swapped then share such a form, and few names are left to be compared.  Made when first asked.
    """

    __slots__ = ("_near", "places")

    def __init__(self) -> None:
        self.places: dict[str, tuple[Place, ...]] = {}
        """The places that bear each name."""
        self._near: dict[str, list[str]] | None = None

    def add(self, key: str, place: Place) -> None:
        """Put ``place`` under ``key``; a second time changes nothing."""
        held = self.places.get(key, ())
        if place not in held:
            self.places[key] = (*held, place)
            self._near = None

    def near(self, key: str) -> list[str]:
        """The names one slip apart from ``key``; short names and numbers have none, too many lie that close."""
        if len(key) < SHORTEST_MENDED or key.isdigit():
            return []
        if self._near is None:
            self._near = _by_shortened(name for name in self.places if len(name) >= SHORTEST_MENDED)
        possible = {name for form in _shortened(key) for name in self._near.get(form, ())}
        return sorted(name for name in possible if one_edit_apart(name, key))


def _by_shortened(names: Iterable[str]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name in names:
        for form in _shortened(name):
            found.setdefault(form, []).append(name)
    return found


def _shortened(key: str) -> set[str]:
    """``key`` and all it can become by losing one letter."""
    return {key, *(key[:place] + key[place + 1 :] for place in range(len(key)))}


NOWHERE: Final = Scope()
"""The scope of a unit without others inside."""


@dataclass(frozen=True, slots=True)
class Gazetteer:
    """Scopes by the unit they lie in.  Provinces and districts are few; communes by district and by province."""

    provinces: Scope
    districts: Mapping[str, Scope]
    communes_of_district: Mapping[str, Scope]
    old_communes: Mapping[str, Scope]
    new_communes: Mapping[str, Scope]
    all_districts: Scope
    all_communes: Scope
    merged_from: Mapping[str, tuple[str, ...]]
    """New province code -> the codes of the old provinces it was made of."""


def name_key(text: str) -> str:
    """The key of a name: folded, letters and digits alone; a number without leading zeros."""
    key = _NOT_NAME.sub("", fold(text))
    return key.lstrip("0") or "0" if key.isdigit() else key


@cache
def gazetteer() -> Gazetteer:
    """The gazetteer over the packaged units, made once in a process (about a second, 40 MB)."""
    places = [*_provinces(), *_districts(), *_communes()]
    districts, by_district, old, new = (defaultdict[str, Scope](Scope) for _ in range(4))
    for key, place in places:
        if place.level == "district":
            districts[place.province].add(key, place)
        elif place.level == "commune" and place.old:
            old[place.province].add(key, place)
            by_district[place.district or ""].add(key, place)
        elif place.level == "commune":
            new[place.province].add(key, place)
    return Gazetteer(
        provinces=_scope((key, place) for key, place in places if place.level == "province"),
        districts=dict(districts),
        communes_of_district=dict(by_district),
        old_communes=dict(old),
        new_communes=dict(new),
        all_districts=_scope((key, place) for key, place in places if place.level == "district"),
        all_communes=_scope((key, place) for key, place in places if place.level == "commune"),
        merged_from={
            unit.code: tuple(before.unit.code for before in predecessors(unit.code))
            for unit in units_on("province", REFORM)
        },
    )


def _provinces() -> Iterable[tuple[str, Place]]:
    for day, old in ((LAST_OLD_DAY, True), (REFORM, False)):
        for unit in units_on("province", day):
            borne = {(reading.kind, reading.name) for reading in readings(unit.code, "province") if _of(reading, old)}
            for kind, name in sorted(borne):
                place = Place(unit.code, "province", kind, name, unit.code, None, old)
                yield name_key(name), place
            own = Place(unit.code, "province", unit.kind, unit.name, unit.code, None, old)
            for key in PROVINCE_SHORT_NAMES.get(unit.code, ()):
                if key != name_key(unit.name):
                    yield key, own
            for key in ENDED_PROVINCES.get(unit.code, ()) if old else ():
                yield key, _known_as(own)


def _of(reading: Unit, old: bool) -> bool:
    """Whether a reading belongs to the asked side of the reform."""
    return (reading.valid_from is None or reading.valid_from < REFORM) is old


def _districts() -> Iterable[tuple[str, Place]]:
    earlier = _earlier("district")
    for unit in units_on("district", LAST_OLD_DAY):
        place = Place(unit.code, "district", unit.kind, unit.name, unit.parent or "", unit.code, True)
        yield name_key(unit.name), place
        yield from ((key, _known_as(place)) for key in earlier.get(unit.code, ()))


def _communes() -> Iterable[tuple[str, Place]]:
    earlier = _earlier("commune")
    province_of = {unit.code: unit.parent or "" for unit in units_on("district", LAST_OLD_DAY)}
    for unit in units_on("commune", LAST_OLD_DAY):
        district = unit.parent or ""
        place = Place(unit.code, "commune", unit.kind, unit.name, province_of.get(district, district), district, True)
        yield name_key(unit.name), place
        yield from ((key, _known_as(place)) for key in earlier.get(unit.code, ()))
    for code in sorted({unit.code for unit in units_on("commune", REFORM)}):
        borne = {(unit.kind, unit.name, unit.parent) for unit in readings(code, "commune") if not _of(unit, old=True)}
        for kind, name, parent in sorted(borne, key=str):
            yield name_key(name), Place(code, "commune", kind, name, parent or "", None, old=False)


def _known_as(place: Place) -> Place:
    """The place under a name from before 2025, whose kind is not recorded."""
    return replace(place, kind="", renamed=True)


@cache
def _earlier(level: Level) -> dict[str, tuple[str, ...]]:
    """Code -> keys of names it took in before 2025."""
    return {code: tuple(keys.split()) for row_level, code, keys in rows("earlier_names") if row_level == level}


def _scope(pairs: Iterable[tuple[str, Place]]) -> Scope:
    scope = Scope()
    for key, place in pairs:
        scope.add(key, place)
    return scope
