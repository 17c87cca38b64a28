"""Answering a sub-query that another node (or our own) sent, under our gate's decision.  Loads no SQL engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.query.operations import MOST_SUBJECTS, PART_LIMITS, Restrictor, run_part
from lienthong.tables.limits import Limits
from lienthong.tables.models import View, subject_columns
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sql import table_source


@dataclass(frozen=True, slots=True)
class Answered:
    """Our part of somebody's query."""

    arrow: bytes
    """An Arrow IPC stream."""
    rows: int
    fields: tuple[str, ...]
    """The published fields it was made from."""
    subjects: tuple[tuple[str, str], ...] = ()
    """Kind and identifier of those whose rows met the query's condition."""
    too_many_subjects: bool = False
    """They are more than one record names, so none is named."""


async def answer_subquery(
    service: Service,
    sql: str,
    decision: Decision,
    sandbox: Sandbox,
    restrictor: Restrictor,
    limits: Limits = PART_LIMITS,
    sources: Sources | None = None,
) -> Answered:
    """Rewrite ``sql`` under ``decision`` and run it on ``service``, a table of this node.

    Raises a QueryRefused, NotATable, ViewNotApplicable, the problems of the table's source and those of ``limits``.
    """
    table_source(service)
    view = View(fields=decision.fields, masks=dict(decision.masks), row_filter=tuple(decision.row_filter))
    restricted = await restrictor.restricted(service, view, decision.min_group, sql)
    outcome = await run_part(sandbox, service, view, restricted, limits, sources)
    listed = cast("list[list[str]]", outcome.result.get("subjects", []))
    many = len(listed) > MOST_SUBJECTS
    kinds = [kind for kind, _ in subject_columns(service)]
    named = dict.fromkeys((kind, code) for row in listed for kind, code in zip(kinds, row, strict=True) if code)
    many = many or len(named) > MOST_SUBJECTS
    return Answered(outcome.body, outcome.rows, restricted.reads, () if many else tuple(named), many)
