"""Which files of a table a reader's predicate hints leave out, judged by each file's statistics.  Pure.

Promises: a file is left out only when no row of it can meet the hint; whatever is not understood leaves nothing out.
Source: the Delta Sharing protocol, "JSON predicates for filtering" and "SQL expressions for filtering".
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal, InvalidOperation
from typing import cast

from lienthong.catalog.models import Field

MAX_HINT_BYTES = 64 * 1024
MAX_DEPTH = 20
_COMPARISONS = {
    "equal": "=", "lessThan": "<", "lessThanOrEqual": "<=", "greaterThan": ">", "greaterThanOrEqual": ">=",
}  # fmt: skip
_MIRRORED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<=", "<>": "<>"}
_SQL = re.compile(
    r"""\s*\(*\s*(?P<column>`[^`]+`|[\w.]+)\s*
        (?:(?P<operator>=|==|<=>|<=|>=|<>|!=|<|>)\s*(?P<value>'(?:[^']|'')*'|-?[0-9]+(?:\.[0-9]+)?|true|false)
          |is\s+(?P<negated>not\s+)?null)
        \s*\)*\s*""",
    re.IGNORECASE | re.VERBOSE,
)

Value = str | Decimal | date | datetime


@dataclass(frozen=True, slots=True)
class Can:
    """Whether a predicate can be true and whether it can be false for some row of a file."""

    be_true: bool
    be_false: bool


UNKNOWN = Can(True, True)


@dataclass(frozen=True, slots=True)
class Statistics:
    """What a file's statistics say of its columns; built once for each file."""

    rows: int
    least: Mapping[str, object]
    greatest: Mapping[str, object]
    absent: Mapping[str, int]

    @staticmethod
    def read(text: str) -> Statistics:
        """From the JSON text that travels with the file."""
        told = cast("dict[str, object]", json.loads(text))
        return Statistics(
            rows=cast("int", told["numRecords"]),
            least=cast("Mapping[str, object]", told["minValues"]),
            greatest=cast("Mapping[str, object]", told["maxValues"]),
            absent=cast("Mapping[str, int]", told["nullCount"]),
        )


Predicate = Callable[[Statistics], Can]


def hint_predicate(fields: Sequence[Field], sql_hints: object, json_hint: object) -> Predicate:
    """What a query's ``predicateHints`` (list of SQL texts, ANDed) and ``jsonPredicateHints`` (JSON text) ask for."""
    known = {field.name.lower(): field for field in fields}
    parts: list[Predicate] = []
    if isinstance(json_hint, str) and len(json_hint) <= MAX_HINT_BYTES:
        try:
            parts.append(_node(json.loads(json_hint), known, 0))
        except (ValueError, KeyError, TypeError, InvalidOperation, RecursionError):
            pass  # a hint is a hint: what is not understood leaves nothing out
    if isinstance(sql_hints, list):
        for hint in cast("list[object]", sql_hints)[:100]:
            if isinstance(hint, str) and len(hint) <= MAX_HINT_BYTES:
                parts.append(_sql_hint(hint, known))
    return _all(parts)


def may_hold(predicate: Predicate, statistics: str) -> bool:
    """Whether a file with these statistics may hold a row that meets the predicate."""
    return predicate(Statistics.read(statistics)).be_true


def _node(node: object, known: Mapping[str, Field], depth: int) -> Predicate:
    if depth > MAX_DEPTH or not isinstance(node, dict):
        raise ValueError("not a predicate")
    told = cast("dict[str, object]", node)
    operator = str(told["op"])
    children = cast("list[object]", told.get("children", []))
    if operator in ("and", "or"):
        parts = [_node(child, known, depth + 1) for child in children]
        return _all(parts) if operator == "and" else _any(parts)
    if operator == "not":
        return _not(_node(children[0], known, depth + 1))
    if operator == "isNull":
        field = _column(children[0], known)
        return lambda file: _absence(file, field)
    if operator in _COMPARISONS:
        return _json_comparison(children, _COMPARISONS[operator], known)
    raise ValueError("unknown operator")


def _json_comparison(children: list[object], operator: str, known: Mapping[str, Field]) -> Predicate:
    left, right = (cast("dict[str, object]", child) for child in children)
    if left["op"] == "literal":
        left, right, operator = right, left, _MIRRORED[operator]
    field = _column(left, known)
    if right["op"] != "literal":
        raise ValueError("two columns")
    value = _value(field, str(right["value"]))
    return lambda file: _comparison(file, field, operator, value)


def _column(node: object, known: Mapping[str, Field]) -> Field:
    told = cast("dict[str, object]", node)
    if told["op"] != "column":
        raise ValueError("a column was expected")
    return known[str(told["name"]).lower()]


def _sql_hint(hint: str, known: Mapping[str, Field]) -> Predicate:
    found = _SQL.fullmatch(hint)
    field = known.get(found["column"].strip("`").lower()) if found else None
    if found is None or field is None:
        return lambda _: UNKNOWN
    if found["operator"] is None:
        absence: Predicate = lambda file: _absence(file, field)  # noqa: E731 - one of two like the other
        return _not(absence) if found["negated"] else absence
    operator = {"==": "=", "<=>": "=", "!=": "<>"}.get(found["operator"], found["operator"])
    text = found["value"]
    try:
        value = _value(field, text[1:-1].replace("''", "'") if text.startswith("'") else text)
    except (ValueError, InvalidOperation):
        return lambda _: UNKNOWN
    if operator == "<>":
        return _not(lambda file: _comparison(file, field, "=", value))
    return lambda file: _comparison(file, field, operator, value)


def _comparison(file: Statistics, field: Field, operator: str, value: Value | None) -> Can:
    """For rows that hold a value; absent values make a comparison neither true nor false."""
    if file.absent.get(field.name) == file.rows:
        return Can(False, False)
    if value is None:
        return UNKNOWN
    least, greatest = _bound(field, file.least), _bound(field, file.greatest)
    below = least is None or _less(least, value)
    above = greatest is None or _less(value, greatest)
    reaches_down = least is None or not _less(value, least)
    reaches_up = greatest is None or not _less(greatest, value)
    if operator == "=":
        return Can(reaches_down and reaches_up, below or above)
    if operator == "<":
        return Can(below, reaches_up)
    if operator == "<=":
        return Can(reaches_down, above)
    if operator == ">":
        return Can(above, reaches_down)
    return Can(reaches_up, below)


def _absence(file: Statistics, field: Field) -> Can:
    absent = file.absent.get(field.name)
    return UNKNOWN if absent is None else Can(absent > 0, absent < file.rows)


def _less(left: Value, right: Value) -> bool:
    return left < right  # type: ignore[operator] - both were made for the same field


def _bound(field: Field, bounds: Mapping[str, object]) -> Value | None:
    bound = bounds.get(field.name)
    return None if bound is None else _value(field, str(bound))


def _value(field: Field, text: str) -> Value | None:
    """``text`` in the field's order; None for types that have none here.  Raises ValueError, InvalidOperation."""
    if field.type == "string":
        return text
    if field.type in ("integer", "decimal", "double"):
        number = Decimal(text)
        return number if number.is_finite() else None
    if field.type == "date":
        return date.fromisoformat(text)
    if field.type == "timestamp":
        moment = datetime.fromisoformat(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    return None


def _all(parts: Sequence[Predicate]) -> Predicate:
    def joined(file: Statistics) -> Can:
        found = [part(file) for part in parts]
        return Can(all(can.be_true for can in found), any(can.be_false for can in found))

    return joined


def _any(parts: Sequence[Predicate]) -> Predicate:
    def joined(file: Statistics) -> Can:
        found = [part(file) for part in parts]
        return Can(any(can.be_true for can in found), all(can.be_false for can in found))

    return joined


def _not(part: Predicate) -> Predicate:
    def turned(file: Statistics) -> Can:
        can = part(file)
        return Can(can.be_false, can.be_true)

    return turned
