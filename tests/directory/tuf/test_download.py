"""Endless, oversized and dripping answers of a national node, over real sockets."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aiohttp
import pytest

from lienthong.directory.follow import DirectoryTooLarge
from lienthong.directory.tuf.download import download
from lienthong.directory.tuf.problems import DirectoryIncomplete, DirectorySlow

HEAD = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n"


@contextlib.asynccontextmanager
async def answering(first: bytes, again: bytes = b"", pause_s: float = 0.0) -> AsyncIterator[str]:
    """A listener that sends ``first``, then ``again`` for ever when there is any."""

    serving: list[asyncio.Task[None] | None] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        serving.append(asyncio.current_task())
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            await reader.readuntil(b"\r\n\r\n")
            writer.write(first)
            await writer.drain()
            while again:
                writer.write(again)
                await writer.drain()
                await asyncio.sleep(pause_s)
        writer.close()
        with contextlib.suppress(ConnectionError):
            await writer.wait_closed()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        for task in serving:
            if task is not None:
                task.cancel()
        await asyncio.gather(*(task for task in serving if task is not None), return_exceptions=True)


async def asked(base: str, limit: int = 1000, deadline_s: float = 20.0) -> bytes | None:
    async with aiohttp.ClientSession() as session:
        return await download(session, base, "timestamp.json", limit, deadline_s)


async def test_a_file_of_its_size_arrives_whole():
    async with answering(HEAD + b"x" * 1000) as base:
        assert await asked(base) == b"x" * 1000


async def test_what_never_ends_is_cut_off_at_its_limit():
    async with answering(HEAD, b"x" * 4096) as base:
        with pytest.raises(DirectoryTooLarge):
            await asked(base)


async def test_what_drips_is_cut_off_at_the_deadline():
    async with answering(HEAD, b"x", pause_s=0.02) as base:
        with pytest.raises(DirectorySlow):
            await asked(base, deadline_s=0.3)


async def test_nothing_there_is_told_from_a_failure():
    async with answering(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n") as base:
        assert await asked(base) is None
    async with answering(b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n") as base:
        with pytest.raises(DirectoryIncomplete):
            await asked(base)
