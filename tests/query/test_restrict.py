"""The provider sees its own agreement kept whatever is asked: granted columns, masked values, and one table only."""

from __future__ import annotations

import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.errors import Problem
from lienthong.query.problems import QueryRefused, UnknownColumn
from lienthong.query.restrict import restrict
from lienthong.tables.models import Condition, View, ViewNotApplicable
from tests.query.made_queries import Maker
from tests.query.members import CITIZEN, Federation, Row, rows_of
from tests.query.test_same_answers import comparable

C = "g01.dancu.citizen"
VIEW = View(
    fields=("pn", "full_name", "commune", "born", "gender", "income", "married", "children", "height"),
    masks={"full_name": "partial", "born": "year", "income": "round", "children": "null", "height": "drop"},
    row_filter=(("commune", "in", ("Hồng Bàng", "Lê Chân", "An Dương")),),
)


@pytest.fixture
def masked(federation: Federation) -> Federation:
    return federation.with_terms(CITIZEN, VIEW)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT pn FROM citizen c JOIN citizen d USING (pn)",
        "SELECT pn FROM citizen UNION ALL SELECT pn FROM citizen",
        "WITH x AS (SELECT pn FROM citizen) SELECT pn FROM x",
        "SELECT pn FROM (SELECT pn FROM citizen)",
        "SELECT pn FROM citizen WHERE EXISTS (SELECT 1 FROM citizen)",
        "SELECT (SELECT max(pn) FROM citizen)",
        "(SELECT pn FROM citizen)",
        "SELECT 1",
    ],
)
def test_a_sub_query_is_one_select_over_one_table(federation: Federation, sql: str):
    with pytest.raises(QueryRefused) as refused:
        restrict(sql, federation.members[C].service, View())

    assert refused.value.kind == "query-not-allowed"


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("SELECT owner FROM parcel", "unknown-table"),
        ("SELECT pn FROM dancu.citizen", "unknown-table"),
        ("SELECT pn FROM g01.dancu.citizen", "unknown-table"),
        ("SELECT * FROM information_schema.tables", "unknown-table"),
        ("SELECT getenv('HOME') FROM citizen", "function-not-allowed"),
        ("DROP TABLE citizen", "not-one-select"),
        ("SELECT pn FROM citizen; DROP TABLE citizen", "not-one-select"),
    ],
)
def test_a_sub_query_is_read_again_and_trusts_no_planner(federation: Federation, sql: str, kind: str):
    with pytest.raises(Problem) as refused:
        restrict(sql, federation.members[C].service, View())

    assert refused.value.kind == kind


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT {x} FROM citizen",
        "SELECT c.{x} FROM citizen c",
        "SELECT pn FROM citizen WHERE {x} IS NOT NULL",
        "SELECT pn FROM citizen ORDER BY {x}",
        "SELECT count(*) FROM citizen GROUP BY {x}",
        "SELECT commune FROM citizen GROUP BY commune HAVING min({x}) IS NULL",
        "SELECT row_number() OVER (PARTITION BY {x}) FROM citizen",
        "SELECT count(*) FILTER (WHERE {x} IS NULL) FROM citizen",
        "SELECT pn FROM citizen QUALIFY rank() OVER (ORDER BY {x}) = 1",
        "SELECT pn FROM citizen WINDOW w AS (ORDER BY {x})",
        'SELECT "{x}" FROM citizen',
    ],
)
@pytest.mark.parametrize("column", ["height", "pn"])
def test_a_dropped_or_ungranted_column_is_unknown_in_every_clause(masked: Federation, sql: str, column: str):
    view = View(fields=tuple(name for name in VIEW.fields or () if name != "pn"), masks=VIEW.masks)
    asked = sql.replace("SELECT pn", "SELECT gender").format(x=column)

    with pytest.raises(UnknownColumn):
        restrict(asked, masked.members[C].service, view)
    if column == "height":
        with pytest.raises(UnknownColumn):
            masked.plan(sql.replace("FROM citizen", f"FROM {C}").format(x=column))


def test_a_star_gives_what_is_granted_and_no_more(masked: Federation):
    restricted = restrict("SELECT * FROM citizen", masked.members[C].service, VIEW)

    assert restricted.reads == ("pn", "full_name", "commune", "born", "gender", "income", "married", "children")
    assert "height" not in masked.members[C].answer("SELECT * FROM citizen").column_names


def test_conditions_meet_masked_values(masked: Federation):
    assert masked.ask(f"SELECT count(*) FROM {C} WHERE full_name = 'Nguyễn Văn An'") == [(0,)]
    assert masked.ask(f"SELECT count(*) FROM {C} WHERE full_name LIKE '%Văn%'") == [(0,)]
    assert masked.ask(f"SELECT count(*) FROM {C} WHERE children IS NOT NULL") == [(0,)]
    assert masked.ask(f"SELECT count(*) FROM {C} WHERE month(born) <> 1 OR day(born) <> 1") == [(0,)]
    shown = {name for (name,) in masked.ask(f"SELECT DISTINCT full_name FROM {C} ORDER BY full_name")}
    assert shown
    assert not secrets() & shown


@settings(max_examples=120, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_under_masks_and_a_row_filter_the_answer_is_that_of_the_tables_as_shown(
    federation: Federation, rng: random.Random
):
    masked = federation.with_terms(CITIZEN, VIEW)
    made = Maker(rng).query()
    try:
        planned = masked.plan(made.sql)
    except UnknownColumn:
        assert "height" in made.sql
        return
    assert all("height" not in part.sql for part in planned.subqueries)
    expected = comparable(masked.merged().sql(made.sql).fetchall())
    found = comparable(masked.ask(made.sql))
    assert not secrets() & {value for row in found for value in row if isinstance(value, str)}
    assert Counter(found) == Counter(expected), made.sql


def secrets() -> set[str]:
    """Full names of persons: no other table holds them, and under the mask none may be seen whole."""
    return {str(row[1]) for row in rows_of(CITIZEN, 120) if row[1]}


CONDITIONS: list[tuple[str, tuple[Condition, ...]]] = [
    ("pn = '001'", (("pn", "eq", "001"),)),
    ("'001' = pn AND gender <> 'M'", (("pn", "eq", "001"), ("gender", "neq", "M"))),
    ("pn >= '001' AND ('9' > pn)", (("pn", "gteq", "001"), ("pn", "lt", "9"))),
    ("pn IN ('001', '002')", (("pn", "in", ("001", "002")),)),
    ("pn BETWEEN '1' AND '2'", (("pn", "gteq", "1"), ("pn", "lteq", "2"))),
    ("citizen.pn = '001' AND length(gender) = 1", (("pn", "eq", "001"),)),
    ("pn = 'x''y'", (("pn", "eq", "x'y"),)),
    ("pn = '001' OR gender = 'M'", ()),
    ("NOT pn = '001'", ()),
    ("pn NOT IN ('001')", ()),
    ("pn IN ('001', gender)", ()),
    ("pn = gender", ()),
    ("pn = 1", ()),
    ("upper(pn) = 'X'", ()),
    ("pn LIKE '0%'", ()),
    ("pn IS NULL", ()),
    # Masked: the source would compare what the asker may not see.
    ("full_name = 'Nguyễn Văn An'", ()),
    ("born = '1990-01-01'", ()),
    ("income > 3", ()),
]


@pytest.mark.parametrize(("where", "conditions"), CONDITIONS)
def test_simple_conditions_on_unmasked_columns_reach_the_source(
    masked: Federation, where: str, conditions: tuple[Condition, ...]
):
    restricted = restrict(f"SELECT count(*) FROM citizen WHERE {where}", masked.members[C].service, VIEW)

    assert restricted.conditions == conditions


@pytest.mark.parametrize(
    ("where", "conditions"),
    [
        ("born < '1990-01-01'", (("born", "lt", "1990-01-01"),)),
        ("born < DATE '1990-01-01'", (("born", "lt", "1990-01-01"),)),
        ("born < CAST('1990-01-01' AS DATE)", (("born", "lt", "1990-01-01"),)),
        ("born < '1990-1-1'", ()),
        ("born < '1990-02-31'", ()),
        ("income > -2.25", (("income", "gt", "-2.25"),)),
        ("income > 1e3", ()),
        ("children = 3", (("children", "eq", "3"),)),
        ("children = 3.0", ()),
        ("children = '3'", ()),
        ("height = 1.5", ()),
        ("married = TRUE", ()),
    ],
)
def test_a_condition_reaches_the_source_only_if_it_means_the_same_there(
    federation: Federation, where: str, conditions: tuple[Condition, ...]
):
    restricted = restrict(f"SELECT count(*) FROM citizen WHERE {where}", federation.members[C].service, View())

    assert restricted.conditions == conditions


def test_a_row_filter_on_a_column_that_is_gone_gives_nothing(federation: Federation):
    with pytest.raises(ViewNotApplicable):
        restrict("SELECT pn FROM citizen", federation.members[C].service, View(row_filter=(("gone", "eq", "1"),)))


def test_rows_outside_the_filter_count_nowhere(masked: Federation):
    communes: list[Row] = masked.ask(f"SELECT DISTINCT commune FROM {C} ORDER BY 1")

    assert communes == [("An Dương",), ("Hồng Bàng",), ("Lê Chân",)]
    assert masked.ask(f"SELECT count(*) FROM {C} WHERE commune IS NULL OR commune = 'Ngô Quyền'") == [(0,)]
