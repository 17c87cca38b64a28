"""Making the registers' tables and copying rows in: one transaction of the caller, one COPY a table.

The tables stand in the first schema of the connection's search path.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields
from datetime import date
from typing import Any

from psycopg import AsyncConnection, sql

from lienthong.demo.firms import Firm
from lienthong.demo.land import Parcel
from lienthong.demo.places import UnitRow, unit_rows
from lienthong.demo.population import Person
from lienthong.demo.registers import FIRM, PARCEL, PERSON, UNIT, Register

Database = AsyncConnection[Any]
"""Any row factory does: nothing is read."""


async def load_people(db: Database, people: Iterable[Person]) -> int:
    """Make the table ``person`` anew with ``people``; the number of rows."""
    return await _load(db, PERSON, people)


async def load_parcels(db: Database, parcels: Iterable[Parcel]) -> int:
    """Make the table ``parcel`` anew with ``parcels``; the number of rows."""
    return await _load(db, PARCEL, parcels)


async def load_firms(db: Database, firms: Iterable[Firm]) -> int:
    """Make the table ``firm`` anew with ``firms``; the number of rows."""
    return await _load(db, FIRM, firms)


async def load_units(db: Database, day: date) -> int:
    """Make the table ``unit`` anew with the real register as known on ``day``; the number of rows."""
    return await _load(db, UNIT, unit_rows(day))


async def _load(db: Database, register: Register, rows: Iterable[Person | Parcel | Firm | UnitRow]) -> int:
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
