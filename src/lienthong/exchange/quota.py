"""Quotas of agreements, leased: a gateway takes some uses of the day at once and counts them off in memory.

Promises: all gateways of a node together never let through more than the quota; what a gateway does not use goes back
within seconds.  Each side of an agreement counts for itself.  Days are Vietnam's.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta, timezone
from typing import ClassVar, Final

from lienthong.access.gate import Gate, Quota, QuotaUsedUp
from lienthong.access.models import RecordSide, Use
from lienthong.agreements.policy import Decision
from lienthong.errors import Problem, Side
from lienthong.exchange.answer import Headers
from lienthong.exchange.queries import give_back_uses, take_uses
from lienthong.i18n import T
from lienthong.storage.pool import PATIENCE_S, DatabaseFailed, Pool

VIETNAM: Final = timezone(timedelta(hours=7))
DAY_S: Final = 86_400
PART: Final = 50
"""A lease is this part of the quota, within bounds: small quotas are counted one by one."""
MOST_LEASED: Final = 200
IDLE_S: Final = 2.0
"""A lease unused for so long goes back."""
LOOK_AGAIN_S: Final = 1.0
"""A quota found used up is asked about again after this time: another gateway may have given some back."""
NO_MORE: Final = 2**62
"""More uses than any quota allows."""


class QuotaUnknown(Problem):
    """The database that counts the uses of a limited agreement does not answer."""

    kind: ClassVar[str] = "quota-unknown"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The uses of the agreement can not be counted now")


@dataclass(slots=True)
class _Lease:
    """Uses of one agreement's day that this gateway may still let through."""

    left: int = 0
    taken: int = 0
    """Taken by all gateways, as last heard."""
    used_at: float = 0.0
    filling: asyncio.Lock = field(default_factory=asyncio.Lock)


Key = tuple[RecordSide, str, date]


class Leases:
    """The leases of one process; ``quota`` is the one of its gates, which it tells what is used up."""

    def __init__(self, pool: Pool, quota: Quota, clock: Callable[[], float] = time.monotonic) -> None:
        self._pool = pool
        self._quota = quota
        self._clock = clock
        self._leases: dict[Key, _Lease] = {}
        self._used_up: dict[str, float] = {}

    async def admit(
        self,
        gate: Gate,
        side: RecordSide,
        use: Use,
        *,
        fields: frozenset[str] | None = None,
        default_purpose: str | None = None,
    ) -> Decision:
        """The gate's permit for ``use``, counted.  Raises a Refused (QuotaUsedUp says when to come again)."""
        while True:
            self._look_again()
            try:
                decision = gate.consider(use, fields=fields, default_purpose=default_purpose)
            except QuotaUsedUp as refused:
                refused.facts["retry_after_s"] = seconds_left(use.at)
                raise
            if decision.quota is None or await self.take(side, decision, use.at):
                return decision

    async def take(self, side: RecordSide, decision: Decision, at: datetime) -> bool:
        """Count one use off; False when the quota turned out to be used up."""
        agreement, quota = str(decision.agreement_id), decision.quota or 0
        lease = self._leases.setdefault((side, agreement, day_of(at)), _Lease())
        if lease.left == 0:
            async with lease.filling:
                if lease.left == 0:
                    await self._fill(lease, side, agreement, day_of(at), quota)
                if lease.left == 0:
                    self._quota.today(agreement, at)
                    self._quota.used[agreement] = NO_MORE
                    self._used_up[agreement] = self._clock()
                    return False
        lease.left -= 1
        lease.used_at = self._clock()
        return True

    async def _fill(self, lease: _Lease, side: RecordSide, agreement: str, day: date, quota: int) -> None:
        wanted = max(1, min(MOST_LEASED, quota // PART))
        try:
            async with self._pool.connection(timeout=PATIENCE_S) as db:
                lease.left, lease.taken = await take_uses(db, side, agreement, day, wanted=wanted, quota=quota)
        except (DatabaseFailed, OSError) as away:
            raise QuotaUnknown(
                T("The uses of {agreement} are counted in the node's database, which does not answer."),
                mend=T("Try again in a moment."),
                agreement=agreement,
                retry_after_s=5,
            ) from away

    def _look_again(self) -> None:
        """Forget that a quota was used up once that may have changed."""
        if self._used_up:
            now = self._clock()
            for agreement in [name for name, since in self._used_up.items() if now - since >= LOOK_AGAIN_S]:
                del self._used_up[agreement]
                self._quota.used.pop(agreement, None)

    def told(self, side: RecordSide, decision: Decision, at: datetime) -> Headers:
        """The fields that tell a caller what is left (draft-ietf-httpapi-ratelimit-headers), none without a quota."""
        if decision.quota is None:
            return []
        lease = self._leases.get((side, str(decision.agreement_id), day_of(at)), _Lease())
        left = max(0, decision.quota - lease.taken) + lease.left
        return [
            (b"ratelimit-policy", b'"day";q=%d;w=%d' % (decision.quota, DAY_S)),
            (b"ratelimit", b'"day";r=%d;t=%d' % (left, seconds_left(at))),
        ]

    async def tidy(self, *, everything: bool = False) -> None:
        """Give back what was not used for a while, or all of it when the process ends; to be called every second."""
        now, today = self._clock(), day_of(datetime.now(UTC))
        for key, lease in list(self._leases.items()):
            if lease.filling.locked() or not (everything or now - lease.used_at >= IDLE_S):
                continue
            count, lease.left = lease.left, 0
            if key[2] != today or everything:
                del self._leases[key]
            if count:
                async with self._pool.connection(timeout=PATIENCE_S) as db:
                    await give_back_uses(db, *key, count)


def day_of(at: datetime) -> date:
    """Vietnam's day at a moment."""
    return at.astimezone(VIETNAM).date()


def seconds_left(at: datetime) -> int:
    """Whole seconds from ``at`` to the next day, at least one."""
    local = at.astimezone(VIETNAM)
    next_day = datetime.combine(local.date() + timedelta(days=1), datetime.min.time(), VIETNAM)
    return max(1, int((next_day - local).total_seconds()))
