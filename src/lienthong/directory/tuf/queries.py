"""The published metadata files in the national node's database."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lienthong.directory.queries import Connection


async def file_named(db: Connection, name: str) -> bytes | None:
    """The file's bytes, or None when there is none."""
    cursor = await db.execute("SELECT body FROM directory_file WHERE name = %(name)s", {"name": name})
    row = await cursor.fetchone()
    return None if row is None else bytes(row[0])


async def store_files(db: Connection, files: Mapping[str, bytes], now: datetime) -> None:
    """Publish the files together; a name that exists is replaced."""
    for name, body in files.items():
        await db.execute(
            """
            INSERT INTO directory_file (name, body, written_at) VALUES (%(name)s, %(body)s, %(now)s)
            ON CONFLICT (name) DO UPDATE SET body = excluded.body, written_at = excluded.written_at
            """,
            {"name": name, "body": body, "now": now},
        )


async def forget_files(db: Connection, before: datetime) -> None:
    """Drop the parts of superseded versions; every root stays, a new node may start from any."""
    await db.execute(
        "DELETE FROM directory_file WHERE written_at < %(before)s AND name NOT LIKE '%%root.json'", {"before": before}
    )


async def latest_root(db: Connection) -> tuple[int, bytes] | None:
    """Number and content of the newest root; None before the first ceremony was taken over."""
    cursor = await db.execute(
        """
        SELECT split_part(name, '.', 1)::int AS version, body
          FROM directory_file WHERE name LIKE '%%.root.json' ORDER BY version DESC LIMIT 1
        """
    )
    row = await cursor.fetchone()
    return None if row is None else (int(row[0]), bytes(row[1]))
