"""A request as it is written on a link: its head, and a body that is sent piece by piece.

Promises: no value breaks out of its line; a body that fails or lies about its length breaks the link, never the
framing.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterable, AsyncIterator
from typing import Final, Protocol

from lienthong.exchange.answer import Headers
from lienthong.exchange.link import Link

_TARGET = re.compile(rb"/[!-~]*")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"})
_OURS = frozenset(
    {b"host", b"content-length", b"transfer-encoding", b"connection", b"expect", b"upgrade", b"te", b"trailer"}
)
_WITH_BODY = frozenset({"POST", "PUT", "PATCH"})
_SLOWEST_BYTES_PER_S: Final = 1024 * 1024


class Large(Protocol):
    """A body that is not held; each iteration gives it from its start."""

    @property
    def size_bytes(self) -> int:
        """Its length."""
        ...

    def __aiter__(self) -> AsyncIterator[bytes]:
        """Piece by piece."""
        ...


def time_to_send(body: Large | None) -> float:
    """Seconds that a large body may take beyond the time that its exchange has anyway."""
    return body.size_bytes / _SLOWEST_BYTES_PER_S if body is not None else 0.0


def request_head(method: str, target: bytes, authority: bytes, headers: Headers, length: int | None) -> bytes:
    """The request line and fields; ``length`` None announces a chunked body.

    Raises ValueError when a value would break out of its line or a field is one the client sets itself.
    """
    if method not in _METHODS or not _TARGET.fullmatch(target):
        raise ValueError("not a request line")
    lines = [b"%b %b HTTP/1.1\r\nhost: %b" % (method.encode("ascii"), target, authority)]
    for name, value in headers:
        if name.lower() in _OURS:
            raise ValueError(f"the field {name!r} is set by the client")
        lines.append(b"%b: %b" % (name, value))
    if length is None:
        lines.append(b"transfer-encoding: chunked")
    elif length or method in _WITH_BODY:
        lines.append(b"content-length: %d" % length)
    lines.append(b"\r\n")
    head = b"\r\n".join(lines)
    if head.count(b"\n") != len(lines) + 1 or head.count(b"\r") != len(lines) + 1 or b"\0" in head:
        raise ValueError("a field holds a line break")
    return head


class Upload:
    """A body on its way over a link whose request's head has been sent."""

    def __init__(self, link: Link, body: AsyncIterable[bytes], length: int | None) -> None:
        """``length`` None sends it chunked."""
        self._link = link
        self._task = asyncio.get_running_loop().create_task(_send(link, body, length))
        self._task.add_done_callback(_look_at)

    @property
    def whole(self) -> bool:
        """Whether the other side has taken all of it."""
        return self.failure is None and self._task.done() and not self._task.cancelled() and self._task.result()

    @property
    def failure(self) -> BaseException | None:
        """Why the body could not be sent to its end, as far as its source is to blame."""
        return self._task.exception() if self._task.done() and not self._task.cancelled() else None

    def stop(self) -> None:
        """Send no more of it, and cut the link: the other side can not tell where the body would have ended."""
        self._link.abort()
        self._task.cancel()

    async def stopped(self) -> None:
        """As ``stop``; returns when the body's source is no longer read."""
        self.stop()
        await asyncio.gather(self._task, return_exceptions=True)


def _look_at(task: asyncio.Task[bool]) -> None:
    """Take note of a failure, so that nobody has to who does not ask."""
    if not task.cancelled():
        task.exception()


async def _send(link: Link, body: AsyncIterable[bytes], length: int | None) -> bool:
    """Send an iterated body; a source that fails or lies about its length breaks the link, never the framing.

    False when the other side stopped reading before the end.
    """
    sent = 0
    try:
        async for piece in body:
            sent += len(piece)
            if length is not None and sent > length:
                raise ValueError("the body is longer than its stated length")
            if piece and not await link.send(piece if length is not None else b"%x\r\n%b\r\n" % (len(piece), piece)):
                return False
        if length is None:
            return await link.send(b"0\r\n\r\n")
        if sent != length:
            raise ValueError("the body is shorter than its stated length")
    except BaseException:
        link.abort()
        raise
    return True
