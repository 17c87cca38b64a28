"""SQL meets only what the grant shows: columns, rows and masks are settled while the table is loaded."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pyarrow as pa
import pytest

from lienthong.catalog.models import CsvFormat, Service
from lienthong.errors import Problem
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.jobs import scan_arguments, table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import Condition, View, ViewNotApplicable
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.scan import FEW_ROWS
from tests.tables.people import citizens, in_csv, in_parquet, in_postgres, people

COUNT = 3000
VIEW = View(
    fields=("number", "full_name", "born", "income", "area", "province"),
    masks={"number": "partial", "born": "year", "income": "round", "full_name": "drop"},
    row_filter=(("province", "neq", "Hà Nội"), ("born", "gteq", "1960-06-01"), ("area", "lt", "500.5")),
)

Make = Callable[[str], Service]


@pytest.fixture
def service_in(database: DatabaseDsns, tmp_path: Path) -> Make:
    def make(kind: str) -> Service:
        if kind == "postgres":
            return citizens(replace(in_postgres(database.owner, COUNT), dsn=database.app))
        if kind == "parquet":
            return citizens(in_parquet(tmp_path / "people.parquet", COUNT))
        return citizens(in_csv(tmp_path / "people.csv", COUNT, CsvFormat("utf-8", "|")))

    return make


async def answer(sandbox: Sandbox, service: Service, view: View, sql: str, **loading: Any) -> list[dict[str, Any]]:
    outcome = await sandbox.run("scan", scan_arguments([table_argument(service, view, name="g01.c", **loading)], sql))
    return pa.ipc.open_stream(outcome.body).read_all().to_pylist()


@pytest.mark.parametrize("kind", ["postgres", "csv", "parquet"])
async def test_the_same_sql_gives_the_same_answer_whatever_holds_the_table(
    kind: str, sandbox: Sandbox, service_in: Make
) -> None:
    sql = (
        'SELECT born, province, count(*) n, sum(income) s, min(number) m, sum(area) a FROM "g01.c" '
        "GROUP BY 1, 2 ORDER BY 1, 2"
    )

    rows = await answer(sandbox, service_in(kind), VIEW, sql)

    assert rows == expected(sql)
    assert rows


def expected(sql: str) -> list[dict[str, Any]]:
    """The answer of DuckDB on rows that were filtered and masked by hand."""
    chosen = [
        (
            f"{p.number[:3]}*******{p.number[-2:]}",
            p.born.replace(month=1, day=1),
            p.income and rounded(p.income),
            p.area,
            p.province,
        )
        for p in people(COUNT)
        if p.province != "Hà Nội" and p.born and p.born.isoformat() >= "1960-06-01" and p.area is not None
        and float(p.area) < 500.5
    ]  # fmt: skip
    connection = duckdb.connect()
    connection.execute(
        'CREATE TABLE "g01.c" (number VARCHAR, born DATE, income BIGINT, area DECIMAL(12,2), province VARCHAR)'
    )
    connection.executemany('INSERT INTO "g01.c" VALUES (?, ?, ?, ?, ?)', chosen)
    return connection.sql(sql).to_arrow_table().to_pylist()


def rounded(income: int) -> int:
    unit = 10 ** max(len(str(income)) - 2, 0)
    return (income + unit // 2) // unit * unit


async def test_a_column_that_is_not_shown_does_not_exist_for_sql(sandbox: Sandbox, service_in: Make) -> None:
    service = service_in("postgres")
    for hidden in ("full_name", "score", "alive"):
        with pytest.raises(Problem) as refused:
            await answer(sandbox, service, VIEW, f'SELECT {hidden} FROM "g01.c"')
        assert refused.value.kind == "sql-failed"


@pytest.mark.parametrize(
    "look",
    ["SELECT sql FROM duckdb_views()", "SELECT * FROM incoming", "SELECT sql FROM sqlite_master", "SHOW ALL TABLES"],
)
async def test_nothing_in_the_engine_tells_of_the_unmasked_table(sandbox: Sandbox, service_in: Make, look: str) -> None:
    service, told = service_in("csv"), ""
    with contextlib.suppress(Problem):
        told = str(await answer(sandbox, service, VIEW, look))

    assert "read_csv" not in told
    assert "people.csv" not in told
    assert await answer(sandbox, service, VIEW, 'SELECT count(*) > 0 AS n FROM "g01.c"') == [{"n": True}]


async def test_only_the_columns_and_rows_that_the_sql_needs_are_loaded(sandbox: Sandbox, service_in: Make) -> None:
    one: tuple[Condition, ...] = (("province", "eq", "Đà Nẵng"),)
    sql = 'SELECT (SELECT count(*) FROM "g01.c") n, * FROM (DESCRIBE "g01.c")'

    rows = await answer(sandbox, service_in("postgres"), View(), sql, columns=["province", "born"], prefilter=one)

    assert [row["column_name"] for row in rows] == ["born", "province"]
    assert rows[0]["n"] == sum(p.province == "Đà Nẵng" for p in people(COUNT))


@pytest.mark.parametrize("name", ["number", "full_name", "score"])
async def test_a_condition_on_a_hidden_or_masked_field_is_never_met_before_the_mask(
    sandbox: Sandbox, service_in: Make, name: str
) -> None:
    with pytest.raises(ViewNotApplicable):
        await answer(sandbox, service_in("postgres"), VIEW, "SELECT 1", prefilter=((name, "eq", "1"),))


async def test_counting_needs_no_column_at_all(sandbox: Sandbox, service_in: Make) -> None:
    assert await answer(sandbox, service_in("postgres"), View(), 'SELECT count(*) n FROM "g01.c"', columns=[]) == [
        {"n": COUNT}
    ]


@pytest.mark.parametrize("kind", ["changed", "gone", "away"])
async def test_a_source_that_fails_is_the_providers_problem_without_its_words(
    kind: str, sandbox: Sandbox, service_in: Make, database: DatabaseDsns
) -> None:
    service = service_in("postgres")
    with psycopg.connect(database.owner, autocommit=True) as owner:
        if kind == "changed":
            owner.execute("ALTER TABLE dancu.citizen ALTER COLUMN income TYPE text")
            owner.execute("UPDATE dancu.citizen SET income = 'secret ' || number")
        elif kind == "gone":
            owner.execute("DROP TABLE dancu.citizen")
    if kind == "away":
        service = replace(service, source=replace(service.source, dsn="postgresql://a:hunter2@127.0.0.1:1/x"))  # type: ignore[type-var]

    with pytest.raises(Problem) as failed:
        await answer(sandbox, service, View(), 'SELECT * FROM "g01.c"')

    assert failed.value.kind == {"away": "source-unavailable"}.get(kind, "source-changed")
    assert failed.value.side == "provider"
    assert not {"secret", "hunter2"} & set(str(failed.value.as_dict()).replace("'", " ").split())


@pytest.mark.parametrize("rows", [FEW_ROWS, 1_000_000], ids=["few", "many"])
async def test_a_table_larger_than_the_memory_allowed_ends_as_a_problem(
    rows: int, sandbox: Sandbox, database: DatabaseDsns
) -> None:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute(
            f"CREATE VIEW wide AS SELECT repeat(md5(n::text), 100) AS number FROM generate_series(1, {rows}) n"
        )
        owner.execute("GRANT SELECT ON wide TO PUBLIC")
    source = in_postgres(database.owner, 1)
    service = citizens(
        replace(source, dsn=database.app, relation="public.wide", columns=(("number", "text"),)),
        fields=citizens(source).fields[:1], lookup=("number",), key=(),
    )  # fmt: skip

    with pytest.raises(Problem) as failed:
        await sandbox.run(
            "scan",
            scan_arguments([table_argument(service, View())], "SELECT count(DISTINCT number) FROM citizen"),
            limits=Limits(memory_mb=128),
        )

    assert failed.value.kind == "sandbox-memory"


@pytest.mark.parametrize("rows", [3, FEW_ROWS * 2], ids=["few", "many"])
async def test_awkward_texts_and_nulls_survive_both_ways_out_of_postgresql(
    rows: int, sandbox: Sandbox, database: DatabaseDsns
) -> None:
    texts = ["", "\\N", '"', "a,b", "line\nend\r\n", "\\.", " ", "Hải Phòng", "''", "\t", "NULL", "x" * 100_000, None]
    with psycopg.connect(database.owner) as owner:
        owner.execute("CREATE TABLE awkward (number text)")
        with owner.cursor() as cursor:
            cursor.executemany("INSERT INTO awkward VALUES (%s)", [(text,) for text in texts])
        owner.execute("INSERT INTO awkward SELECT 'n' || n FROM generate_series(1, %s) n", (rows,))
        owner.execute("GRANT SELECT ON awkward TO PUBLIC")
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("ANALYZE awkward")
    source = in_postgres(database.owner, 1)
    service = citizens(
        replace(source, dsn=database.app, relation="public.awkward", columns=(("number", "text"),)),
        fields=citizens(source).fields[:1], lookup=("number",), key=(),
    )  # fmt: skip

    found = await answer(
        sandbox, service, View(), "SELECT number FROM \"g01.c\" WHERE number NOT LIKE 'n%' OR number IS NULL"
    )
    [[total]] = [row.values() for row in await answer(sandbox, service, View(), 'SELECT count(*) FROM "g01.c"')]

    assert sorted(str(row["number"]) for row in found) == sorted(str(text) for text in texts)
    assert total == len(texts) + rows
    assert sum(row["number"] is None for row in found) == 1
