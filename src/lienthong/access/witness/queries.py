"""Questions about heads: those of other logs that this node cosigned, and cosignatures of its own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from lienthong.trust.merkle import EMPTY_ROOT


@dataclass(frozen=True, slots=True)
class SeenHead:
    """The largest head of another log that this node cosigned, as its note says."""

    origin: str
    size: int
    root: bytes
    note: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """A checkpoint of the own log with the cosignatures that came in."""

    size: int
    root: bytes
    note: bytes
    at: datetime
    lines: list[str]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Proof that a log showed two histories; ``digest`` is the SHA-256 (hex) of ``evidence``."""

    digest: str
    origin: str
    found_at: datetime
    evidence: bytes


_HEADS = "SELECT origin, size, root, note, at FROM witness_seen"
_BEST = """
    WITH newest AS (SELECT size, at FROM checkpoint WHERE size > %(above)s AND size <= %(upto)s
                     ORDER BY size DESC LIMIT 1),
         looked_at AS (
             (SELECT size, at FROM checkpoint WHERE size > %(above)s AND size <= %(upto)s
               ORDER BY size DESC LIMIT %(most)s)
             UNION
             (SELECT size, at FROM checkpoint WHERE size > %(above)s AND size <= %(upto)s
               ORDER BY size LIMIT %(most)s)),
         good AS (
             SELECT c.size
               FROM looked_at c
              WHERE %(threshold)s > 0
                AND (%(patience)s::float8 IS NULL
                     OR c.at >= (SELECT at FROM newest) - make_interval(secs => %(patience)s))
                AND (SELECT count(*) FROM cosignature s WHERE s.size = c.size AND s.witness = ANY(%(names)s))
                    >= %(threshold)s
              ORDER BY c.size DESC
              LIMIT 1)
    SELECT size FROM good
     UNION ALL
    SELECT size FROM newest WHERE NOT EXISTS (SELECT FROM good)
"""
LOOKED_AT = 200
"""Checkpoints looked through from either end: where none of them has enough cosignatures, witnesses are long away."""


async def lock_head(db: AsyncConnection, origin: str) -> tuple[int, bytes]:
    """Size and root of the head seen of ``origin`` (0 and the empty root before the first), locked until the commit."""
    await db.execute(
        "INSERT INTO witness_seen (origin, size, root, note) VALUES (%s, 0, %s, '') ON CONFLICT DO NOTHING",
        (origin, EMPTY_ROOT),
    )
    cursor = await db.execute("SELECT size, root FROM witness_seen WHERE origin = %s FOR UPDATE", (origin,))
    row = await cursor.fetchone()
    if row is None:
        raise LookupError("the row just written is gone")
    return row[0], bytes(row[1])


async def keep_head(db: AsyncConnection, origin: str, size: int, root: bytes, note: bytes) -> None:
    """Replace the head of ``origin``; the caller holds its lock and has checked that the new one continues it."""
    await db.execute(
        "UPDATE witness_seen SET size = %s, root = %s, note = %s, at = now() WHERE origin = %s",
        (size, root, note, origin),
    )


async def seen_head(db: AsyncConnection, origin: str) -> SeenHead | None:
    """The head cosigned last of ``origin``."""
    async with db.cursor(row_factory=class_row(SeenHead)) as cursor:
        await cursor.execute(f"{_HEADS} WHERE origin = %s AND size > 0", (origin,))
        return await cursor.fetchone()


async def seen_heads(db: AsyncConnection) -> list[SeenHead]:
    """All heads this node cosigned, by origin."""
    async with db.cursor(row_factory=class_row(SeenHead)) as cursor:
        await cursor.execute(f'{_HEADS} WHERE size > 0 ORDER BY origin COLLATE "C"')
        return await cursor.fetchall()


async def best_checkpoint(
    db: AsyncConnection,
    names: list[str],
    threshold: int,
    *,
    above: int = 0,
    upto: int | None = None,
    patience_s: float | None = None,
) -> KeptCheckpoint | None:
    """The newest checkpoint of more than ``above`` leaves that ``threshold`` of the witnesses ``names`` cosigned.

    ``upto`` is the number of a shard's final checkpoint, beyond which the next shard is.  Where there is none, or it
    was made ``patience_s`` seconds before the newest, the newest, however many cosigned.
    """
    cursor = await db.execute(
        _BEST,
        {
            "names": names,
            "threshold": threshold,
            "above": above,
            "upto": 2**62 if upto is None else upto,
            "patience": patience_s,
            "most": LOOKED_AT,
        },
    )
    found = await cursor.fetchone()
    return await _kept(db, found[0], names) if found else None


async def newest_with_cosignatures(db: AsyncConnection, names: list[str]) -> KeptCheckpoint | None:
    """The newest checkpoint and what of ``names`` cosigned it."""
    cursor = await db.execute("SELECT max(size) FROM checkpoint")
    found = await cursor.fetchone()
    return await _kept(db, found[0], names) if found and found[0] is not None else None


async def finals_to_cosign(db: AsyncConnection, names: list[str]) -> list[KeptCheckpoint]:
    """The final checkpoints of frozen shards that not all of the witnesses ``names`` cosigned yet, oldest first."""
    cursor = await db.execute(
        """
        SELECT s.begin FROM log_shard s
         WHERE s.begin > 0
           AND (SELECT count(*) FROM cosignature k WHERE k.size = s.begin AND k.witness = ANY(%(names)s))
               < cardinality(%(names)s::text[])
         ORDER BY s.begin
        """,
        {"names": names},
    )
    found = [await _kept(db, row[0], names) for row in await cursor.fetchall()]
    return [one for one in found if one is not None]


async def keep_cosignatures(db: AsyncConnection, size: int, lines: Mapping[str, str]) -> None:
    """Keep what witnesses (name to signature line) said of the checkpoint of ``size`` leaves."""
    for witness, line in sorted(lines.items()):
        await db.execute(
            """
            INSERT INTO cosignature (size, witness, line) VALUES (%s, %s, %s)
            ON CONFLICT (size, witness) DO UPDATE SET line = EXCLUDED.line, at = now()
            """,
            (size, witness, line),
        )


async def keep_evidence(db: AsyncConnection, evidence: Evidence) -> bool:
    """Keep proof of a fork; False when it was known."""
    cursor = await db.execute(
        "INSERT INTO fork_evidence (digest, origin, found_at, evidence) VALUES (%s, %s, %s, %s) ON CONFLICT DO NOTHING",
        (evidence.digest, evidence.origin, evidence.found_at, evidence.evidence),
    )
    return cursor.rowcount > 0


async def all_evidence(db: AsyncConnection) -> list[Evidence]:
    """Every proof of a fork that is kept, the newest first."""
    async with db.cursor(row_factory=class_row(Evidence)) as cursor:
        await cursor.execute("SELECT digest, origin, found_at, evidence FROM fork_evidence ORDER BY found_at DESC")
        return await cursor.fetchall()


async def _kept(db: AsyncConnection, size: int, names: list[str]) -> KeptCheckpoint | None:
    async with db.cursor(row_factory=class_row(KeptCheckpoint)) as cursor:
        await cursor.execute(
            """
            SELECT size, root, note, at,
                   ARRAY(SELECT line FROM cosignature s
                          WHERE s.size = c.size AND witness = ANY(%(names)s) ORDER BY witness COLLATE "C") AS lines
              FROM checkpoint c
             WHERE size = %(size)s
            """,
            {"size": size, "names": names},
        )
        return await cursor.fetchone()


@dataclass(frozen=True, slots=True)
class KeptStamp:
    """A timestamp of the checkpoint of ``size`` leaves: the authority's reply and the time it states."""

    size: int
    token: bytes
    at: datetime


async def keep_stamp(db: AsyncConnection, size: int, token: bytes, at: datetime) -> None:
    """Keep the timestamp of a checkpoint; the first one stays."""
    await db.execute(
        "INSERT INTO checkpoint_stamp (size, token, at) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING", (size, token, at)
    )


async def newest_stamp(db: AsyncConnection) -> KeptStamp | None:
    """The timestamp of the largest checkpoint that has one."""
    kept = await stamps(db, 1)
    return kept[0] if kept else None


async def unstamped_since(db: AsyncConnection) -> datetime | None:
    """When the oldest checkpoint that no timestamp covers was signed; None: all are covered."""
    cursor = await db.execute(
        "SELECT min(at) FROM checkpoint WHERE size > coalesce((SELECT max(size) FROM checkpoint_stamp), 0)"
    )
    row = await cursor.fetchone()
    return row[0] if row else None


async def stamps(db: AsyncConnection, most: int) -> list[KeptStamp]:
    """The newest timestamps."""
    async with db.cursor(row_factory=class_row(KeptStamp)) as cursor:
        await cursor.execute("SELECT size, token, at FROM checkpoint_stamp ORDER BY size DESC LIMIT %s", (most,))
        return await cursor.fetchall()


async def stamp_of(db: AsyncConnection, size: int) -> KeptStamp | None:
    """The timestamp of the checkpoint of exactly ``size`` leaves."""
    async with db.cursor(row_factory=class_row(KeptStamp)) as cursor:
        await cursor.execute("SELECT size, token, at FROM checkpoint_stamp WHERE size = %s", (size,))
        return await cursor.fetchone()
