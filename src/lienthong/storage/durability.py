"""What a PostgreSQL server must be before a record is trusted to it."""

from __future__ import annotations

from typing import ClassVar

import psycopg

from lienthong.errors import Problem, Side
from lienthong.i18n import T

OLDEST_VERSION = 150000
MUST_NOT_BE_OFF = ("fsync", "synchronous_commit", "full_page_writes")
QUESTION = "SELECT " + ", ".join(f"current_setting('{name}')" for name in MUST_NOT_BE_OFF)


class UnsafeDatabase(Problem):
    """The server may lose a commit it acknowledged, so it can not hold the log."""

    kind: ClassVar[str] = "unsafe-database"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The database may lose what it acknowledged")


class OldDatabase(Problem):
    """The server is older than PostgreSQL 15."""

    kind: ClassVar[str] = "old-database"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The database is too old")


def check_durability(connection: psycopg.Connection) -> None:
    """Refuse a server, or an account's own settings, under which a crash may lose an acknowledged commit.

    Settings may differ per role and database: ask on a connection of the role that writes.  Raises UnsafeDatabase
    naming the settings that are off, OldDatabase below PostgreSQL 15.
    """
    version = connection.info.server_version
    if version < OLDEST_VERSION:
        raise OldDatabase(
            T("The server is PostgreSQL {version}; 15 is the oldest that works."),
            mend=T("Upgrade the server, or leave LIENTHONG_DATABASE unset to try the embedded one."),
            version=version // 10000,
        )
    refuse_unsafe(connection.execute(QUESTION).fetchone())


def refuse_unsafe(answer: tuple[str, ...] | None) -> None:
    """Judge the server's answer to ``QUESTION``; raises UnsafeDatabase."""
    off = [name for name, value in zip(MUST_NOT_BE_OFF, answer or (), strict=True) if value == "off"]
    if off:
        raise UnsafeDatabase(
            T("These settings of PostgreSQL are off: {settings}."),
            mend=T("Switch them on for the server, the database and its roles; a receipt must survive a power cut."),
            settings=", ".join(off),
        )
