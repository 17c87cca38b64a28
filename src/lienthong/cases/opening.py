"""Opening a case: what was typed is checked and cleaned, the clocks of its kind and day begin to run."""

from __future__ import annotations

import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, ClassVar, Final

from lienthong.cases import queries
from lienthong.cases.kinds import kind_on
from lienthong.cases.models import Case, Event, Kind
from lienthong.cases.notices.announcing import announce
from lienthong.cases.reading import NoSuchCase
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed, may, require
from lienthong.law.calendar import ZONE, WorkCalendar, shipped_calendar
from lienthong.law.rules import RuleBook, shipped_rules
from lienthong.law.text import visible

LONGEST_TITLE: Final = 200
LONGEST_TEXT: Final = 10_000


class BadCase(Problem):
    """Something that was typed for a case is missing or too long."""

    kind: ClassVar[str] = "bad-case"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The case can not be opened or changed so")


class KeyReused(Problem):
    """A one-time key came again with another case."""

    kind: ClassVar[str] = "key-reused"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The one-time key belongs to another case")


@dataclass(frozen=True, slots=True)
class Clocks:
    """The dated rules and days off a node counts with."""

    rules: RuleBook = field(default_factory=shipped_rules)
    calendar: WorkCalendar = field(default_factory=shipped_calendar)


@dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants a case about; as typed."""

    kind: str
    owner: str
    title: str
    text: str = ""
    matter: str = ""
    about: str | None = None
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """Codes and ids alone, such as the service that refused a use."""


async def open_case(
    db: Any,  # Any: a connection of any row factory, passed on
    wish: Wish,
    *,
    by: Actor | None,
    now: datetime,
    clocks: Clocks | None = None,
    once: str | None = None,
) -> Case:
    """Open a case; ``by`` None: by command, with the rights of the machine.

    The same ``once`` of the same person opens it once and answers with what was opened.  Raises BadCase, NoSuchKind,
    NoSuchCase (for what it is about), KeyReused, LoginNeeded, NotAllowed.
    """
    if by is not None:
        require(by, Right.OPEN_CASES)
    clocks = clocks or Clocks()
    case = _new(wish, by, now, clocks)
    if by is not None and not may_open(kind_on(case.kind, case.opened_on), by):
        raise NotAllowed(T("Cases of this kind are not opened by you."), mend=T("See which ones you may open."))
    await _fits(db, case, by)
    key = f"{case.opener or ''}/{once}" if once else None
    if not await queries.insert_case(db, case, key):
        return _same(await queries.case_by_once(db, key or ""), case)
    member = by.member if by else None
    event = Event(1, now, case.opener, member, "opened", case.state, "", "", "")
    await queries.insert_event(db, case.id, event)
    await announce(db, case, event)
    return case


def may_open(kind: Kind, actor: Actor) -> bool:
    """Whether ``actor`` is one of those who open cases of this kind."""
    return may(actor, Right.OPEN_CASES) and ("citizen" if actor.member is None else "staff") in kind.openers


def _new(wish: Wish, by: Actor | None, now: datetime, clocks: Clocks) -> Case:
    day = now.astimezone(ZONE).date()
    kind = kind_on(wish.kind, day)
    if (wish.matter in kind.matters) != bool(kind.matters) or (wish.matter and not kind.matters):
        raise BadCase(
            T("This kind of case asks for one of: {matters}."), matters=", ".join(sorted(kind.matters)) or "-"
        )
    return Case(
        id=secrets.token_hex(8),
        kind=kind.name,
        matter=wish.matter,
        owner=wish.owner,
        opener=by.person if by else None,
        opener_member=by.member if by else None,
        title=typed(wish.title, LONGEST_TITLE, needed=True).replace("\n", " "),
        text=typed(wish.text, LONGEST_TEXT),
        about=wish.about,
        facts=wish.facts,
        state=kind.flow.first,
        version=1,
        opened_at=now,
        opened_on=day,
        answer_due=clocks.calendar.due(now, clocks.rules.rule(kind.answer, day)) if kind.answer else None,
        due=clocks.calendar.due(now, clocks.rules.rule(kind.rule_for(wish.matter), day)),
        answered_at=None,
        ended_at=None,
        extended=False,
        paused_at=None,
        answer_left=None,
        left=None,
    )


async def _fits(db: Any, case: Case, by: Actor | None) -> None:  # Any: passed on
    """A dispute is about a refusal of the same opener; nothing else is about another case."""
    if (case.kind == "dispute") != (case.about is not None):
        raise BadCase(T("A dispute names the refused case, and no other kind does."))
    if case.about is None:
        return
    refused = await queries.case_by_id(db, case.about)
    if refused is None or (by is not None and by.person != refused.opener):
        raise NoSuchCase(T("There is no case with this id."), mend=T("Start from the list of cases."))
    if refused.state != "refused":
        raise BadCase(T("Only a refusal can be disputed."))
    if refused.owner == case.owner:
        raise BadCase(T("Who refused does not decide about the refusal: name another member."))


def _same(opened: Case | None, again: Case) -> Case:
    if opened is None or (opened.kind, opened.owner, opened.title, opened.text) != (
        again.kind,
        again.owner,
        again.title,
        again.text,
    ):
        raise KeyReused(
            T("This one-time key opened another case already."), mend=T("Take a new key for each new case.")
        )
    return opened


def typed(text: str, most: int, *, needed: bool = False) -> str:
    """``text`` as it is kept: lines stay, what nobody sees (zero width, direction marks) goes; raises BadCase."""
    lines = (visible(line).rstrip() for line in text.splitlines())
    kept = "\n".join(lines).strip()
    if needed and not kept:
        raise BadCase(T("Something must be written here."))
    if len(kept) > most:
        raise BadCase(T("At most {most} characters can be kept."), most=most)
    return kept
