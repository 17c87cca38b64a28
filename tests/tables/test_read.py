"""A call gets the rows it may see, from PostgreSQL in place and from files alike."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from subprocess import run
from typing import Any

import psycopg
import pytest

from lienthong.catalog.models import CsvFormat, Field, HttpSource, Service, Subject, TableSource
from lienthong.errors import Problem
from lienthong.storage.provision import DatabaseDsns
from lienthong.tables.jobs import file_rows
from lienthong.tables.models import View, ViewNotApplicable
from lienthong.tables.page import (
    BadLookup,
    LookupMissing,
    LookupNotGranted,
    Wanted,
    page_json,
    wanted_from_call,
)
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sql import ValueNotValid
from tests.tables.people import citizens, in_csv, in_parquet, in_postgres, people

COUNT = 200
KINDS = ("postgres", "csv", "csv-utf16", "parquet")
PERSONS = list(people(COUNT))

MakeService = Callable[..., Service]


@pytest.fixture
async def reader(sandbox: Sandbox) -> AsyncIterator[TableReader]:
    sources = Sources()
    yield TableReader(sources, file_rows(sandbox))
    await sources.close()


@pytest.fixture
def make_service(database: DatabaseDsns, tmp_path: Path) -> MakeService:
    """The citizens in any kind of source."""

    def make(kind: str, **changes: Any) -> Service:
        if kind == "postgres":
            return citizens(replace(in_postgres(database.owner, COUNT), dsn=database.app), **changes)
        if kind == "parquet":
            return citizens(in_parquet(tmp_path / "people.parquet", COUNT), **changes)
        form = CsvFormat("utf-16" if kind == "csv-utf16" else "utf-8", ";" if kind == "csv-utf16" else ",")
        return citizens(in_csv(tmp_path / "people.csv", COUNT, form), **changes)

    return make


def damage(folder: Path) -> None:
    next(folder.glob("people.*")).write_text("number\n1\n")


def as_row(place: int) -> dict[str, object]:
    person = PERSONS[place]
    return {
        **person._asdict(),
        "born": person.born.isoformat() if person.born else None,
        "area": format(person.area, ".2f") if person.area is not None else None,
        "changed": person.changed.isoformat(),
    }


@pytest.mark.parametrize("kind", KINDS)
async def test_a_person_is_found_with_every_value_as_published(
    kind: str, reader: TableReader, make_service: MakeService
) -> None:
    page = await reader.rows(make_service(kind), View(), Wanted({"number": PERSONS[45].number}))

    assert page.rows == (as_row(45),)
    assert page.subjects == (("personal_number", PERSONS[45].number),)
    assert (page.next_offset, page.rows_without_subject) == (None, 0)


@pytest.mark.parametrize("kind", KINDS)
async def test_masks_projection_and_row_filter_apply_whatever_holds_the_table(
    kind: str, reader: TableReader, make_service: MakeService
) -> None:
    view = View(
        fields=("number", "full_name", "born", "income", "province"),
        masks={"number": "partial", "born": "year", "income": "round", "full_name": "drop"},
        row_filter=(("province", "in", ("Hải Phòng", "Đà Nẵng")), ("born", "lt", "1990-01-01")),
    )

    page = await reader.rows(make_service(kind), view, Wanted({"province": "Hải Phòng"}, limit=1000))

    expected = [p for p in PERSONS if p.province == "Hải Phòng" and p.born and p.born.year < 1990]
    expected.sort(key=lambda person: person.number)
    assert [row["number"] for row in page.rows] == [f"{p.number[:3]}*******{p.number[-2:]}" for p in expected]
    assert {tuple(row) for row in page.rows} == {("number", "born", "income", "province")}
    assert all(str(row["born"]).endswith("-01-01") for row in page.rows)
    assert [text for _, text in page.subjects] == [p.number for p in expected]


@pytest.mark.parametrize("kind", ["postgres", "csv"])
async def test_pages_neither_overlap_nor_leave_out(kind: str, reader: TableReader, make_service: MakeService) -> None:
    service, seen, offset = make_service(kind), [], 0
    while offset is not None:
        page = await reader.rows(service, View(limit=30), Wanted({"province": "Hà Nội"}, limit=50, offset=offset))
        assert len(page.rows) <= 30
        seen += [row["number"] for row in page.rows]
        offset = page.next_offset

    assert sorted(seen) == sorted(p.number for p in PERSONS if p.province == "Hà Nội")


@pytest.mark.parametrize("kind", ["postgres", "csv"])
async def test_a_lookup_value_is_a_value_and_never_sql(
    kind: str, reader: TableReader, make_service: MakeService
) -> None:
    service = make_service(kind)
    for hostile in ("' OR '1'='1", "x'; DROP TABLE dancu.citizen; --", "%(v0)s", "\\", "100% Hà Nội"):
        assert (await reader.rows(service, View(), Wanted({"number": hostile}))).rows == ()

    assert len((await reader.rows(service, View(), Wanted({"number": PERSONS[0].number}))).rows) == 1


async def test_hostile_column_names_are_only_names(reader: TableReader, database: DatabaseDsns) -> None:
    name = "a\"b%s'c;--"
    with psycopg.connect(database.owner, autocommit=True) as owner:
        quoted = '"' + name.replace('"', '""') + '"'
        owner.execute(f'CREATE TABLE "Odd ""t" ({quoted.replace("%", "%")} text PRIMARY KEY)')
        owner.execute('INSERT INTO "Odd ""t" VALUES (\'x\')')
        owner.execute('GRANT SELECT ON "Odd ""t" TO PUBLIC')
    source = TableSource("postgres", database.app, 'public.Odd "t', columns=((name, "text"),))
    service = citizens(source, fields=(Field(name, "string"),), key=(name,), lookup=(name,), personal=False,
                       required_lookup=False, subjects=())  # fmt: skip

    page = await reader.rows(service, View(row_filter=((name, "eq", "x"),)), Wanted({name: "x"}))

    assert page.rows == ({name: "x"},)


async def test_odd_values_of_the_database_have_a_json_form(reader: TableReader, database: DatabaseDsns) -> None:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("""
            CREATE TABLE odd (id int PRIMARY KEY, n numeric, f double precision, d date, t timestamptz, j json, a int[],
                              u uuid, c char(5));
            INSERT INTO odd VALUES
              (1, 'NaN', 'Infinity', 'infinity', '0044-03-15 10:00:00+00 BC', '{"k": 1}', '{1,2}',
               '00000000-0000-0000-0000-000000000001', 'ab'),
              (2, 0.1, 0.1, '0001-01-01', '2026-11-22 10:00:00+07', NULL, NULL, NULL, NULL);
            GRANT SELECT ON odd TO PUBLIC""")
    kinds = {"id": "integer", "n": "numeric", "f": "double precision", "d": "date", "t": "timestamp with time zone",
             "j": "json", "a": "integer[]", "u": "uuid", "c": "character(5)"}  # fmt: skip
    types = {"id": "integer", "n": "decimal", "f": "double", "d": "date", "t": "timestamp"}
    fields = tuple(Field(name, types.get(name, "string")) for name in kinds)  # type: ignore[arg-type]
    source = TableSource("postgres", database.app, "public.odd", columns=tuple(kinds.items()))
    service = citizens(source, fields=fields, key=(), lookup=("u", "c", "n", "t"), personal=False,
                       required_lookup=False, subjects=())  # fmt: skip

    first, second = (await reader.rows(service, View(), Wanted())).rows

    assert first == {"id": 1, "n": None, "f": None, "d": None, "t": None, "j": '{"k": 1}', "a": "{1,2}",
                     "u": "00000000-0000-0000-0000-000000000001", "c": "ab"}  # fmt: skip
    assert second["n"] is not None
    assert Decimal(str(second["n"])) == Decimal("0.1")
    assert (second["d"], second["t"]) == ("0001-01-01", "2026-11-22T03:00:00")
    for lookup in ({"u": first["u"]}, {"c": "ab"}, {"n": "0.1"}, {"t": "2026-11-22T03:00:00Z"}):
        assert len((await reader.rows(service, View(), Wanted(lookup))).rows) == 1, lookup
    assert (await reader.rows(service, View(), Wanted({"c": "abcdef"}))).rows == ()


@pytest.mark.parametrize(
    ("wanted", "refused"),
    [
        (Wanted(), LookupMissing),
        (Wanted({"full_name": "x"}), BadLookup),
        (Wanted({"income": 5}), LookupNotGranted),
        (Wanted({"number": 5}), ValueNotValid),
        (Wanted({"number": "a\0b"}), ValueNotValid),
        (Wanted({"number": ["1", "2"]}), ValueNotValid),
        (Wanted({"number": "1"}, limit=0), BadLookup),
        (Wanted({"number": "1"}, limit=1001), BadLookup),
        (Wanted({"number": "1"}, offset=100_001), BadLookup),
    ],
)
async def test_what_may_not_be_asked_is_refused(
    wanted: Wanted, refused: type[Problem], reader: TableReader, make_service: MakeService
) -> None:
    with pytest.raises(refused):
        await reader.rows(make_service("postgres"), View(masks={"income": "round"}), wanted)


async def test_a_person_may_be_looked_up_by_a_number_that_is_masked_in_the_answer(
    reader: TableReader, make_service: MakeService
) -> None:
    view = View(fields=("province",), masks={"number": "drop"})

    page = await reader.rows(make_service("postgres"), view, Wanted({"number": PERSONS[1].number}))

    assert page.rows == ({"province": "Hà Nội"},)
    assert page.subjects == (("personal_number", PERSONS[1].number),)


async def test_rows_that_name_nobody_are_counted(reader: TableReader, make_service: MakeService) -> None:
    by_name = (Subject("response", "full_name", "personal_number"),)
    service = make_service("postgres", subjects=by_name)

    page = await reader.rows(service, View(), Wanted({"province": "Hà Nội"}, limit=1000))

    assert page.rows_without_subject == sum(p.full_name is None for p in PERSONS if p.province == "Hà Nội") > 0


async def test_a_filter_on_a_column_that_is_gone_gives_nothing(reader: TableReader, make_service: MakeService) -> None:
    with pytest.raises(ViewNotApplicable):
        await reader.rows(make_service("postgres"), View(row_filter=(("gone", "eq", "1"),)), Wanted({"number": "1"}))


@pytest.mark.parametrize("kind", ["postgres", "csv", "parquet"])
async def test_a_table_that_changed_or_is_gone_is_the_providers_problem(
    kind: str, reader: TableReader, make_service: MakeService, database: DatabaseDsns, tmp_path: Path
) -> None:
    service = make_service(kind)
    if kind == "postgres":
        with psycopg.connect(database.owner) as owner:
            owner.execute("ALTER TABLE dancu.citizen DROP COLUMN born")
    else:
        damage(tmp_path)

    with pytest.raises(Problem) as failed:
        await reader.rows(service, View(), Wanted({"number": "001000000000"}))

    assert (failed.value.kind, failed.value.side) == ("source-changed", "provider")


async def test_a_service_that_is_no_table_has_no_rows(reader: TableReader) -> None:
    service = replace(citizens(TableSource("postgres")), kind="http", source=HttpSource("https://backend.invalid"))

    with pytest.raises(Problem) as refused:
        await reader.rows(service, View(), Wanted({"number": "1"}))

    assert refused.value.kind == "not-a-table"


async def test_a_source_that_is_away_is_said_so_quickly(reader: TableReader, make_service: MakeService) -> None:
    source = TableSource("postgres", "postgresql://a:hunter2@127.0.0.1:1/x", "dancu.citizen")

    with pytest.raises(Problem) as failed:
        await reader.rows(citizens(source), View(), Wanted({"number": "1"}))

    assert (failed.value.kind, failed.value.status) == ("source-unavailable", 503)
    assert "hunter2" not in str(failed.value.as_dict())


async def test_a_slow_source_is_cut_at_the_services_time_limit(reader: TableReader, database: DatabaseDsns) -> None:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("CREATE VIEW slow AS SELECT pg_sleep(60)::text AS nap; GRANT SELECT ON slow TO PUBLIC")
    source = TableSource("postgres", database.app, "public.slow", columns=(("nap", "text"),))
    service = citizens(source, fields=(Field("nap", "string"),), key=(), lookup=(), personal=False,
                       required_lookup=False, subjects=(), timeout_s=0.2)  # fmt: skip

    with pytest.raises(Problem) as failed:
        await reader.rows(service, View(), Wanted())

    assert failed.value.kind == "source-timeout"


async def test_a_source_is_only_ever_read(reader: TableReader, database: DatabaseDsns) -> None:
    with psycopg.connect(database.owner, autocommit=True) as owner:
        owner.execute("""
            CREATE TABLE seen (n int);
            CREATE FUNCTION touch() RETURNS text LANGUAGE sql VOLATILE AS $$ INSERT INTO seen VALUES (1); SELECT 'x' $$;
            CREATE VIEW touching AS SELECT touch() AS t; GRANT SELECT ON touching TO PUBLIC; GRANT ALL ON seen TO PUBLIC
        """)
    source = TableSource("postgres", database.app, "public.touching", columns=(("t", "text"),))
    service = citizens(source, fields=(Field("t", "string"),), key=(), lookup=(), personal=False,
                       required_lookup=False, subjects=())  # fmt: skip

    with pytest.raises(Problem):
        await reader.rows(service, View(), Wanted())

    with psycopg.connect(database.owner) as owner:
        assert owner.execute("SELECT count(*) FROM seen").fetchone() == (0,)


@pytest.mark.parametrize(
    ("query", "body", "wanted"),
    [
        ("number=001&limit=5", b"", Wanted({"number": "001"}, limit=5)),
        ("", b'{"income": 5, "offset": 10}', Wanted({"income": 5}, offset=10)),
        ("limit=7", b' {"number": "1"}\n', Wanted({"number": "1"}, limit=7)),
        ("province=H%E1%BA%A3i%20Ph%C3%B2ng", b"", Wanted({"province": "Hải Phòng"})),
        ("", b"", Wanted()),
    ],
)
def test_a_call_asks_by_query_and_body(query: str, body: bytes, wanted: Wanted) -> None:
    assert wanted_from_call(citizens(TableSource("postgres")), query, body) == wanted


@pytest.mark.parametrize(
    ("query", "body"),
    [
        ("number=1&number=2", b""),
        ("number=1", b'{"number": "2"}'),
        ("full_name=x", b""),
        ("", b"[1]"),
        ("", b"{"),
        ("limit=-1", b""),
        ("limit=٣", b""),
        ("limit=1e3", b""),
        ("", b'{"limit": true}'),
        ("novalue", b""),
    ],
)
def test_a_call_that_can_not_be_understood_is_refused(query: str, body: bytes) -> None:
    with pytest.raises(BadLookup):
        wanted_from_call(citizens(TableSource("postgres")), query, body)


async def test_the_answer_is_one_json_object(reader: TableReader, make_service: MakeService) -> None:
    page = await reader.rows(make_service("postgres"), View(("province",)), Wanted({"number": PERSONS[1].number}))

    assert page_json(page) == '{"rows":[{"province":"Hà Nội"}],"next_offset":null}'.encode()


def test_reading_tables_imports_no_engine() -> None:
    heavy = "{'duckdb', 'pyarrow', 'sqlglot', 'adbc_driver_postgresql', 'numpy', 'alembic'}"
    modules = "lienthong.tables.read, lienthong.tables.jobs, lienthong.tables.sandbox, lienthong.tables.openapi"
    script = f"import sys, {modules}; print({heavy} & set(sys.modules))"

    outcome = run([sys.executable, "-c", script], capture_output=True, text=True, check=True,
                  env={"PYTHONPATH": ":".join(filter(None, sys.path))})  # fmt: skip

    assert outcome.stdout.strip() == "set()"
