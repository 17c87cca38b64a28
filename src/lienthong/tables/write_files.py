"""Job ``write``: a table under a view as Parquet files, sorted so that predicate hints can leave files out.

Promises: masks and row filter are applied before the first byte is written, so what the view hides is in no file;
a file's statistics describe that file.  Runs in the sandbox's children only.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import duckdb
import pyarrow.csv as pa_csv

from lienthong.catalog.models import Field, service_from_public
from lienthong.i18n import T
from lienthong.tables.job import Job
from lienthong.tables.models import shown_fields, view_from
from lienthong.tables.scan import load_table
from lienthong.tables.sources import SourceChanged
from lienthong.tables.sql import quote_name, quote_text

_STATISTIC_TEXT = 32
"""Longer texts are cut in statistics: down for the least, left out for the greatest."""


def write(job: Job) -> Mapping[str, object]:
    """Write the table ``table`` into the empty folder ``folder``, ``rows_per_file`` rows each, sorted by ``sort``."""
    described = cast("Mapping[str, object]", job.args["table"])
    folder = Path(str(job.args["folder"]))
    rows_per_file = cast("int", job.args["rows_per_file"])
    job.connection.execute(f"SET temp_directory = {quote_text(str(folder / 'spill'))}")
    job.connection.execute(f"SET max_temp_directory_size = '{job.limits.file_mb}MiB'")
    load_table(job, {**described, "name": "loaded"})
    service = service_from_public(cast("Mapping[str, object]", described["service"]))
    fields = shown_fields(service, view_from(cast("Mapping[str, object]", described["view"])))
    shown = {field.name for field in fields}
    order = [quote_name(name) for name in cast("list[str]", job.args["sort"]) if name in shown]
    try:
        return {"files": _files(job, folder, fields, order, rows_per_file)}
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as failed:
        raise SourceChanged(
            T("The table no longer fits its published description."),
            mend=T("The provider has to publish the service again."),
        ) from failed


def csv(job: Job) -> None:
    """The table ``table`` as CSV (RFC 4180, UTF-8, texts quoted, absent values empty), piece by piece."""
    described = cast("Mapping[str, object]", job.args["table"])
    load_table(job, {**described, "name": "loaded"})
    reader = job.connection.sql("SELECT * FROM loaded").to_arrow_reader(16_384)
    with pa_csv.CSVWriter(job.sink(), reader.schema) as out:
        for batch in reader:
            job.rows += batch.num_rows
            out.write_batch(batch)


def _files(
    job: Job, folder: Path, fields: Sequence[Field], order: Sequence[str], rows_per_file: int
) -> list[dict[str, object]]:
    connection = job.connection
    columns = ", ".join(_written(field) for field in fields)
    ordered = f"ORDER BY {', '.join(order)}" if order else ""
    connection.execute(f"CREATE TABLE sorted AS SELECT {columns} FROM loaded {ordered}")  # noqa: S608 - quoted
    connection.execute("DROP TABLE loaded")
    [[total]] = connection.execute("SELECT count(*) FROM sorted").fetchall()
    files: list[dict[str, object]] = []
    for place, start in enumerate(range(0, max(total, 1), rows_per_file)):
        part = f"FROM sorted WHERE rowid >= {start} AND rowid < {start + rows_per_file}"
        path = folder / f"part-{place:05d}.parquet"
        connection.execute(
            f"COPY (SELECT * {part}) TO {quote_text(str(path))}"
            " (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE 122880)"
        )
        with path.open("rb") as written:
            os.fsync(written.fileno())
        rows = min(rows_per_file, total - start)
        files.append(
            {
                "name": path.name,
                "size_bytes": path.stat().st_size,
                "rows": rows,
                "statistics": _statistics(connection, fields, part, rows),
            }
        )
    return files


def _written(field: Field) -> str:
    name = quote_name(field.name)
    # Delta's "timestamp" is an instant: without the zone readers would shift it by theirs.
    return f"{name} AT TIME ZONE 'UTC' AS {name}" if field.type == "timestamp" else name


def _statistics(connection: duckdb.DuckDBPyConnection, fields: Sequence[Field], part: str, rows: int) -> str:
    """Delta's per-file statistics as JSON text."""
    facts = ", ".join(_facts(field) for field in fields)
    found = connection.execute(f"SELECT {facts} {part}").fetchall()[0]
    least: dict[str, object] = {}
    greatest: dict[str, object] = {}
    absent: dict[str, int] = {}
    for place, field in enumerate(fields):
        low, high, missing = found[place * 3 : place * 3 + 3]
        absent[field.name] = missing
        if field.type == "boolean" or low is None:
            continue
        if (lowest := _statistic(low)) is not None:
            least[field.name] = lowest
        if (highest := _statistic(high)) is not None and not (isinstance(high, str) and len(high) > _STATISTIC_TEXT):
            greatest[field.name] = highest
    return json.dumps({"numRecords": rows, "minValues": least, "maxValues": greatest, "nullCount": absent})


def _facts(field: Field) -> str:
    """Least, greatest and number of absent values, as SQL."""
    name = quote_name(field.name)
    # Without its zone: the engine's Python side needs another package for instants.
    bounded = f"{name} AT TIME ZONE 'UTC'" if field.type == "timestamp" else name
    return f"min({bounded}), max({bounded}), count(*) - count({name})"


def _statistic(value: object) -> str | int | float | None:
    """A bound as JSON, or None where JSON numbers would not hold it exactly (a wrong bound hides rows)."""
    if isinstance(value, str):
        return value[:_STATISTIC_TEXT]
    if isinstance(value, datetime):
        return value.isoformat() + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        if value == value.to_integral_value():
            return int(value)
        return float(value) if Decimal(repr(float(value))) == value else None
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    return cast("int", value)
