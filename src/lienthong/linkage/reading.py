"""Reading the units of an address from right to left: province, district, commune, each in the scope of the last.

Every way the words can be read is kept; which of them is meant is decided by ``address``.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from lienthong.law.units import Level
from lienthong.linkage.gazetteer import NOWHERE, Gazetteer, Place, Scope
from lienthong.linkage.words import Words

_KINDS: Final[dict[str, tuple[Level, str]]] = {
    "tinh": ("province", "tỉnh"),
    "t": ("province", "tỉnh"),
    "quan": ("district", "quận"),
    "q": ("district", "quận"),
    "huyen": ("district", "huyện"),
    "h": ("district", "huyện"),
    "thixa": ("district", "thị xã"),
    "tx": ("district", "thị xã"),
    "phuong": ("commune", "phường"),
    "p": ("commune", "phường"),
    "f": ("commune", "phường"),
    "xa": ("commune", "xã"),
    "x": ("commune", "xã"),
    "thitran": ("commune", "thị trấn"),
    "tt": ("commune", "thị trấn"),
    "dackhu": ("commune", "đặc khu"),
    "dk": ("commune", "đặc khu"),
}
_CITY: Final = frozenset(("thanhpho", "tp"))
_CITY_KIND: Final = "thành phố"


@dataclass(frozen=True, slots=True)
class Found:
    """A unit read at words ``start`` to ``end``; ``kind`` as written before the name, None when none was."""

    place: Place
    start: int
    end: int
    kind: str | None
    mended: bool = False
    ragged: bool = False
    """Bare, and other words stand before it between the same commas: ``12 Lê Lợi`` is rather a street."""

    @property
    def kind_agrees(self) -> bool:
        """Whether the kind written is the unit's own; one not recorded or not written contradicts nothing."""
        return self.kind is None or not self.place.kind or self.kind == self.place.kind


@dataclass(frozen=True, slots=True)
class Reading:
    """One way to read the address: the units found, smallest first, at most one of each level."""

    found: tuple[Found, ...]

    @property
    def deepest(self) -> Found:
        """The smallest unit that was read."""
        return self.found[0]

    @property
    def commune(self) -> Found | None:
        """The commune, None when only larger units were read."""
        return self.found[0] if self.found[0].place.level == "commune" else None

    @property
    def alone(self) -> bool:
        """Whether only one name was read, with no word of kind before it: it may be anything."""
        return len(self.found) == 1 and self.found[0].kind is None


def readings_of(text: Words, gazetteer: Gazetteer) -> list[Reading]:
    """Every reading of ``text``; with names mended only when no commune is found as written.  Empty: no unit named."""
    as_written = list(_readings(text, gazetteer, mend=False))
    if any(reading.commune and not reading.alone for reading in as_written):
        return as_written
    return list(_readings(text, gazetteer, mend=True))


def _readings(text: Words, gazetteer: Gazetteer, mend: bool) -> Iterator[Reading]:
    end = len(text.words)
    provinces = _at(text, end, gazetteer.provinces, mend)
    yield from _below_provinces(text, provinces, gazetteer, mend)
    if not provinces or _is_a_smaller_city(provinces):
        yield from _without_province(text, end, gazetteer, mend)


def _below_provinces(text: Words, provinces: list[Found], gazetteer: Gazetteer, mend: bool) -> Iterator[Reading]:
    read = {province.place.code for province in provinces if province.place.old}
    for province in provinces:
        code = province.place.code
        if province.place.old:
            yield from _in_districts(text, province, code, gazetteer, mend)
            yield from _in_province(text, province, gazetteer.old_communes.get(code, NOWHERE), mend)
        else:
            yield from _in_province(text, province, gazetteer.new_communes.get(code, NOWHERE), mend)
            for before in gazetteer.merged_from[code]:
                if before not in read:  # districts of before, province of after: people write so
                    yield from _in_districts(text, province, before, gazetteer, mend)


def _in_districts(text: Words, province: Found, code: str, gazetteer: Gazetteer, mend: bool) -> Iterator[Reading]:
    """Readings with a district of the old province ``code``."""
    for district in _at(text, province.start, gazetteer.districts.get(code, NOWHERE), mend):
        yield from _within((district, province), text, gazetteer, mend)


def _within(larger: tuple[Found, ...], text: Words, gazetteer: Gazetteer, mend: bool) -> Iterator[Reading]:
    """Readings in a district, the first of ``larger``: each commune found, and none."""
    communes = gazetteer.communes_of_district.get(larger[0].place.code, NOWHERE)
    yield from (Reading((commune, *larger)) for commune in _at(text, larger[0].start, communes, mend))
    yield Reading(larger)


def _in_province(text: Words, province: Found, communes: Scope, mend: bool) -> Iterator[Reading]:
    yield from (Reading((commune, province)) for commune in _at(text, province.start, communes, mend))
    yield Reading((province,))


def _without_province(text: Words, end: int, gazetteer: Gazetteer, mend: bool) -> Iterator[Reading]:
    for district in _at(text, end, gazetteer.all_districts, mend=False):
        yield from _within((district,), text, gazetteer, mend)
    yield from (Reading((commune,)) for commune in _at(text, end, gazetteer.all_communes, mend=False))


def _is_a_smaller_city(provinces: Iterable[Found]) -> bool:
    """Whether ``TP X`` was read as a province that is no city: a city inside a province may be meant."""
    return any(found.kind == _CITY_KIND and not found.kind_agrees for found in provinces)


def _at(text: Words, end: int, scope: Scope, mend: bool) -> list[Found]:
    """The places of ``scope`` whose name ends right before word ``end``; where none fits, those one slip apart."""
    if end == 0:
        return []
    windows = text.windows(end)
    found = [
        hit
        for start, key in windows
        if (places := scope.get(key))
        for hit in _found(text, start, end, places, mended=False)
    ]
    if found or not mend:
        return found
    return [
        hit
        for start, key in windows
        for name in scope.near(key)
        for hit in _found(text, start, end, scope.get(name), mended=True)
    ]


def _found(text: Words, start: int, end: int, places: Iterable[Place], *, mended: bool) -> Iterator[Found]:
    """``places`` as read at ``start``, those left out that the word of kind before the name rules out."""
    kind_start, written = _kind_before(text, start)
    number = text.words[start].isdigit()
    parts = text.pieces
    ragged = written is None and parts[-1] > 0 and start > 0 and parts[start - 1] == parts[start]
    for place in places:
        if written is None:
            if not number:
                yield Found(place, start, end, None, mended, ragged)
        elif written in _CITY:
            if place.level != "commune":
                yield Found(place, kind_start, end, _CITY_KIND, mended)
        elif _KINDS[written][0] == place.level:
            yield Found(place, kind_start, end, _KINDS[written][1], mended)


def _kind_before(text: Words, start: int) -> tuple[int, str | None]:
    """Where the word of kind before word ``start`` begins, and the word; (start, None) when there is none."""
    for length in (2, 1):
        first = start - length
        if first >= 0 and text.pieces[first] == text.pieces[start]:
            word = "".join(text.words[first:start])
            if word in _KINDS or word in _CITY:
                return first, word
    return start, None
