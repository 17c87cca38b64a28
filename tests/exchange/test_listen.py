"""Listeners under slow, surplus and leaving clients, and while they stop."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import pytest

from lienthong.errors import Problem
from lienthong.exchange.guard import RequestLimits, RequestTooSlow, TooManyConnections
from lienthong.exchange.listen import read_body, serve_app
from tests.exchange.listening import Seen, exchange, listening, one_answer, statuses

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"


def soon(seconds: float) -> float:
    return asyncio.get_running_loop().time() + seconds


async def test_an_answer_bears_one_date_and_no_name_of_the_server() -> None:
    async with listening(Seen()) as listener:
        answer = (await exchange(listener.port, GET, answers=1)).lower()
    assert answer.count(b"\r\ndate: ") == 1
    assert b"server:" not in answer


async def test_a_connection_serves_many_requests() -> None:
    seen = Seen()
    async with listening(seen) as listener:
        answer = await exchange(listener.port, *[GET] * 10, answers=10)
        assert listener.requests == 10
    assert statuses(answer) == [200] * 10


@pytest.mark.parametrize(
    ("begun", "answered"),
    [
        pytest.param(b"", [], id="says nothing"),
        pytest.param(b"\r\n", [], id="says a blank line"),
        pytest.param(b"GET / HT", [408], id="half a request line"),
        pytest.param(POST + b"X: ", [408], id="half a field"),
        pytest.param(POST + b"Content-Length: 1000000\r\n\r\nabc", [408], id="half a body"),
        pytest.param(POST + b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", [408], id="half a chunk"),
    ],
)
async def test_a_slow_client_is_ended_and_the_next_is_served(begun: bytes, answered: list[int]) -> None:
    seen = Seen()
    async with listening(seen, RequestLimits(head_s=10, stall_s=10)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(begun)
        # A second client's answer shows that the first one's bytes have been read, too.
        assert statuses(await exchange(listener.port, GET, answers=1)) == [200]
        listener.check_pace(soon(9))
        assert listener.connections >= 1
        listener.check_pace(soon(11))
        with contextlib.suppress(ConnectionError):
            told = await reader.read()
            assert statuses(told) == answered
            assert (f"urn:lienthong:problem:{RequestTooSlow.kind}".encode() in told) is bool(answered)
        writer.close()
        assert statuses(await exchange(listener.port, GET, answers=1)) == [200]


async def test_a_body_that_keeps_its_pace_is_left_alone_and_one_that_drips_is_not() -> None:
    seen = Seen()
    async with listening(seen, RequestLimits(stall_s=10, min_bytes_per_s=100)) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(POST + b"Content-Length: 5000\r\n\r\n")
        for turn in range(1, 3):
            writer.write(b"x" * 2000)
            await exchange(listener.port, GET, answers=1)
            listener.check_pace(soon(11 * turn))
        writer.write(b"x" * 10)
        await exchange(listener.port, GET, answers=1)
        listener.check_pace(soon(40))
        assert statuses(await reader.read()) == [408]
        writer.close()
    assert seen.problems == ["caller-gone"]


async def test_a_client_that_does_not_read_its_answer_is_cut() -> None:
    started, gone = asyncio.Event(), asyncio.Event()

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        started.set()
        while listener.connections:
            await send({"type": "http.response.body", "body": b"x" * 65_536, "more_body": True})
            await asyncio.sleep(0)
        gone.set()

    async with listening(endless, RequestLimits(stall_s=10)) as listener:
        _, writer = await asyncio.open_connection("127.0.0.1", listener.port, limit=1024)
        writer.write(GET)
        await started.wait()
        while not gone.is_set():
            listener.check_pace(soon(11))
            await asyncio.sleep(0)
        writer.close()


async def test_a_busy_application_does_not_count_against_its_client() -> None:
    seen = Seen(hold=asyncio.Event())
    async with listening(seen) as listener:
        sent = asyncio.create_task(exchange(listener.port, GET, answers=1))
        await seen.started.wait()
        listener.check_pace(soon(1000))
        assert seen.hold is not None
        seen.hold.set()
        assert statuses(await sent) == [200]


async def test_a_client_told_to_wait_is_not_slow() -> None:
    release = asyncio.Event()
    started = asyncio.Event()

    async def thinking(scope: Any, receive: Any, send: Any) -> None:
        started.set()
        await release.wait()
        body = await read_body(receive, 10)
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    async with listening(thinking) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n")
        await started.wait()
        listener.check_pace(soon(1000))
        release.set()
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"hi")
        assert (await one_answer(reader)).endswith(b"\r\n\r\nhi")
        writer.close()


async def test_surplus_connections_are_told_so_and_the_others_served() -> None:
    async with listening(Seen(), RequestLimits(max_connections=2)) as listener:
        kept = [await asyncio.open_connection("127.0.0.1", listener.port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(GET)
            await one_answer(reader)
        refused = await exchange(listener.port)
        assert statuses(refused) == [503]
        assert f"urn:lienthong:problem:{TooManyConnections.kind}".encode() in refused
        for reader, writer in kept:
            writer.write(GET)
            assert statuses(await one_answer(reader)) == [200]
            writer.close()


@pytest.mark.parametrize(("size", "fits"), [(10, True), (11, False)])
@pytest.mark.parametrize("framing", ["length", "chunked"])
async def test_an_application_may_set_a_smaller_limit_for_itself(size: int, fits: bool, framing: str) -> None:
    kinds: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        status = 200
        try:
            await read_body(receive, 10)
        except Problem as problem:
            kinds.append(problem.kind)
            status = problem.status
        await send({"type": "http.response.start", "status": status, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})

    body = b"x" * size
    sent = b"Content-Length: %d\r\n\r\n%b" % (size, body)
    if framing == "chunked":
        sent = b"Transfer-Encoding: chunked\r\n\r\n" + b"".join(b"1\r\n%c\r\n" % c for c in body) + b"0\r\n\r\n"
    async with listening(app) as listener:
        answer = await exchange(listener.port, POST + sent, GET, answers=2)
    assert statuses(answer) == [200 if fits else 413, 200]
    assert kinds == ([] if fits else ["body-too-large"])


async def test_stopping_lets_the_request_under_way_finish_and_refuses_new_ones() -> None:
    seen = Seen(hold=asyncio.Event())
    listener = await serve_app(seen, "127.0.0.1", 0)
    idle_reader, idle_writer = await asyncio.open_connection("127.0.0.1", listener.port)
    call = asyncio.create_task(exchange(listener.port, GET))
    await seen.started.wait()

    stopping = asyncio.create_task(listener.stop(grace_s=30))
    assert await idle_reader.read() == b""
    with pytest.raises(OSError, match=r"refused|Connect call failed"):
        await asyncio.open_connection("127.0.0.1", listener.port)
    assert seen.hold is not None
    seen.hold.set()
    answer = await call
    await stopping
    idle_writer.close()

    assert statuses(answer) == [200]
    assert b"connection: close" in answer
    assert listener.connections == 0


async def test_stopping_cuts_what_does_not_finish_in_time() -> None:
    seen = Seen(hold=asyncio.Event())
    listener = await serve_app(seen, "127.0.0.1", 0)
    call = asyncio.create_task(exchange(listener.port, GET))
    await seen.started.wait()

    await listener.stop(grace_s=0.01)

    assert statuses(await call) in ([], [500])


async def test_an_application_that_fails_answers_500_and_the_next_request_works() -> None:
    calls = 0

    async def app(scope: Any, receive: Any, send: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 1:
            raise RuntimeError("a fault")
        await Seen()(scope, receive, send)

    async with listening(app) as listener:
        assert statuses(await exchange(listener.port, GET)) == [500]
        assert statuses(await exchange(listener.port, GET, answers=1)) == [200]


async def test_a_taken_port_is_an_error() -> None:
    async with listening(Seen()) as listener:
        with pytest.raises(OSError, match="in use"):
            await serve_app(Seen(), "127.0.0.1", listener.port)
