"""Open data on the public listener: rows, whole tables and queries for anybody, without agreement or name.

Promises: only tables published as open are reached; each answer is counted by service, way, file and hour before it
begins, never by person.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, cast

import orjson
from starlette.requests import Request
from starlette.responses import FileResponse, JSONResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from lienthong.access.models import Way
from lienthong.catalog.models import Service
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node.live import Live
from lienthong.node.queries import count_open
from lienthong.query.models import Plan, SubQuery
from lienthong.query.operations import Restrictor, run_merge, run_part
from lienthong.storage.pool import Pool
from lienthong.tables.jobs import table_argument
from lienthong.tables.limits import Limits, SandboxBusy
from lienthong.tables.materialise import Materialiser
from lienthong.tables.models import TableVersion, View
from lienthong.tables.page import page_json, wanted_from_call
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox

QUERY_LIMITS: Final = Limits(memory_mb=256, cpu_s=5, wall_s=5.0, max_rows=10_000, max_bytes=8 << 20, threads=1)
CSV_LIMITS: Final = Limits(memory_mb=1024, cpu_s=60, wall_s=120.0, max_rows=0, max_bytes=1 << 30)
MOST_ROWS: Final = 1_000
WAIT_S: Final = 5.0
EVERYTHING: Final = View()
_PLACE: Final = "/v1/open/{instance}/{kind}/{member}/{system}/{name}"

Answer = Callable[[Service, Request], Awaitable[Response]]


class NotOpen(Problem):
    """No open table has this id: another service may have it, which is told to nobody."""

    kind: ClassVar[str] = "not-open"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such open data here")


@dataclass(frozen=True, slots=True)
class OpenTables:
    """What the routes of open data work with."""

    live: Live
    pool: Pool
    reader: TableReader
    materialiser: Materialiser
    sandbox: Sandbox
    sources: Sources
    restrictor: Restrictor
    one_at_a_time: asyncio.Semaphore
    """Anonymous queries and exports share one place, so that they can not take the sandbox from members."""

    def listed(self) -> list[Service]:
        """Every open table of this node."""
        return [service for service in self.live.services() if service.is_open_table]

    def found(self, request: Request) -> Service:
        """The open table that the address names.  Raises NotOpen."""
        named = "/".join(str(request.path_params[part]) for part in ("instance", "kind", "member", "system", "name"))
        service = self.live.service(named)
        if service is None or not service.is_open_table:
            raise NotOpen(T("There is no open data at this address."), mend=T("See what there is: /v1/open"))
        return service

    async def count(self, service: Service, way: Way, file: str, size: int, uses: int = 1) -> None:
        """Count one answer."""
        async with self.pool.connection() as db:
            await count_open(db, service.id, way, file, uses=uses, size=size)

    async def place(self) -> None:
        """Take the one place; raises SandboxBusy when others keep it too long."""
        try:
            async with asyncio.timeout(WAIT_S):
                await self.one_at_a_time.acquire()
        except TimeoutError as late:
            raise SandboxBusy(
                T("Others are using the place for anonymous questions."),
                mend=T("Try again in a moment, or ask through your own node."),
                retry_after_s=5,
            ) from late

    async def rows(self, service: Service, request: Request) -> Response:
        """A page of rows as JSON; the query string holds lookups, ``limit`` and ``offset``."""
        return Response(await self.page(service, request.url.query), media_type="application/json")

    async def page(self, service: Service, query: str) -> bytes:
        """The page of rows that ``query`` asks for, as JSON."""
        page = await self.reader.rows(service, EVERYTHING, wanted_from_call(service, query, b""))
        body = page_json(page)
        await self.count(service, "call", "rows", len(body))
        return body

    async def files(self, service: Service, request: Request) -> Response:
        """The Parquet files that the table consists of now."""
        del request
        version = await self._version(service)
        shown = [{"name": file.name, "bytes": file.size_bytes, "rows": file.rows} for file in version.files]
        return JSONResponse({"version": version.version, "files": shown})

    async def file(self, service: Service, request: Request) -> Response:
        """One Parquet file; ranges are Starlette's."""
        version = await self._version(service)
        wanted = str(request.path_params["file"])
        found = next((file for file in version.files if file.name == wanted), None)
        if found is None:
            raise NotOpen(T("The table has no such file."), mend=T("List its files: the address without the last part"))
        await self.count(service, "table", found.name, found.size_bytes if request.method == "GET" else 0)
        path = self.materialiser.storage.path(version, found.name)
        return FileResponse(path, media_type="application/vnd.apache.parquet", filename=f"{service.name}.parquet")

    async def csv(self, service: Service, request: Request) -> Response:
        """The whole table as CSV."""
        del request
        await self.count(service, "table", "csv", 0)
        pieces = self._csv_pieces(service)
        first = await anext(pieces)  # what goes wrong until here is a problem, later it is a broken answer

        async def whole() -> AsyncGenerator[bytes]:
            yield first
            async for piece in pieces:
                yield piece

        headers = {"Content-Disposition": f'attachment; filename="{service.name}.csv"'}
        return StreamingResponse(whole(), media_type="text/csv; charset=utf-8", headers=headers)

    async def query(self, service: Service, request: Request) -> Response:
        """One SELECT over this one table, under its own name: JSON of at most a thousand rows."""
        sql = request.query_params.get("sql", "")
        await self.place()
        try:
            restricted = await self.restrictor.restricted(service, EVERYTHING, None, sql)
            part = await run_part(self.sandbox, service, EVERYTHING, restricted, QUERY_LIMITS, self.sources)
            columns = tuple(cast("list[str]", part.result["columns"]))
            asked = SubQuery("lt_part_0", service.name, service.id, sql, restricted.reads, columns, whole=True)
            merged = await run_merge(
                self.sandbox, Plan((asked,), "SELECT * FROM lt_part_0"), {"lt_part_0": part.body},
                most_rows=MOST_ROWS, limits=QUERY_LIMITS,
            )  # fmt: skip
        finally:
            self.one_at_a_time.release()
        await self.count(service, "query", "sql", len(merged.body))
        return Response(merged.body, media_type="application/json")

    async def _version(self, service: Service) -> TableVersion:
        return await self.materialiser.current(service, EVERYTHING, datetime.now(UTC))

    async def _csv_pieces(self, service: Service) -> AsyncGenerator[bytes]:
        await self.place()
        sent = 0
        try:
            described = {"table": table_argument(service, EVERYTHING)}
            async with self.sandbox.stream("csv", described, limits=CSV_LIMITS) as answer:
                async for piece in answer:
                    sent += len(piece)
                    yield piece
        finally:
            self.one_at_a_time.release()
            await asyncio.shield(self.count(service, "table", "csv", sent, uses=0))


def open_routes(tables: OpenTables) -> list[BaseRoute]:
    """The routes under ``/v1/open``."""

    async def listed(_: Request) -> Response:
        return Response(
            orjson.dumps({"services": [service.public() for service in tables.listed()]}), media_type="application/json"
        )

    def found(answer: Answer) -> Callable[[Request], Awaitable[Response]]:
        async def answered(request: Request) -> Response:
            return await answer(tables.found(request), request)

        return answered

    doors: dict[str, Answer] = {
        "/rows": tables.rows,
        "/files": tables.files,
        "/files/{file}": tables.file,
        "/table.csv": tables.csv,
        "/query": tables.query,
    }
    return [
        Route("/v1/open", listed, methods=["GET"]),
        *(Route(_PLACE + path, found(answer), methods=["GET"]) for path, answer in doors.items()),
    ]
