"""SQL on the PostgreSQL tables that services publish in place, and on this node's own share tables.

Promises: sources are read in read-only sessions with a time limit, in UTC; nothing here writes to a source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import asdict
from datetime import datetime
from typing import LiteralString, cast
from urllib.parse import quote, urlencode

import psycopg
from psycopg import AsyncConnection
from psycopg.conninfo import conninfo_to_dict
from psycopg.rows import TupleRow, class_row, tuple_row
from psycopg.types.json import Jsonb
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from lienthong.catalog.models import Field
from lienthong.directory.models import ServiceId
from lienthong.storage.pool import open_pool
from lienthong.tables.models import Profile, Reading, TableFile, TableVersion
from lienthong.tables.sources import source_problem
from lienthong.tables.sql import MAX_CSV_LINE_BYTES

CONNECT_S = 5.0
"""How long a call waits for a source's database to take a connection; no longer than the service may take at all."""


def source_session(dsn: str, timeout_s: float) -> str:
    """``dsn`` as a URI with what every read of a source needs: read-only, in UTC, a statement time limit.

    A URI because ADBC takes no other form.
    """
    settings = {
        "default_transaction_read_only": "on",
        "standard_conforming_strings": "on",
        "TimeZone": "UTC",
        "DateStyle": "ISO",
        "IntervalStyle": "iso_8601",
        "extra_float_digits": "1",
        "statement_timeout": str(int(timeout_s * 1000)),
    }
    options = " ".join(f"-c {name}={value}" for name, value in settings.items())
    parts = {name: str(value) for name, value in conninfo_to_dict(dsn).items() if value is not None}
    parts["options"] = f"{parts.get('options', '')} {options}".strip()
    parts |= {"application_name": "lienthong", "connect_timeout": str(int(CONNECT_S))}
    return "postgresql:///?" + urlencode(parts, quote_via=quote, safe="")


class Sources:
    """One small pool of read-only connections for each database that holds published tables.

    Belongs to one event loop; ``close`` it there.
    """

    def __init__(self, *, max_size: int = 4) -> None:
        self._max_size = max_size
        self._pools: dict[str, AsyncConnectionPool[AsyncConnection]] = {}
        self._opening = asyncio.Lock()

    async def rows(
        self, dsn: str, timeout_s: float, select: str, values: Mapping[str, str | int | None]
    ) -> list[tuple[object, ...]]:
        """Rows of a SELECT written by ``lienthong.tables.sql``; ``values`` are bound, never pasted.

        Raises SourceUnavailable, SourceChanged, SourceTooSlow.
        """
        try:
            pool = await self._pool(source_session(dsn, timeout_s))
            wait_s = min(CONNECT_S, timeout_s)
            async with pool.connection(wait_s) as source, source.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(cast("LiteralString", select), values)
                return await cursor.fetchall()
        except PoolTimeout as away:
            raise source_problem(None) from away
        except psycopg.Error as failed:
            raise source_problem(failed.sqlstate) from failed

    async def few_rows(self, dsn: str, timeout_s: float, lines: str) -> bytes | None:
        """The CSV text of ``sql.few_lines``, or None when the table has more than that lets through.

        Raises SourceUnavailable, SourceChanged, SourceTooSlow.
        """
        try:
            pool = await self._pool(source_session(dsn, timeout_s))
            wait_s = min(CONNECT_S, timeout_s)
            async with pool.connection(wait_s) as source, source.cursor(row_factory=tuple_row) as cursor:
                await cursor.execute(cast("LiteralString", lines), binary=True)
                text, count = await cursor.fetchone() or (None, 0)
        except PoolTimeout as away:
            raise source_problem(None) from away
        except psycopg.errors.ProgramLimitExceeded:
            return None  # one text holds 1 GB at most
        except psycopg.Error as failed:
            raise source_problem(failed.sqlstate) from failed
        return bytes(text) if text is not None else (b"" if count == 0 else None)

    async def close(self) -> None:
        """Close every pool."""
        pools, self._pools = list(self._pools.values()), {}
        for pool in pools:
            await pool.close()

    async def _pool(self, session: str) -> AsyncConnectionPool[AsyncConnection]:
        known = self._pools.get(session)
        if known is not None:
            return known
        async with self._opening:
            if session not in self._pools:
                self._pools[session] = await open_pool(session, min_size=0, max_size=self._max_size)
            return self._pools[session]


def few_rows(session: str, select: str, lines: str, *, most_rows: int, most_bytes: int) -> bytes | None:
    """The rows of ``select`` as one CSV text, made by the server through ``lines``; for the sandbox's children.

    None when there are probably more than ``most_rows``, or more bytes, or a line is too long for a CSV reader: take
    ADBC then, which is faster for each row but takes ten times as long to connect.  Both statements come from ``sql``.
    Raises SourceUnavailable, SourceChanged, SourceTooSlow.
    """
    try:
        with psycopg.connect(session) as source, source.cursor(binary=True) as cursor:
            planned = cursor.execute(f"EXPLAIN (FORMAT JSON) {cast('LiteralString', select)}").fetchone()
            plan = planned[0][0]["Plan"] if planned else {}
            rows = plan.get("Plan Rows", most_rows + 1)
            if rows > most_rows or rows * plan["Plan Width"] > most_bytes:
                return None
            found = cursor.execute(cast("LiteralString", lines)).fetchone()
    except psycopg.errors.ProgramLimitExceeded:
        return None  # the planner was wrong: one text holds 1 GB at most
    except psycopg.Error as failed:
        if failed.sqlstate is None and "memory" in str(failed):
            raise MemoryError from failed  # our own: the answer passes the job's limit
        raise source_problem(failed.sqlstate) from failed
    text, longest = found or (None, None)
    return None if (longest or 0) > MAX_CSV_LINE_BYTES // 4 else (text or b"")


async def keep_profile(db: AsyncConnection, profile: Profile, token_hash: bytes) -> None:
    """Remember a new profile by the hash of its token."""
    await db.execute(
        """
        INSERT INTO share_profile (id, token_hash, agreement, system, purpose, expires)
        VALUES (%s, %s, %s, %s, %s, %s)
        """,
        (profile.id, token_hash, profile.agreement, profile.system, profile.purpose, profile.expires),
    )


async def profile_by_token_hash(db: AsyncConnection, token_hash: bytes) -> Profile | None:
    """The profile with this token, or None when there is none or it was revoked; it may have expired."""
    async with db.cursor(row_factory=class_row(Profile)) as cursor:
        await cursor.execute(
            """
            SELECT id, agreement, system, purpose, expires
              FROM share_profile WHERE token_hash = %s AND revoked_at IS NULL
            """,
            (token_hash,),
        )
        return await cursor.fetchone()


async def revoke_profiles(db: AsyncConnection, agreement: str) -> int:
    """Revoke every profile of one agreement; how many there were."""
    cursor = await db.execute(
        "UPDATE share_profile SET revoked_at = now() WHERE agreement = %s AND revoked_at IS NULL", (agreement,)
    )
    return cursor.rowcount


async def profiles_of_agreement(db: AsyncConnection, agreement: str) -> list[Profile]:
    """The profiles of one agreement that are not revoked, newest first."""
    async with db.cursor(row_factory=class_row(Profile)) as cursor:
        await cursor.execute(
            """
            SELECT id, agreement, system, purpose, expires
              FROM share_profile WHERE agreement = %s AND revoked_at IS NULL ORDER BY made_at DESC
            """,
            (agreement,),
        )
        return await cursor.fetchall()


async def newest_version(db: AsyncConnection, service: ServiceId, view_digest: str) -> TableVersion | None:
    """The newest files of a service under a view, or None."""
    cursor = await db.execute(
        f"{_VERSION} WHERE service = %s AND view_digest = %s ORDER BY version DESC LIMIT 1", (service, view_digest)
    )
    row = await cursor.fetchone()
    return None if row is None else _version(row)


async def version_of_reading(db: AsyncConnection, reading: str) -> tuple[Reading, TableVersion] | None:
    """A reading that is not closed and the files it reads, or None."""
    found = await _readings(db, "r.id = %(id)s AND r.closed_at IS NULL", {"id": reading})
    if not found:
        return None
    read = found[0]
    cursor = await db.execute(
        f"{_VERSION} WHERE service = %s AND view_digest = %s AND version = %s",
        (read.service, read.view_digest, read.version),
    )
    row = await cursor.fetchone()
    return None if row is None else (read, _version(row))


async def keep_version(db: AsyncConnection, made: TableVersion) -> None:
    """Store a table version whose files lie in place."""
    await db.execute(
        """
        INSERT INTO share_version (service, view_digest, version, made_at, source_mark, fields, files)
        VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (
            made.service,
            made.view_digest,
            made.version,
            made.made_at,
            made.source_mark,
            Jsonb([asdict(field) for field in made.fields]),
            Jsonb([asdict(file) for file in made.files]),
        ),
    )


async def take_old_versions(db: AsyncConnection) -> list[tuple[ServiceId, str, int]]:
    """Delete and return the versions that are not the newest of their kind and that no open reading uses."""
    cursor = await db.execute(
        """
        DELETE FROM share_version v
         WHERE EXISTS (SELECT 1 FROM share_version n WHERE n.service = v.service AND n.view_digest = v.view_digest
                          AND n.version > v.version)
           AND NOT EXISTS (SELECT 1 FROM share_reading r WHERE r.service = v.service AND r.view_digest = v.view_digest
                              AND r.version = v.version AND r.closed_at IS NULL)
        RETURNING v.service, v.view_digest, v.version
        """
    )
    return [(ServiceId(row[0]), row[1], row[2]) for row in await cursor.fetchall()]


async def open_reading(db: AsyncConnection, profile: str, version: TableVersion, after: datetime) -> Reading | None:
    """The profile's reading of exactly this version that can be used until at least ``after``, or None."""
    found = await _readings(
        db,
        """r.profile = %(profile)s AND r.service = %(service)s AND r.view_digest = %(digest)s
           AND r.version = %(version)s AND r.closed_at IS NULL AND r.expires >= %(after)s""",
        {
            "profile": profile,
            "service": version.service,
            "digest": version.view_digest,
            "version": version.version,
            "after": after,
        },
    )
    return found[0] if found else None


async def keep_reading(db: AsyncConnection, reading: Reading) -> None:
    """Remember a new reading."""
    await db.execute(
        """
        INSERT INTO share_reading (id, profile, service, view_digest, version, opened_at, expires, rows, note)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (
            reading.id,
            reading.profile.id,
            reading.service,
            reading.view_digest,
            reading.version,
            reading.opened_at,
            reading.expires,
            reading.rows,
            reading.note,
        ),
    )


async def forget_reading(db: AsyncConnection, reading: str) -> None:
    """Undo ``keep_reading`` of a reading that was never offered."""
    await db.execute("DELETE FROM share_reading WHERE id = %s AND requests = 0", (reading,))


async def add_taken(db: AsyncConnection, reading: str, size_bytes: int) -> None:
    """Count one request for a file and the bytes that were sent."""
    await db.execute(
        "UPDATE share_reading SET bytes_taken = bytes_taken + %s, requests = requests + 1 WHERE id = %s",
        (size_bytes, reading),
    )


async def readings_to_close(db: AsyncConnection, before: datetime, limit: int = 100) -> list[Reading]:
    """Readings that expired before ``before`` and are not closed, oldest first; locked until the transaction ends."""
    return await _readings(
        db,
        "r.closed_at IS NULL AND r.expires < %(before)s",
        {"before": before, "limit": limit},
        "ORDER BY r.expires LIMIT %(limit)s FOR UPDATE OF r SKIP LOCKED",
    )


async def mark_closed(db: AsyncConnection, reading: str, at: datetime) -> None:
    """Remember that the end of a reading is recorded."""
    await db.execute("UPDATE share_reading SET closed_at = %s WHERE id = %s", (at, reading))


_VERSION: LiteralString = "SELECT service, view_digest, version, made_at, source_mark, fields, files FROM share_version"


def _version(row: TupleRow) -> TableVersion:
    return TableVersion(
        service=ServiceId(row[0]),
        view_digest=row[1],
        version=row[2],
        made_at=row[3],
        source_mark=row[4],
        fields=tuple(Field(**entry) for entry in row[5]),
        files=tuple(TableFile(**entry) for entry in row[6]),
    )


async def _readings(
    db: AsyncConnection, condition: LiteralString, values: Mapping[str, object], rest: LiteralString = ""
) -> list[Reading]:
    cursor = await db.execute(
        f"""
        SELECT r.id, p.id, p.agreement, p.system, p.purpose, p.expires, r.service, r.view_digest, r.version,
               r.opened_at, r.expires, r.rows, r.note, r.bytes_taken, r.requests
          FROM share_reading r JOIN share_profile p ON p.id = r.profile
         WHERE {condition} {rest}
        """,  # noqa: S608 - both parts are literals of this file
        values,
    )
    return [
        Reading(
            id=row[0],
            profile=Profile(id=row[1], agreement=row[2], system=row[3], purpose=row[4], expires=row[5]),
            service=ServiceId(row[6]),
            view_digest=row[7],
            version=row[8],
            opened_at=row[9],
            expires=row[10],
            rows=row[11],
            note=row[12],
            bytes_taken=row[13],
            requests=row[14],
        )
        for row in await cursor.fetchall()
    ]
