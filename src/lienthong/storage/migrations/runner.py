"""Whether a database needs migrating: answered from file names and one query, without importing Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import psycopg
from psycopg import sql

from lienthong.errors import Problem, Side
from lienthong.i18n import T

KNOWN_SINCE = "0001_access"
"""A program that knows this revision, and perhaps none after it, runs on today's schema: every later one only adds.

Raised to the newest revision by the first one that takes something away; the release before then refuses to start."""
NEWEST = "head"
"""Stands for the last revision wherever one can be named."""
VERSIONS = Path(__file__).parent / "versions"


class UnknownSchema(Problem):
    """The database's revision is not among this program's: it was made by a newer release."""

    kind: ClassVar[str] = "unknown-schema"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The database belongs to another release")


def revisions() -> tuple[str, ...]:
    """Ids of all revisions, oldest first."""
    return tuple(sorted(path.stem for path in VERSIONS.glob("[0-9]*.py")))


def needs_migration(connection: psycopg.Connection) -> bool:
    """Whether the database lacks revisions.

    A newer schema is lived with when it says that programs of this age may run on it.  Raises UnknownSchema.
    """
    if connection.execute("SELECT to_regclass('alembic_version') IS NULL").fetchone() == (True,):
        return True
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        return True
    known = revisions()
    if row[0] not in known:
        if _known_since(connection) in known:
            return False
        raise UnknownSchema(
            T("The database has the schema {found}; this program knows none newer than {newest}."),
            mend=T("Run the newer release, or restore a backup made before the upgrade."),
            found=str(row[0]),
            newest=known[-1],
        )
    return row[0] != known[-1]


def note_compatibility(connection: psycopg.Connection) -> None:
    """Write into the database which programs may run on it: an older release looks there for what it can not know."""
    connection.execute(
        sql.SQL("COMMENT ON TABLE alembic_version IS {}").format(sql.Literal(f"runs with {KNOWN_SINCE}"))
    )


def _known_since(connection: psycopg.Connection) -> str:
    row = connection.execute("SELECT obj_description('alembic_version'::regclass)").fetchone()
    return str(row[0]).removeprefix("runs with ") if row and row[0] else ""
