"""From an address in any spelling, old or new, to the administrative unit that holds it on a day.

The words are read from right to left by dictionary; two readings that lead to different units are said aloud as
*ambiguous*, an old unit that was divided as *split*.  Nothing is asked from any network.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date
from functools import lru_cache
from typing import Final, Literal

from lienthong.law.successions import predecessors, successors
from lienthong.law.text import placed_tones
from lienthong.law.units import LAST_OLD_DAY, REFORM, Unit, unit_on
from lienthong.linkage.gazetteer import Gazetteer, gazetteer
from lienthong.linkage.reading import Found, Reading, readings_of
from lienthong.linkage.words import words_of

Status = Literal["exact", "corrected", "ambiguous", "split", "none"]

_WEIGHTS: Final = {"commune": 0.6, "district": 0.1, "province": 0.3}
_NEW_COMMUNE: Final = 0.7
"""A commune of the two-level model stands for the district too."""
_MENDED: Final = 0.08
_WRONG_KIND: Final = 0.25
_RAGGED: Final = 0.2
_OTHER_SPELLING: Final = 0.15
_EARLIER_NAME: Final = 0.02
_CLOSE: Final = 0.12
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
    read = readings_of(words_of(text), names)
    read = [each for each in read if not _mended_beyond_belief(each)]
    if written is not None:
        read = [each for each in read if each.commune is None or each.commune.place.old == (written < REFORM)] or read
    scored = sorted(((_score(each), each) for each in read if not _cuts_a_name(each, read)), key=_best_first)
    if not scored:
        return NOTHING
    top, best = scored[0]
    if best.commune is None or best.alone:
        return _larger(best, top)
    outcomes = _outcomes(_possible(scored), day)
    if len(outcomes) > 1:
        scored = sorted(((_spelled(score, each, text), each) for score, each in scored), key=_best_first)
        top, best = scored[0]
        outcomes = _outcomes(_possible(scored), day)
    (units, best), *others = outcomes.items()
    steps = tuple(_step(found) for found in best.found)
    read_as = _read_as(best.deepest)
    beside = _distinct(unit for targets, _ in others for unit in targets if unit not in units)
    if others and not _only_by_age(best, [each for _, each in others], day):
        return Resolution("ambiguous", None, top, (*units, *beside), read_as, steps, None)
    if len(units) != 1:
        return Resolution("split" if units else "none", None, top, units, read_as, steps, None)
    plain = all(step.how == "written" for step in steps) and len(steps) >= (3 if best.deepest.place.old else 2)
    basis = units[0].legal_basis if units[0] != read_as else None
    return Resolution("exact" if plain else "corrected", units[0], top, beside, read_as, steps, basis)


def _mended_beyond_belief(reading: Reading) -> bool:
    """Whether its commune was found by mending a letter and by taking another kind of unit: two slips are a guess."""
    return reading.commune is not None and reading.commune.mended and not reading.commune.kind_agrees


def _only_by_age(best: Reading, others: list[Reading], day: date) -> bool:
    """Whether ``best`` is an address of today's two levels and the others would have lacked their district before.

    Such an address is taken for one of today; what it meant before stands beside it.
    """
    today = best.deepest.place
    return day >= REFORM and not today.old and all(each.deepest.place.old and len(each.found) == 2 for each in others)


def _score(reading: Reading) -> float:
    total = 0.0
    for found in reading.found:
        level = found.place.level
        weight = _NEW_COMMUNE if level == "commune" and not found.place.old else _WEIGHTS[level]
        slips = _MENDED * found.mended + _WRONG_KIND * (not found.kind_agrees) + _EARLIER_NAME * found.place.renamed
        slips += _RAGGED * found.ragged
        total += weight - slips
    return round(total, 3)


def _best_first(scored: tuple[float, Reading]) -> tuple[bool, int, float, int, str]:
    """A commune before none, fewer slips, higher score, more words explained, then a fixed order."""
    score, reading = scored
    deepest = reading.deepest
    return (reading.commune is None, _slips(reading), -score, deepest.start, deepest.place.code)


def _outdone(reading: Reading, best: Reading) -> bool:
    """Whether ``best`` explains words by units that ``reading`` leaves as a street: three in a row are no chance."""
    return len(best.found) > len(reading.found) and best.deepest.start < reading.deepest.start


def _cuts_a_name(reading: Reading, others: list[Reading]) -> bool:
    """Whether the last name of ``reading``, bare, is the tail of a longer name that another reads: Lát in Đà Lạt."""
    tail = reading.deepest
    return tail.kind is None and any(
        found.end == tail.end and found.start < tail.start and not found.mended
        for other in others
        for found in other.found
    )


def _possible(scored: list[tuple[float, Reading]]) -> list[Reading]:
    """The readings that may be meant, best first."""
    top, best = scored[0]
    slips = min(_slips(reading) for _, reading in scored if reading.commune is not None)
    return [
        reading
        for score, reading in scored
        if reading.commune is not None and score > top - _CLOSE and _slips(reading) == slips
        if not _outdone(reading, best)
    ]


def _slips(reading: Reading) -> int:
    return sum(found.mended for found in reading.found)


def _spelled(score: float, reading: Reading, text: str) -> float:
    """``score`` less when ``text`` has diacritics and the name stands in it otherwise: ``Ba Tơ`` is not Ba Tô."""
    spelled = placed_tones(text).casefold()
    same = spelled.isascii() or reading.deepest.place.name.casefold() in spelled
    return score if same else score - _OTHER_SPELLING


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
    return unit_on(found.place.code, found.place.level, LAST_OLD_DAY if found.place.old else REFORM)


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
