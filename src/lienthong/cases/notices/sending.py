"""Carries what waits in the outbox, one notice at a time, and tries again what was not taken.

Promises: a notice is marked as sent only after whoever takes it has taken it; two processes never carry the same one at
once; only where the process dies between the two may one be carried again, under the same Message-ID or event id.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from lienthong.cases.kinds import kind_on
from lienthong.cases.notices import queries
from lienthong.cases.notices.models import CONFIRM, NotCarried, Notice, Told, Wishes
from lienthong.cases.queries import case_by_id
from lienthong.law.calendar import last_day
from lienthong.storage.pool import Pool, reading

log = structlog.get_logger("lienthong.notices")
Carry = Callable[[Told], Awaitable[None]]
"""Hands one notice over; raises NotCarried."""
LEASE: Final = timedelta(minutes=5)
"""How long a notice that was taken is left to its carrier: longer than any try takes."""
PAUSES: Final = tuple(
    timedelta(minutes=minutes) for minutes in (1, 5, 30, 120, 360, 720, 1440)
)  # fmt: skip
"""After each try; after the last it is given up: some two days in all."""


@dataclass(slots=True)
class Sending:
    """The outbox of one node, and who carries what."""

    pool: Pool
    carriers: Mapping[str, Carry]
    """Way to its carrier."""
    now: Callable[[], datetime] = lambda: datetime.now(UTC)
    pauses: tuple[timedelta, ...] = field(default=PAUSES)

    async def send_all(self) -> int:
        """Carry everything that is due; how many were looked at."""
        count = 0
        while await self.send_next():
            count += 1
        return count

    async def send_next(self) -> bool:
        """Carry one notice; False when none is due."""
        async with reading(self.pool) as db:
            notice = await queries.take_notice(db, self.now(), LEASE)
        if notice is None:
            return False
        async with reading(self.pool) as db:
            told = await _told(db, notice)
            if told is None:
                await queries.notice_dropped(db, notice.id, self.now())
                return True
        try:
            carry = self.carriers.get(notice.way)
            if carry is None:
                raise NotCarried(f"no-{notice.way}-set-up")
            await carry(told)
        except NotCarried as failed:
            await self._failed(notice, failed)
            return True
        async with reading(self.pool) as db:
            await queries.notice_carried(db, notice.id, self.now())
        log.info("notice.sent", notice=notice.id, way=notice.way, act=notice.act, tries=notice.tries)
        return True

    async def _failed(self, notice: Notice, failed: NotCarried) -> None:
        over = failed.for_good or notice.tries > len(self.pauses)
        next_at = None if over else self.now() + self.pauses[notice.tries - 1]
        async with reading(self.pool) as db:
            await queries.notice_failed(db, notice.id, failed.word, next_at, self.now())
        log.warning("notice.failed", notice=notice.id, way=notice.way, word=failed.word, tries=notice.tries, over=over)


async def _told(db: queries.Connection, notice: Notice) -> Told | None:
    """What the notice says now; None: the person wishes it no more."""
    wishes = await queries.wishes_of(db, notice.person)
    if wishes is None or not _wished(notice, wishes):
        return None
    if notice.case is None:
        return Told(notice, "", "", "", None, wishes)
    case = await case_by_id(db, notice.case)
    if case is None:
        return None
    kind = kind_on(case.kind, case.opened_on)
    due = last_day(case.due) if case.due and case.ended_at is None and case.paused_at is None else None
    return Told(notice, kind.title_vi, kind.title_en, case.state, due, wishes)


def _wished(notice: Notice, wishes: Wishes) -> bool:
    if notice.act == CONFIRM:
        return bool(wishes.mail) and not wishes.mail_confirmed
    if notice.way == "mail":
        return wishes.by_mail and wishes.mail_confirmed
    return wishes.by_webhook and bool(wishes.webhook)
