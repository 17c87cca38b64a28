"""X-Road's REST message protocol at the client listener: what a request says, and what an answer must bear.

Pure functions.  Promises: an existing X-Road client works unmodified; where X-Road's specification and code differ,
the code is followed, since that is what clients were tested against.  Sources: PR-REST 1.0 and, where they differ,
the behaviour of X-Road 7 (``docs/protocols/xroad.md``).
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from urllib.parse import quote, unquote_to_bytes

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.exchange.backend import answer_fields, merged, request_fields
from lienthong.exchange.signed import new_id
from lienthong.i18n import T

PREFIX = b"/r1/"
METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
METASERVICES = frozenset({"listMethods", "allowedMethods", "getOpenAPI"})
RESERVED_CODES = METASERVICES | {
    "listClients",
    "getWsdl",
    "getSecurityServerMetrics",
    "getSecurityServerOperationalData",
    "getSecurityServerHealthData",
}
"""Service codes that nobody may publish."""

_SEGMENT = re.compile(rb"(?:[A-Za-z0-9\-._~!$&'()*+,;=:@]|%[0-9A-Fa-f]{2})*")
_VERSION = re.compile(rb"r[0-9]")
_ODD_LETTERS = re.compile("[\x00-\x1f\x7f\u200b\ufeff]")
_SAFE = "-._~!$&'()*+,;=:@"
_CLIENT = b"x-road-client"
_KNOWN_IDS = 4_096
"""Ids remembered with their decoding: the same few come again and again."""
_REPLACED = frozenset({b"x-road-request-id", b"x-road-request-hash"})


class XRoadRequestRefused(Problem):
    """The request line or an X-Road field is not what the protocol asks for."""

    kind = "xroad-request"
    status = 400
    side = "caller"
    title = T("The request does not follow the X-Road message protocol")


class XRoadClientMissing(Problem):
    """No client, or one that is not three or four parts."""

    kind = "xroad-client"
    status = 400
    side = "caller"
    title = T("The request does not say which system calls")


class XRoadServerUnknown(Problem):
    """A certain Security Server was asked for, which is not what nodes have."""

    kind = "xroad-security-server"
    status = 400
    side = "caller"
    title = T("The Security Server asked for is not known")


@dataclass(frozen=True, slots=True)
class XRoadCall:
    """One request at ``/r1``; ids are decoded, everything to be forwarded is as it came."""

    method: str
    client: str
    """``instance/class/code[/subsystem]``; a slash inside a part stays ``%2F``, so no id can pass for another."""
    service: str
    """``instance/class/code/subsystem/service``, likewise."""
    path: bytes
    """What follows the service code, from its slash on; empty when there was none."""
    query: bytes | None
    """What follows ``?``; None when there was no ``?``."""
    raw_path: bytes
    fields: Headers
    """What is forwarded: without hop fields and those of our own messages; one client, ids completed."""
    id: str
    request_id: str
    security_server: str | None
    user_id: str | None
    issue: str | None
    represented_party: str | None

    @property
    def system(self) -> str:
        """The id of the system that serves: the service's without its last part."""
        return self.service.rsplit("/", 1)[0]

    @property
    def code(self) -> str:
        """The service code."""
        return self.service.rsplit("/", 1)[1]

    @property
    def metaservice(self) -> str | None:
        """The metaservice asked for, or None; those are only read and have no path of their own."""
        return (
            self.code
            if self.code in METASERVICES and self.method in ("GET", "HEAD") and self.path in (b"", b"/")
            else None
        )

    @property
    def rest(self) -> bytes:
        """Path and query behind the service code, as they came."""
        return self.path if self.query is None else self.path + b"?" + self.query

    @property
    def extra(self) -> dict[str, str]:
        """``fields`` by lower-case name, as a message carries them."""
        return merged(self.fields)


def read_call(
    method: str, target: bytes, headers: Headers, *, instance: str, new_id: Callable[[], str] = new_id
) -> XRoadCall:
    """Read a request whose target begins with ``/r1/`` (or another version).  ``instance``: of this data space.

    Raises XRoadRequestRefused, XRoadClientMissing, XRoadServerUnknown.
    """
    if method not in METHODS:
        raise _refused(T("The method {method} is not part of the protocol."), method=method)
    raw_path, mark, query = target.partition(b"?")
    parts = raw_path.split(b"/", 7)
    if len(parts) < 7:
        raise _refused(T("The path must be /r1/instance/class/member/subsystem/service."))
    if not _VERSION.fullmatch(parts[1]):
        raise _refused(T("The path does not begin with the version of the protocol."))
    if parts[1] != b"r1":
        raise _refused(T("Version {version} of the protocol is not spoken here."), version=parts[1][1:].decode("ascii"))
    service = _service(b"/".join(parts[2:7]))
    request_id = new_id()
    fields = _surviving(headers)
    message_id = _last(fields, b"x-road-id")
    fields.append((b"x-road-request-id", request_id.encode("ascii")))
    if message_id is None:
        message_id = f"{instance}-{new_id()}"
        fields.append((b"x-road-id", message_id.encode("ascii")))
    return XRoadCall(
        method=method,
        client=_client(_last(fields, _CLIENT)),
        service=service,
        path=b"/" + parts[7] if len(parts) == 8 else b"",
        query=query if mark else None,
        raw_path=raw_path,
        fields=fields,
        id=message_id,
        request_id=request_id,
        security_server=_identifier(_last(fields, b"x-road-security-server"), 4, 4, XRoadServerUnknown),
        user_id=_last(fields, b"x-road-userid"),
        issue=_last(fields, b"x-road-issue"),
        represented_party=_identifier(_last(fields, b"x-road-represented-party"), 1, 2, XRoadRequestRefused),
    )


def check_security_server(call: XRoadCall, operator: str, node: str) -> None:
    """Raise XRoadServerUnknown if the call insists on another server than the provider's node.

    A node is named like a Security Server: its operator's three parts and its own id.
    """
    if call.security_server is not None and call.security_server != f"{operator}/{node}":
        raise XRoadServerUnknown(
            T("The provider is not served by the Security Server {server}."),
            mend=T("Leave X-Road-Security-Server out, or name the provider's node: {node}."),
            server=call.security_server[:200],
            node=f"{operator}/{node}",
        )


def request_hash(call: XRoadCall, body_sha512: bytes | None) -> str:
    """Base64 of SHA-512 over the head as it is forwarded, or over the digests of head and body where there is one."""
    target = call.raw_path if call.query is None else call.raw_path + b"?" + call.query
    lines = [call.method.encode("ascii"), target, *[name + b":" + value for name, value in call.fields]]
    head = hashlib.sha512(b"\r\n".join(lines) + b"\r\n").digest()
    whole = hashlib.sha512(head + body_sha512).digest() if body_sha512 else head
    return base64.b64encode(whole).decode("ascii")


def answer_headers(fields: Headers, call: XRoadCall, hashed: str) -> Headers:
    """Header fields for the client: the provider's own, then X-Road's five.  The listener adds the one Date."""
    return [*answer_fields(fields), *own_headers(call, hashed)]


def own_headers(call: XRoadCall, hashed: str) -> Headers:
    """X-Road's five fields of an answer."""
    return [
        (b"x-road-id", call.id.encode("latin-1", "replace")),
        (b"x-road-client", encoded_id(call.client)),
        (b"x-road-service", encoded_id(call.service)),
        (b"x-road-request-id", call.request_id.encode("ascii")),
        (b"x-road-request-hash", hashed.encode("ascii")),
    ]


@lru_cache(maxsize=_KNOWN_IDS)
def encoded_id(identifier: str) -> bytes:
    """``identifier`` as a field's value: each part percent-encoded for itself."""
    parts = [part.replace("%2F", "/").replace("%25", "%") for part in identifier.split("/")]
    return "/".join(quote(part, safe=_SAFE) for part in parts).encode("ascii")


def asked_instance(target: bytes) -> str | None:
    """The ``xRoadInstance`` of ``/listClients?xRoadInstance=XX``, or None."""
    return _parameter(target.partition(b"?")[2], b"xRoadInstance")


def asked_service_code(call: XRoadCall) -> str:
    """The ``serviceCode`` that getOpenAPI asks about.  Raises XRoadRequestRefused when there is none."""
    code = _parameter(call.query or b"", b"serviceCode")
    if not code:
        raise _refused(T("The parameter serviceCode is missing."))
    return code


def _parameter(query: bytes, name: bytes) -> str | None:
    for pair in query.split(b"&"):
        key, _, value = pair.partition(b"=")
        if key == name:
            return unquote_to_bytes(value.replace(b"+", b" ")).decode("utf-8", "replace")
    return None


def _surviving(headers: Headers) -> Headers:
    """The fields that are forwarded, in their order; of several clients the last, ids of the request dropped."""
    fields = [field for field in request_fields(headers) if field[0] not in _REPLACED]
    clients = [field for field in fields if field[0] == _CLIENT]
    if len(clients) > 1:
        last = clients[-1]
        fields = [field for field in fields if field[0] != _CLIENT or field is last]
    return fields


def _last(fields: Headers, name: bytes) -> str | None:
    for field, value in reversed(fields):
        if field == name:
            return value.decode("latin-1").strip()
    return None


@lru_cache(maxsize=_KNOWN_IDS)
def _service(raw: bytes) -> str:
    """The service's id from its five raw parts."""
    return "/".join(_part(part) for part in raw.split(b"/"))


@lru_cache(maxsize=_KNOWN_IDS)
def _client(value: str | None) -> str:
    if value is None:
        raise XRoadClientMissing(
            T("The field X-Road-Client is missing."),
            mend=T("Name the calling system: X-Road-Client: instance/class/member/subsystem."),
        )
    read = _identifier(value, 3, 4, XRoadClientMissing)
    assert read is not None  # noqa: S101 - only None gives None
    return read


def _identifier(value: str | None, least: int, most: int, refusal: type[Problem]) -> str | None:
    """The id in a field, its parts decoded; None when the field is absent."""
    if value is None:
        return None
    parts = value.split("/")
    if not least <= len(parts) <= most or not all(parts):
        raise refusal(
            T("An identifier in the header fields has the wrong number of parts: {count}."),
            mend=T("Give it as parts between slashes, each percent-encoded for itself."),
            count=len(parts),
        )
    return "/".join(_part(part.encode("latin-1", "replace")) for part in parts)


def _part(raw: bytes) -> str:
    """One decoded part of an identifier, in which a slash or percent sign stays encoded."""
    if not raw or not _SEGMENT.fullmatch(raw):
        raise _refused(T("Invalid character in path segment."))
    try:
        text = unquote_to_bytes(raw).decode("utf-8")
    except UnicodeDecodeError:
        raise _refused(T("An identifier is not percent-encoded UTF-8.")) from None
    if _ODD_LETTERS.search(text):
        raise _refused(T("Invalid character in path segment."))
    return text.replace("%", "%25").replace("/", "%2F")


def _refused(message: str, **facts: object) -> XRoadRequestRefused:
    return XRoadRequestRefused(message, mend=T("See the X-Road message protocol for REST."), **facts)
