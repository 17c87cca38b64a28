"""The Delta Sharing door: listings, metadata, queries and files, as its official client asks for them.

Promises: nothing is listed or sent without a profile or a signed address; files are sent in large pieces, whole or in
one range, and sending stops when the reader hangs up.
"""

from __future__ import annotations

import asyncio
import os
import re
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from email.utils import format_datetime

from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.tables import delta
from lienthong.tables.models import Profile
from lienthong.tables.share import AddressSigner, ProfileUnknown, TableName
from lienthong.tables.take import OpenFile, Taking, no_table

PIECE_BYTES = 512 * 1024
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_TABLE = "/delta/shares/{share}/schemas/{schema}/tables/{table}"

Answer = Callable[[Profile, Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class Part:
    """Which bytes of a file are wanted: from ``start`` until before ``end``; ``whole`` when no range was asked for."""

    start: int
    end: int
    whole: bool


def share_routes(taking: Taking, signer: AddressSigner, public_url: str) -> list[BaseRoute]:
    """The routes under ``/delta``; ``public_url`` is the address under which clients reach this listener."""
    door = _Door(taking, signer, public_url.rstrip("/") + "/delta")
    get: dict[str, Answer] = {
        "/delta/shares": door.shares,
        "/delta/shares/{share}": door.share,
        "/delta/shares/{share}/schemas": door.schemas,
        "/delta/shares/{share}/schemas/{schema}/tables": door.tables,
        "/delta/shares/{share}/all-tables": door.all_tables,
        f"{_TABLE}/version": door.version,
        f"{_TABLE}/metadata": door.metadata,
        f"{_TABLE}/changes": door.changes,
    }
    routes: list[BaseRoute] = [Route(path, _known(taking, answer), methods=["GET"]) for path, answer in get.items()]
    # Older clients ask for the version with HEAD on the table itself.
    routes.append(Route(_TABLE, _known(taking, door.version), methods=["GET", "HEAD"]))
    routes.append(Route(f"{_TABLE}/query", _known(taking, door.query), methods=["POST"]))
    routes.append(Route("/delta/files/{reading}/{file}", _SendFile(taking), methods=["GET", "HEAD"]))
    return routes


class _Door:
    """One method for each question of the protocol."""

    def __init__(self, taking: Taking, signer: AddressSigner, base: str) -> None:
        self._taking = taking
        self._signer = signer
        self._base = base

    async def shares(self, profile: Profile, request: Request) -> Response:
        return _listed(request, [delta.share_item(service) for service in await self._taking.tables(profile)])

    async def share(self, profile: Profile, request: Request) -> Response:
        wanted = request.path_params["share"].lower()
        for service in await self._taking.tables(profile):
            item = delta.share_item(service)
            if item["name"] == wanted:
                return JSONResponse({"share": item})
        raise no_table()

    async def schemas(self, profile: Profile, request: Request) -> Response:
        items = [delta.schema_item(service) for service in await self._taking.tables(profile)]
        return _listed(request, [item for item in items if _within(item, request, "share")])

    async def tables(self, profile: Profile, request: Request) -> Response:
        items = [delta.table_item(service) for service in await self._taking.tables(profile)]
        return _listed(request, [item for item in items if _within(item, request, "share", "schema")])

    async def all_tables(self, profile: Profile, request: Request) -> Response:
        items = [delta.table_item(service) for service in await self._taking.tables(profile)]
        return _listed(request, [item for item in items if _within(item, request, "share")])

    async def version(self, profile: Profile, request: Request) -> Response:
        _, _, version = await self._taking.describe(profile, _place(request))
        return Response(headers={delta.VERSION_HEADER: str(version.version)})

    async def metadata(self, profile: Profile, request: Request) -> Response:
        service, fields, version = await self._taking.describe(profile, _place(request))
        return _lines(delta.ndjson(delta.metadata_lines(service, fields, version)), version.version)

    async def query(self, profile: Profile, request: Request) -> Response:
        body = await _small_body(request)
        offer = await self._taking.offer(profile, _place(request), lambda version: delta.chosen_files(version, body))
        reading = offer.reading
        files = delta.file_lines(
            offer.version,
            offer.files,
            lambda file: self._signer.address(self._base, reading.id, file.name, reading.expires),
            reading.expires,
        )
        described = delta.metadata_lines(offer.service, offer.version.fields, offer.version)
        return _lines(delta.ndjson([*described, *files]), offer.version.version)

    async def changes(self, profile: Profile, request: Request) -> Response:
        await self._taking.describe(profile, _place(request))
        raise delta.BadTableQuery(
            T("This node keeps no change feed of the table."),
            mend=T("Load the table again; its version tells of changes."),
        )


class _SendFile:
    """Raw ASGI: a signed address in, bytes out."""

    def __init__(self, taking: Taking) -> None:
        self._taking = taking

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            found = await self._taking.file(
                request.path_params["reading"],
                request.path_params["file"],
                request.query_params.get("expires", ""),
                request.query_params.get("signature", ""),
            )
        except Problem as problem:
            await _refusal(problem)(scope, receive, send)
            return
        part = _part(request, found)
        if part is None:
            headers = {"Content-Range": f"bytes */{found.size_bytes}"}
            await Response(status_code=416, headers=headers)(scope, receive, send)
            return
        await _start(send, found, part)
        if request.method == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        sent = 0
        leaving = asyncio.create_task(_disconnect(receive))
        try:
            async for piece in _pieces(found, part):
                if leaving.done():
                    break
                last = sent + len(piece) == part.end - part.start
                await send({"type": "http.response.body", "body": piece, "more_body": not last})
                sent += len(piece)
        finally:
            leaving.cancel()
            # Counted even when this request is cancelled: the record says what left.
            await asyncio.shield(self._taking.taken(found.reading.id, sent))


async def _start(send: Send, found: OpenFile, part: Part) -> None:
    headers = {
        "content-type": "application/vnd.apache.parquet",
        "content-length": str(part.end - part.start),
        "accept-ranges": "bytes",
        "etag": f'"{found.tag}"',
        "last-modified": format_datetime(found.reading.opened_at, usegmt=True),
        "cache-control": "private, no-store",
    }
    if not part.whole:
        headers["content-range"] = f"bytes {part.start}-{part.end - 1}/{found.size_bytes}"
    await send(
        {
            "type": "http.response.start",
            "status": 200 if part.whole else 206,
            "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
        }
    )


async def _pieces(found: OpenFile, part: Part) -> AsyncGenerator[bytearray]:
    descriptor = await asyncio.to_thread(os.open, found.path, os.O_RDONLY)
    try:
        place = part.start
        while place < part.end:
            piece = bytearray(min(PIECE_BYTES, part.end - place))
            count = await _read_into(piece, descriptor, place)
            if not count:
                raise OSError("the file is shorter than it was")
            yield piece if count == len(piece) else piece[:count]
            place += count
    finally:
        os.close(descriptor)


async def _read_into(piece: bytearray, descriptor: int, place: int) -> int:
    """Fill ``piece`` from the page cache at once, else from the disk in a thread: a hop costs more than the copy."""
    try:
        return os.preadv(descriptor, [piece], place, os.RWF_NOWAIT)
    except OSError:  # not in the cache, or a file system that can not tell
        return await asyncio.to_thread(os.preadv, descriptor, [piece], place)


def _part(request: Request, found: OpenFile) -> Part | None:
    """The bytes asked for; the whole file without a range or with one not understood; None when it lies outside.

    Source: RFC 9110, section 14: several ranges may be answered with the whole.
    """
    size = found.size_bytes
    asked = _RANGE.fullmatch(request.headers.get("range", ""))
    unchanged = request.headers.get("if-range", f'"{found.tag}"') == f'"{found.tag}"'
    if asked is None or asked[0] == "bytes=-" or not unchanged:
        return Part(0, size, whole=True)
    if not asked[1]:
        length = int(asked[2])
        return Part(max(size - length, 0), size, whole=False) if length else None
    start = int(asked[1])
    end = min(int(asked[2]) + 1, size) if asked[2] else size
    if asked[2] and int(asked[2]) < start:
        return Part(0, size, whole=True)
    return Part(start, end, whole=False) if start < size else None


async def _disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _known(taking: Taking, answer: Answer) -> Callable[[Request], Awaitable[Response]]:
    """``answer`` for whoever shows a valid profile; problems in the form that clients of the protocol show."""

    async def answered(request: Request) -> Response:
        try:
            scheme, _, token = request.headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer":
                raise ProfileUnknown(
                    T("The request carries no bearer token."),
                    mend=T("Use the profile file with a Delta Sharing client."),
                )
            return await answer(await taking.profile(token.strip()), request)
        except Problem as problem:
            return _refusal(problem)

    return answered


def _refusal(problem: Problem) -> Response:
    headers: dict[str, str] = {}
    if problem.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    retry_after_s = problem.facts.get("retry_after_s")
    if isinstance(retry_after_s, int):
        headers["Retry-After"] = str(retry_after_s)
    return JSONResponse(delta.problem_json(problem), problem.status, headers)


def _listed(request: Request, items: list[dict[str, object]]) -> Response:
    asked = request.query_params
    return Response(
        delta.listing(items, asked.get("maxResults"), asked.get("pageToken")),
        media_type="application/json; charset=utf-8",
    )


def _within(item: dict[str, object], request: Request, *names: str) -> bool:
    return all(item[name] == request.path_params[name].lower() for name in names)


def _place(request: Request) -> TableName:
    place = request.path_params
    return TableName(place["share"], place["schema"], place["table"])


def _lines(body: bytes, version: int) -> Response:
    headers = {delta.VERSION_HEADER: str(version), delta.CAPABILITIES_HEADER: "responseformat=parquet"}
    return Response(body, media_type=delta.NDJSON, headers=headers)


async def _small_body(request: Request) -> bytes:
    body = b""
    try:
        async for part in request.stream():
            body += part
            if len(body) > delta.MAX_QUERY_BYTES:
                raise delta.BadTableQuery(T("The query is larger than {bytes} bytes."), bytes=delta.MAX_QUERY_BYTES)
    except ClientDisconnect:
        return b"{}"
    return body
