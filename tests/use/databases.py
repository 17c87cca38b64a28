"""Migrated databases for tests of whole nodes: copied from one template, and used again once they are as it was.

Migrating takes 650 ms and dropping forces a checkpoint; copying takes 70 ms and emptying 30.  A database whose tables,
columns or rights a test changed is never used again.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

import psycopg
from psycopg import sql

from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer

TEMPLATE = "node_template"
SHAPE = """
SELECT md5(string_agg(concat_ws(' ', c.relname, c.relkind, c.relacl, a.attname, a.atttypid, a.attacl), ','
                      ORDER BY c.relname, a.attnum))
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace
"""
TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"


@dataclass
class Stock:
    """The template of one server and the copies that wait for their next test."""

    template: DatabaseDsns
    shape: str
    seeds: dict[str, bytes]
    """What migrating writes into each table, as COPY gives it."""
    free: list[str] = field(default_factory=list)
    made: int = 0


_stocks: dict[str, Stock] = {}


@contextmanager
def databases(server: PostgresServer, count: int) -> Iterator[list[DatabaseDsns]]:
    """``count`` databases as a new node finds them.  All of them belong to the same three roles."""
    superuser = server.dsn()
    if superuser not in _stocks:
        _stocks[superuser] = _stock(server)
    stock = _stocks[superuser]
    names = [stock.free.pop() if stock.free else _copy(stock, superuser) for _ in range(count)]
    try:
        yield [_named(stock.template, name) for name in names]
    finally:
        stock.free += [name for name in names if _emptied(stock, server.dsn(name))]


def _stock(server: PostgresServer) -> Stock:
    template = prepare_database(server.dsn(), TEMPLATE)
    with psycopg.connect(server.dsn(TEMPLATE), autocommit=True) as connection:
        seeds: dict[str, bytes] = {}
        for (table,) in connection.execute(TABLES).fetchall():
            with connection.cursor().copy(sql.SQL("COPY {} TO STDOUT").format(sql.Identifier(table))) as copy:
                seeds[table] = b"".join(bytes(piece) for piece in copy)
        return Stock(template, _shape(connection), seeds)


def _copy(stock: Stock, superuser: str) -> str:
    stock.made += 1
    name = f"node_{stock.made}"
    with psycopg.connect(superuser, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE} OWNER {TEMPLATE}_owner STRATEGY wal_log")
        connection.execute(f"REVOKE ALL ON DATABASE {name} FROM PUBLIC")
        connection.execute(f"GRANT CONNECT ON DATABASE {name} TO {TEMPLATE}_app, {TEMPLATE}_log")
    return name


def _named(template: DatabaseDsns, name: str) -> DatabaseDsns:
    return DatabaseDsns(
        *(urlunsplit(urlsplit(dsn)._replace(path=f"/{name}")) for dsn in (template.owner, template.app, template.log))
    )


def _emptied(stock: Stock, superuser_dsn: str) -> bool:
    """Whether the database now is what the template is: the same tables, columns and rights, the same rows."""
    try:
        with psycopg.connect(superuser_dsn) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            connection.execute("SET session_replication_role = replica")  # rows go in any order
            tables = [table for (table,) in connection.execute(TABLES).fetchall()]
            for table in tables:
                verb = "DELETE FROM {}" if table in stock.seeds else "DROP TABLE {} CASCADE"
                connection.execute(sql.SQL(verb).format(sql.Identifier(table)))
            for table, rows in stock.seeds.items():
                if rows:
                    with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(sql.Identifier(table))) as copy:
                        copy.write(rows)
            connection.execute("SELECT setval(oid, 1, false) FROM pg_class WHERE relkind = 'S'")
            return _shape(connection) == stock.shape
    except psycopg.Error:
        return False  # broken on purpose by its test


def _shape(connection: psycopg.Connection) -> str:
    (shape,) = connection.execute(SHAPE).fetchone()
    return shape
