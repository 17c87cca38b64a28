"""The words between a sandbox's client and its child process: length-prefixed frames on a Unix socket.

A frame is one byte of kind, four bytes of length (big-endian), then the content.  Client to child: one ``JOB``, then
``INPUT`` frames.  Child to client: ``ACCEPTED``, any number of ``OUTPUT``, one ``END``.  The zygote writes ``KILLED``
when a child could not finish.
"""

from __future__ import annotations

import struct
from typing import Final

JOB: Final = 0x4A
"""JSON: op, args, limits, inputs (names)."""
INPUT: Final = 0x49
"""First byte: index of the input; the rest: its next bytes; no rest: that input is complete."""
ACCEPTED: Final = 0x41
"""A child has taken the job: its wall clock runs from here."""
OUTPUT: Final = 0x4F
"""The next bytes of the answer."""
END: Final = 0x45
"""JSON: {"result": ..., "rows": n} or {"problem": ...}."""
KILLED: Final = 0xFF
"""One byte: why the child was ended before it could say so itself."""

TIME: Final = b"t"
CRASH: Final = b"c"
MARK: Final = b"\x00lienthong-killed:"
"""Precedes the reason, so that it is found even behind half a frame of a child that died while it wrote."""

HEADER_BYTES: Final = 5
MAX_FRAME_BYTES: Final = 4 * 1024 * 1024
CHUNK_BYTES: Final = 256 * 1024


class BadFrame(Exception):
    """The other side does not speak this protocol."""


def frame(kind: int, content: bytes = b"") -> bytes:
    """One frame."""
    return struct.pack(">BI", kind, len(content)) + content


def frame_header(header: bytes) -> tuple[int, int]:
    """Kind and length; raises BadFrame for an unknown kind or a length over 4 MiB."""
    kind, length = struct.unpack(">BI", header)
    if kind not in (JOB, INPUT, ACCEPTED, OUTPUT, END, KILLED) or length > MAX_FRAME_BYTES:
        raise BadFrame(f"kind {kind}, length {length}")
    return kind, length


def killed_frame(reason: bytes) -> bytes:
    """What the zygote writes after a child it had to kill."""
    return frame(KILLED, MARK + reason)


def reason_in(rest: bytes) -> bytes | None:
    """The reason in the last bytes of a broken stream, or None."""
    place = rest.rfind(MARK)
    found = rest[place + len(MARK) :] if place >= 0 else b""
    return found if found in (TIME, CRASH) else None
