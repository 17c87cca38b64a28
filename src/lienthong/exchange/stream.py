"""An answer in frames, as the asking side reads it: proven to be the provider's when it opens and again when it ends.

Content is handed over as it comes; whoever passes it on must take it back, by cutting the connection, when the end can
not be proven.
"""

from __future__ import annotations

import hashlib
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass

from lienthong.exchange.answer import Headers
from lienthong.exchange.client import Flow
from lienthong.exchange.frames import CONTENT, FrameReader, broken, read_sealing
from lienthong.trust.digest import content_digest, content_digest_field
from lienthong.trust.messages import Verified


@dataclass(frozen=True, slots=True)
class Closed:
    """The last frame of a stream, proven."""

    response: Verified
    record: str
    """Hash of the provider's record of the end."""
    body_digest: bytes
    """SHA-256 of all content."""
    size_bytes: int


Prove = Callable[[int, Mapping[str, str], str], Verified]
"""Status, signed fields and expected Content-Digest of an answer to one request; raises AnswerNotProven."""


class AnswerStream:
    """The content of an answer in frames: iterate it once, then ``closed`` is its proven end; close it in any case."""

    def __init__(self, flow: Flow, prove: Prove, reader: FrameReader, parts: list[tuple[bytes, bytes]]) -> None:
        """``parts``: what came behind the first frame already."""
        self._flow = flow
        self._prove = prove
        self._reader = reader
        self._parts = parts
        self._hash = hashlib.sha256()
        self.size_bytes = 0
        """Content handed over so far."""
        self.closed: Closed | None = None

    @property
    def digest(self) -> bytes:
        """SHA-256 of the content handed over so far."""
        return self._hash.digest()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """Content piece by piece; raises StreamBroken, AnswerNotProven and the link's problems."""
        for kind, content in self._parts:
            if piece := self._took(kind, content):
                yield piece
        self._parts = []
        async for arrived in self._flow:
            for kind, content in self._reader.feed(arrived):
                if piece := self._took(kind, content):
                    yield piece
        if self.closed is None:
            raise broken()

    def close(self) -> None:
        """Let go of the link."""
        self._flow.close()

    def _took(self, kind: bytes, content: bytes) -> bytes | None:
        if kind == CONTENT:
            self.size_bytes += len(content)
            self._hash.update(content)
            return content
        fields = read_sealing(content).fields
        digest = self._hash.digest()
        response = self._prove(self._flow.status, fields, content_digest_field(digest))
        self.closed = Closed(response, fields["lienthong-record"], digest, self.size_bytes)
        return None


@dataclass(frozen=True, slots=True)
class Opened:
    """The first frame, proven, and what comes after it."""

    headers: Headers
    """Of the answer itself."""
    response: Verified
    record: str
    """Hash of the provider's record of the opening."""
    stream: AnswerStream


async def open_stream(flow: Flow, prove: Prove) -> Opened:
    """Read the first frame of ``flow`` and prove it.  Raises StreamBroken, AnswerNotProven and the link's problems."""
    reader = FrameReader()
    async for arrived in flow:
        if parts := list(reader.feed(arrived)):
            first = read_sealing(parts.pop(0)[1])
            response = prove(flow.status, first.fields, content_digest(b""))
            return Opened(
                first.headers, response, first.fields["lienthong-record"], AnswerStream(flow, prove, reader, parts)
            )
    raise broken()
