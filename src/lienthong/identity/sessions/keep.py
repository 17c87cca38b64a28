"""Sessions: opened at sign-in with a new secret, found again by the cookie, ended by time, by the person, by others.

The cookie holds a random secret of 256 bits whose hash alone is stored.  A sign-in never goes on with a secret that the
browser brought (no fixation).  A session ends 30 minutes after it was last used and 12 hours after it was opened.
"""

from __future__ import annotations

import secrets
from datetime import datetime, timedelta
from typing import Any, Final

from lienthong.identity.models import Actor, Assurance, OpenSession
from lienthong.identity.passwords import digest
from lienthong.identity.sessions import queries

IDLE: Final = timedelta(minutes=30)
LONGEST: Final = timedelta(hours=12)
TOUCH: Final = timedelta(minutes=1)
"""A session's last use is noted this often."""
ATTEMPT: Final = timedelta(minutes=15)
"""How long a sign-in may take: the provider's pages, or a passkey."""
TOKEN_MARK: Final = "lt_"  # noqa: S105 - how our tokens begin, so that scanners of repositories find them

Connection = Any
"""A connection of any row factory, passed on."""


async def open_session(
    db: Connection,
    person: str,
    assurance: Assurance,
    now: datetime,
    *,
    instead_of: str | None = None,
    issuer: str | None = None,
    sid: str | None = None,
) -> tuple[str, OpenSession]:
    """A new session and its secret, which is told once; the one the browser had (``instead_of``) ends."""
    if instead_of:
        await queries.end_session(db, digest(instead_of))
    secret = secrets.token_urlsafe(32)
    session = OpenSession(secrets.token_hex(8), person, assurance, now, now, issuer, sid)
    await queries.insert_session(db, session, digest(secret), now + LONGEST)
    return secret, session


async def actor_of_session(db: Connection, secret: str, now: datetime) -> Actor | None:
    """Who a cookie stands for; None when the session is over."""
    return await queries.session_actor(db, digest(secret), now, now - IDLE, now - TOUCH)


async def actor_of_token(db: Connection, secret: str, now: datetime) -> Actor | None:
    """Who an API token stands for; None when it is over or withdrawn."""
    return await queries.token_actor(db, digest(secret), now, now - TOUCH)


async def end(db: Connection, secret: str) -> None:
    """End the session behind a cookie."""
    await queries.end_session(db, digest(secret))


async def living_sessions(db: Connection, person: str, now: datetime) -> list[OpenSession]:
    """The person's sessions that still count."""
    return await queries.sessions_of(db, person, now, now - IDLE)


async def forget_the_past(db: Connection, now: datetime) -> None:
    """Delete what counts no more."""
    await queries.forget_the_past(db, now, now - IDLE, now - timedelta(hours=1))
