"""What the planner needs to know of a table, what it gives, and what the provider's rewriter gives: frozen values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import cast

from lienthong.tables.models import Condition, conditions_from


@dataclass(frozen=True, slots=True)
class RemoteTable:
    """A table as the asking side may use it under its own copy of the agreement."""

    name: str
    """As the query names it, in the spelling of ``names.write_name``."""
    service: str
    """Service id."""
    fields: tuple[str, ...]
    """Granted fields that are not dropped, in published order."""
    min_group: int | None = None
    """Least rows of a group when the agreement gives statistics only."""
    identifiers: frozenset[str] = frozenset()
    """Fields that name one person, firm or parcel."""

    @property
    def member(self) -> str:
        """Member id of the provider."""
        return "/".join(self.service.split("/")[:3])


@dataclass(frozen=True, slots=True)
class SubQuery:
    """One SELECT over one table, to be answered by its member."""

    part: str
    """Name of its result in the merge."""
    table: str
    """Name of the table as the query wrote it."""
    service: str
    sql: str
    """DuckDB SQL over one relation that bears the service's last name part."""
    fields: tuple[str, ...]
    """Fields the sub-query reads, for the decision and the record."""
    columns: tuple[str, ...]
    """Names of its output columns in order."""
    whole: bool
    """True: a whole SELECT block with its aggregates; False: columns and filters only."""


@dataclass(frozen=True, slots=True)
class Plan:
    """How one query is answered: the parts to ask for and the DuckDB SQL over their results."""

    subqueries: tuple[SubQuery, ...]
    merge_sql: str


@dataclass(frozen=True, slots=True)
class Restricted:
    """A sub-query as the provider runs it, on the table that ``tables.scan`` loads under the same view."""

    reads: tuple[str, ...]
    """Fields to load; the query sees no other."""
    conditions: tuple[Condition, ...]
    """Filters the source may apply already: implied by the query, on unmasked fields, and never failing."""
    relation: str
    """Name of the loaded table in ``sql``."""
    sql: str
    subjects: str = ""
    """SELECT of whom the rows that meet the query's condition are about, over ``ROWS``; empty when nobody is named."""


ROWS = "lt_table"
"""Name of the loaded table when it holds the columns of subjects too: ``relation`` then shows the others."""


def restricted_from_wire(wire: Mapping[str, object]) -> Restricted:
    """The Restricted that ``asdict`` and JSON made of one."""
    return Restricted(
        reads=tuple(cast("list[str]", wire["reads"])),
        conditions=conditions_from(wire["conditions"]),
        relation=str(wire["relation"]),
        sql=str(wire["sql"]),
        subjects=str(wire["subjects"]),
    )


def plan_to_wire(plan: Plan) -> dict[str, object]:
    """``plan`` as JSON values."""
    return asdict(plan)


def plan_from_wire(wire: Mapping[str, object]) -> Plan:
    """The plan that ``plan_to_wire`` wrote."""
    parts = cast("list[dict[str, object]]", wire["subqueries"])
    return Plan(
        tuple(
            SubQuery(
                part=str(part["part"]),
                table=str(part["table"]),
                service=str(part["service"]),
                sql=str(part["sql"]),
                fields=tuple(cast("list[str]", part["fields"])),
                columns=tuple(cast("list[str]", part["columns"])),
                whole=part["whole"] is True,
            )
            for part in parts
        ),
        str(wire["merge_sql"]),
    )
