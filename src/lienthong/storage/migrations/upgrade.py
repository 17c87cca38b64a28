"""Runs the missing revisions with Alembic; imported only when there are any."""

from __future__ import annotations

from typing import ClassVar

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError
from sqlalchemy.pool import StaticPool

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.migrations.runner import NEWEST, VERSIONS, note_compatibility

LOCK = 0x4C54_0002
"""Advisory lock of the database being migrated: of two processes one waits and then finds nothing to do."""
LOCK_TIMEOUT = "5s"
"""A revision that can not have its table soon gives up rather than stop everybody behind it."""
STATEMENT_TIMEOUT = "10min"


class MigrationFailed(Problem):
    """A revision was refused by the database; it and those after it are not there, those before it are."""

    kind: ClassVar[str] = "migration-failed"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The database could not be brought to the newest schema")


def upgrade(connection: psycopg.Connection, to: str = NEWEST) -> None:
    """Run every missing revision up to ``to``, each in its own transaction.

    ``connection`` is the owner's, in autocommit.  Raises MigrationFailed.
    """
    connection.execute("SELECT pg_advisory_lock(%s)", [LOCK])
    connection.execute("SELECT set_config('lock_timeout', %s, false)", [LOCK_TIMEOUT])
    connection.execute("SELECT set_config('statement_timeout', %s, false)", [STATEMENT_TIMEOUT])
    connection.autocommit = False
    engine = sqlalchemy.create_engine("postgresql+psycopg://", creator=lambda: connection, poolclass=StaticPool)
    try:
        with engine.connect() as bound:
            config = Config()
            config.set_main_option("script_location", str(VERSIONS.parent).replace("%", "%%"))
            config.attributes["connection"] = bound
            command.upgrade(config, to)
    except DBAPIError as refused:
        raise MigrationFailed(
            T("A revision of the schema failed: {why}"),
            mend=T("Nothing of it remains; mend the cause and start again."),
            why=str(refused.orig).strip(),
        ) from refused
    else:
        note_compatibility(connection)
        connection.commit()
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True
            connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
