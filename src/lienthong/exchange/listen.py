"""A raw ASGI application on a port, behind the request guard.

No lifespan, no WebSocket, no access log, no Server header.  Promises: slow and surplus clients are ended without
touching the others; stopping lets the requests under way finish, for a bounded time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from email.utils import formatdate
from typing import Any, cast

from lienthong.errors import Problem
from lienthong.exchange.guard import RequestLimits, too_large
from lienthong.exchange.protocol import Connection, Served
from lienthong.exchange.turn import App
from lienthong.i18n import T

_TICK_S = 1.0
_BACKLOG = 1_024


class CallerGone(Problem):
    """The caller closed its connection before its request was complete."""

    kind = "caller-gone"
    status = 400
    side = "caller"
    title = T("The caller went away")


class Listener:
    """A port being served; made by ``serve_app``."""

    def __init__(self, server: asyncio.Server, served: Served, port: int) -> None:
        self.port = port
        """The port bound, also when 0 was asked for."""
        self._server = server
        self._served = served
        self._ticker = asyncio.create_task(self._tick())

    @property
    def connections(self) -> int:
        """Connections open at this moment."""
        return len(self._served.connections)

    @property
    def requests(self) -> int:
        """Requests answered since the start."""
        return self._served.requests

    async def stop(self, grace_s: float = 30.0) -> None:
        """Accept nothing new, let requests under way finish for ``grace_s`` seconds, then cut what is left."""
        loop = asyncio.get_running_loop()
        served = self._served
        until = loop.time() + grace_s
        served.stopping = True
        self._server.close()
        for connection in list(served.connections):
            connection.stop()
        while served.tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(list(served.tasks), timeout=left)
        self._ticker.cancel()
        for task in list(served.tasks):
            task.cancel()
        await asyncio.gather(self._ticker, *served.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # answers just written leave before what is left is cut
        for connection in list(served.connections):
            connection.cut()
        await self._server.wait_closed()

    def check_pace(self, now: float) -> None:
        """End the connections that are too slow at the loop's time ``now``; called every second."""
        for connection in list(self._served.connections):
            connection.check_pace(now)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._served.date_line = _date_line()
            self.check_pace(loop.time())
            await asyncio.sleep(_TICK_S)


async def serve_app(
    app: App,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    limits: RequestLimits | None = None,
    reuse_port: bool = False,
) -> Listener:
    """Serve ``app`` on ``host``:``port`` (0 takes a free port) in the running event loop.

    ``scope["state"]`` holds ``peer`` and ``target``, see ``protocol.py``.  ``reuse_port`` lets several gateway
    processes share the port.  Raises OSError when the port can not be had.
    """
    limits = limits or RequestLimits()
    served = Served(app, limits, _date_line())
    listening = _bind(host, port, reuse_port=reuse_port)
    more: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": limits.head_s} if tls is not None else {}
    try:
        server = await asyncio.get_running_loop().create_server(
            lambda: Connection(served), sock=listening, backlog=_BACKLOG, **more
        )
    except BaseException:
        listening.close()
        raise
    return Listener(server, served, cast(int, listening.getsockname()[1]))


async def read_body(
    receive: Callable[[], Awaitable[Any]], limit: int, hold: Callable[[int], None] | None = None
) -> bytes:
    """The request's whole body, of at most ``limit`` bytes; ``hold`` is told of each piece's size and may refuse it.

    Raises BodyTooLarge, CallerGone, and what ``hold`` raises.
    """
    pieces: list[bytes] = []
    size = 0
    async for piece in pieces_of(receive):
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if hold is not None:
            hold(len(piece))
        pieces.append(piece)
    return pieces[0] if len(pieces) == 1 else b"".join(pieces)


async def pieces_of(receive: Callable[[], Awaitable[Any]]) -> AsyncIterator[bytes]:
    """The request's body as it arrives, at least one piece.  Raises CallerGone."""
    more = True
    while more:
        message = cast("dict[str, Any]", await receive())
        if message["type"] == "http.disconnect":
            raise CallerGone(T("The caller closed its connection before its request was complete."))
        yield message["body"]
        more = message["more_body"]


def _date_line() -> bytes:
    return b"date: " + formatdate(usegmt=True).encode("ascii") + b"\r\n"


def _bind(host: str, port: int, *, reuse_port: bool) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if reuse_port:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind((host, port))
    except BaseException:
        listening.close()
        raise
    return listening
