"""Administrative units as they stood on a day, and as it was known on another: provinces, districts, communes.

A code is never a key alone: from 1 Jul 2025 many codes mean another unit than before, so a question without a day is
answered only where every reading of the code bears one name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import date, timedelta
from typing import Final, Literal

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.law.reference import day_or_none, legal_bases, lines_by_code

Level = Literal["province", "district", "commune"]

REFORM: Final = date(2025, 7, 1)
"""The day the two-level model began: 34 provinces, no districts, new communes."""
LAST_OLD_DAY: Final = REFORM - timedelta(days=1)

FIRST_KNOWN_DAY: Final = date(2004, 7, 8)
"""QĐ 124/2004/QĐ-TTg gave today's codes: of what stood before, the register knows nothing."""
FURTHEST_AHEAD: Final = timedelta(days=366)
"""How far ahead of today changes that are already decided may be asked for."""

_TABLES: Final[dict[Level, tuple[str, ...]]] = {
    "province": ("provinces",),
    "district": ("districts",),
    "commune": ("communes_until_2025", "communes"),
}
_LEVELS: Final[dict[int, Level]] = {2: "province", 3: "district", 5: "commune"}


class UnitUnknown(Problem):
    """No administrative unit bore the code."""

    kind = "unit-unknown"
    status = 404
    side = "caller"
    title = T("The administrative unit is not known")


class UnitCodeAmbiguous(Problem):
    """The code meant different units at different times, and no day was given."""

    kind = "unit-code-ambiguous"
    status = 409
    side = "caller"
    title = T("The administrative code is ambiguous")


def check_day(day: date, today: date) -> date:
    """``day`` when the register can speak of it; raises UnitUnknown for one before it begins or far in the future."""
    if FIRST_KNOWN_DAY <= day <= today + FURTHEST_AHEAD:
        return day
    raise UnitUnknown(
        T("Nothing is known of the units of {day}: the register speaks of the days from {first} to {last}."),
        mend=T("Ask for a day between them."),
        day=day.isoformat(),
        first=FIRST_KNOWN_DAY.isoformat(),
        last=(today + FURTHEST_AHEAD).isoformat(),
    )


@dataclass(frozen=True, slots=True)
class Unit:
    """One reading of one code: what it meant from ``valid_from`` to ``valid_to``, both days included.

    ``valid_from`` None: the start is not recorded (before 2025); ``valid_to`` None: still so.  ``parent`` is the code
    of the district before 1 Jul 2025, of the province since; ``recorded_at`` is the day the legal basis was issued;
    ``continues`` marks the same unit going on under another name or kind.
    """

    code: str
    level: Level
    kind: str
    name: str
    parent: str | None
    valid_from: date | None
    valid_to: date | None
    legal_basis: str
    recorded_at: date | None
    end_basis: str | None
    end_recorded_at: date | None
    continues: bool

    @property
    def full_name(self) -> str:
        """Kind and name as officially written: ``Phường Ba Đình``."""
        return f"{self.kind[0].upper()}{self.kind[1:]} {self.name}"

    def stood_on(self, day: date) -> bool:
        """Whether this reading holds on ``day``."""
        return (self.valid_from is None or self.valid_from <= day) and (self.valid_to is None or day <= self.valid_to)

    def as_record(self) -> dict[str, str]:
        """The unit as text fields for export: codes keep their leading zeros, days are ISO, None is empty."""
        return {
            "code": self.code,
            "level": self.level,
            "kind": self.kind,
            "name": self.name,
            "parent": self.parent or "",
            "valid_from": self.valid_from.isoformat() if self.valid_from else "",
            "valid_to": self.valid_to.isoformat() if self.valid_to else "",
            "legal_basis": self.legal_basis,
            "recorded_at": self.recorded_at.isoformat() if self.recorded_at else "",
        }


def unit_on(code: str, level: Level, day: date | None, known_at: date | None = None) -> Unit | None:
    """The unit that bore ``code`` on ``day`` as known on ``known_at`` (now when None); None if the code was free.

    Without a day the present reading (or the last one) is answered, unless an earlier reading bore another name: then
    UnitCodeAmbiguous names all of them.
    """
    known = _as_known(_readings(code, level, _tables(level, day, known_at)), known_at)
    if day is not None:
        return next((unit for unit in reversed(known) if unit.stood_on(day)), None)
    if not known:
        return None
    followed_by = (*known[1:], None)
    names = {unit.name.lower() for unit, after in zip(known, followed_by, strict=True) if not _same_unit(after)}
    if len(names) > 1:
        raise UnitCodeAmbiguous(
            T("The code {code} has meant {readings}."),
            mend=T("Say for which day the code is meant."),
            code=code,
            readings="; ".join(_dated(unit) for unit in known),
        )
    return known[-1]


def readings(code: str, level: Level) -> tuple[Unit, ...]:
    """Everything ``code`` has meant at ``level``, oldest first."""
    return _readings(code, level, _TABLES[level])


def units_on(level: Level, day: date, known_at: date | None = None) -> tuple[Unit, ...]:
    """All units of ``level`` on ``day`` as known on ``known_at``, by code."""
    codes = sorted({code for name in _tables(level, day, known_at) for code in lines_by_code(name)})
    found = (unit_on(code, level, day, known_at) for code in codes)
    return tuple(unit for unit in found if unit is not None)


def province_units(province: str, day: date) -> tuple[Unit, ...]:
    """The communes of the province that bore the code ``province`` on ``day``, by code.

    Raises UnitUnknown when no province did.
    """
    if unit_on(province, "province", day) is None:
        raise UnitUnknown(T("No province bore the code {code} on {day}."), code=province, day=day.isoformat())
    return tuple(unit for unit in units_on("commune", day) if province_of(unit) == province)


def province_of(unit: Unit) -> str:
    """The code of the province ``unit`` belonged to while it stood; its own code for a province."""
    parent = unit.parent
    if parent is None:
        return unit.code
    if len(parent) == 2:
        return parent
    return lines_by_code("districts")[parent][0].split("\t")[3]


def level_of(code: str) -> Level:
    """The level a code belongs to, by its length (2, 3 or 5 digits); UnitUnknown for any other text."""
    level = _LEVELS.get(len(code)) if code.isascii() and code.isdigit() else None
    if level is None:
        raise UnitUnknown(
            T("{code} is not the code of an administrative unit."),
            mend=T("Codes are text with their leading zeros: 2 digits for a province, 5 for a commune."),
            code=code[:16],
        )
    return level


def _unit(line: str, level: Level) -> Unit:
    code, kind, name, parent, first, last, basis, end_basis, continues = line.split("\t")
    bases = legal_bases()
    start, valid_to = bases[basis], day_or_none(last)
    end = bases[end_basis] if end_basis else None
    valid_from = day_or_none(first)
    return Unit(
        code=code,
        level=level,
        kind=kind,
        name=name,
        parent=parent or None,
        valid_from=valid_from,
        valid_to=valid_to,
        legal_basis=start.citation,
        recorded_at=start.issued if valid_from else None,
        end_basis=end.citation if end else None,
        end_recorded_at=end.issued if end else None,
        continues=continues == "1",
    )


def _as_known(found: tuple[Unit, ...], known_at: date | None) -> tuple[Unit, ...]:
    """``found`` as somebody knew it on ``known_at``: later texts had not yet begun or ended anything."""
    if known_at is None:
        return found
    return tuple(
        replace(unit, valid_to=None, end_basis=None, end_recorded_at=None)
        if unit.end_recorded_at is not None and unit.end_recorded_at > known_at
        else unit
        for unit in found
        if unit.recorded_at is None or unit.recorded_at <= known_at
    )


def _tables(level: Level, day: date | None, known_at: date | None) -> tuple[str, ...]:
    """The tables that can hold the answer: the large one of the old communes only where it matters."""
    if level == "commune" and known_at is None and day is not None and day >= REFORM:
        return ("communes",)
    return _TABLES[level]


def _readings(code: str, level: Level, tables: tuple[str, ...]) -> tuple[Unit, ...]:
    found = [_unit(line, level) for name in tables for line in lines_by_code(name).get(code, ())]
    return tuple(sorted(found, key=_start))


def _same_unit(after: Unit | None) -> bool:
    """Whether the reading that follows is the same unit going on."""
    return after is not None and after.continues


def _start(unit: Unit) -> date:
    return unit.valid_from or date.min


def _dated(unit: Unit) -> str:
    """``Tỉnh Yên Bái (… - 2025-06-30)``: a reading with its days."""
    first = unit.valid_from.isoformat() if unit.valid_from else "…"
    last = unit.valid_to.isoformat() if unit.valid_to else "…"
    return f"{unit.full_name} ({first} - {last})"
