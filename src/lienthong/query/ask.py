"""Asking: one SQL question of one of our systems becomes sub-queries, sent side by side, and one merged answer.

How a table's name becomes a service, whether its use is allowed, and how a sub-query travels are the caller's: they
come in as functions.  Loads no SQL engine.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace

from lienthong.catalog.models import Service
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.query.models import Plan, RemoteTable, SubQuery
from lienthong.query.operations import MERGE_LIMITS, Planner, run_merge
from lienthong.query.problems import QueryTimeout
from lienthong.tables.limits import AnswerTooLarge, Limits
from lienthong.tables.models import View, shown_fields
from lienthong.tables.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Granted:
    """A table that a query names, as our own copy of the agreement lets it be used."""

    service: Service
    """As its provider describes it; the source is not needed."""
    view: View
    min_group: int | None = None


@dataclass(frozen=True, slots=True)
class PartAnswer:
    """A member's answer to one sub-query."""

    arrow: bytes
    """An Arrow IPC stream."""
    agreement: str | None = None
    """Id of the agreement it was given under."""
    record: str | None = None
    """Hash of our record of this use."""
    peer_record: str | None = None
    """Hash of the provider's record."""


@dataclass(frozen=True, slots=True)
class Part:
    """One sub-query and its answer, as the whole answer names them."""

    asked: SubQuery
    answer: PartAnswer


@dataclass(frozen=True, slots=True)
class Asked:
    """The answer to a query."""

    body: bytes
    """JSON ``{columns, rows, truncated}`` or an Arrow stream."""
    form: str
    rows: int
    truncated: bool
    parts: tuple[Part, ...]

    def sources(self) -> list[dict[str, str | None]]:
        """Which tables were read under which agreement, with the records: JSON values."""
        return [
            {
                "table": part.asked.table,
                "service": part.asked.service,
                "agreement": part.answer.agreement,
                "record": part.answer.record,
                "peer_record": part.answer.peer_record,
            }
            for part in self.parts
        ]


@dataclass(frozen=True, slots=True)
class AskLimits:
    """What one question may use."""

    deadline_s: float = 30.0
    """For the members' parts and the merge together."""
    most_rows: int = 10_000
    """Rows of a JSON answer; what is over is cut off and told by ``truncated``."""
    part_bytes: int = 64 << 20
    """All parts together."""
    merge: Limits = MERGE_LIMITS


Describe = Callable[[str], Awaitable[Granted]]
"""Table name (as ``names.write_name`` spells it) -> what it means.  Raises UnknownTable or the gate's refusals."""
Send = Callable[[SubQuery], Awaitable[PartAnswer]]
"""Admit, send and record one sub-query.  Raises the gate's refusals and the provider's problems."""


async def ask(
    sql: str,
    *,
    planner: Planner,
    sandbox: Sandbox,
    describe: Describe,
    send: Send,
    form: str = "json",
    limits: AskLimits | None = None,
) -> Asked:
    """The answer to ``sql``.

    Raises a QueryRefused before anything is sent; afterwards the first problem of a part (the other parts are given
    up), QueryTimeout, or the problems of the merge (``tables.limits``).
    """
    allowed = limits or AskLimits()
    plan = await plan_for(sql, planner, describe)
    started = asyncio.get_running_loop().time()
    parts = await _parts(plan, send, allowed)
    left_s = allowed.deadline_s - (asyncio.get_running_loop().time() - started)
    outcome = await run_merge(
        sandbox,
        plan,
        {part.asked.part: part.answer.arrow for part in parts},
        form=form,
        most_rows=allowed.most_rows,
        limits=replace(allowed.merge, wall_s=max(min(allowed.merge.wall_s, left_s), 0.5)),
    )
    return Asked(outcome.body, form, outcome.rows, outcome.result.get("truncated") is True, parts)


async def plan_for(sql: str, planner: Planner, describe: Describe) -> Plan:
    """The plan of ``sql``: every table it names is described first.  Raises a QueryRefused, or as ``describe``."""
    names = await planner.tables_in(sql)
    tables = [remote_table(name, await describe(name)) for name in names]
    return await planner.plan(sql, tables)


def remote_table(name: str, granted: Granted) -> RemoteTable:
    """What the planner may know of ``granted``."""
    service = granted.service
    return RemoteTable(
        name=name,
        service=service.id,
        fields=tuple(shown.name for shown in shown_fields(service, granted.view)),
        min_group=granted.min_group,
        identifiers=frozenset(subject.select for subject in service.subjects),
    )


async def _parts(plan: Plan, send: Send, limits: AskLimits) -> tuple[Part, ...]:
    async def one(asked: SubQuery) -> Part:
        return Part(asked, await send(asked))

    try:
        async with asyncio.timeout(limits.deadline_s), asyncio.TaskGroup() as group:
            tasks = [group.create_task(one(asked)) for asked in plan.subqueries]
    except TimeoutError as late:
        raise QueryTimeout(
            T("The members' parts did not all arrive within {seconds} seconds."),
            mend=T("Filter or aggregate more, or ask again when the members' nodes are less busy."),
            seconds=limits.deadline_s,
        ) from late
    except ExceptionGroup as failed:
        raise _first(failed) from failed
    parts = tuple(task.result() for task in tasks)
    if sum(len(part.answer.arrow) for part in parts) > limits.part_bytes:
        raise AnswerTooLarge(
            T("The members' parts have more than {bytes} bytes."),
            mend=T("Filter or aggregate each table before it is joined."),
            bytes=limits.part_bytes,
        )
    return parts


def _first(failed: ExceptionGroup[Exception]) -> Exception:
    """The problem to tell: a defined one before any other."""
    problems, others = failed.split(Problem)
    chosen = problems or others or failed
    while isinstance(chosen, ExceptionGroup):
        chosen = chosen.exceptions[0]
    return chosen
