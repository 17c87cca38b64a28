"""The tables of sessions, tokens and sign-ins under way: one question, one function."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any, LiteralString, TypeAlias

from psycopg import AsyncConnection
from psycopg.rows import dict_row

from lienthong.identity.models import Actor, Assurance, OpenSession, Right, Role, Token

Connection: TypeAlias = AsyncConnection[Any]
"""A connection of any row factory; the caller owns the transaction."""


async def insert_session(db: Connection, session: OpenSession, hashed: bytes, ends_at: datetime) -> None:
    """Keep a new session under the hash of its secret."""
    await db.execute(
        """
        INSERT INTO session (hash, id, person, assurance, opened_at, seen_at, ends_at, issuer, sid)
        VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s)
        """,
        (hashed, session.id, session.person, int(session.assurance), session.opened_at, session.seen_at, ends_at,
         session.issuer, session.sid),
    )  # fmt: skip


async def session_actor(
    db: Connection, hashed: bytes, now: datetime, idle_since: datetime, touch_before: datetime
) -> Actor | None:
    """Who a session's secret stands for; None when it is over, idle for too long, or its person was closed.

    Notes that it was seen, when that was last noted before ``touch_before``.
    """
    found = await _rows(
        db,
        """
        SELECT s.id AS session, s.assurance, s.seen_at, p.id AS person, p.name, p.member,
               array(SELECT role FROM role_held r WHERE r.person = p.id) AS roles
          FROM session s JOIN account p ON p.id = s.person
         WHERE s.hash = %(hash)s AND s.ends_at > %(now)s AND s.seen_at > %(idle)s AND p.state = 'active'
        """,
        {"hash": hashed, "now": now, "idle": idle_since},
    )
    if not found:
        return None
    row = found[0]
    if row["seen_at"] < touch_before:
        await db.execute("UPDATE session SET seen_at = %s WHERE hash = %s", (now, hashed))
    roles = frozenset(Role(each) for each in row["roles"])
    return Actor(row["person"], row["name"], row["member"], roles, Assurance(row["assurance"]), row["session"])


async def sessions_of(db: Connection, person: str, now: datetime, idle_since: datetime) -> list[OpenSession]:
    """The person's sessions that still count, newest first."""
    found = await _rows(
        db,
        """
        SELECT id, person, assurance, opened_at, seen_at, issuer, sid FROM session
         WHERE person = %(p)s AND ends_at > %(now)s AND seen_at > %(idle)s ORDER BY opened_at DESC, id
        """,
        {"p": person, "now": now, "idle": idle_since},
    )
    return [OpenSession(assurance=Assurance(row.pop("assurance")), **row) for row in found]


async def end_session(db: Connection, hashed: bytes) -> None:
    """End one session."""
    await db.execute("DELETE FROM session WHERE hash = %s", (hashed,))


async def end_sessions_of(db: Connection, person: str, *, but: str = "") -> int:
    """End all sessions of a person, but the one with the id ``but``; returns how many ended."""
    return (await db.execute("DELETE FROM session WHERE person = %s AND id <> %s", (person, but))).rowcount


async def end_sessions_at(db: Connection, issuer: str, person: str, *, but: str) -> None:
    """End the sessions that a person opened by a provider, but the one with the id ``but``."""
    await db.execute("DELETE FROM session WHERE issuer = %s AND person = %s AND id <> %s", (issuer, person, but))


async def end_provider_sessions(db: Connection, issuer: str, *, sid: str | None, subject: str | None) -> int:
    """End the sessions that rest on a provider's session, or on any of its sessions of a subject."""
    done = await db.execute(
        """
        DELETE FROM session s
         WHERE s.issuer = %(i)s
           AND (%(sid)s::text IS NULL OR s.sid = %(sid)s)
           AND (%(sub)s::text IS NULL OR s.person IN (
                SELECT person FROM person_at_provider WHERE issuer = %(i)s AND subject = %(sub)s))
        """,
        {"i": issuer, "sid": sid, "sub": subject},
    )
    return done.rowcount


async def put_attempt(db: Connection, hashed: bytes, sealed: bytes, ends_at: datetime) -> None:
    """Keep what a sign-in under way must remember."""
    await db.execute("INSERT INTO sign_in_attempt (hash, sealed, ends_at) VALUES (%s, %s, %s)",
                     (hashed, sealed, ends_at))  # fmt: skip


async def take_attempt(db: Connection, hashed: bytes, now: datetime) -> bytes | None:
    """What was kept, once: a second asking, or one that is late, gets None."""
    found = await _rows(
        db, "DELETE FROM sign_in_attempt WHERE hash = %(h)s RETURNING sealed, ends_at > %(now)s AS counts",
        {"h": hashed, "now": now},
    )  # fmt: skip
    return bytes(found[0]["sealed"]) if found and found[0]["counts"] else None


async def note_failure(db: Connection, keys: Iterable[bytes], now: datetime) -> None:
    """Count a failed sign-in under each key."""
    await db.execute("INSERT INTO sign_in_failure (key, at) SELECT unnest(%s::bytea[]), %s", (list(keys), now))


async def failures(db: Connection, key: bytes, since: datetime) -> int:
    """Failed sign-ins under ``key`` since a moment."""
    found = await _rows(
        db, "SELECT count(*) AS n FROM sign_in_failure WHERE key = %(k)s AND at > %(s)s", {"k": key, "s": since}
    )
    return int(found[0]["n"])


async def forget_failures(db: Connection, key: bytes) -> None:
    """Forget them after a good sign-in."""
    await db.execute("DELETE FROM sign_in_failure WHERE key = %s", (key,))


async def forget_the_past(db: Connection, now: datetime, idle_since: datetime, failures_since: datetime) -> None:
    """Delete what counts no more: sessions, attempts, links, failures."""
    await db.execute("DELETE FROM session WHERE ends_at <= %s OR seen_at <= %s", (now, idle_since))
    await db.execute("DELETE FROM sign_in_attempt WHERE ends_at <= %s", (now,))
    await db.execute("DELETE FROM first_link WHERE ends_at <= %s", (now,))
    await db.execute("DELETE FROM sign_in_failure WHERE at <= %s", (failures_since,))


async def insert_token(db: Connection, token: Token, hashed: bytes) -> None:
    """Keep a token under the hash of its secret."""
    await db.execute(
        """
        INSERT INTO api_token (id, hash, person, label, scopes, made_at, ends_at) VALUES (%s, %s, %s, %s, %s, %s, %s)
        """,
        (token.id, hashed, token.person, token.label, [str(each) for each in token.scopes], token.made_at,
         token.ends_at),
    )  # fmt: skip


async def token_actor(db: Connection, hashed: bytes, now: datetime, touch_before: datetime) -> Actor | None:
    """Who a token's secret stands for; None when it is over, withdrawn, or its person was closed."""
    found = await _rows(
        db,
        """
        SELECT t.id, t.scopes, t.used_at, p.id AS person, p.name, p.member,
               array(SELECT role FROM role_held r WHERE r.person = p.id) AS roles
          FROM api_token t JOIN account p ON p.id = t.person
         WHERE t.hash = %(hash)s AND t.ends_at > %(now)s AND t.withdrawn_at IS NULL AND p.state = 'active'
        """,
        {"hash": hashed, "now": now},
    )
    if not found:
        return None
    row = found[0]
    if row["used_at"] is None or row["used_at"] < touch_before:
        await db.execute("UPDATE api_token SET used_at = %s WHERE id = %s", (now, row["id"]))
    known = {each.value for each in Right}
    scopes = frozenset(Right(each) for each in row["scopes"] if each in known)
    roles = frozenset(Role(each) for each in row["roles"])
    return Actor(row["person"], row["name"], row["member"], roles, Assurance.ONE_FACTOR, None, scopes)


async def tokens_of(db: Connection, person: str) -> list[Token]:
    """The person's tokens that were not withdrawn, newest first."""
    found = await _rows(
        db,
        """
        SELECT id, person, label, scopes, made_at, ends_at, used_at FROM api_token
         WHERE person = %(p)s AND withdrawn_at IS NULL ORDER BY made_at DESC, id
        """,
        {"p": person},
    )
    return [Token(scopes=tuple(row.pop("scopes")), **row) for row in found]


async def withdraw_token(db: Connection, person: str, token: str, now: datetime) -> bool:
    """End a token of this person; False when they have none such."""
    done = await db.execute(
        "UPDATE api_token SET withdrawn_at = %s WHERE id = %s AND person = %s AND withdrawn_at IS NULL",
        (now, token, person),
    )
    return done.rowcount == 1


async def _rows(db: Connection, sql: LiteralString, values: Mapping[str, Any]) -> list[dict[str, Any]]:
    async with db.cursor(row_factory=dict_row) as cursor:
        await cursor.execute(sql, values)
        return await cursor.fetchall()


async def put_once(db: Connection, hashed: bytes, until: datetime) -> bool:
    """Note that something counted, until it would be refused for its age; False the second time."""
    done = await db.execute(
        "INSERT INTO sign_in_attempt (hash, sealed, ends_at) VALUES (%s, '', %s) ON CONFLICT DO NOTHING",
        (hashed, until),
    )
    return done.rowcount == 1


async def attempts(db: Connection) -> int:
    """How many sign-ins are under way."""
    found = await _rows(db, "SELECT count(*) AS n FROM sign_in_attempt", {})
    return int(found[0]["n"])
