"""What came back from the other side of a link, and every way it can fail to.

One vocabulary for the peer hop and the back-end hop: the answer, the limits it is read within, and the problems that
name whose side broke.
"""

from __future__ import annotations

from dataclasses import dataclass

from lienthong.errors import Problem
from lienthong.i18n import T

Headers = list[tuple[bytes, bytes]]
"""Header fields in the order of the wire; names lower-case where we read them."""


@dataclass(frozen=True, slots=True)
class Answer:
    """One complete HTTP answer; header names are lower-case, in the order received."""

    status: int
    headers: Headers
    body: bytes

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field ``name`` (lower-case), or None."""
        for field, value in self.headers:
            if field == name:
                return value
        return None


@dataclass(frozen=True, slots=True)
class Limits:
    """What a link accepts from the other side, and how long it waits."""

    connect_s: float = 5.0
    """TCP connection and TLS handshake together."""
    silent_s: float = 3.0
    """Without a byte of an answer for so long, a pinned peer is asked for a handshake: one that can not make it stands
    still, and its calls are given up; one that can is at work, and is waited for."""
    first_byte_s: float = 60.0
    """From the request's last byte handed to the kernel to the first byte of an answer."""
    stall_s: float = 30.0
    """Between two pieces of a streamed body."""
    max_head_bytes: int = 65_536
    max_headers: int = 128
    max_links: int = 256
    """Links to one origin, idle and busy together; a call beyond them waits for a free one within its deadline."""
    idle_s: float = 60.0
    """How long an unused link is kept; must be shorter than the server's own keep-alive."""


@dataclass(frozen=True, slots=True)
class Spill:
    """When an answer is handed over piece by piece instead of whole, and within what limits then."""

    after_bytes: int | None = None
    """As soon as its body is longer; None: not for its size."""
    kind: bytes | None = None
    """As soon as its head bears this Content-Type."""
    max_body: int | None = None
    deadline_s: float = 3600.0
    """From its first pieces to its end."""


class PeerUnreachable(Problem):
    """No TCP or TLS connection came about."""

    kind = "peer-unreachable"
    status = 502
    side = "provider"
    title = T("The other side can not be reached")


class PeerCertificate(Problem):
    """The other side's certificate is not the one expected; nothing was sent."""

    kind = "peer-certificate"
    status = 502
    side = "provider"
    title = T("The other side showed the wrong certificate")


class PeerTimeout(Problem):
    """The other side did not answer in time; whether it acted on the request is unknown."""

    kind = "peer-timeout"
    status = 504
    side = "provider"
    title = T("The other side did not answer in time")


class PeerClosed(Problem):
    """The link closed after the request was sent and before any byte of an answer came."""

    kind = "peer-closed"
    status = 502
    side = "provider"
    title = T("The other side closed the link without an answer")


class PeerClosedAfterHandshake(Problem):
    """A new TLS link closed before its first byte.

    Under TLS 1.3 a client whose certificate is refused sees its handshake succeed and the link close afterwards.
    """

    kind = "peer-closed-after-handshake"
    status = 502
    side = "consumer"
    title = T("The other side closed the link right after the handshake")


class BadAnswer(Problem):
    """The answer breaks HTTP: lying length, two framings, garbage, cut off, an upgrade nobody asked for."""

    kind = "bad-answer"
    status = 502
    side = "provider"
    title = T("The other side's answer is not valid HTTP")


class AnswerTooLarge(Problem):
    """The answer's body exceeds the limit set for this request."""

    kind = "peer-answer-too-large"
    status = 502
    side = "provider"
    title = T("The other side's answer is larger than allowed")
