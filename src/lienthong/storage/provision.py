"""A node's database and its three roles, made and brought to the newest schema; can be done again without harm.

``<name>_owner`` owns the tables, ``<name>_app`` reads and writes rows but defines nothing, ``<name>_log`` may only
insert into the log.  Each start gives the roles new passwords: none is kept longer than the process that uses it.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar

import psycopg
from psycopg import sql

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.durability import check_durability
from lienthong.storage.migrations.runner import NEWEST, needs_migration
from lienthong.storage.uri import with_account

NAME = re.compile(r"[a-z][a-z0-9_]{0,54}")
"""Leaves room for the longest role suffix within PostgreSQL's 63 bytes."""
ROLES = ("owner", "app", "log")
LOCK = 0x4C54_0001
"""Advisory lock on the maintenance database: two nodes may be prepared on one server at the same time."""


class DatabaseUnavailable(Problem):
    """The database server can not be reached or refuses the account."""

    kind: ClassVar[str] = "database-unavailable"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The database can not be reached")


class BadDatabaseName(Problem):
    """The name can not be a database's name and the prefix of its roles."""

    kind: ClassVar[str] = "bad-database-name"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The name of the database can not be used")


@dataclass(frozen=True, slots=True)
class DatabaseDsns:
    """URIs of one database, one per role; they hold passwords."""

    owner: str
    app: str
    log: str


def prepare_database(superuser_dsn: str, name: str, *, to: str = NEWEST) -> DatabaseDsns:
    """Make the database ``name`` and its roles where they are missing, migrate it, and return the roles' DSNs.

    ``to`` is the revision to stop at, for a backup of an older schema.  ``superuser_dsn`` may be any account that can
    create databases and roles.  Raises BadDatabaseName, DatabaseUnavailable, UnsafeDatabase, OldDatabase or
    UnknownSchema.
    """
    if not NAME.fullmatch(name):
        raise BadDatabaseName(
            T("{name} can not be the name of a database."),
            mend=T("Use at most 55 small letters, digits and underscores, beginning with a letter."),
            name=name,
        )
    with connected(superuser_dsn) as connection:
        check_durability(connection)
        connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
        passwords = {role: _ensure_role(connection, f"{name}_{role}") for role in ROLES}
        _ensure_database(connection, name)
        dsns = DatabaseDsns(
            **{role: with_account(superuser_dsn, f"{name}_{role}", passwords[role], name) for role in ROLES}
        )
        # Under the lock still: the passwords just set are not replaced before they were tried.
        for dsn in (dsns.owner, dsns.app, dsns.log):
            with connected(dsn) as as_role:
                check_durability(as_role)
        migrate(dsns.owner, to)
    return dsns


def migrate(owner_dsn: str, to: str = NEWEST) -> None:
    """Bring the schema to the newest revision; a current schema costs one query and no import of Alembic.

    Raises DatabaseUnavailable, or UnknownSchema when the database is newer than this program.
    """
    with connected(owner_dsn) as connection:
        if not needs_migration(connection):
            return
        from lienthong.storage.migrations.upgrade import upgrade  # Alembic takes half a second: only when behind

        upgrade(connection, to)


@contextmanager
def connected(dsn: str) -> Generator[psycopg.Connection]:
    """An autocommit connection; raises DatabaseUnavailable when none can be made."""
    try:
        connection = psycopg.connect(dsn, autocommit=True, connect_timeout=10)
    except psycopg.OperationalError as refused:
        raise DatabaseUnavailable(
            T("No connection to the database could be made: {why}"),
            mend=T("See that the server runs and that LIENTHONG_DATABASE names it and its account rightly."),
            why=str(refused).strip(),
        ) from refused
    with connection:
        yield connection


def _ensure_role(connection: psycopg.Connection, role: str) -> str:
    """Make or renew a role; returns its new password, which reaches the server only as a SCRAM verifier."""
    password = secrets.token_urlsafe(24)
    verifier = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode("ascii")
    known = connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", [role]).fetchone()
    statement = "ALTER ROLE {} LOGIN PASSWORD {}" if known else "CREATE ROLE {} LOGIN PASSWORD {}"
    connection.execute(sql.SQL(statement).format(sql.Identifier(role), sql.Literal(verifier)))
    return password


def _ensure_database(connection: psycopg.Connection, name: str) -> None:
    database, owner = sql.Identifier(name), sql.Identifier(f"{name}_owner")
    if connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
        superuser = connection.execute("SELECT rolsuper FROM pg_roles WHERE rolname = current_user").fetchone()
        if superuser == (False,):  # then it must belong to the owner to make the owner's database
            connection.execute(sql.SQL("GRANT {} TO CURRENT_USER").format(owner))
        connection.execute(
            sql.SQL("CREATE DATABASE {} OWNER {} TEMPLATE template0 ENCODING 'UTF8'").format(database, owner)
        )
    # Nobody else, and no temporary tables: the app defines nothing.
    connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(database))
    for role in ("app", "log"):
        connection.execute(
            sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(database, sql.Identifier(f"{name}_{role}"))
        )
