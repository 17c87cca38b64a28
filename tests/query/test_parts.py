"""A provider's part of a query: read over the node's own connections or by the sandbox, and whom it is about."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import psycopg
import pyarrow as pa
import pytest

from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.errors import Problem
from lienthong.query.operations import MOST_SUBJECTS, Restrictor
from lienthong.query.serve import Answered, answer_subquery
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.models import View, ViewNotApplicable, check_prefilter
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sql import few_lines, read_postgres
from tests.query.members import part_of
from tests.tables.people import citizens, in_postgres, people

COUNT = 1_500
DECISION = Decision(permit=True, reason="permitted", purpose="p", way="query")
AWKWARD = ["", "\\N", '"', "a,b", "line\nend\r\n", "\\.", " ", "Hải Phòng", "''", "\t", "NULL", None]


@pytest.fixture
async def sources() -> AsyncIterator[Sources]:
    opened = Sources()
    yield opened
    await opened.close()


@pytest.fixture
def register(database: DatabaseDsns) -> Service:
    return citizens(replace(in_postgres(database.owner, COUNT), dsn=database.app))


async def answered(sandbox: Sandbox, service: Service, sql: str, **terms) -> Answered:
    return await answer_subquery(service, sql, replace(DECISION, **terms), sandbox, Restrictor(sandbox))


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT number, full_name, born, income, area, score, alive, changed FROM citizen WHERE province = 'Hải Phòng'",
        "SELECT province, count(*) AS n, sum(income) AS s FROM citizen GROUP BY province ORDER BY province",
        "SELECT count(*) AS n FROM citizen",
        "SELECT number FROM citizen WHERE province = 'nowhere'",
    ],
)
async def test_a_part_is_the_same_whoever_reads_the_table(
    sandbox: Sandbox, sources: Sources, register: Service, sql: str
):
    view = View(masks={"income": "round", "full_name": "partial"})

    over_ours = await part_of(sandbox, register, view, None, sql, sources=sources)
    in_sandbox = await part_of(sandbox, register, view, None, sql)

    assert over_ours.rows == in_sandbox.rows
    ours, theirs = read(over_ours.body), read(in_sandbox.body)
    assert ours.schema == theirs.schema
    assert sorted(map(repr, ours.to_pylist())) == sorted(map(repr, theirs.to_pylist()))
    assert over_ours.result["subjects"] == in_sandbox.result["subjects"]


def read(stream: bytes) -> pa.Table:
    return pa.ipc.open_stream(stream).read_all()


async def test_awkward_texts_and_nulls_survive_the_way_over_the_nodes_own_connection(
    sandbox: Sandbox, sources: Sources, database: DatabaseDsns
):
    with psycopg.connect(database.owner, autocommit=True) as owner, owner.cursor() as cursor:
        cursor.execute("CREATE TABLE awkward (number text)")
        cursor.executemany("INSERT INTO awkward VALUES (%s)", [(text,) for text in AWKWARD])
        cursor.execute("GRANT SELECT ON awkward TO PUBLIC")
    source = in_postgres(database.owner, 1)
    service = citizens(
        replace(source, dsn=database.app, relation="public.awkward", columns=(("number", "text"),)),
        fields=citizens(source).fields[:1], lookup=("number",), key=(),
    )  # fmt: skip

    part = await part_of(sandbox, service, View(), None, "SELECT number FROM citizen", sources=sources)

    found = [row["number"] for row in read(part.body).to_pylist()]
    assert sorted(map(str, found)) == sorted(map(str, AWKWARD))
    assert found.count(None) == 1


async def test_more_rows_or_bytes_than_the_gateway_takes_are_left_to_the_sandbox(sources: Sources, register: Service):
    dsn = register.source.dsn  # type: ignore[union-attr]
    select = read_postgres(register, ["number"])

    async def few(rows: int, size: int) -> bytes | None:
        return await sources.few_rows(dsn, 5, few_lines(register, ["number"], select, most_rows=rows, most_bytes=size))

    assert await few(COUNT, 1_000_000) is not None
    assert await few(COUNT - 1, 1_000_000) is None
    assert await few(COUNT, 1_000) is None


async def test_a_rewriting_that_would_filter_by_a_masked_field_is_refused_before_the_source_is_read(register: Service):
    for view in (View(masks={"income": "round"}), View(fields=("number",))):
        with pytest.raises(ViewNotApplicable):
            check_prefilter(register, view, (("income", "eq", "5"),))


async def test_a_query_of_rows_names_those_whose_rows_met_its_condition_and_nobody_else(
    sandbox: Sandbox, register: Service
):
    meant = {("personal_number", person.number) for person in people(COUNT) if (person.income or 0) > 11_000_000}

    shown = await answered(sandbox, register, "SELECT province FROM citizen c WHERE c.income > 11000000 LIMIT 3")
    counted = await answered(sandbox, register, "SELECT count(*) AS n FROM citizen WHERE income > 11000000")
    hidden = await answered(sandbox, register, "SELECT * FROM citizen WHERE income > 11000000", fields=("income",))

    assert 0 < len(meant) < MOST_SUBJECTS
    assert set(shown.subjects) == set(counted.subjects) == set(hidden.subjects) == meant
    assert pa.ipc.open_stream(hidden.arrow).read_all().column_names == ["income"]
    assert not shown.too_many_subjects


async def test_statistics_of_a_least_group_name_nobody_and_too_many_persons_are_told_as_such(
    sandbox: Sandbox, register: Service
):
    groups = await answered(sandbox, register, "SELECT province, count(*) AS n FROM citizen GROUP BY 1", min_group=10)
    whole = await answered(sandbox, register, "SELECT number FROM citizen")

    assert (groups.subjects, groups.too_many_subjects) == ((), False)
    assert (whole.subjects, whole.too_many_subjects) == ((), True)


@pytest.mark.parametrize("named", ["lt_subject_0", "c.lt_subject_0", '"LT_SUBJECT_0"'])
async def test_the_column_of_subjects_can_not_be_asked_for(sandbox: Sandbox, register: Service, named: str):
    with pytest.raises(Problem) as refused:
        await answered(sandbox, register, f"SELECT {named} FROM citizen c", fields=("province",))

    assert refused.value.kind in ("unknown-column", "query-not-allowed")


async def test_a_rewriting_is_remembered_for_one_view_and_not_taken_for_another(sandbox: Sandbox, register: Service):
    restrictor = Restrictor(sandbox)
    sql = "SELECT income FROM citizen WHERE income = 5"

    first, again, masked = await asyncio.gather(
        restrictor.restricted(register, View(), None, sql),
        restrictor.restricted(register, View(), None, sql),
        restrictor.restricted(register, View(masks={"income": "round"}), None, sql),
    )

    assert first == again
    assert await restrictor.restricted(register, View(), None, sql) in (first, again)
    assert (first.conditions, masked.conditions) == ((("income", "eq", "5"),), ())
    with pytest.raises(Problem):
        await restrictor.restricted(register, View(fields=("number",)), None, sql)
