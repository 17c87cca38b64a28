"""What is done to a case: moved, answered, extended once, paused and resumed; every deed is one more event.

Each deed names the version it was decided on: when somebody was quicker, nothing is done and CaseChanged says so.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from lienthong.cases import queries
from lienthong.cases.kinds import kind_on
from lienthong.cases.models import Case, Event, Kind, Move
from lienthong.cases.notices.announcing import announce
from lienthong.cases.opening import LONGEST_TEXT, Clocks, typed
from lienthong.cases.reading import case_for, is_handler, is_opener
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor
from lienthong.identity.rights import NotAllowed

FOUNDED: Final = frozenset(("refused", "upheld"))
"""States that say no: they need a reason and the legal provision."""
Connection = Any
"""A connection of any row factory, passed on."""


class CaseChanged(Problem):
    """Somebody changed the case after it was read."""

    kind: ClassVar[str] = "case-changed"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The case was changed meanwhile")


class CaseNotPossible(Problem):
    """The case's state or kind does not allow this."""

    kind: ClassVar[str] = "case-not-possible"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This can not be done with the case now")


class RefusalUnfounded(Problem):
    """A refusal lacks its reason or the legal provision that restricts sharing."""

    kind: ClassVar[str] = "refusal-unfounded"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("A refusal needs a reason and a legal provision")


@dataclass(frozen=True, slots=True)
class Deed:
    """Who does something to which version of a case, and what they write."""

    case: str
    version: int | None
    """The version that was read; None: whatever stands now (by command)."""
    by: Actor | None
    text: str = ""
    reason: str = ""
    provision: str = ""


async def move(db: Connection, deed: Deed, target: str, now: datetime) -> Case:
    """Move a case to another state.

    Raises RefusalUnfounded for a no without reason and provision (NĐ 194/2025/NĐ-CP, Đ16), CaseNotPossible,
    CaseChanged, NotAllowed.  A dispute that overturns a refusal approves the refused case in the same transaction.
    """
    case, kind = await _read(db, deed)
    step = next((each for each in kind.flow.moves if (each.source, each.target) == (case.state, target)), None)
    if step is None:
        raise CaseNotPossible(
            T("A case does not go from {source} to {target}."),
            mend=T("See what the case may become: lienthong case show"),
            source=case.state,
            target=target,
        )
    _may_move(case, step, deed.by)
    if case.paused_at is not None:
        raise CaseNotPossible(T("The case is paused."), mend=T("Resume it first."))
    reason, provision = typed(deed.reason, LONGEST_TEXT), typed(deed.provision, LONGEST_TEXT)
    if target in FOUNDED and not (reason and provision):
        raise RefusalUnfounded(
            T("Write why, and the text and article that restrict sharing."),
            mend=T("For example: --reason ... --provision 'Luật 91/2025/QH15, Đ19'"),
        )
    ended = now if target in kind.flow.ends else None
    became = replace(case, state=target, ended_at=ended, answered_at=case.answered_at or _answers(step, now))
    if target == "overturned" and case.about:
        await _overturn(db, case, deed.by, now)
    return await _put(db, case, became, deed, "moved", now, reason, provision)


async def answer(db: Connection, deed: Deed, now: datetime) -> Case:
    """Add to the thread, the opener also while the clock stands still; a handler's first word stops the first clock."""
    case, _ = await _read(db, deed)
    handles = deed.by is None or is_handler(case, deed.by)
    _running(case if handles else replace(case, paused_at=None))
    typed(deed.text, LONGEST_TEXT, needed=True)
    became = replace(case, answered_at=case.answered_at or (now if handles else None))
    return await _put(db, case, became, deed, "answered", now)


async def extend(db: Connection, deed: Deed, now: datetime, clocks: Clocks | None = None) -> Case:
    """Lengthen the time once, with a reason, by the rule of the kind (rights: NĐ 356/2025/NĐ-CP, 15 days)."""
    case, kind = await _handled(db, deed)
    reason = typed(deed.reason, LONGEST_TEXT, needed=True)
    if not kind.extension or case.due is None:
        raise CaseNotPossible(T("The law knows no extension for this kind of case."))
    if case.extended:
        raise CaseNotPossible(T("The time was extended already; it can be extended once."))
    if case.overdue(now):
        raise CaseNotPossible(T("The time is over; what is late can not be extended."))
    clocks = clocks or Clocks()
    # The last day in time is where the further time begins to be counted from.
    rule = clocks.rules.rule(kind.extension, case.opened_on)
    longer = clocks.calendar.due(case.due - timedelta(microseconds=1), rule)
    return await _put(db, case, replace(case, due=longer, extended=True), deed, "extended", now, reason)


async def pause(db: Connection, deed: Deed, now: datetime, clocks: Clocks | None = None) -> Case:
    """Let the clocks stand still, with a reason: the opener must add something."""
    case, kind = await _handled(db, deed)
    reason = typed(deed.reason, LONGEST_TEXT, needed=True)
    if not kind.pauses:
        raise CaseNotPossible(T("The clock of this kind of case does not stand still."))
    if case.overdue(now):
        raise CaseNotPossible(T("The time is over; what is late can not be paused."))
    clocks = clocks or Clocks()
    became = replace(
        case,
        paused_at=now,
        answer_left=_left(clocks, now, case.answer_due, kind.answer, case),
        left=_left(clocks, now, case.due, kind.rule_for(case.matter), case),
    )
    return await _put(db, case, became, deed, "paused", now, reason)


async def resume(db: Connection, deed: Deed, now: datetime, clocks: Clocks | None = None) -> Case:
    """Let the clocks go on with what was left."""
    case, kind = await _read(db, deed)
    _handles(case, deed.by)
    if case.paused_at is None:
        raise CaseNotPossible(T("The case is not paused."))
    clocks = clocks or Clocks()
    became = replace(
        case,
        paused_at=None,
        answer_due=_resumed(clocks, now, case.answer_left, kind.answer, case),
        due=_resumed(clocks, now, case.left, kind.rule_for(case.matter), case),
        answer_left=None,
        left=None,
    )
    return await _put(db, case, became, deed, "resumed", now)


async def _read(db: Connection, deed: Deed) -> tuple[Case, Kind]:
    case = await case_for(db, deed.case, deed.by)
    if deed.version is not None and deed.version != case.version:
        raise _changed(case.version)
    return case, kind_on(case.kind, case.opened_on)


async def _handled(db: Connection, deed: Deed) -> tuple[Case, Kind]:
    case, kind = await _read(db, deed)
    _handles(case, deed.by)
    _running(case)
    return case, kind


def _handles(case: Case, by: Actor | None) -> None:
    if by is not None and not is_handler(case, by):
        raise NotAllowed(T("Only those who handle the case may do this."))


def _may_move(case: Case, step: Move, by: Actor | None) -> None:
    if by is None or (is_opener(case, by) if step.by == "opener" else is_handler(case, by)):
        return
    raise NotAllowed(T("Only those who handle the case may do this."))


def _running(case: Case) -> None:
    if case.ended_at is not None:
        raise CaseNotPossible(T("The case has ended."), mend=T("Open a new one, or a dispute about a refusal."))
    if case.paused_at is not None:
        raise CaseNotPossible(T("The case is paused."), mend=T("Resume it first."))


def _answers(step: Move, now: datetime) -> datetime | None:
    """A handler's move is an answer; the opener's is not."""
    return now if step.by == "handler" else None


def _left(clocks: Clocks, now: datetime, due: datetime | None, name: str, case: Case) -> int | None:
    if due is None or not name:
        return None
    return clocks.calendar.left(now, due, clocks.rules.rule(name, case.opened_on).unit)


def _resumed(clocks: Clocks, now: datetime, left: int | None, name: str, case: Case) -> datetime | None:
    if left is None:
        return None
    return clocks.calendar.resumed(now, left, clocks.rules.rule(name, case.opened_on).unit)


async def _overturn(db: Connection, dispute: Case, by: Actor | None, now: datetime) -> None:
    """Approve the case whose refusal did not hold: the decision binds the grant (R-39)."""
    refused = await queries.case_by_id(db, dispute.about or "")
    if refused is None or refused.state != "refused":
        raise CaseNotPossible(T("The refusal that the dispute is about stands no more."))
    ends = kind_on(refused.kind, refused.opened_on).flow.ends
    became = replace(refused, state="approved" if "approved" in ends else "settled", ended_at=now)
    said = Deed(refused.id, refused.version, by, text=dispute.id)
    await _put(db, refused, became, said, "moved", now)


async def _put(
    db: Connection,
    was: Case,
    became: Case,
    deed: Deed,
    act: str,
    now: datetime,
    reason: str = "",
    provision: str = "",
) -> Case:
    became = replace(became, version=was.version + 1)
    if not await queries.update_case(db, became, was.version):
        raise _changed(None)
    person, member = (deed.by.person, deed.by.member) if deed.by else (None, None)
    text = typed(deed.text, LONGEST_TEXT)
    # The history's numbers are the versions: each deed makes one of both.
    event = Event(became.version, now, person, member, act, became.state, text, reason, provision)
    await queries.insert_event(db, was.id, event)
    await announce(db, became, event)
    return became


def _changed(version: int | None) -> CaseChanged:
    facts = {} if version is None else {"version": version}
    return CaseChanged(
        T("Somebody changed the case after you read it."),
        mend=T("Read it again, then send what you typed with its new version."),
        **facts,
    )
