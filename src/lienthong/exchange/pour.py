"""Releasing an answer too large to hold, on either side of the exchange, and its two records.

Promises: a stream is on record as opened before its first byte leaves and as closed before its last; one that breaks
off is closed as failed with the number of bytes that had left.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from lienthong.errors import Problem
from lienthong.exchange.client import Flow
from lienthong.exchange.frames import CLOSED, OPENED, Sealing, content_frames
from lienthong.exchange.listen import CallerGone
from lienthong.exchange.stream import AnswerStream
from lienthong.i18n import T

OPENED_REASON: Final = "opened"
CLOSED_REASON: Final = "closed"
"""Of the record of a stream's end; a broken one has ``closed;`` and what broke it."""
NOTHING_DIGEST: Final = hashlib.sha256(b"").digest()

SendPiece = Callable[[bytes], Awaitable[None]]
"""Sends bytes of a body, waiting while the other side does not read; raises CallerGone once it has left."""
Pour = Callable[[SendPiece], Awaitable[None]]
"""Sends a whole body; when it raises, the connection is to be cut."""
WriteEnd = Callable[[str, bytes, int], Awaitable[Sealing]]
"""Records the end of a stream (reason, SHA-256 and number of bytes of its content) and signs it."""


def broken_reason(failure: BaseException) -> str:
    """The reason of the record of a stream that ``failure`` ended."""
    if isinstance(failure, Problem):
        return f"{CLOSED_REASON};{failure.kind}"
    return f"{CLOSED_REASON};{'stopped' if isinstance(failure, asyncio.CancelledError) else 'internal'}"


@dataclass(slots=True)
class Pouring:
    """A provider's answer in frames."""

    flow: Flow
    opening: Sealing
    write_end: WriteEnd

    async def pour(self, send: SendPiece) -> None:
        """Send opening, content and end; the record of the end is durable before the last frame leaves."""
        digest, size_bytes, ended = hashlib.sha256(), 0, False
        try:
            await send(self.opening.frame(OPENED))
            async for piece in self.flow:
                for framed in content_frames(piece):
                    await send(framed)
                digest.update(piece)
                size_bytes += len(piece)
            ended = True
            closing = await self.write_end(CLOSED_REASON, digest.digest(), size_bytes)
            await send(closing.frame(CLOSED))
        except BaseException as failure:
            if not ended:
                await self.write_end(broken_reason(failure), digest.digest(), size_bytes)
            raise
        finally:
            self.flow.close()


@dataclass(slots=True)
class Receiving:
    """A proven answer in frames on its way to the system that asked."""

    stream: AnswerStream
    record_end: Callable[[str, AnswerStream], Awaitable[None]]
    """Records the end of the stream by its reason."""

    async def pour(self, send: SendPiece) -> None:
        """Send the content; it returns, so that the last byte may leave, once the end is proven and on record."""
        try:
            async for piece in self.stream:
                await send(piece)
        except BaseException as failure:
            await self.record_end(broken_reason(failure), self.stream)
            raise
        else:
            await self.record_end(CLOSED_REASON, self.stream)
        finally:
            self.stream.close()


def sender(send: Callable[[bytes], Awaitable[None]], gone: Callable[[], bool]) -> SendPiece:
    """Bytes onto a connection of which ``gone`` tells whether its client has left."""

    async def send_piece(piece: bytes) -> None:
        await send(piece)
        if gone():
            raise CallerGone(T("The caller closed its connection before its answer was complete."))

    return send_piece
