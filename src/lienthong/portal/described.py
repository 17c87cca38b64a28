"""The OpenAPI 3.1 description of this node's API, made from its deeds and its routes: what is there is what is told.

Promises: every route under ``/v1/`` stands in it, every deed with its input, its answer, its statuses and whether
tokens reach it; ``/openapi.json`` in Vietnamese, ``?lang=en`` in English.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from functools import cache
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong import __version__
from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate
from lienthong.identity.rights import LoginNeeded, NotAllowed
from lienthong.portal.deeds import Deed, schema_of
from lienthong.portal.doing import DOOR, ChangedMeanwhile, NotByToken, VersionNeeded, deed_at
from lienthong.portal.reads import READS, TEXT, Read, Schema
from lienthong.web import page_language

PATH: Final = "/openapi.json"
ROOT: Final = "/v1/"
_PARAM: Final = re.compile(r"{(\w+)(?::\w+)?}")
ANY: Final = (400, 401, 403, 404, 409, 413, 415, 422, 429, 502, 504)
"""What a route may answer of which nobody wrote more down."""
ELSEWHERE: Final = (400, 403, 404, 422, 502, 504)
"""What may go wrong at another node, or on the way to it."""
MEDIA: Final = {".csv": "text/csv", ".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"}
ABOUT: Final = T(
    "Everything that the pages of this node show and do. A token is made on the page of one's account; some deeds take"
    " a person in front of a screen and are refused to tokens. Send an Idempotency-Key with what must not be done"
    " twice."
)
SCREEN: Final = T("For persons who are signed in: tokens are refused.")
PROBLEM: Final[Schema] = {
    "type": "object",
    "description": "RFC 9457 problem details; `kind` of the type is one of docs/problems.md.",
    "properties": {
        "type": {"type": "string", "pattern": "^urn:lienthong:problem:"},
        "title": TEXT,
        "status": {"type": "integer"},
        "detail": TEXT,
        "side": {"enum": ["caller", "consumer", "provider", "node"]},
        "mend": TEXT,
        "correlation": TEXT,
    },
    "required": ["type", "title", "status", "detail", "side", "correlation"],
}
SECURITY: Final = {
    "token": {"type": "http", "scheme": "bearer", "description": "An API token of a person, with scopes."},
    "session": {"type": "apiKey", "in": "cookie", "name": "session", "description": "`__Host-session` under HTTPS."},
    "form": {"type": "apiKey", "in": "header", "name": "Lienthong-Form",
             "description": "The session's form token, from GET /v1/session; needed by every POST under a session."},
}  # fmt: skip
LIMITS: Final = {
    "RateLimit-Policy": {"schema": TEXT, "description": "draft-ietf-httpapi-ratelimit-headers"},
    "RateLimit": {"schema": TEXT, "description": "draft-ietf-httpapi-ratelimit-headers"},
}


def description_routes(routes: Callable[[], Iterable[BaseRoute]]) -> list[BaseRoute]:
    """``GET /openapi.json``; ``routes`` gives those of the finished application."""

    @cache
    def written(language: Language) -> bytes:
        return orjson.dumps(describe(routes(), language))

    async def told(request: Request) -> Response:
        return Response(written(page_language(request)), media_type="application/json")

    return [Route(PATH, told, methods=["GET"])]


def describe(routes: Iterable[BaseRoute], language: Language) -> dict[str, Any]:
    """The description as JSON values."""
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        if not isinstance(route, Route) or not route.path.startswith(ROOT):
            continue
        path = _PARAM.sub(r"{\1}", route.path)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            deed = deed_at(route)
            operation = _deed(deed, language) if deed else _route(route, method, language)
            paths.setdefault(path, {})[method.lower()] = operation
    return {
        "openapi": "3.1.0",
        "info": {"title": "Liên Thông", "version": __version__, "description": translate(ABOUT, language)},
        "paths": dict(sorted(paths.items())),
        "components": {"schemas": {"Problem": PROBLEM}, "securitySchemes": SECURITY},
    }


def _deed(deed: Deed[Any], language: Language) -> dict[str, Any]:
    said = [translate(SCREEN, language)] if deed.by_screen_alone else []
    said += [f"Right: `{deed.right}`."] if deed.right else []
    gives = {name: {"description": words} for name, words in deed.gives.items()}
    operation: dict[str, Any] = {
        "operationId": _id("do", deed.name),
        "summary": translate(deed.title, language),
        "description": " ".join(said),
        "tags": [deed.name.partition("/")[0]],
        "x-lienthong-session-only": deed.by_screen_alone,
        "parameters": [_header("Idempotency-Key", {"type": "string", "pattern": "^[!-~]{8,128}$"})],
        "requestBody": {"required": True, "content": {"application/json": {"schema": schema_of(deed.wants)}}},
        "responses": {
            "200": {
                "description": translate(deed.title, language),
                "headers": LIMITS | ({"ETag": {"schema": TEXT}} if deed.versioned else {}),
                "content": {
                    "application/json": {"schema": {"type": "object", "properties": gives, "required": list(gives)}}
                },
            },
            **_problems(problems_of(deed), ELSEWHERE if deed.elsewhere else ()),
        },
        "security": _security(deed),
    }
    if deed.versioned:
        operation["parameters"].append(_header("If-Match", {"type": "string", "pattern": '^"[0-9]{1,9}"$'}))
    return operation


def problems_of(deed: Deed[Any]) -> tuple[type[Problem], ...]:
    """Everything that a call of ``deed`` may be refused with."""
    found: list[type[Problem]] = [each for each in DOOR if not (deed.anybody and each is LoginNeeded)]
    found += [NotAllowed] if deed.right else []
    found += [NotByToken] if deed.by_screen_alone else []
    found += [VersionNeeded, ChangedMeanwhile] if deed.versioned else []
    return tuple(dict.fromkeys((*found, *deed.problems)))


def _problems(kinds: Iterable[type[Problem]], more: Iterable[int] = ()) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {503: ["database-unavailable"]}
    for status in more:
        by_status.setdefault(status, []).append("another node")
    for kind in kinds:
        by_status.setdefault(kind.status, []).append(kind.kind)
    return {str(status): _problem(", ".join(sorted(set(named)))) for status, named in sorted(by_status.items())}


def _problem(said: str) -> dict[str, Any]:
    return {
        "description": said,
        "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
    }


def _security(deed: Deed[Any]) -> list[dict[str, list[str]]]:
    by_session: dict[str, list[str]] = {"session": [], "form": []}
    ways = [by_session] if deed.by_screen_alone else [{"token": []}, by_session]
    return [{}, *ways] if deed.anybody else ways


def _route(route: Route, method: str, language: Language) -> dict[str, Any]:
    known = READS.get(route.path) if method == "GET" else None
    names = _PARAM.findall(route.path)
    parameters = [{"name": name, "in": "path", "required": True, "schema": TEXT} for name in names]
    query = known.query if known else {}
    parameters += [{"name": name, "in": "query", "schema": schema} for name, schema in query.items()]
    parameters.append({"name": "lang", "in": "query", "schema": {"enum": ["vi", "en"]}})
    summary = translate(known.title, language) if known else (route.endpoint.__doc__ or route.path).split("\n")[0]
    media = next((kind for end, kind in MEDIA.items() if route.path.endswith(end)), "application/json")
    shape = known.answer if known else {}
    content = {media: {"schema": shape}} if known or media != "application/json" else {"*/*": {"schema": {}}}
    closed = known is not None and (known.person or known.right is not None)
    operation: dict[str, Any] = {
        "operationId": _id(method.lower(), route.path.removeprefix(ROOT)),
        "summary": summary,
        "tags": [route.path.removeprefix(ROOT).partition("/")[0].partition(".")[0]],
        "parameters": parameters,
        "responses": {
            "200": {"description": summary, "content": content},
            **{str(status): _problem("") for status in _statuses(known, names)},
        },
        "security": [{"token": []}, {"session": []}] if closed else [{}],
    }
    if method == "POST":
        operation["requestBody"] = {"content": {"application/json": {"schema": {}}}}
    return operation


def _statuses(known: Read | None, names: Sequence[str]) -> list[int]:
    if known is None:
        return sorted({*ANY, 503})
    found = {503, *known.statuses} | ({404} if names else set[int]())
    found |= {401} if known.person or known.right else set[int]()
    found |= {403} if known.right else set[int]()
    return sorted(found)


def _header(name: str, schema: Schema) -> dict[str, Any]:
    return {"name": name, "in": "header", "schema": schema}


def _id(verb: str, path: str) -> str:
    return "_".join([verb, *re.findall(r"[a-z0-9]+", path.lower())])
