"""Questions about halves: which records were not compared yet, which found no counterpart, what each day shows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import datetime

from psycopg import AsyncConnection
from psycopg.rows import class_row

from lienthong.access.reconcile.models import DayShare, Half, OpenHalf, Verdict


@dataclass(frozen=True, slots=True)
class Place:
    """How far the records were read, in the log's own order."""

    tx: str
    seq: int


@dataclass(frozen=True, slots=True)
class Waiting:
    """One of our records whose counterpart is to be asked for (again)."""

    hash: bytes
    leaf: bytes
    asked: int
    since: datetime


async def anything_behind(db: AsyncConnection, name: str) -> bool:
    """Whether the sequencer has placed a record that the reader ``name`` has not read; takes no lock."""
    cursor = await db.execute(
        """
        SELECT r.tx IS NULL OR (r.tx, r.seq) < (s.tx, s.seq)
          FROM sequenced s LEFT JOIN record_reader r ON r.name = %s
        """,
        (name,),
    )
    found = await cursor.fetchone()
    return found is None or bool(found[0])


async def lock_place(db: AsyncConnection, name: str) -> Place:
    """How far the reader ``name`` is; others wait until this transaction ends."""
    await db.execute("INSERT INTO record_reader (name) VALUES (%s) ON CONFLICT DO NOTHING", (name,))
    async with db.cursor(row_factory=class_row(Place)) as cursor:
        await cursor.execute("SELECT tx::text AS tx, seq FROM record_reader WHERE name = %s FOR UPDATE", (name,))
        found = await cursor.fetchone()
    if found is None:
        raise LookupError("the row just inserted is gone")
    return found


async def move_place(db: AsyncConnection, name: str, to: Place) -> None:
    """Remember how far the reader ``name`` is."""
    await db.execute("UPDATE record_reader SET tx = %s::xid8, seq = %s WHERE name = %s", (to.tx, to.seq, name))


async def placed_leaves(db: AsyncConnection, after: Place, limit: int) -> list[tuple[Place, bytes]]:
    """Leaves behind ``after`` that the sequencer has placed, in the log's order."""
    cursor = await db.execute(
        """
        SELECT r.tx::text, r.seq, r.leaf
          FROM record r, sequenced s
         WHERE (r.tx, r.seq) > (%(tx)s::xid8, %(seq)s) AND (r.tx, r.seq) <= (s.tx, s.seq)
         ORDER BY r.tx, r.seq
         LIMIT %(limit)s
        """,
        {"tx": after.tx, "seq": after.seq, "limit": limit},
    )
    return [(Place(row[0], row[1]), bytes(row[2])) for row in await cursor.fetchall()]


async def agreements_by_rule(db: AsyncConnection, digests: Sequence[str]) -> set[str]:
    """Those of ``digests`` that are agreements by rule: mandatory sharing, whose uses the national node observes."""
    cursor = await db.execute(
        "SELECT digest FROM agreement_document WHERE by_rule AND digest = ANY(%s)", (list(digests),)
    )
    return {row[0] for row in await cursor.fetchall()}


async def keep_open(db: AsyncConnection, halves: Sequence[tuple[Half, bytes, Verdict, datetime | None]]) -> None:
    """Note records of ours that found no counterpart, with the finding and when to ask again (None: for good)."""
    async with db.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO half_open (hash, leaf, own, peer, exchange_id, resource, day, since, finding, reason, next_at)
            VALUES (%(hash)s, %(leaf)s, %(own)s, %(peer)s, %(exchange)s, %(resource)s, %(day)s, %(at)s,
                    %(finding)s, %(reason)s, %(next_at)s)
            ON CONFLICT (hash) DO NOTHING
            """,
            [
                _named(half)
                | {"leaf": leaf, "at": half.at, "finding": told.finding, "reason": told.reason, "next_at": next_at}
                for half, leaf, told, next_at in halves
            ],
        )


async def due_halves(db: AsyncConnection, now: datetime, limit: int) -> list[Waiting]:
    """Records whose counterparts are to be asked for now, the longest due first."""
    async with db.cursor(row_factory=class_row(Waiting)) as cursor:
        await cursor.execute(
            """
            SELECT hash, leaf, asked, since FROM half_open
             WHERE finding = 'waiting' AND next_at <= %(now)s ORDER BY next_at LIMIT %(limit)s
            """,
            {"now": now, "limit": limit},
        )
        return await cursor.fetchall()


async def settle(db: AsyncConnection, half: Half, verdict: Verdict) -> bool:
    """Write down what the comparison says for good; False when it was settled before."""
    if verdict.finding == "matched":
        cursor = await db.execute("DELETE FROM half_open WHERE hash = %s AND finding = 'waiting'", (half.hash,))
    else:
        cursor = await db.execute(
            "UPDATE half_open SET finding = %s, reason = %s, next_at = NULL WHERE hash = %s AND finding = 'waiting'",
            (verdict.finding, verdict.reason, half.hash),
        )
    return cursor.rowcount == 1


async def ask_again(db: AsyncConnection, half: Half, reason: str | None, next_at: datetime) -> None:
    """Write down why there is no answer yet and when to ask again."""
    await db.execute(
        """
        UPDATE half_open SET reason = %(reason)s, asked = asked + 1, next_at = %(next_at)s
         WHERE hash = %(hash)s AND finding = 'waiting'
        """,
        {"hash": half.hash, "reason": reason, "next_at": next_at},
    )


async def claim(db: AsyncConnection, claimed: Half, now: datetime) -> None:
    """The other side holds ``claimed`` and we have no half of it."""
    # What others say of our log is bounded: a page shows the oldest, and more than this says nothing new.
    await db.execute(
        """
        INSERT INTO half_claimed (hash, own, peer, exchange_id, resource, day, since)
        SELECT %(hash)s, %(own)s, %(peer)s, %(exchange)s, %(resource)s, %(day)s, %(now)s
         WHERE (SELECT count(*) FROM (SELECT 1 FROM half_claimed WHERE peer = %(peer)s LIMIT 10000) claims) < 10000
        ON CONFLICT (hash) DO NOTHING
        """,
        # Seen from us, the roles are turned round.
        _named(claimed) | {"own": claimed.peer, "peer": claimed.own, "now": now},
    )


async def unclaim(db: AsyncConnection, hashes: Sequence[bytes]) -> None:
    """The halves asked for were found after all."""
    await db.execute("DELETE FROM half_claimed WHERE hash = ANY(%s)", (list(hashes),))


async def day_shares(db: AsyncConnection, days: int) -> list[DayShare]:
    """The newest ``days`` days with uses, newest first, by member and peer."""
    async with db.cursor(row_factory=class_row(DayShare)) as cursor:
        await cursor.execute(
            """
            SELECT day, own, peer, expected, matched, missing, differs FROM pair_day
             WHERE day IN (SELECT DISTINCT day FROM pair_day ORDER BY day DESC LIMIT %s)
             ORDER BY day DESC, own, peer
            """,
            (days,),
        )
        return await cursor.fetchall()


async def open_halves(db: AsyncConnection, member: str, limit: int) -> list[OpenHalf]:
    """The halves of ``member`` that lack a counterpart, and the counterparts it lacks itself; oldest first."""
    async with db.cursor(row_factory=class_row(OpenHalf)) as cursor:
        await cursor.execute(
            """
            SELECT 'us' AS held_by, hash, own, peer, exchange_id, resource, day, finding, reason, since
              FROM half_open WHERE own = %(member)s AND reason IS NOT NULL
            UNION ALL
            SELECT 'them', hash, own, peer, exchange_id, resource, day, 'missing', 'not-in-our-log', since
              FROM half_claimed WHERE own = %(member)s
             ORDER BY since LIMIT %(limit)s
            """,
            {"member": member, "limit": limit},
        )
        return await cursor.fetchall()


async def observe(db: AsyncConnection, node: str, halves: Sequence[Half]) -> None:
    """On the national node: keep what ``node`` told of uses under agreements by rule."""
    async with db.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO observed (hash, node, side, exchange_id, at, consumer, provider, resource, outcome,
                                  agreement_digest, request_signature_digest, peer_record)
            VALUES (%(hash)s, %(node)s, %(side)s, %(exchange)s, %(at)s, %(consumer)s, %(provider)s, %(resource)s,
                    %(outcome)s, %(agreement)s, %(signature)s, %(peer_record)s)
            ON CONFLICT (hash) DO NOTHING
            """,
            [
                _named(half)
                | {
                    "node": node,
                    "side": half.side,
                    "at": half.at,
                    "consumer": half.consumer,
                    "provider": half.provider,
                    "outcome": half.outcome,
                    "agreement": half.agreement_digest,
                    "signature": half.request_signature_digest,
                    "peer_record": bytes.fromhex(half.peer_record) if half.peer_record else None,
                }
                for half in halves
            ],
        )


async def observed_shares(db: AsyncConnection, days: int) -> list[DayShare]:
    """On the national node: of the halves told by both sides, how many found their counterpart; newest day first.

    ``own`` is the member that told of the half, ``peer`` the other side.
    """
    async with db.cursor(row_factory=class_row(DayShare)) as cursor:
        await cursor.execute(
            """
            WITH told AS (
                SELECT (o.at AT TIME ZONE 'UTC')::date AS day,
                       CASE o.side WHEN 'consumer' THEN split_part(o.consumer, '/', 1) || '/'
                            || split_part(o.consumer, '/', 2) || '/' || split_part(o.consumer, '/', 3)
                            ELSE o.provider END AS own,
                       CASE o.side WHEN 'provider' THEN split_part(o.consumer, '/', 1) || '/'
                            || split_part(o.consumer, '/', 2) || '/' || split_part(o.consumer, '/', 3)
                            ELSE o.provider END AS peer,
                       p.hash IS NOT NULL AS met,
                       p.request_signature_digest IS NOT DISTINCT FROM o.request_signature_digest AS same
                  FROM observed o
                  LEFT JOIN observed p
                    ON p.exchange_id = o.exchange_id AND p.resource = o.resource AND p.side <> o.side
                   AND (p.hash = o.peer_record OR p.peer_record = o.hash)
                 WHERE o.at > now() - make_interval(days => %(days)s)
            )
            SELECT day, own, peer, count(*) AS expected, count(*) FILTER (WHERE met AND same) AS matched,
                   0::bigint AS missing, count(*) FILTER (WHERE met AND NOT same) AS differs
              FROM told GROUP BY 1, 2, 3 ORDER BY 1 DESC, 2, 3
            """,
            {"days": days},
        )
        return await cursor.fetchall()


async def forget_older(db: AsyncConnection, before: datetime) -> None:
    """Let go of settled halves, claims and observations from before ``before``; the days' counts stay."""
    await db.execute("DELETE FROM half_open WHERE finding <> 'waiting' AND since < %s", (before,))
    await db.execute("DELETE FROM half_claimed WHERE since < %s", (before,))
    await db.execute("DELETE FROM observed WHERE at < %s", (before,))


async def count(db: AsyncConnection, shares: Sequence[DayShare]) -> None:
    """Add ``shares`` to what the days show so far."""
    async with db.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO pair_day (day, own, peer, expected, matched, missing, differs)
            VALUES (%(day)s, %(own)s, %(peer)s, %(expected)s, %(matched)s, %(missing)s, %(differs)s)
            ON CONFLICT (day, own, peer) DO UPDATE SET
                   expected = pair_day.expected + excluded.expected, matched = pair_day.matched + excluded.matched,
                   missing = pair_day.missing + excluded.missing, differs = pair_day.differs + excluded.differs
            """,
            [asdict(share) for share in shares],
        )


def _named(half: Half) -> dict[str, object]:
    return {
        "hash": half.hash,
        "own": half.own,
        "peer": half.peer,
        "exchange": half.exchange_id,
        "resource": half.resource,
        "day": half.day,
    }
