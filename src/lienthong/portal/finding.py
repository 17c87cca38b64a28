"""What was typed into a search box: folded, and with old names of provinces understood.

Typing "binh duong" or "Bình Dương" finds what stands under Thành phố Hồ Chí Minh, into which it was merged on
1 July 2025 (Nghị quyết 202/2025/QH15), and says so.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache

from lienthong.law.successions import successors
from lienthong.law.text import fold
from lienthong.law.units import LAST_OLD_DAY, REFORM, units_on

LONGEST = 200


@dataclass(frozen=True, slots=True)
class Wanted:
    """A search; make it with ``wanted``."""

    ways: tuple[tuple[str, ...], ...]
    """What must all be met, in any of these ways: a space and a word's beginning, or whole words between spaces."""
    merged: tuple[tuple[str, str], ...] = ()
    """Old provinces that were named, each with the province it now belongs to, as officially written."""

    @property
    def everything(self) -> bool:
        """Whether nothing was asked for."""
        return not self.ways

    def met_by(self, folded: str) -> bool:
        """Whether a folded text has all that one way asks for."""
        text = f" {_plain_words(folded)} "
        return self.everything or any(all(each in text for each in way) for way in self.ways)


def wanted(typed: str) -> Wanted:
    """The search for ``typed``; an empty one finds everything."""
    folded = _plain_words(fold(typed[:LONGEST]))
    if not folded:
        return Wanted(())
    ways = [_begun(folded)]
    merged: list[tuple[str, str]] = []
    for name, (old, new_folded, new) in _merged_provinces().items():
        named = re.compile(rf"(?<!\w){re.escape(name)}(?!\w)")
        if named.search(folded):
            ways.append((f" {new_folded} ", *_begun(named.sub(" ", folded))))
            merged.append((old, new))
    return Wanted(tuple(ways), tuple(merged))


def _begun(folded: str) -> tuple[str, ...]:
    """Any word may be typed by its beginning."""
    return tuple(f" {word}" for word in folded.split())


def _plain_words(folded: str) -> str:
    return re.sub(r"[\W_]+", " ", folded).strip()


@cache
def _merged_provinces() -> dict[str, tuple[str, str, str]]:
    """Folded old name -> official old name, folded new name, official new name; only where the names differ."""
    found: dict[str, tuple[str, str, str]] = {}
    new = {unit.code: unit for unit in units_on("province", REFORM)}
    for old in units_on("province", LAST_OLD_DAY):
        for successor in successors(old.code, REFORM):
            unit = new.get(successor.unit.code)
            if unit is not None and fold(unit.name) != fold(old.name):
                found[_plain_words(fold(old.name))] = (old.full_name, _plain_words(fold(unit.name)), unit.full_name)
    return found
