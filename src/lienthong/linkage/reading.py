"""Reading the units of an address from right to left: province, district, commune, each in the scope of the last.

Every way the words can be read is kept; which of them is meant is decided by ``address``.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, NamedTuple

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


class Found(NamedTuple):
    """A unit read at words ``start`` to ``end``; ``kind`` as written before the name, None when none was.

    ``ragged``: bare, and other words stand before it between the same commas: ``12 Lê Lợi`` is rather a street.
    """

    place: Place
    start: int
    end: int
    kind: str | None
    mended: bool
    ragged: bool

    @property
    def kind_agrees(self) -> bool:
        """Whether the kind written is the unit's own; one not recorded or not written contradicts nothing."""
        return self.kind is None or not self.place.kind or self.kind == self.place.kind


class Reading(NamedTuple):
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
    as_written = _readings(text, gazetteer, mend=False)
    if any(reading.commune and not reading.alone for reading in as_written):
        return as_written
    return _readings(text, gazetteer, mend=True)


def _readings(text: Words, gazetteer: Gazetteer, mend: bool) -> list[Reading]:
    into: list[Reading] = []
    end = len(text.words)
    provinces = _at(text, end, gazetteer.provinces, mend)
    _below_provinces(into, text, provinces, gazetteer, mend)
    if not provinces or _is_a_smaller_city(provinces):
        _without_province(into, text, end, gazetteer, mend)
    return into


def _below_provinces(
    into: list[Reading], text: Words, provinces: list[Found], gazetteer: Gazetteer, mend: bool
) -> None:
    read = {province.place.code for province in provinces if province.place.old}
    for province in provinces:
        code = province.place.code
        if province.place.old:
            _in_districts(into, text, province, code, gazetteer, mend)
            _in_province(into, text, province, gazetteer.old_communes.get(code, NOWHERE), mend)
        else:
            _in_province(into, text, province, gazetteer.new_communes.get(code, NOWHERE), mend)
            for before in gazetteer.merged_from[code]:
                if before not in read:  # districts of before, province of after: people write so
                    _in_districts(into, text, province, before, gazetteer, mend)


def _in_districts(
    into: list[Reading], text: Words, province: Found, code: str, gazetteer: Gazetteer, mend: bool
) -> None:
    """Readings with a district of the old province ``code``."""
    for district in _at(text, province.start, gazetteer.districts.get(code, NOWHERE), mend):
        _within(into, (district, province), text, gazetteer, mend)


def _within(into: list[Reading], larger: tuple[Found, ...], text: Words, gazetteer: Gazetteer, mend: bool) -> None:
    """Readings in a district, the first of ``larger``: each commune found, and none."""
    communes = gazetteer.communes_of_district.get(larger[0].place.code, NOWHERE)
    for commune in _at(text, larger[0].start, communes, mend):
        into.append(Reading((commune, *larger)))
    into.append(Reading(larger))


def _in_province(into: list[Reading], text: Words, province: Found, communes: Scope, mend: bool) -> None:
    for commune in _at(text, province.start, communes, mend):
        into.append(Reading((commune, province)))
    into.append(Reading((province,)))


def _without_province(into: list[Reading], text: Words, end: int, gazetteer: Gazetteer, mend: bool) -> None:
    for district in _at(text, end, gazetteer.all_districts, mend=False):
        _within(into, (district,), text, gazetteer, mend)
    for commune in _at(text, end, gazetteer.all_communes, mend=False):
        into.append(Reading((commune,)))


def _is_a_smaller_city(provinces: Iterable[Found]) -> bool:
    """Whether ``TP X`` was read as a province that is no city: a city inside a province may be meant."""
    return any(found.kind == _CITY_KIND and not found.kind_agrees for found in provinces)


def _at(text: Words, end: int, scope: Scope, mend: bool) -> list[Found]:
    """The places of ``scope`` whose name ends right before word ``end``; where none fits, those one slip apart."""
    found: list[Found] = []
    if end == 0:
        return found
    windows, named = text.windows(end), scope.places
    for start, key in windows:
        if key in named:
            _read(found, text, start, end, named[key], mended=False)
    if mend and not found:
        for start, key in windows:
            for name in scope.near(key):
                _read(found, text, start, end, named[name], mended=True)
    return found


def _read(found: list[Found], text: Words, start: int, end: int, places: Iterable[Place], *, mended: bool) -> None:
    """Add ``places`` as read at ``start``, those left out that the word of kind before the name rules out."""
    kind_start, written = _kind_before(text, start)
    if written is None:
        if not text.words[start].isdigit():
            parts = text.pieces
            ragged = parts[-1] > 0 and start > 0 and parts[start - 1] == parts[start]
            for place in places:
                found.append(Found(place, start, end, None, mended, ragged))
    elif written in _CITY:
        for place in places:
            if place.level != "commune":
                found.append(Found(place, kind_start, end, _CITY_KIND, mended, ragged=False))
    else:
        level, kind = _KINDS[written]
        for place in places:
            if place.level == level:
                found.append(Found(place, kind_start, end, kind, mended, ragged=False))


def _kind_before(text: Words, start: int) -> tuple[int, str | None]:
    """Where the word of kind before word ``start`` begins, and the word; (start, None) when there is none."""
    words, pieces = text.words, text.pieces
    if start > 1 and pieces[start - 2] == pieces[start]:
        word = words[start - 2] + words[start - 1]
        if word in _KINDS or word in _CITY:
            return start - 2, word
    if start > 0 and pieces[start - 1] == pieces[start]:
        word = words[start - 1]
        if word in _KINDS or word in _CITY:
            return start - 1, word
    return start, None
