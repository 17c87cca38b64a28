"""The wire form of an answer too large to hold: ``application/vnd.lienthong.frames``.

One byte of kind, four bytes of length (big-endian), then so many bytes.  ``O`` opens: JSON with the answer's own fields
and a signed answer of no bytes, which names the provider's record of the opening.  ``D`` holds content.  ``C`` closes:
the signed answer over the digest of all content, which names the record of the end.  Nothing follows it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar, Final, cast

import orjson

from lienthong.errors import Problem, Side
from lienthong.exchange.answer import Headers
from lienthong.i18n import T

FRAMES_TYPE: Final = "application/vnd.lienthong.frames"
FRAMES_FIELD: Final = "lienthong-frames"
"""``1`` in a request: the asking node understands frames."""
OPENED, CONTENT, CLOSED = b"O", b"D", b"C"
MAX_CONTENT: Final = 1024 * 1024
MAX_SIGNED: Final = 65_536
"""Most bytes of the first and the last frame."""
_HEAD_BYTES: Final = 5


class StreamBroken(Problem):
    """A streamed answer that does not keep the form of frames, or ended without its last one."""

    kind: ClassVar[str] = "stream-broken"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The streamed answer broke off")


@dataclass(frozen=True, slots=True)
class Sealing:
    """The first or the last frame: four fields of a signed answer, and the fields of the answer itself."""

    fields: Mapping[str, str]
    headers: Headers

    def frame(self, kind: bytes) -> bytes:
        """Its bytes on the wire."""
        told = [[name.decode("latin-1"), value.decode("latin-1")] for name, value in self.headers]
        return frame(kind, orjson.dumps({"sealing": dict(self.fields), "headers": told}))


def frame(kind: bytes, content: bytes) -> bytes:
    """One frame of at most MAX_CONTENT bytes."""
    return kind + len(content).to_bytes(4, "big") + content


def content_frames(content: bytes) -> Iterator[bytes]:
    """``content`` in frames."""
    for start in range(0, len(content), MAX_CONTENT):
        yield frame(CONTENT, content[start : start + MAX_CONTENT])


def read_sealing(content: bytes) -> Sealing:
    """The first or last frame's content.  Raises StreamBroken."""
    try:
        told = cast("dict[str, object]", orjson.loads(content))
        fields = cast("dict[str, object]", told["sealing"])
        headers = cast("list[list[str]]", told["headers"])
        if not all(isinstance(value, str) for value in fields.values()):
            raise TypeError("a field that is no text")
        return Sealing(
            cast("dict[str, str]", fields),
            [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers],
        )
    except (ValueError, TypeError, KeyError, AttributeError):
        raise broken() from None


class FrameReader:
    """Takes the bytes of a stream as they come and gives its parts in order; holds no content back.

    ``O`` and ``C`` come whole, content in whatever pieces it arrives in.
    """

    def __init__(self) -> None:
        self._held = bytearray()
        self._left = 0
        """Bytes of content still to come in the present frame."""
        self._opened = False
        self.closed = False
        """Whether the last frame has been read."""

    def feed(self, arrived: bytes) -> Iterator[tuple[bytes, bytes]]:
        """Kind and content of what ``arrived`` completes.  Raises StreamBroken."""
        self._held += arrived
        while self._held:
            if self.closed:
                raise broken()
            if self._left:
                piece = bytes(self._held[: self._left])
                del self._held[: len(piece)]
                self._left -= len(piece)
                yield CONTENT, piece
                continue
            if len(self._held) < _HEAD_BYTES:
                return
            kind, length = bytes(self._held[:1]), int.from_bytes(self._held[1:_HEAD_BYTES], "big")
            self._check(kind, length)
            if kind == CONTENT:
                del self._held[:_HEAD_BYTES]
                self._left = length
                continue
            if len(self._held) < _HEAD_BYTES + length:
                return
            content = bytes(self._held[_HEAD_BYTES : _HEAD_BYTES + length])
            del self._held[: _HEAD_BYTES + length]
            self._opened, self.closed = True, kind == CLOSED
            yield kind, content

    def _check(self, kind: bytes, length: int) -> None:
        expected = (CONTENT, CLOSED) if self._opened else (OPENED,)
        if kind not in expected or not 0 < length <= (MAX_CONTENT if kind == CONTENT else MAX_SIGNED):
            raise broken()


def broken() -> StreamBroken:
    """The problem of a stream that can not be gone on with."""
    return StreamBroken(
        T("The answer broke off or is not of the agreed form; what was passed on of it is incomplete."),
        mend=T("Ask again; if it lasts, tell the provider's operator."),
    )
