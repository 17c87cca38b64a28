"""What became of an old administrative unit, and what a new one was made of.

A unit that was split has several successors: all are answered, one of them marked as the usual choice, and choosing
is left to whoever asks.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache

from lienthong.i18n import T
from lienthong.law.reference import rows
from lienthong.law.units import LAST_OLD_DAY, REFORM, Unit, UnitUnknown, level_of, readings, unit_on, units_on


@dataclass(frozen=True, slots=True)
class Successor:
    """A unit that holds the territory, or a part of it, of an earlier one.

    ``whole`` when it took all of it; ``default`` marks the usual choice of published tables, at most one.  Neither says
    anything about a given address.
    """

    unit: Unit
    default: bool
    whole: bool
    legal_basis: str

    @property
    def weight(self) -> float | None:
        """The share of the earlier unit that went into this one: 1 where all did, None where nobody publishes it.

        For figures of divided units an assumption is chosen and said: ``linkage.rekey.Method``.
        """
        return 1.0 if self.whole else None


@dataclass(frozen=True, slots=True)
class Predecessor:
    """An earlier unit whose territory, all of it or a part, lies in a later one."""

    unit: Unit
    whole: bool
    legal_basis: str


def successors(old_code: str, day: date, was_on: date = LAST_OLD_DAY) -> tuple[Successor, ...]:
    """Every unit that on ``day`` holds what the unit bearing ``old_code`` on ``was_on`` held; the default first.

    A unit still standing is its own successor.  A district is succeeded by the communes its own communes went into.
    Raises UnitUnknown when no unit bore the code on or before ``was_on``.
    """
    old = _reading(old_code, was_on)
    if old.stood_on(day) or (old.valid_from is not None and old.valid_from >= REFORM):
        now = unit_on(old_code, old.level, day)
        return () if now is None else (Successor(now, default=True, whole=True, legal_basis=now.legal_basis),)
    if old.level == "province" and old.valid_to is not None and old.valid_to < LAST_OLD_DAY:
        return _since_ended(old, day)
    if day < REFORM:
        return ()
    targets = _targets(old)
    alone = len(targets) == 1
    found: list[Successor] = []
    for code, default in targets.items():
        unit = unit_on(code, "province" if old.level == "province" else "commune", day)
        if unit is not None:
            basis = next(reading.legal_basis for reading in readings(code, unit.level) if reading.stood_on(REFORM))
            found.append(Successor(unit, default or alone, whole=alone, legal_basis=basis))
    return tuple(sorted(found, key=lambda successor: (not successor.default, successor.unit.code)))


def _since_ended(old: Unit, day: date) -> tuple[Successor, ...]:
    """The province that on ``day`` holds one that ended before the reform (Hà Tây in 2008): it went whole into it."""
    code = _province_targets()[old.code]
    first = unit_on(code, "province", (old.valid_to or LAST_OLD_DAY) + timedelta(days=1))
    if first is None or not old.end_basis:
        return ()
    now = (first,) if first.stood_on(day) else (each.unit for each in successors(code, day))
    return tuple(Successor(unit, default=True, whole=True, legal_basis=old.end_basis) for unit in now)


def absorbed(code: str, day: date) -> tuple[Unit, ...]:
    """The provinces that stood on ``day``, ended before the reform and went whole into the one bearing ``code``."""
    ended = (unit_on(old, "province", day) for old, new in _province_targets().items() if new == code != old)
    return tuple(unit for unit in ended if unit is not None and (unit.valid_to or LAST_OLD_DAY) < LAST_OLD_DAY)


def predecessors(new_code: str) -> tuple[Predecessor, ...]:
    """The units of 30 Jun 2025 whose territory lies in the one bearing ``new_code`` since 1 Jul 2025, by code.

    Raises UnitUnknown when no unit has borne the code since.
    """
    level = level_of(new_code)
    if unit_on(new_code, level, REFORM) is None:
        raise UnitUnknown(T("No unit has borne the code {code} since 1 July 2025."), code=new_code)
    found: list[Predecessor] = []
    for code in sorted(_province_sources()[new_code] if level == "province" else _commune_sources()[new_code]):
        unit = readings(code, level_of(code))
        old = next(reading for reading in reversed(unit) if reading.valid_from is None or reading.valid_from < REFORM)
        after = successors(code, REFORM, was_on=old.valid_to or LAST_OLD_DAY)
        found.append(Predecessor(old, whole=len(after) == 1, legal_basis=after[0].legal_basis))
    return tuple(found)


def _reading(code: str, day: date) -> Unit:
    """The unit bearing ``code`` on ``day``, or the last one that did before."""
    level = level_of(code)
    current = unit_on(code, level, day)
    if current is not None:
        return current
    earlier = [unit for unit in readings(code, level) if unit.valid_to is not None and unit.valid_to < day]
    if not earlier:
        raise UnitUnknown(T("No unit bore the code {code} on {day}."), code=code, day=day.isoformat())
    return earlier[-1]


def _targets(old: Unit) -> dict[str, bool]:
    """New code -> whether it is the default, for a unit that ended with the reform."""
    if old.level == "province":
        return {_province_targets()[old.code]: True}
    own = _commune_targets().get(old.code)
    if own is not None:
        return own
    children = (unit.code for unit in units_on("commune", LAST_OLD_DAY) if unit.parent == old.code)
    return {new: False for child in children for new in _commune_targets()[child]}


@cache
def _commune_targets() -> dict[str, dict[str, bool]]:
    found: dict[str, dict[str, bool]] = {}
    for old, new, default in rows("successions"):
        found.setdefault(old, {})[new] = default == "1"
    return found


@cache
def _commune_sources() -> dict[str, list[str]]:
    return _turned((new, old) for old, targets in _commune_targets().items() for new in targets)


@cache
def _province_targets() -> dict[str, str]:
    return dict(rows("province_successions"))


@cache
def _province_sources() -> dict[str, list[str]]:
    """New code -> the provinces of the last old day it was made of; those that had ended before are left out."""
    standing = ((new, old) for old, new in _province_targets().items() if unit_on(old, "province", LAST_OLD_DAY))
    return _turned(standing)


def _turned(pairs: Iterable[tuple[str, str]]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for new, old in pairs:
        found.setdefault(new, []).append(old)
    return found
