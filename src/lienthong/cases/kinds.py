"""The kinds of case and their flows, read from ``kinds.toml``: a new kind, or a change of one, is a dated entry."""

from __future__ import annotations

import tomllib
from datetime import date
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Any, ClassVar, Final

from lienthong.cases.models import Escalation, Flow, Kind, Move
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Right, Role
from lienthong.law.rules import RulesInvalid

_SHIPPED: Final = Path(__file__).with_name("kinds.toml")
WHO: Final = frozenset(("opener", "handler"))
OPENERS: Final = frozenset(("citizen", "staff"))
SHOWN: Final = frozenset(("counts", "status"))

STATES: Final = MappingProxyType(
    {
        "open": T("opened"),
        "in-hand": T("being handled"),
        "mediation": T("in mediation"),
        "approved": T("case approved"),
        "refused": T("case refused"),
        "settled": T("settled"),
        "upheld": T("refusal upheld"),
        "overturned": T("refusal overturned"),
        "withdrawn": T("case withdrawn"),
        "notified": T("notice given"),
        "mended": T("mended"),
        "closed": T("case closed"),
    }
)


class NoSuchKind(Problem):
    """No kind of case of that name is in force on the day."""

    kind: ClassVar[str] = "no-such-case-kind"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such kind of case")


def kind_on(name: str, day: date) -> Kind:
    """The kind as it is in force on ``day``; raises NoSuchKind."""
    for kind in shipped_kinds():
        if kind.name == name and kind.valid_from <= day and (kind.valid_to is None or day <= kind.valid_to):
            return kind
    raise NoSuchKind(
        T("No kind of case {kind_name} is in force on {day}."),
        mend=T("See: lienthong case kinds"),
        kind_name=name,
        day=day.isoformat(),
    )


@cache
def shipped_kinds() -> tuple[Kind, ...]:
    """All entries the program ships."""
    return read_kinds(_SHIPPED)


def read_kinds(path: Path) -> tuple[Kind, ...]:
    """The entries of a file; RulesInvalid says what is wrong with it."""
    try:
        document: Any = tomllib.loads(path.read_text("utf-8"))  # Any: checked field by field below
        flows = {each["name"]: _flow(each) for each in document["flow"]}
        return tuple(_kind(each, flows) for each in document["kind"])
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise RulesInvalid(T("{file} can not be read: {why}"), file=path.name, why=str(wrong)) from wrong


def escalations_on(day: date) -> tuple[Escalation, ...]:
    """Who hears of late cases that were opened on ``day``, step by step."""
    return tuple(
        each for each in _escalations() if each.valid_from <= day and (each.valid_to is None or day <= each.valid_to)
    )


@cache
def _escalations() -> tuple[Escalation, ...]:
    try:
        listed: Any = tomllib.loads(_SHIPPED.read_text("utf-8"))["escalation"]  # Any: checked by what is made of it
        made = [_escalation(each) for each in listed]
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise RulesInvalid(T("{file} can not be read: {why}"), file=_SHIPPED.name, why=str(wrong)) from wrong
    return tuple(sorted(made, key=lambda each: each.step))


def _escalation(entry: Any) -> Escalation:  # Any: what TOML gave
    if entry["at"] not in ("owner", "national"):
        raise ValueError(f"nobody hears at {entry['at']}")
    return Escalation(
        step=entry["step"],
        after=entry["after"],
        role=Role(entry["role"]).value,
        at=entry["at"],
        legal_basis=entry["legal_basis"],
        valid_from=entry["valid_from"],
        valid_to=entry.get("valid_to"),
        verified=entry["verified"],
    )


def _flow(entry: Any) -> Flow:  # Any: what TOML gave
    moves: list[Move] = []
    for written in entry["moves"]:
        steps, who = (part.strip() for part in written.split(":"))
        source, target = (part.strip() for part in steps.split(">"))
        if who not in WHO or source not in STATES or target not in STATES:
            raise ValueError(f"no move: {written}")
        moves.append(Move(source, target, who))
    return Flow(entry["name"], entry["first"], frozenset(entry["ends"]), tuple(moves))


def _kind(entry: Any, flows: dict[str, Flow]) -> Kind:  # Any: what TOML gave
    if (
        not OPENERS.issuperset(entry["openers"])
        or entry["shown"] not in SHOWN
        or bool(entry["act"]) == bool(entry.get("matters"))
    ):
        raise ValueError(f"the kind {entry['name']} has no clock, or shows what there is not")
    return Kind(
        name=entry["name"],
        title_vi=entry["vi"],
        title_en=entry["en"],
        flow=flows[entry["flow"]],
        answer=entry["answer"],
        act=entry["act"],
        matters=MappingProxyType(dict(entry.get("matters", {}))),
        extension=entry["extension"],
        pauses=entry["pauses"],
        handler=Right(entry["handler"]),
        openers=frozenset(entry["openers"]),
        shown=entry["shown"],
        legal_basis=entry["legal_basis"],
        valid_from=entry["valid_from"],
        valid_to=entry.get("valid_to"),
        verified=entry["verified"],
    )
