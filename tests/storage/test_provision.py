"""A node's database: three roles with no more than their rights, the newest schema, and no unsafe server."""

from __future__ import annotations

import dataclasses
import subprocess
import sys

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from lienthong.storage.durability import OldDatabase, UnsafeDatabase, check_durability
from lienthong.storage.migrations.runner import UnknownSchema, revisions
from lienthong.storage.migrations.upgrade import MigrationFailed
from lienthong.storage.provision import (
    BadDatabaseName,
    DatabaseDsns,
    DatabaseUnavailable,
    migrate,
    prepare_database,
)
from lienthong.storage.server import PostgresServer
from lienthong.storage.uri import with_account
from tests.conftest import drop_database

pytestmark = pytest.mark.integration


def run(dsn: str, statement: str) -> list[tuple[object, ...]]:
    """Rows of ``statement`` run by the role of ``dsn``."""
    with psycopg.connect(dsn, autocommit=True) as connection:
        cursor = connection.execute(statement)  # pyright: ignore[reportArgumentType] - literals of this file
        return cursor.fetchall() if cursor.description else []


def name_of(dsns: DatabaseDsns) -> str:
    return str(conninfo_to_dict(dsns.app)["dbname"])


@pytest.mark.parametrize("role", ["app", "log"])
@pytest.mark.parametrize(
    "statement",
    [
        "CREATE TABLE mine ()",
        "CREATE TEMP TABLE mine ()",
        "CREATE SCHEMA mine",
        "ALTER TABLE record OWNER TO CURRENT_USER",
        "TRUNCATE record",
    ],
)
def test_neither_lesser_role_defines_anything(database, role, statement):
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(getattr(database, role), statement)


@pytest.mark.parametrize(
    "statement",
    ["SELECT * FROM record", "UPDATE record SET leaf = ''", "DELETE FROM record", "INSERT INTO checkpoint VALUES (1)"],
)
def test_the_log_role_only_inserts(database, statement):
    run(database.log, "INSERT INTO record (hash, leaf) VALUES ('a', 'b')")

    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        run(database.log, statement)


def test_no_role_enters_another_nodes_database(pg_server, database):
    other = f"{name_of(database)}_b"
    prepare_database(pg_server.dsn(), other)
    try:
        with pytest.raises(psycopg.OperationalError, match="permission denied"):
            psycopg.connect(database.app.replace(f"/{name_of(database)}?", f"/{other}?"))
    finally:
        drop_database(pg_server.dsn(), other)


def test_preparing_again_keeps_the_rows_and_renews_the_passwords(pg_server, database):
    run(database.log, "INSERT INTO record (hash, leaf) VALUES ('a', 'b')")

    again = prepare_database(pg_server.dsn(), name_of(database))

    assert run(again.app, "SELECT hash, leaf FROM record") == [(b"a", b"b")]
    for dsn in dataclasses.astuple(database):
        with pytest.raises(psycopg.OperationalError, match="authentication failed"):
            psycopg.connect(dsn)


def test_passwords_reach_the_server_only_as_verifiers(pg_server, database):
    stored = run(pg_server.dsn(), f"SELECT rolpassword FROM pg_authid WHERE rolname LIKE '{name_of(database)}%'")

    assert len(stored) == 3
    assert all(str(verifier).startswith("SCRAM-SHA-256$") for (verifier,) in stored)


def test_an_account_that_is_no_superuser_can_prepare_a_node(pg_server):
    run(pg_server.dsn(), "CREATE ROLE clerk LOGIN CREATEDB CREATEROLE PASSWORD 'p'")
    clerk = with_account(pg_server.dsn(), "clerk", "p", "postgres")
    try:
        dsns = prepare_database(clerk, "by_clerk")
        again = prepare_database(clerk, "by_clerk")

        assert run(again.app, "SELECT count(*) FROM record") == [(0,)]
        assert dsns.app != again.app
    finally:
        drop_database(pg_server.dsn(), "by_clerk")
        run(pg_server.dsn(), "DROP ROLE clerk")


@pytest.mark.parametrize("name", ["", "Upper", "1st", "with-dash", 'quo"te', "a" * 56, "tiếng", "a;drop"])
def test_a_name_that_needs_quoting_is_refused(name):
    with pytest.raises(BadDatabaseName) as refused:
        prepare_database("postgresql:///never-asked", name)

    assert refused.value.kind == "bad-database-name"


def test_an_unreachable_server_is_told_as_ours_to_mend(tmp_path):
    with pytest.raises(DatabaseUnavailable) as refused:
        prepare_database(f"postgresql:///postgres?host={tmp_path}", "node")

    assert (refused.value.kind, refused.value.status, refused.value.side) == ("database-unavailable", 503, "node")


def test_a_role_whose_commits_may_be_lost_is_refused(pg_server, database):
    name = name_of(database)
    run(pg_server.dsn(), f"ALTER ROLE {name}_log SET synchronous_commit = off")

    with pytest.raises(UnsafeDatabase) as refused:
        prepare_database(pg_server.dsn(), name)

    assert refused.value.facts["settings"] == "synchronous_commit"


@pytest.mark.parametrize("setting", ["fsync", "full_page_writes", "synchronous_commit"])
def test_a_server_that_may_lose_commits_is_refused(server: PostgresServer, setting):
    run(server.dsn(), f"ALTER SYSTEM SET {setting} = off")
    run(server.dsn(), "SELECT pg_reload_conf()")
    server.stop()

    with pytest.raises(UnsafeDatabase) as refused:
        server.start()

    assert refused.value.facts["settings"] == setting


def test_a_server_older_than_fifteen_is_refused(pg_server):
    class FourteenInfo:
        server_version = 140012

    class Fourteen:
        info = FourteenInfo()

    with pytest.raises(OldDatabase) as refused:
        check_durability(Fourteen())  # pyright: ignore[reportArgumentType] - PostgreSQL 14 is not on this machine

    assert refused.value.kind == "old-database"


def test_the_newest_schema_costs_no_alembic(database):
    code = (
        "import sys; from lienthong.storage.provision import migrate\n"
        "migrate(sys.argv[1]); print([name for name in ('alembic', 'sqlalchemy') if name in sys.modules])"
    )

    done = subprocess.run([sys.executable, "-c", code, database.owner], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"


def test_a_schema_of_a_newer_release_is_refused(database):
    run(database.owner, "UPDATE alembic_version SET version_num = '9999_future'")
    run(database.owner, "COMMENT ON TABLE alembic_version IS 'runs with 9998_that_took_a_column_away'")

    with pytest.raises(UnknownSchema) as refused:
        migrate(database.owner)

    assert refused.value.kind == "unknown-schema"
    assert refused.value.facts["found"] == "9999_future"


def test_a_revision_that_fails_leaves_nothing_of_itself(database):
    run(database.owner, "DELETE FROM alembic_version")
    run(database.owner, "DROP TABLE record")  # entry, the second table of the first revision, is there still

    with pytest.raises(MigrationFailed) as refused:
        migrate(database.owner)

    assert refused.value.kind == "migration-failed"
    assert run(database.owner, "SELECT to_regclass('record')") == [(None,)]
    assert run(database.owner, "SELECT * FROM alembic_version") == []


def test_two_processes_that_migrate_at_once_both_end_well(pg_server):
    run(pg_server.dsn(), "CREATE ROLE twice_app; CREATE ROLE twice_log; CREATE ROLE twice_owner LOGIN PASSWORD 'p'")
    run(pg_server.dsn(), "CREATE DATABASE twice OWNER twice_owner")
    owner = with_account(pg_server.dsn(), "twice_owner", "p", "twice")
    code = "import sys; from lienthong.storage.provision import migrate; migrate(sys.argv[1])"
    try:
        both = [subprocess.Popen([sys.executable, "-c", code, owner]) for _ in range(2)]

        assert [process.wait() for process in both] == [0, 0]
        assert run(owner, "SELECT version_num FROM alembic_version") == [(revisions()[-1],)]
    finally:
        drop_database(pg_server.dsn(), "twice")


@pytest.mark.parametrize(
    "given",
    [
        "host=db.example.vn port=6432 user=root password=x dbname=postgres sslmode=verify-full sslrootcert=/etc/ca.pem",
        "postgresql://root:x@db.example.vn:6432/postgres?sslmode=verify-full&sslrootcert=/etc/ca.pem",
    ],
)
def test_a_dsn_of_either_form_keeps_its_server_and_its_tls(given):
    made = conninfo_to_dict(with_account(given, "n_app", "p/w:@ ?", "n"))

    assert made == {
        "host": "db.example.vn",
        "port": "6432",
        "sslmode": "verify-full",
        "sslrootcert": "/etc/ca.pem",
        "user": "n_app",
        "password": "p/w:@ ?",
        "dbname": "n",
    }
