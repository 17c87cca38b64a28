"""The masks of an agreement, once in Python for rows and once as DuckDB SQL for files and queries.

Promises: both forms give the same answer (a property test compares them), and a mask that does not fit a type hides the
value altogether.
"""

from __future__ import annotations

import math
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from lienthong.catalog.models import Field
from lienthong.tables.models import Cell, MaskKind

SHOWN_AT_START = 3
SHOWN_AT_END = 2
_HIDDEN_WHOLE = SHOWN_AT_START + SHOWN_AT_END
"""A text of at most this length shows nothing: keeping five of five characters would hide none."""
_LARGEST_DOUBLE = 10**15
"""Doubles from here on are hidden by ``round``: whole numbers are no longer exact in every engine."""
_LARGEST_DECIMAL = 10**38
_SAFE = {
    ("partial", "string"), ("partial", "integer"),
    ("year", "date"), ("year", "timestamp"),
    ("round", "integer"), ("round", "decimal"), ("round", "double"),
}  # fmt: skip


def mask_value(kind: MaskKind, published: Field, cell: Cell) -> Cell:
    """``cell`` (as in a JSON row) of field ``published`` under the mask ``kind``.

    ``null`` and ``drop`` give None.  ``partial`` keeps the first three and last two characters and puts a star for each
    other one.  ``year`` gives 1 January.  ``round`` gives the nearest whole number with two significant digits, halves
    away from zero.
    """
    if cell is None or (kind, published.type) not in _SAFE:
        return None
    if kind == "partial":
        return _partial(str(cell))
    if kind == "year":
        return _first_of_year(str(cell))
    if published.type == "decimal":
        rounded = _rounded_decimal(str(cell))
        return None if rounded is None else str(rounded)
    if published.type == "double":
        return _rounded_double(float(cell))
    return _two_digits(int(cell))


def mask_sql(kind: MaskKind, published: Field, expression: str) -> str:
    """DuckDB SQL that masks ``expression`` (of the field's DuckDB type) as ``mask_value`` does."""
    if (kind, published.type) not in _SAFE:
        return f"CAST(NULL AS {duckdb_type(published)})"
    if kind == "partial":
        return _partial_sql(f"CAST({expression} AS VARCHAR)")
    if kind == "year":
        return f"CAST(date_trunc('year', {expression}) AS {duckdb_type(published)})"
    if published.type == "decimal":
        return f"TRY_CAST({_two_digits_sql(f'CAST(round({expression}, 0) AS HUGEINT)')} AS DECIMAL(38, 0))"
    if published.type == "double":
        whole = _two_digits_sql(f"CAST(round({expression}) AS HUGEINT)")
        return f"CASE WHEN abs({expression}) < {_LARGEST_DOUBLE} THEN CAST({whole} AS DOUBLE) END"
    return f"CAST({_two_digits_sql(f'CAST({expression} AS HUGEINT)')} AS BIGINT)"


def duckdb_type(published: Field) -> str:
    """The DuckDB type that holds a field's values."""
    if published.type == "decimal":
        precision, scale = published.decimal_shape
        return f"DECIMAL({precision}, {scale})"
    return {
        "string": "VARCHAR",
        "integer": "BIGINT",
        "double": "DOUBLE",
        "boolean": "BOOLEAN",
        "date": "DATE",
        "timestamp": "TIMESTAMP",
    }[published.type]


def _partial(text: str) -> str:
    hidden = len(text) - _HIDDEN_WHOLE
    if hidden <= 0:
        return "*" * len(text)
    return text[:SHOWN_AT_START] + "*" * hidden + text[-SHOWN_AT_END:]


def _partial_sql(text: str) -> str:
    length = f"length({text})"
    return (
        f"CASE WHEN {length} <= {_HIDDEN_WHOLE} THEN repeat('*', {length}) ELSE left({text}, {SHOWN_AT_START})"
        f" || repeat('*', {length} - {_HIDDEN_WHOLE}) || right({text}, {SHOWN_AT_END}) END"
    )


def _first_of_year(iso: str) -> str:
    return f"{iso[:4]}-01-01T00:00:00" if "T" in iso else f"{iso[:4]}-01-01"


def _two_digits(whole: int) -> int:
    size = abs(whole)
    unit = 10 ** max(len(str(size)) - 2, 0)
    rounded = (size + unit // 2) // unit * unit
    return -rounded if whole < 0 else rounded


def _two_digits_sql(whole: str) -> str:
    """As ``_two_digits`` on a HUGEINT; written with text because DuckDB's powers are doubles."""
    size = f"abs({whole})"
    unit = f"CAST('1' || repeat('0', greatest(length(CAST({size} AS VARCHAR)) - 2, 0)) AS HUGEINT)"
    return f"(sign({whole}) * (({size} + {unit} // 2) // {unit} * {unit}))"


def _rounded_decimal(text: str) -> int | None:
    try:
        whole = int(Decimal(text).to_integral_value(ROUND_HALF_UP))
    except (InvalidOperation, ValueError, OverflowError):  # NaN, infinity
        return None
    rounded = _two_digits(whole)
    return rounded if abs(rounded) < _LARGEST_DECIMAL else None


def _rounded_double(value: float) -> float | None:
    if not math.isfinite(value) or abs(value) >= _LARGEST_DOUBLE:
        return None
    size = abs(value)
    whole = math.floor(size)
    whole += size - whole >= 0.5
    return float(_two_digits(-whole if value < 0 else whole))
