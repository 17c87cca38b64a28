"""One HTTP/1.1 connection to another server, carrying one exchange at a time.

Promises: an answer is delivered whole and well-formed, or as a Problem; a link that saw anything odd is never used
again; every wait has an end.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections import deque
from collections.abc import Callable
from typing import cast

import httptools

from lienthong.exchange.answer import (
    Answer,
    AnswerTooLarge,
    BadAnswer,
    Headers,
    Limits,
    PeerClosed,
    PeerClosedAfterHandshake,
    PeerTimeout,
    Spill,
)
from lienthong.i18n import T

_MAX_INTERIM = 8
_STREAM_HIGH_BYTES = 262_144
_STREAM_LOW_BYTES = 65_536
ASK_OPERATOR = T("Tell the operator of {peer}; the call can be tried again.")


class LinkDied(Exception):
    """A reused link closed before any byte of an answer was read: the other side had most likely let it go already."""


class Link(asyncio.Protocol):
    """The connection, its parser and the exchange under way."""

    def __init__(
        self, peer: str, limits: Limits, loop: asyncio.AbstractEventLoop, lost: Callable[[Link], None]
    ) -> None:
        self.peer = peer
        """``host:port``, for messages."""
        self.fingerprint: str | None = None
        """SHA-256 of the other side's certificate (DER), in hex; None on a plain link."""
        self.answers = 0
        """Answers read on this link so far."""
        self.idle_until = 0.0
        self.closed = False
        self.on_silence: Callable[[], None] | None = None
        """Told every ``silent_s`` seconds that the answer has not begun; None: nobody looks."""
        self._silent_until = 0.0
        self._limits = limits
        self._loop = loop
        self._lost = lost
        self._transport: asyncio.Transport = cast(asyncio.Transport, None)
        self._parser: httptools.HttpResponseParser | None = None
        self._writable: asyncio.Future[None] | None = None
        self._write_paused = False
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[Answer] | None = None
        self._reset(head_only=False, max_body=None, streamed=False)

    def _reset(self, *, head_only: bool, max_body: int | None, streamed: bool, spill: Spill | None = None) -> None:
        self._spill = spill
        self._head_only = head_only
        self._max_body = max_body
        self._streamed = streamed
        self._problem: Exception | None = None
        self._status = 0
        self._headers: Headers = []
        self._pieces: deque[bytes] = deque()
        self._body_bytes = 0
        self._held_bytes = 0
        self._fed_bytes = 0
        self._head_bytes = 0
        self._interim = 0
        self._in_head = True
        self._heard = False
        self._complete = False
        self._keep_alive = False
        self._length: bytes | None = None
        self._chunked = False
        self._until_eof = False
        self._paused = False
        self._arrival: asyncio.Future[None] | None = None

    # -- the exchange, as its caller sees it

    @property
    def reusable(self) -> bool:
        """Whether the last exchange left the link fit for another."""
        return self._complete and self._keep_alive and not self.closed and not self._transport.is_closing()

    @property
    def silent(self) -> bool:
        """Whether a request is under way of whose answer no byte has come for as long as that is worth a look."""
        waits = self._waiter is not None and not self._heard and not self._complete
        return waits and self._loop.time() - self._last_move >= self._limits.silent_s

    @property
    def streams(self) -> bool:
        """Whether the answer delivered was its head only, and ``piece`` gives the rest."""
        return self._streamed

    def ask(
        self,
        request: bytes,
        *,
        head_only: bool,
        max_body: int | None,
        deadline: float,
        streamed: bool = False,
        spill: Spill | None = None,
    ) -> asyncio.Future[Answer]:
        """Send ``request`` (head, or head and body) and return the future of its answer.

        ``deadline`` is a time of the event loop.  A streamed answer comes as soon as its head is read, with an empty
        body; ``piece`` then gives the rest; ``spill`` says when an answer becomes one on the way.  Fails with LinkDied
        or a Problem of ``answer.py``.
        """
        self._reset(head_only=head_only, max_body=max_body, streamed=streamed, spill=spill)
        if self._parser is None:
            self._parser = httptools.HttpResponseParser(self)
        self._deadline = deadline
        self._asked_at = self._last_move = self._loop.time()
        self._silent_until = self._asked_at + self._limits.silent_s
        self._waiter = waiter = self._loop.create_future()
        if self.closed:
            self._fail(self._why_closed())
            return waiter
        self._transport.write(request)
        self._arm()
        return waiter

    async def send(self, piece: bytes) -> bool:
        """Send a piece of a streamed request body, waiting while the other side does not read.

        False when the answer is already complete or the link gone: nobody reads any further.
        """
        if self._write_paused and not self.closed:
            self._writable = self._loop.create_future()
            await self._writable
        if self.closed or self._complete:
            return False
        self._last_move = self._loop.time()
        self._silent_until = self._last_move + self._limits.silent_s
        self._transport.write(piece)
        return True

    async def piece(self) -> bytes:
        """The next piece of a streamed answer's body; empty at its end."""
        while not self._pieces:
            if self._problem is not None:
                raise self._problem
            if self._complete:
                return b""
            self._arrival = self._loop.create_future()
            await self._arrival
        piece = self._pieces.popleft()
        self._held_bytes -= len(piece)
        if self._paused and self._held_bytes < _STREAM_LOW_BYTES:
            self._read_on()
        return piece

    def leave(self) -> None:
        """Close an unused link in order, so that the other side sees a handshake and a farewell."""
        self._transport.close()

    def abort(self) -> None:
        """Close at once, dropping what is under way."""
        self._disarm()
        self._complete = self._keep_alive = False
        if not self.closed:
            self._transport.abort()

    # -- asyncio

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        tls = transport.get_extra_info("ssl_object")
        if tls is not None:
            self.fingerprint = hashlib.sha256(tls.getpeercert(True)).hexdigest()

    def data_received(self, data: bytes) -> None:
        if self._waiter is None or self._complete or self._parser is None:
            # Bytes nobody asked for: whatever they are, they must not become the answer to the next request.
            self._keep_alive = False
            self._transport.abort()
            return
        self._heard = True
        self._last_move = self._loop.time()
        self._fed_bytes += len(data)
        try:
            self._parser.feed_data(data)
            if self._in_head:
                self._head_bytes += len(data)
                if self._head_bytes > self._limits.max_head_bytes:
                    raise self._bad(
                        T("The head of the answer of {peer} is longer than {limit} bytes."),
                        limit=self._limits.max_head_bytes,
                    )
            elif self._fed_bytes > 8 * self._body_bytes + 4 * self._limits.max_head_bytes:
                raise self._bad(T("The answer of {peer} is mostly chunk framing."))
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as refusal:
            self._fail(
                self._problem
                or self._bad(T("The answer of {peer} is not valid HTTP/1.1: {reason}."), reason=str(refusal))
            )
            return
        except BadAnswer as refusal:
            self._fail(refusal)
            return
        if self._complete:
            self._finish()

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        self.closed = True
        waiter = self._waiter
        if waiter is not None and not self._complete:
            if self._until_eof and not self._in_head and exc is None:
                self._complete = True
                self._finish()
            else:
                self._fail(self._why_closed())
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)
        self._lost(self)

    def pause_writing(self) -> None:
        self._write_paused = True

    def resume_writing(self) -> None:
        self._write_paused = False
        if self._writable is not None and not self._writable.done():
            self._writable.set_result(None)

    # -- httptools

    def on_message_begin(self) -> None:
        if self._complete:
            self._refuse(T("The answer of {peer} is longer than it says."))
        self._headers = []
        self._length = None
        self._chunked = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._refuse(T("The answer of {peer} carries trailer fields."))
        name = name.lower()
        if name == b"content-length":
            if self._length is not None:
                self._refuse(T("The answer of {peer} states its length twice."))
            self._length = value
        elif name == b"transfer-encoding":
            if self._chunked or value.strip().lower() != b"chunked":
                self._refuse(T("The answer of {peer} uses a transfer encoding other than chunked."))
            self._chunked = True
        self._headers.append((name, value))
        if len(self._headers) > self._limits.max_headers:
            self._refuse(T("The answer of {peer} has more than {limit} header fields."), limit=self._limits.max_headers)

    def on_headers_complete(self) -> None:
        parser = cast(httptools.HttpResponseParser, self._parser)
        status = parser.get_status_code()
        version = parser.get_http_version()
        if version not in ("1.1", "1.0"):
            self._refuse(T("The answer of {peer} is not valid HTTP/1.1: {reason}."), reason=f"HTTP/{version}")
        if status < 200:
            self._interim += 1
            if status < 100 or status == 101 or self._interim > _MAX_INTERIM:
                self._refuse(T("The answer of {peer} has the status {code}, which does not belong here."), code=status)
            return
        if status > 599:
            self._refuse(T("The answer of {peer} has the status {code}, which does not belong here."), code=status)
        if self._length is not None and self._chunked:
            self._refuse(T("The answer of {peer} states its length twice."))
        self._in_head = False
        self._status = status
        self._keep_alive = parser.should_keep_alive()
        if self._head_only:
            # The parser does not know the request's method and would wait for a body that never comes.
            self._complete = True
            self._parser = None
            return
        bodiless = status in (204, 304)
        self._until_eof = not bodiless and not self._chunked and self._length is None
        spill = self._spill
        if spill is not None and not bodiless and self._spills(spill, self._length):
            self._become_stream(spill)
        if self._length is not None and self._max_body is not None and int(self._length) > self._max_body:
            self._too_large()
        if self._streamed:
            self._disarm()
            self._arm()  # from here on a stall counts, not the wait for a first byte
            self._deliver(Answer(status, self._headers, b""))

    def on_body(self, body: bytes) -> None:
        if self._head_only:
            self._refuse(T("The answer of {peer} is longer than it says."))
        self._body_bytes += len(body)
        spill = self._spill
        if spill is not None and spill.after_bytes is not None and self._body_bytes > spill.after_bytes:
            self._become_stream(spill)
            self._held_bytes = self._body_bytes - len(body)
            self._deliver(Answer(self._status, self._headers, b""))
        if self._max_body is not None and self._body_bytes > self._max_body:
            self._too_large()
        self._pieces.append(body)
        if self._streamed:
            self._held_bytes += len(body)
            self._wake()
            if self._held_bytes > _STREAM_HIGH_BYTES and not self._paused:
                self._paused = True
                self._transport.pause_reading()

    def on_message_complete(self) -> None:
        if not self._in_head:
            self._complete = True

    def _spills(self, spill: Spill, length: bytes | None) -> bool:
        """Whether the answer's head alone says that it is to be streamed."""
        if spill.kind is not None and (b"content-type", spill.kind) in self._headers:
            return True
        return spill.after_bytes is not None and length is not None and int(length) > spill.after_bytes

    def _become_stream(self, spill: Spill) -> None:
        self._spill = None
        self._streamed = True
        self._max_body = spill.max_body
        self._deadline = self._loop.time() + spill.deadline_s
        self._disarm()
        self._arm()

    # -- ends

    def _finish(self) -> None:
        """The answer is whole and nothing followed it."""
        self._disarm()
        self.answers += 1
        if self._streamed:
            self._read_on()
            self._wake()
        else:
            self._deliver(Answer(self._status, self._headers, b"".join(self._pieces)))

    def _deliver(self, answer: Answer) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(answer)

    def _wake(self) -> None:
        if self._arrival is not None and not self._arrival.done():
            self._arrival.set_result(None)

    def _read_on(self) -> None:
        if self._paused:
            self._paused = False
            self._last_move = self._loop.time()
            if not self.closed and not self._transport.is_closing():
                self._transport.resume_reading()

    def _fail(self, problem: Exception) -> None:
        self._disarm()
        self._problem = problem
        self._complete = self._keep_alive = False
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_exception(problem)
        self._wake()
        if not self.closed:
            self._transport.abort()

    def _why_closed(self) -> Exception:
        if self._heard:
            return self._bad(T("The answer of {peer} ended before it was complete."))
        if self.answers:
            return LinkDied()
        if self.fingerprint is not None:
            return PeerClosedAfterHandshake(
                T("{peer} closed the link right after the handshake: is our certificate known there?"),
                mend=T("Ask the operator of {peer} whether it has the newest directory, which lists our certificate."),
                peer=self.peer,
            )
        return closed_without_answer(self.peer)

    def _bad(self, message: str, **facts: object) -> BadAnswer:
        return BadAnswer(message, mend=ASK_OPERATOR, peer=self.peer, **facts)

    def _refuse(self, message: str, **facts: object) -> None:
        """Leave the parser: what is raised in a callback comes back as the parser's own error."""
        self._problem = self._bad(message, **facts)
        raise self._problem

    def _too_large(self) -> None:
        self._problem = AnswerTooLarge(
            T("The answer of {peer} is larger than {limit} bytes."),
            mend=T("Ask for less at a time, or for the table instead of a call."),
            peer=self.peer,
            limit=self._max_body,
        )
        raise self._problem

    # -- time

    def _due(self) -> float:
        """When to give up, as a time of the loop."""
        due = self._deadline
        if not self._heard:
            due = min(due, self._last_move + self._limits.first_byte_s)
            if self.on_silence is not None:
                due = min(due, self._silent_until)
        elif self._streamed and not self._paused:
            due = min(due, self._last_move + self._limits.stall_s)
        return due

    def _arm(self) -> None:
        self._timer = self._loop.call_at(self._due(), self._on_timer)

    def _on_timer(self) -> None:
        if self._due() - self._loop.time() > 0.001:
            self._arm()
            return
        if self.on_silence is not None and not self._heard and self._still_may():
            self._silent_until = self._loop.time() + self._limits.silent_s
            self._arm()
            self.on_silence()
            return
        self.give_up()

    def _still_may(self) -> bool:
        """Whether only silence, and no limit of the exchange itself, has been reached."""
        return self._loop.time() < min(self._deadline, self._last_move + self._limits.first_byte_s)

    def give_up(self) -> None:
        """End the exchange under way, if its answer has not begun: the other side took too long."""
        if self._complete or self._waiter is None:
            return
        seconds = round(self._loop.time() - self._asked_at, 1)
        self._fail(
            PeerTimeout(
                T("{peer} did not answer within {seconds} s."), mend=ASK_OPERATOR, peer=self.peer, seconds=seconds
            )
        )

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None


def closed_without_answer(peer: str) -> PeerClosed:
    """The problem of a link that closed after the request was sent."""
    return PeerClosed(T("{peer} closed the link without an answer."), mend=ASK_OPERATOR, peer=peer)
