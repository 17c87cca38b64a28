"""Two halves of one use and what comparing them says.  Pure.

A use leaves a record on each side.  They pair by exchange, resource, the digest of the request's signature and the
hash of the provider's record that the consumer's record names (contracts: the access record).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

import orjson

from lienthong.access.models import RecordSide, record_hash
from lienthong.directory.models import MemberId, member_of

Finding = Literal["matched", "missing", "differs", "waiting"]
ONE_SIDED_WAYS: Final = frozenset({"table", "event"})
"""Ways in which the taker is a foreign client or a subscriber's own store: only the provider's side keeps a record."""


@dataclass(frozen=True, slots=True)
class Half:
    """What of a record takes part in the comparison."""

    hash: bytes
    side: RecordSide
    exchange_id: str
    at: datetime
    consumer: str
    provider: str
    resource: str
    way: str
    outcome: str
    reason: str | None
    agreement_digest: str | None
    request_signature_digest: str | None
    peer_record: str | None

    @property
    def own(self) -> MemberId:
        """The member whose record this is."""
        return member_of(self.consumer) if self.side == "consumer" else MemberId(self.provider)

    @property
    def peer(self) -> MemberId:
        """The member on the other side."""
        return MemberId(self.provider) if self.side == "consumer" else member_of(self.consumer)

    @property
    def day(self) -> date:
        """The day of the use, in UTC as the record says."""
        return self.at.date()

    @property
    def expected(self) -> bool:
        """Whether the other side must hold a half.

        Not for refusals (equal ones become one record, on each side by its own clock, and no data was given), not for
        what never reached the provider, not for the end of what was opened (``closed``, and ``closed;`` with a cause),
        and not where only one side keeps records.
        """
        if self.outcome == "refused" or self.way in ONE_SIDED_WAYS or (self.reason or "").startswith("closed"):
            return False
        return self.side == "provider" or self.peer_record is not None


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the comparison says of one of our records; ``reason`` is a word of ``REASONS``, None when matched."""

    finding: Finding
    reason: str | None = None


def read_half(leaf: bytes) -> Half:
    """The half in a leaf of format 1.  Raises ValueError, KeyError or TypeError for anything else."""
    body: Any = orjson.loads(leaf)  # JSON of another node: a wrong shape raises below
    agreement = body["agreement"]
    side = body["side"]
    if side not in ("consumer", "provider"):
        raise ValueError("no side of a use")
    return Half(
        hash=record_hash(leaf),
        side=side,
        exchange_id=str(body["exchange_id"]),
        at=datetime.fromisoformat(body["at"]),
        consumer=str(body["consumer"]),
        provider=str(body["provider"]),
        resource=str(body["resource"]),
        way=str(body["way"]),
        outcome=str(body["outcome"]),
        reason=body["reason"],
        agreement_digest=str(agreement["digest"]) if agreement else None,
        request_signature_digest=body["request_signature_digest"],
        peer_record=body["peer_record"],
    )


def compare(ours: Half, theirs: Sequence[Half], siblings: frozenset[str] = frozenset()) -> Verdict:
    """What ``theirs``, the other side's records of the same exchange and resource, say of ``ours``.

    ``siblings``: hashes (hexadecimal) of our other records of this exchange: a use that was opened and is closed later
    leaves two, and the other side names one of them.
    """
    others = [half for half in theirs if half.side != ours.side]
    if not others:
        return Verdict("missing", "not-in-its-log")
    if ours.side == "consumer":
        named = [half for half in others if half.hash.hex() == ours.peer_record]
        return _agreeing(ours, named[0]) if named else Verdict("differs", "another-record")
    named = [half for half in others if half.peer_record in siblings | {ours.hash.hex()}]
    if named:
        return _agreeing(ours, named[0])
    if any(half.outcome == "failed" and half.peer_record is None for half in others):
        return Verdict("matched", "answer-lost")
    return Verdict("differs", "another-record")


COMPARED: Final = ("exchange_id", "consumer", "provider", "resource", "way", "agreement_digest")


def _agreeing(ours: Half, other: Half) -> Verdict:
    for name in COMPARED:
        if getattr(ours, name) != getattr(other, name):
            return Verdict("differs", f"other-{name.replace('_', '-')}")
    if ours.request_signature_digest != other.request_signature_digest:
        return Verdict("differs", "other-request-signature")
    return Verdict("matched")


@dataclass(frozen=True, slots=True)
class DayShare:
    """How many uses of one day between two members have both halves, as one of them counts."""

    day: date
    own: MemberId
    peer: MemberId
    expected: int
    """Records here to which the other side must hold a half."""
    matched: int
    missing: int
    differs: int

    @property
    def waiting(self) -> int:
        """Asked for, not answered yet."""
        return self.expected - self.matched - self.missing - self.differs

    @property
    def share(self) -> float:
        """Part of the expected pairs that is matched, 0 to 1."""
        return self.matched / self.expected if self.expected else 1.0


@dataclass(frozen=True, slots=True)
class OpenHalf:
    """A half without its counterpart: of ours, or one that the other side holds and we do not."""

    held_by: Literal["us", "them"]
    hash: bytes
    own: str
    peer: str
    exchange_id: str
    resource: str
    day: date
    finding: Finding
    reason: str | None
    since: datetime
