"""Signed documents: an envelope for our own formats (the directory), a detached JWS for agreements.

In both, what is signed are the exact bytes; nothing is parsed before a signature holds, and the algorithm follows from
the key that the reader trusts, never from the document.
"""

from __future__ import annotations

import base64
import binascii
import json
from typing import Literal, TypeAlias

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust import es256
from lienthong.trust.keys import PrivateKey, PublicKey, base64url, from_base64url
from lienthong.trust.messages import ResolveKey

Algorithm: TypeAlias = Literal["ES256", "EdDSA"]

# A signature over a document must never pass for one over a message or a checkpoint of the same key.
_DOMAIN = b"lienthong document 1\n"


class DocumentRefused(Problem):
    """A signed document whose form or signature does not hold."""

    kind = "document-refused"
    status = 400
    side = "provider"
    title = T("The signed document does not hold")


def sign_document(payload: bytes, key: PrivateKey, keyid: str, alg: Algorithm | None = None) -> bytes:
    """``payload`` in an envelope with one signature; ``alg`` only states what follows from the key's kind."""
    follows: Algorithm = "ES256" if isinstance(key, EllipticCurvePrivateKey) else "EdDSA"
    if alg not in (None, follows):
        raise ValueError(f"a key of this kind signs with {follows}")
    message = _DOMAIN + payload
    signature = key.sign(message) if isinstance(key, Ed25519PrivateKey) else es256.sign(key, message)
    return json.dumps(
        {
            "payload": base64.b64encode(payload).decode("ascii"),
            "signatures": [
                {"keyid": keyid, "alg": follows, "sig": base64.b64encode(signature).decode("ascii")},
            ],
        },
        separators=(",", ":"),
    ).encode()


def open_document(envelope: bytes, resolve: ResolveKey) -> bytes:
    """The payload, once a signature by a key that ``resolve`` knows holds.

    Signatures by other keys are ignored; one that fails under a known key refuses the document.
    """
    payload, signatures = _parts(envelope)
    found = False
    for keyid, signature in signatures:
        key = resolve(keyid)
        if key is None:
            continue
        if not _holds(key, signature, _DOMAIN + payload):
            raise DocumentRefused(T("The signature of {keyid} on the document is wrong."), keyid=keyid)
        found = True
    if not found:
        raise DocumentRefused(T("The document carries no signature by a trusted key."))
    return payload


def detached_jws(payload: bytes, key: EllipticCurvePrivateKey, keyid: str) -> str:
    """ES256 over ``payload``, which is not inside: ``<header>..<signature>`` (RFC 7515, section 5.1 and appendix F)."""
    header = base64url(json.dumps({"alg": "ES256", "kid": keyid}, separators=(",", ":")).encode())
    # By hand: the library that checks it asks for private numbers, which a key in a token does not give.
    return f"{header}..{base64url(es256.sign(key, f'{header}.{base64url(payload)}'.encode()))}"


def verify_detached_jws(payload: bytes, jws: str, key: EllipticCurvePublicKey) -> str:
    """The ``kid`` of the signature, once it holds over ``payload``; raises DocumentRefused.

    Only ES256 with the two header members ``alg`` and ``kid`` is taken; the payload may not be inside.
    """
    from joserfc.errors import JoseError  # costs 0.16 s, which only those who read agreements pay
    from joserfc.jwk import ECKey  # as the line above
    from joserfc.jws import deserialize_compact  # as the line above

    header, _, rest = jws.partition(".")
    inside, _, signature = rest.partition(".")
    try:
        protected = json.loads(from_base64url(header))
        from_base64url(signature)
    except ValueError:  # not base64url, not JSON
        raise DocumentRefused(_NOT_A_JWS) from None
    if inside or not isinstance(protected, dict) or {*protected} != {"alg", "kid"} or protected["alg"] != "ES256":
        raise DocumentRefused(_NOT_A_JWS)
    try:
        deserialize_compact(f"{header}.{base64url(payload)}.{signature}", ECKey.import_key(key), algorithms=["ES256"])
    except (JoseError, ValueError):
        raise DocumentRefused(
            T("The signature does not fit the document and the key."),
            mend=T("Take the document and its signature from its member again, unaltered to the byte."),
        ) from None
    return str(protected["kid"])


_NOT_A_JWS = T("The signature is not a detached JWS with ES256 and a key id.")


def _holds(key: PublicKey, signature: bytes, message: bytes) -> bool:
    if isinstance(key, EllipticCurvePublicKey):
        return es256.is_valid(key, signature, message)
    try:
        key.verify(signature, message)
    except InvalidSignature:
        return False
    return True


def _parts(envelope: bytes) -> tuple[bytes, list[tuple[str, bytes]]]:
    try:
        match json.loads(envelope):
            case {"payload": str(payload), "signatures": [*listed]}:
                return base64.b64decode(payload, validate=True), [_signature(one) for one in listed]
            case _:
                pass
    except (ValueError, binascii.Error, RecursionError):
        pass
    raise DocumentRefused(T("The document is not an envelope of payload and signatures."))


def _signature(one: object) -> tuple[str, bytes]:
    match one:
        case {"keyid": str(keyid), "sig": str(signature)}:
            return keyid, base64.b64decode(signature, validate=True)
        case _:
            raise ValueError("not a signature")
