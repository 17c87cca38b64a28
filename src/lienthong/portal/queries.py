"""Questions the pages ask of the database themselves: which forms were already done."""

from __future__ import annotations

from typing import Any

from psycopg import AsyncConnection


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
