"""Three members' tables (people, land, firms) with what real registers hold: absent values, doubles, odd letters.

``Federation`` answers a query as the nodes would, each part on a database of its own that has only that member's table,
and ``merged`` gives the same query to one DuckDB that has them all.
"""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from lienthong.catalog.models import Field, Service, Subject, TableSource
from lienthong.directory.models import ServiceId
from lienthong.query.models import Plan, RemoteTable
from lienthong.query.names import service_name, write_name
from lienthong.query.operations import PART_LIMITS, Restrictor, run_part
from lienthong.query.plan import plan
from lienthong.query.restrict import restrict, table_under
from lienthong.tables.limits import Limits
from lienthong.tables.mask import duckdb_type
from lienthong.tables.models import View
from lienthong.tables.sandbox import Outcome, Sandbox
from lienthong.tables.sql import masked_select, quote_name, read_file

Row = tuple[object, ...]

CITIZEN = ServiceId("VN/GOV/G01/dancu/citizen")
PARCEL = ServiceId("VN/GOV/H31.12/datdai/parcel")
FIRM = ServiceId("VN/GOV/G05/dkkd/firm")

FIELDS: Mapping[ServiceId, tuple[Field, ...]] = {
    CITIZEN: (
        Field("pn", "string", personal=True),
        Field("full_name", "string", personal=True),
        Field("commune", "string"),
        Field("born", "date"),
        Field("gender", "string"),
        Field("income", "decimal", precision=12, scale=2),
        Field("married", "boolean"),
        Field("height", "double"),
        Field("children", "integer"),
    ),
    PARCEL: (
        Field("id", "string"),
        Field("owner", "string", personal=True),
        Field("commune", "string"),
        Field("area", "decimal", precision=10, scale=1),
        Field("purpose", "string"),
        Field("price", "integer"),
        Field("changed", "timestamp"),
    ),
    FIRM: (
        Field("code", "string"),
        Field("title", "string"),
        Field("owner", "string", personal=True),
        Field("commune", "string"),
        Field("founded", "date"),
        Field("capital", "decimal", precision=18, scale=0),
        Field("staff", "integer"),
    ),
}
_COMMUNES = ("Hồng Bàng", "Lê Chân", "Ngô Quyền", "An Dương", "Đồ Sơn", "Ấp Bắc", "hồng bàng", None)
_NAMES = ("Nguyễn Văn An", "Trần Thị Bé", "Lê Đặng", "Phạm O'Hara", "Đỗ 'Út'", "vũ hoàng", "Bùi % Thị_Sáu", "", None)


def rows_of(service: ServiceId, count: int, seed: int = 7) -> list[Row]:
    """``count`` rows, some of them twice."""
    rng = random.Random(f"{service}{seed}")

    def maybe(value: object) -> object:
        return None if rng.random() < 0.12 else value

    def day() -> date:
        return date(1940, 1, 1) + timedelta(days=rng.randrange(30_000))

    def moment() -> datetime:
        return datetime.combine(day(), time(rng.randrange(24), rng.randrange(60)))

    makers = {
        CITIZEN: lambda n: (
            f"{n % (count // 2):012d}", rng.choice(_NAMES), rng.choice(_COMMUNES), maybe(day()),
            maybe(rng.choice("MF")), maybe(Decimal(rng.randrange(0, 900_000)) / 100), maybe(rng.random() < 0.5),
            maybe(rng.choice([1.5, 1.62, 1.71, 0.1 + 0.2, -0.0])), maybe(rng.randrange(5)),
        ),
        PARCEL: lambda n: (
            f"P{n:05d}", maybe(f"{rng.randrange(count):012d}"), rng.choice(_COMMUNES),
            maybe(Decimal(rng.randrange(1, 90_000)) / 10), maybe(rng.choice(("ODT", "LUC", "CLN"))),
            maybe(rng.randrange(-5, 2**40)), maybe(moment()),
        ),
        FIRM: lambda n: (
            f"F{n % (count - 5):05d}", maybe(f"Cty {rng.choice(_NAMES)}"), maybe(f"{rng.randrange(count):012d}"),
            rng.choice(_COMMUNES), maybe(day()), maybe(Decimal(rng.randrange(10**12))), maybe(rng.randrange(1, 400)),
        ),
    }  # fmt: skip
    made = [makers[service](n) for n in range(count)]
    return made + made[: count // 20]


@dataclass
class Member:
    """One table in a Parquet file of its own."""

    service: Service
    path: str
    view: View = field(default_factory=View)
    min_group: int | None = None
    database: duckdb.DuckDBPyConnection = field(default_factory=lambda: connect("SET arrow_lossless_conversion = true"))
    """This member's own: it never holds another member's table."""

    @property
    def name(self) -> str:
        return write_name(service_name(self.service.id))

    def answer(self, sql: str) -> pa.Table:
        """What the provider does: rewrite, load what is granted and needed, run; the table as it arrives."""
        restricted = restrict(sql, self.service, self.view, self.min_group)
        conditions = (*self.view.row_filter, *restricted.conditions)
        incoming = f"({read_file(self.service, self.path, restricted.reads, conditions)}) AS incoming"
        loaded = masked_select(self.service, self.view, restricted.reads, incoming)
        self.database.execute(f"CREATE OR REPLACE TABLE {quote_name(restricted.relation)} AS {loaded}")
        found = self.database.sql(restricted.sql).to_arrow_table()
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, found.schema) as stream:
            stream.write_table(found)
        return pa.ipc.open_stream(sink.getvalue()).read_all()


def connect(settings: str = "") -> duckdb.DuckDBPyConnection:
    """An empty database set up as the sandbox's."""
    made = duckdb.connect(config={"threads": "1"})
    made.execute(f"SET TimeZone = 'UTC'; {settings}")
    return made


class Federation:
    """Members, and the query over them."""

    def __init__(self, members: Sequence[Member]) -> None:
        self.members = {member.name: member for member in members}
        self.merging = connect()

    def with_terms(self, service: ServiceId, view: View, min_group: int | None = None) -> Federation:
        """The same members, one of them under other terms."""
        return Federation(
            [
                replace(member, view=view, min_group=min_group) if member.service.id == service else member
                for member in self.members.values()
            ]
        )

    def tables(self) -> dict[str, RemoteTable]:
        """What the asking node knows."""
        return {
            name: replace(table_under(member.service, member.view, member.min_group), name=name)
            for name, member in self.members.items()
        }

    def plan(self, sql: str) -> Plan:
        return plan(sql, self.tables())

    def ask(self, sql: str) -> list[Row]:
        """The query answered by the members and merged."""
        planned = self.plan(sql)
        merging = self.merging
        for part in planned.subqueries:
            arrived = self.members[part.table].answer(part.sql)
            assert tuple(arrived.column_names) == part.columns
            merging.register(part.part, arrived)
        return merging.sql(planned.merge_sql).fetchall()

    def merged(self) -> duckdb.DuckDBPyConnection:
        """One database that holds every member's table as its view shows it."""
        whole = connect()
        for member in self.members.values():
            code, system, table = (quote_name(part) for part in service_name(member.service.id))
            whole.execute(f"ATTACH ':memory:' AS {code}; CREATE SCHEMA {code}.{system}")
            names = [published.name for published in member.service.fields]
            incoming = f"({read_file(member.service, member.path, names, member.view.row_filter)}) AS incoming"
            shown = masked_select(member.service, member.view, names, incoming)
            whole.execute(f"CREATE TABLE {code}.{system}.{table} AS {shown}")
        return whole


def make_federation(folder: Path, count: int = 120) -> Federation:
    """The three members with about ``count`` rows each."""
    return Federation([_member(service, folder, count) for service in FIELDS])


def _member(service: ServiceId, folder: Path, count: int) -> Member:
    path = folder / f"{service.rpartition('/')[2]}.parquet"
    fields = FIELDS[service]
    values = ", ".join(f"CAST(? AS {duckdb_type(published)}) AS {quote_name(published.name)}" for published in fields)
    making = duckdb.connect()
    making.execute(f"CREATE TABLE made AS SELECT {values} LIMIT 0", [None] * len(fields))
    making.executemany(f"INSERT INTO made VALUES ({', '.join('?' * len(fields))})", rows_of(service, count))
    pq.write_table(making.sql("SELECT * FROM made").to_arrow_table(), path)
    person = {CITIZEN: "pn"}.get(service, "owner")
    described = Service(
        id=service,
        kind="table",
        title_vi=str(service),
        title_en=str(service),
        sharing="shared",
        fields=fields,
        subjects=(Subject("response", person, "personal_number"),),
        source=TableSource("parquet", path=str(path)),
    )
    return Member(described, str(path))


async def part_of(
    sandbox: Sandbox, service: Service, view: View, least: int | None, sql: str, limits: Limits = PART_LIMITS, **more
) -> Outcome:
    """A sub-query through the sandbox as a provider answers it: rewritten first, then run."""
    restricted = await Restrictor(sandbox).restricted(service, view, least, sql)
    return await run_part(sandbox, service, view, restricted, limits, **more)
