"""Values that come from the law, as dated entries with their legal basis (R-99, R-100).

What the program ships stands in ``rules.toml``; an operator's own file adds entries, which win on the days they cover.
So a change of the law, or of who receives a report, is a dated entry and never a change of code.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import date, timedelta
from functools import cache
from pathlib import Path
from typing import Final, Literal, cast, get_args

from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate

RuleUnit = Literal[
    "day", "day of the year", "hours", "days", "working days", "months", "years", "percent a year", "routing", "agency"
]
Value = int | str | date

UNITS: Final[tuple[RuleUnit, ...]] = get_args(RuleUnit)
UNIT_WORDS: Final[Mapping[RuleUnit, str]] = {
    "hours": T("{value} hours"),
    "days": T("{value} days"),
    "working days": T("{value} working days"),
    "months": T("{value} months"),
    "years": T("{value} years"),
    "percent a year": T("{value} % a year"),
}
_SHIPPED: Final = Path(__file__).with_name("rules.toml")
_NAME = re.compile(r"[a-z][a-z0-9]*(?:-[a-z0-9]+)*")
_REQUIRED: Final = frozenset(("name", "value", "unit", "vi", "en", "legal_basis", "valid_from", "verified"))


class RuleUnknown(Problem):
    """No value of that name is in force on the day asked for."""

    kind = "rule-unknown"
    status = 500
    side = "node"
    title = T("No such legal value is in force")


class RulesInvalid(Problem):
    """A file of dated rules can not be read as one."""

    kind = "rules-invalid"
    status = 500
    side = "node"
    title = T("The file of legal values is not valid")


@dataclass(frozen=True, slots=True)
class Rule:
    """One legal value and the days it is in force, both included; ``verified``: the article itself was read."""

    name: str
    value: Value
    unit: RuleUnit
    title_vi: str
    title_en: str
    legal_basis: str
    valid_from: date
    valid_to: date | None
    verified: bool

    def in_force(self, day: date) -> bool:
        """Whether the value holds on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)

    def whole(self) -> int:
        """The value as a number; RulesInvalid when it is none."""
        if not isinstance(self.value, int):
            raise RulesInvalid(T("The value of {name} is not a number."), name=self.name)
        return self.value

    def text(self) -> str:
        """The value as text; RulesInvalid when it is none."""
        if not isinstance(self.value, str):
            raise RulesInvalid(T("The value of {name} is not a text."), name=self.name)
        return self.value

    def day(self) -> date:
        """The value as a day; RulesInvalid when it is none."""
        if not isinstance(self.value, date):
            raise RulesInvalid(T("The value of {name} is not a day."), name=self.name)
        return self.value

    def title(self, language: Language) -> str:
        """What the value is, for people."""
        return self.title_vi if language == "vi" else self.title_en

    def shown(self, language: Language) -> str:
        """The value with its unit: ``2 working days``."""
        value = self.value.strftime("%d/%m/%Y") if isinstance(self.value, date) else str(self.value)
        words = UNIT_WORDS.get(self.unit)
        return translate(words, language, value=value) if words else value

    def basis_shown(self, language: Language) -> str:
        """Legal basis, days in force and whether the text was read: what every screen can show beside the value."""
        first = self.valid_from.strftime("%d/%m/%Y")
        if self.valid_to is None:
            days = translate(T("in force since {first}"), language, first=first)
        else:
            last = self.valid_to.strftime("%d/%m/%Y")
            days = translate(T("in force from {first} to {last}"), language, first=first, last=last)
        mark = "" if self.verified else f"; {translate(T('not verified against the official text'), language)}"
        return f"{self.legal_basis}; {days}{mark}"


class RuleBook:
    """All dated values known to a node."""

    def __init__(self, shipped: Iterable[Rule], own: Iterable[Rule] = ()) -> None:
        """``own`` entries win over ``shipped`` ones on the days they cover."""
        self._own = _by_name(own)
        self._shipped = {
            name: tuple(_cut(entry, self._own.get(name, ())) for entry in entries)
            for name, entries in _by_name(shipped).items()
        }

    def rule(self, name: str, day: date) -> Rule:
        """The value of ``name`` in force on ``day``; RuleUnknown when there is none."""
        for entries in (self._own.get(name, ()), self._shipped.get(name, ())):
            for entry in entries:
                if entry.in_force(day):
                    return entry
        raise RuleUnknown(
            T("No value {name} is in force on {day}."),
            mend=T("Add a dated entry with its legal basis to the node's own file of legal values."),
            name=name,
            day=day.isoformat(),
        )

    def names(self) -> tuple[str, ...]:
        """The names of all values, sorted."""
        return tuple(sorted(self._shipped.keys() | self._own.keys()))

    def history(self, name: str) -> tuple[Rule, ...]:
        """Every entry of ``name``, oldest first, own entries beside shipped ones."""
        entries = (*self._shipped.get(name, ()), *self._own.get(name, ()))
        return tuple(sorted(entries, key=lambda entry: entry.valid_from))


def rule(name: str, day: date, book: RuleBook | None = None) -> Rule:
    """The value of ``name`` in force on ``day``, from ``book`` or from what the program ships."""
    return (book or shipped_rules()).rule(name, day)


@cache
def shipped_rules() -> RuleBook:
    """The values the program ships."""
    return read_rule_book()


def read_rule_book(own_file: Path | None = None) -> RuleBook:
    """The shipped values and those of the operator's ``own_file``; RulesInvalid names what is wrong with a file."""
    return RuleBook(_read(_SHIPPED), _read(own_file) if own_file else ())


def _read(path: Path) -> list[Rule]:
    try:
        document = tomllib.loads(path.read_text("utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise RulesInvalid(T("{file} can not be read: {why}"), file=path.name, why=str(problem)) from problem
    entries: object = document.get("rule")
    if document.keys() - {"rule"} or not isinstance(entries, list):
        raise RulesInvalid(T("{file} holds more or less than a list of [[rule]]."), file=path.name)
    return [_entry(cast("dict[str, object]", entry), path.name) for entry in entries]


def _entry(entry: dict[str, object], file: str) -> Rule:
    name = str(entry.get("name", "?"))
    missing, extra = _REQUIRED - entry.keys(), entry.keys() - _REQUIRED - {"valid_to"}
    if missing or extra:
        raise RulesInvalid(
            T("The entry {name} in {file} lacks or adds: {keys}."),
            name=name,
            file=file,
            keys=", ".join(sorted(missing | extra)),
        )
    value, first, last = entry["value"], entry["valid_from"], entry.get("valid_to")
    unit: RuleUnit | None = next((known for known in UNITS if entry["unit"] == known), None)
    texts = [entry[key] for key in ("vi", "en", "legal_basis")]
    if (
        unit is None
        or not _NAME.fullmatch(name)
        or type(value) not in (int, str, date)
        or type(first) is not date
        or (last is not None and (type(last) is not date or last < first))
        or not isinstance(entry["verified"], bool)
        or not all(isinstance(text, str) and text.strip() for text in texts)
    ):
        raise RulesInvalid(T("The entry {name} in {file} has a field of the wrong kind."), name=name, file=file)
    return Rule(
        name=name,
        value=cast("Value", value),
        unit=unit,
        title_vi=str(entry["vi"]),
        title_en=str(entry["en"]),
        legal_basis=str(entry["legal_basis"]),
        valid_from=first,
        valid_to=last,
        verified=entry["verified"],
    )


def _by_name(entries: Iterable[Rule]) -> dict[str, tuple[Rule, ...]]:
    """Entries under their names, oldest first; RulesInvalid where two of one source hold on one day."""
    found: dict[str, tuple[Rule, ...]] = {}
    for entry in sorted(entries, key=lambda entry: (entry.name, entry.valid_from)):
        earlier = found.get(entry.name, ())
        if earlier and earlier[-1].in_force(entry.valid_from):
            raise RulesInvalid(
                T("Two values of {name} hold on {day}."), name=entry.name, day=entry.valid_from.isoformat()
            )
        found[entry.name] = (*earlier, entry)
    return found


def _cut(entry: Rule, own: tuple[Rule, ...]) -> Rule:
    """``entry`` ending the day before the first own entry that begins while it holds and has no end."""
    for later in own:
        if later.valid_to is None and later.valid_from > entry.valid_from and entry.in_force(later.valid_from):
            return replace(entry, valid_to=later.valid_from - timedelta(days=1))
    return entry
