"""Questions the pages ask of the database themselves: which forms were done, and the figures with their views."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from types import MappingProxyType
from typing import Any, Final, LiteralString

from psycopg import AsyncConnection, sql


async def claim_form(db: AsyncConnection[Any], key: str) -> str | None:
    """None the first time a form with this one-time ``key`` is sent; later the address its first sending led to.

    Call it in the transaction of the deed: a second sending at the same moment waits until the first is done, and
    counts as the first when that one failed.  An empty key (a program that sent none) is always the first.  "" stands
    for a first sending that led nowhere.
    """
    if not key:
        return None
    claimed = await db.execute("INSERT INTO form_key (key) VALUES (%s) ON CONFLICT (key) DO NOTHING", (key,))
    if claimed.rowcount:
        return None
    found = await db.execute("SELECT led_to FROM form_key WHERE key = %s", (key,))
    row = await found.fetchone()
    return str(row[0]) if row else ""


async def form_led_to(db: AsyncConnection[Any], key: str, address: str) -> None:
    """Note where the deed of this form can be seen, for a second sending."""
    await db.execute("UPDATE form_key SET led_to = %s WHERE key = %s", (address, key))


async def forget_forms(db: AsyncConnection[Any]) -> None:
    """Forget keys older than two days: no page stays open for so long."""
    await db.execute("DELETE FROM form_key WHERE used_at < now() - interval '2 days'")


async def claim_deed(db: AsyncConnection[Any], key: bytes, body: bytes) -> tuple[bytes, bytes | None] | None:
    """None the first time a call with this ``key`` comes; later the body's digest and the sealed answer of the first.

    The answer is None while the first is under way.
    """
    claimed = await db.execute(
        "INSERT INTO deed_answer (key, body) VALUES (%s, %s) ON CONFLICT (key) DO NOTHING", (key, body)
    )
    if claimed.rowcount:
        return None
    found = await db.execute("SELECT body, answer FROM deed_answer WHERE key = %s", (key,))
    row = await found.fetchone()
    # Freed between the two questions: as if it were under way, so that the sender asks again.
    return (bytes(row[0]), None if row[1] is None else bytes(row[1])) if row else (body, None)


async def keep_deed_answer(db: AsyncConnection[Any], key: bytes, answer: bytes) -> None:
    """Keep what the first call with this ``key`` was answered."""
    await db.execute("UPDATE deed_answer SET answer = %s WHERE key = %s", (answer, key))


async def free_deed(db: AsyncConnection[Any], key: bytes) -> None:
    """Nothing was done under this ``key``: the next call with it is the first."""
    await db.execute("DELETE FROM deed_answer WHERE key = %s AND answer IS NULL", (key,))


async def forget_deeds(db: AsyncConnection[Any]) -> None:
    """Forget answers older than a day."""
    await db.execute("DELETE FROM deed_answer WHERE at < now() - interval '1 day'")


FIGURES: Final[Mapping[str, tuple[str, LiteralString]]] = MappingProxyType(
    {
        "members": (
            "stat_member",
            "SELECT coalesce(sum(members), 0)::bigint FROM stat_member WHERE state = 'active'",
        ),
        "nodes": ("stat_node", "SELECT coalesce(sum(nodes), 0)::bigint FROM stat_node"),
        "records": ("stat_record", "SELECT coalesce(sum(records), 0)::bigint FROM stat_record"),
        "refused": (
            "stat_record",
            "SELECT coalesce(sum(records), 0)::bigint FROM stat_record WHERE outcome = 'refused'",
        ),
        "agreements": ("stat_agreement", "SELECT coalesce(sum(agreements), 0)::bigint FROM stat_agreement"),
        "services": ("stat_service", "SELECT coalesce(sum(services), 0)::bigint FROM stat_service"),
        "open-uses": ("stat_open_use", "SELECT coalesce(sum(uses), 0)::bigint FROM stat_open_use"),
    }
)
"""Key of a figure -> the view it stands on and the question that gives it."""
NATIONAL_FIGURES: Final = frozenset(("members", "nodes"))
"""Told by the national node alone: no other database holds the directory."""


@dataclass(frozen=True, slots=True)
class ViewRows:
    """A view's SQL and what it gives now."""

    sql: str
    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]  # Any: whatever the view's columns hold


async def figure(db: AsyncConnection[Any], key: str) -> int:
    """The figure now.  Raises KeyError for an unknown one."""
    found = await db.execute(FIGURES[key][1])
    row = await found.fetchone()
    return int(row[0]) if row else 0


async def view_rows(db: AsyncConnection[Any], view: str, most: int = 1_000) -> ViewRows:
    """What stands behind a figure; ``view`` is one of ours, never what somebody typed."""
    told = await db.execute("SELECT pg_get_viewdef(%s::regclass, true)", (view,))
    defined = await told.fetchone()
    found = await db.execute(sql.SQL("SELECT * FROM {} LIMIT {}").format(sql.Identifier(view), sql.Literal(most)))
    columns = tuple(column.name for column in found.description or ())
    rows = tuple(tuple(row) for row in await found.fetchall())
    return ViewRows(str(defined[0]) if defined else "", columns, rows)


async def hours(db: AsyncConnection[Any], hours_back: int) -> list[tuple[datetime, str, int]]:
    """Records by hour and way in the last ``hours_back`` hours, oldest first."""
    found = await db.execute(
        """
        SELECT hour, way, sum(records)::bigint
          FROM stat_hour
         WHERE hour > now() - make_interval(hours => %s)
         GROUP BY hour, way ORDER BY hour, way COLLATE "C"
        """,
        (hours_back,),
    )
    return [(row[0], str(row[1]), int(row[2])) for row in await found.fetchall()]


async def pairs(db: AsyncConnection[Any], most: int) -> list[tuple[str, str, int]]:
    """Consumer, provider and number of the newest records between them, the most first."""
    found = await db.execute(
        """
        SELECT consumer, provider, records FROM stat_pair
         ORDER BY records DESC, consumer COLLATE "C", provider COLLATE "C" LIMIT %s
        """,
        (most,),
    )
    return [(str(row[0]), str(row[1]), int(row[2])) for row in await found.fetchall()]


async def add_visits(db: AsyncConnection[Any], day: date, views: Mapping[str, int]) -> None:
    """Add how often pages, named by the pattern of their address, were shown on ``day``."""
    async with db.cursor() as cursor:
        await cursor.executemany(
            """
            INSERT INTO visit (day, page, views) VALUES (%s, %s, %s)
            ON CONFLICT (day, page) DO UPDATE SET views = visit.views + EXCLUDED.views
            """,
            [(day, page, count) for page, count in sorted(views.items())],
        )


async def visits(db: AsyncConnection[Any], since: date) -> list[tuple[date, str, int]]:
    """Day, page and views, newest day first and most seen first; "" stands for pages counted together."""
    found = await db.execute(
        """
        SELECT day, page, views FROM stat_visit WHERE day >= %s
         ORDER BY day DESC, views DESC, page COLLATE "C"
        """,
        (since,),
    )
    return [(row[0], str(row[1]), int(row[2])) for row in await found.fetchall()]
