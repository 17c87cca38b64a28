"""A person says by which way they wish to be told; an address counts once its code came back."""

from __future__ import annotations

import hmac
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar
from urllib.parse import urlsplit

from lienthong.cases.notices import queries
from lienthong.cases.notices.models import CONFIRM, About, Wishes
from lienthong.errors import Problem, Side
from lienthong.i18n import Language, T
from lienthong.identity.models import Actor
from lienthong.identity.rights import LoginNeeded

Code = Callable[[str, str], str]
"""Person and address to the code that confirms it."""


class WrongCode(Problem):
    """The code is not the one that was sent to the address."""

    kind: ClassVar[str] = "wrong-code"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This is not the code that was sent")


class BadAddress(Problem):
    """A webhook's address is not one that notices can be sent to."""

    kind: ClassVar[str] = "bad-webhook-address"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Notices can not be sent to this address")


async def wishes_for(db: Any, actor: Actor) -> Wishes:  # Any: a connection of any row factory, passed on
    """What the person wishes; raises LoginNeeded."""
    if actor.person is None:
        raise LoginNeeded(T("This is the page of whoever is signed in."), mend=T("Sign in and try again."))
    return await queries.wishes_of(db, actor.person) or Wishes(actor.person)


async def choose(  # the fields of one form
    db: Any,  # Any: passed on
    actor: Actor,
    *,
    about: About,
    language: Language,
    mail: str,
    webhook: str,
    code: Code,
    now: datetime,
) -> Wishes:
    """Keep the wishes; a new e-mail address gets its code, at most one an hour.  Raises LoginNeeded, BadAddress."""
    had = await wishes_for(db, actor)
    if webhook and not _is_webhook(webhook):
        raise BadAddress(
            T("A webhook's address begins with https:// and holds no user name."),
            mend=T("Correct it or leave it empty."),
        )
    confirmed = had.mail_confirmed and mail == had.mail
    told = replace(
        had, about=about, language=language, mail=mail, by_mail=bool(mail), mail_confirmed=confirmed, webhook=webhook,
        by_webhook=bool(webhook),
    )  # fmt: skip
    await queries.put_wishes(db, told)
    if mail and not confirmed:
        mark = code(told.person, mail)[:4]
        await queries.put_confirmation(db, told.person, f"{CONFIRM}/{mark}/{now:%Y%m%d%H}", CONFIRM, now)
    return told


async def confirm(db: Any, actor: Actor, typed: str, code: Code) -> Wishes:  # Any: passed on
    """The address counts from now on.  Raises LoginNeeded, WrongCode."""
    had = await wishes_for(db, actor)
    right = code(had.person, had.mail)
    if not had.mail or not hmac.compare_digest(right.encode(), typed.strip().lower().encode()):
        raise WrongCode(
            T("This is not the code that was sent to the address."), mend=T("Copy it from the newest message.")
        )
    told = replace(had, mail_confirmed=True)
    await queries.put_wishes(db, told)
    return told


def _is_webhook(address: str) -> bool:
    try:
        parts = urlsplit(address)
        return parts.scheme == "https" and bool(parts.hostname) and parts.username is None and parts.port != 0
    except ValueError:
        return False
