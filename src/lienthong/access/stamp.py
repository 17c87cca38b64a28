"""RFC 3161 timestamps of checkpoints: somebody outside says that the log stood so at that time.

What is stamped is the signed note as the log wrote it, cosignatures apart, so ``openssl ts -verify -data`` checks it
too.  An authority that is away or answers wrongly is noted and stops nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from cryptography import x509
from rfc3161_client import (
    HashAlgorithm,
    TimestampRequestBuilder,
    VerificationError,
    VerifierBuilder,
    decode_timestamp_response,
)

from lienthong.errors import Problem, Side
from lienthong.i18n import T

QUERY_TYPE: Final = "application/timestamp-query"
REPLY_TYPE: Final = "application/timestamp-reply"
APART: Final = timedelta(minutes=5)
"""How far the authority's clock may be from this machine's."""

Send = Callable[[bytes], Awaitable[bytes]]
"""Sends a query (DER) to the authority and returns its reply (DER).  Raises OSError or TimeoutError."""


class StampRefused(Problem):
    """The time-stamping authority's reply is no timestamp of what was asked, or nobody trusted made it."""

    kind: ClassVar[str] = "stamp-refused"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The timestamp does not hold")


@dataclass(frozen=True, slots=True)
class Stamp:
    """A verified reply (DER, as it came) and the time it states."""

    token: bytes
    at: datetime


async def stamp(note: bytes, roots: Sequence[x509.Certificate], send: Send, now: datetime) -> Stamp:
    """Have ``note`` stamped by an authority under one of ``roots``; raises StampRefused, OSError, TimeoutError."""
    query = TimestampRequestBuilder(data=note, hash_algorithm=HashAlgorithm.SHA256, nonce=True, cert_req=True).build()
    token = await send(query.as_bytes())
    at = verify_stamp(token, note, roots, nonce=query.nonce)
    if abs(at - now) > APART:
        raise StampRefused(
            T("The authority says it is {at}, this machine {now}."),
            mend=T("Set this machine's clock by a time server, or ask another authority."),
            at=at.isoformat(timespec="seconds"),
            now=now.isoformat(timespec="seconds"),
        )
    return Stamp(token, at)


def verify_stamp(token: bytes, note: bytes, roots: Sequence[x509.Certificate], nonce: int | None = None) -> datetime:
    """The time at which the reply ``token`` says ``note`` existed, once its signature and chain hold.

    Raises StampRefused.  DER is read strictly: a reply whose sets are not ordered is refused.
    """
    try:
        reply = decode_timestamp_response(token)
        VerifierBuilder(roots=list(roots), nonce=nonce).build().verify_message(reply, note)
        return reply.tst_info.gen_time.astimezone(UTC)
    except (VerificationError, ValueError, TypeError) as refused:
        raise StampRefused(
            T("The authority's reply is no timestamp of this checkpoint: {why}"),
            mend=T("See that tsa_roots holds the authority's root and that the address is right."),
            why=str(refused)[:200],
        ) from None


def read_roots(pem: bytes) -> list[x509.Certificate]:
    """The certificates (PEM) of authorities that are trusted; raises StampRefused when there is none."""
    try:
        return x509.load_pem_x509_certificates(pem)
    except ValueError:
        raise StampRefused(T("The file of trusted time-stamping authorities holds no certificate.")) from None
