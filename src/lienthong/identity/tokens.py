"""API tokens: shown once, kept as hashes, with scopes and an end; for programs that use ``/v1/`` in a person's name."""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries as persons
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Person, Right, Token
from lienthong.identity.passwords import digest
from lienthong.identity.rights import MATRIX
from lienthong.identity.sessions import queries
from lienthong.identity.sessions.keep import TOKEN_MARK

LONGEST_DAYS: Final = 365
NOT_BY_TOKEN: Final = frozenset({Right.APPROVE_TRUST, Right.MANAGE_PERSONS, Right.MANAGE_MEMBERS, Right.REVIEW_RECORDS})
"""What takes a person in front of a screen."""

Connection = Any
"""A connection of any row factory, passed on."""


class BadToken(Problem):
    """A token can not be made so: a scope beyond the person's rights, no scope, or too long a life."""

    kind: ClassVar[str] = "bad-token"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The token can not be made")


def possible_scopes(person: Person) -> list[Right]:
    """What a token of this person may carry."""
    has = frozenset[Right]().union(*(MATRIX[role] for role in person.roles))
    return [right for right in Right if right in has - NOT_BY_TOKEN]


async def make_token(
    db: Connection, person: Person, label: str, scopes: Iterable[str], days: int, *, by: Actor | None, now: datetime
) -> tuple[str, Token]:
    """The secret, which is told once, and what is kept of it; raises BadToken."""
    asked = frozenset(scopes)
    chosen = tuple(right for right in possible_scopes(person) if right in asked)
    if not chosen or len(chosen) != len(asked):
        raise BadToken(T("Choose at least one of the rights that you have."))
    if not 1 <= days <= LONGEST_DAYS:
        raise BadToken(T("A token lives 1 to {days} days."), days=LONGEST_DAYS)
    secret = TOKEN_MARK + secrets.token_urlsafe(32)
    token = Token(secrets.token_hex(6), person.id, label, tuple(map(str, chosen)), now, now + timedelta(days=days))
    await queries.insert_token(db, token, digest(secret))
    await put_down(db, by, "token.made", token.id, {"scopes": list(token.scopes), "days": days}, now=now,
                   member=person.member)  # fmt: skip
    return secret, token


async def withdraw(db: Connection, person: str, token: str, *, by: Actor | None, now: datetime) -> bool:
    """End a token of this person at once; False when they have none such."""
    done = await queries.withdraw_token(db, person, token, now)
    if done:
        owner = await persons.person_by_id(db, person)
        await put_down(db, by, "token.withdrawn", token, {}, now=now, member=owner.member if owner else None)
    return done
