"""Working days of Việt Nam and when a legal time ends."""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path

import pytest

from lienthong.law.calendar import ZONE, CalendarUnknown, WorkCalendar, last_day, read_years, shipped_calendar
from lienthong.law.rules import RulesInvalid, rule

MONDAY_MORNING = datetime(2026, 11, 23, 8, 0, tzinfo=ZONE)


def test_r38_new_year_of_the_lunar_calendar_is_not_counted():
    assert shipped_calendar().after(date(2026, 2, 13), 1) == date(2026, 2, 23)
    assert shipped_calendar().between(date(2026, 2, 13), date(2026, 2, 23)) == 1


def test_r38_an_exchanged_saturday_is_a_working_day_and_its_monday_is_none():
    calendar = shipped_calendar()

    assert calendar.works(date(2026, 8, 22))
    assert not calendar.works(date(2026, 8, 31))
    assert calendar.after(date(2026, 8, 28), 1) == date(2026, 9, 3)


def test_r38_an_own_file_wins_for_the_year_it_names(tmp_path: Path):
    own = tmp_path / "own.toml"
    own.write_text(
        '[[year]]\nyear = 2026\noff = [2026-11-25]\nworked = []\nlegal_basis = "TB"\nannounced = true\n', "utf-8"
    )
    calendar = WorkCalendar(read_years(own), read_years(own))

    assert calendar.after(date(2026, 11, 24), 1) == date(2026, 11, 26)


def test_a_year_nobody_knows_is_said_and_not_guessed():
    with pytest.raises(CalendarUnknown) as refused:
        shipped_calendar().works(date(2099, 1, 2))

    assert refused.value.kind == "calendar-unknown"
    assert refused.value.facts["year"] == "2099"


@pytest.mark.parametrize("text", ["", "year = 1", "[[year]]\nyear = 2026\noff = [2025-01-01]\nworked = []\n"])
def test_a_file_that_is_no_calendar_is_refused(tmp_path: Path, text: str):
    file = tmp_path / "own.toml"
    file.write_text(text, "utf-8")

    with pytest.raises(RulesInvalid):
        read_years(file)


def test_r37_two_working_days_end_with_the_second_day_after_the_one_of_receipt():
    due = shipped_calendar().due(MONDAY_MORNING, rule("account-answer", MONDAY_MORNING.date()))

    # The 24th of November is a day off since 2026.
    assert last_day(due) == date(2026, 11, 26)
    assert due == datetime(2026, 11, 27, tzinfo=ZONE)


def test_a_time_in_days_that_ends_on_a_day_off_ends_with_the_next_working_day():
    saturday = datetime(2026, 12, 2, 9, 0, tzinfo=ZONE) + timedelta(days=10)
    due = shipped_calendar().due(saturday - timedelta(days=10), rule("rights-view", date(2026, 12, 2)))

    assert saturday.weekday() == 5
    assert last_day(due) == date(2026, 12, 14)


def test_hours_run_from_the_moment_over_days_off_too():
    due = shipped_calendar().due(MONDAY_MORNING, rule("breach-notice", MONDAY_MORNING.date()))

    assert due - MONDAY_MORNING == timedelta(hours=72)


@pytest.mark.parametrize("unit", ["hours", "days", "working days"])
def test_a_time_that_stood_still_for_no_time_ends_as_before(unit: str):
    calendar = shipped_calendar()
    due = datetime(2026, 12, 5, tzinfo=ZONE)

    assert calendar.resumed(MONDAY_MORNING, calendar.left(MONDAY_MORNING, due, unit), unit) == due


def test_what_no_clock_can_run_is_refused():
    with pytest.raises(RulesInvalid):
        shipped_calendar().due(MONDAY_MORNING, rule("open-list-review", MONDAY_MORNING.date()))
