"""Signing in with login and password: limited, in equal time, and a refusal never says which of the two was wrong.

Limits: 5 failures of one account from one address, 30 from one address, 60 of one account, each within 15 minutes (the
last is wide, so that nobody can lock somebody else out cheaply; a passkey is not limited by it).  Loopback addresses
count only together with an account: behind a proxy on the same machine everybody has one.  Accounts and
addresses are counted under keyed hashes.
"""

from __future__ import annotations

import hashlib
import hmac
from datetime import datetime, timedelta
from ipaddress import ip_address
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.models import Person
from lienthong.identity.passwords import matches
from lienthong.identity.persons import login_key
from lienthong.identity.sessions.queries import failures, forget_failures, note_failure

WINDOW: Final = timedelta(minutes=15)
BOTH: Final = 5
ADDRESS: Final = 30
ACCOUNT: Final = 60


class SignInRefused(Problem):
    """Login and password do not belong together, or the account is closed; which of it is not said."""

    kind: ClassVar[str] = "sign-in-refused"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Not signed in")


class TooManyAttempts(Problem):
    """Too many failed sign-ins from here or to this account."""

    kind: ClassVar[str] = "too-many-attempts"
    status: ClassVar[int] = 429
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Too many attempts")


async def check_password(
    db: Any,  # Any: a connection of any row factory, passed on
    login: str,
    password: str,
    *,
    address: str,
    key: bytes,
    now: datetime,
) -> Person:
    """The person behind login and password.

    Raises SignInRefused or TooManyAttempts; a failure is counted in ``db``, which the caller commits even then.
    """
    account = login_key(login)
    both, source, target = (_key(key, *parts) for parts in ((account, address), ("", address), (account, "")))
    since = now - WINDOW
    if (
        await failures(db, both, since) >= BOTH
        or (not is_loopback(address) and await failures(db, source, since) >= ADDRESS)
        or await failures(db, target, since) >= ACCOUNT
    ):
        raise TooManyAttempts(
            T("There were too many failed attempts."),
            mend=T("Wait {minutes} minutes, or sign in with a passkey."),
            minutes=int(WINDOW.total_seconds() // 60),
            retry_after_s=int(WINDOW.total_seconds()),
        )
    person = await queries.person_by_login(db, account)
    open_ = person is not None and person.state == "active"
    kept = await queries.password_of(db, person.id) if person is not None and open_ else None
    if await matches(password, kept) and person is not None:
        await forget_failures(db, both)
        return person
    await note_failure(db, (both, source, target), now)
    raise refused()


def refused() -> SignInRefused:
    """The one answer to whatever did not fit."""
    return SignInRefused(
        T("Login and password do not belong together."),
        mend=T("Try again; if you forgot the password, an operator of your agency makes a new link."),
    )


def is_loopback(address: str) -> bool:
    """Whether the address is this machine's own."""
    try:
        return ip_address(address).is_loopback
    except ValueError:
        return False


def _key(secret: bytes, account: str, address: str) -> bytes:
    return hmac.new(secret, f"sign-in\x00{account}\x00{address}".encode(), hashlib.sha256).digest()
