"""Whether a database needs migrating: answered from file names and one query, without importing Alembic."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

import psycopg

from lienthong.errors import Problem, Side
from lienthong.i18n import T

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
    """Whether the database lacks revisions.  Raises UnknownSchema when it has one that this program does not know."""
    if connection.execute("SELECT to_regclass('alembic_version') IS NULL").fetchone() == (True,):
        return True
    row = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    if row is None:
        return True
    known = revisions()
    if row[0] not in known:
        raise UnknownSchema(
            T("The database has the schema {found}; this program knows none newer than {newest}."),
            mend=T("Run the newer release, or restore a backup made before the upgrade."),
            found=str(row[0]),
            newest=known[-1],
        )
    return row[0] != known[-1]
