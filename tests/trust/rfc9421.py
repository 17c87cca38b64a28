"""A small general verifier of RFC 9421: any covered list, any of its algorithms, no policy at all.

It exists to read the RFC's own examples and to look at our profile from outside; it shares no line with the profile,
which refuses most of what this accepts.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, quote, urlsplit

import http_sf
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature


@dataclass(frozen=True)
class Message:
    """A request (``method`` and ``url``) or, with ``status`` and its ``request``, a response."""

    fields: list[tuple[str, str]] = field(default_factory=list)
    method: str = ""
    url: str = ""
    status: int | None = None
    request: Message | None = None

    def lines_of(self, name: str) -> list[str]:
        # Section 2.1: obsolete folding becomes one space, ends are stripped.
        return [
            " ".join(part.strip() for part in value.split("\n")).strip()
            for n, value in self.fields
            if n.lower() == name
        ]


def signature_base(message: Message, signature_input: str, label: str) -> str:
    """Section 2.5 for the signature ``label`` of a Signature-Input field."""
    covered, params = _parse(signature_input)[label]
    lines = []
    for name, parameters in covered:
        identifier = http_sf.ser((name, parameters))
        lines.append(f"{identifier}: {_component(message, name, dict(parameters))}")
    if len(set(lines)) != len(lines):
        raise ValueError("a component is covered twice")
    return "\n".join([*lines, f'"@signature-params": {http_sf.ser([(covered, params)])}'])


def holds(message: Message, signature_input: str, signature: str, label: str, key) -> bool:
    """Section 3.2: whether the signature ``label`` of the two field values is good under ``key``."""
    raw = _parse(signature)[label][0]
    return _check(key, raw, signature_base(message, signature_input, label).encode("ascii"))


def sign(message: Message, covered: str, key) -> str:
    """Section 3.1 for the deterministic algorithms: the signature's base64 for an inner list with its parameters."""
    base = signature_base(message, f"sig={covered}", "sig").encode("ascii")
    made = key.sign(base) if isinstance(key, ed25519.Ed25519PrivateKey) else hmac.digest(key, base, "sha256")
    return base64.b64encode(made).decode("ascii")


def _parse(text: str):
    return http_sf.parse(text.encode("ascii"), tltype="dictionary")


def _component(message: Message, name: str, parameters: dict) -> str:
    if parameters.pop("req", False):
        assert message.request is not None
        return _component(message.request, name, parameters)
    if name.startswith("@"):
        return _derived(message, name, parameters)
    lines = message.lines_of(name)
    if not lines:
        raise ValueError(f"no field {name}")
    if parameters.pop("bs", False):
        return ", ".join(http_sf.ser((line.encode("latin-1"), {})) for line in lines)
    value = ", ".join(lines)
    if "key" in parameters:
        return http_sf.ser(_parse(value)[parameters["key"]])
    if parameters.pop("sf", False):
        return http_sf.ser(_parse(value))
    return value


def _derived(message: Message, name: str, parameters: dict) -> str:
    parts = urlsplit(message.url)
    match name:
        case "@method":
            return message.method
        case "@target-uri":
            return message.url
        case "@authority":
            return parts.netloc.lower().removesuffix(":443" if parts.scheme == "https" else ":80")
        case "@scheme":
            return parts.scheme.lower()
        case "@request-target":
            return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        case "@path":
            return parts.path or "/"
        case "@query":
            return f"?{parts.query}"
        case "@query-param":
            (value,) = [v for n, v in parse_qsl(parts.query, keep_blank_values=True) if n == parameters["name"]]
            return quote(value, safe="")
        case "@status":
            return str(message.status)
    raise ValueError(f"unknown component {name}")


def _check(key, raw: bytes, base: bytes) -> bool:
    """Section 3.3: the algorithm follows from the key."""
    try:
        match key:
            case bytes():
                return hmac.compare_digest(hmac.digest(key, base, "sha256"), raw)
            case ed25519.Ed25519PublicKey():
                key.verify(raw, base)
            case ec.EllipticCurvePublicKey():
                half = len(raw) // 2
                r, s = int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big")
                key.verify(encode_dss_signature(r, s), base, ec.ECDSA(hashes.SHA256()))
            case rsa.RSAPublicKey():
                key.verify(raw, base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())
            case _:
                raise TypeError(type(key))
    except InvalidSignature:
        return False
    return True


def sha512_digest(body: bytes) -> str:
    """The Content-Digest the RFC's examples use."""
    return f"sha-512=:{base64.b64encode(hashlib.sha512(body).digest()).decode()}:"
