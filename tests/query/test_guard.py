"""Where an agreement gives statistics only, no query tells of fewer rows than it says, nor by failing."""

from __future__ import annotations

import random
from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.query.problems import GroupGuard
from lienthong.query.restrict import restrict
from lienthong.tables.models import View
from tests.query.members import CITIZEN, Federation, make_federation
from tests.query.test_same_answers import comparable

LEAST = 10
COUNT = 400
C = "g01.dancu.citizen"
P = '"h31.12".datdai.parcel'


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """People under an agreement with a least group of ten."""
    return make_federation(tmp_path_factory.mktemp("guarded"), COUNT).with_terms(CITIZEN, View(), LEAST)


@pytest.fixture(scope="module")
def whole(guarded: Federation) -> duckdb.DuckDBPyConnection:
    return guarded.merged()


def direct(whole: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[object, ...]]:
    return whole.sql(sql).fetchall()


@pytest.mark.parametrize(
    "sql",
    [
        # Raw rows, in every disguise.
        "SELECT * FROM {t}",
        "SELECT commune FROM {t}",
        "SELECT 1 FROM {t}",
        "SELECT pn FROM {t} LIMIT 1",
        "SELECT DISTINCT commune FROM {t}",
        "SELECT commune, income FROM {t} GROUP BY commune",
        "SELECT commune FROM {t} GROUP BY commune HAVING income > 3",
        "SELECT commune FROM {t} GROUP BY commune ORDER BY income",
        "SELECT count(*), row_number() OVER () FROM {t} GROUP BY commune",
        "SELECT rank() OVER (ORDER BY income) FROM {t}",
        "SELECT count(*) OVER (PARTITION BY pn) FROM {t}",
        "SELECT count(*) FROM {t} QUALIFY rank() OVER (ORDER BY income) = 1",
        "SELECT count(*) OVER w FROM {t} WINDOW w AS (PARTITION BY pn)",
        # Aggregates that show one row's value.
        "SELECT min(income) FROM {t}",
        "SELECT max(full_name) FROM {t}",
        "SELECT median(income) FROM {t}",
        "SELECT bool_and(married) FROM {t}",
        "SELECT commune FROM {t} GROUP BY commune HAVING max(income) > 5",
        "SELECT commune FROM {t} GROUP BY commune ORDER BY min(income)",
        "SELECT stddev(income) FROM {t}",
        # Conditions inside aggregates.
        "SELECT count(*) FILTER (WHERE pn = '000000000012') FROM {t}",
        "SELECT count_if(pn = '000000000012') FROM {t}",
        "SELECT sum(CASE WHEN pn = '000000000012' THEN income END) FROM {t}",
        "SELECT sum(income * CAST(pn = '000000000012' AS INT)) FROM {t}",
        "SELECT avg(nullif(income, 0)) FROM {t}",
        "SELECT count(nullif(pn, '000000000012')) FROM {t}",
        "SELECT count(DISTINCT CASE WHEN pn = '1' THEN pn END) FROM {t}",
        "SELECT sum(income) FILTER (WHERE born > '1990-01-01') - sum(income) FROM {t}",
        "SELECT sum(DISTINCT income) FROM {t}",
        # Totals beside groups.
        "SELECT commune, count(*) FROM {t} GROUP BY ROLLUP (commune)",
        "SELECT commune, count(*) FROM {t} GROUP BY CUBE (commune)",
        "SELECT commune, count(*) FROM {t} GROUP BY GROUPING SETS ((commune), ())",
        # Persons by their number.
        "SELECT count(*) FROM {t} WHERE pn = '000000000012'",
        "SELECT count(*) FROM {t} WHERE pn <> '000000000012'",
        "SELECT sum(income) FROM {t} WHERE pn NOT IN ('000000000012')",
        "SELECT count(*) FROM {t} WHERE c.pn LIKE '%12'",
        "SELECT pn, count(*) FROM {t} GROUP BY pn",
        "SELECT count(*) FROM {t} GROUP BY substr(pn, 1, 3)",
        "SELECT count(*) FROM {t} GROUP BY ALL HAVING count(pn) > 1 AND min(pn) > ''",
        # Names that could mean two things.
        "SELECT upper(commune) AS gender, count(*) FROM {t} GROUP BY gender",
        "SELECT count(*) AS n, commune FROM {t} WHERE n > 3 GROUP BY commune",
        "SELECT m + 1 AS n, count(*) AS m FROM {t}",
        # Functions that could fill the memory where a condition holds.
        "SELECT count(*) FROM {t} WHERE replace(full_name, 'a', 'bbbbbbbbbbbb') = 'x'",
        "SELECT count(*) FROM {t} WHERE full_name || full_name = 'x'",
        "SELECT count(*) FROM {t} GROUP BY regexp_replace(full_name, '', 'yyyyyyyy', 'g')",
        "SELECT count(*) FROM {t} GROUP BY 3",
    ],
)
def test_a_form_that_could_tell_of_few_rows_is_refused_on_both_sides(guarded: Federation, sql: str):
    with pytest.raises(GroupGuard) as asked:
        guarded.plan(sql.format(t=f"{C} c"))
    with pytest.raises(GroupGuard) as answered:
        restrict(sql.format(t="citizen c"), guarded.members[C].service, View(), LEAST)

    assert asked.value.kind == answered.value.kind == "group-too-small-guard"
    assert asked.value.facts["least"] == LEAST
    assert asked.value.mend


@pytest.mark.parametrize(
    "sql",
    [
        f"SELECT c.commune FROM {C} c JOIN {P} p ON c.pn = p.owner",
        f"SELECT count(*) FROM {C} c, {P} p",
        f"SELECT count(*) FROM {P} p WHERE EXISTS (SELECT 1 FROM {C} c WHERE c.pn = p.owner)",
        f"SELECT count(*) FROM {P} p WHERE p.owner IN (SELECT pn FROM {C})",
        f"SELECT (SELECT count(*) FROM {C} c WHERE c.commune = p.commune) FROM {P} p",
        f"SELECT commune, count(*) FROM (SELECT commune FROM {C}) GROUP BY commune",
        f"WITH x AS (SELECT pn, commune FROM {C}) SELECT commune, count(*) FROM x GROUP BY commune",
    ],
)
def test_a_statistics_table_can_not_be_joined_or_passed_on_row_by_row(guarded: Federation, sql: str):
    with pytest.raises(GroupGuard):
        guarded.plan(sql)


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT commune, gender, count(*) AS n FROM {t} GROUP BY commune, gender",
        "SELECT commune, count(*) AS n, avg(income), sum(children), count(DISTINCT pn) FROM {t} GROUP BY ALL",
        "SELECT year(born) // 10 * 10 AS decade, count(*) FROM {t} GROUP BY decade",
        "SELECT count(*), avg(income) FROM {t}",
        "SELECT gender, count(*) FROM {t} WHERE born < '1980-01-01' AND commune LIKE 'H%' GROUP BY 1",
        "SELECT commune, sum(income) / count(*) AS per_head FROM {t} GROUP BY 1 HAVING count(*) > 30",
        "SELECT upper(commune) AS u, round(avg(income), 1) AS a FROM {t} GROUP BY upper(commune) HAVING a > 1",
        "SELECT commune FROM {t} GROUP BY commune",
        "SELECT CASE WHEN born < '1970-01-01' THEN 'old' ELSE 'young' END AS age, count(*) FROM {t} GROUP BY age",
        "SELECT commune, avg(income) FROM {t} GROUP BY commune HAVING avg(income) > (3 + 4)",
    ],
)
def test_large_groups_are_shown_as_they_are(guarded: Federation, whole: duckdb.DuckDBPyConnection, sql: str):
    found = comparable(guarded.ask(sql.format(t=C)))

    assert found
    assert not Counter(found) - Counter(comparable(direct(whole, sql.format(t=C))))


def test_groups_are_ordered_and_cut_after_the_small_ones_are_gone(guarded: Federation):
    sql = f"SELECT full_name, commune, count(*) AS n FROM {C} GROUP BY 1, 2 ORDER BY n, 1, 2 LIMIT 3"

    assert all(int(str(n)) >= LEAST for _, _, n in guarded.ask(sql))
    assert guarded.ask(f"SELECT commune, count(*) AS n FROM {C} GROUP BY ALL ORDER BY n DESC LIMIT 1 OFFSET 1")


def test_a_group_under_the_least_size_is_left_out(guarded: Federation, whole: duckdb.DuckDBPyConnection):
    sql = f"SELECT born, count(*) FROM {C} GROUP BY born"

    everything = direct(whole, sql)
    assert guarded.ask(sql) == [row for row in everything if int(str(row[1])) >= LEAST]


def test_a_condition_that_leaves_few_gives_nothing(guarded: Federation, whole: duckdb.DuckDBPyConnection):
    one = f"SELECT count(*), avg(income) FROM {C} WHERE born = (DATE '1950-01-01' + INTERVAL 0 DAY)"
    [born] = direct(whole, f"SELECT born FROM {C} WHERE born IS NOT NULL LIMIT 1")

    assert guarded.ask(one.replace("1950-01-01", str(born[0]))) == []


def test_a_condition_that_leaves_out_few_gives_nothing(guarded: Federation, whole: duckdb.DuckDBPyConnection):
    [born] = direct(whole, f"SELECT born FROM {C} WHERE born IS NOT NULL LIMIT 1")

    everybody = guarded.ask(f"SELECT count(*), sum(income) FROM {C}")
    all_but_one = guarded.ask(f"SELECT count(*), sum(income) FROM {C} WHERE born IS DISTINCT FROM DATE '{born[0]}'")

    assert len(everybody) == 1
    assert all_but_one == []


def test_what_is_left_out_is_counted_in_each_group(guarded: Federation, whole: duckdb.DuckDBPyConnection):
    [born] = direct(whole, f"SELECT born FROM {C} WHERE commune = 'An Dương' AND born IS NOT NULL LIMIT 1")
    sql = f"SELECT commune, count(*) FROM {C} WHERE born IS DISTINCT FROM DATE '{born[0]}' GROUP BY commune"

    assert "An Dương" not in {commune for commune, _ in guarded.ask(sql)}


def test_a_cell_with_few_values_is_empty(guarded: Federation):
    where = "WHERE height IS NULL OR height = 1.71"
    [(n, height, heights)] = guarded.ask(f"SELECT count(*), avg(height), count(height) FROM {C} {where}")
    [(_, absent)] = guarded.ask(f"SELECT count(*), count(married) FROM {C} WHERE born < '1975-01-01'")

    assert int(str(n)) >= LEAST
    assert height is not None
    assert heights is not None
    assert absent is not None
    few = guarded.ask(f"SELECT count(*), avg(income), sum(income), count(income) FROM {C} WHERE income IS NULL")
    assert few == [(few[0][0], None, None, None)]


ORACLES = [
    "CAST(full_name AS INT) = 1",
    "born > '1990-01-01' AND CAST(full_name AS INT) > 0",
    "CASE WHEN born = DATE '1950-03-04' THEN CAST(full_name AS INT) ELSE 1 END = 1",
    "children + 9223372036854775807 > 0",
    "children * 9223372036854775807 > 0",
    "children // 0 > 1",
    "children % 0 > 1",
    "income * 99999999999999999999999999999999999 > 0",
    "born + INTERVAL 9999999 YEAR > '2000-01-01'",
    "CAST(income AS DECIMAL(3, 2)) > 0",
    "CAST(commune AS DATE) > '2000-01-01'",
    "commune = 5",
    "regexp_matches(full_name, commune)",
    "date_trunc('day', CAST(commune AS DATE)) > born",
    "regexp_matches(full_name, left(commune, 1))",
    "substr(full_name, children, 9223372036854775807) = ''",
]


@pytest.mark.parametrize("condition", ORACLES)
def test_whether_a_query_succeeds_tells_nothing_of_the_rows(guarded: Federation, condition: str):
    """A condition that fails for some rows only must not fail: else its failing would tell of them."""
    for sql in (
        f"SELECT count(*) FROM {C} WHERE {condition}",
        f"SELECT ({condition}) AS k, count(*) FROM {C} GROUP BY k",
        f"SELECT ({condition}) AS k, count(*) FROM {C} GROUP BY k HAVING NOT (k AND count(*) > 3)",
    ):
        assert all(int(str(row[-1])) >= LEAST for row in guarded.ask(sql))


@pytest.mark.parametrize(
    "having",
    ["CAST(full_name AS INT) > 0", "count(*) + 9223372036854775807 > 0", "CAST(full_name || count(*) AS INT) > 1"],
)
def test_a_condition_on_groups_tells_nothing_of_those_left_out(guarded: Federation, having: str):
    shown = guarded.ask(f"SELECT full_name, born, count(*) FROM {C} GROUP BY 1, 2 HAVING {having}")

    assert all(int(str(n)) >= LEAST for _, _, n in shown)


@settings(max_examples=80, deadline=None)
@given(rng=st.randoms(use_true_random=False))
def test_no_group_shown_stands_for_fewer_rows(guarded: Federation, rng: random.Random):
    """Each shown group is counted again over the rows themselves, with and without the condition."""
    keys = rng.sample(["commune", "gender", "born", "children", "married", "height", "full_name"], rng.randrange(4))
    where = rng.choice(
        ["TRUE", "born < '1999-01-01'", "income > 4000", "gender = 'F'", "children <> 3", "married", "height IS NULL",
         "full_name <> ''", "income < 8990", "born <> DATE '1950-01-01' OR children = 1"]
    )  # fmt: skip
    column = rng.choice(["income", "children"])
    items = [*keys, "count(*)", f"sum({column})", f"count({column})"]
    by = f" GROUP BY {', '.join(keys)}" if keys else ""

    shown = guarded.ask(f"SELECT {', '.join(items)} FROM {C} WHERE {where}{by}")

    again = duckdb.connect()
    again.register("citizen", guarded.with_terms(CITIZEN, View()).members[C].answer("SELECT * FROM citizen"))
    for *group, n, total, values in shown:
        same = " AND ".join(f'"{key}" IS NOT DISTINCT FROM ?' for key in keys) or "TRUE"
        rows, met, found, everywhere = again.execute(
            f"SELECT count(*), count(*) FILTER (WHERE {where}), count({column}) FILTER (WHERE {where}), count({column})"
            f" FROM citizen WHERE {same}",
            group,
        ).fetchone() or (0, 0, 0, 0)
        assert met == n >= LEAST
        assert rows == met or rows - met >= LEAST
        if total is not None:
            assert found >= LEAST
            assert everywhere == found or everywhere - found >= LEAST
        if values is not None:
            assert values == found
            assert met == found or met - found >= LEAST


def test_the_least_size_holds_after_the_row_filter(guarded: Federation):
    narrow = guarded.with_terms(CITIZEN, View(row_filter=(("commune", "eq", "Đồ Sơn"), ("gender", "eq", "M"))), 40)

    assert narrow.ask(f"SELECT count(*) FROM {C}") == []
    assert guarded.ask(f"SELECT count(*) FROM {C} WHERE commune = 'Đồ Sơn'") != []
