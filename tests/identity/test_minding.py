"""Clocks are minded: what ends soon and what is late is told once; what stays late goes upwards, and is counted."""

from __future__ import annotations

from datetime import date, datetime, timedelta

import pytest

from lienthong.cases import queries
from lienthong.cases.kinds import escalations_on
from lienthong.cases.minding import ask_for_reports, mind_clocks
from lienthong.cases.moving import move
from lienthong.cases.opening import Clocks
from lienthong.cases.reading import NoSuchCase, case_for
from lienthong.identity.models import Role
from lienthong.law.calendar import ZONE
from lienthong.storage.pool import Pool, open_pool, reading
from lienthong.storage.provision import DatabaseDsns
from tests.cases.build import NOW, OTHER, OWNER, a_case, by
from tests.identity.build import a_person, acting


async def told(pool: Pool, person: str) -> list[str]:
    async with reading(pool) as db:
        found = await db.execute("SELECT act FROM notice WHERE person = %s AND way = 'page' ORDER BY id", (person,))
        return [row[0] for row in await found.fetchall()]


def working_days(start: datetime, days: int) -> datetime:
    return datetime.combine(Clocks().calendar.after(start.astimezone(ZONE).date(), days), start.timetz())


async def test_a_case_is_reminded_of_told_late_and_reported_upwards_once_each(emptied: DatabaseDsns):
    pool = await open_pool(emptied.app, max_size=3)
    try:
        async with reading(pool) as db:
            officer, operator, coordinator, stranger = [
                await a_person(db, login, role, member=member)
                for login, role, member in (
                    ("hoa", Role.DATA_OFFICER, OWNER),
                    ("van", Role.OPERATOR, OWNER),
                    ("trung", Role.COORDINATOR, "VN/GOV/G01"),
                    ("la", Role.OPERATOR, OTHER),
                )
            ]
            case = await a_case(db, "feedback", by=None)
            ended = await a_case(db, "feedback", by=None)
            await move(db, by(None, ended), "settled", NOW)
        assert case.due
        last = case.due - timedelta(hours=12)

        await mind_clocks(pool, NOW)
        assert await told(pool, officer.id) == ["opened", "opened", "moved"], "nothing is due yet"
        for _ in range(2):
            await mind_clocks(pool, last)
        assert (await told(pool, officer.id))[3:] == ["due-soon"]
        for _ in range(2):
            assert await mind_clocks(pool, case.due) == 0
        assert (await told(pool, officer.id))[4:] == ["overdue"]
        assert await told(pool, operator.id) == []
        with pytest.raises(NoSuchCase):
            async with reading(pool) as db:
                await case_for(db, case.id, acting(operator))

        assert await mind_clocks(pool, working_days(last, 2)) == 1
        assert await mind_clocks(pool, working_days(last, 3)) == 0, "told once"
        assert await told(pool, operator.id) == ["escalated"]
        assert await told(pool, coordinator.id) == []
        assert await mind_clocks(pool, working_days(last, 5)) == 1
        assert await told(pool, coordinator.id) == ["escalated"]
        assert await told(pool, stranger.id) == []
        async with reading(pool) as db:
            for person in (operator, coordinator):
                seen = await case_for(db, case.id, acting(person))
            assert (seen.escalated, seen.version) == (2, 3)
            with pytest.raises(NoSuchCase):
                await case_for(db, case.id, acting(stranger))
            history = await queries.events_of(db, case.id)
            assert [each.act for each in history] == ["opened", "escalated", "escalated"]
            assert "mặc định" in history[1].provision
            (count,) = await queries.counts(db)
            assert (count.running, count.escalated, count.ended) == (1, 1, 1)
            await move(db, by(None, seen), "settled", NOW)
            with pytest.raises(NoSuchCase):
                await case_for(db, case.id, acting(operator))
            assert (await queries.counts(db))[0].escalated == 0
    finally:
        await pool.close()


async def test_a_late_case_goes_all_steps_at_once_and_a_paused_one_none(emptied: DatabaseDsns):
    pool = await open_pool(emptied.app, max_size=3)
    try:
        async with reading(pool) as db:
            case = await a_case(db, "feedback", by=None)
            await db.execute("UPDATE case_file SET paused_at = now() WHERE id = %s", (case.id,))
        assert await mind_clocks(pool, NOW + timedelta(days=60)) == 0
        async with reading(pool) as db:
            await db.execute("UPDATE case_file SET paused_at = NULL WHERE id = %s", (case.id,))
        assert await mind_clocks(pool, NOW + timedelta(days=60)) == 1
        async with reading(pool) as db:
            assert (await case_for(db, case.id, None)).escalated == len(escalations_on(NOW.date())) == 2
    finally:
        await pool.close()


async def test_members_are_reminded_of_the_yearly_report_once_in_december(emptied: DatabaseDsns):
    pool = await open_pool(emptied.app, max_size=3)
    try:
        assert await ask_for_reports(pool, [OWNER, OTHER], date(2026, 11, 1), NOW) == 0
        assert await ask_for_reports(pool, [OWNER, OTHER], date(2026, 12, 31), NOW) == 0, "before the 31st, not on it"
        assert await ask_for_reports(pool, [OWNER, OTHER], date(2026, 12, 1), NOW) == 2
        assert await ask_for_reports(pool, [OWNER, OTHER], date(2026, 12, 2), NOW) == 0
        async with reading(pool) as db:
            (case,) = await queries.cases_of_owner(db, OWNER, ended=False, before=None, most=5)
        assert (case.kind, case.title) == ("report-reminder", "Báo cáo năm 2026")
    finally:
        await pool.close()
