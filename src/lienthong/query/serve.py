"""Answering a sub-query that another node (or our own) sent, under our gate's decision.  Loads no SQL engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.query.operations import PART_LIMITS, run_part
from lienthong.tables.limits import Limits
from lienthong.tables.models import View
from lienthong.tables.sandbox import Sandbox


@dataclass(frozen=True, slots=True)
class Answered:
    """Our part of somebody's query."""

    arrow: bytes
    """An Arrow IPC stream."""
    rows: int
    fields: tuple[str, ...]
    """The published fields it was made from."""


async def answer_subquery(
    service: Service, sql: str, decision: Decision, sandbox: Sandbox, limits: Limits = PART_LIMITS
) -> Answered:
    """Rewrite ``sql`` under ``decision`` and run it on ``service``, a table of this node.

    Raises a QueryRefused, NotATable, ViewNotApplicable, the problems of the table's source and those of ``limits``.
    """
    view = View(fields=decision.fields, masks=dict(decision.masks), row_filter=tuple(decision.row_filter))
    outcome = await run_part(sandbox, service, view, decision.min_group, sql, limits)
    return Answered(outcome.body, outcome.rows, tuple(cast("list[str]", outcome.result["fields"])))
