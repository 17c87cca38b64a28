"""Making the registers' tables and copying rows in: one transaction of the caller, one COPY a table.

The tables stand in the first schema of the connection's search path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import date
from typing import Any, Final

import psycopg
from psycopg import AsyncConnection, sql
from psycopg.conninfo import conninfo_to_dict

from lienthong.demo.copied import Resident
from lienthong.demo.firms import Firm
from lienthong.demo.land import Parcel
from lienthong.demo.places import UnitRow, unit_rows
from lienthong.demo.population import Person
from lienthong.demo.registers import FIRM, PARCEL, PERSON, RESIDENT, UNIT, Register
from lienthong.storage.uri import with_account

READER: Final = "lienthong_reader"
"""The role through which nodes read the ministries' tables: SELECT, nothing else."""

Database = AsyncConnection[Any]
"""Any row factory does: nothing is read."""


async def load_people(db: Database, people: Iterable[Person]) -> int:
    """Make the table ``person`` anew with ``people``; the number of rows."""
    return await _load(db, PERSON, people)


async def load_residents(db: Database, residents: Iterable[Resident]) -> int:
    """Make the table ``resident`` anew with ``residents``; the number of rows."""
    return await _load(db, RESIDENT, residents)


async def load_parcels(db: Database, parcels: Iterable[Parcel]) -> int:
    """Make the table ``parcel`` anew with ``parcels``; the number of rows."""
    return await _load(db, PARCEL, parcels)


async def load_firms(db: Database, firms: Iterable[Firm]) -> int:
    """Make the table ``firm`` anew with ``firms``; the number of rows."""
    return await _load(db, FIRM, firms)


async def load_units(db: Database, day: date) -> int:
    """Make the table ``unit`` anew with the real register as known on ``day``; the number of rows."""
    return await _load(db, UNIT, unit_rows(day))


async def _load(db: Database, register: Register, rows: Iterable[Person | Resident | Parcel | Firm | UnitRow]) -> int:
    await _make_table(db, register)
    names = sql.SQL(", ").join(sql.Identifier(column.name) for column in register.columns)
    copy = sql.SQL("COPY {} ({}) FROM STDIN").format(sql.Identifier(register.table), names)
    copied = 0
    async with db.cursor() as cursor:
        async with cursor.copy(copy) as into:
            for row in rows:
                await into.write_row([getattr(row, field.name) for field in fields(row)])
                copied += 1
        await cursor.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(register.table)))
    return copied


async def _make_table(db: Database, register: Register) -> None:
    """The empty table with its titles as comments, so that a register explains itself to whoever publishes it."""
    table = sql.Identifier(register.table)
    columns = sql.SQL(", ").join(
        sql.SQL("{} {}{}").format(
            sql.Identifier(column.name),
            sql.SQL(column.sql_type),  # pyright: ignore[reportArgumentType] - from the fixed table of types
            sql.SQL("" if column.nullable else " NOT NULL"),
        )
        for column in register.columns
    )
    await db.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(table))
    await db.execute(
        sql.SQL("CREATE TABLE {} ({}, PRIMARY KEY ({}))").format(table, columns, sql.Identifier(register.key))
    )
    await db.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(table, sql.Literal(register.title_vi)))
    for column in register.columns:
        await db.execute(
            sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(
                table, sql.Identifier(column.name), sql.Literal(column.title_vi)
            )
        )


def let_reader_in(superuser: str, secret: str) -> None:
    """Make the reading role with the password ``secret``, or give it that one again."""
    with psycopg.connect(superuser, autocommit=True) as db:
        known = db.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (READER,)).fetchone()
        verb = sql.SQL("ALTER" if known else "CREATE")
        db.execute(sql.SQL("{} ROLE {} LOGIN PASSWORD {}").format(verb, sql.Identifier(READER), sql.Literal(secret)))


def make_database(superuser: str, name: str) -> None:
    """Make the database ``name`` if it is missing."""
    with psycopg.connect(superuser, autocommit=True) as db:
        if db.execute("SELECT 1 FROM pg_database WHERE datname = %s", (name,)).fetchone() is None:
            db.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))


def table_comment(dsn: str, table: str) -> str | None:
    """The comment of a table; None when there is no such table or database."""
    try:
        with psycopg.connect(dsn) as db:
            row = db.execute("SELECT obj_description(to_regclass(%s))", (f"public.{table}",)).fetchone()
    except psycopg.OperationalError:
        return None
    return None if row is None else row[0]


async def open_to_reader(db: Database, table: str, comment: str) -> None:
    """Let the reading role read ``table``, and note in its comment what it was made from."""
    named = sql.Identifier(table)
    await db.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(named, sql.Identifier(READER)))
    await db.execute(sql.SQL("COMMENT ON TABLE {} IS {}").format(named, sql.Literal(comment)))


async def somebody_of(db: Database, table: str, column: str, province: str, *, persons_only: bool) -> str:
    """A code of ``column`` in a row of ``province``, so that a call finds somebody; empty when there is none."""
    question = sql.SQL("SELECT {} FROM {} WHERE province_code = %s AND {} ORDER BY 1 LIMIT 1").format(
        sql.Identifier(column),
        sql.Identifier(table),
        sql.SQL("length({}) = 12" if persons_only else "true").format(sql.Identifier(column)),
    )
    cursor = await db.execute(question, (province,))
    row = await cursor.fetchone()
    return str(row[0]) if row else ""


def database_of(superuser: str, name: str) -> str:
    """The account of ``superuser`` on another database of its server."""
    known = conninfo_to_dict(superuser)
    return with_account(superuser, str(known["user"]), str(known.get("password", "")), name)
