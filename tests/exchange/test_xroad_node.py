"""X-Road clients, byte for byte, against two real nodes with an HTTP back end behind the second."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

from lienthong.catalog.models import Endpoint, HttpSource, Service
from lienthong.config import Client
from lienthong.directory.models import ServiceId
from lienthong.exchange.backend import Backend
from lienthong.exchange.client import HttpClient
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.describe import NOTICE, Describer, Descriptions
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.agreements.build import compiled
from tests.exchange.listening import one_answer
from tests.exchange.scripted import read_request, scripted
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = [pytest.mark.integration, pytest.mark.asyncio(loop_factories=["uvloop"])]

ECHO = "VN/GOV/G01/dancu/echo"
PATH = "/r1/" + ECHO
OPENAPI = "openapi: 3.0.0\nservers:\n  - url: http://10.1.2.3:8080/secret\npaths: {}\n"


@dataclass
class BackEnd:
    """Echoes each request it gets as text, unless told what to say."""

    requests: list[bytes] = field(default_factory=list[bytes])
    says: Callable[[bytes], bytes] | None = None
    silent: bool = False

    async def __call__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while request := await read_request(reader):
            self.requests.append(request)
            if self.silent:
                await reader.read()
                return
            writer.write(self.says(request) if self.says else echoed(request))
            await writer.drain()


def echoed(request: bytes) -> bytes:
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %d\r\n\r\n" % len(request)
    return head if request.startswith(b"HEAD") else head + request


@dataclass
class Country:
    """A consumer's node with its client listener, a provider's node, and the back end behind it."""

    consumer: TestNode
    provider: TestNode
    back_end: BackEnd
    client_listener: Listener

    async def send(
        self, method: str, target: str, *fields: str, body: bytes = b"", client: str | None = COUNTER
    ) -> Told:
        lines = [f"{method} {target} HTTP/1.1", "Host: node"]
        lines += [f"X-Road-Client: {client}"] if client else []
        lines += fields
        lines += [f"Content-Length: {len(body)}"] if body else []
        reader, writer = await asyncio.open_connection("127.0.0.1", self.client_listener.port)
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + body)
        if method == "HEAD":
            raw = await reader.readuntil(b"\r\n\r\n")
        else:
            raw = await one_answer(reader)
        writer.close()
        return told(raw)


@dataclass(frozen=True)
class Told:
    status: int
    fields: list[tuple[str, str]]
    body: bytes

    def all(self, name: str) -> list[str]:
        return [value for field, value in self.fields if field == name]

    def one(self, name: str) -> str:
        (value,) = self.all(name)
        return value

    @property
    def error(self) -> dict[str, str]:
        shown = json.loads(self.body)
        assert list(shown) == ["type", "message", "detail"]
        assert self.one("x-road-error") == shown["type"]
        assert re.fullmatch(r"[0-9a-f-]{36}", shown["detail"])
        return shown


def told(raw: bytes) -> Told:
    head, _, body = raw.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(":") for line in lines[1:])]
    return Told(int(lines[0].split()[1]), fields, body)


def the_service(port: int, **changes: Any) -> Service:
    described = Service(
        id=ServiceId(ECHO),
        kind="http",
        title_vi="Tiếng vọng",
        title_en="Echo",
        sharing="shared",
        fields=(),
        endpoints=(Endpoint("*", "**"),),
        openapi=OPENAPI,
        source=HttpSource(f"http://127.0.0.1:{port}/base/", timeout_s=5),
    )
    return replace(described, **changes)


async def _unused(*_: object) -> Any:
    raise AssertionError("not part of these tests")


def _counter(node: TestNode) -> Counter:
    return Counter(node.parts, node.consumer, Descriptions(node.parts.link), _unused, _unused, _unused, _unused)


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Country]:
    back_end = BackEnd()
    back_client = HttpClient()
    with databases(pg_server, 2) as dsns:
        async with scripted(back_end) as origin:
            locals_ = await two_locals(dsns, tmp_path)
            known = (Client(COUNTER, default_purpose=PURPOSE),)
            locals_[0] = replace(locals_[0], settings=replace(locals_[0].settings, clients=known))
            publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
            consumer = await start_node(locals_[0])
            services: dict[str, Service] = {}
            agreed = [compiled(target=ECHO, purposes=(PURPOSE,))]
            describer = Describer(
                lambda: list(services.values()), lambda system, targets: [c for c in agreed if c.target in targets]
            )
            provider = await start_node(
                locals_[1], call_backend=Backend(back_client, 100_000).call, notices={NOTICE: describer.answer}
            )
            services[ECHO] = provider.services[ECHO] = the_service(origin.port)
            for node in (consumer, provider):
                node.agreements.extend(agreed)
            limits = RequestLimits(methods=RequestLimits().methods | {b"TRACE"}, ignore_h2c=True)
            listener = await serve_app(ClientDoor(_counter(consumer)), "127.0.0.1", 0, limits=limits)
            yield Country(consumer, provider, back_end, listener)
            await listener.stop(1)
            for node in (consumer, provider):
                await node.stop()
            await back_client.close()


async def test_a_call_bears_xroads_fields_and_leaves_two_records(country: Country) -> None:
    answer = await country.send("GET", PATH, "X-Road-Id: mine", "X-Road-Issue: HS-1")

    assert answer.status == 200
    assert answer.one("x-road-id") == "mine"
    assert answer.one("x-road-client") == COUNTER
    assert answer.one("x-road-service") == ECHO
    assert re.fullmatch(r"[0-9a-f-]{36}", answer.one("x-road-request-id"))
    assert len(base64.b64decode(answer.one("x-road-request-hash"), validate=True)) == 64
    assert len(answer.all("date")) == 1
    assert answer.all("x-road-error") == []
    (ours,), (theirs,) = await country.consumer.leaves(), await country.provider.leaves()
    assert (ours["outcome"], theirs["outcome"]) == ("permitted", "permitted")


async def test_path_and_query_reach_the_back_end_byte_for_byte(country: Country) -> None:
    for rest, reached in [
        ("", "/base/"),
        ("/", "/base/"),
        ("/x/y", "/base/x/y"),
        ("/a%2Fb%20c/?q=%C3%B6&r=/", "/base/a%2Fb%20c/?q=%C3%B6&r=/"),
        ("?q=1", "/base/?q=1"),
        ("/path%3B/", "/base/path%3B/"),
    ]:
        assert (await country.send("GET", PATH + rest)).status == 200
        assert country.back_end.requests.pop().startswith(f"GET {reached} HTTP/1.1\r\n".encode())


async def test_what_a_client_says_reaches_the_back_end_and_what_is_not_for_it_does_not(country: Country) -> None:
    await country.send(
        "POST",
        PATH,
        "X-Road-UserId: VN1",
        "X-Road-Issue: HS-1",
        "X-Road-Represented-Party: COM/1",
        "X-Road-Request-Id: forged",
        "Authorization: Bearer t",
        "X-Own: 1",
        "Content-Type: text/plain",
        "User-Agent: old",
        "Proxy-Authorization: secret",
        body=b"hello",
    )
    (request,) = country.back_end.requests
    head, _, body = request.partition(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in head.split(b"\r\n")[1:])
    assert body == b"hello"
    assert fields[b"x-road-client"] == COUNTER.encode()
    assert (fields[b"x-road-userid"], fields[b"x-road-issue"]) == (b"VN1", b"HS-1")
    assert (fields[b"authorization"], fields[b"x-own"], fields[b"content-type"]) == (b"Bearer t", b"1", b"text/plain")
    assert fields[b"x-road-request-id"] != b"forged"
    assert fields[b"x-road-id"].startswith(b"VN-")
    assert not {b"user-agent", b"proxy-authorization", b"signature", b"lienthong-client", b"content-digest"} & set(
        fields
    )


async def test_each_method_reaches_the_back_end_and_bodies_only_by_some(country: Country) -> None:
    for method in ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"):
        answer = await country.send(method, PATH, body=b"" if method == "HEAD" else b"body")
        assert (method, answer.status) == (method, 200)
        request = country.back_end.requests.pop()
        assert request.startswith(method.encode() + b" ")
        assert request.endswith(b"body") is (method in ("POST", "PUT", "PATCH"))


async def test_the_back_ends_own_status_and_fields_come_through(country: Country) -> None:
    for status in (201, 302, 400, 404, 418, 500, 503):
        country.back_end.says = lambda _, status=status: (
            b"HTTP/1.1 %d Own\r\nLocation: /r1/elsewhere\r\nX-Own: 1\r\nX-Road-Error: forged\r\n"
            b"X-Road-Service: forged\r\nDate: yesterday\r\nContent-Length: 3\r\n\r\nown" % status
        )
        answer = await country.send("GET", PATH)
        assert (answer.status, answer.body) == (status, b"own")
        assert (answer.one("location"), answer.one("x-own")) == ("/r1/elsewhere", "1")
        assert answer.one("x-road-service") == ECHO
        assert answer.all("x-road-error") == []
        assert len(answer.all("date")) == 1
    assert len(country.back_end.requests) == 7


REFUSED: dict[str, tuple[str, str, str | None, str]] = {
    "no client": ("GET", PATH, None, "Server.ClientProxy.InvalidClientIdentifier"),
    "client of two parts": ("GET", PATH, "VN/GOV", "Server.ClientProxy.InvalidClientIdentifier"),
    "client of another owner": ("GET", PATH, "VN/GOV/G01/dancu", "Server.ClientProxy.UnknownMember"),
    "client nobody knows": ("GET", PATH, "VN/GOV/X99/x", "Server.ClientProxy.UnknownMember"),
    "client with a hidden slash": ("GET", PATH, "VN/GOV/H24%2Fmotcua", "Server.ClientProxy.UnknownMember"),
    "path too short": ("GET", "/r1/invalid", COUNTER, "Server.ClientProxy.BadRequest"),
    "version two": ("GET", "/r2/" + ECHO, COUNTER, "Server.ClientProxy.BadRequest"),
    "odd character": ("GET", "/r1/VN/GOV/G01/dan|cu/echo", COUNTER, "Server.ClientProxy.BadRequest"),
    "service nobody has": ("GET", "/r1/VN/GOV/G01/dancu/nothing", COUNTER, "Server.ServerProxy.UnknownService"),
    "member nobody knows": ("GET", "/r1/VN/GOV/G77/dancu/echo", COUNTER, "Server.ClientProxy.UnknownMember"),
    "climbing path": ("GET", PATH + "/%2e%2e/admin", COUNTER, "Server.ClientProxy.BadRequest"),
    "metaservice of an unknown member": (
        "GET",
        "/r1/VN/GOV/G77/x/listMethods",
        COUNTER,
        "Server.ClientProxy.UnknownMember",
    ),
    "description of nothing": (
        "GET",
        "/r1/VN/GOV/G01/dancu/getOpenAPI?serviceCode=nothing",
        COUNTER,
        "Server.ServerProxy.UnknownService",
    ),
    "description of what": ("GET", "/r1/VN/GOV/G01/dancu/getOpenAPI", COUNTER, "Server.ClientProxy.BadRequest"),
}


async def test_a_refused_call_is_an_xroad_error_and_never_reaches_the_back_end(country: Country) -> None:
    for name, (method, target, client, type_) in REFUSED.items():
        answer = await country.send(method, target, client=client)
        assert (name, answer.status, answer.error["type"]) == (name, 500, type_)
    assert country.back_end.requests == []
    assert (await country.send("GET", PATH)).status == 200


async def test_a_call_without_an_agreement_is_denied_by_name(country: Country) -> None:
    country.consumer.agreements.clear()
    answer = await country.send("GET", PATH)
    assert (answer.status, answer.error["type"]) == (500, "Server.ServerProxy.AccessDenied")
    (ours,) = await country.consumer.leaves()
    assert ours["outcome"] == "refused"


async def test_a_denial_by_the_provider_is_told_like_our_own(country: Country) -> None:
    country.provider.agreements.clear()
    answer = await country.send("GET", PATH)
    assert (answer.status, answer.error["type"]) == (500, "Server.ServerProxy.AccessDenied")
    assert country.back_end.requests == []


async def test_accept_chooses_the_form_of_an_error(country: Country) -> None:
    for accept, media in [
        ("text/xml", "text/xml;charset=utf-8"),
        ("application/xml; q=0.2", "application/xml;charset=utf-8"),
        ("text/*", "text/xml;charset=utf-8"),
        ("text/xml-patch+xml", "application/json;charset=utf-8"),
        ("foobarbaz", "application/json;charset=utf-8"),
    ]:
        answer = await country.send("GET", "/r1/VN/GOV/G01/dancu/nothing", f"Accept: {accept}")
        assert answer.one("content-type") == media
        if "xml" in media:
            error = ElementTree.fromstring(answer.body)
            assert [child.tag for child in error] == ["type", "message", "detail"]
            assert error.findtext("type") == answer.one("x-road-error")
        else:
            assert answer.error["type"] == "Server.ServerProxy.UnknownService"


def _lying(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nlonger"


def _garbage(_: bytes) -> bytes:
    return b"no http at all\r\n\r\n"


def _large(_: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: 100001\r\n\r\n"


async def test_a_back_end_that_misbehaves_is_the_providers_fault_and_on_record(country: Country) -> None:
    for says in (_lying, _garbage, _large):
        country.back_end.says = says
        answer = await country.send("GET", PATH)
        assert answer.status == 500
        assert answer.error["type"].startswith("Server.ServerProxy.ServiceFailed.")
        assert "127.0.0.1" not in answer.error["message"]
    for node in (country.consumer, country.provider):
        assert [leaf["outcome"] for leaf in await node.leaves()] == ["failed"] * 3
    country.back_end.says = None
    assert (await country.send("GET", PATH)).status == 200


async def test_a_back_end_that_is_silent_or_gone_is_told_in_time(country: Country) -> None:
    service = country.provider.services[ECHO]
    assert isinstance(service.source, HttpSource)
    country.provider.services[ECHO] = replace(service, source=replace(service.source, timeout_s=0.1))
    country.back_end.silent = True
    assert (await country.send("GET", PATH)).error["type"] == "Server.ServerProxy.ServiceFailed.NetworkError"
    country.provider.services[ECHO] = replace(service, source=HttpSource("http://127.0.0.1:1/"))
    assert (await country.send("GET", PATH)).error["type"] == "Server.ServerProxy.ServiceFailed.NetworkError"


async def test_a_provider_that_is_down_is_a_network_error_and_on_record(country: Country) -> None:
    await country.provider.listener.stop(0)
    answer = await country.send("GET", PATH)
    assert answer.error["type"] == "Server.ClientProxy.NetworkError"
    (ours,) = await country.consumer.leaves()
    assert (ours["outcome"], ours["reason"]) == ("failed", "peer-unreachable")


async def test_a_provider_without_its_database_says_come_again_and_asks_no_back_end(country: Country) -> None:
    await country.provider.parts.seen.stop()  # as when the database went: what was seen can not be looked up
    answer = await country.send("GET", PATH)
    assert (answer.status, answer.error["type"]) == (503, "Server.ServerProxy.DatabaseError")
    assert int(answer.one("retry-after")) > 0
    assert country.back_end.requests == []


async def test_clients_are_listed_without_naming_oneself(country: Country) -> None:
    as_json = await country.send("GET", "/listClients", "Accept: application/json", client=None)
    assert as_json.status == 200
    systems = [m["id"].get("subsystem_code") for m in json.loads(as_json.body)["member"]]
    assert sorted(filter(None, systems)) == ["dancu", "motcua"]
    as_xml = await country.send("GET", "/listClients", client=None)
    assert as_xml.one("content-type").startswith("text/xml")
    assert len(ElementTree.fromstring(as_xml.body)) == 4
    elsewhere = await country.send("GET", "/listClients?xRoadInstance=EE", "Accept: application/json", client=None)
    assert json.loads(elsewhere.body) == {"member": []}


async def test_methods_are_listed_and_only_the_allowed_ones_on_demand(country: Country) -> None:
    target = "/r1/VN/GOV/G01/dancu/"
    listed = json.loads((await country.send("GET", target + "listMethods")).body)["service"]
    assert [(s["service_code"], s["service_type"], s["endpoint_list"]) for s in listed] == [("echo", "OPENAPI", [])]
    assert json.loads((await country.send("GET", target + "allowedMethods")).body)["service"] == listed
    country.consumer.agreements.clear()
    assert json.loads((await country.send("GET", target + "allowedMethods")).body)["service"] == []
    assert country.back_end.requests == []


async def test_a_description_comes_without_the_back_ends_address(country: Country) -> None:
    answer = await country.send("GET", "/r1/VN/GOV/G01/dancu/getOpenAPI?serviceCode=echo")
    assert answer.status == 200
    assert answer.one("content-type").startswith("text/plain")
    assert b"10.1.2.3" not in answer.body
    assert b"openapi: 3.0.0" in answer.body
    assert answer.one("x-road-request-hash")


async def test_javas_client_that_offers_http2_is_served(country: Country) -> None:
    answer = await country.send(
        "POST",
        PATH,
        "Connection: Upgrade, HTTP2-Settings",
        "Upgrade: h2c",
        "HTTP2-Settings: AAEAAEAAAAIAAAAB",
        body=b"hi",
    )
    assert answer.status == 200
    assert answer.body.endswith(b"hi")


async def test_many_calls_at_once_each_get_their_own_answer(country: Country) -> None:
    async def one(number: int) -> None:
        answer = await country.send("POST", f"{PATH}/{number}", body=b"n%d." % number)
        assert answer.body.endswith(b"n%d." % number)

    await asyncio.gather(*(one(number) for number in range(60)))
    assert len(await country.consumer.leaves()) == len(await country.provider.leaves()) == 60
