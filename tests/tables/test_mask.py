"""A mask hides the same in Python (rows of a call) and in DuckDB (files and queries)."""

from __future__ import annotations

from datetime import date, datetime
from decimal import Decimal

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.catalog.models import Field, Service
from lienthong.directory.models import ServiceId
from lienthong.tables.mask import duckdb_type, mask_sql, mask_value
from lienthong.tables.models import (
    MASKS,
    MaskKind,
    View,
    ViewNotApplicable,
    check_row_filter,
    masked_field,
    shown_fields,
    view_digest,
)

FIELDS = {
    "string": Field("f", "string"),
    "integer": Field("f", "integer"),
    "decimal": Field("f", "decimal", precision=38, scale=4),
    "double": Field("f", "double"),
    "boolean": Field("f", "boolean"),
    "date": Field("f", "date"),
    "timestamp": Field("f", "timestamp"),
}
VALUES = {
    "string": st.text(max_size=40).filter(lambda text: "\0" not in text),
    "integer": st.integers(-(2**63), 2**63 - 1),
    "decimal": st.decimals(-(10**30), 10**30, places=4, allow_nan=False, allow_infinity=False),
    "double": st.floats(allow_nan=True, allow_infinity=True),
    "boolean": st.booleans(),
    "date": st.dates(),
    "timestamp": st.datetimes(),
}


def as_cell(value: object) -> str | int | float | bool | None:
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    return value


@pytest.mark.parametrize("type_name", sorted(FIELDS))
@pytest.mark.parametrize("kind", [mask for mask in MASKS if mask != "drop"])
def test_python_and_duckdb_mask_alike(kind: MaskKind, type_name: str) -> None:
    field = FIELDS[type_name]
    connection = duckdb.connect()
    select = f"SELECT {mask_sql(kind, field, 'f')} FROM (SELECT CAST($1 AS {duckdb_type(field)}) AS f)"

    @settings(max_examples=80, deadline=None)
    @given(value=st.none() | VALUES[type_name])
    def alike(value: object) -> None:
        [[masked]] = connection.execute(select, [value]).fetchall()
        assert as_cell(masked) == mask_value(kind, field, as_cell(value))

    alike()


def test_the_masked_type_is_the_one_duckdb_gives() -> None:
    connection = duckdb.connect()
    for field in FIELDS.values():
        for kind in MASKS:
            if kind == "drop":
                continue
            expression = mask_sql(kind, field, f"CAST(NULL AS {duckdb_type(field)})")
            [[given_type]] = connection.execute(f"SELECT typeof({expression})").fetchall()
            assert given_type.replace(",", ", ") == duckdb_type(masked_field(field, kind)), (kind, field.type)


@pytest.mark.parametrize(
    ("kind", "type_name", "clear", "masked"),
    [
        ("partial", "string", "001099012345", "001*******45"),
        ("partial", "string", "Nguyễn Văn Ất", "Ngu********Ất"),
        ("partial", "string", "short", "*****"),
        ("partial", "integer", 912345678, "912****78"),
        ("partial", "double", 1.5, None),
        ("year", "date", "1999-12-31", "1999-01-01"),
        ("year", "timestamp", "1999-12-31T23:59:59", "1999-01-01T00:00:00"),
        ("year", "string", "1999-12-31", None),
        ("round", "integer", 12550, 13000),
        ("round", "integer", -12550, -13000),
        ("round", "integer", 7, 7),
        ("round", "decimal", "1449.5", "1500"),
        ("round", "double", 0.4, 0.0),
        ("null", "string", "anything", None),
    ],
)
def test_each_mask_hides_what_it_promises(kind: MaskKind, type_name: str, clear: object, masked: object) -> None:
    assert mask_value(kind, FIELDS[type_name], clear) == masked  # type: ignore[arg-type]


def a_service() -> Service:
    return Service(
        id=ServiceId("VN/GOV/G01/dancu/citizen"),
        kind="table",
        title_vi="Công dân",
        title_en="Citizens",
        sharing="shared",
        fields=(Field("number", "string"), Field("born", "date"), Field("income", "integer")),
    )


def test_a_view_shows_granted_fields_without_the_dropped_ones() -> None:
    view = View(fields=("income", "number"), masks={"income": "drop", "number": "partial", "born": "year"})

    assert [field.name for field in shown_fields(a_service(), view)] == ["number"]


def test_an_unknown_mask_is_refused_and_not_skipped() -> None:
    with pytest.raises(ViewNotApplicable):
        shown_fields(a_service(), View(masks={"number": "blur"}))


@pytest.mark.parametrize(
    "condition", [("gone", "eq", "1"), ("number", "like", "1%"), ("number", "in", "1"), ("number", "eq", ("1",))]
)
def test_a_row_filter_that_does_not_fit_gives_nothing(condition: tuple[str, str, str]) -> None:
    with pytest.raises(ViewNotApplicable) as refused:
        check_row_filter(a_service(), View(row_filter=(condition,)))

    assert refused.value.kind == "view-not-applicable"


def test_equal_views_share_a_digest_and_different_ones_do_not() -> None:
    one = View(fields=("number", "born"), masks={"born": "year", "number": "null"}, limit=5)
    same = View(fields=("born", "number"), masks={"number": "null", "born": "year"})
    other = View(fields=("born", "number"), masks={"number": "null"})

    assert view_digest(one) == view_digest(same) != view_digest(other)
