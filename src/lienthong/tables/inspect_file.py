"""Job ``inspect``: what a CSV or Parquet file holds: encoding, delimiter, columns with types, a key.

Promises: the whole file was read and every value fits the type given; digits with a leading zero stay text (personal
numbers, codes); archives, binary files and lines of megabytes are refused.  Runs in the sandbox's children only.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import duckdb

from lienthong.catalog.models import CsvFormat, TableSource
from lienthong.i18n import T
from lienthong.tables.job import Job
from lienthong.tables.scan import is_utf8, utf8_copy
from lienthong.tables.sources import FileNotReadable
from lienthong.tables.sql import MAX_CSV_LINE_BYTES, csv_sql, quote_name, quote_text

MAX_COLUMNS = 1_000
_ARCHIVES = (
    b"PK\x03\x04",
    b"PK\x05\x06",
    b"\x1f\x8b",
    b"BZh",
    b"\xfd7zXZ",
    b"7z\xbc\xaf",
    b"\x28\xb5\x2f\xfd",
    b"Rar!",
)
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
_ENCODINGS = ("utf-8", "cp1258", "cp1252")
"""Tried in this order; cp1258 is Vietnamese Windows."""
_DELIMITERS = ",;\t|"
_DECIMAL = re.compile(r"DECIMAL\((\d+),\s*(\d+)\)")
_SAMPLE_ROWS = 20_000
_NUMBER = "-?(0|[1-9][0-9]*)(\\.[0-9]+)?"
_DAY = "[0-9]{4}-[0-9]{2}-[0-9]{2}"
_TESTS = {
    "integer": "regexp_full_match(@, '-?(0|[1-9][0-9]{0,17})')",
    "decimal": f"regexp_full_match(@, '{_NUMBER}')",
    "double": f"regexp_full_match(@, '-?[0-9]+(\\.[0-9]+)?[eE][+-]?[0-9]{{1,3}}|{_NUMBER}')",
    "boolean": "lower(@) IN ('true', 'false')",
    "date": f"regexp_full_match(@, '{_DAY}') AND TRY_CAST(@ AS DATE) IS NOT NULL",
    "timestamp": f"regexp_full_match(@, '{_DAY}[T ][0-9]{{2}}:[0-9]{{2}}(:[0-9]{{2}}(\\.[0-9]{{1,6}})?)?')"
    " AND TRY_CAST(@ AS TIMESTAMP) IS NOT NULL",
}
"""Kind of field -> SQL that holds for a text of this kind, ``@`` for the column; the narrowest kind first."""
_DIGITS = {
    "whole": "coalesce(max(length(regexp_extract(@, '^-?([0-9]*)', 1))), 0)",
    "fraction": "coalesce(max(length(regexp_extract(@, '\\.([0-9]*)$', 1))), 0)",
}
_KINDS = tuple(_TESTS)
_ANY_CASE = re.IGNORECASE
_WHOLE = ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER")
_LARGE = ("UBIGINT", "HUGEINT", "UHUGEINT")
_PLAIN = {"VARCHAR": "string", "DOUBLE": "double", "FLOAT": "double", "BOOLEAN": "boolean", "DATE": "date"}


@dataclass(frozen=True, slots=True)
class Column:
    """One column as found."""

    name: str
    title: str
    type: str
    nullable: bool
    precision: int | None = None
    scale: int | None = None

    def field_json(self) -> dict[str, object]:
        """Arguments of ``catalog.models.Field``."""
        return {
            "name": self.name,
            "type": self.type,
            "title_vi": self.title,
            "nullable": self.nullable,
            "precision": self.precision,
            "scale": self.scale,
        }

    @property
    def duckdb_type(self) -> str:
        """The type to read it with."""
        kinds = {"string": "VARCHAR", "integer": "BIGINT", "double": "DOUBLE", "boolean": "BOOLEAN", "date": "DATE"}
        return (
            f"DECIMAL({self.precision},{self.scale})" if self.type == "decimal" else kinds.get(self.type, "TIMESTAMP")
        )


def inspect(job: Job) -> Mapping[str, object]:
    """Look into the file ``path``; the result is read by ``jobs.inspect_file``."""
    path = Path(str(job.args["path"]))
    if not path.is_file():
        raise FileNotReadable(T("There is no such file."), mend=T("Check the path on the node's own machine."))
    job.fence()
    with path.open("rb") as opened:
        start = opened.read(8192)
    if start[:4] == b"PAR1":
        return _parquet(job, path)
    if not start or any(start.startswith(magic) for magic in _ARCHIVES):
        raise FileNotReadable(
            T("The file is empty or an archive."), mend=T("Unpack it and publish the CSV or Parquet file inside.")
        )
    return _csv(job, path, start)


def _parquet(job: Job, path: Path) -> Mapping[str, object]:
    origin = f"read_parquet({quote_text(str(path))})"
    try:
        described = job.connection.sql(f"DESCRIBE SELECT * FROM {origin}").fetchall()  # noqa: S608 - quoted above
        [[rows]] = job.connection.sql(f"SELECT count(*) FROM {origin}").fetchall()  # noqa: S608 - as above
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as broken:
        raise FileNotReadable(T("The file is not a whole Parquet file.")) from broken
    columns: list[Column] = []
    left_out: list[str] = []
    for name, kind, nullable, *_ in cast("list[tuple[str, str, str]]", described):
        if kind == "BLOB" or not _publishable(name):
            left_out.append(name)
            continue
        columns.append(_parquet_column(name, kind, nullable != "NO"))
    _check_count(columns)
    key = _key(job, origin, columns, rows)
    return _result(None, columns, [(column.name, column.type) for column in columns], key, rows, left_out)


def _parquet_column(name: str, kind: str, nullable: bool) -> Column:
    if shape := _DECIMAL.fullmatch(kind):
        return Column(name, name, "decimal", nullable, int(shape[1]), int(shape[2]))
    if kind in _LARGE:
        return Column(name, name, "decimal", nullable, 38, 0)
    if kind in _WHOLE:
        return Column(name, name, "integer", nullable)
    if kind.startswith("TIMESTAMP"):
        return Column(name, name, "timestamp", nullable)
    return Column(name, name, _PLAIN.get(kind, "string"), nullable)


def _csv(job: Job, path: Path, start: bytes) -> Mapping[str, object]:
    encoding = _encoding(path, start)
    source = TableSource(kind="csv", path=str(path), csv=CsvFormat(encoding=encoding))
    memory = None if is_utf8(encoding) else utf8_copy(source, job.limits.memory_mb * 1024 * 1024)
    readable = str(path) if memory is None else f"/proc/self/fd/{memory}"
    try:
        csv, titles = _sniffed(job, readable, encoding)
        names = _names(titles)
        texts = csv_sql(readable, csv, [(name, "VARCHAR") for name in names])
        columns, rows = _typed(job, texts, names, titles)
        key = _key(job, texts, columns, rows)
    except duckdb.OutOfMemoryException:
        raise
    except duckdb.Error as broken:
        raise FileNotReadable(
            T("The file is not a regular CSV table: {why}"),
            mend=T("Each row needs the same number of columns, and no line may have more than {bytes} bytes."),
            why=_place(str(broken)),
            bytes=MAX_CSV_LINE_BYTES,
        ) from broken
    finally:
        if memory is not None:
            os.close(memory)
    return _result(csv, columns, [(column.name, column.duckdb_type) for column in columns], key, rows, [])


def _encoding(path: Path, start: bytes) -> str:
    """Python's name of the encoding in which the whole file can be read."""
    marked = [name for bom, name in _BOMS if start.startswith(bom)]
    if not marked and b"\0" in start:
        raise FileNotReadable(T("The file holds binary data."), mend=T("Export it again as CSV in UTF-8."))
    for encoding in marked or _ENCODINGS:
        decoder = codecs.getincrementaldecoder(encoding)("strict")
        try:
            with path.open("rb") as raw:
                while part := raw.read(1 << 20):
                    decoder.decode(part)
                decoder.decode(b"", final=True)
        except UnicodeError:
            continue
        return encoding
    raise FileNotReadable(T("The file's encoding is not known."), mend=T("Export it again as CSV in UTF-8."))


def _sniffed(job: Job, path: str, encoding: str) -> tuple[CsvFormat, list[str]]:
    """Delimiter, quote and header as DuckDB sees them, and the header's texts."""
    options = f"sample_size = 20480, all_varchar = true, compression = 'none', max_line_size = {MAX_CSV_LINE_BYTES}"
    facts = "Delimiter, Quote, HasHeader, list_transform(Columns, lambda c: c.name)"
    sniff = f"SELECT {facts} FROM sniff_csv({quote_text(path)}, {options})"  # noqa: S608 - the path is quoted
    [row] = job.connection.sql(sniff).fetchall()
    delimiter, quote, header, names = cast("tuple[str, str, bool, list[str]]", row)
    if len(names) > MAX_COLUMNS:
        raise FileNotReadable(T("The file has more than {columns} columns."), columns=MAX_COLUMNS)
    if len(quote) != 1 or not quote.isprintable():
        quote = '"'
    if len(names) == 1 and (likely := max(_DELIMITERS, key=names[0].count)) in names[0]:
        # Rows of unequal length make the engine take a whole line for one column: read it strictly and say where.
        delimiter, names = likely, names[0].split(likely)
    csv = CsvFormat(encoding=encoding, delimiter=delimiter, quote=quote, header=header)
    return csv, list(names) if header else [f"column_{place}" for place in range(1, len(names) + 1)]


def _names(titles: Sequence[str]) -> list[str]:
    """Field names from a header: printable, at most 63 characters, none twice."""
    names: list[str] = []
    for place, title in enumerate(titles, 1):
        plain = " ".join("".join(sign if sign.isprintable() else " " for sign in title).split())[:63]
        name, again = plain or f"column_{place}", 2
        while name in names:
            name, again = f"{plain[:58] or 'column'}_{again}", again + 1
        names.append(name)
    return names


def _typed(job: Job, texts: str, names: Sequence[str], titles: Sequence[str]) -> tuple[list[Column], int]:
    """The narrowest type that every value of a column fits, judged on the whole file.

    What the first rows suggest is tried on all of them; only columns where that fails are tried with every type.
    """
    sample = f"(SELECT * FROM {texts} LIMIT {_SAMPLE_ROWS})"  # noqa: S608 - quoted by csv_sql
    _, seen = _counted(job, sample, dict.fromkeys(names, _KINDS))
    likely = {name: _narrowest(seen[name]) for name in names}
    rows, found = _counted(job, texts, {name: [kind] if kind in _KINDS else [] for name, kind in likely.items()})
    doubtful = [
        name
        for name in names
        if _narrowest(found[name]) != likely[name] or (found[name]["present"] and not seen[name]["present"])
    ]
    if doubtful:
        found |= _counted(job, texts, dict.fromkeys(doubtful, _KINDS))[1]
    return [_column(name, title, rows, found[name]) for name, title in zip(names, titles, strict=True)], rows


def _counted(job: Job, origin: str, asked: Mapping[str, Sequence[str]]) -> tuple[int, dict[str, dict[str, int]]]:
    """Rows of ``origin``, and for each column how many values are present and how many fit each kind asked for."""
    facts: list[tuple[str, str, str]] = []
    for name, kinds in asked.items():
        column = quote_name(name)
        facts.append((name, "present", f"count({column})"))
        for kind in kinds:
            facts.append((name, kind, f"count(*) FILTER ({_TESTS[kind].replace('@', column)})"))
            if kind == "decimal":
                facts += [(name, digits, test.replace("@", column)) for digits, test in _DIGITS.items()]
    select = ", ".join(["count(*)", *(fact for _, _, fact in facts)])
    [row] = job.connection.sql(f"SELECT {select} FROM {origin}").fetchall()  # noqa: S608 - all parts are quoted
    found: dict[str, dict[str, int]] = {name: {} for name in asked}
    for (name, fact, _), count in zip(facts, cast("tuple[int, ...]", row[1:]), strict=True):
        found[name][fact] = count
    return cast("int", row[0]), found


def _narrowest(counted: Mapping[str, int]) -> str:
    present = counted["present"]
    return next((kind for kind in _KINDS if present and counted.get(kind) == present), "string")


def _column(name: str, title: str, rows: int, counted: Mapping[str, int]) -> Column:
    nullable, kind = counted["present"] < rows, _narrowest(counted)
    if kind == "decimal":
        whole, fraction = counted["whole"], counted["fraction"]
        if whole + fraction > 38:
            return Column(name, title, "string", nullable)
        return Column(name, title, "decimal", nullable, max(whole + fraction, 18), fraction)
    return Column(name, title, kind, nullable)


def _key(job: Job, origin: str, columns: Sequence[Column], rows: int) -> list[str]:
    """The first column if it names every row, else nothing."""
    if not rows or (columns[0].nullable and columns[0].type in ("double", "boolean")):
        return []
    first = quote_name(columns[0].name)
    [[present, distinct]] = job.connection.execute(
        f"SELECT count({first}), count(DISTINCT {first}) FROM {origin}"  # noqa: S608 - all parts are quoted
    ).fetchall()
    return [columns[0].name] if present == distinct == rows else []


def _check_count(columns: Sequence[Column]) -> None:
    if not 1 <= len(columns) <= MAX_COLUMNS:
        raise FileNotReadable(T("The file has no column that can be published, or too many."))


def _publishable(name: str) -> bool:
    return 1 <= len(name) <= 63 and name.isprintable()


def _place(message: str) -> str:
    """Line number and reason of a CSV error, without the file's content."""
    line = re.search(r"Line: (\d+)", message)
    reason = re.search(
        r"(Expected Number of Columns: \d+ Found: \d+|Maximum line size|unterminated quote)", message, re.I
    )
    return f"line {line[1] if line else '?'}: {reason[1] if reason else 'not a regular row'}"


def _result(
    csv: CsvFormat | None,
    columns: Sequence[Column],
    typed: Sequence[tuple[str, str]],
    key: Sequence[str],
    rows: int,
    left_out: Sequence[str],
) -> Mapping[str, object]:
    return {
        "csv": None
        if csv is None
        else {
            "encoding": csv.encoding,
            "delimiter": csv.delimiter,
            "quote": csv.quote,
            "header": csv.header,
            "null": csv.null,
        },
        "fields": [column.field_json() for column in columns],
        "columns": [list(pair) for pair in typed],
        "key": list(key),
        "rows": rows,
        "left_out": list(left_out),
    }
