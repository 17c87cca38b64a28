"""The strict request guard: what a request must look like before any code of ours sees it.

The parser (llhttp) already refuses folded lines, bare line feeds, wrong chunk sizes and two framings; it accepts a
missing or second Host, 20,000 header fields and kilobytes of chunk extensions.  Promises: whatever two HTTP programs
could read differently is refused, and what is too large, too slow or too much is refused early.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.i18n import T

_TARGET = re.compile(rb"/(?!/)[!-\"$-~]*")
"""Origin form in visible ASCII, no fragment; ``//host`` is read as an authority by some."""
_HOST = re.compile(rb"(?:[A-Za-z0-9._~!$&'()*+,;=%-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_SINGLE = frozenset(
    {
        b"host",
        b"content-length",
        b"transfer-encoding",
        b"content-type",
        b"content-digest",
        b"authorization",
        b"expect",
        b"upgrade",
        b"signature",
        b"signature-input",
        b"lienthong-client",
        b"lienthong-service",
        b"lienthong-purpose",
        b"lienthong-agreement",
        b"lienthong-exchange",
        b"lienthong-method",
    }
)
"""Fields of which a second one would leave open which counts."""


@dataclass(frozen=True, slots=True)
class RequestLimits:
    """What a listener accepts."""

    max_target_bytes: int = 8_192
    max_head_bytes: int = 32_768
    max_headers: int = 100
    max_body: int | None = 10 * 1024 * 1024
    """None where the application counts for itself."""
    max_connections: int = 2_000
    max_pipelined: int = 16
    """Requests a client may send ahead of their answers; with more, the connection ends after those."""
    head_s: float = 10.0
    """From a request's first byte, or the connection's start, to the end of the head; also the TLS handshake."""
    stall_s: float = 15.0
    """Window over which a body must keep up ``min_bytes_per_s``; longest time a client may leave an answer unread."""
    min_bytes_per_s: int = 500
    keep_alive_s: float = 75.0
    """An idle connection's life; must be longer than the client's own."""
    methods: frozenset[bytes] = frozenset({b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS"})
    ignore_h2c: bool = False
    """Answer ``Upgrade: h2c`` (Java's client offers it on plain links) in HTTP/1.1 rather than refuse it."""


class MalformedRequest(Problem):
    """The request breaks HTTP/1.1, or says something that two programs could read differently."""

    kind = "malformed-request"
    status = 400
    side = "caller"
    title = T("The request is not valid HTTP/1.1")


class TargetTooLong(Problem):
    """Path and query exceed the limit."""

    kind = "target-too-long"
    status = 414
    side = "caller"
    title = T("The address asked for is too long")


class HeadTooLarge(Problem):
    """Too many header fields, or too many bytes of them."""

    kind = "head-too-large"
    status = 431
    side = "caller"
    title = T("The request's header fields are too large")


class BodyTooLarge(Problem):
    """The body exceeds the listener's limit."""

    kind = "body-too-large"
    status = 413
    side = "caller"
    title = T("The request's body is too large")


class RequestTooSlow(Problem):
    """Head or body came too slowly."""

    kind = "request-too-slow"
    status = 408
    side = "caller"
    title = T("The request came too slowly")


class MethodUnknown(Problem):
    """A method this listener does not serve."""

    kind = "method-unknown"
    status = 501
    side = "caller"
    title = T("The request's method is not served here")


class VersionUnknown(Problem):
    """Another version of HTTP."""

    kind = "http-version"
    status = 505
    side = "caller"
    title = T("Only HTTP/1.1 is spoken here")


class TooManyConnections(Problem):
    """The listener holds as many connections as it may."""

    kind = "too-many-connections"
    status = 503
    side = "node"
    title = T("The node has too many connections")


def check_head(method: bytes, target: bytes, version: str, headers: Headers, limits: RequestLimits) -> Problem | None:
    """Why a parsed head is refused, or None.  Header names are lower-case."""
    if version != "1.1":
        return VersionUnknown(T("The request speaks HTTP/{version}."), version=version)
    if method not in limits.methods:
        shown = method.decode("ascii", "backslashreplace")
        return MethodUnknown(T("The method {method} is not served here."), method=shown)
    if not _TARGET.fullmatch(target):
        return malformed(T("The request's target must be a path in visible ASCII characters."))
    seen: dict[bytes, bytes] = {}
    for name, value in headers:
        if name in _SINGLE:
            if name in seen:
                return malformed(T("The field {field} is given twice."), field=name.decode("ascii"))
            seen[name] = value
    host = seen.get(b"host")
    if host is None or not _HOST.fullmatch(host):
        return malformed(T("The request needs one Host field with a host name."))
    length, coding = seen.get(b"content-length"), seen.get(b"transfer-encoding")
    if coding is not None:
        if length is not None:
            return malformed(T("The request states its length twice."))
        if coding.lower() != b"chunked":
            return malformed(T("The request uses a transfer encoding other than chunked."))
    elif length is not None:
        if not length.isdigit() or len(length) > 18:
            return malformed(T("The request's Content-Length is not a number."))
        if limits.max_body is not None and int(length) > limits.max_body:
            return too_large(limits.max_body)
    if b"upgrade" in seen:
        return malformed(T("The request asks to change the protocol."))
    if seen.get(b"expect", b"100-continue").lower() != b"100-continue":
        return malformed(T("The request expects something unknown."))
    return None


def malformed(message: str, **facts: object) -> MalformedRequest:
    """A MalformedRequest with the mend all of them share."""
    return MalformedRequest(message, mend=T("Mend the program that made the request."), **facts)


def too_large(limit: int) -> BodyTooLarge:
    """The body went over ``limit`` bytes."""
    return BodyTooLarge(
        T("The request's body is larger than {limit} bytes."), mend=T("Send less at a time."), limit=limit
    )


def refusal_bytes(problem: Problem) -> bytes:
    """The whole HTTP answer for a request refused before it was one; in English, since no language was read."""
    body = json.dumps(
        {
            "type": f"urn:lienthong:problem:{problem.kind}",
            "title": problem.title,
            "status": problem.status,
            "detail": problem.message.format(**problem.facts),
            "side": problem.side,
            "mend": problem.mend,
        }
    ).encode("ascii")
    return (
        b"HTTP/1.1 %d %b\r\ncontent-type: application/problem+json\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%b"
        % (problem.status, _PHRASES[problem.status], len(body), body)
    )


_PHRASES = {
    400: b"Bad Request",
    408: b"Request Timeout",
    413: b"Content Too Large",
    414: b"URI Too Long",
    431: b"Request Header Fields Too Large",
    501: b"Not Implemented",
    503: b"Service Unavailable",
    505: b"HTTP Version Not Supported",
}


def without_h2c(head: bytes) -> bytes:
    """``head`` (a request from its first byte) without its offer to speak HTTP/2, as RFC 9110, 7.8 allows to ignore it.

    Returned unchanged when the end of the head is not in it: the request is then refused as an upgrade.
    """
    end = head.find(b"\r\n\r\n")
    if end < 0:
        return head
    kept: list[bytes] = []
    for line in head[:end].split(b"\r\n"):
        name, _, value = line.partition(b":")
        field = name.lower()
        if field == b"http2-settings" or (field == b"upgrade" and value.strip() == b"h2c"):
            continue
        if field == b"connection":
            tokens = [token.strip() for token in value.split(b",")]
            tokens = [token for token in tokens if token.lower() not in (b"upgrade", b"http2-settings")]
            if not tokens:
                continue
            line = name + b": " + b", ".join(tokens)
        kept.append(line)
    return b"\r\n".join(kept) + head[end:]
