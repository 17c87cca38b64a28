"""Errors in X-Road's shape: types in two spellings, status, media type."""

from __future__ import annotations

import json
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lienthong.errors import Problem
from lienthong.exchange import xroad_errors
from lienthong.exchange.answer import PeerUnreachable
from lienthong.exchange.backend import ServiceTimeout
from lienthong.exchange.signed import RefusedByProvider
from lienthong.exchange.xroad import XRoadClientMissing
from lienthong.exchange.xroad_errors import (
    SNAKE,
    TYPES,
    error_media_type,
    plain_error,
    status_of,
    styled,
    xroad_error,
    xroad_type,
)

REFERENCE = "8d7f5a6e-1b1a-4d0e-9d55-6c2a3f1d9f10"


@pytest.mark.parametrize(
    ("accept", "media"),
    [
        ([], "application/json"),
        ([b""], "application/json"),
        ([b"application/json;charset=utf-8"], "application/json"),
        ([b"foobarbaz"], "application/json"),
        ([b"*/*"], "application/json"),
        ([b"application/*"], "application/json"),
        ([b"application/xml"], "application/xml"),
        ([b"text/xml"], "text/xml"),
        ([b"TEXT/XML"], "text/xml"),
        ([b"application/xml, text/xml"], "application/xml"),
        ([b"text/xml, application/xml"], "text/xml"),
        ([b"text/xml-patch+xml"], "application/json"),
        ([b"application/xml; q=0.2"], "application/xml"),
        ([b"application/json, application/xml;q=0"], "application/xml"),
        ([b"text/xml, application/xml, application/json"], "text/xml"),
        ([b"text/*"], "text/xml"),
        ([b"application/json", b"text/xml"], "text/xml"),
        ([b",, text/xml"], "text/xml"),
    ],
)
def test_accept_chooses_the_media_type_of_an_error(accept: list[bytes], media: str) -> None:
    error = plain_error("Server.ServerProxy.ServiceType", "a < b & c", accept, reference=REFERENCE)
    assert error_media_type(accept) == media
    assert (b"content-type", f"{media};charset=utf-8".encode()) in error.headers
    assert (b"x-road-error", b"Server.ServerProxy.ServiceType") in error.headers
    if media == "application/json":
        shown = json.loads(error.body)
    else:
        root = ElementTree.fromstring(error.body)
        assert root.tag == "error"
        shown = {child.tag: child.text for child in root}
    assert list(shown) == ["type", "message", "detail"]
    assert shown == {"type": "Server.ServerProxy.ServiceType", "message": "a < b & c", "detail": REFERENCE}


def test_control_characters_do_not_break_an_xml_error() -> None:
    error = plain_error("Client.BadRequest", "a\0\x1b\ufffeb", [b"text/xml"], reference=REFERENCE)
    assert ElementTree.fromstring(error.body).findtext("message") == "a???b"


@pytest.mark.parametrize(
    ("camel", "snake", "status"),
    [
        ("Server.ClientProxy.UnknownMember", "server.clientproxy.unknown_member", 500),
        ("Server.ServerProxy.AccessDenied", "server.serverproxy.access_denied", 500),
        ("Server.ClientProxy.InvalidClientIdentifier", "server.clientproxy.invalid_client_identifier", 500),
        ("Server.ClientProxy.OutdatedGlobalConf", "server.clientproxy.global_conf_outdated", 500),
        ("Server.ClientProxy.SslAuthenticationFailed", "server.clientproxy.ssl_authentication_failed", 500),
        ("Server.ServerProxy.ServiceType", "server.serverproxy.service_type", 500),
        ("Server.ServerProxy.ServiceFailed.NetworkError", "server.serverproxy.service_failed.network_error", 500),
        ("Server.ClientProxy.IOError", "server.clientproxy.io_error", 500),
        ("Signer.HSMNonOperational", "signer.hsm_non_operational", 400),
        ("Signer.TokenReadOnly", "signer.token_readonly", 400),
        ("Server.ServerProxy.InvalidHashChain", "server.serverproxy.invalid_hash_chain", 500),
        ("Server.ServerProxy.InvalidHttpMethod", "server.serverproxy.invalid_http_method", 500),
        ("Client.BadRequest", "client.bad_request", 400),
        ("Server.ClientProxy.SomethingNew", "server.clientproxy.something_new", 500),
    ],
)
def test_both_spellings_and_the_status_of_either(camel: str, snake: str, status: int) -> None:
    assert styled(camel, "camel") == camel
    assert styled(camel, "snake") == snake
    assert status_of(camel) == status_of(snake) == status


def test_every_kind_that_is_mapped_is_one_of_ours() -> None:
    source = "".join(path.read_text() for path in Path(xroad_errors.__file__).parent.parent.rglob("*.py"))
    assert [kind for kind in TYPES if source.count(f'"{kind}"') < 2] == []


def test_every_word_we_use_is_one_of_xroads() -> None:
    assert {word for type_ in TYPES.values() for word in type_.split(".")} <= set(SNAKE)
    assert all(snake == snake.lower() for snake in SNAKE.values())


@pytest.mark.parametrize(
    ("problem", "type_"),
    [
        (XRoadClientMissing("m"), "Server.ClientProxy.InvalidClientIdentifier"),
        (PeerUnreachable("m"), "Server.ClientProxy.NetworkError"),
        (ServiceTimeout("m"), "Server.ServerProxy.ServiceFailed.NetworkError"),
        (Problem("m"), "Server.ClientProxy.InternalError"),
    ],
)
def test_our_problems_have_xroads_names(problem: Problem, type_: str) -> None:
    error = xroad_error(problem, [], reference=REFERENCE)
    assert (error.type, error.status) == (type_, 500)
    assert xroad_error(problem, [], reference=REFERENCE, style="snake").type == styled(type_, "snake")


@pytest.mark.parametrize("status", [429, 503])
def test_what_asks_to_come_again_keeps_its_status(status: int) -> None:
    told = {"type": "urn:lienthong:problem:no-record", "status": status, "detail": "gone", "side": "node"}
    error = xroad_error(RefusedByProvider(told, status), [], reference=REFERENCE)
    assert (error.status, error.type) == (status, "Server.ClientProxy.LoggingFailed")


def test_what_another_node_told_keeps_its_kind_and_side() -> None:
    told = {"type": "urn:lienthong:problem:unknown-service", "status": 404, "detail": "none", "side": "provider"}
    error = xroad_error(RefusedByProvider(told, 404), [], reference=REFERENCE)
    assert (error.status, error.type) == (500, "Server.ServerProxy.UnknownService")
    assert json.loads(error.body)["message"] == "none"


@pytest.mark.parametrize(
    ("side", "type_"),
    [
        ("caller", "Server.ClientProxy.BadRequest"),
        ("consumer", "Server.ClientProxy.InternalError"),
        ("node", "Server.ClientProxy.InternalError"),
        ("provider", "Server.ServerProxy.ServiceFailed.InternalError"),
    ],
)
def test_an_unknown_kind_is_named_by_its_side(side: str, type_: str) -> None:
    assert xroad_type("nobody-knows", side) == type_


def test_the_message_says_what_to_do_and_the_detail_is_the_reference() -> None:
    problem = PeerUnreachable("{peer} is away.", mend="Call {peer}.", peer="node-7")
    shown = json.loads(xroad_error(problem, [], reference=REFERENCE).body)
    assert shown == {
        "type": "Server.ClientProxy.NetworkError",
        "message": "node-7 is away. Call node-7.",
        "detail": REFERENCE,
    }
