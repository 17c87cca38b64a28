"""Runs the missing revisions with Alembic; imported only when there are any."""

from __future__ import annotations

import psycopg
import sqlalchemy
from alembic import command
from alembic.config import Config
from sqlalchemy.pool import StaticPool

from lienthong.storage.migrations.runner import VERSIONS

LOCK = 0x4C54_0002
"""Advisory lock of the database being migrated: of two processes one waits and then finds nothing to do."""
LOCK_TIMEOUT = "5s"
"""A revision that can not have its table soon gives up rather than stop everybody behind it."""
STATEMENT_TIMEOUT = "10min"


def upgrade(connection: psycopg.Connection) -> None:
    """Run every missing revision, each in its own transaction, on ``connection`` (of the owner, autocommit)."""
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
            command.upgrade(config, "head")
    finally:
        if not connection.closed:
            connection.rollback()
            connection.autocommit = True
            connection.execute("SELECT pg_advisory_unlock(%s)", [LOCK])
