"""What travels to the members: whole blocks where they stand alone, else needed columns and safe conditions."""

from __future__ import annotations

import pytest

from tests.query.members import Federation

C = "g01.dancu.citizen"
P = '"h31.12".datdai.parcel'
F = "g05.dkkd.firm"


def sent(federation: Federation, sql: str) -> dict[str, list[str]]:
    """Table's last name -> the sub-queries sent to it, without quotes."""
    asked: dict[str, list[str]] = {}
    for part in federation.plan(sql).subqueries:
        asked.setdefault(part.service.rpartition("/")[2], []).append(part.sql.replace('"', ""))
    return asked


@pytest.mark.parametrize(
    ("sql", "citizen"),
    [
        (
            f"SELECT commune, count(*) AS n FROM {C} GROUP BY 1",
            "SELECT commune, COUNT(*) AS n FROM citizen AS citizen GROUP BY 1",
        ),
        (f"SELECT DISTINCT gender FROM {C} c", "SELECT DISTINCT gender FROM citizen AS c"),
        (f"SELECT pn FROM {C} ORDER BY pn DESC LIMIT 3", "SELECT pn FROM citizen AS citizen ORDER BY pn DESC LIMIT 3"),
        (
            f"SELECT x.n FROM (SELECT count(*) AS n FROM {C} WHERE married) x JOIN {P} p ON p.price = x.n",
            "SELECT COUNT(*) AS n FROM citizen AS citizen WHERE married",
        ),
        (
            f"SELECT id FROM {P} WHERE owner IN (SELECT pn FROM {C} WHERE children > 3)",
            "SELECT pn FROM citizen AS citizen WHERE children > 3",
        ),
        (
            f"WITH a AS (SELECT commune, avg(income) v FROM {C} GROUP BY ALL) SELECT v FROM a JOIN {P} USING (commune)",
            "SELECT commune, AVG(income) AS v FROM citizen AS citizen GROUP BY ALL",
        ),
        (f"SELECT pn FROM {C} UNION ALL SELECT owner FROM {P}", "SELECT pn FROM citizen AS citizen"),
        (
            f"SELECT rank() OVER (ORDER BY income) AS r FROM {C} QUALIFY r < 4",
            "SELECT RANK() OVER (ORDER BY income) AS r FROM citizen AS citizen QUALIFY r < 4",
        ),
    ],
)
def test_a_select_over_one_table_travels_whole(federation: Federation, sql: str, citizen: str):
    assert sent(federation, sql)["citizen"] == [citizen]


@pytest.mark.parametrize(
    ("join", "where", "citizen", "parcel"),
    [
        # join and condition -> conditions that reach the two tables before they are joined
        ("JOIN {P} p ON c.pn = p.owner", "c.gender = 'M' AND p.price > 3", "(gender = 'M')", "(price > 3)"),
        ("JOIN {P} p ON c.pn = p.owner AND p.price > 3 AND c.gender = 'M'", "TRUE", "(gender = 'M')", "(price > 3)"),
        (", {P} p", "c.pn = p.owner AND p.price > 3", "", "(price > 3)"),
        ("LEFT JOIN {P} p ON c.pn = p.owner", "c.gender = 'M' AND p.price IS NULL", "(gender = 'M')", ""),
        ("LEFT JOIN {P} p ON c.pn = p.owner AND p.price > 3 AND c.gender = 'M'", "TRUE", "", "(price > 3)"),
        ("RIGHT JOIN {P} p ON c.pn = p.owner", "c.gender IS NULL AND p.price > 3", "", "(price > 3)"),
        ("RIGHT JOIN {P} p ON c.pn = p.owner AND p.price > 3 AND c.gender = 'M'", "TRUE", "(gender = 'M')", ""),
        ("FULL JOIN {P} p ON c.pn = p.owner", "c.gender = 'M' AND p.price > 3", "", ""),
        ("FULL JOIN {P} p ON c.pn = p.owner AND p.price > 3 AND c.gender = 'M'", "TRUE", "", ""),
        ("JOIN {P} p ON c.pn = p.owner FULL JOIN {F} f ON f.owner = c.pn", "c.gender = 'M' AND p.price > 3", "", ""),
        ("JOIN {P} p ON c.pn = p.owner AND p.price > 3 FULL JOIN {F} f ON f.owner = c.pn", "TRUE", "", "(price > 3)"),
        ("LEFT JOIN {P} p ON c.pn = p.owner JOIN {F} f ON f.owner = c.pn AND p.price > 3", "TRUE", "", ""),
        ("JOIN {P} p ON c.pn = p.owner", "c.gender = 'M' OR p.price > 3", "", ""),
        ("JOIN {P} p ON c.pn = p.owner", "c.children > p.price", "", ""),
        ("JOIN {P} p ON c.pn = p.owner", "commune = 'x' AND gender = 'M'", "(gender = 'M')", ""),
        ("JOIN {P} p ON c.pn = p.owner", "c.gender IN (SELECT code FROM {F})", "", ""),
        ("JOIN {P} p ON c.pn = p.owner", "(c.gender = 'M' AND (p.price > 3))", "(gender = 'M')", "(price > 3)"),
        ("JOIN {P} p ON c.pn = p.owner", "upper(c.gender) = 'M'", "(UPPER(gender) = 'M')", ""),
    ],
)
def test_conditions_travel_only_where_an_outer_join_allows(
    federation: Federation, join: str, where: str, citizen: str, parcel: str
):
    asked = sent(federation, f"SELECT c.pn, p.id FROM {C} c {join} WHERE {where}".format(P=P, F=F))

    assert [sql.partition(" WHERE ")[2] for sql in asked["citizen"]] == [citizen]
    assert [sql.partition(" WHERE ")[2] for sql in asked["parcel"]] == [parcel]


@pytest.mark.parametrize(
    ("sql", "citizen"),
    [
        ("SELECT c.gender FROM {C} c JOIN {P} p ON c.pn = p.owner", "pn, gender"),
        ("SELECT p.id FROM {C} c JOIN {P} p USING (commune) ORDER BY c.born", "commune, born"),
        ("SELECT count(*) FROM {C} c, {P} p", "1 AS one"),
        (
            "SELECT c.* EXCLUDE (full_name, height, married) FROM {C} c JOIN {P} p ON c.pn = p.owner",
            "pn, commune, born, gender, income, children",
        ),
        ("SELECT id FROM {P} p WHERE EXISTS (SELECT 1 FROM {C} c WHERE c.pn = p.owner)", "pn"),
        ("SELECT (SELECT max(price) FROM {P} WHERE owner = pn AND born > '2000-01-01') FROM {C} c", "pn, born"),
    ],
)
def test_only_the_columns_that_are_used_are_asked_for(federation: Federation, sql: str, citizen: str):
    [asked] = sent(federation, sql.format(C=C, P=P))["citizen"]

    assert asked.partition(" FROM ")[0] == f"SELECT {citizen}"


def test_the_same_sub_query_is_asked_once(federation: Federation):
    planned = federation.plan(f"SELECT (SELECT count(*) FROM {C}) + (SELECT count(*) FROM {C}) AS twice")

    assert len(planned.subqueries) == 1
    assert planned.merge_sql.count("lt_part_0") == 2


def test_a_part_says_which_fields_it_reads(federation: Federation):
    [citizen, parcel] = federation.plan(
        f"SELECT c.gender, avg(p.area) FROM {C} c JOIN {P} p ON c.pn = p.owner AND p.price > 3 GROUP BY 1"
    ).subqueries

    assert (citizen.fields, citizen.whole) == (("pn", "gender"), False)
    assert (parcel.fields, parcel.whole) == (("owner", "area", "price"), False)


def test_columns_without_a_name_are_shown_as_they_were_written(federation: Federation):
    planned = federation.plan(f"SELECT commune, count(*), 1 + 1, commune FROM {C} GROUP BY commune")

    assert planned.merge_sql == (
        'SELECT "commune", "column_2" AS "count(*)", "column_3" AS "1 + 1", "column_4" AS "commune" FROM "lt_part_0"'
    )
