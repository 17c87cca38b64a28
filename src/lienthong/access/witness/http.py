"""The witness over HTTP: ``add-checkpoint`` for logs, the heads it cosigned and the forks it knows for everybody."""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.access.models import instant
from lienthong.access.witness import queries
from lienthong.access.witness.cosign import Reply, Witness
from lienthong.storage.pool import Pool, reading

MOST_BYTES = 64 * 1024
"""63 proof lines and a checkpoint with a dozen signatures are below a third of it."""
FRESH = {"Cache-Control": "no-cache"}


def witness_routes(pool: Pool, witness: Witness) -> list[BaseRoute]:
    """The routes under ``/witness``."""

    async def add_checkpoint(request: Request) -> Response:
        body = bytearray()
        async for part in request.stream():
            body += part
            if len(body) > MOST_BYTES:
                return _answer(Reply(413, "too large\n"))
        return _answer(await witness.add_checkpoint(bytes(body)))

    async def heads(_: Request) -> Response:
        async with reading(pool) as db:
            seen = await queries.seen_heads(db)
        listed = [{"origin": one.origin, "at": instant(one.at), "note": bytes(one.note).decode()} for one in seen]
        return JSONResponse({"witness": witness.verifier_key, "heads": listed}, headers=FRESH)

    async def forks(_: Request) -> Response:
        async with reading(pool) as db:
            kept = await queries.all_evidence(db)
        listed = [
            {
                "origin": one.origin,
                "found_at": instant(one.found_at),
                "digest": one.digest,
                "evidence": bytes(one.evidence).decode(),
            }
            for one in kept
        ]
        return JSONResponse({"forks": listed}, headers=FRESH)

    return [
        Route("/witness/add-checkpoint", add_checkpoint, methods=["POST"]),
        Route("/witness/heads", heads, methods=["GET"]),
        Route("/witness/forks", forks, methods=["GET"]),
    ]


def _answer(reply: Reply) -> Response:
    # The media type is the specification's to the letter: no charset is added to text/x.tlog.size.
    return Response(reply.body, reply.status, headers=FRESH | {"Content-Type": reply.media_type})
