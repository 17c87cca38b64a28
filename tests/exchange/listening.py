"""A listener with an application that tells what reached it, and raw sockets to talk to it."""

from __future__ import annotations

import asyncio
import re
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from lienthong.errors import Problem
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, read_body, serve_app


@dataclass
class Seen:
    """An ASGI application that answers 200 with the body it got, and remembers each request."""

    requests: list[tuple[str, bytes, bytes]] = field(default_factory=list[tuple[str, bytes, bytes]])
    peers: list[str | None] = field(default_factory=list[str | None])
    problems: list[str] = field(default_factory=list[str])
    hold: asyncio.Event | None = None
    started: asyncio.Event = field(default_factory=asyncio.Event)

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.peers.append(scope["state"]["peer"])
        self.started.set()
        try:
            body = await read_body(receive, 1_000_000)
        except Problem as problem:
            self.problems.append(problem.kind)
            return
        self.requests.append((scope["method"], scope["state"]["target"], body))
        if self.hold is not None:
            await self.hold.wait()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(
    app: Any, limits: RequestLimits | None = None, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Listener]:
    listener = await serve_app(app, "127.0.0.1", 0, tls=tls, limits=limits)
    try:
        yield listener
    finally:
        await listener.stop(grace_s=0.1)


async def exchange(port: int, *pieces: bytes, answers: int | None = None, tls: ssl.SSLContext | None = None) -> bytes:
    """Send ``pieces`` one after the other; return ``answers`` answers, or all that comes until the server closes."""
    writer = None
    try:
        reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
        for piece in pieces:
            writer.write(piece)
            await writer.drain()
        if answers is None:
            return await asyncio.wait_for(reader.read(), 30)
        return b"".join([await one_answer(reader) for _ in range(answers)])
    except (ConnectionError, ssl.SSLError):
        return b"reset"
    finally:
        if writer is not None:
            writer.close()


async def one_answer(reader: asyncio.StreamReader) -> bytes:
    """The next answer, head and body."""
    head = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    length = re.search(rb"content-length: (\d+)", head)
    return head + await reader.readexactly(int(length[1]) if length else 0)


def statuses(answer: bytes) -> list[int]:
    """The status codes of the answers in ``answer``, in order."""
    return [int(code) for code in re.findall(rb"HTTP/1\.1 (\d{3}) [A-Z]", answer)]
