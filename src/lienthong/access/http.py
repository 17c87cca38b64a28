"""The log over HTTP: checkpoint, tiles and entry bundles as static files, receipts and recent entries as JSON.

Everything here is public: leaves hold no personal data.  A receipt is given whole only on the client listener unless
nothing personal can be guessed from its messages: they hold the call's address and unsalted digests of bodies.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict

from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.access import queries
from lienthong.access.gaps import flags
from lienthong.access.log import CHECKPOINT_FILE, KEY_FILE, LogFiles
from lienthong.access.models import instant
from lienthong.access.receipt import NoSuchRecord, ReceiptMaker
from lienthong.access.shards import SHARD_NAME
from lienthong.access.witness.queries import stamp_of, stamps
from lienthong.i18n import T
from lienthong.storage.pool import Pool, reading

MOST_ENTRIES = 500
FOREVER = {"Cache-Control": "public, max-age=31536000, immutable"}
FRESH = {"Cache-Control": "no-cache"}

Handler = Callable[[Request], Awaitable[Response]]


def log_routes(pool: Pool, files: LogFiles, receipts: ReceiptMaker) -> list[BaseRoute]:
    """The routes under ``/log`` and the list of recent uses."""
    routes: dict[str, Handler] = {
        "/log/checkpoint": _file(files, CHECKPOINT_FILE, FRESH),
        "/log/key": _file(files, KEY_FILE, FRESH),
        "/log/tile/{path:path}": _tile(files),
        "/log/{shard:shard}/checkpoint": _file(files, CHECKPOINT_FILE, FRESH),
        "/log/{shard:shard}/key": _file(files, KEY_FILE, FRESH),
        "/log/{shard:shard}/tile/{path:path}": _tile(files),
        "/log/receipt/{record_hash}": _receipt(pool, receipts),
        "/log/proof/{record_hash}": _proof(pool, receipts),
        "/log/stamps": _stamps(pool),
        "/log/stamp/{size:int}": _stamp(pool),
        "/log/stamp/{size:int}/checkpoint": _stamped(pool),
        "/v1/uses": _uses(pool),
    }
    return [Route(path, handler, methods=["GET"]) for path, handler in routes.items()]


class _ShardName(Convertor[str]):
    """A half-year in a path, so that no other word passes for a shard."""

    regex = SHARD_NAME.pattern

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("shard", _ShardName())


def _key(request: Request, key: str) -> str:
    """Where a file of the shard that the path names lies; without a name, of the first one."""
    shard = request.path_params.get("shard")
    return f"{shard}/{key}" if shard else key


def _file(files: LogFiles, key: str, headers: dict[str, str]) -> Handler:
    async def read(request: Request) -> Response:
        content = files.store.get(_key(request, key))
        if content is None:
            raise NoSuchRecord(T("The log has no checkpoint yet."), mend=T("Ask again in a second."))
        return Response(content, media_type="text/plain; charset=utf-8", headers=headers)

    return read


def _tile(files: LogFiles) -> Handler:
    async def read(request: Request) -> Response:
        content = files.store.get(_key(request, "tile/" + request.path_params["path"]))
        if content is None:
            raise NoSuchRecord(T("The log has no such tile."), mend=T("Read the checkpoint: it tells the log's size."))
        return Response(content, media_type="application/octet-stream", headers=FOREVER)

    return read


def _receipt(pool: Pool, receipts: ReceiptMaker) -> Handler:
    async def read(request: Request) -> Response:
        async with reading(pool) as db:
            return JSONResponse(await receipts.receipt(db, request.path_params["record_hash"]), headers=FRESH)

    return read


def _proof(pool: Pool, receipts: ReceiptMaker) -> Handler:
    async def read(request: Request) -> Response:
        async with reading(pool) as db:
            proof = (await receipts.receipt(db, request.path_params["record_hash"]))["proof"]
        if proof is None:
            raise NoSuchRecord(T("No checkpoint covers the record yet."), mend=T("Ask again in a second."))
        return PlainTextResponse(str(proof), headers=FRESH)

    return read


def _stamps(pool: Pool) -> Handler:
    async def read(_: Request) -> Response:
        async with reading(pool) as db:
            kept = await stamps(db, MOST_ENTRIES)
        return JSONResponse({"stamps": [{"size": one.size, "at": instant(one.at)} for one in kept]}, headers=FRESH)

    return read


def _stamp(pool: Pool) -> Handler:
    async def read(request: Request) -> Response:
        async with reading(pool) as db:
            kept = await stamp_of(db, request.path_params["size"])
        if kept is None:
            raise _no_stamp()
        return Response(bytes(kept.token), media_type="application/timestamp-reply", headers=FOREVER)

    return read


def _stamped(pool: Pool) -> Handler:
    async def read(request: Request) -> Response:
        size = request.path_params["size"]
        async with reading(pool) as db:
            note = await queries.checkpoint_of_size(db, size)
            kept = await stamp_of(db, size)
        if note is None or kept is None:
            raise _no_stamp()
        return Response(note, media_type="text/plain; charset=utf-8", headers=FOREVER)

    return read


def _no_stamp() -> NoSuchRecord:
    return NoSuchRecord(T("No checkpoint of that size has a timestamp."), mend=T("See /log/stamps."))


def _uses(pool: Pool) -> Handler:
    async def read(request: Request) -> Response:
        limit = _bounded(request.query_params.get("limit"), 50, MOST_ENTRIES)
        before = _bounded(request.query_params.get("before"), 0, 2**62) or None
        exchange = request.query_params.get("exchange")
        async with reading(pool) as db:
            if exchange is None:
                entries = await queries.recent_entries(db, limit, before)
            else:
                entries = await queries.entries_of_exchange(db, exchange[:100])
            counted = await queries.counts(db)
            times = [entry.at for entry in entries]
            gaps = await queries.gaps_between(db, min(times), max(times)) if times else []
        return JSONResponse(
            {
                "uses": [
                    asdict(entry) | {"hash": entry.hash.hex(), "at": instant(entry.at), "flags": flags(gaps, entry.at)}
                    for entry in entries
                ],
                "counts": [
                    {"side": side, "way": way, "outcome": outcome, "count": count}
                    for side, way, outcome, count in counted
                ],
            },
            headers=FRESH,
        )

    return read


def _bounded(text: str | None, default: int, most: int) -> int:
    return min(int(text), most) if text and text.isascii() and text.isdigit() and len(text) < 19 else default
