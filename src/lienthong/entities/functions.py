"""What ``linkage`` knows as functions of a DuckDB connection."""

from __future__ import annotations

from datetime import date

import duckdb
from duckdb.func import FunctionNullHandling

from lienthong.law.text import fold
from lienthong.linkage.address import resolve


def add_functions(connection: duckdb.DuckDBPyConnection) -> None:
    """Add ``address_code(text, day)``, ``address_status(text, day)`` and ``fold(text)`` to ``connection``.

    The code is NULL where no single commune can be named for certain; the status says why
    (exact, corrected, ambiguous, split, none).  Nothing is fetched from anywhere.
    """
    connection.create_function(
        "address_code", _code, ["VARCHAR", "DATE"], "VARCHAR", null_handling=FunctionNullHandling.SPECIAL
    )
    connection.create_function(
        "address_status", _status, ["VARCHAR", "DATE"], "VARCHAR", null_handling=FunctionNullHandling.SPECIAL
    )
    connection.create_function("fold", fold, ["VARCHAR"], "VARCHAR")


def _code(text: str | None, day: date | None) -> str | None:
    if text is None or day is None:
        return None
    unit = resolve(text, day).unit
    return unit.code if unit else None


def _status(text: str | None, day: date | None) -> str | None:
    return None if text is None or day is None else resolve(text, day).status
