"""The sandbox's jobs for queries as functions: arguments written here, answers read here.  Light: for gateways.

Plans are remembered by their SQL and by what the tables look like, so that a question asked again costs no planning.
"""

from __future__ import annotations

import hashlib
import json
from collections import OrderedDict
from collections.abc import AsyncIterable, AsyncIterator, Mapping, Sequence
from dataclasses import asdict
from types import MappingProxyType
from typing import TypeVar, cast

from lienthong.catalog.models import Service
from lienthong.query.models import Plan, RemoteTable, plan_from_wire
from lienthong.tables.jobs import table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import View
from lienthong.tables.sandbox import Outcome, Sandbox

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "query-tables": "lienthong.query.run:tables",
        "query-plan": "lienthong.query.run:plan_query",
        "query-part": "lienthong.query.run:part",
        "query-merge": "lienthong.query.run:merge",
    }
)
"""What the composition root adds to the sandbox's operations."""

PLAN_LIMITS = Limits(memory_mb=256, cpu_s=5, wall_s=5.0, max_rows=0, max_bytes=1 << 20, threads=1)
PART_LIMITS = Limits(memory_mb=1024, cpu_s=40, wall_s=30.0, max_rows=1_000_000, max_bytes=64 << 20)
MERGE_LIMITS = Limits(memory_mb=1024, cpu_s=40, wall_s=30.0, max_rows=100_000, max_bytes=256 << 20)
REMEMBERED_PLANS = 256

Known = TypeVar("Known")


class Planner:
    """Plans queries in the sandbox and remembers the plans."""

    def __init__(self, sandbox: Sandbox, remembered: int = REMEMBERED_PLANS) -> None:
        self._sandbox = sandbox
        self._remembered = remembered
        self._tables: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._plans: OrderedDict[str, Plan] = OrderedDict()

    async def tables_in(self, sql: str) -> tuple[str, ...]:
        """The tables that ``sql`` reads, in the spelling of ``names.write_name``.  Raises a QueryRefused."""
        key = _digest(sql)
        found = self._tables.get(key)
        if found is None:
            outcome = await self._sandbox.run("query-tables", {"sql": sql}, limits=PLAN_LIMITS)
            found = tuple(cast("list[str]", outcome.result["tables"]))
            self._remember(self._tables, key, found)
        return found

    async def plan(self, sql: str, tables: Sequence[RemoteTable]) -> Plan:
        """How to answer ``sql`` over ``tables``.  Raises a QueryRefused."""
        described = [asdict(table) | {"identifiers": sorted(table.identifiers)} for table in tables]
        key = _digest(sql, json.dumps(described, sort_keys=True))
        found = self._plans.get(key)
        if found is None:
            outcome = await self._sandbox.run("query-plan", {"sql": sql, "tables": described}, limits=PLAN_LIMITS)
            found = plan_from_wire(cast("Mapping[str, object]", outcome.result["plan"]))
            self._remember(self._plans, key, found)
        return found

    def _remember(self, known: OrderedDict[str, Known], key: str, value: Known) -> None:
        known[key] = value
        if len(known) > self._remembered:
            known.popitem(last=False)


async def run_part(
    sandbox: Sandbox, service: Service, view: View, min_group: int | None, sql: str, limits: Limits = PART_LIMITS
) -> Outcome:
    """Restrict ``sql`` under ``view`` and run it: an Arrow stream; ``result`` has ``fields`` (those read).

    Raises a QueryRefused, the problems of the table's source, and those of ``tables.limits``.
    """
    described = {"table": table_argument(service, view), "min_group": min_group, "sql": sql}
    return await sandbox.run("query-part", described, limits=limits)


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
    return await sandbox.run("query-merge", described, limits=limits, inputs=inputs)


async def _once(content: bytes) -> AsyncIterator[bytes]:
    yield content


def _digest(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode("utf-8", "replace")).hexdigest()
