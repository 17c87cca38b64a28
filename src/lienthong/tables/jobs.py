"""The sandbox's own jobs as functions: arguments written here, answers read here.  Light: for gateways and doors.

``scan`` jobs of a query are run by the query package; this module gives it the description of a table under a grant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import cast

import orjson

from lienthong.catalog.models import CsvFormat, Field, Service, SubjectKind, TableSource, source_json
from lienthong.catalog.publish import Found
from lienthong.tables.limits import Limits
from lienthong.tables.models import Condition, Page, View, conditions_json, view_json
from lienthong.tables.page import Wanted
from lienthong.tables.queries import source_session
from lienthong.tables.read import FileRows
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sql import table_source

SCAN_TIMEOUT_S = 60.0
"""Statement time limit at a source while a whole table is loaded; the job's wall clock usually comes first."""
INSPECT_LIMITS = Limits(memory_mb=2048, cpu_s=120, wall_s=90.0, max_rows=0)


def table_argument(
    service: Service,
    view: View,
    *,
    name: str = "",
    columns: Sequence[str] | None = None,
    prefilter: Sequence[Condition] = (),
) -> dict[str, object]:
    """One entry of a ``scan`` job's ``tables``: load ``service`` under ``view`` as the DuckDB table ``name``.

    ``columns`` are the only ones the SQL uses (None: all shown); ``prefilter`` are conditions of the SQL that may be
    met while loading, on shown fields without a mask only.  Raises NotATable.
    """
    source = table_source(service)
    return {
        "name": name or service.name,
        "service": service.public(),
        "source": source_json(source),
        "session": source_session(source.dsn, SCAN_TIMEOUT_S) if source.kind == "postgres" else "",
        "view": view_json(view),
        "columns": None if columns is None else list(columns),
        "prefilter": conditions_json(tuple(prefilter)),
    }


def scan_arguments(tables: Sequence[Mapping[str, object]], sql: str) -> dict[str, object]:
    """Arguments of a ``scan`` job: load every one of ``tables``, lock the sandbox, run ``sql``."""
    return {"tables": [dict(table) for table in tables], "sql": sql}


def file_rows(sandbox: Sandbox) -> FileRows:
    """The reader of CSV and Parquet pages that ``read.TableReader`` takes."""

    async def rows(service: Service, view: View, wanted: Wanted) -> Page:
        outcome = await sandbox.run(
            "rows",
            {
                "table": table_argument(service, view),
                "lookup": dict(wanted.lookup),
                "limit": wanted.limit,
                "offset": wanted.offset,
            },
            limits=Limits(wall_s=service.timeout_s),
        )
        told = outcome.result
        return Page(
            rows=tuple(orjson.loads(outcome.body)),
            next_offset=cast("int | None", told["next_offset"]),
            subjects=tuple((kind, text) for kind, text in cast("list[tuple[SubjectKind, str]]", told["subjects"])),
            rows_without_subject=cast("int", told["rows_without_subject"]),
        )

    return rows


async def inspect_file(sandbox: Sandbox, path: Path) -> Found:
    """What the CSV or Parquet file at the absolute ``path`` holds, for ``catalog.publish``.  Raises FileNotReadable."""
    place = str(path)
    outcome = await sandbox.run("inspect", {"path": place}, limits=INSPECT_LIMITS)
    told = outcome.result
    csv = cast("Mapping[str, object] | None", told["csv"])
    return Found(
        source=TableSource(
            kind="csv" if csv is not None else "parquet",
            path=place,
            columns=tuple((pair[0], pair[1]) for pair in cast("list[list[str]]", told["columns"])),
            csv=None if csv is None else CsvFormat(**csv),  # type: ignore[arg-type] - written by inspect_file
        ),
        fields=tuple(Field(**entry) for entry in cast("list[dict[str, object]]", told["fields"])),  # type: ignore[arg-type] - as above; Field checks
        key=tuple(cast("list[str]", told["key"])),
        left_out=tuple(cast("list[str]", told["left_out"])),
        rows=cast("int", told["rows"]),
    )
