"""One request and its answer, as an ASGI application sees them.

Promises: an application that breaks its promise (a wrong length, a field with a line break, no answer at all) ends the
connection or answers 500, and never leaves a client with half an answer that looks whole.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, cast

import structlog

from lienthong.exchange.answer import Headers

if TYPE_CHECKING:
    from lienthong.exchange.protocol import Connection

Message = dict[str, Any]
"""An ASGI message: its keys depend on its type, which the specification says better than a type would."""
App = Callable[[Any, Callable[[], Coroutine[Any, Any, Any]], Callable[[Any], Coroutine[Any, Any, None]]], Any]
"""An ASGI 3 application; its three parameters are spelled in as many ways as there are frameworks."""

_STATUS_LINES = {
    code: b"HTTP/1.1 %d %b\r\n"
    % (code, HTTPStatus(code).phrase.encode("ascii") if code in HTTPStatus._value2member_map_ else b"Unknown")
    for code in range(100, 600)
}
_ONE_WRITE_BYTES = 65_536
_FAILED = (
    b'{"type":"urn:lienthong:problem:internal","title":"The node failed","status":500,"side":"node",'
    b'"detail":"The application failed; its log says why."}'
)
log = structlog.get_logger("lienthong.listen")


class Turn:
    """One request on a connection; its ``receive`` and ``send`` are handed to the application."""

    __slots__ = (
        "_arrived",
        "_chunked",
        "_connection",
        "_head",
        "_left",
        "_pieces",
        "_taken",
        "_wants_continue",
        "bodiless",
        "complete",
        "gone",
        "held_bytes",
        "keep_alive",
        "received",
        "scope",
        "started",
    )

    def __init__(
        self, connection: Connection, scope: Mapping[str, Any], *, keep_alive: bool, wants_continue: bool
    ) -> None:
        self.scope = scope
        self.keep_alive = keep_alive
        self.bodiless = scope["method"] == "HEAD"
        self.received = False
        """Whether the whole request body has arrived."""
        self.started = False
        """Whether the application has begun its answer, sent or still held back."""
        self.complete = False
        self.gone = False
        """The client has left, or was refused."""
        self.held_bytes = 0
        self._connection = connection
        self._pieces: list[bytes] = []
        self._taken = False
        self._wants_continue = wants_continue
        self._arrived: asyncio.Event | None = None
        self._head: bytes | None = None
        self._left: int | None = None
        self._chunked = False

    @property
    def waits_for_continue(self) -> bool:
        """Whether the client holds its body back until it is asked for it."""
        return self._wants_continue

    async def run(self, app: App) -> None:
        """Let ``app`` answer; whatever it does, the connection is left in order."""
        try:
            await app(self.scope, self.receive, self.send)
        except asyncio.CancelledError:
            await self._break_off()
            raise
        except Exception as failure:
            if not self.gone:
                log.error("listen.application-failed", error=type(failure).__name__, exc_info=failure)
            await self._break_off()
        else:
            if not self.complete and not self.gone:
                log.error("listen.application-unfinished")
                await self._break_off()

    async def _break_off(self) -> None:
        """Say 500 where nothing was sent yet; else cut, for half an answer must not look whole."""
        if self.complete or self.gone:
            return
        self.keep_alive = False
        if self.started and self._head is None:
            self._connection.cut()
            return
        self.started, self._head = False, None
        fields = [(b"content-type", b"application/problem+json"), (b"content-length", b"%d" % len(_FAILED))]
        await self.send({"type": "http.response.start", "status": 500, "headers": fields})
        await self.send({"type": "http.response.body", "body": _FAILED})

    # -- the request's body

    def feed(self, piece: bytes) -> None:
        """A piece of the body has arrived."""
        self._pieces.append(piece)
        self.held_bytes += len(piece)
        if self._arrived is not None:
            self._arrived.set()

    def end(self) -> None:
        """The body is complete."""
        self.received = True
        if self._arrived is not None:
            self._arrived.set()

    def leave(self) -> None:
        """The client has gone: the application gets nothing more and sends to nobody."""
        self.gone = True
        if self._arrived is not None:
            self._arrived.set()

    async def receive(self) -> Message:
        """ASGI: the next part of the body, or the end of the connection."""
        if self._wants_continue and not self.started and not self.gone:
            self._connection.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        self._wants_continue = False
        while True:
            if self.gone or self.complete:
                return {"type": "http.disconnect"}
            if self._pieces or (self.received and not self._taken):
                pieces, self._pieces = self._pieces, []
                self._taken = self.received
                self.held_bytes = 0
                body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
                self._connection.read_on()
                return {"type": "http.request", "body": body, "more_body": not self.received}
            self._connection.read_on()
            self._arrived = asyncio.Event()
            await self._arrived.wait()

    # -- the answer

    async def send(self, message: Message) -> None:
        """ASGI: the head of the answer, or a part of its body."""
        if self._connection.write_paused:
            await self._connection.drained()
        if self.gone:
            return
        kind = message["type"]
        if kind == "http.response.start" and not self.started:
            self._begin(message["status"], list(message.get("headers", ())))
        elif kind == "http.response.body" and self.started and not self.complete:
            self._continue(message.get("body", b""), more=message.get("more_body", False))
        else:
            raise RuntimeError(f"the application sent {kind} out of turn")

    def _begin(self, status: int, headers: Headers) -> None:
        """Make the head; it leaves with the first piece of the body, so that a small answer is one write."""
        lines = [_STATUS_LINES[status], self._connection.date_line]
        for raw, value in headers:
            name = raw.lower()
            if name == b"date" or (name == b"content-length" and status == 204):
                continue
            if name == b"content-length":
                self._left = int(value)
            elif name == b"transfer-encoding":
                continue
            elif name == b"connection":
                if b"close" in value.lower():
                    self.keep_alive = False
                continue
            lines.append(b"%b: %b\r\n" % (name, value))
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines) or b"\0" in head:
            raise RuntimeError("the application sent a header field with a line break")
        self.started = True
        if status in (204, 304) or status < 200:
            self.bodiless = True
        self._head = head

    def _continue(self, body: bytes, *, more: bool) -> None:
        out = self._framed_head(body, more=more) if self._head is not None else b""
        if self.bodiless:
            body = b""
        elif self._chunked:
            if body:
                body = b"%x\r\n%b\r\n" % (len(body), body)
            if not more:
                body += b"0\r\n\r\n"
        elif self._left is not None:
            self._left -= len(body)
            if self._left < 0 or (self._left and not more):
                self._left = None
                raise RuntimeError("the application's answer differs from the length it stated")
        self._head = None
        if len(body) < _ONE_WRITE_BYTES:
            out, body = out + body, b""
        if out:
            self._connection.write(out)
        if body:
            self._connection.write(body)
        if not more:
            self.complete = True
            self._connection.turn_over(self)

    def _framed_head(self, body: bytes, *, more: bool) -> bytes:
        """The head with what frames the body: its own length, the one piece's length, or chunks."""
        head = cast(bytes, self._head)
        if self._left is None and not self.bodiless:
            if more:
                self._chunked = True
                head += b"transfer-encoding: chunked\r\n"
            else:
                head += b"content-length: %d\r\n" % len(body)
        return head + (b"\r\n" if self.keep_alive else b"connection: close\r\n\r\n")
