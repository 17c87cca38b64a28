"""The access record, format 1, and the small values around it.

The record is one leaf of the node's log.  It holds digests and commitments, never the data, and its bytes are
written once: what is stored is what is hashed.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

import orjson

from lienthong.trust.merkle import leaf_hash

Way = Literal["call", "table", "query", "event"]
RecordSide = Literal["consumer", "provider"]
Outcome = Literal["permitted", "refused", "failed"]

RECORD_FORMAT = 1


@dataclass(frozen=True, slots=True)
class AgreementRef:
    """Which agreement, in which version, with the SHA-256 of its exact bytes (``sha-256:<hex>``)."""

    id: str
    version: str
    digest: str


@dataclass(frozen=True, slots=True)
class Use:
    """One wish to use data: who, what, which way, for which registered purpose, when."""

    way: Way
    exchange_id: str
    consumer: str
    """System id of the consumer."""
    provider: str
    """Member id of the provider."""
    resource: str
    """Service id (five parts)."""
    purpose: str | None
    at: datetime


@dataclass(frozen=True, slots=True)
class Record:
    """The fields of a leaf in the order in which they are written (contracts: the access record, format 1)."""

    side: RecordSide
    exchange_id: str
    at: datetime
    node: str
    consumer: str
    provider: str
    resource: str
    way: Way
    purpose: str | None
    ground: str | None
    agreement: AgreementRef | None
    decision_digest: str | None
    outcome: Outcome
    reason: str | None = None
    target_commitment: str | None = None
    request_signature_digest: str | None = None
    response_signature_digest: str | None = None
    body_digest: str | None = None
    bytes: int | None = None
    rows: int | None = None
    subjects: tuple[str, ...] = ()
    peer_record: str | None = None


def write_record(record: Record) -> bytes:
    """The leaf: UTF-8 JSON, every key present, in the order of format 1; at most about 1 KB without subjects."""
    agreement = record.agreement
    return orjson.dumps(
        {
            "v": RECORD_FORMAT,
            "side": record.side,
            "exchange_id": record.exchange_id,
            "at": instant(record.at),
            "node": record.node,
            "consumer": record.consumer,
            "provider": record.provider,
            "resource": record.resource,
            "way": record.way,
            "purpose": record.purpose,
            "ground": record.ground,
            "agreement": {"id": agreement.id, "version": agreement.version, "digest": agreement.digest}
            if agreement
            else None,
            "decision_digest": record.decision_digest,
            "outcome": record.outcome,
            "reason": record.reason,
            "target_commitment": record.target_commitment,
            "request_signature_digest": record.request_signature_digest,
            "response_signature_digest": record.response_signature_digest,
            "body_digest": record.body_digest,
            "bytes": record.bytes,
            "rows": record.rows,
            "subjects": list(record.subjects),
            "peer_record": record.peer_record,
        }
    )


def record_hash(leaf: bytes) -> bytes:
    """RFC 9162 leaf hash of a record's exact bytes: its name everywhere (hexadecimal in headers and addresses)."""
    return leaf_hash(leaf)


def digest(content: bytes) -> str:
    """``sha-256:<hex>`` of ``content``, the form all digests in a record have."""
    return "sha-256:" + hashlib.sha256(content).hexdigest()


def instant(moment: datetime) -> str:
    """RFC 3339 in UTC with milliseconds."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
