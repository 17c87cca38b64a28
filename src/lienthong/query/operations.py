"""The sandbox's jobs for queries as functions: arguments written here, answers read here.  Light: for gateways.

Plans are remembered by their SQL and by what the tables look like, so that a question asked again costs no planning.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import asdict, replace
from types import MappingProxyType
from typing import Generic, TypeVar, cast

from lienthong.catalog.models import Service
from lienthong.query.models import Plan, RemoteTable, Restricted, plan_from_wire, restricted_from_wire
from lienthong.tables.jobs import SCAN_TIMEOUT_S, table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import View, check_prefilter, check_row_filter, shown_fields, subject_columns, view_json
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Outcome, Sandbox
from lienthong.tables.sql import few_lines, read_postgres, table_source

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "query-tables": "lienthong.query.run:tables",
        "query-plan": "lienthong.query.run:plan_query",
        "query-restrict": "lienthong.query.run:restrict_part",
        "query-part": "lienthong.query.run:part",
        "query-merge": "lienthong.query.run:merge",
    }
)
"""What the composition root adds to the sandbox's operations."""

PLAN_LIMITS = Limits(memory_mb=256, cpu_s=5, wall_s=5.0, max_rows=0, max_bytes=1 << 20, threads=1)
PART_LIMITS = Limits(memory_mb=1024, cpu_s=40, wall_s=30.0, max_rows=1_000_000, max_bytes=64 << 20)
MERGE_LIMITS = Limits(memory_mb=1024, cpu_s=40, wall_s=30.0, max_rows=100_000, max_bytes=256 << 20)
REMEMBERED_PLANS = 256
SMALL_BYTES = 4 * 1024 * 1024
"""Up to here a second thread costs more than it helps."""
FEW_ROWS = 20_000
"""Tables of up to so many rows are fetched over the gateway's own connections and given to the sandbox."""
FEW_BYTES = 2 * 1024 * 1024
MOST_SUBJECTS = 1_000
"""Persons that one record names; a use of more is one of the table as a whole."""

Known = TypeVar("Known")


class Remembered(Generic[Known]):
    """The newest ``size`` answers by key."""

    def __init__(self, size: int) -> None:
        self._size = size
        self._known: OrderedDict[str, Known] = OrderedDict()

    def get(self, key: str) -> Known | None:
        """What was kept under ``key``, which is thereby the newest."""
        found = self._known.get(key)
        if found is not None:
            self._known.move_to_end(key)
        return found

    def keep(self, key: str, value: Known) -> None:
        """Keep ``value``; the oldest goes when there are too many."""
        self._known[key] = value
        if len(self._known) > self._size:
            self._known.popitem(last=False)


class Planner:
    """Plans queries in the sandbox and remembers the plans."""

    def __init__(self, sandbox: Sandbox, remembered: int = REMEMBERED_PLANS) -> None:
        self._sandbox = sandbox
        self._tables = Remembered[tuple[str, ...]](remembered)
        self._plans = Remembered[Plan](remembered)

    async def tables_in(self, sql: str) -> tuple[str, ...]:
        """The tables that ``sql`` reads, in the spelling of ``names.write_name``.  Raises a QueryRefused."""
        key = _digest(sql)
        found = self._tables.get(key)
        if found is None:
            outcome = await self._sandbox.run("query-tables", {"sql": sql}, limits=PLAN_LIMITS)
            found = tuple(cast("list[str]", outcome.result["tables"]))
            self._tables.keep(key, found)
        return found

    async def plan(self, sql: str, tables: Sequence[RemoteTable]) -> Plan:
        """How to answer ``sql`` over ``tables``.  Raises a QueryRefused."""
        described = [asdict(table) | {"identifiers": sorted(table.identifiers)} for table in tables]
        key = _digest(sql, json.dumps(described, sort_keys=True))
        found = self._plans.get(key)
        if found is None:
            outcome = await self._sandbox.run("query-plan", {"sql": sql, "tables": described}, limits=PLAN_LIMITS)
            found = plan_from_wire(cast("Mapping[str, object]", outcome.result["plan"]))
            self._plans.keep(key, found)
        return found


class Restrictor:
    """Rewrites sub-queries under a view in the sandbox and remembers what came out.

    A rewriting is made by a child that meets no data, before any SQL runs; what it read is checked again when the
    table is loaded.
    """

    def __init__(self, sandbox: Sandbox, remembered: int = REMEMBERED_PLANS) -> None:
        self._sandbox = sandbox
        self._known = Remembered[Restricted](remembered)

    async def restricted(self, service: Service, view: View, min_group: int | None, sql: str) -> Restricted:
        """What to run for ``sql``.  Raises a QueryRefused or ViewNotApplicable."""
        args = {"service": service.public(), "view": view_json(view), "min_group": min_group, "sql": sql}
        key = _digest(json.dumps(args, sort_keys=True, default=str))
        found = self._known.get(key)
        if found is None:
            outcome = await self._sandbox.run("query-restrict", args, limits=PLAN_LIMITS)
            found = restricted_from_wire(cast("Mapping[str, object]", outcome.result["restricted"]))
            self._known.keep(key, found)
        return found


async def run_part(
    sandbox: Sandbox,
    service: Service,
    view: View,
    restricted: Restricted,
    limits: Limits = PART_LIMITS,
    sources: Sources | None = None,
) -> Outcome:
    """Run a sub-query on ``service``: an Arrow stream; ``result`` has ``subjects``.

    A small table is read over ``sources`` and travels into the sandbox; else the sandbox's child reads it.  Raises the
    problems of the table's source and those of ``tables.limits``.
    """
    named = bool(restricted.subjects)
    described = table_argument(service, view, columns=restricted.reads, prefilter=restricted.conditions)
    args: dict[str, object] = {"restricted": asdict(restricted), "most_subjects": MOST_SUBJECTS}
    few = None if sources is None else await _few(sources, service, view, restricted)
    if few is None:
        return await sandbox.run("query-part", args | {"table": described | {"subjects": named}}, limits=limits)
    described |= {"subjects": named, "rows": "rows", "session": ""}
    return await sandbox.run(
        "query-part", args | {"table": described}, limits=replace(limits, threads=1), inputs={"rows": _once(few)}
    )


async def _few(sources: Sources, service: Service, view: View, restricted: Restricted) -> bytes | None:
    """The rows that ``restricted`` reads as CSV; None when they are many, or lie in a file."""
    source = table_source(service)
    if source.kind != "postgres":
        return None
    check_row_filter(service, view)
    check_prefilter(service, view, restricted.conditions)
    shown = [field.name for field in shown_fields(service, view) if field.name in restricted.reads]
    persons = [column for _, column in subject_columns(service)] if restricted.subjects else []
    read = list(dict.fromkeys([*shown, *persons]))
    select = read_postgres(service, read, (*view.row_filter, *restricted.conditions))
    lines = few_lines(service, read, select, most_rows=FEW_ROWS, most_bytes=FEW_BYTES)
    return await sources.few_rows(source.dsn, SCAN_TIMEOUT_S, lines)


async def run_merge(
    sandbox: Sandbox,
    plan: Plan,
    parts: Mapping[str, bytes],
    *,
    form: str = "json",
    most_rows: int = 10_000,
    limits: Limits = MERGE_LIMITS,
) -> Outcome:
    """Run the merge of ``plan`` over its ``parts`` (Arrow streams by part name).

    ``form`` "json": the body is ``{"columns": [{name, type}], "rows": [[...]], "truncated": bool}`` with at most
    ``most_rows`` rows; "arrow": an Arrow stream, and more rows than the limits' are TooManyRows.
    """
    described = {
        "sql": plan.merge_sql,
        "parts": [{"name": part.part, "columns": list(part.columns)} for part in plan.subqueries],
        "form": form,
        "most_rows": most_rows,
    }
    inputs: dict[str, AsyncIterable[bytes]] = {name: _once(content) for name, content in parts.items()}
    if sum(map(len, parts.values())) <= SMALL_BYTES:
        limits = replace(limits, threads=1)
    return await sandbox.run("query-merge", described, limits=limits, inputs=inputs)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
