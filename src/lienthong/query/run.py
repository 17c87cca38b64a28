"""What the sandbox's children do for queries: plan one, run a member's part of one, merge the parts.

Promises: the SQL of others runs after the process is locked, on nothing but the tables loaded for it; parts that came
from other nodes are checked before they are read; no value of a row gets into an error.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Mapping
from dataclasses import asdict
from decimal import Decimal
from typing import cast

import duckdb
import orjson
import pyarrow as pa

from lienthong.catalog.models import service_from_public
from lienthong.i18n import T
from lienthong.query.models import ROWS, RemoteTable, Restricted, plan_to_wire, restricted_from_wire
from lienthong.query.plan import plan, tables_in
from lienthong.query.restrict import restrict
from lienthong.tables.job import Job
from lienthong.tables.limits import InputBroken, SqlFailed
from lienthong.tables.models import view_from
from lienthong.tables.scan import load_table
from lienthong.tables.sql import quote_name

_QUOTED = re.compile(r"'(?:[^']|'')*'?")
_TELLING = (duckdb.BinderException, duckdb.CatalogException, duckdb.ParserException, duckdb.NotImplementedException)
"""Errors about the SQL itself; all others may speak of a value."""
_LARGEST_INTEGER = 2**63 - 1


def tables(job: Job) -> Mapping[str, object]:
    """``sql`` -> ``tables``: the names of the tables it reads."""
    job.lock()
    return {"tables": list(tables_in(str(job.args["sql"])))}


def plan_query(job: Job) -> Mapping[str, object]:
    """``sql`` and ``tables`` (RemoteTable as JSON) -> ``plan``."""
    job.lock()
    described = cast("list[dict[str, object]]", job.args["tables"])
    known = {
        str(table["name"]): RemoteTable(
            name=str(table["name"]),
            service=str(table["service"]),
            fields=tuple(cast("list[str]", table["fields"])),
            min_group=cast("int | None", table["min_group"]),
            identifiers=frozenset(cast("list[str]", table["identifiers"])),
        )
        for table in described
    }
    return {"plan": plan_to_wire(plan(str(job.args["sql"]), known))}


def restrict_part(job: Job) -> Mapping[str, object]:
    """What to run for ``sql`` on ``service`` under ``view`` and ``min_group``: ``restricted``."""
    job.lock()
    service = service_from_public(cast("Mapping[str, object]", job.args["service"]))
    view = view_from(cast("Mapping[str, object]", job.args["view"]))
    restricted = restrict(str(job.args["sql"]), service, view, cast("int | None", job.args["min_group"]))
    return {"restricted": asdict(restricted)}


def part(job: Job) -> Mapping[str, object]:
    """Load ``table``, lock, run its ``restricted`` SQL; the rows go out as Arrow.

    The result's ``columns`` are the names of the rows' columns, its ``subjects`` those of the rows that met the
    condition, at most ``most_subjects`` and one more.
    """
    described = cast("Mapping[str, object]", job.args["table"])
    restricted = restricted_from_wire(cast("Mapping[str, object]", job.args["restricted"]))
    # A sum of BIGINT is a HUGEINT, which plain Arrow has no type for: the merge has to get the type that it would see
    # if the tables lay beside it.
    job.connection.execute("SET arrow_lossless_conversion = true")
    load_table(job, {**described, "name": ROWS if restricted.subjects else restricted.relation})
    job.lock()
    try:
        if restricted.subjects:
            shown = ", ".join(quote_name(name) for name in restricted.reads) or "1 AS one"
            job.connection.execute(f"CREATE VIEW {quote_name(restricted.relation)} AS SELECT {shown} FROM {ROWS}")  # noqa: S608 - quoted
        relation = _relation(job, restricted.sql)
        job.answer_arrow(relation.to_arrow_reader(16_384))
        return {"columns": relation.columns, "subjects": _subjects(job, restricted)}
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as failed:
        raise sql_failed(failed) from failed


def _subjects(job: Job, restricted: Restricted) -> list[list[str]]:
    """Rows of subjects as text, absent ones as empty text."""
    if not restricted.subjects:
        return []
    most = cast("int", job.args["most_subjects"])
    found = job.connection.execute(f"{restricted.subjects} LIMIT {most + 1}").fetchall()
    return [["" if cell is None else str(cell) for cell in row] for row in found]


def merge(job: Job) -> Mapping[str, object]:
    """Run ``sql`` over the Arrow inputs named in ``parts`` and send its rows as ``form``."""
    job.lock()
    for expected in cast("list[Mapping[str, object]]", job.args["parts"]):
        name = str(expected["name"])
        job.connection.register(name, read_part(job, name, cast("list[str]", expected["columns"])))
    try:
        relation = _relation(job, str(job.args["sql"]))
        if job.args["form"] == "arrow":
            job.answer_arrow(relation.to_arrow_reader(16_384))
            return {}
        return _send_json(job, relation, cast("int", job.args["most_rows"]))
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as failed:
        raise sql_failed(failed) from failed


def read_part(job: Job, name: str, columns: list[str]) -> object:
    """The Arrow table of one part.  Raises InputBroken when it is damaged or has other columns than asked for."""
    try:
        table = job.arrow_input(name).read_all()
        table.validate(full=True)  # offsets that point outside would be read by the engine without a look
    except pa.ArrowMemoryError:
        raise
    except (pa.ArrowException, OSError) as broken:
        raise InputBroken(T("The input {name} is not an Arrow stream."), name=name) from broken
    if table.column_names != columns:
        raise InputBroken(T("The input {name} has other columns than were asked for."), name=name)
    return table


def sql_failed(failed: duckdb.Error) -> SqlFailed:
    """The problem of an engine's error: its first line without quoted values, only its kind if it may tell of a row."""
    mend = T("Compare and compute values of fitting types; TRY_CAST gives NULL where CAST fails.")
    if isinstance(failed, _TELLING):
        why = _QUOTED.sub("'...'", str(failed).split("\n", 1)[0])[:300]
        return SqlFailed(T("The engine says: {why}"), mend=mend, why=why)
    if isinstance(failed, duckdb.ConversionException):
        return SqlFailed(T("A value can not be converted to the type asked for."), mend=mend)
    if isinstance(failed, duckdb.OutOfRangeException):
        return SqlFailed(T("A value is out of the range of its type."), mend=mend)
    return SqlFailed(T("The engine can not compute this from the values it found."), mend=mend)


def _relation(job: Job, sql: str) -> duckdb.DuckDBPyRelation:
    statements = job.connection.extract_statements(sql)
    if len(statements) != 1 or statements[0].type != duckdb.StatementType.SELECT:
        raise SqlFailed(T("Only a statement that gives rows can be run."))
    return job.connection.sql(sql)


def _send_json(job: Job, relation: duckdb.DuckDBPyRelation, most_rows: int) -> Mapping[str, object]:
    columns = [{"name": n, "type": str(t)} for n, t in zip(relation.columns, relation.types, strict=True)]
    # execute() hands rows out as they are made, so what is cut off is never computed.
    rows = job.connection.execute(str(job.args["sql"])).fetchmany(most_rows + 1)
    truncated = len(rows) > most_rows
    shown = [[json_cell(value) for value in row] for row in rows[:most_rows]]
    job.rows = len(shown)
    job.send(orjson.dumps({"columns": columns, "rows": shown, "truncated": truncated}))
    return {"columns": columns, "truncated": truncated}


def json_cell(value: object) -> object:
    """A value of the engine as JSON: dates in ISO 8601, decimals and integers past 64 bits as text, NaN as null."""
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, bool) or not isinstance(value, (int, Decimal, dt.date, dt.time, dt.timedelta)):
        return value
    if isinstance(value, int):
        return value if abs(value) <= _LARGEST_INTEGER else str(value)
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, dt.timedelta):
        return _duration(value)
    return value.isoformat()


def _duration(value: dt.timedelta) -> str:
    """ISO 8601, e.g. P400D or P1DT12.5S."""
    seconds = Decimal(value.seconds) + Decimal(value.microseconds) / 1_000_000
    return f"P{value.days}D" + (f"T{seconds.normalize():f}S" if seconds else "")


# sqlglot imports its dialect on first use; a locked child could no longer read those files, so the zygote does it.
tables_in("SELECT a FROM t")
