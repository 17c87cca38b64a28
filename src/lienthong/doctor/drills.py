"""Whether the node's restore was rehearsed within the interval that the dated rule asks for (R-49)."""

from __future__ import annotations

import calendar
from datetime import datetime

from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.i18n import T
from lienthong.law.calendar import ZONE
from lienthong.node.missing import rules_of
from lienthong.node.rehearsed import first_start, last_failed, last_passed

RULE = "restore-drill"


async def drills(patient: Patient) -> list[Fault]:
    """A newest drill that failed; none passed within the interval, which begins at the first start at the latest."""
    faults: list[Fault] = []
    failed = last_failed(patient.settings)
    if failed is not None:
        faults.append(
            Fault(
                "restore-drill-failed",
                T("The restore drill of {day} failed: a restore from today's backup may not work."),
                T("lienthong drill restore tells what failed; its result lies in {folder}."),
                {"day": _day(failed), "folder": str(patient.settings.data / "drills")},
                grave=False,
            )
        )
    passed = last_passed(patient.settings)
    since = passed or first_start(patient.settings)
    asked = rules_of(patient.settings.data).rule(RULE, patient.now.astimezone(ZONE).date())
    if since is not None and _months_after(since, asked.whole()) < patient.now:
        faults.append(
            Fault(
                "restore-drill-old",
                T("No restore drill was passed since {day}; one every {months} months is asked for ({basis})."),
                T("Run: lienthong drill restore"),
                {"day": _day(since), "months": asked.whole(), "basis": asked.legal_basis},
                grave=False,
            )
        )
    return faults


def _day(moment: datetime) -> str:
    return moment.astimezone(ZONE).strftime("%d/%m/%Y")


def _months_after(moment: datetime, months: int) -> datetime:
    """The same day ``months`` later, or the last of that month."""
    year, month = divmod(moment.year * 12 + moment.month - 1 + months, 12)
    return moment.replace(year=year, month=month + 1, day=min(moment.day, calendar.monthrange(year, month + 1)[1]))
