"""Our HTTP/1.1 client for the peer hop and the back-end hop: few features, strict reading, little CPU.

Promises: the certificate is compared with the pins before a byte is sent; redirects are never followed; a request is
sent once, and a second time only when a reused link had died unread and the caller makes (signs) it anew.
"""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import cast

from lienthong.errors import Problem
from lienthong.exchange.answer import (
    Answer,
    Headers,
    Limits,
    PeerCertificate,
    PeerClosed,
    PeerTimeout,
    PeerUnreachable,
    Spill,
)
from lienthong.exchange.link import ASK_OPERATOR, Link, LinkDied, closed_without_answer
from lienthong.exchange.outgoing import Large, Upload, request_head, time_to_send
from lienthong.exchange.outward import Outward
from lienthong.i18n import T

_SWEEP_S = 1.0

MakeHeaders = Callable[[], Headers]
"""Makes the fields of one attempt: a fresh nonce and signature each time."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request goes and how the other side is known."""

    host: str
    port: int
    tls: ssl.SSLContext | None = field(default=None, repr=False)
    """None is plain HTTP.  One context a peer, made once: making it costs about a millisecond."""
    pins: frozenset[str] = field(default=frozenset(), compare=False)
    """Allowed SHA-256 fingerprints (DER, hex) of the other side's certificate; empty leaves it to ``tls`` alone."""
    server_name: str | None = None
    """Name sent as SNI and, where ``tls`` checks names, compared; the host when None."""
    idle_s: float | None = None
    """Overrides ``Limits.idle_s``; back ends often let go of links after 5 s."""
    rule: Outward | None = None
    """For an address that somebody typed: where it may lead to, looked at whenever a link is made."""

    @property
    def authority(self) -> str:
        """What the Host field says: the port is left out where it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == (443 if self.tls else 80) else f"{host}:{self.port}"


class _Pool:
    """The links to one origin."""

    __slots__ = ("authority", "idle", "open", "waiters")

    def __init__(self, origin: Origin) -> None:
        self.authority = origin.authority.encode("ascii")
        self.idle: list[Link] = []
        """Last used last: the newest is taken first, the oldest is swept."""
        self.open = 0
        self.waiters: deque[asyncio.Future[None]] = deque()

    def wake(self) -> None:
        while self.waiters:
            waiter = self.waiters.popleft()
            if not waiter.done():
                waiter.set_result(None)
                return


class StreamedAnswer:
    """The head of an answer, and its body piece by piece; valid inside ``HttpClient.stream`` only."""

    __slots__ = ("_link", "headers", "status")

    def __init__(self, link: Link, answer: Answer) -> None:
        self.status = answer.status
        self.headers = answer.headers
        self._link = link

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._link.piece():
            yield piece


class Flow(StreamedAnswer):
    """An answer too large to hold; whoever got it reads it to its end or not, and closes it."""

    __slots__ = ("_client", "_origin", "_upload")

    def __init__(
        self, client: HttpClient, origin: Origin, link: Link, answer: Answer, upload: Upload | None = None
    ) -> None:
        """``upload``: the request's body, where it is still on its way."""
        super().__init__(link, answer)
        self._client = client
        self._origin = origin
        self._upload = upload

    def header(self, name: bytes) -> bytes | None:
        """The first value of the field ``name`` (lower-case), or None."""
        return next((value for field, value in self.headers if field == name), None)

    def close(self) -> None:
        """Let go of the link: it is kept for another exchange when the answer was read to its end, else cut."""
        if self._upload is not None and not self._upload.whole:
            self._upload.stop()
        self._client.let_go(self._origin, self._link)


class HttpClient:
    """Keeps links to other servers and sends requests over them; belongs to one event loop."""

    def __init__(self, limits: Limits | None = None) -> None:
        self._limits = limits or Limits()
        self._pools: dict[Origin, _Pool] = {}
        self._links: dict[Link, _Pool] = {}
        self._sweeper: asyncio.TimerHandle | None = None
        self._probes: dict[Origin, asyncio.Task[None]] = {}

    async def request(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        headers: Headers | MakeHeaders,
        body: bytes = b"",
        *,
        deadline_s: float,
        max_body: int,
    ) -> Answer:
        """Send one request and read its whole answer within ``deadline_s`` seconds and ``max_body`` bytes.

        ``target`` is sent as it is.  Host, Content-Length and Connection are ours: ``headers`` must not hold them.
        Only headers that can be made again allow a second attempt, and only when a reused link had died before any
        byte of an answer was read; the first attempt may still have been acted on.
        Raises the Problems of ``answer.py``; ValueError when the request itself could not be written as one message.
        """
        found = await self.fetch(origin, method, target, headers, body, deadline_s=deadline_s, max_body=max_body)
        return cast("Answer", found)

    async def fetch(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        headers: Headers | MakeHeaders,
        body: bytes | Large = b"",
        *,
        deadline_s: float,
        max_body: int,
        spill: Spill | None = None,
    ) -> Answer | Flow:
        """As ``request``; an answer for which ``spill`` holds is returned as soon as that is known, to be closed.

        A ``body`` that is not held is read anew for a second attempt, and adds to ``deadline_s``.
        """
        more_s = 0.0 if isinstance(body, bytes) else time_to_send(body)
        deadline = asyncio.get_running_loop().time() + deadline_s + more_s
        make = headers if callable(headers) else None
        fields = headers() if callable(headers) else headers
        try:
            return await self._ask(origin, method, target, fields, body, deadline, max_body, spill, fresh=False)
        except LinkDied:
            if make is None:
                raise closed_without_answer(origin.authority) from None
        return await self._ask(origin, method, target, make(), body, deadline, max_body, spill, fresh=True)

    async def _ask(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        fields: Headers,
        body: bytes | Large,
        deadline: float,
        max_body: int,
        spill: Spill | None,
        *,
        fresh: bool,
    ) -> Answer | Flow:
        pool = self._pool(origin)
        whole = isinstance(body, bytes)
        length = len(body) if whole else body.size_bytes
        message = request_head(method, target, pool.authority, fields, length) + (body if whole else b"")
        link = self._idle(origin, pool, fresh=fresh) or await self._take(origin, deadline, fresh=fresh)
        upload: Upload | None = None
        try:
            head_only = method == "HEAD"
            waiter = link.ask(message, head_only=head_only, max_body=max_body, deadline=deadline, spill=spill)
            if not whole:
                upload = Upload(link, body, length)
            answer = await waiter
        except asyncio.CancelledError:
            link.abort()
            raise
        except (Problem, LinkDied):
            if upload is not None:
                await upload.stopped()
                if upload.failure is not None:
                    raise upload.failure from None
            raise
        if link.streams:
            return Flow(self, origin, link, answer, upload)
        if upload is not None and not upload.whole:
            await upload.stopped()
        self.let_go(origin, link)
        return answer

    @asynccontextmanager
    async def stream(
        self,
        origin: Origin,
        method: str,
        target: bytes,
        headers: Headers,
        body: bytes | AsyncIterable[bytes] = b"",
        *,
        length: int | None = None,
        deadline_s: float,
        max_body: int | None = None,
    ) -> AsyncGenerator[StreamedAnswer]:
        """Send a request whose body, answer, or both are too large to hold; yields when the answer's head is read.

        An iterated ``body`` is sent chunked, or with Content-Length when ``length`` is given.  ``max_body`` None
        leaves the size to the reader.  Never tried twice.  A reader that leaves early closes the link.
        """
        loop = asyncio.get_running_loop()
        deadline = loop.time() + deadline_s
        authority = self._pool(origin).authority
        if isinstance(body, bytes):
            message = request_head(method, target, authority, headers, len(body)) + body
        else:
            message = request_head(method, target, authority, headers, length)
        link = await self._take(origin, deadline)
        upload: Upload | None = None
        try:
            waiter = link.ask(message, head_only=method == "HEAD", max_body=max_body, deadline=deadline, streamed=True)
            if not isinstance(body, bytes):
                upload = Upload(link, body, length)
            try:
                answer = await waiter
            except (LinkDied, PeerClosed):
                if upload is not None and upload.failure is not None:
                    raise upload.failure from None  # the source of the body failed, and the link was cut for that
                raise closed_without_answer(link.peer) from None
            yield StreamedAnswer(link, answer)
        finally:
            if link.reusable and (upload is None or upload.whole):
                self.let_go(origin, link)
            else:
                link.abort()
                if upload is not None:
                    await upload.stopped()

    async def close(self) -> None:
        """Drop every link, idle and busy."""
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        probes = list(self._probes.values())
        for probe in probes:
            probe.cancel()
        await asyncio.gather(*probes, return_exceptions=True)
        for link in list(self._links):
            link.abort()
        await asyncio.sleep(0)

    # -- links

    def _pool(self, origin: Origin) -> _Pool:
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = _Pool(origin)
        return pool

    def _idle(self, origin: Origin, pool: _Pool, *, fresh: bool) -> Link | None:
        """The most recently used link that is fit and whose certificate is pinned, or None."""
        while pool.idle and not fresh:
            link = pool.idle.pop()
            if not link.reusable:
                continue
            if not origin.pins or link.fingerprint in origin.pins:
                return link
            link.abort()
        return None

    async def _take(self, origin: Origin, deadline: float, *, fresh: bool = False) -> Link:
        """A link of ``origin``: an idle one unless it has to be ``fresh``, or a new one."""
        while True:
            pool = self._pool(origin)
            link = self._idle(origin, pool, fresh=fresh)
            if link is not None:
                return link
            if pool.open < self._limits.max_links:
                return await self._connect(origin, pool, deadline)
            if fresh and pool.idle:
                pool.idle.pop(0).abort()
            await self._wait_for_link(origin, pool, deadline)

    async def _wait_for_link(self, origin: Origin, pool: _Pool, deadline: float) -> None:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        pool.waiters.append(waiter)
        try:
            async with asyncio.timeout_at(deadline):
                await waiter
        except TimeoutError:
            raise PeerTimeout(
                T("All {links} links to {peer} stayed busy."),
                mend=T("Try again later; if it lasts, {peer} is overloaded."),
                peer=origin.authority,
                links=self._limits.max_links,
            ) from None
        except asyncio.CancelledError:
            if waiter.done() and not waiter.cancelled():
                pool.wake()
            raise

    async def _connect(self, origin: Origin, pool: _Pool, deadline: float) -> Link:
        loop = asyncio.get_running_loop()
        peer = origin.authority
        pool.open += 1
        connected = False

        def lost(link: Link) -> None:
            if connected:
                self._links.pop(link, None)
                if link in pool.idle:
                    pool.idle.remove(link)
                pool.open -= 1
                pool.wake()

        def make() -> Link:
            link = Link(peer, self._limits, loop, lost)
            if origin.pins:
                link.on_silence = lambda: self._probe(origin)
            return link

        try:
            async with asyncio.timeout_at(min(deadline, loop.time() + self._limits.connect_s)):
                link = await _linked(loop, origin, make)
            if origin.pins and link.fingerprint not in origin.pins:
                link.abort()
                raise PeerCertificate(
                    T("{peer} showed a certificate that the directory does not list for it."),
                    mend=T("Nothing was sent. Refresh the directory; if it stays, tell the operator of {peer}."),
                    peer=peer,
                    seen=link.fingerprint,
                )
        except ssl.SSLCertVerificationError as refusal:
            raise PeerCertificate(
                T("The certificate of {peer} was not accepted: {reason}."),
                mend=T("Nothing was sent. Refresh the directory; if it stays, tell the operator of {peer}."),
                peer=peer,
                reason=refusal.verify_message,
            ) from None
        except TimeoutError:
            raise _unreachable(peer, "timed out") from None
        except OSError as refusal:
            raise _unreachable(peer, refusal.strerror or type(refusal).__name__) from None
        else:
            connected = True
            self._links[link] = pool
            if link.closed:
                lost(link)
            return link
        finally:
            if not connected:
                pool.open -= 1
                pool.wake()

    def _probe(self, origin: Origin) -> None:
        """See whether a peer that is silent can still make a handshake; one look at a time."""
        if origin not in self._probes:
            self._probes[origin] = task = asyncio.get_running_loop().create_task(self._shake_hands(origin))
            task.add_done_callback(lambda _: self._probes.pop(origin, None))

    async def _shake_hands(self, origin: Origin) -> None:
        pool = self._pool(origin)
        asked = [link for link, its in self._links.items() if its is pool and link.silent]
        try:
            link = await self._connect(origin, pool, asyncio.get_running_loop().time() + self._limits.connect_s)
        except (PeerUnreachable, PeerCertificate):
            for each in asked:
                if each.silent:
                    each.give_up()
        else:
            link.leave()

    def let_go(self, origin: Origin, link: Link) -> None:
        """Keep ``link`` for another exchange if it is fit for one, else cut it."""
        pool = self._links.get(link)
        if pool is None or not link.reusable:
            link.abort()
            return
        idle_s = self._limits.idle_s if origin.idle_s is None else origin.idle_s
        link.idle_until = asyncio.get_running_loop().time() + idle_s
        pool.idle.append(link)
        if pool.waiters:
            pool.wake()
        if self._sweeper is None:
            self._sweeper = asyncio.get_running_loop().call_later(_SWEEP_S, self._sweep)

    def _sweep(self) -> None:
        """Close links unused for too long; forget origins without links."""
        loop = asyncio.get_running_loop()
        now = loop.time()
        for origin, pool in list(self._pools.items()):
            while pool.idle and pool.idle[0].idle_until <= now:
                pool.idle.pop(0).abort()
            if not pool.open and not pool.waiters:
                del self._pools[origin]
        self._sweeper = loop.call_later(_SWEEP_S, self._sweep) if self._pools else None


async def _linked(loop: asyncio.AbstractEventLoop, origin: Origin, make: Callable[[], Link]) -> Link:
    """A link to ``origin``; where a rule stands, to the very address that was checked."""
    name = (origin.server_name or origin.host) if origin.tls else None
    places = (origin.host,) if origin.rule is None else await origin.rule.addresses(origin.host, origin.port)
    for place in places[:-1]:
        with suppress(ConnectionError):
            return (await loop.create_connection(make, place, origin.port, ssl=origin.tls, server_hostname=name))[1]
    return (await loop.create_connection(make, places[-1], origin.port, ssl=origin.tls, server_hostname=name))[1]


def _unreachable(peer: str, reason: str) -> PeerUnreachable:
    return PeerUnreachable(T("{peer} can not be reached: {reason}."), mend=ASK_OPERATOR, peer=peer, reason=reason)
