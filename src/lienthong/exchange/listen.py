"""A raw ASGI application on a port, behind the request guard.

No lifespan, no WebSocket, no access log, no Server header.  Promises: slow and surplus clients are ended without
touching the others; stopping lets the requests under way finish, for a bounded time.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from email.utils import formatdate
from typing import TYPE_CHECKING, Any, cast

from uvicorn.config import Config
from uvicorn.server import ServerState

from lienthong.errors import Problem
from lienthong.exchange.guard import RequestLimits, too_large
from lienthong.exchange.protocol import GuardedProtocol
from lienthong.i18n import T

if TYPE_CHECKING:
    from uvicorn._types import ASGI3Application, ASGIReceiveCallable

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

    def __init__(self, server: asyncio.Server, state: ServerState, port: int) -> None:
        self.port = port
        """The port bound, also when 0 was asked for."""
        self._server = server
        self._state = state
        self._ticker = asyncio.create_task(self._tick())

    @property
    def connections(self) -> int:
        """Connections open at this moment."""
        return len(self._state.connections)

    @property
    def requests(self) -> int:
        """Requests answered since the start."""
        return self._state.total_requests

    async def stop(self, grace_s: float = 30.0) -> None:
        """Accept nothing new, let requests under way finish for ``grace_s`` seconds, then cut what is left."""
        loop = asyncio.get_running_loop()
        until = loop.time() + grace_s
        self._server.close()
        for connection in list(self._state.connections):
            connection.shutdown()
        while self._state.tasks and (left := until - loop.time()) > 0:
            await asyncio.wait(list(self._state.tasks), timeout=left)
        self._ticker.cancel()
        for task in list(self._state.tasks):
            task.cancel()
        await asyncio.gather(self._ticker, *self._state.tasks, return_exceptions=True)
        await asyncio.sleep(0)  # answers just written leave before what is left is cut
        for connection in list(self._state.connections):
            if not connection.transport.is_closing():
                connection.transport.abort()
        await self._server.wait_closed()

    def check_pace(self, now: float) -> None:
        """End the connections that are too slow at the loop's time ``now``; called every second."""
        for connection in list(self._state.connections):
            cast(GuardedProtocol, connection).check_pace(now)

    async def _tick(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            self._state.default_headers = [(b"date", formatdate(usegmt=True).encode("ascii"))]
            self.check_pace(loop.time())
            await asyncio.sleep(_TICK_S)


async def serve_app(
    app: ASGI3Application,
    host: str,
    port: int,
    *,
    tls: ssl.SSLContext | None = None,
    limits: RequestLimits | None = None,
    reuse_port: bool = False,
    proxy_headers: bool = False,
) -> Listener:
    """Serve ``app`` on ``host``:``port`` (0 takes a free port) in the running event loop.

    ``scope["state"]`` holds ``peer`` and ``target``, see ``protocol.py``.  ``reuse_port`` lets several gateway
    processes share the port.  ``proxy_headers`` believes X-Forwarded-* of a proxy on this machine.
    Raises OSError when the port can not be had.
    """
    limits = limits or RequestLimits()
    config = Config(
        app,
        http=GuardedProtocol,
        ws="none",
        lifespan="off",
        interface="asgi3",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=proxy_headers,
        timeout_keep_alive=cast(int, limits.keep_alive_s),
    )
    config.load()
    state = ServerState()
    listening = _bind(host, port, reuse_port=reuse_port)

    def connection() -> GuardedProtocol:
        return GuardedProtocol(config, state, limits)

    more: dict[str, Any] = {"ssl": tls, "ssl_handshake_timeout": limits.head_s} if tls is not None else {}
    try:
        server = await asyncio.get_running_loop().create_server(connection, sock=listening, backlog=_BACKLOG, **more)
    except BaseException:
        listening.close()
        raise
    return Listener(server, state, cast(int, listening.getsockname()[1]))


async def read_body(receive: ASGIReceiveCallable, limit: int) -> bytes:
    """The request's whole body, of at most ``limit`` bytes.  Raises BodyTooLarge, CallerGone."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = cast("dict[str, Any]", await receive())
        if message["type"] == "http.disconnect":
            raise CallerGone(T("The caller closed its connection before its request was complete."))
        piece: bytes = message["body"]
        size += len(piece)
        if size > limit:
            raise too_large(limit)
        if not message["more_body"]:
            return piece if not pieces else b"".join([*pieces, piece])
        pieces.append(piece)


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
