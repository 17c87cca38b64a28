"""The SQL this package writes itself: reading granted columns and rows of a table, for PostgreSQL and for DuckDB.

Promises: names and texts are always quoted here, values of the wrong type are refused before they reach an engine, and
a filter means the same in both engines (text compares by code point, an absent value matches nothing).
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import Literal

from lienthong.catalog.models import CsvFormat, Field, Service, TableSource
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.tables.mask import duckdb_type, mask_sql
from lienthong.tables.models import Condition, NotATable, View, ViewNotApplicable, mask_of, shown_fields

Dialect = Literal["postgres", "duckdb"]

_OPERATORS = {"eq": "=", "neq": "<>", "lt": "<", "lteq": "<=", "gt": ">", "gteq": ">="}
_TEXT_TYPE = re.compile(r"(text|character varying|character|citext|name|\"char\")(\(\d+\))?")
_INTEGER = re.compile(r"[+-]?[0-9]{1,19}")


class ValueNotValid(Problem):
    """A value does not have the type of the field it is compared with.  The value itself is never repeated."""

    kind = "value-not-valid"
    status = 400
    side = "caller"
    title = T("A value does not fit its field")


def quote_name(name: str) -> str:
    """``name`` as an SQL identifier."""
    if "\0" in name:
        raise ValueError("a name may not hold NUL")
    return '"' + name.replace('"', '""') + '"'


def quote_text(text: str) -> str:
    """``text`` as an SQL string; PostgreSQL must run with ``standard_conforming_strings`` on (its default)."""
    if "\0" in text:
        raise ValueError("a text may not hold NUL")
    return "'" + text.replace("'", "''") + "'"


def table_source(service: Service) -> TableSource:
    """The service's source if it is a table at this node; raises NotATable."""
    if not isinstance(service.source, TableSource):
        raise NotATable(T("{service} is not a table of this node: it can only be called."), service=service.id)
    return service.source


def value_text(published: Field, value: object) -> str:
    """``value`` (from JSON, a query string or an agreement) as text of the field's type.  Raises ValueNotValid."""
    try:
        return _VALUE_TEXTS[published.type](value)
    except (ValueError, InvalidOperation, OverflowError, TypeError) as wrong:
        raise ValueNotValid(
            T("The value given for {field} is not a valid {type}."),
            mend=T("Send a value of the published type."),
            field=published.name,
            type=published.type,
        ) from wrong


def conditions_sql(service: Service, conditions: Sequence[Condition], dialect: Dialect) -> list[str]:
    """One SQL condition for each of ``conditions`` on the table's own columns.

    Raises ViewNotApplicable for an unknown field or operator or a value of the wrong type.
    """
    written: list[str] = []
    for name, operator, value in conditions:
        published = service.field(name)
        if published is None or (operator != "in") != isinstance(value, str):
            raise _unfit(name)
        try:
            values = [value_text(published, part) for part in ((value,) if isinstance(value, str) else value)]
        except ValueNotValid as wrong:
            raise _unfit(name) from wrong
        column = _compared(service, published, dialect)
        literals = [_literal(published, text, dialect) for text in values]
        if operator == "in":
            written.append(f"{column} IN ({', '.join(literals)})" if literals else "FALSE")
        elif operator in _OPERATORS:
            written.append(f"{column} {_OPERATORS[operator]} {literals[0]}")
        else:
            raise _unfit(name)
    return written


def read_postgres(service: Service, names: Sequence[str], conditions: Sequence[Condition] = ()) -> str:
    """SELECT of the columns ``names``, unmasked, of the rows that meet ``conditions``, from the source relation."""
    columns = ", ".join(f"{postgres_column(service, name)} AS {quote_name(name)}" for name in names)
    where = _where(conditions_sql(service, conditions, "postgres"))
    origin = relation_sql(table_source(service))
    return f"SELECT {columns or '1'} FROM {origin}{where}"  # noqa: S608 - all parts are quoted here


def csv_lines(service: Service, names: Sequence[str], select: str) -> str:
    """What ``select`` (by ``read_postgres``) gives as one CSV text in UTF-8 and the length of its longest line.

    Texts are quoted, absent values are ``\\N``; one large value spares the client a message for each row.
    """
    cells = [_csv_cell(_field(service, name)) for name in names] or ["'1'"]
    line = f"array_to_string(ARRAY[{', '.join(cells)}], ',', '\\N')"
    lines = f"SELECT {line} AS line FROM ({select}) AS r"  # noqa: S608 - all parts are quoted
    text = "convert_to(string_agg(line, E'\\n'), 'UTF8')"
    return f"SELECT {text}, max(length(line)) FROM ({lines}) AS s"  # noqa: S608 - as above


def few_lines(service: Service, names: Sequence[str], select: str, *, most_rows: int, most_bytes: int) -> str:
    """The text of ``csv_lines`` and the number of rows; no text when there are more rows or bytes than allowed.

    The server stops reading after ``most_rows``: nobody has to know beforehand how large the table is.
    """
    cells = [_csv_cell(_field(service, name)) for name in names] or ["'1'"]
    line = f"array_to_string(ARRAY[{', '.join(cells)}], ',', '\\N')"
    lines = f"SELECT {line} AS line FROM ({select} LIMIT {most_rows + 1}) AS r"  # noqa: S608 - all parts are quoted
    fits = f"count(*) <= {most_rows} AND sum(octet_length(line) + 1) <= {most_bytes}"
    text = f"CASE WHEN {fits} THEN convert_to(string_agg(line, E'\\n'), 'UTF8') END"
    return f"SELECT {text}, count(*) FROM ({lines}) AS s"  # noqa: S608 - as above


def _csv_cell(published: Field) -> str:
    column = f"r.{quote_name(published.name)}"
    if published.type == "string":
        return f"""'"' || replace({column}, '"', '""') || '"'"""
    return f"{column}::text"


def read_file(service: Service, path: str, names: Sequence[str], conditions: Sequence[Condition] = ()) -> str:
    """The same from a CSV or Parquet file at ``path``, for DuckDB with its time zone set to UTC."""
    columns = ", ".join(f"{_file_column(service, name)} AS {quote_name(name)}" for name in names)
    where = _where(conditions_sql(service, conditions, "duckdb"))
    return f"SELECT {columns or '1'} FROM {_file_sql(service, path)}{where}"  # noqa: S608 - all parts are quoted here


SUBJECT = "lt_subject_"
"""Begins the names of columns that say whom a row is about; no SQL of others can name them."""


def masked_select(service: Service, view: View, names: Sequence[str], origin: str, subjects: Sequence[str] = ()) -> str:
    """DuckDB SELECT of the shown fields among ``names`` from ``origin`` (which holds them unmasked), masks applied.

    ``subjects`` are columns given once more, unmasked and as text, as ``lt_subject_0``, ``lt_subject_1`` ...
    """
    wanted = frozenset(names)
    parts: list[str] = []
    for shown in shown_fields(service, view):
        if shown.name not in wanted:
            continue
        published = _field(service, shown.name)
        mask = mask_of(view, shown.name)
        column = f"CAST({quote_name(shown.name)} AS {duckdb_type(published)})"
        value = column if mask is None else mask_sql(mask, published, column)
        parts.append(f"{value} AS {quote_name(shown.name)}")
    for place, name in enumerate(subjects):
        parts.append(f"CAST({quote_name(name)} AS VARCHAR) AS {SUBJECT}{place}")
    return f"SELECT {', '.join(parts) or '1 AS one'} FROM {origin}"  # noqa: S608 - all parts are quoted here


def relation_sql(source: TableSource) -> str:
    """The quoted ``schema.table``."""
    schema, _, table = source.relation.partition(".")
    return f"{quote_name(schema)}.{quote_name(table)}"


def postgres_column(service: Service, name: str) -> str:
    """A column of the source relation brought to the field's type; years outside 1-9999 and NaN become NULL."""
    published = _field(service, name)
    column = quote_name(name)
    if published.type == "decimal":
        precision, scale = published.decimal_shape
        odd = "'NaN'::numeric, 'Infinity'::numeric, '-Infinity'::numeric"
        return f"CASE WHEN {column} NOT IN ({odd}) THEN {column}::numeric({precision}, {scale}) END"
    if published.type == "date":
        return f"CASE WHEN {column} BETWEEN DATE '0001-01-01' AND DATE '9999-12-31' THEN {column} END"
    if published.type == "timestamp":
        if source_type(service, name).startswith("timestamp with time zone"):
            column = f"({column} AT TIME ZONE 'UTC')"
        first, last = "TIMESTAMP '0001-01-01 00:00:00'", "TIMESTAMP '9999-12-31 23:59:59.999999'"
        return f"CASE WHEN {column} BETWEEN {first} AND {last} THEN {column}::timestamp(6) END"
    cast = {"string": "text", "integer": "bigint", "double": "double precision", "boolean": "boolean"}
    return f"{column}::{cast[published.type]}"


def lookup_condition(service: Service, name: str, parameter: str) -> str:
    """PostgreSQL condition "column = parameter" in the column's own type, so that its index serves."""
    own = source_type(service, name)
    column = quote_name(name)
    if _TEXT_TYPE.fullmatch(own) or not own:
        return f"{column} = {parameter}::text"
    if own.startswith("timestamp with time zone"):
        return f"{column} = ({parameter}::timestamp AT TIME ZONE 'UTC')"
    published = _field(service, name)
    if own == "uuid" or published.type != "string":
        # Without the length: an explicit cast to numeric(3) or character(5) would alter the value looked for.
        return f"{column} = {parameter}::{own.split('(', 1)[0].strip()}"
    return f"{column}::text = {parameter}::text"


def source_type(service: Service, name: str) -> str:
    """The type of column ``name`` in the source, as found at publication; empty when it is not known."""
    return dict(table_source(service).columns).get(name, "")


def order_sql(service: Service, dialect: Dialect) -> str:
    """ORDER BY of the key columns; without a key of all columns, so that pages neither overlap nor leave out."""
    if service.key:
        return " ORDER BY " + ", ".join(quote_name(name) for name in service.key)
    names = [quote_name(field.name) for field in service.fields]
    # Not every PostgreSQL type has an order (json has none), its text has.
    return " ORDER BY " + ", ".join(f'{name}::text COLLATE "C"' if dialect == "postgres" else name for name in names)


def _field(service: Service, name: str) -> Field:
    found = service.field(name)
    if found is None:
        raise KeyError(name)
    return found


def _compared(service: Service, published: Field, dialect: Dialect) -> str:
    if dialect == "duckdb":
        return f"CAST({quote_name(published.name)} AS {duckdb_type(published)})"
    if published.type == "string":
        return f'{quote_name(published.name)}::text COLLATE "C"'
    return f"({postgres_column(service, published.name)})"


def _literal(published: Field, text: str, dialect: Dialect) -> str:
    quoted = quote_text(text)
    if dialect == "duckdb":
        return f"CAST({quoted} AS {_compared_type(published)})"
    cast = {
        "string": "text",
        "integer": "bigint",
        "decimal": "numeric",
        "double": "double precision",
        "boolean": "boolean",
        "date": "date",
        "timestamp": "timestamp",
    }
    return f"{quoted}::{cast[published.type]}"


def _compared_type(published: Field) -> str:
    # A filter's decimal may be finer than the column: 1.005 must not become 1.01 before it is compared.
    return "DECIMAL(38, 10)" if published.type == "decimal" else duckdb_type(published)


def _file_column(service: Service, name: str) -> str:
    published = _field(service, name)
    column = f"CAST({quote_name(name)} AS {duckdb_type(published)})"
    if published.type in ("date", "timestamp"):
        first, last = "'0001-01-01'", "'9999-12-31'" if published.type == "date" else "'9999-12-31 23:59:59.999999'"
        kind = duckdb_type(published)
        return f"CASE WHEN {column} BETWEEN CAST({first} AS {kind}) AND CAST({last} AS {kind}) THEN {column} END"
    return column


def _file_sql(service: Service, path: str) -> str:
    source = table_source(service)
    if source.kind == "parquet":
        return f"read_parquet({quote_text(path)})"
    return csv_sql(path, source.csv or CsvFormat(), source.columns)


def csv_sql(path: str, csv: CsvFormat, columns: Sequence[tuple[str, str]]) -> str:
    """DuckDB's ``read_csv`` of a UTF-8 file with nothing left to guess; ``columns`` are (name, DuckDB type)."""
    typed = ", ".join(f"{quote_text(name)}: {quote_text(kind)}" for name, kind in columns)
    return (
        f"read_csv({quote_text(path)}, auto_detect = false, compression = 'none', header = {str(csv.header).lower()},"
        f" delim = {quote_text(csv.delimiter)}, quote = {quote_text(csv.quote)}, escape = {quote_text(csv.quote)},"
        f" nullstr = {quote_text(csv.null)}, allow_quoted_nulls = {str(not csv.null).lower()},"
        f" max_line_size = {MAX_CSV_LINE_BYTES}, strict_mode = true, columns = {{{typed}}})"
    )


MAX_CSV_LINE_BYTES = 2 * 1024 * 1024
"""A longer line of a CSV file is refused: a file with one endless quoted field must not fill the memory."""


def _where(conditions: Sequence[str]) -> str:
    return f" WHERE {' AND '.join(conditions)}" if conditions else ""


def _unfit(name: str) -> ViewNotApplicable:
    return ViewNotApplicable(
        T("The agreement's row filter on {field} does not fit the table."),
        mend=T("The provider has to renew the agreement after the table has changed."),
        field=name,
    )


def _string_text(value: object) -> str:
    if not isinstance(value, str) or "\0" in value:
        raise ValueError("not a text")
    return value


def _integer_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, str)) or not _INTEGER.fullmatch(str(value)):
        raise ValueError("not a whole number")
    if not -(2**63) <= int(value) < 2**63:
        raise ValueError("out of range")
    return str(int(value))


def _decimal_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or len(str(value)) > 60:
        raise ValueError("not a number")
    number = Decimal(str(value))
    if not number.is_finite() or abs(number) >= 10**28 or number != round(number, 10):
        raise ValueError("out of range")
    return format(number, "f")


def _double_text(value: object) -> str:
    if isinstance(value, bool) or not isinstance(value, (int, float, str)) or not math.isfinite(float(value)):
        raise ValueError("not a number")
    return repr(float(value))


def _boolean_text(value: object) -> str:
    if value in (True, False, "true", "false") and isinstance(value, (bool, str)):
        return str(value).lower()
    raise ValueError("not a truth value")


def _date_text(value: object) -> str:
    return date.fromisoformat(_string_text(value)).isoformat()


def _timestamp_text(value: object) -> str:
    moment = datetime.fromisoformat(_string_text(value))
    if moment.tzinfo is not None:
        moment = moment.astimezone(UTC).replace(tzinfo=None)
    return moment.isoformat(sep=" ")


_VALUE_TEXTS = {
    "string": _string_text,
    "integer": _integer_text,
    "decimal": _decimal_text,
    "double": _double_text,
    "boolean": _boolean_text,
    "date": _date_text,
    "timestamp": _timestamp_text,
}
