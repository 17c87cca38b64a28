"""A day's anonymous uses of open data become one record for each service and way: how many, never whose."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from lienthong.access.gate import OPEN_GROUND
from lienthong.access.models import Record
from lienthong.access.write import RecordWriter
from lienthong.directory.models import member_of
from lienthong.node.queries import OpenDay, mark_open_day, open_days
from lienthong.storage.pool import Pool

ANONYMOUS: Final = "-"
"""Consumer in these records."""


async def record_open_days(pool: Pool, writer: RecordWriter, node: str, now: datetime) -> int:
    """Write the records of the days that have ended; how many.

    A record whose mark was lost in a crash is written again, with the same exchange id.
    """
    async with pool.connection() as db:
        days = await open_days(db, now.astimezone(UTC).date())
    for day in days:
        await writer.append(_record_of(day, node, now))
        async with pool.connection() as db:
            await mark_open_day(db, day)
    return len(days)


def _record_of(day: OpenDay, node: str, now: datetime) -> Record:
    return Record(
        side="provider",
        exchange_id=f"open/{day.day.isoformat()}/{day.way}/{day.service}",
        at=now,
        node=node,
        consumer=ANONYMOUS,
        provider=member_of(day.service),
        resource=day.service,
        way=day.way,
        purpose=None,
        ground=OPEN_GROUND,
        agreement=None,
        decision_digest=None,
        outcome="permitted",
        reason=f"anonymous;day={day.day.isoformat()};uses={day.uses}",
        bytes=day.bytes,
    )
