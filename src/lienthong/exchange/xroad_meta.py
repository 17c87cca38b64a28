"""X-Road's metaservices: who is there, what a system offers, what of it a caller may use, and its OpenAPI text.

Shapes only; the names come from the directory and the catalogue.  Field names are snake case, absent ones left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import cast
from xml.sax.saxutils import escape

JSON_TYPE = "application/json;charset=utf-8"
XML_TYPE = "text/xml;charset=utf-8"
_IDENTIFIERS = "http://x-road.eu/xsd/identifiers"
_XROAD = "http://x-road.eu/xsd/xroad.xsd"
_SERVERS = re.compile(r"(\s*)[\"']?servers[\"']?\s*:\s*(.*)$")
_LIST = re.compile(r"(?:\s|#.*\n|[&!]\S*)*[-\[]")
"""A list's first sign, behind blank lines, comments, anchors and tags."""
_ADDRESS = re.compile(r"//[^/\s\"',\]}]+(?:\}[^/\s\"',\]}]*)*((?:/[^\s\"',\]#?]*)?)")


@dataclass(frozen=True, slots=True)
class ListedClient:
    """A member or system as listClients tells it."""

    id: str
    """Three parts for a member, four for a system."""
    name: str
    system_name: str | None = None


@dataclass(frozen=True, slots=True)
class ListedService:
    """A service as listMethods and allowedMethods tell it."""

    id: str
    openapi: bool
    """Whether it has an OpenAPI description."""
    endpoints: tuple[tuple[str, str], ...] = ()
    """Method and path; the implicit base endpoint is not listed."""


def wants_json(accept: Iterable[bytes]) -> bool:
    """Whether listClients answers in JSON: the type is named anywhere in Accept; else XML."""
    return any(b"application/json" in value.lower() for value in accept)


def list_clients(clients: Iterable[ListedClient], *, as_json: bool) -> tuple[str, bytes]:
    """Content type and body of ``listClients``."""
    if as_json:
        return JSON_TYPE, _json({"member": [_client_json(client) for client in clients]})
    members = "".join(_client_xml(client) for client in clients)
    return XML_TYPE, (
        '<?xml version="1.0" encoding="UTF-8" standalone="yes"?>\n'
        f'<xrd:clientList xmlns:xrd="{_XROAD}" xmlns:id="{_IDENTIFIERS}">{members}</xrd:clientList>'
    ).encode()


def list_services(services: Iterable[ListedService]) -> tuple[str, bytes]:
    """Content type and body of ``listMethods`` and ``allowedMethods``."""
    return JSON_TYPE, _json({"service": [_service_json(service) for service in services]})


def anonymised_openapi(text: str) -> str:
    """``text`` (OpenAPI, JSON or YAML) with the hosts of its servers left out: they are internal addresses."""
    if text.lstrip().startswith("{"):
        try:
            described = json.loads(text)
        except ValueError:
            return _anonymised_yaml(text)
        return json.dumps(_without_hosts(described), ensure_ascii=False, indent=2)
    return _anonymised_yaml(text)


def openapi_type(text: str) -> str:
    """Content type of an OpenAPI text."""
    return "application/json" if text.lstrip().startswith("{") else "text/plain;charset=utf-8"


def _client_json(client: ListedClient) -> dict[str, object]:
    parts = client.id.split("/")
    identifier: dict[str, object] = {
        "object_type": "SUBSYSTEM" if len(parts) == 4 else "MEMBER",
        "xroad_instance": parts[0],
        "member_class": parts[1],
        "member_code": parts[2],
    }
    described: dict[str, object] = {"id": identifier, "name": client.name}
    if len(parts) == 4:
        identifier["subsystem_code"] = parts[3]
        if client.system_name:
            described["subsystem_name"] = client.system_name
    return described


def _client_xml(client: ListedClient) -> str:
    parts = client.id.split("/")
    kind = "SUBSYSTEM" if len(parts) == 4 else "MEMBER"
    names = ("xRoadInstance", "memberClass", "memberCode", "subsystemCode")
    inner = "".join(f"<id:{name}>{escape(part)}</id:{name}>" for name, part in zip(names, parts, strict=False))
    subsystem = (
        f"<xrd:subsystemName>{escape(client.system_name)}</xrd:subsystemName>"
        if client.system_name and len(parts) == 4
        else ""
    )
    return (
        f'<xrd:member><xrd:id id:objectType="{kind}">{inner}</xrd:id>'
        f"<xrd:name>{escape(client.name)}</xrd:name>{subsystem}</xrd:member>"
    )


def _service_json(service: ListedService) -> dict[str, object]:
    instance, member_class, member_code, subsystem, code = service.id.split("/")
    return {
        "member_class": member_class,
        "member_code": member_code,
        "object_type": "SERVICE",
        "service_code": code,
        "service_type": "OPENAPI" if service.openapi else "REST",
        "subsystem_code": subsystem,
        "xroad_instance": instance,
        "endpoint_list": [
            {"method": method, "path": path} for method, path in service.endpoints if (method, path) != ("*", "**")
        ],
    }


def _without_hosts(value: object) -> object:
    """An OpenAPI document in which every list of servers holds addresses without hosts, and nothing else."""
    if isinstance(value, dict):
        members = cast("Mapping[str, object]", value)
        return {
            name: [{"url": url} for url in _hidden(json.dumps(member))]
            if name == "servers" and isinstance(member, list)
            else _without_hosts(member)
            for name, member in members.items()
        }
    if isinstance(value, list):
        return [_without_hosts(element) for element in cast("list[object]", value)]
    return value


def _anonymised_yaml(text: str) -> str:
    """The same for YAML, line by line: a list below ``servers:`` (or in brackets behind it) is written anew.

    A property that merely bears the name ``servers`` is no list and stays.
    """
    kept: list[str] = []
    lines = text.splitlines()
    at = 0
    while at < len(lines):
        found = _SERVERS.match(lines[at])
        end = at + 1
        if found:
            while end < len(lines) and _belongs(lines[end], len(found[1])):
                end += 1
            body = "\n".join([found[2], *lines[at + 1 : end]])
            if _LIST.match(body):
                kept.append(f"{found[1]}servers:")
                kept.extend(f"{found[1]}  - url: {json.dumps(url)}" for url in _hidden(body))
                at = end
                continue
        kept.append(lines[at])
        at += 1
    return "\n".join(kept) + "\n"


def _belongs(line: str, indent: int) -> bool:
    """Whether a YAML line lies inside the list that a key at ``indent`` began."""
    inner = line.lstrip()
    depth = len(line) - len(inner)
    return not inner or depth > indent or (depth == indent and inner.startswith(("-", "#", "]")))


def _hidden(servers: str) -> list[str]:
    """The addresses in a piece of text, each with a host that nobody resolves; one with no path when there is none."""
    urls = [f"https://example.invalid{found[1].rstrip('/')}" for found in _ADDRESS.finditer(servers)]
    return urls or ["https://example.invalid"]


def _json(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8")
