"""The HTTP client against servers that behave, lie, stall and vanish."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import Answer, Limits
from lienthong.exchange.client import HttpClient, Origin
from tests.exchange.scripted import make_certificate, read_request, saying, scripted, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


@pytest.fixture
async def client() -> AsyncIterator[HttpClient]:
    made = HttpClient(Limits(connect_s=5, first_byte_s=5))
    yield made
    await made.close()


async def ask(client: HttpClient, origin: Origin, method: str = "GET", body: bytes = b"", **more: object) -> Answer:
    options = {"deadline_s": 10.0, "max_body": 1000} | more
    return await client.request(origin, method, b"/x", [], body, **options)  # type: ignore[arg-type]


async def refusal(client: HttpClient, answer: bytes, method: str = "GET", **more: object) -> str:
    """The kind of problem that ``answer``, followed by the end of the link, leads to."""
    async with scripted(saying(answer, then_close=True)) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin, method, **more)
    return refused.value.kind


async def test_a_request_goes_out_byte_for_byte_and_its_answer_comes_back(client: HttpClient) -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(b"HTTP/1.1 201 Created\r\nX-A: 1\r\nx-a: 2\r\nContent-Length: 3\r\n\r\nyes")

    async with scripted(script) as origin:
        answer = await client.request(
            origin, "POST", b"/a%2Fb?c=%20", [(b"X-Road-Id", b"7")], b"body", deadline_s=5, max_body=10
        )

    host = b"127.0.0.1:%d" % origin.port
    assert seen == [
        b"POST /a%2Fb?c=%20 HTTP/1.1\r\nhost: " + host + b"\r\nX-Road-Id: 7\r\ncontent-length: 4\r\n\r\nbody"
    ]
    assert answer == Answer(201, [(b"x-a", b"1"), (b"x-a", b"2"), (b"content-length", b"3")], b"yes")
    assert answer.header(b"x-a") == b"1"
    assert answer.header(b"nothing") is None


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", b"abcde"),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nlink: x\r\n\r\n" + OK, b"ok"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 304 Not Modified\r\ncontent-length: 50\r\n\r\n", b""),
        (b"HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.1 200\r\ncontent-length: 0\r\n\r\n", b""),
        (b"HTTP/1.0 200 OK\r\n\r\nuntil the end", b"until the end"),
        (b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nuntil the end", b"until the end"),
    ],
)
async def test_every_lawful_framing_is_read(client: HttpClient, answer: bytes, body: bytes) -> None:
    async with scripted(saying(answer, then_close=True)) as origin:
        assert (await ask(client, origin)).body == body


async def test_a_head_request_ends_at_the_head_and_the_link_serves_the_next(client: HttpClient) -> None:
    async with scripted(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 999999\r\n\r\n", OK)) as origin:
        assert (await ask(client, origin, "HEAD")).body == b""
        assert (await ask(client, origin)).body == b"ok"


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nfour", id="shorter than its length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nfour", id="longer than its length"),
        pytest.param(OK + OK, id="two answers to one request"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="both"
        ),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\ncontent-length: 2\r\n\r\n2\r\nok\r\n0\r\n\r\n",
            id="both, turned",
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 2\r\n\r\nok", id="length twice, same"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nok", id="length twice, different"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: +2\r\n\r\nok", id="signed length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: -2\r\n\r\nok", id="negative length"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 0x2\r\n\r\nok", id="hexadecimal length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ncontent-length: 99999999999999999999999\r\n\r\nok", id="length beyond 64 bits"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: \r\n\r\nok", id="empty length"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: gzip, chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n", id="gzip framing"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: identity\r\n\r\nok", id="identity framing"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n-2\r\nok\r\n0\r\n\r\n", id="negative chunk"
        ),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3\r\nok\r\n0\r\n\r\n", id="chunk shorter"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nok\r\n", id="no last chunk"),
        pytest.param(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n0\r\nx-late: 1\r\n\r\n", id="trailer"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx : 1\r\ncontent-length: 0\r\n\r\n", id="space before colon"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: 1\r\n folded\r\ncontent-length: 0\r\n\r\n", id="folded line"),
        pytest.param(b"HTTP/1.1 200 OK\r\nx: a\0b\r\ncontent-length: 0\r\n\r\n", id="NUL in a value"),
        pytest.param(b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n", id="no colon"),
        pytest.param(b"HTTP/1.1 200 OK\ncontent-length: 0\n\n", id="bare line feeds"),
        pytest.param(b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", id="upgrade"),
        pytest.param(b"HTTP/1.1 99 Odd\r\n\r\n", id="status below 100"),
        pytest.param(b"HTTP/1.1 999 Odd\r\ncontent-length: 0\r\n\r\n", id="status above 599"),
        pytest.param(b"HTTP/2.0 200 OK\r\ncontent-length: 0\r\n\r\n", id="another version"),
        pytest.param(b"HTTP/1.1 204 No Content\r\n\r\nbody", id="body where none may be"),
        pytest.param(b"HTTP/1.1 100 Continue\r\n\r\n" * 50 + OK, id="endless interim answers"),
        pytest.param(b"SSH-2.0-OpenSSH_9.2\r\n", id="another protocol"),
        pytest.param(b"HTTP/1.1 200 OK\r\n", id="half a head"),
        pytest.param(b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 200 + b"\r\n", id="too many fields"),
        pytest.param(b"HTTP/1.1 200 OK\r\na: " + b"b" * 400_000 + b"\r\n\r\n", id="too long a field"),
        pytest.param(
            b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1;" + b"x" * 400_000 + b"\r\na\r\n0\r\n\r\n",
            id="chunk extension",
        ),
    ],
)
async def test_an_answer_that_breaks_http_is_refused_by_name(client: HttpClient, answer: bytes) -> None:
    assert await refusal(client, answer) == "bad-answer"


async def test_a_body_after_the_head_of_a_head_request_is_refused(client: HttpClient) -> None:
    assert await refusal(client, OK, "HEAD") == "bad-answer"


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n3e9\r\n" + b"x" * 1001 + b"\r\n0\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\n" + b"x" * 1001,
    ],
)
async def test_a_body_over_the_limit_is_refused(client: HttpClient, answer: bytes) -> None:
    assert await refusal(client, answer) == "peer-answer-too-large"


async def test_a_body_at_the_limit_is_read(client: HttpClient) -> None:
    async with scripted(saying(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n" + b"x" * 1000)) as origin:
        assert len((await ask(client, origin)).body) == 1000


async def test_links_are_kept_and_the_newest_is_used_first(client: HttpClient) -> None:
    connections: list[int] = []
    both = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        me = len(connections)
        connections.append(0)
        while await read_request(reader):
            connections[me] += 1
            if len(connections) == 2:
                both.set()
            await both.wait()
            writer.write(OK)

    async with scripted(script) as origin:
        await asyncio.gather(ask(client, origin), ask(client, origin))
        for _ in range(5):
            await ask(client, origin)

    assert sorted(connections) == [1, 6]


async def test_no_more_links_than_allowed_and_nobody_is_forgotten() -> None:
    client = HttpClient(Limits(max_links=2))
    busy, most = 0, 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal busy, most
        while await read_request(reader):
            busy += 1
            most = max(most, busy)
            await asyncio.sleep(0)
            busy -= 1
            writer.write(OK)

    async with scripted(script) as origin:
        answers = await asyncio.gather(*(ask(client, origin) for _ in range(20)))
    await client.close()

    assert [a.body for a in answers] == [b"ok"] * 20
    assert most <= 2


async def test_a_call_that_finds_every_link_busy_ends_at_its_deadline() -> None:
    client = HttpClient(Limits(max_links=1))
    asked = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        await reader.read()

    async with scripted(script) as origin:
        first = asyncio.create_task(ask(client, origin))
        await asked.wait()
        with pytest.raises(Problem) as refused:
            await ask(client, origin, deadline_s=0.05)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
    await client.close()

    assert refused.value.kind == "peer-timeout"


async def test_a_reused_link_that_died_is_replaced_when_the_request_can_be_made_again(client: HttpClient) -> None:
    nonces: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        request = await read_request(reader)
        nonces.append(request)
        writer.write(OK)
        if len(nonces) == 1:
            nonces.append(await read_request(reader))  # the second request is read, and the link dropped without a word

    made = iter(range(10))

    async with scripted(script) as origin:
        for _ in range(2):
            answer = await client.request(
                origin, "POST", b"/", lambda: [(b"nonce", b"%d" % next(made))], b"x", deadline_s=5, max_body=10
            )
            assert answer.body == b"ok"

    assert [b"nonce: %d\r\n" % i in sent for i, sent in enumerate(nonces)] == [True, True, True]


async def test_a_reused_link_that_died_fails_the_call_when_it_can_not_be_made_again(client: HttpClient) -> None:
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(OK)
        asked.append(await read_request(reader))

    async with scripted(script) as origin:
        await ask(client, origin)
        with pytest.raises(Problem) as refused:
            await ask(client, origin)

    assert refused.value.kind == "peer-closed"
    assert len(asked) == 2


async def test_nothing_is_sent_twice_once_a_byte_of_the_answer_came(client: HttpClient) -> None:
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))
        writer.write(OK)
        asked.append(await read_request(reader))
        writer.write(b"H")
        await writer.drain()

    async with scripted(script) as origin:
        await ask(client, origin)
        with pytest.raises(Problem) as refused:
            await client.request(origin, "GET", b"/", list, deadline_s=5, max_body=10)

    assert refused.value.kind == "bad-answer"
    assert len(asked) == 2


async def test_a_new_link_that_dies_is_not_tried_again(client: HttpClient) -> None:
    asked: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(await read_request(reader))

    async with scripted(script) as origin:
        with pytest.raises(Problem) as refused:
            await client.request(origin, "GET", b"/", list, deadline_s=5, max_body=10)

    assert refused.value.kind == "peer-closed"
    assert len(asked) == 1


async def test_bytes_on_an_idle_link_never_become_the_next_answer(client: HttpClient) -> None:
    more = asyncio.Event()
    gone = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(OK)
        if not more.is_set():
            await more.wait()
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
            await writer.drain()
            assert await reader.read() == b""
            gone.set()

    async with scripted(script) as origin:
        assert (await ask(client, origin)).body == b"ok"
        more.set()
        await gone.wait()
        assert (await ask(client, origin)).body == b"ok"


async def test_a_silent_server_ends_the_call_at_its_deadline(client: HttpClient) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(script) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin, deadline_s=0.05)

    assert refused.value.kind == "peer-timeout"
    assert refused.value.facts["peer"] == origin.authority


async def test_a_server_that_drips_ends_the_call_at_its_deadline(client: HttpClient) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    async with scripted(script) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin, deadline_s=0.1)

    assert refused.value.kind == "peer-timeout"


async def test_a_server_without_a_first_byte_ends_the_call_before_its_deadline() -> None:
    client = HttpClient(Limits(first_byte_s=0.05))

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    async with scripted(script) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin, deadline_s=3600)
    await client.close()

    assert refused.value.kind == "peer-timeout"


async def test_a_port_nobody_listens_on_is_unreachable(client: HttpClient) -> None:
    async with scripted(saying(OK)) as origin:
        pass
    with pytest.raises(Problem) as refused:
        await ask(client, origin)
    assert refused.value.kind == "peer-unreachable"


async def test_a_cancelled_call_closes_its_link(client: HttpClient) -> None:
    asked, gone = asyncio.Event(), asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await read_request(reader)
        asked.set()
        try:
            await reader.read()
        finally:
            gone.set()

    async with scripted(script) as origin:
        call = asyncio.create_task(ask(client, origin))
        await asked.wait()
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        await gone.wait()


@pytest.mark.parametrize(
    ("target", "headers"),
    [
        (b"/a b", []),
        (b"/a\r\nx: 1", []),
        (b"http://elsewhere/", []),
        (b"*", []),
        (b"/\xc3\xa1", []),
        (b"/", [(b"x", b"1\r\ny: 2")]),
        (b"/", [(b"x", b"1\ny: 2")]),
        (b"/", [(b"x\r\ny", b"1")]),
        (b"/", [(b"x", b"\0")]),
        (b"/", [(b"Content-Length", b"1")]),
        (b"/", [(b"transfer-encoding", b"chunked")]),
        (b"/", [(b"Host", b"elsewhere")]),
    ],
)
async def test_a_request_that_is_not_one_message_is_never_sent(
    client: HttpClient, target: bytes, headers: list[tuple[bytes, bytes]]
) -> None:
    async with scripted(saying(OK)) as origin:
        with pytest.raises(ValueError, match=r"request line|field"):
            await client.request(origin, "GET", target, headers, deadline_s=5, max_body=10)


# -- TLS


def blind_context() -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


async def test_a_pinned_certificate_is_accepted_and_another_gets_no_byte(client: HttpClient, tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    requests: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            requests.append(request)
            writer.write(OK)

    tls = server_context(ours.certificate, ours.key)
    async with scripted(script, tls, tls=blind_context(), pins=frozenset({ours.fingerprint})) as origin:
        assert (await ask(client, origin)).body == b"ok"
        wrong = Origin(origin.host, origin.port, origin.tls, frozenset({"00" * 32}))
        with pytest.raises(Problem) as refused:
            await ask(client, wrong)  # the kept link shows the same certificate: it must not serve this call either

    assert refused.value.kind == "peer-certificate"
    assert refused.value.facts["seen"] == ours.fingerprint
    assert len(requests) == 1


async def test_an_untrusted_certificate_is_refused(client: HttpClient, tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    tls = server_context(ours.certificate, ours.key)
    async with scripted(saying(OK), tls, tls=ssl.create_default_context()) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin)
    assert refused.value.kind == "peer-certificate"


async def test_a_trusted_certificate_of_another_name_is_refused(client: HttpClient, tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    context = ssl.create_default_context(cafile=str(ours.certificate))
    context.verify_flags |= ssl.VERIFY_X509_PARTIAL_CHAIN
    tls = server_context(ours.certificate, ours.key)
    async with scripted(saying(OK), tls, tls=context, server_name="peer") as origin:
        assert (await ask(client, origin)).body == b"ok"
    async with scripted(saying(OK), tls, tls=context, server_name="other") as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin)
    assert refused.value.kind == "peer-certificate"


async def test_a_server_that_refuses_our_certificate_is_named_as_such(client: HttpClient, tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    tls = server_context(ours.certificate, ours.key)
    tls.verify_mode = ssl.CERT_REQUIRED
    async with scripted(saying(OK), tls, tls=blind_context()) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin)
    assert refused.value.kind == "peer-closed-after-handshake"


async def test_a_server_without_tls_is_unreachable_over_tls(client: HttpClient) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")

    async with scripted(script, tls=blind_context()) as origin:
        with pytest.raises(Problem) as refused:
            await ask(client, origin)
    assert refused.value.kind == "peer-unreachable"
