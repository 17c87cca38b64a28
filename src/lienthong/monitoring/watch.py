"""Watching calls as they pass a listener: an ASGI wrapper that notes times, sizes and outcome of each, and no more.

On the hot path it makes one tuple; what it means (names, counters, objects) is worked out later, many calls at once.
Promises: the buffer is bounded, and what does not fit is counted; nothing of a body is looked at.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Protocol

Side = Literal["consumer", "provider"]
MOST_KEPT: Final = 20_000
"""Calls between two flushes; as many as X-Road keeps in memory."""
Message = Mapping[str, Any]
"""An ASGI message."""
Receive = Callable[[], Awaitable[Any]]
Send = Callable[[Any], Awaitable[None]]
App = Callable[[Any, Receive, Send], Awaitable[None]]


class Seen(NamedTuple):
    """One call as a listener saw it; times are seconds since 1970, 0.0 where nothing was sent on."""

    side: Side
    started: float
    sent_on: float
    came_back: float
    ended: float
    method: bytes
    target: bytes
    """Path and query as on the wire: may name a person, never leaves memory."""
    client: bytes
    service: bytes
    exchange: bytes
    request_bytes: int
    response_bytes: int
    status: int
    fault: bytes


class Span(Protocol):
    """A trace's span as far as a listener uses it."""

    def header(self) -> str:
        """The ``traceparent`` that names this span (W3C Trace Context)."""
        ...

    def child(self, name: str) -> Span:
        """A span of what is sent on."""
        ...

    def end(self, status: int) -> None:
        """The work is done, with an HTTP status."""
        ...


StartSpan = Callable[[Side, str | None], Span]
"""Side and the caller's ``traceparent`` -> a span; given only where traces are on."""


@dataclass(slots=True)
class Hop:
    """What the parts that send a call on tell the wrapper around it."""

    exchange: str = ""
    sent_on: float = 0.0
    came_back: float = 0.0
    span: Span | None = None


HOP: ContextVar[Hop | None] = ContextVar("lienthong-hop", default=None)


class Buffer:
    """Calls seen since the last ``take``."""

    def __init__(self, most: int = MOST_KEPT) -> None:
        self._most = most
        self._seen: list[Seen] = []
        self.dropped = 0
        """Calls that found no room, ever."""

    def add(self, seen: Seen) -> None:
        """Keep ``seen``, or count that it was dropped."""
        if len(self._seen) < self._most:
            self._seen.append(seen)
        else:
            self.dropped += 1

    def take(self) -> list[Seen]:
        """What was kept, which is thereby let go."""
        seen, self._seen = self._seen, []
        return seen


_FIELDS: Final[Mapping[bytes, int]] = {
    b"x-road-client": 0,
    b"lienthong-client": 0,
    b"lienthong-service": 1,
    b"lienthong-exchange": 2,
    b"lienthong-method": 3,
    b"content-length": 4,
    b"traceparent": 5,
}
_FAULTS: Final = frozenset({b"x-road-error", b"lienthong-problem"})


class Watched:
    """An ASGI application whose calls under ``prefix`` are noted."""

    def __init__(
        self, app: App, side: Side, prefix: bytes, buffer: Buffer, start_span: StartSpan | None = None
    ) -> None:
        self._app = app
        self._side: Side = side
        self._prefix = prefix
        self._buffer = buffer
        self._start_span = start_span

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        target: bytes = scope["state"]["target"]
        if not target.startswith(self._prefix):
            await self._app(scope, receive, send)
            return
        started = time.time()
        named = [b"", b"", b"", b"", b"", b""]
        for field, value in scope["headers"]:
            if field in _FIELDS:
                named[_FIELDS[field]] = value
        hop = Hop()
        if self._start_span is not None:
            hop.span = self._start_span(self._side, named[5].decode("latin-1") or None)
        HOP.set(hop)
        status = size = 0
        fault = b""

        async def noting(message: Message) -> None:
            nonlocal status, size, fault
            if message["type"] == "http.response.start":
                status = message["status"]
                for field, value in message["headers"]:
                    if field in _FAULTS:
                        fault = value
            else:
                size += len(message.get("body", b""))
            await send(message)

        try:
            await self._app(scope, receive, noting)
        finally:
            self._buffer.add(
                Seen(
                    self._side, started, hop.sent_on, hop.came_back, time.time(),
                    named[3] or scope["method"].encode("ascii"), target, named[0], named[1],
                    hop.exchange.encode() or named[2], int(named[4]) if named[4].isdigit() else 0, size, status, fault,
                )
            )  # fmt: skip
            if hop.span is not None:
                hop.span.end(status)
