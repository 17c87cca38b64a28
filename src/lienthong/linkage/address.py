"""From an address in any spelling, old or new, to the administrative unit that holds it on a day.

The words are read from right to left by dictionary; two readings that lead to different units are said aloud as
*ambiguous*, an old unit that was divided as *split*.  Nothing is asked from any network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal, NamedTuple

from lienthong.law.successions import predecessors, successors
from lienthong.law.text import placed_tones
from lienthong.law.units import LAST_OLD_DAY, REFORM, Level, Unit, unit_on
from lienthong.linkage.gazetteer import Gazetteer, gazetteer
from lienthong.linkage.reading import Found, Reading, readings_of
from lienthong.linkage.words import LONGEST, words_of

Status = Literal["exact", "corrected", "ambiguous", "split", "none"]

_WEIGHTS: Final = {"commune": 600, "district": 100, "province": 300}
"""What a unit adds to the score, in thousandths: whole numbers, for sums that do not depend on their order."""
_NEW_COMMUNE: Final = 700
"""A commune of the two-level model stands for the district too."""
_MENDED: Final = 80
_WRONG_KIND: Final = 250
_RAGGED: Final = 200
_OTHER_SPELLING: Final = 150
_EARLIER_NAME: Final = 20
_CLOSE: Final = 120
"""Readings whose scores lie closer are both possible."""


@dataclass(frozen=True, slots=True)
class Step:
    """One unit read in the address, as an explanation: its name then, and how it was recognised."""

    name: str
    how: Literal["written", "mended", "earlier-name", "other-kind"]


@dataclass(frozen=True, slots=True)
class Resolution:
    """What an address says.

    ``unit`` is the commune on the asked day, only for ``exact`` and ``corrected``; ``alternatives`` are all units it
    may lie in otherwise, the likeliest first: beside a ``unit``, those it meant if it was written before the reform.
    ``score`` 0..1 weighs how much of the address was found as written.  ``read_as`` is the unit as the address names
    it, of its own time; ``legal_basis`` what turned it into ``unit``.
    """

    status: Status
    unit: Unit | None
    score: float
    alternatives: tuple[Unit, ...]
    read_as: Unit | None
    steps: tuple[Step, ...]
    legal_basis: str | None


NOTHING: Final = Resolution("none", None, 0.0, (), None, (), None)


def resolve(text: str, day: date, written: date | None = None, names: Gazetteer | None = None) -> Resolution:
    """The commune that holds the address ``text`` on ``day``, or why that can not be said.  About 0.1 ms.

    ``written`` is the day on which the address was written down, where that is known: it says which of two units of
    one name, before and after the reform, is meant.
    """
    names = names or gazetteer()
    read = [each for each in readings_of(words_of(text), names) if not _mended_beyond_belief(each)]
    if written is not None:
        read = [each for each in read if each.commune is None or each.commune.place.old == (written < REFORM)] or read
    read = _whole_names(read)
    read = [each for each in read if each.commune is not None] or read
    ranked = sorted([_rank(reading, _score(reading), place) for place, reading in enumerate(read)])
    if not ranked:
        return NOTHING
    best = ranked[0].reading
    if best.commune is None or best.alone:
        return _larger(best, ranked[0].score)
    outcomes = _outcomes(_possible(ranked), day)
    if len(outcomes) > 1:
        ranked = sorted(_rank(each.reading, _spelled(each, text), each.place) for each in ranked)
        outcomes = _outcomes(_possible(ranked), day)
    score = ranked[0].score
    (units, best), *others = outcomes.items()
    steps = tuple([_step(found) for found in best.found])
    read_as = _read_as(best.deepest)
    beside = _distinct(unit for targets, _ in others for unit in targets if unit not in units)
    if others and not _only_by_age(best, [each for _, each in others], day):
        return Resolution("ambiguous", None, score, (*units, *beside), read_as, steps, None)
    if len(units) != 1:
        return Resolution("split" if units else "none", None, score, units, read_as, steps, None)
    plain = len(steps) >= (3 if best.deepest.place.old else 2) and all(step.how == "written" for step in steps)
    basis = units[0].legal_basis if units[0] != read_as else None
    return Resolution("exact" if plain else "corrected", units[0], score, beside, read_as, steps, basis)


class _Ranked(NamedTuple):
    """A reading and what it is ordered by, the likeliest first.

    Fewer slips, higher score, more words explained, then a fixed order.
    """

    slips: int
    against: int
    """The score in thousandths, less than zero."""
    start: int
    code: str
    place: int
    """Where it stood among the readings: no two are equal, so the readings themselves are never compared."""
    reading: Reading

    @property
    def score(self) -> float:
        """0..1, how much of the address was found as written."""
        return -self.against / 1_000


def _rank(reading: Reading, score: int, place: int) -> _Ranked:
    found = reading.found
    slips = sum([each.mended for each in found])
    return _Ranked(slips, -score, found[0].start, found[0].place.code, place, reading)


def _mended_beyond_belief(reading: Reading) -> bool:
    """Whether its commune was found by mending a letter and by taking another kind of unit: two slips are a guess."""
    return reading.commune is not None and reading.commune.mended and not reading.commune.kind_agrees


def _only_by_age(best: Reading, others: list[Reading], day: date) -> bool:
    """Whether ``best`` is an address of today's two levels and the others would have lacked their district before.

    Such an address is taken for one of today; what it meant before stands beside it.
    """
    today = best.deepest.place
    return day >= REFORM and not today.old and all(each.deepest.place.old and len(each.found) == 2 for each in others)


def _score(reading: Reading) -> int:
    """How much of the address was found as written, in thousandths."""
    total = 0
    for found in reading.found:
        place = found.place
        total += _NEW_COMMUNE if place.level == "commune" and not place.old else _WEIGHTS[place.level]
        total -= _MENDED * found.mended + _EARLIER_NAME * place.renamed + _RAGGED * found.ragged
        if found.kind is not None and place.kind and found.kind != place.kind:
            total -= _WRONG_KIND
    return total


def _outdone(reading: Reading, best: Reading) -> bool:
    """Whether ``best`` explains words by units that ``reading`` leaves as a street: three in a row are no chance."""
    return len(best.found) > len(reading.found) and best.deepest.start < reading.deepest.start


def _whole_names(read: list[Reading]) -> list[Reading]:
    """``read`` less those whose last name, bare, is the tail of a longer name that another reads: Lát in Đà Lạt."""
    if len(read) < 2:
        return read
    first_word: dict[int, int] = {}
    for reading in read:
        for found in reading.found:
            if not found.mended and found.start < first_word.get(found.end, LONGEST):
                first_word[found.end] = found.start
    return [
        reading
        for reading in read
        if (tail := reading.found[0]).kind is not None or first_word.get(tail.end, tail.start) >= tail.start
    ]


def _possible(ranked: list[_Ranked]) -> list[Reading]:
    """The readings that may be meant, best first; all of ``ranked`` name a commune."""
    best = ranked[0]
    if len(ranked) == 1:
        return [best.reading]
    return [
        each.reading
        for each in ranked
        if each.slips == best.slips and each.against < best.against + _CLOSE
        if not _outdone(each.reading, best.reading)
    ]


def _spelled(ranked: _Ranked, text: str) -> int:
    """The score less when ``text`` has diacritics and the name stands in it otherwise: ``Ba Tơ`` is not Ba Tô."""
    spelled = placed_tones(text).casefold()
    same = spelled.isascii() or ranked.reading.deepest.place.name.casefold() in spelled
    return -ranked.against if same else -ranked.against - _OTHER_SPELLING


def _outcomes(readings: Iterable[Reading], day: date) -> dict[tuple[Unit, ...], Reading]:
    """What ``readings`` lead to on ``day``, the best reading of each, in the order given."""
    found: dict[tuple[Unit, ...], Reading] = {}
    for reading in readings:
        place = reading.deepest.place
        found.setdefault(_targets(place.code, place.old, day), reading)
    return found


@lru_cache(maxsize=20_000)
def _targets(code: str, old: bool, day: date) -> tuple[Unit, ...]:
    """The communes that on ``day`` hold the commune ``code`` of either side of the reform; the usual one first."""
    if old and day < REFORM:
        unit = unit_on(code, "commune", day)
        return () if unit is None else (unit,)
    if old:
        return tuple(successor.unit for successor in successors(code, day))
    if day < REFORM:
        return tuple(before.unit for before in predecessors(code))
    return tuple(successor.unit for successor in successors(code, day, was_on=day))


def _read_as(found: Found) -> Unit | None:
    return _unit(found.place.code, found.place.level, found.place.old)


@lru_cache(maxsize=20_000)
def _unit(code: str, level: Level, old: bool) -> Unit | None:
    """The unit as it stood on the last day before the reform, or on its first."""
    return unit_on(code, level, LAST_OLD_DAY if old else REFORM)


def _larger(reading: Reading, score: float) -> Resolution:
    """An address of which only a district or province was understood names no commune."""
    steps = tuple(_step(found) for found in reading.found)
    return Resolution("none", None, score, (), _read_as(reading.deepest), steps, None)


def _step(found: Found) -> Step:
    place = found.place
    name = f"{place.kind[0].upper()}{place.kind[1:]} {place.name}" if place.kind else place.name
    if found.mended:
        return Step(name, "mended")
    if place.renamed:
        return Step(name, "earlier-name")
    return Step(name, "written" if found.kind_agrees else "other-kind")


def _distinct(units: Iterable[Unit]) -> tuple[Unit, ...]:
    return tuple(dict.fromkeys(units))
