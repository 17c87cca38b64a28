"""What a node tells the public about itself as JSON: its services, its agreements, whether it serves.

``/livez`` and ``/readyz`` say what is wrong; ``/v1/...`` is what the pages of other nodes read.  Nothing here names a
person: agreements speak of members, services of columns.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.agreements import queries as agreement_queries
from lienthong.agreements.records import StoredDocument
from lienthong.catalog.queries import all_services
from lienthong.directory.queries import all_revocations, pending_changes
from lienthong.directory.revoke import Notes, sign_notes
from lienthong.directory.tuf.queries import file_named
from lienthong.directory.versions.queries import latest_version
from lienthong.i18n import T
from lienthong.node.health import HealthDesk
from lienthong.node.local import Local
from lienthong.node.prepare import DIRECTORY_KEY
from lienthong.node.versions import directory_facts
from lienthong.storage.pool import reading
from lienthong.web import NoSuchPage, answer_language

DIGEST: Final = re.compile(r"sha-256:[0-9a-f]{64}")
FRESH: Final = {"Cache-Control": "no-cache"}
Handler = Callable[[Request], Awaitable[Response]]


def public_routes(local: Local) -> list[BaseRoute]:
    """Health, services and agreements; on the national node also the signed directory."""
    routes: dict[str, Handler] = {
        "/livez": _livez,
        "/readyz": _readyz(local),
        "/v1/directory": _own_directory(local),
        "/v1/services": _services(local),
        "/v1/agreements": _agreements(local),
        "/v1/agreements/{digest}": _agreement(local),
    }
    if local.settings.national:
        routes["/directory/current"] = _directory(local)
        routes["/directory/tuf/{name}"] = _directory_file(local)
        routes["/directory/notes"] = _directory_notes(local)
        routes["/directory/pending"] = _directory_pending(local)
    return [Route(path, handler, methods=["GET"]) for path, handler in routes.items()]


async def _livez(_: Request) -> Response:
    return JSONResponse({"status": "ok"}, headers=FRESH)


def _readyz(local: Local) -> Handler:
    desk = HealthDesk(local)

    async def answer(request: Request) -> Response:
        health = await desk.look()
        body = health.as_dict(answer_language(request))
        return JSONResponse(body, 200 if health.ready else 503, headers=FRESH | {"Vary": "Accept-Language"})

    return answer


def _directory(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with reading(local.pool) as db:
            version = await latest_version(db)
        if version is None:
            raise NoSuchPage(T("The directory has not been published yet."), mend=T("Ask again in a moment."))
        return Response(version.envelope, media_type="application/json", headers=FRESH)

    return answer


def _directory_file(local: Local) -> Handler:
    async def answer(request: Request) -> Response:
        name = str(request.path_params["name"])
        async with reading(local.pool) as db:
            content = await file_named(db, name)
        if content is None:
            raise NoSuchPage(T("The directory has no such file."), mend=T("Begin with timestamp.json."))
        kept = FRESH if name == "timestamp.json" else {"Cache-Control": "public, max-age=3600, immutable"}
        return Response(content, media_type="application/json", headers=kept)

    return answer


def _directory_notes(local: Local) -> Handler:
    key = local.keyring.es256(DIRECTORY_KEY)

    async def answer(_: Request) -> Response:
        async with reading(local.pool) as db:
            number, revocations = await all_revocations(db)
            version = await latest_version(db)
        notes = Notes(number, version.version if version else 0, datetime.now(UTC), revocations)
        return Response(sign_notes(notes, key), media_type="application/json", headers=FRESH)

    return answer


def _directory_pending(local: Local) -> Handler:
    """What is coming, so that a member sees a change in its own name before it counts."""

    async def answer(request: Request) -> Response:
        async with reading(local.pool) as db:
            found = await pending_changes(db, request.query_params.get("member"))
        return JSONResponse({"pending": [each.public() for each in found]}, headers=FRESH)

    return answer


def _own_directory(local: Local) -> Handler:
    """Which directory this node acts on, what it was shown, and what is coming for its members."""

    async def answer(_: Request) -> Response:
        local.directory.look()
        return JSONResponse(directory_facts(local), headers=FRESH)

    return answer


def _services(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with reading(local.pool) as db:
            services = await all_services(db)
        shown = [service.public() for service in services if service.sharing != "private"]
        return JSONResponse({"services": shown}, headers=FRESH)

    return answer


def _agreements(local: Local) -> Handler:
    async def answer(_: Request) -> Response:
        async with reading(local.pool) as db:
            current = await agreement_queries.current_agreements(db)
            stored = {d.digest: d for d in await agreement_queries.documents(db, [row.digest for row in current])}
            accepted = {digest for digest, _ in await agreement_queries.acceptances(db)}
        listed = [
            _stored_json(stored[row.digest], row.ended_at, accepted=row.digest in accepted)
            for row in current
            if row.digest in stored
        ]
        return JSONResponse({"agreements": listed}, headers=FRESH)

    return answer


def _agreement(local: Local) -> Handler:
    async def answer(request: Request) -> Response:
        digest = "sha-256:" + request.path_params["digest"].removeprefix("sha-256:")
        if not DIGEST.fullmatch(digest):
            raise _no_such_agreement()
        async with reading(local.pool) as db:
            stored = await agreement_queries.stored_document(db, digest)
            notices = await agreement_queries.notices_on(db, digest)
            accepted = await agreement_queries.is_accepted(db, digest)
        if stored is None:
            raise _no_such_agreement()
        ended_at = notices[0].ends_at if notices else None
        return JSONResponse(_stored_json(stored, ended_at, accepted=accepted), headers=FRESH)

    return answer


def _no_such_agreement() -> NoSuchPage:
    return NoSuchPage(T("This node has no agreement with that digest."), mend=T("Ask the other party's node."))


def _stored_json(stored: StoredDocument, ended_at: datetime | None, *, accepted: bool) -> dict[str, object]:
    """An agreement as it was signed: exact document, both signatures, and what became of it."""
    return {
        "digest": stored.digest,
        "id": stored.agreement,
        "version": stored.version,
        "by_rule": stored.by_rule,
        "document": bytes(stored.document).decode(),
        "provider_jws": stored.provider_jws,
        "consumer_jws": stored.consumer_jws,
        "accepted": accepted,
        "ended_at": ended_at.isoformat() if ended_at else None,
    }
