"""Shapes of X-Road's metaservices."""

from __future__ import annotations

import json
from xml.etree import ElementTree

import pytest

from lienthong.exchange.xroad_meta import (
    ListedClient,
    ListedService,
    anonymised_openapi,
    list_clients,
    list_services,
    openapi_type,
    wants_json,
)

CLIENTS = [
    ListedClient("VN/GOV/G01", "Bộ Công an"),
    ListedClient("VN/GOV/G01/dancu", "Bộ Công an", "Dân cư"),
    ListedClient("VN/COM/1&2/x", "A < B"),
]


@pytest.mark.parametrize(
    ("accept", "as_json"),
    [
        ([], False),
        ([b"*/*"], False),
        ([b"text/xml"], False),
        ([b"application/json"], True),
        ([b"text/xml, application/json;q=0.1"], True),
        ([b"text/xml", b"Application/JSON"], True),
    ],
)
def test_clients_are_listed_in_json_only_when_it_is_asked_for(accept: list[bytes], as_json: bool) -> None:
    assert wants_json(accept) is as_json


def test_clients_in_json_have_snake_case_names_and_no_empty_ones() -> None:
    media, body = list_clients(CLIENTS, as_json=True)
    assert media.startswith("application/json")
    first, second, third = json.loads(body)["member"]
    assert first == {
        "id": {"object_type": "MEMBER", "xroad_instance": "VN", "member_class": "GOV", "member_code": "G01"},
        "name": "Bộ Công an",
    }
    assert second == {
        "id": {
            "object_type": "SUBSYSTEM",
            "xroad_instance": "VN",
            "member_class": "GOV",
            "member_code": "G01",
            "subsystem_code": "dancu",
        },
        "name": "Bộ Công an",
        "subsystem_name": "Dân cư",
    }
    assert "subsystem_name" not in third


def test_clients_in_xml_are_well_formed_and_in_xroads_namespaces() -> None:
    media, body = list_clients(CLIENTS, as_json=False)
    assert media.startswith("text/xml")
    root = ElementTree.fromstring(body)
    ns = {"xrd": "http://x-road.eu/xsd/xroad.xsd", "id": "http://x-road.eu/xsd/identifiers"}
    assert root.tag == "{http://x-road.eu/xsd/xroad.xsd}clientList"
    members = root.findall("xrd:member", ns)
    assert [m.findtext("xrd:name", namespaces=ns) for m in members] == ["Bộ Công an", "Bộ Công an", "A < B"]
    ids = [m.find("xrd:id", ns) for m in members]
    assert ids[0] is not None
    assert ids[0].get("{http://x-road.eu/xsd/identifiers}objectType") == "MEMBER"
    assert ids[2] is not None
    assert [part.text for part in ids[2]] == ["VN", "COM", "1&2", "x"]


def test_services_are_listed_with_their_endpoints_but_not_the_implicit_one() -> None:
    media, body = list_services(
        [
            ListedService("VN/GOV/G01/dancu/pets", True, (("GET", "/pet/*"), ("*", "**"))),
            ListedService("VN/GOV/G01/dancu/plain", False),
        ]
    )
    assert media.startswith("application/json")
    assert json.loads(body) == {
        "service": [
            {
                "member_class": "GOV",
                "member_code": "G01",
                "object_type": "SERVICE",
                "service_code": "pets",
                "service_type": "OPENAPI",
                "subsystem_code": "dancu",
                "xroad_instance": "VN",
                "endpoint_list": [{"method": "GET", "path": "/pet/*"}],
            },
            {
                "member_class": "GOV",
                "member_code": "G01",
                "object_type": "SERVICE",
                "service_code": "plain",
                "service_type": "REST",
                "subsystem_code": "dancu",
                "xroad_instance": "VN",
                "endpoint_list": [],
            },
        ]
    }


@pytest.mark.parametrize(
    "text",
    [
        "servers:\n  - url: https://u:p@secret.gov:8443/api\n    variables:\n      h: {default: secret}\npaths: {}\n",
        "servers: &all # secret\n  - url: http://secret/api\npaths: {}\n",
        'servers:\n- url: "//secret.gov.vn/api/"\n- description: secret\npaths: {}\n',
        "servers: [{url: 'http://secret/api'}, {url: 'http://secret/api'}]\npaths: {}\n",
        "servers: [\n  {url: http://{x}.secret/api},\n]\npaths: {}\n",
        '"servers" :\r\n\r\n  # secret\r\n  - {"url": "https://secret/api"}\r\npaths: {}\r\n',
        json.dumps({"servers": [{"url": "https://secret/api", "variables": {"h": "secret"}}], "paths": {}}),
        json.dumps({"paths": {"/x": {"get": {"servers": [{"url": "http://secret/api?secret#secret"}]}}}}),
        "paths:\n  /x:\n    servers:\n      - url: http://secret/api\n",
    ],
)
def test_no_server_of_a_description_names_its_host(text: str) -> None:
    told = anonymised_openapi(text)
    assert "secret" not in told
    assert "https://example.invalid/api" in told
    assert "paths" in told


def test_the_rest_of_a_description_stays_as_it_was() -> None:
    text = "openapi: 3.0.0\ninfo:\n  title: Dân cư\nA:\n  properties:\n    servers:\n      type: array\n"
    assert anonymised_openapi(text) == text
    described = {"openapi": "3.0.0", "components": {"schemas": {"A": {"properties": {"servers": {"type": "array"}}}}}}
    assert json.loads(anonymised_openapi(json.dumps(described))) == described
    assert anonymised_openapi("{broken") == "{broken\n"


def test_a_descriptions_type_is_json_or_plain_text() -> None:
    assert openapi_type(' {"openapi": "3.0.0"}') == "application/json"
    assert openapi_type("openapi: 3.0.0").startswith("text/plain")
