"""What every door of identity needs, as one frozen value: database, keys, whose node it is, who may sign in how.

Signing in ends here for every way (password, passkey, provider): a new session, its cookie, one line in the audit.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from typing import Any, Final
from urllib.parse import urlsplit

from lienthong.identity import queries
from lienthong.identity.approvals import Approvals
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Assurance, Person
from lienthong.identity.passwords import digest
from lienthong.identity.provider import Provider
from lienthong.identity.sessions import keep
from lienthong.identity.sessions.queries import put_attempt, take_attempt
from lienthong.storage.pool import Connection, Pool
from lienthong.trust.seal import Seal

LOOPBACK_NAME: Final = "localhost"


def _utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Entrance:
    """The ways in of one node."""

    pool: Pool
    key: bytes
    """32 bytes: seals what a sign-in remembers, keys the counts of failures, proves challenges."""
    public_url: str
    members: tuple[str, ...]
    """Members whose persons this node knows; the first is its owner."""
    approvals: Approvals
    national: bool = False
    providers: Mapping[str, Provider] = field(default_factory=dict[str, Provider])
    """Identity providers by the name in their addresses."""
    now: Callable[[], datetime] = _utc_now

    @property
    def secure(self) -> bool:
        """Whether the portal is reached by HTTPS."""
        return self.public_url.startswith("https:")

    @property
    def cookie(self) -> str:
        """Name of the session's cookie; ``__Host-`` binds it to this host and to HTTPS (RFC 6265bis, 4.1.3.2)."""
        return "__Host-session" if self.secure else "session"

    @property
    def origin(self) -> str:
        """Scheme, host and port of the pages.  A loopback address is named ``localhost``: WebAuthn takes no numbers."""
        parts = urlsplit(self.public_url)
        host = parts.hostname or LOOPBACK_NAME
        port = f":{parts.port}" if parts.port else ""
        return f"{parts.scheme}://{LOOPBACK_NAME if _is_loopback(host) else host}{port}"

    @property
    def relying_party(self) -> str:
        """The host that passkeys are bound to; "" where the portal has a number for a name."""
        host = urlsplit(self.origin).hostname or ""
        return "" if _is_number(host) else host

    def seal(self) -> Seal:
        """Seals what is kept of a sign-in under way."""
        return Seal(self.key)

    async def remember(self, db: Connection, facts: Mapping[str, Any]) -> str:
        """Keep ``facts`` for a quarter of an hour; returns the secret under which they are taken, once."""
        secret = secrets.token_urlsafe(24)
        hashed = digest(secret)
        sealed = self.seal().encrypt(json.dumps(dict(facts)).encode(), hashed)
        await put_attempt(db, hashed, sealed, self.now() + keep.ATTEMPT)
        return secret

    async def recall(self, db: Connection, secret: str) -> dict[str, Any] | None:
        """What was kept under ``secret``; None the second time, or late."""
        hashed = digest(secret)
        sealed = await take_attempt(db, hashed, self.now())
        return None if sealed is None else json.loads(self.seal().decrypt(sealed, hashed))

    async def admit(
        self,
        db: Connection,
        person: Person,
        assurance: Assurance,
        *,
        had: str | None,
        way: str,
        issuer: str | None = None,
        sid: str | None = None,
    ) -> str:
        """Sign ``person`` in: the secret for the cookie.  ``had``: the cookie the browser came with, which ends."""
        now = self.now()
        secret, session = await keep.open_session(db, person.id, assurance, now, instead_of=had, issuer=issuer, sid=sid)
        actor = Actor(person.id, person.name, person.member, person.roles, assurance, session.id)
        if person.member is not None:  # a citizen's comings and goings are nobody's affair
            await put_down(db, actor, "signed-in", person.id, {"way": way, "assurance": int(assurance)}, now=now)
        return secret

    async def actor(self, db: Connection, secret: str) -> Actor | None:
        """Who a cookie stands for."""
        return await keep.actor_of_session(db, secret, self.now())

    async def has_passkeys(self, db: Connection, person: Person) -> bool:
        """Whether the person is asked for a passkey after the password."""
        return bool(await queries.passkeys_of(db, person.id))


def _is_number(host: str) -> bool:
    try:
        ip_address(host)
    except ValueError:
        return False
    return True


def _is_loopback(host: str) -> bool:
    return _is_number(host) and ip_address(host).is_loopback
