"""Keys: ES256 for members (messages, agreements) and Ed25519 for logs (checkpoints); at rest always under a password.

A key's name is its RFC 7638 thumbprint, so the name cannot be given to another key.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
from collections.abc import Mapping
from typing import TypeAlias

from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    EllipticCurvePublicNumbers,
    generate_private_key,
)
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lienthong.errors import Problem
from lienthong.i18n import T

PrivateKey: TypeAlias = EllipticCurvePrivateKey | Ed25519PrivateKey
PublicKey: TypeAlias = EllipticCurvePublicKey | Ed25519PublicKey


class UnusableKey(Problem):
    """Not a key of the two kinds in use, damaged, or its password is wrong."""

    kind = "unusable-key"
    status = 400
    side = "node"
    title = T("The key cannot be used")


def generate_es256() -> EllipticCurvePrivateKey:
    """A new key for a member's messages and agreements (P-256)."""
    return generate_private_key(SECP256R1())


def generate_ed25519() -> Ed25519PrivateKey:
    """A new key for a log's checkpoints."""
    return Ed25519PrivateKey.generate()


def private_to_pem(key: PrivateKey, password: bytes) -> bytes:
    """PKCS #8, encrypted; a private key is never written in clear, so an empty ``password`` is refused."""
    if not password:
        raise UnusableKey(T("A private key is only written under a password."))
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(password),
    )


def private_from_pem(pem: bytes, password: bytes) -> PrivateKey:
    """The key in ``pem``; raises UnusableKey when the password is wrong or the key is of another kind."""
    try:
        key = serialization.load_pem_private_key(pem, password)
    except (ValueError, TypeError):  # cryptography's two answers to damage, a wrong password and a key in clear
        raise UnusableKey(
            T("The private key cannot be opened."), mend=T("Check the password and that the file is whole.")
        ) from None
    if isinstance(key, Ed25519PrivateKey) or (
        isinstance(key, EllipticCurvePrivateKey) and isinstance(key.curve, SECP256R1)
    ):
        return key
    raise UnusableKey(T("The private key is neither P-256 nor Ed25519."))


def public_jwk(key: PrivateKey | PublicKey) -> dict[str, str]:
    """The public half as a JWK with the required members only (RFC 7517, RFC 8037)."""
    public = key.public_key() if isinstance(key, EllipticCurvePrivateKey | Ed25519PrivateKey) else key
    if isinstance(public, Ed25519PublicKey):
        return {"crv": "Ed25519", "kty": "OKP", "x": base64url(public.public_bytes_raw())}
    numbers = public.public_numbers()
    return {
        "crv": "P-256",
        "kty": "EC",
        "x": base64url(numbers.x.to_bytes(32, "big")),
        "y": base64url(numbers.y.to_bytes(32, "big")),
    }


def public_from_jwk(jwk: Mapping[str, object]) -> PublicKey:
    """The key in ``jwk``; a private member, another curve or a point off the curve raises UnusableKey."""
    match dict(jwk):
        case {"d": _}:
            raise UnusableKey(T("The key document holds a private key."))
        case {"kty": "EC", "crv": "P-256", "x": str(x), "y": str(y)}:
            try:
                numbers = EllipticCurvePublicNumbers(
                    int.from_bytes(_coordinate(x), "big"), int.from_bytes(_coordinate(y), "big"), SECP256R1()
                )
                return numbers.public_key()
            except ValueError:
                raise UnusableKey(T("The key document holds no point of the curve P-256.")) from None
        case {"kty": "OKP", "crv": "Ed25519", "x": str(x)}:
            try:
                return Ed25519PublicKey.from_public_bytes(_coordinate(x))
            except ValueError:
                raise UnusableKey(T("The key document holds no Ed25519 key.")) from None
        case _:
            raise UnusableKey(T("The key document names no kind of key in use here."))


def es256_from_jwk(jwk: Mapping[str, object]) -> EllipticCurvePublicKey:
    """As ``public_from_jwk``, for the one kind that signs messages and agreements."""
    key = public_from_jwk(jwk)
    if isinstance(key, EllipticCurvePublicKey):
        return key
    raise UnusableKey(T("The key document names no kind of key in use here."))


def key_id(jwk: Mapping[str, object]) -> str:
    """RFC 7638 thumbprint of the public key, SHA-256, base64url without padding (43 characters).

    Only the required members count, so a JWK with ``kid`` or ``use`` beside them has the same name.
    """
    members = ("crv", "kty", "x", "y") if jwk.get("kty") == "EC" else ("crv", "kty", "x")
    try:
        required = {member: jwk[member] for member in members}
    except KeyError:
        raise UnusableKey(T("The key document names no kind of key in use here.")) from None
    canonical = json.dumps(required, separators=(",", ":"), sort_keys=True).encode()
    return base64url(hashlib.sha256(canonical).digest())


def base64url(octets: bytes) -> str:
    """Base64url without padding (RFC 7515, section 2)."""
    return base64.urlsafe_b64encode(octets).rstrip(b"=").decode("ascii")


def from_base64url(text: str) -> bytes:
    """The octets of ``text``; raises ValueError unless it is exactly what ``base64url`` would have written."""
    try:
        octets = base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
    except binascii.Error:
        raise ValueError("not base64url") from None
    if base64url(octets) != text:  # the decoder skips foreign characters and ignores trailing bits
        raise ValueError("not canonical base64url")
    return octets


def _coordinate(text: str) -> bytes:
    octets = from_base64url(text)
    if len(octets) != 32:
        raise ValueError("a coordinate has 32 bytes")
    return octets
