"""Signatures of agreements and notices: who signed which exact bytes, checked against the directory.

Promise: a signature counts only when its key belongs, in the directory, to the member who had to sign, was valid when
it signed, and holds over the bytes as they are.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from lienthong.directory.document import Snapshot
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.documents import DocumentRefused, detached_jws, verify_detached_jws
from lienthong.trust.keys import from_base64url

CLOCK_SKEW: Final = timedelta(minutes=5)


class AgreementAltered(Problem):
    """The signature does not hold over these bytes: something was changed after signing."""

    kind = "agreement-altered"
    status = 422
    side = "caller"
    title = T("The agreement was altered")


class WrongSigner(Problem):
    """The key is unknown, is another member's, or was not valid when it signed."""

    kind = "wrong-signer"
    status = 422
    side = "caller"
    title = T("The wrong key signed")


@dataclass(frozen=True, slots=True)
class MemberSigner:
    """A member's private key with its id in the directory; signs agreements and notices in the member's name."""

    member: str
    keyid: str
    key: EllipticCurvePrivateKey

    def sign(self, document: bytes) -> str:
        """The detached JWS of ``document``."""
        return detached_jws(document, self.key, self.keyid)


def check_signature(snapshot: Snapshot, document: bytes, jws: str, member: str, at: datetime) -> None:
    """Raise unless ``jws`` is ``member``'s over ``document`` by a key valid ``at``.

    Raises WrongSigner, AgreementAltered.
    """
    keyid = _keyid(jws)
    found = snapshot.key(keyid)
    if found is None:
        raise WrongSigner(T("No member has the key {keyid}."), keyid=keyid, member=member)
    key, owner = found
    if owner.id != member:
        raise WrongSigner(
            T("The key {keyid} belongs to {owner}, but {member} had to sign."),
            keyid=keyid,
            owner=owner.id,
            member=member,
        )
    if not key.valid_at(at):
        raise WrongSigner(T("The key {keyid} was not valid at the time of signing."), keyid=keyid, member=member)
    public = snapshot.public_key(keyid)
    if not isinstance(public, EllipticCurvePublicKey):
        raise WrongSigner(T("The key {keyid} can not sign agreements."), keyid=keyid, member=member)
    try:
        verify_detached_jws(document, jws, public)
    except DocumentRefused as refused:
        raise AgreementAltered(
            T("The signature of {member} does not hold over this document."),
            mend=T("Ask for the document as it was signed, byte for byte."),
            member=member,
        ) from refused


def _keyid(jws: str) -> str:
    try:
        header: Any = json.loads(from_base64url(jws.partition(".")[0]))  # JSON of any shape: a wrong one raises below
        return str(header["kid"])
    except (ValueError, KeyError, TypeError, RecursionError) as unreadable:
        raise AgreementAltered(T("The signature is not a detached JWS that names its key.")) from unreadable
