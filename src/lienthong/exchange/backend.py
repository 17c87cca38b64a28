"""The hop to a service's HTTP back end: a publisher-chosen address, strict limits, nothing of ours leaking.

Promises: redirects are passed on, never followed; nothing is sent twice but a safe method over a dead link; the
back end's address stands in no problem; its header fields can not pass for ours.
"""

from __future__ import annotations

import ssl
from collections.abc import Mapping
from dataclasses import replace
from typing import cast
from urllib.parse import urlsplit

from lienthong.catalog.models import HttpSource, Service
from lienthong.errors import Problem
from lienthong.exchange.answer import Answer, AnswerTooLarge, Headers, PeerTimeout, Spill
from lienthong.exchange.breaker import Breaker, LeftAlone
from lienthong.exchange.client import Flow, HttpClient, Origin
from lienthong.exchange.outgoing import Large
from lienthong.exchange.outward import INSIDE, Outward
from lienthong.exchange.paths import decoded_path, joined_target, path_matches
from lienthong.exchange.signed import Incoming
from lienthong.i18n import T

_SAFE = frozenset({"GET", "HEAD", "OPTIONS", "TRACE"})
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_IDLE_S = 4.0
"""Common servers let go of an idle link after 5 s."""

_HOP_FIELDS = frozenset(
    {
        b"connection",
        b"keep-alive",
        b"proxy-authenticate",
        b"proxy-authorization",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
        b"host",
        b"user-agent",
        b"server",
        b"content-length",
        b"expect",
    }
)
"""Dropped in both directions, as X-Road does (and Proxy-Connection, which nobody should send)."""
_OUR_FIELDS = frozenset({b"signature", b"signature-input", b"content-digest", b"x-road-request-hash"})
_REQUEST_DROPPED = _HOP_FIELDS | _OUR_FIELDS | {b"accept-encoding"}
_ANSWER_DROPPED = (
    _HOP_FIELDS
    | _OUR_FIELDS
    | {b"date", b"x-road-id", b"x-road-client", b"x-road-service", b"x-road-request-id", b"x-road-error"}
)


class ServiceFailed(Problem):
    """The back end is down, or its answer breaks HTTP."""

    kind = "service-failed"
    status = 502
    side = "provider"
    title = T("The provider's service failed")


class ServiceTimeout(Problem):
    """The back end did not answer within the service's time."""

    kind = "service-timeout"
    status = 504
    side = "provider"
    title = T("The provider's service did not answer in time")


class ServiceAnswerTooLarge(Problem):
    """The back end's answer exceeds what a call may carry."""

    kind = "service-answer-too-large"
    status = 502
    side = "provider"
    title = T("The service's answer is too large for a call")


class EndpointUnknown(Problem):
    """The service has no endpoint with this method and path."""

    kind = "endpoint-unknown"
    status = 404
    side = "caller"
    title = T("The service has no such endpoint")


class BackendAddressNotValid(Problem):
    """The address of a back end can not be used."""

    kind = "backend-address-not-valid"
    status = 422
    side = "provider"
    title = T("The address of the service's back end can not be used")


class Backend:
    """Forwards calls to back ends; belongs to one event loop."""

    def __init__(
        self, client: HttpClient, max_body: int, spill: Spill | None = None, breaker: Breaker | None = None,
        rule: Outward = INSIDE,
    ) -> None:  # fmt: skip
        """``max_body``: most bytes of an answer's body; ``spill``: from when on an answer may be streamed.

        ``rule``: where the address of a back end that an officer typed may lead to.
        """
        self._rule = rule
        self._breaker = breaker or Breaker()
        self._client = client
        self._max_body = max_body
        self._spill = spill
        self._origins: dict[tuple[str, str | None, bool], tuple[Origin, bytes]] = {}

    async def call(self, service: Service, incoming: Incoming, rest: bytes, may_stream: bool) -> Answer | Flow:
        """Forward a message's call; a large answer as a Flow where it ``may_stream``.  Raises what ``forward`` does."""
        spill = self._spill if may_stream else None
        body = incoming.large or incoming.body
        return await self.fetch(service, incoming.method, rest, listed(incoming.headers), body, spill)

    async def forward(self, service: Service, method: str, rest: bytes, fields: Headers, body: bytes) -> Answer:
        """Call the back end of ``service`` with path and query ``rest``; the answer without what is not its own.

        Raises PathRefused, EndpointUnknown, ServiceFailed, ServiceTimeout, ServiceAnswerTooLarge, LeftAlone.
        """
        return cast("Answer", await self.fetch(service, method, rest, fields, body, None))

    async def fetch(
        self, service: Service, method: str, rest: bytes, fields: Headers, body: bytes | Large, spill: Spill | None
    ) -> Answer | Flow:
        """As ``forward``; an answer for which ``spill`` holds comes as a Flow, whose reader closes it."""
        source = service.source
        if not isinstance(source, HttpSource):
            raise BackendAddressNotValid(T("{service} has no HTTP back end."), service=service.id)
        _check_endpoint(service, method, rest.partition(b"?")[0])
        origin, base_path = self._origin(source)
        sent = request_fields(fields)
        try:
            with self._breaker.watching(source.url, service.id):
                answer = await self._client.fetch(
                    origin,
                    method,
                    joined_target(base_path, rest),
                    (lambda: sent) if method in _SAFE else sent,
                    body if method in _WITH_BODY else b"",
                    deadline_s=source.timeout_s,
                    max_body=self._max_body,
                    spill=spill,
                )
        except LeftAlone:
            raise
        except PeerTimeout:
            raise ServiceTimeout(
                T("{service} did not answer within {seconds} s."),
                mend=T("Try again later; if it lasts, tell the provider."),
                service=service.id,
                seconds=source.timeout_s,
            ) from None
        except AnswerTooLarge:
            raise ServiceAnswerTooLarge(
                T("The answer of {service} is larger than {limit} bytes."),
                mend=T("Ask for less at a time, or take the table instead of calling."),
                service=service.id,
                limit=self._max_body,
            ) from None
        except Problem as failure:
            raise ServiceFailed(
                T("{service} failed: {cause}."),
                mend=T("Try again later; if it lasts, tell the provider: only there it can be mended."),
                service=service.id,
                cause=failure.kind,
            ) from failure
        if isinstance(answer, Flow):
            answer.headers = answer_fields(answer.headers)
            return answer
        return Answer(answer.status, answer_fields(answer.headers), answer.body)

    def _origin(self, source: HttpSource) -> tuple[Origin, bytes]:
        key = (source.url, source.ca, source.guarded)
        known = self._origins.get(key)
        if known is None:
            origin, path = backend_origin(source.url, source.ca)
            known = self._origins[key] = (replace(origin, rule=self._rule) if source.guarded else origin, path)
        return known


def backend_origin(url: str, ca: str | None = None) -> tuple[Origin, bytes]:
    """Where ``url`` points, and its path.

    ``ca``: PEM file of the authority of the back end's certificate, None for the system's.  Raises
    BackendAddressNotValid for anything but plain http or https without credentials, query and fragment.
    """
    try:
        parts = urlsplit(url)
        port = parts.port or (443 if parts.scheme == "https" else 80)
        host = (
            (parts.hostname or "").encode("idna").decode("ascii")
            if ":" not in (parts.hostname or "")
            else parts.hostname
        )
        path = parts.path.encode("ascii")
        if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc or "?" in url or "#" in url:
            raise ValueError("form")
        if any(not "!" <= letter <= "~" for letter in parts.netloc + parts.path):
            raise ValueError("letters")
        decoded_path(path)
        tls = _context(ca) if parts.scheme == "https" else None
    except (ValueError, OSError, ssl.SSLError, Problem):
        raise BackendAddressNotValid(
            T("The address of the back end must be http:// or https:// with host and path only."),
            mend=T("Leave out credentials, query and fragment; give the authority's file where it is not a known one."),
        ) from None
    return Origin(host or "", port, tls, idle_s=_IDLE_S), path


def request_fields(fields: Headers) -> Headers:
    """The fields of a call that a back end gets, names lower-case: all but those of the hop and of our messages.

    Accept-Encoding is left out too: an agreement may have to look into the answer.
    """
    return _kept(fields, _REQUEST_DROPPED)


def answer_fields(fields: Headers) -> Headers:
    """The fields of a back end's answer that are passed on: none of the hop's, none that only a node may set."""
    return _kept(fields, _ANSWER_DROPPED)


def _kept(fields: Headers, dropped: frozenset[bytes]) -> Headers:
    lowered = [(name.lower(), value) for name, value in fields]
    kept = [field for field in lowered if field[0] not in dropped and not field[0].startswith(b"lienthong-")]
    nominated: set[bytes] = set()
    for name, value in lowered:
        if name == b"connection":  # RFC 9110, 7.6.1: the fields it names belong to the hop
            nominated.update(token.strip().lower() for token in value.split(b","))
    return [field for field in kept if field[0] not in nominated] if nominated else kept


def merged(fields: Headers) -> dict[str, str]:
    """``fields`` by lower-case name; several of one name joined as RFC 9110, 5.3 allows (Cookie by ``; ``).

    Set-Cookie can not be joined: the last one stays.
    """
    by_name: dict[str, str] = {}
    for raw, value in fields:
        name, text = raw.decode("latin-1").lower(), value.decode("latin-1")
        if name in by_name and name != "set-cookie":
            text = by_name[name] + ("; " if name == "cookie" else ", ") + text
        by_name[name] = text
    return by_name


def listed(fields: Mapping[str, str]) -> Headers:
    """The reverse of ``merged``."""
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()]


def _check_endpoint(service: Service, method: str, path: bytes) -> None:
    decoded_path(path)
    if not service.endpoints:
        return
    if not any(e.method in (method, "*") and path_matches(e.path, path) for e in service.endpoints):
        raise EndpointUnknown(
            T("{service} has no endpoint with the method {method} and this path."),
            mend=T("Look at the service's description for its endpoints."),
            service=service.id,
            method=method,
        )


def _context(ca: str | None) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=ca)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    return context
