"""The hop to a back end that redirects, lies, stalls, is gone, or tries to speak for the node."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lienthong.catalog.models import Endpoint, HttpSource, Service, TableSource
from lienthong.directory.models import ServiceId
from lienthong.errors import Problem
from lienthong.exchange.answer import Answer
from lienthong.exchange.backend import Backend, answer_fields, backend_origin, merged, request_fields
from lienthong.exchange.client import HttpClient
from tests.exchange.scripted import Script, make_certificate, read_request, saying, scripted, server_context

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def a_service(
    url: str, *, timeout_s: float = 5.0, ca: str | None = None, endpoints: tuple[Endpoint, ...] = ()
) -> Service:
    return Service(
        id=ServiceId("VN/GOV/G01/dancu/citizen"),
        kind="http",
        title_vi="Công dân",
        title_en="Citizen",
        sharing="shared",
        fields=(),
        endpoints=endpoints,
        source=HttpSource(url, timeout_s=timeout_s, ca=ca),
    )


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    client = HttpClient()
    yield Backend(client, max_body=1000)
    await client.close()


async def forward(backend: Backend, script: Script, method: str = "GET", rest: bytes = b"/x", **more: float) -> Answer:
    async with scripted(script) as origin:
        service = a_service(f"http://127.0.0.1:{origin.port}/api/", **more)  # type: ignore[arg-type]
        return await backend.forward(service, method, rest, [], b"")


async def test_a_call_reaches_the_back_end_with_its_path_untouched_and_its_own_fields(backend: Backend) -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    async with scripted(script) as origin:
        service = a_service(f"http://127.0.0.1:{origin.port}/api/")
        fields = [
            (b"x-road-client", b"VN/GOV/G02/x"),
            (b"x-road-request-id", b"7"),
            (b"authorization", b"Bearer t"),
            (b"cookie", b"a=b"),
            (b"content-type", b"application/json"),
            (b"host", b"other"),
            (b"connection", b"x-hop"),
            (b"x-hop", b"1"),
            (b"user-agent", b"java"),
            (b"accept-encoding", b"gzip"),
            (b"transfer-encoding", b"chunked"),
            (b"content-length", b"99"),
            (b"expect", b"100-continue"),
            (b"proxy-authorization", b"secret"),
            (b"signature", b"s"),
            (b"signature-input", b"s"),
            (b"content-digest", b"s"),
            (b"lienthong-purpose", b"p"),
            (b"x-road-request-hash", b"h"),
        ]
        answer = await backend.forward(service, "POST", b"/a%2Fb/?q=%20", fields, b"{}")

    assert answer.body == b"ok"
    assert seen == [
        b"POST /api/a%2Fb/?q=%20 HTTP/1.1\r\nhost: 127.0.0.1:" + str(origin.port).encode() + b"\r\n"
        b"x-road-client: VN/GOV/G02/x\r\nx-road-request-id: 7\r\nauthorization: Bearer t\r\ncookie: a=b\r\n"
        b"content-type: application/json\r\ncontent-length: 2\r\n\r\n{}"
    ]


@pytest.mark.parametrize(
    ("method", "sent"), [("POST", True), ("PUT", True), ("PATCH", True), ("GET", False), ("DELETE", False)]
)
async def test_only_methods_that_carry_a_body_send_one(backend: Backend, method: str, sent: bool) -> None:
    seen: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        seen.append(await read_request(reader))
        writer.write(OK)

    async with scripted(script) as origin:
        await backend.forward(a_service(f"http://127.0.0.1:{origin.port}"), method, b"", [], b"body")
    assert seen[0].startswith(f"{method} / HTTP/1.1".encode())
    assert seen[0].endswith(b"body") is sent


async def test_an_answer_loses_what_only_a_node_may_say() -> None:
    fields = [
        (b"content-type", b"text/plain"),
        (b"location", b"/elsewhere"),
        (b"set-cookie", b"a"),
        (b"x-road-service", b"forged"),
        (b"x-road-error", b"forged"),
        (b"x-road-id", b"forged"),
        (b"x-road-request-hash", b"forged"),
        (b"lienthong-record", b"forged"),
        (b"signature", b"forged"),
        (b"content-digest", b"forged"),
        (b"date", b"yesterday"),
        (b"server", b"apache"),
        (b"connection", b"close, X-Hop"),
        (b"x-hop", b"1"),
        (b"keep-alive", b"timeout=5"),
    ]
    assert answer_fields(fields) == fields[:3]
    assert request_fields([(b"X-Mixed-Case", b"1"), (b"Lienthong-Client", b"2")]) == [(b"x-mixed-case", b"1")]


def test_fields_of_one_name_are_joined_where_that_is_allowed() -> None:
    fields = [(b"Accept", b"a"), (b"accept", b"b"), (b"cookie", b"c=1"), (b"cookie", b"d=2"), (b"set-cookie", b"e")]
    assert merged(fields) == {"accept": "a, b", "cookie": "c=1; d=2", "set-cookie": "e"}


@pytest.mark.parametrize("status", [200, 302, 307, 404, 500, 503])
async def test_the_back_ends_status_is_its_own_and_redirects_are_not_followed(backend: Backend, status: int) -> None:
    calls = 0

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal calls
        while await read_request(reader):
            calls += 1
            writer.write(b"HTTP/1.1 %d X\r\nlocation: /again\r\ncontent-length: 0\r\n\r\n" % status)

    answer = await forward(backend, script)
    assert answer.status == status
    assert answer.header(b"location") == b"/again"
    assert calls == 1


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort", "service-failed", id="lies short"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\nlong", "service-failed", id="lies long"),
        pytest.param(b"", "service-failed", id="hangs up"),
        pytest.param(b"garbage\r\n\r\n", "service-failed", id="garbage"),
        pytest.param(b"HTTP/1.1 200 OK\r\ncontent-length: 1001\r\n\r\n", "service-answer-too-large", id="too large"),
    ],
)
async def test_a_back_end_that_misbehaves_is_a_defined_problem(backend: Backend, said: bytes, kind: str) -> None:
    with pytest.raises(Problem) as failed:
        await forward(backend, saying(said, then_close=True))
    assert failed.value.kind == kind
    assert failed.value.side == "provider"
    assert "127.0.0.1" not in str(failed.value.as_dict("en"))


async def test_a_slow_back_end_ends_at_the_services_own_time(backend: Backend) -> None:
    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()

    with pytest.raises(Problem) as failed:
        await forward(backend, script, timeout_s=0.05)
    assert failed.value.kind == "service-timeout"


async def test_a_back_end_that_is_down_is_told_and_the_next_call_works(backend: Backend) -> None:
    async with scripted(saying(OK)) as origin:
        pass
    with pytest.raises(Problem) as failed:
        await backend.forward(a_service(f"http://127.0.0.1:{origin.port}"), "GET", b"", [], b"")
    assert failed.value.kind == "service-failed"
    assert failed.value.facts["cause"] == "peer-unreachable"
    assert (await forward(backend, saying(OK))).body == b"ok"


@pytest.mark.parametrize(("method", "answered"), [("GET", True), ("POST", False)])
async def test_over_a_dead_link_only_a_safe_method_is_sent_again(backend: Backend, method: str, answered: bool) -> None:
    calls: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await read_request(reader))
        writer.write(OK)
        if len(calls) == 1:
            calls.append(await read_request(reader))

    async with scripted(script) as origin:
        service = a_service(f"http://127.0.0.1:{origin.port}")
        await backend.forward(service, method, b"", [], b"")
        if answered:
            assert (await backend.forward(service, method, b"", [], b"")).body == b"ok"
        else:
            with pytest.raises(Problem) as failed:
                await backend.forward(service, method, b"", [], b"")
            assert failed.value.kind == "service-failed"
    assert len(calls) == (3 if answered else 2)


async def test_a_back_end_over_tls_needs_a_certificate_of_its_authority(backend: Backend, tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "localhost")
    tls = server_context(ours.certificate, ours.key)
    async with scripted(saying(OK), tls) as origin:
        url = f"https://localhost:{origin.port}"
        # The test's certificate is its own authority; the default context wants a complete chain, which it then is.
        answer = await backend.forward(a_service(url, ca=str(ours.certificate)), "GET", b"", [], b"")
        with pytest.raises(Problem) as unknown:
            await backend.forward(a_service(url), "GET", b"", [], b"")
    assert answer.body == b"ok"
    assert unknown.value.kind == "service-failed"
    assert unknown.value.facts["cause"] == "peer-certificate"


@pytest.mark.parametrize(
    ("method", "rest", "kind"),
    [
        ("GET", b"/pet/7?x=1", None),
        ("DELETE", b"/any/thing", None),
        ("POST", b"/pet/7", "endpoint-unknown"),
        ("GET", b"/pet/7/toys", "endpoint-unknown"),
        ("GET", b"/pet/..%2f..%2fadmin", "path-refused"),
    ],
)
async def test_only_published_endpoints_are_called(
    backend: Backend, method: str, rest: bytes, kind: str | None
) -> None:
    endpoints = (Endpoint("GET", "/pet/{id}"), Endpoint("DELETE", "/**"))
    calls: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        calls.append(await read_request(reader))
        writer.write(OK)

    async with scripted(script) as origin:
        service = a_service(f"http://127.0.0.1:{origin.port}", endpoints=endpoints)
        if kind is None:
            await backend.forward(service, method, rest, [], b"")
        else:
            with pytest.raises(Problem) as refused:
                await backend.forward(service, method, rest, [], b"")
            assert refused.value.kind == kind
    assert len(calls) == (1 if kind is None else 0)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://a/",
        "file:///etc/passwd",
        "//a/",
        "http://",
        "http:///x",
        "http://user:secret@a/",
        "http://@a/",
        "http://a/?q=1",
        "http://a/?",
        "http://a/#x",
        "http://a:99999/",
        "http://a:x/",
        "http://a/b c",
        "http://a/../b",
        "http://a/%2e%2e/b",
        "http://a b/",
        "http://a\r\nx: y/",
        "",
    ],
)
def test_an_address_with_more_than_host_and_path_is_refused(url: str) -> None:
    with pytest.raises(Problem) as refused:
        backend_origin(url)
    assert refused.value.kind == "backend-address-not-valid"
    assert "secret" not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "host", "port", "path"),
    [
        ("http://a", "a", 80, b""),
        ("https://a.example/base/", "a.example", 443, b"/base/"),
        ("http://127.0.0.1:8080/x", "127.0.0.1", 8080, b"/x"),
        ("http://[::1]:8080", "::1", 8080, b""),
    ],
)
def test_a_plain_address_is_taken_apart(url: str, host: str, port: int, path: bytes) -> None:
    origin, base = backend_origin(url)
    assert (origin.host, origin.port, base) == (host, port, path)
    assert (origin.tls is not None) == url.startswith("https")


async def test_a_service_without_a_back_end_can_not_be_forwarded(backend: Backend) -> None:
    service = Service(
        id=ServiceId("VN/GOV/G01/dancu/citizen"),
        kind="http",
        title_vi="",
        title_en="",
        sharing="shared",
        fields=(),
        source=TableSource("csv", path="/x.csv"),
    )
    with pytest.raises(Problem) as refused:
        await backend.forward(service, "GET", b"", [], b"")
    assert refused.value.kind == "backend-address-not-valid"
