"""The client interface of X-Road's REST protocol, case by case."""

from __future__ import annotations

import base64
import hashlib
import uuid
from collections.abc import Iterator

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import Headers
from lienthong.exchange.signed import new_id
from lienthong.exchange.xroad import (
    XRoadCall,
    answer_headers,
    asked_instance,
    asked_service_code,
    check_security_server,
    encoded_id,
    read_call,
    request_hash,
)

CLIENT = (b"x-road-client", b"VN/GOV/G02/haiphong")
TARGET = b"/r1/VN/GOV/G01/dancu/citizen"


def ids() -> Iterator[str]:
    number = 0
    while True:
        number += 1
        yield f"id-{number}"


def read(method: str = "GET", target: bytes = TARGET, headers: Headers | None = None) -> XRoadCall:
    fresh = ids()
    return read_call(
        method, target, [CLIENT] if headers is None else headers, instance="VN", new_id=lambda: next(fresh)
    )


@pytest.mark.parametrize(
    ("target", "service", "path", "query"),
    [
        (b"/r1/VN/GOV/G01/dancu/citizen", "VN/GOV/G01/dancu/citizen", b"", None),
        (b"/r1/VN/GOV/G01/dancu/citizen/", "VN/GOV/G01/dancu/citizen", b"/", None),
        (b"/r1/VN/GOV/G01/dancu/citizen?a=%20", "VN/GOV/G01/dancu/citizen", b"", b"a=%20"),
        (b"/r1/VN/GOV/G01/dancu/citizen?", "VN/GOV/G01/dancu/citizen", b"", b""),
        (b"/r1/VN/GOV/G01/dancu/citizen/a/b//c/?x=/y?z", "VN/GOV/G01/dancu/citizen", b"/a/b//c/", b"x=/y?z"),
        (b"/r1/VN/GOV/G01/dancu/citizen/a%2Fb%20", "VN/GOV/G01/dancu/citizen", b"/a%2Fb%20", None),
        (
            b"/r1/EE/BUSINESS/producer/s%2Fub/%C3%B6%C3%A4%C3%A5/path%3B/",
            "EE/BUSINESS/producer/s%2Fub/öäå",
            b"/path%3B/",
            None,
        ),
        (b"/r1/FI/ORG/1710128-9/SUBSYSTEM_A1/s.v1", "FI/ORG/1710128-9/SUBSYSTEM_A1/s.v1", b"", None),
        (b"/r1/a/b/c/d/'()+,-.=;:@!$&*~", "a/b/c/d/'()+,-.=;:@!$&*~", b"", None),
        (b"/r1/a/b/c/d/100%25", "a/b/c/d/100%25", b"", None),
    ],
)
def test_the_first_five_parts_are_the_service_and_the_rest_is_kept_as_it_came(
    target: bytes, service: str, path: bytes, query: bytes | None
) -> None:
    call = read(target=target)
    assert (call.service, call.path, call.query) == (service, path, query)
    assert call.rest == path + (b"" if query is None else b"?" + query)


@pytest.mark.parametrize(
    "target",
    [
        b"/r1",
        b"/r1/",
        b"/r1/invalid",
        b"/r1/VN/GOV/G01/dancu",
        b"/r1/VN/GOV/G01//citizen",
        b"/r1//GOV/G01/dancu/citizen",
        b"/r1/VN/GOV/G01/dancu/",
        b"/r1/VN%2FGOV%2FG01%2Fdancu%2Fcitizen",
        b"/r2/VN/GOV/G01/dancu/citizen",
        b"/r0/VN/GOV/G01/dancu/citizen",
        b"/r11/VN/GOV/G01/dancu/citizen",
        b"/rx/VN/GOV/G01/dancu/citizen",
        b"/R1/VN/GOV/G01/dancu/citizen",
        b"/x1/VN/GOV/G01/dancu/citizen",
        b"/r1/VN/GOV/G01/dancu/cit izen",
        b"/r1/VN/GOV/G01/dancu/cit%zzizen",
        b"/r1/VN/GOV/G01/dancu/citizen%",
        b"/r1/VN/GOV/G01/dancu/cit[izen]",
        b'/r1/VN/GOV/G01/dancu/"citizen"',
        b"/r1/VN/GOV/G01/dancu/\xc3\xb6",
        b"/r1/VN/GOV/G01/dancu/%ff",
        b"/r1/VN/GOV/G01/dancu/a%00b",
        b"/r1/VN/GOV/G01/dancu/a%0Ab",
        b"/r1/VN/GOV/G01/dancu/%E2%80%8Bcitizen",
        b"/r1/VN/GOV/G01/dancu/%EF%BB%BFcitizen",
    ],
)
def test_a_target_that_is_not_five_sound_parts_is_refused(target: bytes) -> None:
    with pytest.raises(Problem) as refused:
        read(target=target)
    assert refused.value.kind == "xroad-request"


@pytest.mark.parametrize("method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"])
def test_eight_methods_are_known(method: str) -> None:
    assert read(method).method == method


@pytest.mark.parametrize("method", ["get", "CONNECT", "PROPFIND", "FOO", ""])
def test_other_methods_are_not(method: str) -> None:
    with pytest.raises(Problem) as refused:
        read(method)
    assert refused.value.kind == "xroad-request"


@pytest.mark.parametrize(
    ("values", "client"),
    [
        ([b"VN/GOV/G02/haiphong"], "VN/GOV/G02/haiphong"),
        ([b"VN/GOV/G02"], "VN/GOV/G02"),
        ([b"VN/GOV/G01/first", b"VN/GOV/G02/last"], "VN/GOV/G02/last"),
        ([b"EE/BUSINESS/consumer/sub%2Fsystem"], "EE/BUSINESS/consumer/sub%2Fsystem"),
        ([b"EE/BUSINESS/%C3%B6"], "EE/BUSINESS/ö"),
        ([b" VN/GOV/G02/haiphong "], "VN/GOV/G02/haiphong"),
    ],
)
def test_the_last_client_counts_and_a_slash_inside_a_part_makes_no_further_part(
    values: list[bytes], client: str
) -> None:
    call = read(headers=[(b"X-Road-Client", value) for value in values])
    assert call.client == client
    assert [value for name, value in call.fields if name == b"x-road-client"] == [values[-1]]


@pytest.mark.parametrize(
    "headers",
    [
        [],
        [(b"x-road-client", b"")],
        [(b"x-road-client", b"VN")],
        [(b"x-road-client", b"VN/GOV")],
        [(b"x-road-client", b"VN/GOV/G02/haiphong/more")],
        [(b"x-road-client", b"VN//G02/haiphong")],
        [(b"x-road-client", b"VN/GOV/G02/")],
        [(b"x-road-client", b"VN%2FGOV%2FG02")],
        [CLIENT, (b"x-road-client", b"VN")],
    ],
)
def test_a_call_without_a_sound_client_is_refused(headers: Headers) -> None:
    with pytest.raises(Problem) as refused:
        read(headers=headers)
    assert refused.value.kind == "xroad-client"


@pytest.mark.parametrize(
    ("field", "value", "kind"),
    [
        (b"x-road-security-server", b"VN/GOV/G01", "xroad-security-server"),
        (b"x-road-security-server", b"VN/GOV/G01/ss/x", "xroad-security-server"),
        (b"x-road-security-server", b"", "xroad-security-server"),
        (b"x-road-security-server", b"VN/GOV/G01/s s", "xroad-request"),
        (b"x-road-represented-party", b"COM/1/2", "xroad-request"),
        (b"x-road-represented-party", b"COM/", "xroad-request"),
        (b"x-road-client", b"VN/GOV/G 02", "xroad-request"),
    ],
)
def test_an_identifier_in_a_field_needs_its_parts(field: bytes, value: bytes, kind: str) -> None:
    with pytest.raises(Problem) as refused:
        read(headers=[CLIENT, (field, value)])
    assert refused.value.kind == kind


def test_what_a_client_says_about_its_call_is_read() -> None:
    call = read(
        headers=[
            CLIENT,
            (b"X-Road-Id", b"mine"),
            (b"X-Road-UserId", b"VN001099012345"),
            (b"X-Road-Issue", b"HS-1"),
            (b"X-Road-Represented-Party", b"COM/0101243150"),
            (b"X-Road-Security-Server", b"VN/GOV/G01/s%2Fs"),
        ]
    )
    assert (call.id, call.user_id, call.issue) == ("mine", "VN001099012345", "HS-1")
    assert (call.represented_party, call.security_server) == ("COM/0101243150", "VN/GOV/G01/s%2Fs")


@pytest.mark.parametrize(
    ("asked", "served"),
    [(None, True), (b"VN/GOV/G01/nut-g01", True), (b"VN/GOV/G01/nut-g02", False), (b"VN/GOV/H24/nut-g01", False)],
)
def test_a_server_that_does_not_serve_the_provider_is_refused(asked: bytes | None, served: bool) -> None:
    call = read(headers=[CLIENT, *([(b"x-road-security-server", asked)] if asked else [])])
    if served:
        check_security_server(call, "VN/GOV/G01", "nut-g01")
        return
    with pytest.raises(Problem) as refused:
        check_security_server(call, "VN/GOV/G01", "nut-g01")
    assert refused.value.kind == "xroad-security-server"


def test_ids_are_made_where_the_client_gave_none_and_its_request_id_is_replaced() -> None:
    call = read(headers=[CLIENT, (b"x-road-request-id", b"forged"), (b"x-road-request-hash", b"forged")])
    assert (call.request_id, call.id) == ("id-1", "VN-id-2")
    assert call.fields == [CLIENT, (b"x-road-request-id", b"id-1"), (b"x-road-id", b"VN-id-2")]
    given = read(headers=[CLIENT, (b"x-road-id", b"mine")])
    assert given.fields == [CLIENT, (b"x-road-id", b"mine"), (b"x-road-request-id", b"id-1")]


def test_fields_of_the_hop_and_of_our_messages_are_dropped_and_all_others_kept_in_order() -> None:
    dropped = [
        b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"te", b"trailer",
        b"transfer-encoding", b"upgrade", b"host", b"user-agent", b"server", b"content-length", b"expect",
        b"signature", b"signature-input", b"content-digest", b"lienthong-purpose", b"lienthong-client",
    ]  # fmt: skip
    kept: Headers = [
        (b"accept", b"application/json"),
        (b"content-type", b"text/plain"),
        (b"authorization", b"Bearer x"),
        (b"cookie", b"a=b"),
        (b"cache-control", b"no-cache"),
        (b"x-own", b"1"),
        (b"x-own", b"2"),
    ]
    call = read(headers=[*[(name, b"x") for name in dropped], *kept[:3], CLIENT, *kept[3:]])
    assert call.fields[:8] == [*kept[:3], CLIENT, *kept[3:]]
    assert call.extra["x-own"] == "1, 2"


def test_the_request_hash_is_the_digest_of_the_forwarded_head_and_of_the_body_if_there_is_one() -> None:
    call = read("POST", TARGET + b"/a%2Fb?c=%20", [(b"Accept", b"*/*"), CLIENT])
    head = (
        b"POST\r\n/r1/VN/GOV/G01/dancu/citizen/a%2Fb?c=%20\r\n"
        b"accept:*/*\r\nx-road-client:VN/GOV/G02/haiphong\r\nx-road-request-id:id-1\r\nx-road-id:VN-id-2\r\n"
    )
    digest = hashlib.sha512(head).digest()
    assert request_hash(call, None) == base64.b64encode(digest).decode()
    both = hashlib.sha512(digest + hashlib.sha512(b"body").digest()).digest()
    assert request_hash(call, hashlib.sha512(b"body").digest()) == base64.b64encode(both).decode()


def test_two_requests_with_one_id_have_different_hashes() -> None:
    headers = [CLIENT, (b"x-road-id", b"queryid")]
    first, second = (read_call("GET", TARGET, list(headers), instance="VN") for _ in range(2))
    assert request_hash(first, None) != request_hash(second, None)
    assert len(base64.b64decode(request_hash(first, None))) == 64


def test_an_answer_bears_xroads_five_fields_once_and_keeps_the_providers_own() -> None:
    call = read(target=b"/r1/EE/BUSINESS/producer/s%2Fub/%C3%B6", headers=[(b"x-road-client", b"EE/B/c/s%2Fub")])
    provided: Headers = [
        (b"content-type", b"text/plain"),
        (b"location", b"/elsewhere"),
        (b"x-road-service", b"forged"),
        (b"x-road-error", b"forged"),
        (b"date", b"yesterday"),
        (b"content-length", b"2"),
    ]
    assert answer_headers(provided, call, "aGFzaA==") == [
        (b"content-type", b"text/plain"),
        (b"location", b"/elsewhere"),
        (b"x-road-id", b"VN-id-2"),
        (b"x-road-client", b"EE/B/c/s%2Fub"),
        (b"x-road-service", b"EE/BUSINESS/producer/s%2Fub/%C3%B6"),
        (b"x-road-request-id", b"id-1"),
        (b"x-road-request-hash", b"aGFzaA=="),
    ]


@pytest.mark.parametrize("wire", [b"a/b/c", b"a/b%2Fc/%25/100%25", b"a/%C3%B6/-._~!$&'()*+,;=:@", b"%E2%82%AC/x"])
def test_an_id_read_and_written_again_is_the_same(wire: bytes) -> None:
    call = read(headers=[(b"x-road-client", wire if wire.count(b"/") > 1 else wire + b"/x")])
    assert encoded_id(call.client) == (wire if wire.count(b"/") > 1 else wire + b"/x")


@pytest.mark.parametrize(
    ("method", "rest", "metaservice"),
    [
        ("GET", b"listMethods", "listMethods"),
        ("GET", b"allowedMethods", "allowedMethods"),
        ("GET", b"getOpenAPI?serviceCode=x", "getOpenAPI"),
        ("HEAD", b"listMethods/", "listMethods"),
        ("POST", b"listMethods", None),
        ("GET", b"listMethods/x", None),
        ("GET", b"listmethods", None),
        ("GET", b"citizen", None),
    ],
)
def test_metaservices_are_told_apart(method: str, rest: bytes, metaservice: str | None) -> None:
    call = read(method, b"/r1/VN/GOV/G01/dancu/" + rest)
    assert call.metaservice == metaservice
    assert call.system == "VN/GOV/G01/dancu"


def test_parameters_of_metaservices_are_decoded() -> None:
    call = read(target=b"/r1/VN/GOV/G01/dancu/getOpenAPI?x=1&serviceCode=c%C3%B6+de&serviceCode=second")
    assert asked_service_code(call) == "cö de"
    assert asked_instance(b"/listClients?xRoadInstance=EE") == "EE"
    assert asked_instance(b"/listClients") is None
    with pytest.raises(Problem) as refused:
        asked_service_code(read(target=b"/r1/VN/GOV/G01/dancu/getOpenAPI"))
    assert refused.value.kind == "xroad-request"


def test_ids_made_here_are_random_uuids_in_the_one_spelling() -> None:
    made = {new_id() for _ in range(500)}

    assert len(made) == 500
    for text in made:
        read = uuid.UUID(text)
        assert (read.version, read.variant, str(read)) == (4, uuid.RFC_4122, text)
    assert {text[19] for text in made} == set("89ab")
