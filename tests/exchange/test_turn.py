"""What applications may do on a listener, and what happens when they break their word."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from lienthong.exchange.guard import RequestLimits
from tests.exchange.listening import exchange, listening, one_answer, statuses

GET = b"GET /a%20b?c=%20 HTTP/1.1\r\nHost: a\r\n\r\n"
HEAD = b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"

App = Callable[[Any, Any, Any], Awaitable[None]]


def answering(status: int, headers: list[tuple[bytes, bytes]], *pieces: bytes) -> App:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        for index, piece in enumerate(pieces):
            await send({"type": "http.response.body", "body": piece, "more_body": index < len(pieces) - 1})

    return app


@pytest.mark.parametrize(
    ("app", "request_bytes", "framing", "body"),
    [
        (answering(200, [], b"whole"), GET, b"content-length: 5", b"whole"),
        (answering(200, [], b""), GET, b"content-length: 0", b""),
        (answering(200, [(b"Content-Length", b"5")], b"wh", b"ole"), GET, b"content-length: 5", b"whole"),
        (
            answering(200, [], b"wh", b"", b"ole"),
            GET,
            b"transfer-encoding: chunked",
            b"2\r\nwh\r\n3\r\nole\r\n0\r\n\r\n",
        ),
        (answering(200, [(b"transfer-encoding", b"chunked")], b"x", b""), GET, b"chunked", b"1\r\nx\r\n0\r\n\r\n"),
        (answering(200, [(b"content-length", b"5")], b"whole"), HEAD, b"content-length: 5", b""),
        (answering(200, [(b"content-length", b"5")], b""), HEAD, b"content-length: 5", b""),
        (answering(304, [(b"content-length", b"5")], b""), GET, b"content-length: 5", b""),
        (answering(200, [], b"x" * 200_000), GET, b"content-length: 200000", b"x" * 200_000),
    ],
)
async def test_an_answer_is_framed_so_that_its_end_is_known(
    app: App, request_bytes: bytes, framing: bytes, body: bytes
) -> None:
    async with listening(app) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(request_bytes)
        head = await reader.readuntil(b"\r\n\r\n")
        assert await reader.readexactly(len(body)) == body
        writer.write(request_bytes)
        assert (await reader.readuntil(b"\r\n\r\n")).startswith(b"HTTP/1.1")  # the link stays usable
        writer.close()
    assert framing in head
    assert head.count(b"content-length") + head.count(b"transfer-encoding") == 1


async def test_an_answer_without_content_has_no_length() -> None:
    async with listening(answering(204, [(b"content-length", b"0")], b"")) as listener:
        answer = await exchange(listener.port, GET, answers=1)
    assert answer.startswith(b"HTTP/1.1 204 No Content\r\n")
    assert b"content-length" not in answer


async def test_the_date_is_ours_alone() -> None:
    async with listening(answering(200, [(b"Date", b"yesterday"), (b"date", b"tomorrow")], b"")) as listener:
        answer = (await exchange(listener.port, GET, answers=1)).lower()
    assert answer.count(b"\r\ndate: ") == 1
    assert b"yesterday" not in answer
    assert b"tomorrow" not in answer


async def test_an_application_may_close_the_connection() -> None:
    async with listening(answering(200, [(b"connection", b"close")], b"bye")) as listener:
        answer = await exchange(listener.port, GET)
    assert answer.count(b"connection: close") == 1
    assert answer.endswith(b"\r\n\r\nbye")


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answering(200, [(b"x", b"a\r\nset-cookie: b")], b""), id="line break in a value"),
        pytest.param(answering(200, [(b"x\r\ny", b"a")], b""), id="line break in a name"),
        pytest.param(answering(200, [(b"x", b"a\0")], b""), id="NUL in a value"),
        pytest.param(answering(200, [(b"content-length", b"3")], b"longer"), id="longer than stated"),
        pytest.param(answering(200, [(b"content-length", b"30")], b"shorter"), id="shorter than stated"),
        pytest.param(answering(200, []), id="head only"),
        pytest.param(answering(999, [], b""), id="no such status"),
    ],
)
async def test_an_application_that_breaks_its_word_before_a_byte_left_answers_500(app: App) -> None:
    async with listening(app) as listener:
        answer = await exchange(listener.port, GET)
    assert statuses(answer) == [500]
    assert b"urn:lienthong:problem:internal" in answer
    assert b"set-cookie" not in answer


@pytest.mark.parametrize(
    "app",
    [
        pytest.param(answering(200, [(b"content-length", b"9")], b"first", b"second"), id="longer in the end"),
        pytest.param(answering(200, [(b"content-length", b"90")], b"first", b"second"), id="shorter in the end"),
    ],
)
async def test_an_application_that_breaks_its_word_later_is_cut_short_for_all_to_see(app: App) -> None:
    async with listening(app) as listener:
        answer = await exchange(listener.port, GET)
    assert statuses(answer) in ([200], [])
    assert not answer.endswith(b"second")


async def test_an_application_that_fails_in_the_middle_never_ends_its_chunks() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"first", "more_body": True})
        raise RuntimeError("a fault")

    async with listening(app) as listener:
        answer = await exchange(listener.port, GET)
    assert not answer.endswith(b"0\r\n\r\n")


async def send_until_stuck(writer: asyncio.StreamWriter, total: int) -> int:
    """Send zeros until nobody takes any for a while; how many were sent."""
    sent = 0
    while sent < total:
        writer.write(bytes(100_000))
        sent += 100_000
        try:
            await asyncio.wait_for(writer.drain(), 0.3)
        except TimeoutError:
            return sent
    return sent


async def test_a_body_is_taken_piece_by_piece_and_the_client_waits_for_a_slow_application() -> None:
    go = asyncio.Event()
    sizes: list[int] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await go.wait()
        more = True
        while more:
            message = await receive()
            sizes.append(len(message["body"]))
            more = message["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"%d" % sum(sizes)})

    total = 30_000_000
    async with listening(app, RequestLimits(max_body=None)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.transport.set_write_buffer_limits(high=65_536)
        writer.write(POST + b"Content-Length: %d\r\n\r\n" % total)
        sent = await send_until_stuck(writer, total)
        assert sent < total
        go.set()
        await writer.drain()
        writer.write(bytes(total - sent))
        assert (await one_answer(reader)).endswith(b"\r\n\r\n%d" % total)
        writer.close()
    assert max(sizes) < 2_000_000


async def test_an_application_learns_that_its_client_left() -> None:
    heard: list[str] = []
    started, ended = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        heard.append((await receive())["type"])
        started.set()
        heard.append((await receive())["type"])
        await send({"type": "http.response.start", "status": 200, "headers": []})  # to nobody, and no error
        await send({"type": "http.response.body", "body": b"x"})
        ended.set()

    async with listening(app) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(GET)
        await started.wait()
        writer.close()
        await ended.wait()
    assert heard == ["http.request", "http.disconnect"]


async def test_the_next_request_does_not_wait_for_what_an_application_does_after_its_answer() -> None:
    go, done = asyncio.Event(), asyncio.Event()

    async def later() -> None:
        await go.wait()
        done.set()

    async def page(request: Request) -> Response:
        return PlainTextResponse(request.url.path, background=BackgroundTask(later))

    async with listening(Starlette(routes=[Route("/{path:path}", page)])) as listener:
        answer = await exchange(listener.port, GET, GET, answers=2)
        go.set()
        await done.wait()
    assert statuses(answer) == [200, 200]
    assert answer.endswith(b"/a b")


async def test_frameworks_stream_and_read_as_they_are_used_to() -> None:
    async def upper(request: Request) -> Response:
        body = await request.body()
        return StreamingResponse(iter([body.upper(), request.query_params.get("q", "").encode()]))

    async with listening(Starlette(routes=[Route("/x", upper, methods=["POST"])])) as listener:
        answer = await exchange(
            listener.port,
            b"POST /x?q=%C4%91 HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 3\r\n\r\nabc",
        )
    assert statuses(answer) == [200]
    assert answer.endswith(b"3\r\nABC\r\n2\r\n\xc4\x91\r\n0\r\n\r\n")


async def test_a_body_that_turns_bad_after_its_answer_brings_no_second_answer() -> None:
    async with listening(answering(200, [], b"early"), RequestLimits(max_body=10)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(POST + b"Transfer-Encoding: chunked\r\n\r\n1\r\na\r\n")
        assert (await one_answer(reader)).endswith(b"early")
        writer.write(b"10\r\n0123456789abcdef\r\n")
        assert await reader.read() == b""
        writer.close()


async def test_the_scope_says_what_the_request_said() -> None:
    scopes: list[dict[str, Any]] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scopes.append(scope)
        await answering(200, [], b"")(scope, receive, send)

    async with listening(app) as listener:
        await exchange(
            listener.port, b"GET /%C3%B6%2Fx?y=%20 HTTP/1.1\r\nHoSt: a\r\nX-B: 1\r\nx-b: 2\r\n\r\n", answers=1
        )
        port = listener.port
    scope = scopes[0]
    assert (scope["type"], scope["method"], scope["http_version"], scope["scheme"]) == ("http", "GET", "1.1", "http")
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == ("/ö/x", b"/%C3%B6%2Fx", b"y=%20")
    assert scope["headers"] == [(b"host", b"a"), (b"x-b", b"1"), (b"x-b", b"2")]
    assert scope["server"] == ("127.0.0.1", port)
    assert scope["client"][0] == "127.0.0.1"
    assert scope["state"] == {"peer": None, "target": b"/%C3%B6%2Fx?y=%20", "gone": scope["state"]["gone"]}
    assert scope["state"]["gone"]()  # by now the client has left
