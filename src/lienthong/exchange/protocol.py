"""The server side of one connection: uvicorn's protocol behind the request guard, and the peer's certificate.

Uses internals of uvicorn's HttpToolsProtocol (``cycle``, ``pipeline``, ``flow``, ``scope``), which is why its version
is pinned; each use has a test on a raw socket.  Promises: after a refusal nothing more is read, no request already
accepted loses its own answer to the refusal, and ``scope["state"]`` holds ``peer`` (SHA-256 of the client's
certificate in hex, or None) and ``target`` (path and query as they were sent).
"""

from __future__ import annotations

import asyncio
import hashlib
from typing import TYPE_CHECKING, cast

import httptools
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from lienthong.errors import Problem
from lienthong.exchange.guard import (
    HeadTooLarge,
    RequestLimits,
    RequestTooSlow,
    TargetTooLong,
    TooManyConnections,
    check_head,
    malformed,
    refusal_bytes,
    too_large,
    without_h2c,
)
from lienthong.i18n import T

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application
    from uvicorn.config import Config
    from uvicorn.server import ServerState

_IDLE, _HEAD, _BODY = range(3)
_LINGER_S = 1.0
_FREE_CHUNKS = 1_000
_MIN_CHUNK_BYTES = 64
_MAX_BLANK_BYTES = 64


class _Refused(Exception):
    """Leaves the parser from a callback; the reason is kept on the protocol."""


class GuardedProtocol(HttpToolsProtocol):
    """One connection of a listener."""

    def __init__(self, config: Config, server_state: ServerState, limits: RequestLimits) -> None:
        super().__init__(config=config, server_state=server_state, app_state={})
        self._http = cast(httptools.HttpRequestParser, self.parser)
        # uvicorn lets bytes follow a request that said "Connection: close"; nobody should read those as a request.
        self._http.set_dangerous_leniencies(lenient_data_after_close=False)
        self.limits = limits
        self._peer: str | None = None
        self._stage = _IDLE
        self._refusal: Problem | None = None
        self._refused = False
        self._since = self.loop.time()
        self._head_bytes = 0
        self._body_bytes = 0
        self._wire_bytes = 0
        self._chunks = 0
        self._mark_bytes = 0
        self._unread_since: float | None = None
        self._running: RequestResponseCycle | None = None

    # -- asyncio

    def connection_made(self, transport: asyncio.Transport) -> None:
        super().connection_made(transport)
        tls = transport.get_extra_info("ssl_object")
        certificate = tls.getpeercert(True) if tls is not None else None
        if certificate:
            self._peer = hashlib.sha256(certificate).hexdigest()
        if len(self.connections) > self.limits.max_connections:
            self._refuse(
                TooManyConnections(
                    T("The node holds {limit} connections already."),
                    mend=T("Try again in a few seconds."),
                    limit=self.limits.max_connections,
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._unset_keepalive_if_required()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        self._unset_keepalive_if_required()
        stage = self._stage
        if stage == _IDLE and self.limits.ignore_h2c and b"h2c" in data:
            data = without_h2c(data)
        try:
            self._wire_bytes += len(data)
            self._http.feed_data(data)
            self._check_amounts(stage)
        except _Refused:
            pass
        except httptools.HttpParserUpgrade:
            self._refusal = malformed(T("The request asks to change the protocol."))
        except httptools.HttpParserError as error:
            self._refusal = self._refusal or malformed(
                T("The request is not valid HTTP/1.1: {reason}."), reason=str(error).rstrip(".")
            )
        if self._refusal is not None:
            self._refuse(self._refusal)

    def _check_amounts(self, stage_before: int) -> None:
        """Count what the parser swallows without a word: a head that does not end, blank lines, chunk extensions."""
        if self._stage == _HEAD:
            if self._wire_bytes > self.limits.max_head_bytes + self.limits.max_target_bytes:
                self._give_up(_head_too_large(self.limits))
        elif self._stage == _IDLE and stage_before == _IDLE and self._wire_bytes > _MAX_BLANK_BYTES:
            self._give_up(malformed(T("The connection brings blank lines only.")))
        elif self._stage == _BODY:
            self._check_framing()

    def _check_framing(self) -> None:
        framing = self._wire_bytes - self._body_bytes - self._head_bytes
        if framing > self.limits.max_head_bytes + self.limits.max_target_bytes + 24 * self._chunks:
            self._give_up(malformed(T("The request's body is mostly chunk framing.")))

    def pause_writing(self) -> None:
        super().pause_writing()
        self._unread_since = self.loop.time()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._unread_since = None

    # -- httptools

    def on_message_begin(self) -> None:
        super().on_message_begin()
        state = self.scope["state"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - uvicorn always sets it
        state["peer"] = self._peer
        self._stage = _HEAD
        self._since = self.loop.time()
        self._head_bytes = self._body_bytes = self._chunks = self._mark_bytes = 0
        if len(self.pipeline) >= self.limits.max_pipelined:
            self._give_up(malformed(T("Too many requests were sent ahead of their answers.")))

    def on_url(self, url: bytes) -> None:
        super().on_url(url)
        if len(self.url) > self.limits.max_target_bytes:
            self._give_up(
                TargetTooLong(
                    T("Path and query are longer than {limit} bytes."),
                    mend=T("Send what was asked for in the body of a POST."),
                    limit=self.limits.max_target_bytes,
                )
            )

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._stage == _BODY:
            self._give_up(malformed(T("The request carries trailer fields.")))
        self._head_bytes += len(name) + len(value) + 4
        super().on_header(name, value)
        if self._head_bytes > self.limits.max_head_bytes or len(self.headers) > self.limits.max_headers:
            self._give_up(_head_too_large(self.limits))

    def on_headers_complete(self) -> None:
        problem = check_head(
            self._http.get_method(), self.url, self._http.get_http_version(), self.headers, self.limits
        )
        if problem is not None:
            self._give_up(problem)
        state = self.scope["state"]  # pyright: ignore[reportTypedDictNotRequiredAccess] - uvicorn always sets it
        state["target"] = self.url
        super().on_headers_complete()
        self._stage = _BODY
        self._since = self.loop.time()

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS + self._body_bytes // _MIN_CHUNK_BYTES:
            self._give_up(malformed(T("The request's body is mostly chunk framing.")))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self.limits.max_body is not None and self._body_bytes > self.limits.max_body:
            self._give_up(too_large(self.limits.max_body))
        super().on_body(body)

    def on_message_complete(self) -> None:
        if self._chunks:
            self._check_framing()
        super().on_message_complete()
        self._stage = _IDLE
        self._since = self.loop.time()
        self._wire_bytes = 0

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: ASGI3Application) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    # -- pace

    def check_pace(self, now: float) -> None:
        """End the connection if its client is too slow; called about once a second with the loop's time."""
        limits = self.limits
        if self._refused or self.transport.is_closing():
            return
        waited = now - self._since
        if self._unread_since is not None and now - self._unread_since > limits.stall_s:
            self.transport.abort()
        elif self._stage == _BODY:
            self._check_body_pace(now)
        elif self._stage == _HEAD:
            if waited > limits.head_s:
                self._refuse(_too_slow(T("The request's head took longer than {seconds} s."), limits.head_s))
        elif self._running is None:
            if waited > limits.head_s:
                self.transport.abort()
        elif self._running.response_complete and self.timeout_keep_alive_task is None and waited > limits.keep_alive_s:
            # Blank lines stopped the keep-alive timer and no request followed.
            self.transport.abort()

    def _check_body_pace(self, now: float) -> None:
        limits = self.limits
        if self.flow.read_paused or self.cycle.waiting_for_100_continue:
            self._since, self._mark_bytes = now, self._body_bytes
        elif now - self._since > limits.stall_s:
            if self._body_bytes - self._mark_bytes < limits.min_bytes_per_s * limits.stall_s:
                self._refuse(_too_slow(T("The request's body brought too little in {seconds} s."), limits.stall_s))
            self._since, self._mark_bytes = now, self._body_bytes

    # -- refusing

    def _give_up(self, problem: Problem) -> None:
        self._refusal = problem
        raise _Refused

    def _refuse(self, problem: Problem) -> None:
        """Answer ``problem`` where an answer is due to the request that caused it, and end the connection."""
        self._refused = True
        cycle = cast("RequestResponseCycle | None", self.cycle)
        if self.transport.is_closing():
            return
        if cycle is None or cycle.response_complete:
            self._say(problem)
            return
        if self._stage != _BODY:
            # The request refused came behind others on the same connection: those are answered, then it closes.
            cycle.keep_alive = False
            return
        if self.pipeline and self.pipeline[0][0] is cycle:
            self.pipeline.popleft()
            last = self.pipeline[0][0] if self.pipeline else self._running
            if last is not None:
                last.keep_alive = False
            return
        cycle.disconnected = True
        cycle.message_event.set()
        if cycle.response_started:
            self.transport.abort()
        else:
            self._say(problem)

    def _say(self, problem: Problem) -> None:
        """Write the refusal and close so that it arrives: closing over unread bytes would reset the link at once."""
        self.transport.write(refusal_bytes(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
            self.loop.call_later(_LINGER_S, self.transport.abort)
        else:
            self.transport.close()


def _head_too_large(limits: RequestLimits) -> HeadTooLarge:
    return HeadTooLarge(
        T("The header fields exceed {bytes} bytes or {fields} fields."),
        mend=T("Send fewer or shorter header fields."),
        bytes=limits.max_head_bytes,
        fields=limits.max_headers,
    )


def _too_slow(message: str, seconds: float) -> RequestTooSlow:
    return RequestTooSlow(message, mend=T("Send faster, or less at a time."), seconds=seconds)
