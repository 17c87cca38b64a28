"""What the page on both sides' records shows, from this node's counts and the directory's names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from lienthong.access.reconcile import queries
from lienthong.access.reconcile.http import SHOWN_DAYS
from lienthong.access.reconcile.models import DayShare
from lienthong.directory.document import Snapshot
from lienthong.node.local import Local, NoDirectory
from lienthong.portal.models import Name
from lienthong.portal.reconciliation import PairLine, ReconciliationPage
from lienthong.storage.pool import reading


@dataclass(frozen=True, slots=True)
class Pairs:
    """Answers the page's one question."""

    local: Local

    async def page(self) -> ReconciliationPage:
        """What the page shows now."""
        settings = self.local.settings
        async with reading(self.local.pool) as db:
            days = await queries.day_shares(db, SHOWN_DAYS)
            observed = await queries.observed_shares(db, SHOWN_DAYS) if settings.national else None
        try:
            snapshot = self.local.directory.snapshot()
        except NoDirectory:
            snapshot = None
        node = snapshot.node(settings.node) if snapshot else None
        return ReconciliationPage(
            at=datetime.now(UTC),
            node=_name(snapshot, node.operator if node else settings.node),
            synthetic=settings.synthetic,
            days=_lines(days, snapshot),
            observed=None if observed is None else _lines(observed, snapshot),
        )


def _lines(shares: Sequence[DayShare], snapshot: Snapshot | None) -> tuple[PairLine, ...]:
    return tuple(
        PairLine(
            day=share.day,
            own=_name(snapshot, share.own),
            peer=_name(snapshot, share.peer),
            expected=share.expected,
            matched=share.matched,
            waiting=share.waiting,
            missing=share.missing,
            differs=share.differs,
        )
        for share in shares
    )


def _name(snapshot: Snapshot | None, member: str) -> Name:
    known = snapshot.member(member) if snapshot else None
    return Name(known.name_vi, known.name_en) if known else Name(member, member)
