"""The services: a list, and for each its documentation made from its OpenAPI description, and a form to try it.

Promises: what the documentation says is the description that programs get (``/v1/services/<id>/openapi.json``); only
open data can be tried here, because everything else needs an agreement and leaves a record in somebody's name.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final, cast
from urllib.parse import urlencode

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.catalog.models import Service
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.law.text import sort_key
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Name
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of, sorted_rows
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.tables.openapi import openapi
from lienthong.web import page_language

TITLE: Final = T("Services")
TRIED_ROWS: Final = 10
SHARING: Final[Mapping[str, Mark]] = MappingProxyType(
    {
        "open": Mark("good", T("open data"), "open"),
        "shared": Mark("still", T("under an agreement"), "shared"),
    }
)
KINDS: Final[Mapping[str, str]] = MappingProxyType({"table": T("Table"), "http": T("HTTP service")})
COLUMNS: Final = columns_of(
    ("service", T("Service")),
    ("id", T("Id"), "code"),
    ("member", T("Provider")),
    ("kind", T("Kind of service")),
    ("sharing", T("Sharing")),
    ("fields", T("Fields"), "figure"),
    ("legal_basis", T("Legal basis")),
)


class ServiceNotHere(Problem):
    """No service that this node may show has the id asked for."""

    kind: ClassVar[str] = "service-not-here"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such service")


@dataclass(frozen=True, slots=True)
class ServiceLine:
    """A service with who provides it, and from which node."""

    service: Service
    member: Name
    base: str
    """Public address of its node; empty for this one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing a service does, as its description says."""

    method: str
    path: str
    summary: str
    inputs: tuple[tuple[str, str, bool], ...]
    """Name, type and whether it must be there."""
    answers: tuple[tuple[str, str], ...]
    """Status and what it means."""


@dataclass(frozen=True, slots=True)
class Tried:
    """What trying an open table gave."""

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    address: str
    """Where a program gets the same."""
    problem: Problem | None = None


Read = Callable[[], Awaitable[tuple[datetime, Sequence[ServiceLine]]]]
Ask = Callable[[Service, str], Awaitable[bytes]]
"""A page of rows (JSON) of an open table of this node, for a query string."""


def service_pages(read: Read, ask: Ask) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    async def sheet(request: Request) -> Sheet:
        del request
        at, lines = await read()
        return Sheet("dich-vu", TITLE, COLUMNS, _rows(lines), at)

    async def found(request: Request) -> ServiceLine:
        wanted = str(request.path_params["id"])
        line = next((line for line in (await read())[1] if line.service.id == wanted), None)
        if line is None:
            raise ServiceNotHere(
                T("No service with that id is published here."), mend=T("Search the list of services by name.")
            )
        return line

    async def described(request: Request) -> Response:
        return JSONResponse(description((await found(request)).service))

    async def told(request: Request) -> Response:
        return JSONResponse((await found(request)).service.public())

    def join(shell: Shell) -> Pages:
        async def one(request: Request) -> Response:
            line = await found(request)
            service = line.service
            tryable = service.is_open_table and not line.base
            tried = await _tried(service, request, ask) if tryable and "try" in request.query_params else None
            title = Name(service.title_vi or service.id, service.title_en).say(page_language(request))
            asked = request.query_params
            return shell.page(request, "service.html", title=title, line=line, operations=operations(service),
                              sharing=SHARING, kinds=KINDS, tryable=tryable, tried=tried, asked=asked)  # fmt: skip

        lead = T("What members offer. Each has its documentation; open data can be tried without asking anybody.")
        routes = (
            *listing(shell, Listing("/services", TITLE, lead, sheet, json="/v1/services")),
            *both("/services/{id:path}", one),
            Route("/v1/services/{id:path}/openapi.json", described, methods=["GET"]),
            Route("/v1/services/{id:path}", told, methods=["GET"]),
        )
        return Pages(routes, (Section("/services", TITLE),))

    return join


def description(service: Service) -> dict[str, object]:
    """The OpenAPI description of ``service``: generated for a table, the provider's own for an HTTP service."""
    if service.kind == "table":
        return openapi(service)
    try:
        told: object = orjson.loads(service.openapi)
    except orjson.JSONDecodeError:
        told = None
    if isinstance(told, dict):
        return cast("dict[str, object]", told)
    paths = {point.path: {point.method.lower(): {"responses": {}}} for point in service.endpoints}
    return {"openapi": "3.1.0", "info": {"title": service.title_vi, "version": str(service.version)}, "paths": paths}


def operations(service: Service) -> tuple[Operation, ...]:
    """What the description says, as far as it can be read: others wrote some of it."""
    found: list[Operation] = []
    for path, methods in _items(description(service).get("paths")):
        for method, told in _items(methods):
            operation = dict(_items(told))
            inputs = [_input(each) for each in _listed(operation.get("parameters"))]
            inputs += _body_inputs(operation.get("requestBody"))
            answers = [(status, str(dict(_items(each)).get("description", ""))[:200])
                       for status, each in _items(operation.get("responses"))]  # fmt: skip
            summary = str(operation.get("summary", ""))[:200]
            found.append(Operation(method.upper()[:10], path[:200], summary, tuple(inputs), tuple(answers)))
    return tuple(found[:50])


def _input(parameter: object) -> tuple[str, str, bool]:
    told = dict(_items(parameter))
    return str(told.get("name", ""))[:80], _type(told.get("schema")), bool(told.get("required"))


def _body_inputs(body: object) -> list[tuple[str, str, bool]]:
    content = dict(_items(dict(_items(body)).get("content")))
    schema = dict(_items(dict(_items(content.get("application/json"))).get("schema")))
    required = {str(name) for name in _listed(schema.get("required"))}
    return [(name[:80], _type(each), name in required) for name, each in _items(schema.get("properties"))]


def _type(schema: object) -> str:
    told = dict(_items(schema))
    kind = told.get("type", "")
    words = " | ".join(str(each) for each in _listed(kind)) if isinstance(kind, list) else str(kind)
    return f"{words} ({told['format']})"[:60] if "format" in told else words[:60]


def _items(value: object) -> list[tuple[str, object]]:
    return [(str(name), each) for name, each in cast("dict[object, object]", value).items()] if isinstance(
        value, dict) else []  # fmt: skip


def _listed(value: object) -> list[object]:
    return cast("list[object]", value) if isinstance(value, list) else []


def _rows(lines: Sequence[ServiceLine]) -> tuple[Row, ...]:
    rows = [
        Row(
            (
                Name(line.service.title_vi or line.service.id, line.service.title_en),
                line.service.id,
                line.member,
                Name(translate(KINDS[line.service.kind], "vi"), KINDS[line.service.kind]),
                SHARING.get(line.service.sharing),
                len(line.service.fields),
                line.service.legal_basis or None,
            ),
            f"/services/{line.service.id}",
        )
        for line in lines
    ]
    return sorted_rows(rows, [sort_key(line.service.title_vi) for line in lines])


async def _tried(service: Service, request: Request, ask: Ask) -> Tried:
    asked = {name: told for name in service.lookup if (told := request.query_params.get(name, "").strip()[:200])}
    query = urlencode(asked | {"limit": str(TRIED_ROWS)})
    address = f"/v1/open/{service.id}/rows?{query}"
    names = tuple(field.name for field in service.fields)
    try:
        told: object = orjson.loads(await ask(service, query))
    except Problem as problem:
        return Tried(names, (), address, problem)
    rows = [dict(_items(row)) for row in _listed(dict(_items(told)).get("rows"))]
    shown = tuple(tuple("" if row.get(name) is None else str(row.get(name)) for name in names) for row in rows)
    return Tried(names, shown, address)
