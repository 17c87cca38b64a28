"""HTTP message signatures (RFC 9421) in one fixed profile, ``lienthong-1``: what is covered is never negotiated.

A request covers everything that decides what it may do; an answer covers its status, its body, the record of the use
and the signature of the very request it answers.  The covered list follows from the message itself, so checking it is
one comparison of text, and a field that is present but not covered is refused.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple, TypeAlias

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey, EllipticCurvePublicKey

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust import es256
from lienthong.trust.keys import PublicKey

TAG = "lienthong-1"
LABEL = "lt"
MAX_LIFE_S = 60
ABSENT = "-"
"""The value of a covered field that does not apply: the field is sent all the same, so that the list stays fixed."""

REQUEST_FIELDS = (
    "content-digest",
    "content-type",
    "lienthong-client",
    "lienthong-service",
    "lienthong-purpose",
    "lienthong-agreement",
    "lienthong-exchange",
)
FIELDS_COVERED_WHEN_PRESENT = (
    "lienthong-method",
    "x-road-client",
    "x-road-id",
    "x-road-userid",
    "x-road-issue",
    "x-road-represented-party",
    "x-road-security-server",
    "x-road-request-id",
)
RESPONSE_FIELDS = ("content-digest", "lienthong-record")

ResolveKey: TypeAlias = Callable[[str], PublicKey | None]
"""From the key's id to the key the directory holds under it now, or None."""


class MessageRefused(Problem):
    """A message that is not of the profile's form; its subclasses say which promise of it is broken."""

    kind = "malformed-message"
    status = 400
    side = "consumer"
    title = T("The message is not of the agreed form")


class UnsignedMessage(MessageRefused):
    """No signature at all."""

    kind = "unsigned-message"
    status = 401
    title = T("The message is not signed")


class UncoveredComponent(MessageRefused):
    """The signature covers other parts than the profile demands, or the message lacks one of them."""

    kind = "uncovered-component"
    status = 401
    title = T("The signature does not cover the message")


class UnknownKey(MessageRefused):
    """The key is not in the directory, no longer valid, or of another kind than members sign with."""

    kind = "unknown-key"
    status = 401
    title = T("The key is not known")


class StaleMessage(MessageRefused):
    """Signed too long ago, for too long a time, or in the future."""

    kind = "stale-message"
    status = 401
    title = T("The message is too old or not yet valid")


class BadSignature(MessageRefused):
    """The signature was not made by this key over this message."""

    kind = "bad-signature"
    status = 401
    title = T("The signature is wrong")


@dataclass(frozen=True, slots=True)
class Signed:
    """What signing adds to a message: the values of two header fields, and what a receipt keeps."""

    signature_input: str
    signature: str
    base: bytes
    raw: bytes
    """The signature itself, r || s, 64 bytes."""


@dataclass(frozen=True, slots=True)
class Verified:
    """A message whose signature holds.  That its nonce is new is the caller's next question."""

    keyid: str
    nonce: str
    created: int
    expires: int
    base: bytes
    raw: bytes


def sign_request(
    key: EllipticCurvePrivateKey,
    keyid: str,
    *,
    method: str,
    target_uri: str,
    authority: str,
    headers: Mapping[str, str],
    created: int,
    nonce: str,
    expires: int | None = None,
) -> Signed:
    """Sign a request; ``headers`` (names in lower case) must hold every field of REQUEST_FIELDS.

    ``nonce`` is 128 random bits in base64url (22 characters), ``created`` and ``expires`` are Unix seconds, 60 s apart
    at most.  Raises UncoveredComponent or MessageRefused when the message could not be verified by anybody.
    """
    shape = _request_shape(_present(headers))
    values = [method, target_uri, authority, *_field_values(headers, shape.fields)]
    return _sign(key, shape, values, _parameters(created, expires, nonce, keyid))


def verify_request(
    resolve: ResolveKey,
    *,
    method: str,
    target_uri: str,
    authority: str,
    headers: Mapping[str, str],
    now: int,
    skew_s: int = 5,
) -> Verified:
    """Check a request as it arrived; what it was sent to is said by the receiver, not by the message.

    ``headers`` hold each field once (a repeated field is the door's refusal, or arrives here joined by a comma and
    fails).  ``now`` is Unix seconds; clocks may differ by ``skew_s``.  Raises a MessageRefused of the kind that fits.
    """
    shape = _request_shape(_present(headers))
    found = _signature_of(headers, shape)
    values = [method, target_uri, authority, *_field_values(headers, shape.fields)]
    return _verify(resolve, shape, values, found, now, skew_s)


def sign_response(
    key: EllipticCurvePrivateKey,
    keyid: str,
    *,
    status: int,
    headers: Mapping[str, str],
    request_signature_header: str,
    nonce: str,
    created: int,
    expires: int | None = None,
) -> Signed:
    """Sign an answer to the request that carried ``request_signature_header``; ``nonce`` is that request's.

    ``headers`` must hold ``content-digest`` and ``lienthong-record`` (the hash of the provider's record).
    """
    shape = _response_shape()
    values = [str(status), *_field_values(headers, shape.fields), request_signature_header]
    return _sign(key, shape, values, _parameters(created, expires, nonce, keyid))


def verify_response(
    resolve: ResolveKey,
    *,
    status: int,
    headers: Mapping[str, str],
    request_signature_header: str,
    nonce: str,
    now: int,
    skew_s: int = 5,
) -> Verified:
    """Check an answer against the request we sent: its signature field and its nonce.

    An answer to any other request fails, be it ours, signed by the right key and fresh.
    """
    shape = _response_shape()
    found = _signature_of(headers, shape)
    if found.nonce != nonce:
        raise BadSignature(T("The answer belongs to another request."))
    values = [str(status), *_field_values(headers, shape.fields), request_signature_header]
    return _verify(resolve, shape, values, found, now, skew_s)


@dataclass(frozen=True, slots=True)
class _Shape:
    """One covered list: its text in Signature-Input, and the signature base with a hole for each value."""

    components: str
    template: str
    fields: tuple[str, ...]


class _Found(NamedTuple):
    """The two signature fields of a message, taken apart; nothing in here is trusted yet."""

    parameters: str
    raw: bytes
    created: int
    expires: int
    nonce: str
    keyid: str


@cache
def _request_shape(present: tuple[str, ...]) -> _Shape:
    fields = (*REQUEST_FIELDS, *present)
    identifiers = [f'"{name}"' for name in ("@method", "@target-uri", "@authority", *fields)]
    return _shape(identifiers, fields)


@cache
def _response_shape() -> _Shape:
    identifiers = ['"@status"', *(f'"{name}"' for name in RESPONSE_FIELDS), '"signature";req']
    return _shape(identifiers, RESPONSE_FIELDS)


def _shape(identifiers: list[str], fields: tuple[str, ...]) -> _Shape:
    components = f"({' '.join(identifiers)})"
    lines = [f"{identifier}: %s" for identifier in identifiers]
    return _Shape(components, "\n".join([*lines, f'"@signature-params": {components}%s']), fields)


def _present(headers: Mapping[str, str]) -> tuple[str, ...]:
    return tuple([name for name in FIELDS_COVERED_WHEN_PRESENT if name in headers])


def _field_values(headers: Mapping[str, str], fields: tuple[str, ...]) -> list[str]:
    try:
        return [headers[name] for name in fields]
    except KeyError as missing:
        raise UncoveredComponent(
            T("The message has no field {field}."),
            mend=T("Send every field the profile lienthong-1 names; write - where one does not apply."),
            field=missing.args[0],
        ) from None


def _base(shape: _Shape, values: list[str], parameters: str) -> bytes:
    if not _may_be_signed(values):
        raise MessageRefused(
            T("A signed part of the message is empty or holds a character that may not be signed."),
            mend=T("Send printable ASCII without space at either end, each field on one line."),
        )
    return (shape.template % (*values, parameters)).encode("ascii")


def _may_be_signed(values: list[str]) -> bool:
    """Whether each value is printable ASCII, not empty, on one line, with no space at either end.

    RFC 9421, section 2.1 would have the verifier strip and unfold; here such a value is refused, so that no two
    spellings share one signature.  All values are looked at together: one by one costs five times as much.
    """
    framed = "\n" + "\n".join(values) + "\n"
    return (
        framed.count("\n") == len(values) + 1
        and framed.isascii()
        and framed.replace("\n", "").isprintable()
        and not ("\n\n" in framed or "\n " in framed or " \n" in framed)
    )


# Quoted parameters hold printable ASCII without quote and backslash, so nothing in them needs unescaping.
_KEY_ID = re.compile(r"[!#-\[\]-~]{1,128}")
_NONCE = re.compile(r"[A-Za-z0-9_-]{22}")


def _parameters(created: int, expires: int | None, nonce: str, keyid: str) -> str:
    until = created + MAX_LIFE_S if expires is None else expires
    if not (_NONCE.fullmatch(nonce) and _KEY_ID.fullmatch(keyid) and 0 < until - created <= MAX_LIFE_S):
        raise MessageRefused(T("The signature's time, nonce or key id is not of the agreed form."))
    return f';created={created};expires={until};nonce="{nonce}";keyid="{keyid}";tag="{TAG}"'


def _sign(key: EllipticCurvePrivateKey, shape: _Shape, values: list[str], parameters: str) -> Signed:
    base = _base(shape, values, parameters)
    raw = es256.sign(key, base)
    return Signed(
        signature_input=f"{LABEL}={shape.components}{parameters}",
        signature=f"{LABEL}=:{base64.b64encode(raw).decode('ascii')}:",
        base=base,
        raw=raw,
    )


# 64 bytes in base64 are 86 characters and two signs of padding; the last character carries only two bits, and any
# other spelling of the same bytes is refused because an answer covers this field as text.
_SIGNATURE = re.compile(LABEL + r"=:([A-Za-z0-9+/]{85}[AQgw]==):")
_PARAMETER = re.compile(r';([a-z]+)=(?:([1-9][0-9]{0,11})|"([!#-\[\]-~]{1,128})")')
_PARAMETERS_AS_WE_WRITE = re.compile(
    r';created=([1-9][0-9]{0,11});expires=([1-9][0-9]{0,11});nonce="([A-Za-z0-9_-]{22})";keyid="([!#-\[\]-~]{1,128})"'
    f';tag="{TAG}"'
)
_OPENING = f"{LABEL}="


def _signature_of(headers: Mapping[str, str], shape: _Shape) -> _Found:
    """Take the two fields apart; exactly one signature, ours by label and tag, over exactly the shape's components."""
    signature_input, signature = headers.get("signature-input"), headers.get("signature")
    if signature_input is None or signature is None:
        raise UnsignedMessage(
            T("The message carries no signature."),
            mend=T("Sign it with the member's key; see the profile lienthong-1 in the documentation."),
        )
    sent = _SIGNATURE.fullmatch(signature)
    if sent is None or not signature_input.startswith(_OPENING):
        raise MessageRefused(T("The message must carry exactly one signature, labelled lt, of 64 bytes."))
    parameters = signature_input[len(_OPENING) + len(shape.components) :]
    if not signature_input.startswith(shape.components, len(_OPENING)):
        raise UncoveredComponent(
            T("The signature must cover exactly these parts, in this order: {components}"),
            components=shape.components,
        )
    ours = _PARAMETERS_AS_WE_WRITE.fullmatch(parameters)
    created, expires, nonce, keyid = ours.groups() if ours else _parameters_in_any_order(parameters)
    return _Found(parameters, base64.b64decode(sent.group(1)), int(created), int(expires), nonce, keyid)


def _parameters_in_any_order(text: str) -> tuple[str, str, str, str]:
    """``created``, ``expires``, ``nonce`` and ``keyid`` as another signer may have put them; RFC 9421 fixes no order.

    Each of the five once and no sixth: ``alg`` is refused too, the algorithm follows from the key in the directory.
    """
    numbers: dict[str, str] = {}
    texts: dict[str, str] = {}
    end = 0
    while parameter := _PARAMETER.match(text, end):
        name, number, quoted = parameter.groups()
        if name in numbers or name in texts:
            break
        if number is None:
            texts[name] = quoted
        else:
            numbers[name] = number
        end = parameter.end()
    if end != len(text) or {*numbers} != {"created", "expires"} or {*texts} != {"keyid", "nonce", "tag"}:
        raise MessageRefused(_WRONG_PARAMETERS)
    if texts["tag"] != TAG or not _NONCE.fullmatch(texts["nonce"]):
        raise MessageRefused(T("The signature is not one of the profile lienthong-1."))
    return numbers["created"], numbers["expires"], texts["nonce"], texts["keyid"]


_WRONG_PARAMETERS = T("The signature must carry created, expires, nonce, keyid and tag, each once, and nothing else.")


def _verify(resolve: ResolveKey, shape: _Shape, values: list[str], found: _Found, now: int, skew_s: int) -> Verified:
    if not (0 < found.expires - found.created <= MAX_LIFE_S):
        raise StaleMessage(T("A signature holds for at most {seconds} seconds."), seconds=MAX_LIFE_S)
    if found.created > now + skew_s or found.expires < now - skew_s:
        raise StaleMessage(
            T("The message was signed for another time than now."),
            mend=T("Set the clock of the sending node by NTP and sign anew."),
            created=found.created,
            expires=found.expires,
            now=now,
        )
    key = resolve(found.keyid)
    if not isinstance(key, EllipticCurvePublicKey):
        raise UnknownKey(
            T("The directory holds no valid message key {keyid}."),
            mend=T("Register the key with the national node, or sign with the one that is registered."),
            keyid=found.keyid,
        )
    base = _base(shape, values, found.parameters)
    if not es256.is_valid(key, found.raw, base):
        raise BadSignature(
            T("The signature does not fit the message and the key {keyid}."),
            mend=T("A part of the message changed on the way, or another key signed it."),
            keyid=found.keyid,
        )
    return Verified(found.keyid, found.nonce, found.created, found.expires, base, found.raw)
