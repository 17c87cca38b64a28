"""What one node tells about itself, whether read from its own database or from what it publishes.

Frozen values only; the pages of this node are made from the facts of all nodes it knows.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lienthong.access.queries import Entry
from lienthong.agreements.models import Agreement
from lienthong.catalog.models import Service
from lienthong.portal.models import Health

Count = tuple[str, str, str, int]
"""Side, way, outcome, number of records."""


@dataclass(frozen=True, slots=True)
class SignedAgreement:
    """An agreement with both sides' detached JWS."""

    agreement: Agreement
    provider_jws: str
    consumer_jws: str | None
    """None for an agreement by rule."""
    ended_at: datetime | None = None
    """When a notice ended or ends it."""
    accepted: bool = False
    """By rule: whether somebody's first use has accepted it."""

    @property
    def starts(self) -> datetime:
        """When the first of its permissions begins."""
        return min(permission.starts for permission in self.agreement.terms.permissions)

    @property
    def ends(self) -> datetime | None:
        """First moment at which nothing is permitted any more; None while open."""
        ends = [permission.ends for permission in self.agreement.terms.permissions]
        latest = None if None in ends else max(end for end in ends if end is not None)
        return min((end for end in (latest, self.ended_at) if end is not None), default=None)

    def in_force(self, now: datetime) -> bool:
        """Whether any of its permissions holds at ``now``."""
        return self.starts <= now and not self.over(now)

    def over(self, now: datetime) -> bool:
        """Whether it has ended, by its own terms or by a notice."""
        return self.ends is not None and self.ends <= now


@dataclass(frozen=True, slots=True)
class NodeFacts:
    """One node as it was last seen."""

    node: str
    base: str
    """What comes before a path of this node's public listener: empty for our own node, its public address else."""
    health: Health
    log_size: int | None = None
    """Records its newest checkpoint covers; None when no checkpoint of it was seen."""
    services: tuple[Service, ...] = ()
    """Its services that are not private."""
    agreements: tuple[SignedAgreement, ...] = ()
    entries: tuple[Entry, ...] = ()
    """Its newest records, newest first."""
    counts: tuple[Count, ...] = ()
