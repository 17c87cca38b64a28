"""Content-Digest (RFC 9530): one SHA-256 over the octets of the body, checked before anything looks into the body."""

from __future__ import annotations

import base64
import hashlib

from lienthong.errors import Problem
from lienthong.i18n import T


class DigestMismatch(Problem):
    """The body that arrived is not the body that was signed."""

    kind = "digest-mismatch"
    status = 400
    side = "caller"
    title = T("The body does not match its digest")


def content_digest(body: bytes) -> str:
    """The field value for ``body``: ``sha-256=:<base64>:``."""
    return content_digest_field(hashlib.sha256(body).digest())


def content_digest_field(sha256: bytes) -> str:
    """The field value for a body whose SHA-256 (32 bytes) was computed while it passed."""
    return f"sha-256=:{base64.b64encode(sha256).decode('ascii')}:"


def verify_content_digest(field: str, body: bytes) -> None:
    """Raise DigestMismatch unless ``field`` is exactly the digest of ``body``.

    The profile allows one algorithm and one spelling, so the field is compared, not parsed.
    """
    check_content_digest(field, content_digest(body))


def check_content_digest(field: str, computed: str) -> None:
    """Raise DigestMismatch unless ``field`` is exactly the field ``computed`` from the body that passed."""
    if field != computed:
        raise DigestMismatch(
            T("The body does not match the Content-Digest field."),
            mend=T("Send Content-Digest with the one member sha-256, computed over the octets of the body."),
        )
