"""Hostile bytes on a raw socket: refused at once, by name, and never seen by the application."""

from __future__ import annotations

import asyncio
import json

import pytest

from lienthong.exchange.guard import MethodUnknown, RequestLimits, check_head, without_h2c
from tests.exchange.listening import Seen, exchange, listening, statuses

H = b"Host: a\r\n"
GET = b"GET / HTTP/1.1\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n"

KINDS = {
    400: "malformed-request",
    413: "body-too-large",
    414: "target-too-long",
    431: "head-too-large",
    501: "method-unknown",
    505: "http-version",
}
TABLE = {
    "no Host": (GET + b"\r\n", 400),
    "empty Host": (GET + b"Host: \r\n\r\n", 400),
    "two Hosts": (GET + H + H + b"\r\n", 400),
    "two Hosts in different case": (GET + H + b"HOST: b\r\n\r\n", 400),
    "Host with a path": (GET + b"Host: a/b\r\n\r\n", 400),
    "Host with an account": (GET + b"Host: u@a\r\n\r\n", 400),
    "Host with two values": (GET + b"Host: a, b\r\n\r\n", 400),
    "length and chunked": (POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked and length": (POST + b"Transfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n0\r\n\r\n", 400),
    "two equal lengths": (POST + b"Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 400),
    "two different lengths": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "a list of lengths": (POST + b"Content-Length: 1, 1\r\n\r\na", 400),
    "signed length": (POST + b"Content-Length: +1\r\n\r\na", 400),
    "negative length": (POST + b"Content-Length: -1\r\n\r\na", 400),
    "hexadecimal length": (POST + b"Content-Length: 0x1\r\n\r\na", 400),
    "empty length": (POST + b"Content-Length: \r\n\r\n", 400),
    "length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\n", 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "gzip, chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", 400),
    "chunked, identity": (POST + b"Transfer-Encoding: chunked, identity\r\n\r\n0\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
    "vertical tab before chunked": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", 400),
    "negative chunk": (CHUNKED + b"-1\r\n\r\n", 400),
    "chunk size no number": (CHUNKED + b"zz\r\n\r\n", 400),
    "chunk size beyond 64 bits": (CHUNKED + b"fffffffffffffffff\r\na", 400),
    "chunk longer than its size": (CHUNKED + b"1\r\nab\r\n0\r\n\r\n", 400),
    "chunk with bare line feed": (CHUNKED + b"1\na\n0\n\n", 400),
    "chunk extension of 100 kB": (CHUNKED + b"1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n", 400),
    "trailer field": (CHUNKED + b"1\r\na\r\n0\r\nX-Late: 1\r\n\r\n", 400),
    "space before the colon": (GET + H + b"X : 1\r\n\r\n", 400),
    "space in a name": (GET + H + b"X Y: 1\r\n\r\n", 400),
    "no name": (GET + H + b": 1\r\n\r\n", 400),
    "control character in a name": (GET + H + b"X\x01: 1\r\n\r\n", 400),
    "letters beyond ASCII in a name": (GET + H + "Đ: 1\r\n\r\n".encode(), 400),
    "NUL in a value": (GET + H + b"X: a\0b\r\n\r\n", 400),
    "control character in a value": (GET + H + b"X: a\x01b\r\n\r\n", 400),
    "folded line": (GET + H + b"X: 1\r\n 2\r\n\r\n", 400),
    "folded first line": (GET + b" X: 1\r\n" + H + b"\r\n", 400),
    "bare line feeds": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "one bare line feed": (GET + b"Host: a\nX: 1\r\n\r\n", 400),
    "bare carriage return": (GET + H + b"X: a\rb\r\n\r\n", 400),
    "no colon": (GET + H + b"nonsense\r\n\r\n", 400),
    "absolute form": (b"GET http://a/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "authority form": (b"CONNECT a:80 HTTP/1.1\r\n" + H + b"\r\n", 501),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n" + H + b"\r\n", 400),
    "two slashes": (b"GET //a/b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\n" + H + b"\r\n", 400),
    "letters beyond ASCII in the target": ("GET /đ HTTP/1.1\r\n".encode() + H + b"\r\n", 400),
    "control character in the target": (b"GET /a\x7f HTTP/1.1\r\n" + H + b"\r\n", 400),
    "tab in the request line": (b"GET\t/ HTTP/1.1\r\n" + H + b"\r\n", 400),
    "no version": (b"GET /\r\n" + H + b"\r\n", 505),
    "HTTP/1.0": (b"GET / HTTP/1.0\r\n" + H + b"\r\n", 505),
    "HTTP/1.0 kept alive": (b"GET / HTTP/1.0\r\n" + H + b"Connection: keep-alive\r\n\r\n", 505),
    "HTTP/1.0 chunked": (b"POST / HTTP/1.0\r\n" + H + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 505),
    "HTTP/2.0": (b"GET / HTTP/2.0\r\n" + H + b"\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\n" + H + b"\r\n", 400),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    "lower-case method": (b"get / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "invented method": (b"FETCH / HTTP/1.1\r\n" + H + b"\r\n", 400),
    "method not served": (b"PROPFIND / HTTP/1.1\r\n" + H + b"\r\n", 501),
    "TRACE": (b"TRACE / HTTP/1.1\r\n" + H + b"\r\n", 501),
    "upgrade to WebSocket": (GET + H + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n", 400),
    "upgrade to h2c": (GET + H + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n", 400),
    "unknown expectation": (POST + b"Expect: a miracle\r\nContent-Length: 1\r\n\r\na", 400),
    "two content types": (POST + b"Content-Type: a/b\r\nContent-Type: c/d\r\nContent-Length: 0\r\n\r\n", 400),
    "two signatures": (POST + b"Signature: a\r\nSignature: b\r\nContent-Length: 0\r\n\r\n", 400),
    "two purposes": (POST + b"Lienthong-Purpose: a\r\nLienthong-Purpose: b\r\nContent-Length: 0\r\n\r\n", 400),
    "target of 9 kB": (b"GET /" + b"a" * 9_000 + b" HTTP/1.1\r\n" + H + b"\r\n", 414),
    "endless target": (b"GET /" + b"a" * 900_000, 414),
    "field of 70 kB": (GET + H + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "fields of 70 kB": (GET + H + (b"X: " + b"a" * 900 + b"\r\n") * 78 + b"\r\n", 431),
    "20,000 fields": (GET + H + b"X: 1\r\n" * 20_000 + b"\r\n", 431),
    "101 fields": (GET + H + b"X: 1\r\n" * 100 + b"\r\n", 431),
    "endless name": (GET + H + b"X" * 900_000, 431),
    "length over the limit": (POST + b"Content-Length: 1001\r\n\r\n", 413),
    "chunks over the limit": (CHUNKED + b"3e9\r\n" + b"a" * 1001 + b"\r\n0\r\n\r\n", 413),
    "another protocol": (b"SSH-2.0-OpenSSH_9.2\r\n", 400),
    "TLS on a plain port": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400),
    "blank lines": (b"\r\n" * 200, 400),
}


@pytest.mark.parametrize(("request_bytes", "status"), TABLE.values(), ids=TABLE.keys())
async def test_a_request_two_programs_could_read_differently_never_reaches_the_application(
    request_bytes: bytes, status: int
) -> None:
    seen = Seen()
    async with listening(seen, RequestLimits(max_body=1000)) as listener:
        answer = await exchange(listener.port, request_bytes)
        assert seen.requests == []
        assert statuses(await exchange(listener.port, GET + H + b"\r\n", answers=1)) == [200]

    assert statuses(answer) == [status]
    head, _, body = answer.partition(b"\r\n\r\n")
    assert b"connection: close" in head
    problem = json.loads(body)
    assert problem["status"] == status
    assert problem["side"] == "caller"
    assert problem["type"] == f"urn:lienthong:problem:{KINDS[status]}"
    assert "{" not in problem["detail"]


ACCEPTED = {
    "plain": (GET + H + b"\r\n", b"/"),
    "Host with a port": (GET + b"Host: a.b-c:8080\r\n\r\n", b"/"),
    "Host as IPv6": (GET + b"Host: [::1]:8080\r\n\r\n", b"/"),
    "encoded slash and query": (b"GET /a%2Fb/?c=%20&d=e/f? HTTP/1.1\r\n" + H + b"\r\n", b"/a%2Fb/?c=%20&d=e/f?"),
    "empty query": (b"GET /a? HTTP/1.1\r\n" + H + b"\r\n", b"/a?"),
    "sloppy characters": (b'GET /a|b{c}"d HTTP/1.1\r\n' + H + b"\r\n", b'/a|b{c}"d'),
    "doubled slash inside": (b"GET /a//b HTTP/1.1\r\n" + H + b"\r\n", b"/a//b"),
    "blank line before": (b"\r\n" + GET + H + b"\r\n", b"/"),
    "a few blank lines before": (b"\r\n" * 20 + GET + H + b"\r\n", b"/"),
    "several X-Road-Client": (GET + H + b"X-Road-Client: a\r\nX-Road-Client: b\r\n\r\n", b"/"),
    "100 fields": (GET + H + b"X: 1\r\n" * 99 + b"\r\n", b"/"),
    "obs-text in a value": (GET + H + b"X: \xc3\xa1\r\n\r\n", b"/"),
    "target of 8 kB": (b"GET /" + b"a" * 8_000 + b" HTTP/1.1\r\n" + H + b"\r\n", b"/" + b"a" * 8_000),
}


@pytest.mark.parametrize(("request_bytes", "target"), ACCEPTED.values(), ids=ACCEPTED.keys())
async def test_a_lawful_request_passes_with_its_target_untouched(request_bytes: bytes, target: bytes) -> None:
    seen = Seen()
    async with listening(seen) as listener:
        answer = await exchange(listener.port, request_bytes, answers=1)
    assert statuses(answer) == [200]
    assert seen.requests == [("GET", target, b"")]


@pytest.mark.parametrize(
    "body",
    [
        b"Content-Length: 3\r\n\r\nabc",
        b"Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n1;note=x\r\nc\r\n0\r\n\r\n",
        b"Transfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    ],
)
@pytest.mark.parametrize("bytewise", [False, True])
async def test_a_body_is_read_however_it_is_framed_and_cut(body: bytes, bytewise: bool) -> None:
    seen = Seen()
    message = POST + body
    async with listening(seen) as listener:
        answer = await exchange(
            listener.port, *([message[i : i + 1] for i in range(len(message))] if bytewise else [message]), answers=1
        )
    assert statuses(answer) == [200]
    assert seen.requests == [("POST", b"/", b"abc")]


@pytest.mark.parametrize("size", [70_000, 900_000])
async def test_an_oversize_head_is_refused_however_it_is_cut(size: int) -> None:
    seen = Seen()
    message = GET + H + b"X: " + b"a" * size
    async with listening(seen) as listener:
        answer = await exchange(listener.port, *[message[i : i + 5_000] for i in range(0, len(message), 5_000)])
    assert statuses(answer) in ([431], [])  # a reset may overtake the answer while we still send
    assert seen.requests == []


@pytest.mark.parametrize("at_once", [True, False])
async def test_a_body_of_tiny_chunks_is_refused(at_once: bool) -> None:
    chunks = b"1\r\na\r\n" * 100_000
    seen = Seen()
    async with listening(seen) as listener:
        pieces = (
            [CHUNKED + chunks] if at_once else [CHUNKED, *[chunks[i : i + 6_000] for i in range(0, 600_000, 6_000)]]
        )
        answer = await exchange(listener.port, *pieces)
    assert statuses(answer) in ([400], [])  # a reset may overtake the answer while we still send
    assert seen.requests == []


async def test_requests_sent_ahead_are_answered_in_order_and_the_bad_one_last() -> None:
    seen = Seen()
    async with listening(seen) as listener:
        answer = await exchange(
            listener.port, POST + b"Content-Length: 1\r\n\r\na" + POST + b"Content-Length: 1\r\n\r\nb" + GET + b"\r\n"
        )
    assert statuses(answer) == [200, 200]
    assert answer.endswith(b"\r\n\r\nb")
    assert [body for _, _, body in seen.requests] == [b"a", b"b"]


async def test_a_bad_body_behind_a_good_request_does_not_spoil_the_good_answer() -> None:
    seen = Seen(hold=asyncio.Event())
    async with listening(seen) as listener:
        sent = asyncio.create_task(exchange(listener.port, POST + b"Content-Length: 1\r\n\r\na" + CHUNKED + b"zz\r\n"))
        await seen.started.wait()
        assert seen.hold is not None
        seen.hold.set()
        answer = await sent
    assert statuses(answer) == [200]
    assert answer.endswith(b"\r\n\r\na")
    assert [body for _, _, body in seen.requests] == [b"a"]


async def test_a_body_that_turns_bad_ends_the_application_and_answers_400() -> None:
    seen = Seen()
    async with listening(seen) as listener:
        reader, writer = await asyncio.open_connection("127.0.0.1", listener.port)
        writer.write(CHUNKED + b"1\r\na\r\n")
        await seen.started.wait()
        writer.write(b"zz\r\n")
        answer = await reader.read()
        writer.close()
    assert statuses(answer) == [400]
    assert seen.requests == []
    assert seen.problems == ["caller-gone"]


async def test_too_many_requests_ahead_end_the_connection_after_those_accepted() -> None:
    seen = Seen()
    async with listening(seen, RequestLimits(max_pipelined=3)) as listener:
        answer = await exchange(listener.port, (GET + H + b"\r\n") * 1000)
    assert set(statuses(answer)) == {200}
    assert len(statuses(answer)) <= 5
    assert len(seen.requests) <= 5


async def test_bytes_after_connection_close_are_not_a_request() -> None:
    seen = Seen()
    async with listening(seen) as listener:
        answer = await exchange(listener.port, GET + H + b"Connection: close\r\n\r\n" + GET + H + b"\r\n")
    assert statuses(answer) == [200]
    assert len(seen.requests) == 1


async def test_javas_offer_of_http2_is_ignored_where_asked_for() -> None:
    seen = Seen()
    request = (
        b"POST /x HTTP/1.1\r\nConnection: Upgrade, HTTP2-Settings\r\nContent-Length: 2\r\nHost: a\r\n"
        b"HTTP2-Settings: AAEAAEAAAAIAAAABAAMAAABkAAQBAAAAAAUAAEAA\r\nUpgrade: h2c\r\nUser-Agent: Java\r\n\r\nhi"
    )
    async with listening(seen, RequestLimits(ignore_h2c=True)) as listener:
        answer = await exchange(listener.port, request, answers=1)
    assert statuses(answer) == [200]
    assert seen.requests == [("POST", b"/x", b"hi")]


@pytest.mark.parametrize(
    ("head", "left"),
    [
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", b"GET / HTTP/1.1\r\n\r\n"),
        (
            b"GET / HTTP/1.1\r\nConnection: close, Upgrade\r\nUpgrade: h2c\r\n\r\nb",
            b"GET / HTTP/1.1\r\nConnection: close\r\n\r\nb",
        ),
        (
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: h2c\r\n\r\n",
            b"GET / HTTP/1.1\r\nUpgrade: websocket\r\nX: h2c\r\n\r\n",
        ),
        (b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n", b"GET / HTTP/1.1\r\nUpgrade: h2c\r\n"),
        (
            b"POST / HTTP/1.1\r\nA: b\r\n\r\nUpgrade: h2c\r\n\r\n",
            b"POST / HTTP/1.1\r\nA: b\r\n\r\nUpgrade: h2c\r\n\r\n",
        ),
    ],
)
def test_only_the_offer_is_taken_out_of_a_head(head: bytes, left: bytes) -> None:
    assert without_h2c(head) == left


def test_a_method_of_other_bytes_is_refused_in_letters_that_can_be_shown() -> None:
    refused = check_head(b"GET\xa7", b"/", "1.1", [(b"host", b"a")], RequestLimits())

    assert isinstance(refused, MethodUnknown)
    assert "GET\\xa7" in refused.detail("en")
