"""The server side of one connection: parser, request guard, turns of an ASGI application, the peer's certificate.

Promises: after a refusal nothing more is read; no request already accepted loses its own answer to the refusal of one
behind it; ``scope["state"]`` holds ``peer`` (SHA-256 of the client's certificate in hex, or None), ``target``
(path and query as they were sent) and ``gone`` (asked by a streaming application: whether the client has left).
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from dataclasses import dataclass, field
from typing import cast
from urllib.parse import unquote

import httptools

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
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
from lienthong.exchange.turn import App, Turn
from lienthong.i18n import T

_IDLE, _HEAD, _BODY = range(3)
_HELD_BYTES = 65_536
"""How much of a body is kept for an application that does not take it."""
_LINGER_S = 1.0
_FREE_CHUNKS = 1_000
_MIN_CHUNK_BYTES = 64
_MAX_BLANK_BYTES = 64


class _Refused(Exception):
    """Leaves the parser from a callback; the reason is kept on the connection."""


@dataclass(slots=True)
class Served:
    """What all connections of a listener share."""

    app: App
    limits: RequestLimits
    date_line: bytes = b""
    connections: set[Connection] = field(default_factory=lambda: set[Connection]())
    tasks: set[asyncio.Task[None]] = field(default_factory=set[asyncio.Task[None]])
    requests: int = 0
    stopping: bool = False


class Connection(asyncio.Protocol):
    """One connection of a listener."""

    def __init__(self, served: Served) -> None:
        self.served = served
        self.limits = served.limits
        self.write_paused = False
        self.peer: str | None = None
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpRequestParser(self)
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._scheme = "http"
        self._server: tuple[str, int] | None = None
        self._client: tuple[str, int] | None = None
        self._turn: Turn | None = None
        """The request being answered."""
        self._newest: Turn | None = None
        """The request read last; the same unless some were sent ahead."""
        self._ahead: deque[Turn] = deque()
        self._url = b""
        self._headers: Headers = []
        self._stage = _IDLE
        self._refusal: Problem | None = None
        self._refused = False
        self._since = self._loop.time()
        """When the present stage began, or its pace was last found good."""
        self._head_bytes = 0
        self._body_bytes = 0
        self._wire_bytes = 0
        self._chunks = 0
        self._mark_bytes = 0
        self._read_paused = False
        self._unread_since: float | None = None
        self._drain: asyncio.Event | None = None

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._server = _address(transport.get_extra_info("sockname"))
        self._client = _address(transport.get_extra_info("peername"))
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self._scheme = "https"
            certificate = tls.getpeercert(True)
            if certificate:
                self.peer = hashlib.sha256(certificate).hexdigest()
        self.served.connections.add(self)
        if len(self.served.connections) > self.limits.max_connections:
            self._refuse(
                TooManyConnections(
                    T("The node holds {limit} connections already."),
                    mend=T("Try again in a few seconds."),
                    limit=self.limits.max_connections,
                )
            )

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.served.connections.discard(self)
        for turn in (self._turn, *self._ahead):
            if turn is not None:
                turn.leave()
        self._ahead.clear()
        self.resume_writing()

    def eof_received(self) -> bool:
        return False

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        stage = self._stage
        if stage == _IDLE and self.limits.ignore_h2c and b"h2c" in data:
            data = without_h2c(data)
        try:
            self._wire_bytes += len(data)
            self._parser.feed_data(data)
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

    def pause_writing(self) -> None:
        self.write_paused = True
        self._unread_since = self._loop.time()

    def resume_writing(self) -> None:
        self.write_paused = False
        self._unread_since = None
        if self._drain is not None:
            self._drain.set()
            self._drain = None

    # -- httptools

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers = []
        self._stage = _HEAD
        self._since = self._loop.time()
        self._head_bytes = self._body_bytes = self._chunks = self._mark_bytes = 0
        if len(self._ahead) >= self.limits.max_pipelined:
            self._give_up(malformed(T("Too many requests were sent ahead of their answers.")))

    def on_url(self, url: bytes) -> None:
        self._url += url
        if len(self._url) > self.limits.max_target_bytes:
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
        headers = self._headers
        headers.append((name.lower(), value))
        if self._head_bytes > self.limits.max_head_bytes or len(headers) > self.limits.max_headers:
            self._give_up(_head_too_large(self.limits))

    def on_headers_complete(self) -> None:
        parser = self._parser
        method = parser.get_method()
        problem = check_head(method, self._url, parser.get_http_version(), self._headers, self.limits)
        if problem is not None:
            self._give_up(problem)
        path, _, query = self._url.partition(b"?")
        text = path.decode("ascii")
        scope = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "http_version": "1.1",
            "server": self._server,
            "client": self._client,
            "scheme": self._scheme,
            "root_path": "",
            "method": method.decode("ascii"),
            "path": unquote(text) if "%" in text else text,
            "raw_path": path,
            "query_string": query,
            "headers": self._headers,
            "state": {"peer": self.peer, "target": self._url, "gone": self._transport.is_closing},
        }
        keep_alive = parser.should_keep_alive() and not self.served.stopping
        # check_head has let through no other expectation than 100-continue.
        expects = any(name == b"expect" for name, _ in self._headers)
        self._newest = turn = Turn(self, scope, keep_alive=keep_alive, wants_continue=expects)
        self._stage = _BODY
        self._since = self._loop.time()
        if self._turn is None:
            self._start(turn)
        else:
            self._ahead.append(turn)
            self._pause_reading()

    def on_chunk_header(self) -> None:
        self._chunks += 1
        if self._chunks > _FREE_CHUNKS + self._body_bytes // _MIN_CHUNK_BYTES:
            self._give_up(malformed(T("The request's body is mostly chunk framing.")))

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self.limits.max_body is not None and self._body_bytes > self.limits.max_body:
            self._give_up(too_large(self.limits.max_body))
        turn = cast(Turn, self._newest)
        if turn.complete:
            return
        turn.feed(body)
        if turn.held_bytes > _HELD_BYTES:
            self._pause_reading()

    def on_message_complete(self) -> None:
        if self._chunks:
            self._check_framing()
        cast(Turn, self._newest).end()
        self._stage = _IDLE
        self._since = self._loop.time()
        self._wire_bytes = 0

    # -- what a turn asks of its connection

    @property
    def date_line(self) -> bytes:
        """The Date field of this second."""
        return self.served.date_line

    def write(self, data: bytes) -> None:
        """Send bytes of an answer."""
        self._transport.write(data)

    async def drained(self) -> None:
        """Wait until the client has read enough, or has gone."""
        while self.write_paused:
            if self._drain is None:
                self._drain = asyncio.Event()
            await self._drain.wait()

    def read_on(self) -> None:
        """Read from the client again, unless it has sent requests ahead."""
        if self._read_paused and not self._ahead and not self._transport.is_closing():
            self._read_paused = False
            self._transport.resume_reading()

    def cut(self) -> None:
        """End the connection at once."""
        self._transport.abort()

    def turn_over(self, turn: Turn) -> None:
        """``turn`` is answered: go on with the next request sent ahead, wait for one, or close."""
        self.served.requests += 1
        self._turn = None
        if self._transport.is_closing():
            return
        if not turn.keep_alive:
            self._close_gently()
        elif self._ahead:
            self._start(self._ahead.popleft())
        else:
            self._since = self._loop.time()
            self.read_on()

    def _start(self, turn: Turn) -> None:
        self._turn = turn
        task = self._loop.create_task(turn.run(self.served.app))
        self.served.tasks.add(task)
        task.add_done_callback(self.served.tasks.discard)

    def _pause_reading(self) -> None:
        if not self._read_paused:
            self._read_paused = True
            self._transport.pause_reading()

    # -- pace

    def check_pace(self, now: float) -> None:
        """End the connection if its client is too slow; called about once a second with the loop's time."""
        limits = self.limits
        if self._refused or self._transport.is_closing():
            return
        waited = now - self._since
        if self._unread_since is not None and now - self._unread_since > limits.stall_s:
            self._transport.abort()
        elif self._stage == _BODY:
            self._check_body_pace(now)
        elif self._stage == _HEAD:
            if waited > limits.head_s:
                self._refuse(_too_slow(T("The request's head took longer than {seconds} s."), limits.head_s))
        elif self._turn is None and waited > (limits.head_s if self._newest is None else limits.keep_alive_s):
            self._transport.close()

    def _check_body_pace(self, now: float) -> None:
        limits = self.limits
        if self._read_paused or cast(Turn, self._newest).waits_for_continue:
            self._since, self._mark_bytes = now, self._body_bytes
        elif now - self._since > limits.stall_s:
            if self._body_bytes - self._mark_bytes < limits.min_bytes_per_s * limits.stall_s:
                self._refuse(_too_slow(T("The request's body brought too little in {seconds} s."), limits.stall_s))
            self._since, self._mark_bytes = now, self._body_bytes

    def stop(self) -> None:
        """Close now if nothing is under way, else after the answers due."""
        if self._turn is None:
            self._transport.close()
        else:
            (self._ahead[-1] if self._ahead else self._turn).keep_alive = False

    # -- refusing

    def _check_amounts(self, stage_before: int) -> None:
        """Count what the parser swallows without a word: a head that does not end, blank lines, chunk extensions."""
        if self._stage == _HEAD:
            if self._wire_bytes > self.limits.max_head_bytes + self.limits.max_target_bytes:
                self._give_up(_head_too_large(self.limits))
        elif self._stage == _BODY:
            self._check_framing()
        elif stage_before == _IDLE and self._wire_bytes > _MAX_BLANK_BYTES:
            self._give_up(malformed(T("The connection brings blank lines only.")))

    def _check_framing(self) -> None:
        framing = self._wire_bytes - self._body_bytes - self._head_bytes
        if framing > self.limits.max_head_bytes + self.limits.max_target_bytes + 24 * self._chunks:
            self._give_up(malformed(T("The request's body is mostly chunk framing.")))

    def _give_up(self, problem: Problem) -> None:
        self._refusal = problem
        raise _Refused

    def _refuse(self, problem: Problem) -> None:
        """Answer ``problem`` where an answer is due to the request that caused it, and end the connection."""
        self._refused = True
        if self._transport.is_closing():
            return
        turn = self._turn
        if turn is None:
            # A body that turns bad after its request was answered has had its answer.
            self._close_gently() if self._stage == _BODY else self._say(problem)
        elif self._stage != _BODY:
            # The request refused came behind others on the same connection: those are answered, then it closes.
            (self._ahead[-1] if self._ahead else turn).keep_alive = False
        elif self._ahead:
            self._ahead.pop()
            (self._ahead[-1] if self._ahead else turn).keep_alive = False
        else:
            turn.leave()
            self._transport.abort() if turn.started else self._say(problem)

    def _say(self, problem: Problem) -> None:
        self._transport.write(refusal_bytes(problem))
        self._close_gently()

    def _close_gently(self) -> None:
        """Close so that what was written arrives: closing over unread bytes would reset the link at once."""
        self._refused = True
        if self._transport.can_write_eof() and (self._read_paused or self._stage != _IDLE or self._refusal):
            if self._read_paused:
                self._transport.resume_reading()
            self._transport.write_eof()
            self._loop.call_later(_LINGER_S, self._transport.abort)
        else:
            self._transport.close()


def _address(told: object) -> tuple[str, int] | None:
    """Host and port; IPv6 tells two more numbers, a Unix socket tells a path."""
    return cast("tuple[str, int]", told[:2]) if isinstance(told, tuple) else None


def _head_too_large(limits: RequestLimits) -> HeadTooLarge:
    return HeadTooLarge(
        T("The header fields exceed {bytes} bytes or {fields} fields."),
        mend=T("Send fewer or shorter header fields."),
        bytes=limits.max_head_bytes,
        fields=limits.max_headers,
    )


def _too_slow(message: str, seconds: float) -> RequestTooSlow:
    return RequestTooSlow(message, mend=T("Send faster, or less at a time."), seconds=seconds)
