"""Jobs that read a published table under a grant: whole for SQL (``scan``), one page for a call (``rows``).

Promises: only granted columns and rows are loaded, masks are applied while loading, and the SQL of others meets
nothing but the masked tables.  Runs in the sandbox's children only.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import adbc_driver_postgresql.dbapi as adbc
import duckdb
import orjson
import pyarrow as pa
import pyarrow.csv as pa_csv

from lienthong.catalog.models import CsvFormat, Service, TableSource, service_from_public, source_from
from lienthong.i18n import T
from lienthong.tables.job import Job
from lienthong.tables.limits import OutOfMemory
from lienthong.tables.models import (
    Condition,
    check_prefilter,
    check_row_filter,
    conditions_from,
    shown_fields,
    subject_columns,
    view_from,
)
from lienthong.tables.page import Wanted, page_limit, page_of, read_columns
from lienthong.tables.queries import few_rows
from lienthong.tables.sources import FileNotReadable, SourceChanged, source_problem
from lienthong.tables.sql import (
    csv_lines,
    csv_sql,
    masked_select,
    order_sql,
    read_file,
    read_postgres,
    table_source,
    value_text,
)

FEW_ROWS = 100_000
"""Up to here PostgreSQL's rows come as CSV: ADBC's 66 ms to connect are then not yet won back (measured)."""
FEW_BYTES = 32 * 1024 * 1024
_TRANSCODE_BYTES = 1 << 20
_MEMORY = re.compile(r"allocat|memory|ENOMEM", re.IGNORECASE)
_FEW = CsvFormat(header=False, null="\\N")


def scan(job: Job) -> None:
    """Load ``tables``, lock, run ``sql``, send its rows as an Arrow stream."""
    for described in cast("list[Mapping[str, object]]", job.args["tables"]):
        load_table(job, described)
    job.lock()
    job.answer_sql(str(job.args["sql"]))


def rows(job: Job) -> Mapping[str, object]:
    """One page of a CSV or Parquet table; its rows go out as one JSON array, the rest is the result."""
    described = cast("Mapping[str, object]", job.args["table"])
    service, view = _service(described), view_from(cast("Mapping[str, object]", described["view"]))
    wanted = Wanted(
        lookup=cast("Mapping[str, object]", job.args["lookup"]),
        limit=cast("int", job.args["limit"]),
        offset=cast("int", job.args["offset"]),
    )
    looked_up: list[Condition] = []
    for name, value in wanted.lookup.items():
        published = service.field(name)
        assert published is not None  # noqa: S101 - page.check_wanted has seen it
        looked_up.append((name, "eq", value_text(published, value)))
    with _readable_file(job, service) as path:
        select = read_file(service, path, read_columns(service, view), (*view.row_filter, *looked_up))
        raw = _fetched(
            job,
            f"{select}{order_sql(service, 'duckdb')} LIMIT {page_limit(view, wanted) + 1} OFFSET {wanted.offset}",
        )
    page = page_of(service, view, wanted, raw)
    job.send(orjson.dumps(page.rows))
    return {
        "next_offset": page.next_offset,
        "subjects": [list(subject) for subject in page.subjects],
        "rows_without_subject": page.rows_without_subject,
    }


def load_table(job: Job, described: Mapping[str, object]) -> None:
    """Make the masked DuckDB table of one ``jobs.table_argument``.

    Raises ViewNotApplicable, SourceUnavailable, SourceChanged, SourceTooSlow, FileNotReadable.
    """
    service, view = _service(described), view_from(cast("Mapping[str, object]", described["view"]))
    check_row_filter(service, view)
    columns = cast("list[str] | None", described["columns"])
    names = [shown.name for shown in shown_fields(service, view) if columns is None or shown.name in columns]
    persons = [column for _, column in subject_columns(service)] if described.get("subjects") else []
    prefilter = conditions_from(described["prefilter"])
    check_prefilter(service, view, prefilter)
    conditions = (*view.row_filter, *prefilter)
    table = str(described["name"])
    read = list(dict.fromkeys([*names, *persons]))

    def masked(origin: str) -> str:
        return masked_select(service, view, names, origin, persons)

    rows = described.get("rows")
    if rows is not None:
        job.lock()
        job.connection.register("lt_rows", few_table(job.inputs[str(rows)], read))
        _make(job, table, masked("lt_rows"))
        job.connection.unregister("lt_rows")
    elif table_source(service).kind == "postgres":
        select = read_postgres(service, read, conditions)
        _load_postgres(job, table, select, csv_lines(service, read, select), read, masked, str(described["session"]))
    else:
        with _readable_file(job, service) as path:
            _make(job, table, masked(f"({read_file(service, path, read, conditions)}) AS incoming"))


def few_table(text: memoryview, names: list[str]) -> object:
    """The Arrow table of texts in the CSV that ``sql.few_lines`` makes of the columns ``names``."""
    listed = names or ["one"]
    if not len(text):
        return pa.table({name: pa.array([], pa.string()) for name in listed})
    return pa_csv.read_csv(
        pa.py_buffer(text),
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(text) + 1, column_names=listed),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True, ignore_empty_lines=False),
        convert_options=pa_csv.ConvertOptions(
            column_types=dict.fromkeys(listed, pa.string()),
            null_values=["\\N"],
            strings_can_be_null=True,
            quoted_strings_can_be_null=False,
        ),
    )


def _load_postgres(
    job: Job, table: str, select: str, lines: str, names: list[str], masked: Callable[[str], str], session: str
) -> None:
    few = few_rows(session, select, lines, most_rows=FEW_ROWS, most_bytes=FEW_BYTES)
    if few is not None:
        with os.fdopen(os.memfd_create("lienthong-rows"), "w+b", buffering=0) as rows:
            rows.write(few)
            columns = [(name, "VARCHAR") for name in names or ["one"]]
            _make(job, table, masked(csv_sql(f"/proc/self/fd/{rows.fileno()}", _FEW, columns)))
        return
    try:
        source = adbc.connect(session)
    except adbc.Error as away:
        raise source_problem(None) from away
    try:
        with source.cursor() as cursor:
            cursor.execute(select)
            job.load(table, masked("incoming"), cursor.fetch_record_batch())
    except duckdb.OutOfMemoryException:
        raise
    except (adbc.Error, duckdb.Error) as failed:
        if _MEMORY.search(str(failed)):
            raise MemoryError from failed  # the driver met the job's limit
        if isinstance(failed, adbc.Error):
            raise source_problem(failed.sqlstate) from failed
        # An error of the source in the middle of its stream arrives through the engine, without its code.
        raise source_problem("57014" if "statement timeout" in str(failed) else "22000") from failed
    finally:
        source.close()


def _make(job: Job, table: str, select: str) -> None:
    quoted = '"' + table.replace('"', '""') + '"'
    _reading(lambda: job.connection.execute(f"CREATE TABLE {quoted} AS {select}"))


def _service(described: Mapping[str, object]) -> Service:
    source = source_from(cast("Mapping[str, object]", described["source"]))
    return service_from_public(cast("Mapping[str, object]", described["service"]), source)


def _fetched(job: Job, select: str) -> list[tuple[object, ...]]:
    found: list[tuple[object, ...]] = []
    _reading(lambda: found.extend(job.connection.execute(select).fetchall()))
    return found


def _reading(read: Callable[[], object]) -> None:
    """Run ``read``; what the engine says about the file stays here (it may quote the file's content)."""
    try:
        read()
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as failed:
        raise SourceChanged(
            T("The table no longer fits its published description."),
            mend=T("The provider has to publish the service again."),
        ) from failed


class _readable_file:  # noqa: N801 - used as ``with _readable_file(...)``, like a function
    """The path under which the engine reads a service's file: the file itself, or its text as UTF-8 in memory.

    The operating system's walls go up before the first byte is parsed; files can still be opened by then.
    """

    def __init__(self, job: Job, service: Service) -> None:
        self._job = job
        self._source = table_source(service)
        self._memory: int | None = None

    def __enter__(self) -> str:
        if not Path(self._source.path).is_file():
            raise FileNotReadable(
                T("The file of this table is gone."), mend=T("The provider has to put it back or publish again.")
            )
        self._job.fence()
        if self._source.csv is None or is_utf8(self._source.csv.encoding):
            return self._source.path
        self._memory = utf8_copy(self._source, self._job.limits.memory_mb * 1024 * 1024)
        return f"/proc/self/fd/{self._memory}"

    def __exit__(self, *_: object) -> None:
        if self._memory is not None:
            os.close(self._memory)


def is_utf8(encoding: str) -> bool:
    """Whether the engine reads ``encoding`` as it is."""
    return encoding in ("utf-8", "ascii")


def utf8_copy(source: TableSource, max_bytes: int) -> int:
    """A memory file (descriptor) with the text of a CSV file in UTF-8.  Raises FileNotReadable, OutOfMemory."""
    encoding = source.csv.encoding if source.csv else "utf-8"
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    written = 0
    memory = os.memfd_create("lienthong-csv")
    try:
        with Path(source.path).open("rb") as raw:
            while part := raw.read(_TRANSCODE_BYTES):
                written += os.write(memory, decoder.decode(part).encode())
                if written > max_bytes:
                    raise OutOfMemory(T("The file is too large to be converted to UTF-8 here."))
        decoder.decode(b"", final=True)
    except UnicodeError as wrong:
        os.close(memory)
        raise FileNotReadable(T("The file is not text in the encoding {encoding}."), encoding=encoding) from wrong
    return memory
