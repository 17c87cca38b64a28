"""A helper that is missing flags the records of that time and stops no use, unless a dated rule says after how long."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import httpx
import pytest
from psycopg import AsyncConnection
from starlette.applications import Starlette

from lienthong.access.gaps import Gap, HelperMissing, flags, stopped_by
from lienthong.access.http import log_routes
from lienthong.access.queries import open_gaps
from lienthong.access.recovery import RecoveryWatch
from lienthong.law.rules import Rule, RuleBook, read_rule_book, shipped_rules
from lienthong.node.missing import note_helper, rules_of
from lienthong.storage.pool import open_pool
from lienthong.storage.provision import DatabaseDsns
from tests.access.test_log import Log, a_record

NOW = datetime(2026, 11, 22, 8, 0, tzinfo=UTC)
"""The time of every record that ``a_record`` makes."""
AFTER_6_HOURS = Rule(
    "witnesses-missing-stops", 6, "hours", "Dừng khi thiếu bên làm chứng", "Stop without witnesses",
    "Quy chế vận hành, Đ9", date(2026, 1, 1), date(2026, 12, 31), verified=False,
)  # fmt: skip


@pytest.fixture
async def log(database: DatabaseDsns, tmp_path: Path):
    log = Log(database, tmp_path / "log")
    yield log
    await log.commit.close()


async def note(log: Log, at: datetime, book: RuleBook, *, missing: bool = True) -> list[Gap]:
    async with await AsyncConnection.connect(log.dsns.app) as db:
        await note_helper(db, "witnesses", missing=missing, now=at, book=book)
        await db.commit()
        return await open_gaps(db)


async def test_a_record_of_the_time_carries_the_flag_in_its_receipt_and_in_the_list_of_uses(log: Log):
    named = await log.writer.append(a_record(1))
    while not await log.sequence():
        pass
    pool = await open_pool(log.dsns.app, min_size=1, max_size=2)
    app = Starlette(routes=log_routes(pool, log.files, log.receipts))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://node") as client:
        assert (await client.get(f"/log/receipt/{named.hex()}")).json()["flags"] == []
        await note(log, NOW - timedelta(minutes=5), shipped_rules())
        assert (await client.get(f"/log/receipt/{named.hex()}")).json()["flags"] == ["witnesses-missing"]
        assert (await client.get("/v1/uses")).json()["uses"][0]["flags"] == ["witnesses-missing"]
        await note(log, NOW - timedelta(minutes=1), shipped_rules(), missing=False)
        assert (await client.get("/v1/uses")).json()["uses"][0]["flags"] == []
    await pool.close()


def test_a_gap_begins_with_its_first_moment_and_ends_before_its_last():
    gap = Gap("directory", NOW, NOW + timedelta(hours=1), None)
    assert flags([gap, gap], NOW) == ["directory-missing"]
    assert flags([gap], NOW + timedelta(hours=1)) == []


async def test_a_gap_that_goes_on_is_one_gap(log: Log):
    await note(log, NOW, shipped_rules())
    (gap,) = await note(log, NOW + timedelta(hours=1), shipped_rules())
    assert (gap.since, gap.basis) == (NOW, None)


def test_nothing_that_the_program_ships_stops_a_use_for_want_of_a_helper():
    assert stopped_by("witnesses", NOW - timedelta(days=3650), NOW, shipped_rules()) is None


def test_a_rule_stops_uses_after_its_hours_and_only_on_its_days():
    book = RuleBook([AFTER_6_HOURS])
    assert stopped_by("witnesses", NOW - timedelta(hours=6), NOW, book) == AFTER_6_HOURS.legal_basis
    assert stopped_by("witnesses", NOW - timedelta(hours=5, minutes=59), NOW, book) is None
    assert stopped_by("timestamps", NOW - timedelta(hours=9), NOW, book) is None
    later = datetime(2027, 1, 1, 8, tzinfo=UTC)
    assert stopped_by("witnesses", later - timedelta(hours=9), later, book) is None


async def test_while_a_rule_stops_uses_nothing_is_recorded_and_afterwards_it_is(log: Log):
    watch = RecoveryWatch(log.dsns.app)
    await watch.start()
    try:
        await note(log, NOW, shipped_rules())
        await note(log, NOW + timedelta(hours=7), RuleBook([AFTER_6_HOURS]))
        async with asyncio.timeout(60):
            await watch.changed.wait()
        with pytest.raises(HelperMissing) as refused:
            watch.refuse()
        assert refused.value.kind == "helper-missing"
        assert refused.value.facts["basis"] == AFTER_6_HOURS.legal_basis
        watch.changed.clear()
        await note(log, NOW + timedelta(hours=8), RuleBook([AFTER_6_HOURS]), missing=False)
        async with asyncio.timeout(60):
            await watch.changed.wait()
        watch.refuse()
    finally:
        await watch.stop()


def test_the_operators_own_rule_lies_in_the_data_folder(tmp_path: Path):
    assert rules_of(tmp_path).names() == read_rule_book().names()
    (tmp_path / "rules.toml").write_text(
        """
[[rule]]
name = "timestamps-missing-stops"
value = 24
unit = "hours"
vi = "Dừng khi thiếu dấu thời gian"
en = "Stop without timestamps"
legal_basis = "Quy chế vận hành, Đ10"
valid_from = 2026-01-01
verified = false
""",
        "utf-8",
    )
    assert stopped_by("timestamps", NOW - timedelta(hours=25), NOW, rules_of(tmp_path)) == "Quy chế vận hành, Đ10"
