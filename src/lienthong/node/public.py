"""What a node tells the public about itself as JSON: its services, its agreements, whether it serves.

``/livez`` and ``/readyz`` say what is wrong; ``/v1/...`` is what the pages of other nodes read.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta

import psycopg
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.access import queries as log_queries
from lienthong.agreements import queries as agreement_queries
from lienthong.catalog.queries import all_services
from lienthong.directory.queries import latest_version
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.local import Local
from lienthong.web import NoSuchPage

STALE_DIRECTORY = timedelta(minutes=10)
FRESH = {"Cache-Control": "no-cache"}
Handler = Callable[[Request], Awaitable[Response]]


def public_routes(local: Local) -> list[BaseRoute]:
    """Health, services and agreements; on the national node also the signed directory."""
    routes: dict[str, Handler] = {
        "/livez": _livez,
        "/readyz": _readyz(local),
        "/v1/services": _services(local),
        "/v1/agreements": _agreements(local),
        "/v1/agreements/{digest}": _agreement(local),
    }
    if local.settings.national:
        routes["/directory/current"] = _directory(local)
    return [Route(path, handler, methods=["GET"]) for path, handler in routes.items()]


async def readiness(local: Local) -> tuple[bool, dict[str, str]]:
    """Whether this node can serve, and every part's state in a word."""
    found: dict[str, str] = {}
    try:
        async with local.pool.connection(timeout=2.0) as db:
            await log_queries.newest_checkpoint(db)
        found["database"] = "ok"
    except (psycopg.Error, OSError, TimeoutError) as away:
        found["database"] = type(away).__name__
    try:
        local.directory.look()
        snapshot = local.directory.snapshot()
        now = datetime.now(UTC)
        found["directory"] = (
            "expired" if snapshot.expired(now) else "degraded" if snapshot.age(now) > STALE_DIRECTORY else "ok"
        )
    except Problem as missing:
        found["directory"] = missing.kind
    ready = found["database"] == "ok" and found["directory"] in ("ok", "degraded", "expired")
    return ready, found


async def _livez(_: Request) -> Response:
    return JSONResponse({"status": "ok"}, headers=FRESH)


def _readyz(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        ready, parts = await readiness(local)
        status = "ok" if ready and set(parts.values()) == {"ok"} else "degraded" if ready else "not-ready"
        return JSONResponse({"status": status, "parts": parts}, 200 if ready else 503, headers=FRESH)

    return answer


def _directory(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with local.pool.connection() as db:
            version = await latest_version(db)
        if version is None:
            raise NoSuchPage(T("The directory has not been published yet."), mend=T("Ask again in a moment."))
        return Response(version.envelope, media_type="application/json", headers=FRESH)

    return answer


def _services(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with local.pool.connection() as db:
            services = await all_services(db)
        shown = [service.public() for service in services if service.sharing != "private"]
        return JSONResponse({"services": shown}, headers=FRESH)

    return answer


def _agreements(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with local.pool.connection() as db:
            current = await agreement_queries.current_agreements(db)
            stored = {d.digest: d for d in await agreement_queries.documents(db, [row.digest for row in current])}
        return JSONResponse(
            {
                "agreements": [
                    _stored_json(stored[row.digest])
                    | {"ended_at": row.ended_at.isoformat() if row.ended_at else None}
                    for row in current
                    if row.digest in stored
                ]
            },
            headers=FRESH,
        )

    return answer


def _agreement(local: Local) -> Handler:
    async def answer(request: Request) -> Response:
        digest = "sha-256:" + request.path_params["digest"].removeprefix("sha-256:")
        async with local.pool.connection() as db:
            stored = await agreement_queries.stored_document(db, digest)
        if stored is None:
            raise NoSuchPage(T("This node has no agreement with that digest."), mend=T("Ask the other party's node."))
        return JSONResponse(_stored_json(stored), headers=FRESH)

    return answer


def _stored_json(stored: agreement_queries.StoredDocument) -> dict[str, object]:
    """An agreement as it was signed: exact document, both signatures."""
    return {
        "digest": stored.digest,
        "id": stored.agreement,
        "version": stored.version,
        "by_rule": stored.by_rule,
        "document": bytes(stored.document).decode(),
        "provider_jws": stored.provider_jws,
        "consumer_jws": stored.consumer_jws,
    }
