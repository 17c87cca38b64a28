"""Feeds and events of this node's tables; subscriptions of its systems and what arrived for them.

Events hold values of rows: their bytes come sealed from the caller and lie sealed.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta

from psycopg import AsyncConnection
from psycopg.rows import class_row
from psycopg.types.json import Jsonb

from lienthong.events.models import Feed, PushPlace, PushState, Subscription

_FEED = "SELECT id, service, view, snapshot, source_mark, head, bulk FROM event_feed"
_SUBSCRIPTION = "SELECT id, system, service, purpose, feed, after, bulk, state, reason, made_at FROM event_subscription"


async def ask_feed(db: AsyncConnection, feed: Feed) -> Feed:
    """The feed as it is, made if there is none, and remembered as asked for now."""
    await db.execute(
        """
        INSERT INTO event_feed (id, service, view) VALUES (%s, %s, %s)
        ON CONFLICT (id) DO UPDATE SET asked_at = now()
        """,
        (feed.id, feed.service, Jsonb(feed.view)),
    )
    found = await feed_of(db, feed.id)
    return found or feed


async def feed_of(db: AsyncConnection, identifier: str) -> Feed | None:
    """The feed with this id."""
    async with db.cursor(row_factory=class_row(Feed)) as cursor:
        await cursor.execute(f"{_FEED} WHERE id = %s", (identifier,))
        return await cursor.fetchone()


async def followed_feeds(db: AsyncConnection, since: datetime) -> list[Feed]:
    """Feeds that somebody asked about after ``since``."""
    async with db.cursor(row_factory=class_row(Feed)) as cursor:
        await cursor.execute(f"{_FEED} WHERE asked_at > %s ORDER BY id", (since,))
        return await cursor.fetchall()


async def keep_comparison(
    db: AsyncConnection, feed: Feed, mark: str, *, bulk: bool, events: Sequence[tuple[int, str, datetime, bytes]]
) -> bool:
    """Move ``feed`` to its next snapshot with ``events`` (sequence, kind, time, sealed bytes) in one transaction.

    False, and nothing kept, when another comparison was faster.
    """
    cursor = await db.execute(
        """
        UPDATE event_feed SET snapshot = snapshot + 1, source_mark = %s, head = head + %s, bulk = bulk OR %s,
               problem = NULL
         WHERE id = %s AND snapshot = %s
        """,
        (mark, len(events), bulk, feed.id, feed.snapshot),
    )
    if cursor.rowcount != 1:
        return False
    async with (
        db.cursor() as writer,
        writer.copy("COPY event (feed, sequence, kind, at, sealed) FROM STDIN") as copy,
    ):
        for sequence, kind, at, sealed in events:
            await copy.write_row((feed.id, sequence, kind, at, sealed))
    return True


async def keep_problem(db: AsyncConnection, feed: str, kind: str) -> None:
    """Remember why a feed could not be compared."""
    await db.execute("UPDATE event_feed SET problem = %s WHERE id = %s", (kind, feed))


async def events_after(
    db: AsyncConnection, feed: str, after: int, limit: int
) -> list[tuple[int, str, datetime, bytes]]:
    """Sequence, kind, time and sealed bytes of the next events."""
    cursor = await db.execute(
        "SELECT sequence, kind, at, sealed FROM event WHERE feed = %s AND sequence > %s ORDER BY sequence LIMIT %s",
        (feed, after, limit),
    )
    return [(row[0], row[1], row[2], bytes(row[3])) for row in await cursor.fetchall()]


async def keep_subscription(db: AsyncConnection, subscription: Subscription) -> Subscription:
    """A new subscription, or the one the system already has for this service and purpose, active again."""
    await db.execute(
        """
        INSERT INTO event_subscription (id, system, service, purpose) VALUES (%s, %s, %s, %s)
        ON CONFLICT (system, service, coalesce(purpose, '')) DO UPDATE SET state = 'active', reason = NULL
        """,
        (subscription.id, subscription.system, subscription.service, subscription.purpose),
    )
    async with db.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(
            f"{_SUBSCRIPTION} WHERE system = %s AND service = %s AND coalesce(purpose, '') = coalesce(%s, '')",
            (subscription.system, subscription.service, subscription.purpose),
        )
        return await cursor.fetchone() or subscription


async def subscriptions(db: AsyncConnection, system: str | None = None) -> list[Subscription]:
    """All subscriptions, or those of one system, oldest first."""
    async with db.cursor(row_factory=class_row(Subscription)) as cursor:
        await cursor.execute(
            f"{_SUBSCRIPTION} WHERE %(system)s::text IS NULL OR system = %(system)s ORDER BY made_at, id",
            {"system": system},
        )
        return await cursor.fetchall()


async def set_state(db: AsyncConnection, subscription: str, state: str, reason: str | None) -> None:
    """How a subscription stands."""
    await db.execute(
        "UPDATE event_subscription SET state = %s, reason = %s WHERE id = %s", (state, reason, subscription)
    )


async def take_following_lock(db: AsyncConnection, subscription: str) -> bool:
    """True if this transaction alone follows ``subscription``; it ends with the transaction."""
    cursor = await db.execute(
        "SELECT pg_try_advisory_xact_lock(hashtext('lienthong.events'), hashtext(%s))", (subscription,)
    )
    row = await cursor.fetchone()
    return bool(row and row[0])


async def place_of(db: AsyncConnection, subscription: str) -> tuple[str, int]:
    """Feed and sequence that a subscription has reached."""
    cursor = await db.execute("SELECT feed, after FROM event_subscription WHERE id = %s", (subscription,))
    row = await cursor.fetchone()
    return (row[0], row[1]) if row else ("", 0)


async def ids_among(db: AsyncConnection, subscription: str, ids: Sequence[str]) -> frozenset[str]:
    """Which of ``ids`` have arrived before."""
    cursor = await db.execute(
        "SELECT event_id FROM event_inbox WHERE subscription = %s AND event_id = ANY(%s)", (subscription, list(ids))
    )
    return frozenset(row[0] for row in await cursor.fetchall())


async def rows_among(db: AsyncConnection, subscription: str, rows: Sequence[bytes]) -> frozenset[bytes]:
    """Which rows (digests of their keys) exist as far as events told."""
    cursor = await db.execute(
        "SELECT row FROM event_row WHERE subscription = %s AND row = ANY(%s)", (subscription, list(rows))
    )
    return frozenset(bytes(row[0]) for row in await cursor.fetchall())


async def keep_arrived(
    db: AsyncConnection,
    subscription: str,
    feed: str,
    after: int,
    *,
    bulk: bool,
    restarted: bool,
    events: Sequence[tuple[str, bytes]],
    born: Sequence[bytes],
    gone: Sequence[bytes],
) -> None:
    """Keep what arrived (id and sealed bytes), which rows it made and ended, and how far the subscription has come.

    ``restarted``: it is another feed, in which no row was told of before.
    """
    if restarted:
        await db.execute("DELETE FROM event_row WHERE subscription = %s", (subscription,))
    async with db.cursor() as cursor:
        await cursor.executemany(
            "INSERT INTO event_inbox (subscription, event_id, sealed) VALUES (%s, %s, %s) ON CONFLICT DO NOTHING",
            [(subscription, identifier, sealed) for identifier, sealed in events],
        )
        await cursor.executemany(
            "INSERT INTO event_row (subscription, row) VALUES (%s, %s) ON CONFLICT DO NOTHING",
            [(subscription, row) for row in born],
        )
    await db.execute("DELETE FROM event_row WHERE subscription = %s AND row = ANY(%s)", (subscription, list(gone)))
    await db.execute(
        "UPDATE event_subscription SET feed = %s, after = %s, bulk = %s, reason = NULL WHERE id = %s",
        (feed, after, bulk, subscription),
    )


async def inbox(db: AsyncConnection, subscription: str, after: int, limit: int) -> list[tuple[int, str, bytes]]:
    """Number, event id and sealed bytes of what arrived for a subscription after number ``after``."""
    cursor = await db.execute(
        """
        SELECT number, event_id, sealed FROM event_inbox
         WHERE subscription = %s AND number > %s ORDER BY number LIMIT %s
        """,
        (subscription, after, limit),
    )
    return [(row[0], row[1], bytes(row[2])) for row in await cursor.fetchall()]


async def keep_push(db: AsyncConnection, subscription: str, url: str, token: bytes | None) -> None:
    """Push to ``url`` from now on; the place reached stays."""
    await db.execute(
        """
        INSERT INTO event_push (subscription, url, token) VALUES (%s, %s, %s)
        ON CONFLICT (subscription) DO UPDATE SET url = EXCLUDED.url, token = EXCLUDED.token, state = 'active',
               failures = 0, problem = '', next_at = now()
        """,
        (subscription, url, token),
    )


async def drop_push(db: AsyncConnection, subscription: str) -> None:
    """Push no more."""
    await db.execute("UPDATE event_push SET state = 'ended', problem = '' WHERE subscription = %s", (subscription,))


async def due_push(db: AsyncConnection, lease: timedelta) -> PushPlace | None:
    """A push for which something waits, taken for ``lease``; None: there is none."""
    async with db.cursor(row_factory=class_row(PushPlace)) as cursor:
        await cursor.execute(
            """
            UPDATE event_push SET next_at = now() + %s, taken = taken + 1
             WHERE subscription = (
                   SELECT p.subscription FROM event_push p
                    WHERE p.state = 'active' AND p.next_at <= now()
                      AND EXISTS (SELECT FROM event_inbox i
                                   WHERE i.subscription = p.subscription AND i.number > p.after)
                    ORDER BY p.next_at LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING subscription, url, token, after, failures, taken
            """,
            (lease,),
        )
        return await cursor.fetchone()


async def note_push(
    db: AsyncConnection, place: PushPlace, *, after: int, failures: int, problem: str, next_at: datetime, ended: bool
) -> None:
    """How a batch went; not noted when the lease ran out and somebody else has taken the push up."""
    await db.execute(
        """
        UPDATE event_push SET after = %s, failures = %s, problem = %s, next_at = %s,
               state = CASE WHEN %s THEN 'ended' ELSE state END
         WHERE subscription = %s AND taken = %s
        """,
        (after, failures, problem, next_at, ended, place.subscription, place.taken),
    )


async def pushes(db: AsyncConnection, ids: Sequence[str]) -> dict[str, PushState]:
    """How the pushes of these subscriptions stand."""
    async with db.cursor(row_factory=class_row(PushState)) as cursor:
        await cursor.execute(
            """
            SELECT p.subscription, p.url, p.state, p.failures, p.problem,
                   (SELECT count(*) FROM event_inbox i WHERE i.subscription = p.subscription AND i.number > p.after)
                   AS waiting
              FROM event_push p WHERE p.subscription = ANY(%s)
            """,
            (list(ids),),
        )
        return {found.subscription: found for found in await cursor.fetchall()}
