"""The real thing: parts and merges in the sandbox's children, within their limits."""

from __future__ import annotations

import random
import struct
from collections import Counter
from dataclasses import replace
from typing import Any

import orjson
import pyarrow as pa
import pytest

from lienthong.agreements.policy import Decision
from lienthong.errors import Problem
from lienthong.query.models import Plan, SubQuery
from lienthong.query.operations import MERGE_LIMITS, PART_LIMITS, Planner, Restrictor, run_merge
from lienthong.query.serve import answer_subquery
from lienthong.tables.limits import InputBroken, Limits, OutOfMemory, OutOfTime, SqlFailed, TooManyRows
from lienthong.tables.models import View
from lienthong.tables.sandbox import Sandbox
from tests.query.made_queries import Maker
from tests.query.members import Federation, part_of

C = "g01.dancu.citizen"
P = '"h31.12".datdai.parcel'


def stream(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as out:
        out.write_table(table)
    return sink.getvalue().to_pybytes()


def merging(sql: str, *parts: str, columns: tuple[str, ...] = ("a",)) -> Plan:
    """A merge whose SQL was not made by the planner."""
    return Plan(tuple(SubQuery(part, part, part, "", (), columns, whole=False) for part in parts), sql)


async def asked(sandbox: Sandbox, federation: Federation, sql: str) -> dict[str, Any]:
    """The whole way of a question through the sandbox."""
    plan = await Planner(sandbox).plan(sql, list(federation.tables().values()))
    parts: dict[str, bytes] = {}
    for part in plan.subqueries:
        member = federation.members[part.table]
        parts[part.part] = (await part_of(sandbox, member.service, member.view, member.min_group, part.sql)).body
    return orjson.loads((await run_merge(sandbox, plan, parts)).body)


async def test_a_question_goes_through_the_sandbox_and_says_what_the_merged_tables_say(
    sandbox: Sandbox, federation: Federation
):
    sql = f"""
        SELECT c.commune, count(*) AS people, sum(p.price) AS price, avg(p.area) AS area, max(c.born) AS youngest
          FROM {C} c LEFT JOIN {P} p ON p.owner = c.pn AND p.area > 100
         WHERE c.gender IS NOT NULL GROUP BY c.commune ORDER BY c.commune
    """
    answer = await asked(sandbox, federation, sql)

    assert [column["name"] for column in answer["columns"]] == ["commune", "people", "price", "area", "youngest"]
    assert [column["type"] for column in answer["columns"]] == ["VARCHAR", "BIGINT", "HUGEINT", "DOUBLE", "DATE"]
    expected = federation.merged().sql(sql).fetchall()
    assert [[row[0], row[1], row[2], row[4] and row[4].isoformat()] for row in expected] == [
        [row[0], row[1], row[2], row[4]] for row in answer["rows"]
    ]
    assert answer["truncated"] is False


@pytest.mark.parametrize("seed", [3, 8, 15, 21, 34])
async def test_made_questions_go_through_the_sandbox(sandbox: Sandbox, federation: Federation, seed: int):
    made = Maker(random.Random(seed)).query()

    answer = await asked(sandbox, federation, made.sql)

    expected = federation.merged().sql(made.sql)
    assert [column["type"] for column in answer["columns"]] == [str(kind) for kind in expected.types]
    assert Counter(len(row) for row in answer["rows"]) == Counter(len(row) for row in expected.fetchall())


async def test_tables_are_named_and_refusals_come_out_of_the_sandbox_as_themselves(
    sandbox: Sandbox, federation: Federation
):
    planner = Planner(sandbox)

    assert await planner.tables_in(f"SELECT 1 FROM {C}, {P}") == (C, P)
    for sql, kind in (("SELECT getenv('X')", "function-not-allowed"), ("DROP TABLE x", "not-one-select")):
        with pytest.raises(Problem) as refused:
            await planner.tables_in(sql)
        assert refused.value.kind == kind
    with pytest.raises(Problem) as refused:
        await planner.plan(f"SELECT salary FROM {C}", list(federation.tables().values()))
    assert (refused.value.kind, refused.value.facts["column"]) == ("unknown-column", "salary")


async def test_a_plan_is_remembered_as_long_as_the_tables_look_the_same(federation: Federation, sandbox: Sandbox):
    planner = Planner(sandbox, remembered=2)
    tables = [federation.tables()[C]]
    first = await planner.plan(f"SELECT pn FROM {C}", tables)

    assert await planner.plan(f"SELECT pn FROM {C}", tables) is first
    fewer = [replace(tables[0], fields=("pn", "gender"))]
    assert await planner.plan(f"SELECT pn FROM {C}", fewer) is not first
    with pytest.raises(Problem):
        await planner.plan(f"SELECT born FROM {C}", fewer)
    await planner.plan(f"SELECT gender FROM {C}", tables)
    assert await planner.plan(f"SELECT pn FROM {C}", tables) is not first


async def test_a_part_is_answered_under_the_decision_with_the_types_the_engine_has(
    sandbox: Sandbox, federation: Federation
):
    service = federation.members[C].service
    decision = Decision(
        permit=True,
        reason="permitted",
        purpose="p",
        way="query",
        fields=("pn", "full_name", "gender", "children"),
        masks={"full_name": "partial"},
        row_filter=(("gender", "eq", "F"),),
    )

    answered = await answer_subquery(
        service, "SELECT max(full_name) AS n, sum(children) AS s FROM citizen", decision, sandbox, Restrictor(sandbox)
    )

    assert answered.fields == ("full_name", "children")
    assert answered.rows == 1
    table = pa.ipc.open_stream(answered.arrow).read_all()
    assert "hugeint" in str(table.schema.field("s").type)
    assert "*" in table.to_pylist()[0]["n"]
    for sql in ("SELECT born FROM citizen", "SELECT count(*) FROM citizen GROUP BY income"):
        with pytest.raises(Problem) as refused:
            await answer_subquery(service, sql, decision, sandbox, Restrictor(sandbox))
        assert refused.value.kind == "unknown-column"
    with pytest.raises(Problem) as small:
        await answer_subquery(
            service, "SELECT pn FROM citizen", replace(decision, min_group=10), sandbox, Restrictor(sandbox)
        )
    assert small.value.kind == "group-too-small-guard"


@pytest.mark.parametrize(
    ("sql", "problem"),
    [
        ("SELECT count(*) FROM citizen WHERE CAST(full_name AS INT) > 1", SqlFailed),
        ("SELECT pn + 1 FROM citizen", SqlFailed),
        ("SELECT year(gender) FROM citizen", SqlFailed),
        ("SELECT pn, count(*) FROM citizen", SqlFailed),
    ],
)
async def test_an_engines_error_says_what_is_wrong_and_shows_no_value(
    sandbox: Sandbox, federation: Federation, sql: str, problem: type[Problem]
):
    with pytest.raises(problem) as failed:
        await part_of(sandbox, federation.members[C].service, View(), None, sql)

    told = str(failed.value.as_dict("en"))
    assert failed.value.side == "caller"
    assert not any(name in told for name in ("Nguyễn", "Trần", "00000000", "LINE"))


async def test_too_many_rows_of_a_part_are_refused_and_the_next_question_works(
    sandbox: Sandbox, federation: Federation
):
    service = federation.members[C].service
    with pytest.raises(TooManyRows):
        await part_of(sandbox, service, View(), None, "SELECT pn FROM citizen", replace(PART_LIMITS, max_rows=50))

    assert (await part_of(sandbox, service, View(), None, "SELECT pn FROM citizen LIMIT 50")).rows == 50


BIG = pa.table({"a": list(range(30_000))})


async def test_a_join_of_a_billion_rows_ends_at_the_time_limit(sandbox: Sandbox):
    plan = merging("SELECT sum(x.a * y.a % 7) FROM lt_p AS x, lt_p AS y", "lt_p")

    with pytest.raises(OutOfTime) as late:
        await run_merge(sandbox, plan, {"lt_p": stream(BIG)}, limits=replace(MERGE_LIMITS, wall_s=1.0))

    assert (late.value.kind, late.value.side) == ("sandbox-timeout", "caller")
    [[answer]] = orjson.loads((await run_merge(sandbox, merging("SELECT 1"), {})).body)["rows"]
    assert answer == 1


async def test_an_answer_of_a_billion_rows_is_cut_without_being_computed(sandbox: Sandbox):
    plan = merging("SELECT x.a + y.a AS s FROM lt_p AS x, lt_p AS y", "lt_p")

    outcome = await run_merge(sandbox, plan, {"lt_p": stream(BIG)}, most_rows=100, limits=Limits(wall_s=10.0))

    answer = orjson.loads(outcome.body)
    assert (len(answer["rows"]), answer["truncated"], outcome.rows) == (100, True, 100)
    with pytest.raises(TooManyRows):
        await run_merge(sandbox, plan, {"lt_p": stream(BIG)}, form="arrow", limits=Limits(max_rows=1000))


async def test_a_merge_that_fills_the_memory_is_ended(sandbox: Sandbox):
    plan = merging("SELECT x.a, y.a, row_number() OVER (ORDER BY x.a % 7, y.a) AS r FROM lt_p AS x, lt_p AS y", "lt_p")

    with pytest.raises(OutOfMemory) as full:
        await run_merge(sandbox, plan, {"lt_p": stream(BIG)}, limits=Limits(memory_mb=200, wall_s=30.0))

    assert full.value.kind == "sandbox-memory"


async def test_a_merge_reads_nothing_but_its_parts(sandbox: Sandbox):
    for sql in (
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT getenv('HOME')",
        "ATTACH '/tmp/x.db' AS x",
        "SELECT 1; SELECT 2",
        "SET memory_limit = '9GB'",
    ):
        with pytest.raises(SqlFailed):
            await run_merge(sandbox, merging(sql), {})


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"not arrow",
        stream(BIG)[:-4000],
        stream(pa.table({"b": [1]})),
        stream(pa.table({"a": [1], "b": [2]})),
    ],
    ids=["empty", "text", "cut", "renamed", "wider"],
)
async def test_a_damaged_or_unexpected_part_is_its_members_fault(sandbox: Sandbox, broken: bytes):
    with pytest.raises(InputBroken) as refused:
        await run_merge(sandbox, merging("SELECT a FROM lt_p", "lt_p"), {"lt_p": broken})

    assert refused.value.side == "provider"


async def test_a_part_whose_offsets_point_outside_is_not_read(sandbox: Sandbox):
    honest = stream(pa.table({"a": ["ab", "cd"]}))
    lying = honest.replace(struct.pack("<3i", 0, 2, 4), struct.pack("<3i", 0, 2, 9_999_999))
    assert lying != honest

    with pytest.raises(InputBroken):
        await run_merge(sandbox, merging("SELECT a FROM lt_p", "lt_p"), {"lt_p": lying})


async def test_values_are_written_as_json_without_loss(sandbox: Sandbox):
    sql = """
        SELECT CAST('170141183460469231731687303715884105727' AS HUGEINT) AS big, 9007199254740993 AS exact,
               CAST('1.10' AS DECIMAL(10, 2)) AS price, DATE '2025-07-01' AS day, INTERVAL 400 DAY AS long,
               TIMESTAMP '2025-07-01 08:00:00.5' AS moment, CAST('NaN' AS DOUBLE) AS nothing, 'Ấp' AS text, TRUE AS yes
    """
    answer = orjson.loads((await run_merge(sandbox, merging(sql), {})).body)

    assert answer["rows"] == [
        [
            "170141183460469231731687303715884105727", 9007199254740993, "1.10", "2025-07-01", "P400D",
            "2025-07-01T08:00:00.500000", None, "Ấp", True,
        ]
    ]  # fmt: skip
