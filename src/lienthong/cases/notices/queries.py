"""The tables of notices and wishes: one question, one function."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any, Final, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import class_row

from lienthong.cases.models import Case
from lienthong.cases.notices.models import OF_CLOCKS, Failing, Notice, Wishes

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory; the caller owns the transaction."""
CHANNEL: Final = "lienthong_notice"
"""Where the jobs process listens: what is written is carried at once."""
NOTICE: Final = 'id, key, person, "case", act, way, at, tries'


async def put_notices(
    db: Connection,
    case: Case,
    key: str,
    act: str,
    now: datetime,
    *,
    roles: Collection[str],
    by: str | None,
    everywhere: Collection[str] = (),
) -> None:
    """One notice for everybody whom it concerns, by each way they wish, but not for ``by`` who did it.

    It concerns who opened the case, those with one of ``roles`` at its owner and with one of ``everywhere`` at any
    member.  A second time with the same ``key`` nothing is written.
    """
    done = await db.execute(
        """
        WITH concerned AS (
            SELECT id AS person FROM account WHERE id = %(opener)s AND state = 'active'
            UNION
            SELECT a.id FROM account a JOIN role_held r ON r.person = a.id
             WHERE a.state = 'active'
               AND ((a.member = %(owner)s AND r.role = ANY(%(roles)s)) OR r.role = ANY(%(everywhere)s))
        )
        INSERT INTO notice (key, person, "case", act, way, at, next_at)
        SELECT %(key)s, c.person, %(case)s, %(act)s, ways.way, %(now)s, %(now)s
          FROM concerned c
         CROSS JOIN (VALUES ('page'), ('mail'), ('webhook')) ways (way)
          LEFT JOIN notice_wish w ON w.person = c.person
         WHERE c.person IS DISTINCT FROM %(by)s
           AND (%(clocks)s OR w.about IS NULL OR w.about = 'all')
           AND (ways.way = 'page' OR (ways.way = 'mail' AND w.by_mail AND w.mail_confirmed)
                OR (ways.way = 'webhook' AND w.by_webhook AND w.webhook <> ''))
        ON CONFLICT (key, person, way) DO NOTHING
        """,
        {"opener": case.opener, "owner": case.owner, "roles": sorted(roles), "everywhere": sorted(everywhere),
         "key": key, "case": case.id, "act": act,
         "now": now, "by": by, "clocks": act in OF_CLOCKS},
    )  # fmt: skip
    if done.rowcount:
        await db.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def put_confirmation(db: Connection, person: str, key: str, act: str, now: datetime) -> None:
    """One notice that carries the code for a new e-mail address; the same ``key`` is carried once."""
    await db.execute(
        """
        INSERT INTO notice (key, person, act, way, at, next_at) VALUES (%s, %s, %s, 'mail', %s, %s)
        ON CONFLICT (key, person, way) DO NOTHING
        """,
        (key, person, act, now, now),
    )
    await db.execute("SELECT pg_notify(%s, '')", (CHANNEL,))


async def take_notice(db: Connection, now: datetime, lease: timedelta) -> Notice | None:
    """The notice that waits longest, taken: nobody else takes it before ``lease`` is over."""
    async with db.cursor(row_factory=class_row(Notice)) as cursor:
        await cursor.execute(
            f"""
            UPDATE notice SET tries = tries + 1, next_at = %(now)s + %(lease)s
             WHERE id = (SELECT id FROM notice WHERE state = 'waiting' AND way <> 'page' AND next_at <= %(now)s
                          ORDER BY next_at, id LIMIT 1 FOR UPDATE SKIP LOCKED)
            RETURNING {NOTICE}
            """,  # noqa: S608 - our own words
            {"now": now, "lease": lease},
        )
        return await cursor.fetchone()


async def notice_carried(db: Connection, notice: int, now: datetime) -> None:
    """It was taken by whom it was carried to."""
    await db.execute("UPDATE notice SET state = 'sent', done_at = %s, word = '' WHERE id = %s", (now, notice))


async def notice_dropped(db: Connection, notice: int, now: datetime) -> None:
    """The person wishes it no more."""
    await db.execute("UPDATE notice SET state = 'dropped', done_at = %s WHERE id = %s", (now, notice))


async def notice_failed(db: Connection, notice: int, word: str, next_at: datetime | None, now: datetime) -> None:
    """It was not taken; ``next_at`` None: it is given up."""
    await db.execute(
        """
        UPDATE notice SET word = %(word)s, next_at = coalesce(%(next)s, next_at),
               state = CASE WHEN %(next)s::timestamptz IS NULL THEN 'given-up' ELSE state END,
               done_at = CASE WHEN %(next)s::timestamptz IS NULL THEN %(now)s END
         WHERE id = %(id)s
        """,
        {"word": word, "next": next_at, "now": now, "id": notice},
    )


async def wishes_of(db: Connection, person: str) -> Wishes | None:
    """What the person wishes; None: they never said."""
    async with db.cursor(row_factory=class_row(Wishes)) as cursor:
        await cursor.execute(
            """
            SELECT person, about, mail, by_mail, mail_confirmed, webhook, by_webhook, language
              FROM notice_wish WHERE person = %s
            """,
            (person,),
        )
        return await cursor.fetchone()


async def put_wishes(db: Connection, wishes: Wishes) -> None:
    """Keep what the person wishes now."""
    await db.execute(
        """
        INSERT INTO notice_wish (person, about, mail, by_mail, mail_confirmed, webhook, by_webhook, language)
        VALUES (%(person)s, %(about)s, %(mail)s, %(by_mail)s, %(confirmed)s, %(webhook)s, %(by_webhook)s, %(language)s)
        ON CONFLICT (person) DO UPDATE
           SET about = %(about)s, mail = %(mail)s, by_mail = %(by_mail)s, mail_confirmed = %(confirmed)s,
               webhook = %(webhook)s, by_webhook = %(by_webhook)s, language = %(language)s
        """,
        {"person": wishes.person, "about": wishes.about, "mail": wishes.mail, "by_mail": wishes.by_mail,
         "confirmed": wishes.mail_confirmed, "webhook": wishes.webhook, "by_webhook": wishes.by_webhook,
         "language": wishes.language},
    )  # fmt: skip


async def unseen_of(db: Connection, person: str, most: int) -> list[Notice]:
    """The newest notice of each case that the person has not looked at, newest first."""
    async with db.cursor(row_factory=class_row(Notice)) as cursor:
        await cursor.execute(
            f"""
            SELECT {NOTICE} FROM (
                SELECT DISTINCT ON ("case") * FROM notice
                 WHERE person = %s AND way = 'page' AND state = 'waiting' AND "case" IS NOT NULL
                 ORDER BY "case", id DESC
            ) newest ORDER BY id DESC LIMIT %s
            """,  # noqa: S608 - our own words
            (person, most),
        )
        return await cursor.fetchall()


async def case_seen(db: Connection, person: str, case: str, now: datetime) -> None:
    """The person looked at the case: what their page told of it is seen."""
    await db.execute(
        """
        UPDATE notice SET state = 'sent', done_at = %s
         WHERE person = %s AND "case" = %s AND way = 'page' AND state = 'waiting'
        """,
        (now, person, case),
    )


async def failing_notices(db: Connection, since: datetime) -> list[Failing]:
    """What could not be delivered: given up after ``since``, or tried before and tried again."""
    async with db.cursor(row_factory=class_row(Failing)) as cursor:
        await cursor.execute(
            """
            SELECT way, word, state, count(*) AS count, min(at) AS since FROM notice
             WHERE word <> '' AND (state = 'waiting' OR (state = 'given-up' AND done_at >= %s))
             GROUP BY way, word, state ORDER BY way, word, state
            """,
            (since,),
        )
        return await cursor.fetchall()


async def try_again(db: Connection, now: datetime) -> int:
    """Let everything that failed be tried at once, also what was given up; how many there are."""
    done = await db.execute(
        """
        UPDATE notice SET state = 'waiting', next_at = %s, tries = 0, done_at = NULL
         WHERE word <> '' AND state IN ('waiting', 'given-up')
        """,
        (now,),
    )
    await db.execute("SELECT pg_notify(%s, '')", (CHANNEL,))
    return done.rowcount
