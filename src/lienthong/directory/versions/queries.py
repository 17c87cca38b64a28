"""The published versions of the directory at the national node."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Final

from psycopg.rows import class_row

from lienthong.directory.queries import Connection

_VERSION: Final = """
WITH dated AS (
SELECT version, content_digest, issued, expires, envelope,
       coalesce((SELECT first.issued
                   FROM directory_first_signed first
                  WHERE first.content_digest = directory_version.content_digest
                    AND first.version <= directory_version.version
                  ORDER BY first.version DESC
                  LIMIT 1), issued) AS first_issued
  FROM directory_version)
SELECT * FROM dated
"""


@dataclass(frozen=True, slots=True)
class DirectoryVersion:
    """One signed version as it was published."""

    version: int
    content_digest: str
    issued: datetime
    expires: datetime
    envelope: bytes
    first_issued: datetime
    """When the first version that said the same was signed, without another between them."""


async def latest_version(db: Connection) -> DirectoryVersion | None:
    """The newest published version; at any other time than the first, there is one."""
    newest = await newest_versions(db, 1)
    return newest[0] if newest else None


async def newest_versions(db: Connection, limit: int) -> list[DirectoryVersion]:
    """At most ``limit`` versions that differ from the one before, the newest first."""
    async with db.cursor(row_factory=class_row(DirectoryVersion)) as cursor:
        await cursor.execute(_VERSION + "ORDER BY version DESC LIMIT %(limit)s", {"limit": limit})
        return await cursor.fetchall()


async def version_at(db: Connection, moment: datetime) -> DirectoryVersion | None:
    """The version that said what was in force at ``moment``; None before the first."""
    async with db.cursor(row_factory=class_row(DirectoryVersion)) as cursor:
        await cursor.execute(_VERSION + "WHERE first_issued <= %(at)s ORDER BY version DESC LIMIT 1", {"at": moment})
        return await cursor.fetchone()


async def insert_version(db: Connection, published: DirectoryVersion) -> None:
    """Store a new version; of versions that say the same, only the newest is kept."""
    values = {name: getattr(published, name) for name in DirectoryVersion.__slots__}
    await db.execute(
        """
        DELETE FROM directory_version
         WHERE content_digest = %(content_digest)s
           AND version = (SELECT max(version) FROM directory_version)
        """,
        values,
    )
    await db.execute(
        """
        INSERT INTO directory_version (version, content_digest, issued, expires, envelope)
        VALUES (%(version)s, %(content_digest)s, %(issued)s, %(expires)s, %(envelope)s)
        """,
        values,
    )
    if published.first_issued == published.issued:
        await db.execute(
            """
            INSERT INTO directory_first_signed (version, content_digest, issued)
            VALUES (%(version)s, %(content_digest)s, %(issued)s)
            """,
            values,
        )


async def lock_publication(db: Connection) -> None:
    """Wait until nobody else publishes; held to the end of the transaction."""
    await db.execute("SELECT pg_advisory_xact_lock(hashtext('directory_version'))")
