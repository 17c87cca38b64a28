"""Minds the clocks: reminds of what ends soon, tells of what is late, reports it upwards, asks for yearly reports.

Promises: each is told once for one end of a clock, however often and by however many processes it is looked at; who is
told of a late case may read it and write to it, and nothing else; how many were reported upwards is told to everybody.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any, Final

from lienthong.cases import queries
from lienthong.cases.kinds import escalations_on
from lienthong.cases.models import Case, Event
from lienthong.cases.notices.announcing import escalate, remind
from lienthong.cases.opening import Clocks, Wish, open_case
from lienthong.law.calendar import ZONE, last_day
from lienthong.storage.pool import Pool, reading

SOON_WORKING_DAYS: Final = 2
LOOK_AHEAD: Final = timedelta(days=14)
"""Longer than two working days ever take."""
REPORT: Final = "report-reminder"
REPORT_RULE: Final = "strategy-report-before"
REPORT_AHEAD: Final = timedelta(days=30)


async def mind_clocks(pool: Pool, now: datetime, clocks: Clocks | None = None) -> int:
    """Tell whatever has to be told of running cases at ``now``; how many cases were reported upwards."""
    clocks = clocks or Clocks()
    async with reading(pool) as db:
        running = await queries.cases_due_before(db, now + LOOK_AHEAD)
    reported = 0
    for case in running:
        async with reading(pool) as db:
            reported += await _mind(db, case, now, clocks)
    return reported


async def ask_for_reports(
    pool: Pool, members: Sequence[str], day: date, now: datetime, clocks: Clocks | None = None
) -> int:
    """Open a reminder at each of ``members`` for the report due at the end of this year; how many were new.

    Source of the day: QĐ 142/QĐ-TTg (R-94), as the dated rule ``strategy-report-before``.
    """
    clocks = clocks or Clocks()
    due = clocks.rules.rule(REPORT_RULE, day)
    last = _report_day(str(due.value), day)
    if last is None or not last - REPORT_AHEAD <= day <= last:
        return 0
    opened = 0
    for member in members:
        async with reading(pool) as db:
            if await queries.case_by_once(db, f"/{REPORT}/{member}/{last:%Y}") is None:
                wish = Wish(REPORT, member, f"Báo cáo năm {last:%Y}", f"{due.legal_basis}", facts={"year": last.year})
                await open_case(db, wish, by=None, now=now, once=f"{REPORT}/{member}/{last:%Y}")
                opened += 1
    return opened


async def _mind(db: Any, case: Case, now: datetime, clocks: Clocks) -> int:  # Any: passed on
    ends = [case.due, None if case.answered_at else case.answer_due]
    today = now.astimezone(ZONE).date()
    for name, end in zip(("due", "answer"), ends, strict=True):
        if end is None:
            continue
        mark = f"{name}/{last_day(end).isoformat()}"
        if end <= now:
            await remind(db, case, "overdue", mark, now)
        elif clocks.calendar.between(today, last_day(end)) <= SOON_WORKING_DAYS:
            await remind(db, case, "due-soon", mark, now)
    late_since = min((end for end in ends if end is not None and end <= now), default=None)
    if late_since is None:
        return 0
    late = clocks.calendar.between(last_day(late_since), today)
    steps = [each for each in escalations_on(case.opened_on) if case.escalated < each.step and late >= each.after]
    for each in sorted(steps, key=lambda step: step.step):
        became = replace(case, escalated=each.step, version=case.version + 1)
        if not await queries.update_case(db, became, case.version):
            return 0  # somebody did something meanwhile: the next round looks again
        event = Event(became.version, now, None, None, "escalated", case.state, "", "", each.legal_basis)
        await queries.insert_event(db, case.id, event)
        await escalate(db, became, event, each)
        case = became
    return int(bool(steps))


def _report_day(written: str, day: date) -> date | None:
    """The last day in time of this year, for a rule that names the day before which the report is due (MM-DD)."""
    try:
        return date.fromisoformat(f"{day.year}-{written[-5:]}") - timedelta(days=1)
    except ValueError:
        return None
