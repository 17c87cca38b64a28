"""Hints leave out a file only when none of its rows can meet them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.catalog.models import Field
from lienthong.tables.prune import hint_predicate, may_hold

FIELDS = (Field("n", "integer"), Field("s", "string"), Field("d", "date"), Field("b", "boolean"))
DAY = date(2026, 1, 1)
Row = tuple[int | None, str | None, date | None, bool | None]
ROWS = st.lists(
    st.tuples(
        st.none() | st.integers(-5, 5),
        st.none() | st.sampled_from(["", "a", "ab", "b", "Ă", "đ"]),
        st.none() | st.integers(-3, 3).map(lambda days: DAY + timedelta(days)),
        st.none() | st.booleans(),
    ),
    min_size=1,
    max_size=6,
)  # fmt: skip


def statistics(rows: list[Row]) -> str:
    least: dict[str, object] = {}
    greatest: dict[str, object] = {}
    absent: dict[str, int] = {}
    for place, field in enumerate(FIELDS):
        present = [row[place] for row in rows if row[place] is not None]
        absent[field.name] = len(rows) - len(present)
        if present and field.type != "boolean":
            least[field.name], greatest[field.name] = (
                cell.isoformat() if isinstance(cell, date) else cell
                for cell in (min(present), max(present))  # type: ignore[type-var]
            )
    return json.dumps({"numRecords": len(rows), "minValues": least, "maxValues": greatest, "nullCount": absent})


def literal(field: Field, value: object) -> dict[str, object]:
    kinds = {"integer": "int", "string": "string", "date": "date", "boolean": "bool"}
    text = (
        value.isoformat() if isinstance(value, date) else str(value).lower() if isinstance(value, bool) else str(value)
    )
    return {"op": "literal", "value": text, "valueType": kinds[field.type]}


OPERATORS = ("equal", "lessThan", "lessThanOrEqual", "greaterThan", "greaterThanOrEqual")


@st.composite
def predicates(draw: st.DrawFn, depth: int = 3) -> dict[str, Any]:
    kind = draw(st.sampled_from(["compare", "isNull"] + (["and", "or", "not"] if depth else [])))
    if kind in ("and", "or"):
        return {"op": kind, "children": draw(st.lists(predicates(depth=depth - 1), min_size=1, max_size=3))}
    if kind == "not":
        return {"op": "not", "children": [draw(predicates(depth=depth - 1))]}
    field = draw(st.sampled_from(FIELDS))
    column = {"op": "column", "name": field.name, "valueType": "x"}
    if kind == "isNull":
        return {"op": "isNull", "children": [column]}
    values = {
        "integer": st.integers(-6, 6), "string": st.sampled_from(["", "a", "aa", "b", "Â", "z"]),
        "date": st.integers(-4, 4).map(lambda days: DAY + timedelta(days)), "boolean": st.booleans(),
    }  # fmt: skip
    children = [column, literal(field, draw(values[field.type]))]
    return {"op": draw(st.sampled_from(OPERATORS)), "children": children[::-1] if draw(st.booleans()) else children}


def holds(node: dict[str, Any], row: Row) -> bool | None:
    """SQL's three values, row by row: the oracle."""
    children = node["children"]
    if node["op"] in ("and", "or"):
        found = [holds(child, row) for child in children]
        decisive = node["op"] == "or"
        return decisive if decisive in found else (None if None in found else not decisive)
    if node["op"] == "not":
        inner = holds(children[0], row)
        return None if inner is None else not inner
    cells: list[Any] = [cell_of(child, row) for child in children]
    if node["op"] == "isNull":
        return cells[0] is None
    if None in cells:
        return None
    left, right = cells
    return {
        "equal": left == right, "lessThan": left < right, "lessThanOrEqual": left <= right,
        "greaterThan": left > right, "greaterThanOrEqual": left >= right,
    }[node["op"]]  # fmt: skip


def cell_of(child: dict[str, Any], row: Row) -> object:
    if child["op"] == "column":
        return row[[field.name for field in FIELDS].index(child["name"])]
    return {"int": int, "string": str, "date": date.fromisoformat, "bool": lambda text: text == "true"}[
        child["valueType"]
    ](child["value"])


@settings(max_examples=500, deadline=None)
@given(rows=ROWS, predicate=predicates())
def test_a_file_with_a_matching_row_is_never_left_out(rows: list[Row], predicate: dict[str, Any]) -> None:
    matching = any(holds(predicate, row) is True for row in rows)
    kept = may_hold(hint_predicate(FIELDS, None, json.dumps(predicate)), statistics(rows))

    assert kept or not matching


@pytest.mark.parametrize(
    ("hint", "kept"),
    [
        ("n >= 10", [False, True]),
        ("(n < 5)", [True, False]),
        ("`n` = 3", [True, False]),
        ("n <> 3", [True, True]),
        ("s = 'it''s'", [False, True]),
        ("d > '2026-06-01'", [False, True]),
        ("d IS NULL", [False, False]),
        ("d is not null", [True, True]),
        ("n = 'not a number'", [True, True]),
        ("gone = 1", [True, True]),
        ("n > 1 OR n < 100", [True, True]),
        ("1=1; DROP TABLE x", [True, True]),
        ("b = true", [True, True]),
    ],
)
def test_sql_hints_of_older_clients_prune_and_what_is_not_understood_does_not(hint: str, kept: list[bool]) -> None:
    first: list[Row] = [(1, "a", date(2026, 1, 1), True), (4, "b", date(2026, 2, 1), None)]
    second: list[Row] = [(10, "i", date(2026, 7, 1), True), (14, "j", date(2026, 8, 1), None)]
    predicate = hint_predicate(FIELDS, [hint], None)

    assert [may_hold(predicate, statistics(rows)) for rows in (first, second)] == kept


@pytest.mark.parametrize("hint", ["{", "[]", "5", '{"op":"equal"}', '{"op":"x","children":[]}', "[" * 9000, "null"])
def test_a_broken_hint_leaves_nothing_out(hint: str) -> None:
    assert may_hold(hint_predicate(FIELDS, ["n ="], hint), statistics([(1, None, None, None)]))


def test_a_deep_hint_is_not_followed() -> None:
    inner = '{"op":"isNull","children":[{"op":"column","name":"n"}]}'
    text = '{"op":"not","children":[' * 30 + inner + "]}" * 30

    assert may_hold(hint_predicate(FIELDS, None, text), statistics([(1, None, None, None)]))


def test_decimals_are_compared_exactly() -> None:
    fields = (Field("a", "decimal", precision=20, scale=2),)
    stats = '{"numRecords":1,"minValues":{"a":0.1},"maxValues":{"a":0.1},"nullCount":{"a":0}}'

    assert may_hold(hint_predicate(fields, [f"a = {Decimal('0.10')}"], None), stats)
    assert not may_hold(hint_predicate(fields, ["a > 0.1"], None), stats)
