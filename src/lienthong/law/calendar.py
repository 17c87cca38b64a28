"""Working days of bodies of the State, and when a legal time ends (R-38).

Days off are data by year (``holidays.toml``), with the exchange of days the Government announces; an own file wins for
the years it names.  All days are days in Việt Nam, UTC+7.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta, timezone
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.law.rules import Rule, RulesInvalid

ZONE: Final = timezone(timedelta(hours=7))
SATURDAY: Final = 5
_SHIPPED: Final = Path(__file__).with_name("holidays.toml")


class CalendarUnknown(Problem):
    """The days off of a year are not known, so no working day of it can be counted."""

    kind: ClassVar[str] = "calendar-unknown"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The holidays of the year are not known")


@dataclass(frozen=True, slots=True)
class Year:
    """One year's exceptions to Monday to Friday; ``announced``: with the announced exchange of days, else computed."""

    year: int
    off: frozenset[date]
    worked: frozenset[date]
    legal_basis: str
    announced: bool


class WorkCalendar:
    """Which days are worked."""

    def __init__(self, shipped: Mapping[int, Year], own: Mapping[int, Year] | None = None) -> None:
        self._years = {**shipped, **(own or {})}

    def year(self, number: int) -> Year:
        """The exceptions of a year; raises CalendarUnknown."""
        found = self._years.get(number)
        if found is None:
            raise CalendarUnknown(
                T("The days off of {year} are not known to this node."),
                mend=T("Upgrade to a release that knows the year."),
                year=str(number),
            )
        return found

    def works(self, day: date) -> bool:
        """Whether ``day`` is a working day."""
        known = self.year(day.year)
        return day in known.worked or (day.weekday() < SATURDAY and day not in known.off)

    def after(self, day: date, working_days: int) -> date:
        """The day that is ``working_days`` working days after ``day``, which itself is not counted.

        Nought gives ``day`` itself when it is worked, else the next that is.  Source: Bộ luật Dân sự 91/2015/QH13,
        Đ147 k2 (the first day is not counted) and Đ148 k5.
        """
        left = working_days
        if left == 0 and not self.works(day):
            left = 1
        while left:
            day += timedelta(days=1)
            left -= self.works(day)
        return day

    def between(self, first: date, last: date) -> int:
        """How many working days lie after ``first`` up to ``last``, both given as days."""
        return sum(self.works(first + timedelta(days=n)) for n in range(1, (last - first).days + 1))

    def due(self, start: datetime, rule: Rule) -> datetime:
        """When a time that begins at ``start`` ends: the first instant that is too late.

        Hours run from the moment (BLDS Đ147 k1); days from the next day to the end of the last, which, when nobody
        works then, is that of the next working day (Đ148 k5).  Raises RulesInvalid for other units.
        """
        if rule.unit == "hours":
            return start + timedelta(hours=rule.whole())
        first = start.astimezone(ZONE).date()
        if rule.unit == "working days":
            return _end_of(self.after(first, rule.whole()))
        if rule.unit == "days":
            return _end_of(self.after(first + timedelta(days=rule.whole()), 0))
        raise RulesInvalid(T("The value of {name} is not a time that a clock can run."), name=rule.name)

    def left(self, now: datetime, due: datetime, unit: str) -> int:
        """What a pause keeps: how much is left at ``now``, in days, working days or, for hours, in seconds."""
        if unit == "hours":
            return max(0, int((due - now).total_seconds()))
        today, last = now.astimezone(ZONE).date(), last_day(due)
        return self.between(today, last) if unit == "working days" else max(0, (last - today).days)

    def resumed(self, now: datetime, left: int, unit: str) -> datetime:
        """When a time of which ``left`` was left ends when it goes on at ``now``."""
        if unit == "hours":
            return now + timedelta(seconds=left)
        today = now.astimezone(ZONE).date()
        if unit == "working days":
            return _end_of(self.after(today, left))
        return _end_of(self.after(today + timedelta(days=left), 0))


def last_day(due: datetime) -> date:
    """The last day that is still in time."""
    return (due - timedelta(microseconds=1)).astimezone(ZONE).date()


def _end_of(day: date) -> datetime:
    return datetime.combine(day + timedelta(days=1), time(), ZONE)


@cache
def shipped_calendar() -> WorkCalendar:
    """The days off the program ships."""
    return WorkCalendar(read_years(_SHIPPED))


def read_years(path: Path) -> dict[int, Year]:
    """Years of a file; RulesInvalid names the file when it can not be read as one."""
    try:
        listed: list[Any] = tomllib.loads(path.read_text("utf-8"))["year"]  # Any: checked field by field below
        return {each["year"]: _year(each) for each in listed}
    except (OSError, ValueError, KeyError, TypeError) as wrong:
        raise RulesInvalid(T("{file} can not be read: {why}"), file=path.name, why=str(wrong)) from wrong


def _year(entry: Any) -> Year:  # Any: what TOML gave
    number, off, worked = entry["year"], frozenset[date](entry["off"]), frozenset[date](entry["worked"])
    if type(number) is not int or not all(type(day) is date and day.year == number for day in off | worked):
        raise ValueError(f"a day outside the year {number}")
    return Year(number, off, worked, str(entry["legal_basis"]), entry["announced"] is True)
