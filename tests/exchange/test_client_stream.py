"""Bodies too large to hold, both ways, and links that were left unused."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import Limits
from lienthong.exchange.client import HttpClient, Origin
from tests.exchange.scripted import read_request, saying, scripted

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
PIECE = bytes(range(256)) * 256


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient(Limits(stall_s=5))
    yield made
    await made.close()


async def download(client: HttpClient, origin: Origin, *, deadline_s: float, max_body: int | None = None) -> bytes:
    async with client.stream(origin, "GET", b"/", [], deadline_s=deadline_s, max_body=max_body) as answer:
        return b"".join([piece async for piece in answer])


async def pieces(count: int) -> AsyncIterator[bytes]:
    for _ in range(count):
        yield PIECE


async def test_a_large_answer_arrives_whole_and_the_link_is_kept(client: HttpClient) -> None:
    connections = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        while await read_request(reader):
            writer.write(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n")
            for _ in range(64):
                writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
                await writer.drain()
            writer.write(b"0\r\n\r\n")

    async with scripted(script) as origin:
        for _ in range(2):
            async with client.stream(origin, "GET", b"/", [], deadline_s=30) as answer:
                assert answer.status == 200
                assert b"".join([piece async for piece in answer]) == PIECE * 64

    assert connections == 1


async def test_a_reader_that_waits_makes_the_server_wait(client: HttpClient) -> None:
    sent = 0
    stuck = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await read_request(reader)
        writer.transport.set_write_buffer_limits(high=65_536)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % (len(PIECE) * 1000))
        for _ in range(1000):
            writer.write(PIECE)
            sent += 1
            try:
                await asyncio.wait_for(writer.drain(), 0.2)
            except TimeoutError:
                stuck.set()
                await writer.drain()

    async with scripted(script) as origin, client.stream(origin, "GET", b"/", [], deadline_s=60) as answer:
        await stuck.wait()
        assert sent < 500
        size = 0
        async for piece in answer:
            size += len(piece)
    assert size == len(PIECE) * 1000


@pytest.mark.parametrize("length", [None, len(PIECE) * 40])
async def test_a_large_request_is_sent_piece_by_piece(client: HttpClient, length: int | None) -> None:
    got: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while head := await reader.readuntil(b"\r\n\r\n"):
            body = b""
            if b"chunked" in head:
                while size := int(await reader.readline(), 16):
                    body += await reader.readexactly(size)
                    assert await reader.readexactly(2) == b"\r\n"
                await reader.readexactly(2)
            else:
                body = await reader.readexactly(len(PIECE) * 40)
            got.append(body)
            writer.write(OK)

    async with scripted(script) as origin:
        for _ in range(2):
            async with client.stream(origin, "PUT", b"/", [], pieces(40), length=length, deadline_s=30) as answer:
                assert b"".join([piece async for piece in answer]) == b"ok"

    assert got == [PIECE * 40] * 2


@pytest.mark.parametrize("length", [1, len(PIECE) + 1])
async def test_a_body_that_differs_from_its_stated_length_breaks_the_link(client: HttpClient, length: int) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            await reader.readuntil(b"\r\n\r\n")
            await reader.readexactly(length)
            writer.write(OK)
            await reader.read()
        finally:
            ended.set()

    async with scripted(script) as origin:
        with pytest.raises((Problem, ValueError)):
            async with client.stream(origin, "PUT", b"/", [], pieces(1), length=length, deadline_s=30):
                pass
        await ended.wait()


async def test_a_source_that_fails_never_looks_like_a_complete_body(client: HttpClient) -> None:
    got = bytearray()
    ended = asyncio.Event()

    async def failing() -> AsyncIterator[bytes]:
        yield b"first"
        raise OSError("the disk is gone")

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while piece := await reader.read(1000):
                got.extend(piece)
        finally:
            ended.set()

    async with scripted(script) as origin:
        with pytest.raises(OSError, match="the disk is gone"):
            async with client.stream(origin, "PUT", b"/", [], failing(), deadline_s=30):
                pass
        await ended.wait()

    assert not got.endswith(b"0\r\n\r\n")


async def test_an_answer_before_the_request_is_complete_is_read_and_the_link_dropped(client: HttpClient) -> None:
    connections = 0

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE
            await asyncio.sleep(0)

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 3\r\n\r\nbig")
        while await reader.read(65_536):
            pass

    async with scripted(script) as origin:
        for _ in range(2):
            async with client.stream(origin, "PUT", b"/", [], endless(), deadline_s=30) as answer:
                assert answer.status == 413
                assert b"".join([piece async for piece in answer]) == b"big"

    assert connections == 2


async def test_a_reader_that_leaves_early_closes_the_link(client: HttpClient) -> None:
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000000\r\n\r\nfirst")
        try:
            await reader.read()
        finally:
            ended.set()

    async with scripted(script) as origin:
        async with client.stream(origin, "GET", b"/", [], deadline_s=30) as answer:
            async for piece in answer:
                assert piece == b"first"
                break
        await ended.wait()


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "bad-answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\n", "bad-answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nshort\r\nzz\r\n", "bad-answer"),
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1f4\r\n" + b"x" * 500, "peer-answer-too-large"),
    ],
)
async def test_a_stream_that_breaks_ends_with_a_problem_never_quietly(
    client: HttpClient, answer: bytes, kind: str
) -> None:
    async with scripted(saying(answer, then_close=True)) as origin:
        with pytest.raises(Problem) as refused:
            await download(client, origin, deadline_s=30, max_body=499)
    assert refused.value.kind == kind


async def test_a_stream_that_stalls_ends_before_its_deadline() -> None:
    client = HttpClient(Limits(stall_s=0.05))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\nfirst")
        await reader.read()

    async with scripted(script) as origin:
        with pytest.raises(Problem) as refused:
            await download(client, origin, deadline_s=3600)
    await client.close()

    assert refused.value.kind == "peer-timeout"


async def test_an_unused_link_is_closed_after_its_time() -> None:
    client = HttpClient(Limits(idle_s=0.01))
    ended = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await saying(OK)(reader, writer)
        ended.set()

    async with scripted(script) as origin:
        await client.request(origin, "GET", b"/", [], deadline_s=5, max_body=10)
        await ended.wait()
    await client.close()


async def test_closing_the_client_ends_the_calls_under_way(client: HttpClient) -> None:
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()

    async with scripted(script) as origin:
        call = asyncio.create_task(client.request(origin, "GET", b"/", [], deadline_s=60, max_body=10))
        await asked.wait()
        await client.close()
        with pytest.raises(Problem) as refused:
            await call
    assert refused.value.kind == "peer-closed"
