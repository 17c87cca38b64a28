"""One made-up table of persons, in PostgreSQL, CSV and Parquet alike: what each test publishes and compares."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, NamedTuple

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq

from lienthong.catalog.models import CsvFormat, Field, Service, Subject, TableSource
from lienthong.directory.models import ServiceId

SERVICE = ServiceId("VN/GOV/G01/dancu/citizen")

FIELDS = (
    Field("number", "string", "Số định danh", "Personal number", personal=True, nullable=False),
    Field("full_name", "string", "Họ và tên", "Full name", personal=True),
    Field("born", "date", "Ngày sinh", "Born"),
    Field("income", "integer", "Thu nhập", "Income"),
    Field("area", "decimal", "Diện tích", "Area", precision=12, scale=2),
    Field("score", "double", "Điểm", "Score"),
    Field("alive", "boolean", "Còn sống", "Alive"),
    Field("changed", "timestamp", "Cập nhật", "Changed"),
    Field("province", "string", "Tỉnh", "Province"),
)
NAMES = tuple(field.name for field in FIELDS)
_POSTGRES = {
    "number": "text", "full_name": "character varying(100)", "born": "date", "income": "integer",
    "area": "numeric(12,2)", "score": "double precision", "alive": "boolean",
    "changed": "timestamp with time zone", "province": "text",
}  # fmt: skip
_DUCKDB = {
    "number": "VARCHAR", "full_name": "VARCHAR", "born": "DATE", "income": "BIGINT", "area": "DECIMAL(12,2)",
    "score": "DOUBLE", "alive": "BOOLEAN", "changed": "TIMESTAMP", "province": "VARCHAR",
}  # fmt: skip
_FAMILY = ("Nguyễn", "Trần", "Lê", "Phạm", "Đặng", "O'Hara", 'Bùi "Bé"', "Vũ, Hoàng")


class Person(NamedTuple):
    number: str
    full_name: str | None
    born: date | None
    income: int | None
    area: Decimal | None
    score: float | None
    alive: bool
    changed: datetime
    province: str


def people(count: int) -> Iterator[Person]:
    """``count`` persons, each value a function of its place: nulls, quotes, commas and letters with marks included."""
    for place in range(count):
        yield Person(
            number=f"{place % 96 + 1:03d}{place:09d}",
            full_name=None if place % 17 == 5 else f"{_FAMILY[place % 8]} Văn Ất {place}",
            born=None if place % 13 == 7 else date(1940 + place % 80, place % 12 + 1, place % 28 + 1),
            income=None if place % 11 == 3 else place * 7919 % 90_000_000,
            area=Decimal(place * 37 % 100_000) / 100,
            score=None if place % 19 == 1 else place / 7,
            alive=place % 5 != 0,
            changed=datetime(2026, 1 + place % 12, 1 + place % 28, place % 24, place % 60, 30),  # noqa: DTZ001 - UTC
            province=("Hải Phòng", "Hà Nội", "Đà Nẵng")[place % 3],
        )


def in_postgres(owner_dsn: str, count: int) -> TableSource:
    """The persons as table ``dancu.citizen``; every role may read it."""
    columns = ", ".join(
        f"{name} {kind}{' PRIMARY KEY' if name == 'number' else ''}" for name, kind in _POSTGRES.items()
    )
    with psycopg.connect(owner_dsn) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        connection.execute("CREATE SCHEMA IF NOT EXISTS dancu")
        connection.execute("DROP TABLE IF EXISTS dancu.citizen")
        # A vacuum may cut empty pages off: to whoever looks from outside, the table would have changed.
        connection.execute(f"CREATE TABLE dancu.citizen ({columns}) WITH (autovacuum_enabled = off)")
        with connection.cursor().copy("COPY dancu.citizen FROM STDIN") as copy:
            for person in people(count):
                copy.write_row(person)
        connection.execute("GRANT USAGE ON SCHEMA dancu TO PUBLIC; GRANT SELECT ON dancu.citizen TO PUBLIC")
        connection.commit()
        # The counters by which a change is seen may come ten seconds late: a test that counts versions can not wait.
        connection.execute("SELECT pg_stat_force_next_flush()")
        connection.commit()
    return TableSource("postgres", relation="dancu.citizen", columns=tuple(_POSTGRES.items()))


def in_csv(path: Path, count: int, form: CsvFormat = CsvFormat()) -> TableSource:
    """The persons as a CSV file."""
    with path.open("w", encoding=form.encoding, newline="") as out:
        writer = csv.writer(out, delimiter=form.delimiter, quotechar=form.quote)
        if form.header:
            writer.writerow(NAMES)
        for person in people(count):
            writer.writerow(str(cell).lower() if isinstance(cell, bool) else cell for cell in person)
    return TableSource("csv", path=str(path), columns=tuple(_DUCKDB.items()), csv=form)


def in_parquet(path: Path, count: int) -> TableSource:
    """The persons as a Parquet file."""
    columns: list[Any] = list(zip(*people(count), strict=True))
    types = (
        pa.string(), pa.string(), pa.date32(), pa.int32(), pa.decimal128(12, 2), pa.float64(), pa.bool_(),
        pa.timestamp("us", "UTC"), pa.string(),
    )  # fmt: skip
    arrays = [pa.array(column, kind) for column, kind in zip(columns, types, strict=True)]
    pq.write_table(pa.table(arrays, names=list(NAMES)), path)
    return TableSource("parquet", path=str(path), columns=tuple((field.name, field.type) for field in FIELDS))


def citizens(source: TableSource, **changes: Any) -> Service:
    """The personal service over ``source``."""
    described: dict[str, Any] = {
        "id": SERVICE,
        "kind": "table",
        "title_vi": "Công dân",
        "title_en": "Citizens",
        "sharing": "shared",
        "fields": FIELDS,
        "personal": True,
        "subjects": (Subject("request", "number", "personal_number"), Subject("response", "number", "personal_number")),
        "lookup": ("number", "province", "income"),
        "required_lookup": True,
        "key": ("number",),
        "source": source,
        **changes,
    }
    return Service(**described)
