"""A TCP proxy that spoils what passes: latency, cuts, slow drip, black hole, half-close; the bytes stay what they are.

Between two real nodes it stands where a bad network would; TLS goes through it untouched.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

PIECE = 64 * 1024

Direction = Literal["there", "back"]
"""``there``: from the one who connected; ``back``: the answers."""


@dataclass
class Weather:
    """What happens to bytes of one direction; may be changed while they pass."""

    latency_s: float = 0.0
    """Before each piece goes on."""
    drip_bytes: int = 0
    """Pieces are cut to this many bytes, each after ``latency_s``; 0: as they come."""
    cut_after: int | None = None
    """Both directions of a connection are cut once so many bytes passed this way."""
    half_close_after: int | None = None
    """This direction ends, as by ``shutdown``, once so many bytes passed; the other goes on."""
    swallow: bool = False
    """Bytes are read and never go on."""


@dataclass
class FaultProxy:
    """One address in front of another; ``there`` and ``back`` say how each direction fares."""

    target_port: int
    there: Weather = field(default_factory=Weather)
    back: Weather = field(default_factory=Weather)
    accepted: int = 0
    refuse: bool = False
    """New connections are dropped before anything passes."""
    passed: dict[Direction, int] = field(default_factory=lambda: {"there": 0, "back": 0})
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)
    _server: asyncio.Server | None = None

    async def start(self, port: int = 0) -> int:
        """Listen on loopback; returns the port."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", port)
        return self._server.sockets[0].getsockname()[1]

    def clear(self) -> None:
        """Good weather both ways for what comes next; connections already spoilt stay so."""
        self.there, self.back, self.refuse = Weather(), Weather(), False

    async def stop(self) -> None:
        assert self._server
        self._server.close()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._server.wait_closed()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        self.accepted += 1
        try:
            if not self.refuse:
                await self._join(reader, writer)
        finally:
            self._tasks.discard(task)
            writer.transport.abort()

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            target_reader, target_writer = await asyncio.open_connection("127.0.0.1", self.target_port)
        except OSError:
            return
        ways = [
            asyncio.create_task(self._carry("there", reader, target_writer)),
            asyncio.create_task(self._carry("back", target_reader, writer)),
        ]
        try:
            # A cut ends both ways at once; an orderly end of one way leaves the other to its own end.
            await asyncio.gather(*ways)
        except ConnectionError:
            pass
        finally:
            for way in ways:
                way.cancel()
            await asyncio.gather(*ways, return_exceptions=True)
            target_writer.transport.abort()

    def _weather(self, direction: Direction) -> Weather:
        return self.there if direction == "there" else self.back

    async def _carry(self, direction: Direction, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        carried = 0
        while True:
            piece = await reader.read(self._weather(direction).drip_bytes or PIECE)
            if not piece:
                break
            weather = self._weather(direction)  # it may have changed while nothing came
            if weather.latency_s:
                await asyncio.sleep(weather.latency_s)
            if weather.swallow:
                continue
            for limit, ends in ((weather.cut_after, True), (weather.half_close_after, False)):
                if limit is not None and carried + len(piece) > limit:
                    writer.write(piece[: limit - carried])
                    with suppress(ConnectionError):
                        await writer.drain()
                    if ends:
                        raise ConnectionResetError
                    if writer.can_write_eof():
                        writer.write_eof()
                    return
            writer.write(piece)
            await writer.drain()
            carried += len(piece)
            self.passed[direction] += len(piece)
        if writer.can_write_eof():
            writer.write_eof()


@asynccontextmanager
async def proxy_to(target_port: int) -> AsyncIterator[tuple[FaultProxy, int]]:
    """A proxy before a port, and its own port."""
    proxy = FaultProxy(target_port)
    port = await proxy.start()
    try:
        yield proxy, port
    finally:
        await proxy.stop()
