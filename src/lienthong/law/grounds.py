"""Legal grounds on which data may be used: dated codes with the article that allows them.

A ground travels in agreements and records as a short code: ``law:<article>``, ``consent``, ``contract``, ``vital``,
``emergency:<case>``.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Final, Literal

from lienthong.errors import Problem
from lienthong.i18n import Language, T

GroundKind = Literal["law", "consent", "contract", "vital", "emergency"]

_FILE: Final = Path(__file__).with_name("grounds.toml")
_CODE = re.compile(r"([a-z]+)(?::(\S.{0,199}))?")


class GroundInvalid(Problem):
    """A text is not the code of a legal ground in force."""

    kind = "ground-invalid"
    status = 422
    side = "caller"
    title = T("The legal ground is not valid")


@dataclass(frozen=True, slots=True)
class GroundRule:
    """One kind of ground and the days it is in force, both included."""

    kind: GroundKind
    title_vi: str
    title_en: str
    legal_basis: str
    valid_from: date
    valid_to: date | None
    verified: bool
    takes_article: bool
    cases: Mapping[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    """Cases of an emergency -> Vietnamese and English words; empty for other kinds."""

    def in_force(self, day: date) -> bool:
        """Whether the ground may be used on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day <= self.valid_to)


@dataclass(frozen=True, slots=True)
class Ground:
    """A ground as one use names it: its kind, and the article or the case."""

    code: str
    rule: GroundRule
    detail: str | None

    @property
    def needs_consent(self) -> bool:
        """Whether the person's own consent has to be there."""
        return self.rule.kind == "consent"

    def title(self, language: Language) -> str:
        """The ground in words, with its article or case."""
        title = self.rule.title_vi if language == "vi" else self.rule.title_en
        if self.detail is None:
            return title
        case = self.rule.cases.get(self.detail)
        return f"{title}: {case[0 if language == 'vi' else 1] if case else self.detail}"


def read_ground(code: str, day: date) -> Ground:
    """The ground that ``code`` names on ``day``; GroundInvalid for another text, case or day."""
    shape = _CODE.fullmatch(code)
    kind, detail = shape.groups() if shape else ("", None)
    rule = next((rule for rule in ground_rules() if rule.kind == kind and rule.in_force(day)), None)
    if rule is None:
        raise GroundInvalid(
            T("{code} names no legal ground in force on {day}."),
            mend=T("Use law:<article>, consent, contract, vital or emergency:<case>."),
            code=code[:200],
            day=day.isoformat(),
        )
    wants_detail = rule.takes_article or bool(rule.cases)
    if (detail is not None) != wants_detail or (rule.cases and detail not in rule.cases):
        raise GroundInvalid(
            T("{code} does not say which article or case it rests on, or says one that is not known."),
            mend=T("Use law:<article>, consent, contract, vital or emergency:<case>."),
            code=code[:200],
        )
    return Ground(code, rule, detail)


@cache
def ground_rules() -> tuple[GroundRule, ...]:
    """All kinds of ground with their days."""
    document = tomllib.loads(_FILE.read_text("utf-8"))
    return tuple(_rule(entry) for entry in document["ground"])


def _rule(entry: dict[str, Any]) -> GroundRule:  # Any: a TOML table of our own, checked by a test
    return GroundRule(
        kind=entry["code"],
        title_vi=entry["vi"],
        title_en=entry["en"],
        legal_basis=entry["legal_basis"],
        valid_from=entry["valid_from"],
        valid_to=entry.get("valid_to"),
        verified=entry["verified"],
        takes_article=entry.get("detail") == "article",
        cases={case: (vi, en) for case, (vi, en) in entry.get("cases", {}).items()},
    )
