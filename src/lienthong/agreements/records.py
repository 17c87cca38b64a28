"""What the database holds about agreements, as frozen values."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from lienthong.agreements.states import Party, State


@dataclass(frozen=True, slots=True)
class StoredDocument:
    """An agreement as it was signed.  ``consumer_jws`` is None for an agreement by rule."""

    digest: str
    agreement: str
    version: int
    by_rule: bool
    document: bytes
    provider_jws: str
    consumer_jws: str | None
    stored_at: datetime
    published: bool


@dataclass(frozen=True, slots=True)
class CurrentAgreement:
    """The version of an agreement that counts, as indexed.  ``ended_at`` is the effect of a notice."""

    id: str
    version: int
    digest: str
    mode: str
    provider: str
    consumer: str
    target: str
    starts: datetime
    ends: datetime | None
    ended_at: datetime | None


@dataclass(frozen=True, slots=True)
class Negotiation:
    """One side's account of a negotiation.  ``pid`` is this side's id of it, ``peer_pid`` the other's."""

    pid: str
    peer_pid: str | None
    side: Party
    state: State
    provider: str
    consumer: str
    target: str
    offer: bytes
    """Canonical bytes of the Offer asked for."""
    predecessor: str | None
    """Digest of the version to be replaced."""
    note: str
    """Why the consumer asks, in its own words."""
    requested_at: datetime
    changed_at: datetime
    delivered: bool
    """Whether the other side has answered this side's last message."""
    document: bytes | None = None
    provider_jws: str | None = None
    consumer_jws: str | None = None
    ended_by: Party | None = None
    reason: str | None = None
    provision: str | None = None


@dataclass(frozen=True, slots=True)
class Notice:
    """A signed notice that ends an agreement at ``ends_at``."""

    digest: str
    agreement: str
    ends: str
    """Digest of the version it ends."""
    document: bytes
    jws: str
    by_member: str
    ends_at: datetime
    stored_at: datetime
    delivered: bool
    """Whether the other side has answered; true for a notice that came from there."""
