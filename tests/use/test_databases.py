"""Tests of whole nodes stay independent though they share databases."""

from __future__ import annotations

import psycopg
import pytest

from tests.use.databases import TEMPLATE, databases


def state_of(dsn: str) -> list[tuple]:
    """Tables with their numbers of rows, and what decides where the next record goes."""
    with psycopg.connect(dsn, autocommit=True) as db:
        tables = [
            name for (name,) in db.execute("SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1")
        ]
        counts = [(table, db.execute(f"SELECT count(*) FROM {table}").fetchone()[0]) for table in tables]
        return [*counts, db.execute("SELECT tx::text, seq, size FROM sequenced").fetchone()]


def test_a_database_comes_back_as_migrating_left_it(pg_server):
    with databases(pg_server, 1) as (first,):
        fresh = state_of(first.owner)
        with psycopg.connect(first.owner, autocommit=True) as db:
            db.execute("CREATE TABLE person (name text)")
            db.execute("INSERT INTO record (hash, leaf) VALUES ('h', 'l')")
            db.execute("UPDATE sequenced SET size = 1")
            db.execute("DELETE FROM nonce")

    with databases(pg_server, 1) as (second,):
        assert second == first
        assert state_of(second.owner) == fresh
        with psycopg.connect(second.log, autocommit=True) as db:
            db.execute("INSERT INTO record (hash, leaf) VALUES ('h', 'l')")
        with psycopg.connect(second.app, autocommit=True) as db:
            assert db.execute("SELECT seq FROM record").fetchall() == [(1,)]


@pytest.mark.parametrize(
    "damage",
    [
        f"REVOKE INSERT ON record FROM {TEMPLATE}_log",
        "ALTER TABLE record ADD COLUMN more text",
        "DROP TABLE nonce",
        "DROP TABLE alembic_version",
    ],
)
def test_a_database_that_a_test_changed_is_not_used_again(pg_server, damage):
    with databases(pg_server, 1) as (spoiled,), psycopg.connect(spoiled.owner, autocommit=True) as db:
        db.execute(damage)

    with databases(pg_server, 1) as (another,):
        assert another != spoiled
