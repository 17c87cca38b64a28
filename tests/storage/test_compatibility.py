"""The release before runs on the schema of this one: revisions only add, and the database says so."""

from __future__ import annotations

import re

import psycopg
import pytest

from lienthong.storage.migrations.runner import KNOWN_SINCE, VERSIONS, needs_migration, revisions
from lienthong.storage.provision import DatabaseDsns

TAKES_AWAY = re.compile(
    r"\bDROP\s+(TABLE|COLUMN|SCHEMA|VIEW|TYPE)\b|\bRENAME\b|\bALTER\s+COLUMN\s+\w+\s+(SET\s+DATA\s+)?TYPE\b"
    r"|\bSET\s+NOT\s+NULL\b|\bREVOKE\b|ADD\s+COLUMN\s+(?![^;,]*\bDEFAULT\b)[^;,]*\bNOT\s+NULL\b",
    re.IGNORECASE,
)


def upgrade_part(text: str) -> str:
    """What a revision does when it is applied: everything but comments and a downgrade."""
    return re.sub(r"--[^\n]*|#[^\n]*", "", text).split("def downgrade", 1)[0]


@pytest.mark.parametrize("revision", revisions()[revisions().index(KNOWN_SINCE) + 1 :])
def test_a_revision_takes_nothing_away_that_the_release_before_uses(revision: str):
    assert not TAKES_AWAY.search(upgrade_part((VERSIONS / f"{revision}.py").read_text("utf-8")))


@pytest.mark.parametrize(
    "statement",
    [
        "DROP TABLE record",
        "ALTER TABLE record DROP COLUMN leaf",
        "ALTER TABLE record RENAME COLUMN leaf TO entry",
        "ALTER TABLE record ALTER COLUMN seq TYPE text",
        "ALTER TABLE record ALTER COLUMN detail SET NOT NULL",
        "ALTER TABLE record ADD COLUMN more text NOT NULL",
    ],
)
def test_a_revision_that_takes_something_away_is_found(statement: str):
    assert TAKES_AWAY.search(upgrade_part(f'op.execute("{statement}")'))


def test_a_column_with_a_default_takes_nothing_away():
    assert not TAKES_AWAY.search("ALTER TABLE sequenced ADD COLUMN epoch bigint NOT NULL DEFAULT 0;")


def test_a_newer_schema_that_only_added_is_lived_with(database: DatabaseDsns):
    with psycopg.connect(database.owner, autocommit=True) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999_future'")

        assert needs_migration(db) is False
