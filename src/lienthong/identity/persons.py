"""Persons: added with a one-time link for the first password, given roles, closed.

“Họ và tên” is one field.  Names are kept as typed, less what nobody sees (zero width, direction marks); a name of
letters of several scripts, by which one person could pass for another, is refused.
"""

from __future__ import annotations

import re
import secrets
import unicodedata
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import passwords, queries
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Assurance, Person, Role
from lienthong.identity.passwords import digest
from lienthong.identity.rights import ALONE
from lienthong.identity.sessions.queries import end_sessions_of
from lienthong.law.text import fold, visible

LINK_LIVES: Final = timedelta(hours=48)
LONGEST_NAME: Final = 100
_LOGIN: Final = re.compile(r"[a-z0-9][a-z0-9._@-]{1,63}")

Connection = Any
"""A connection of any row factory, passed on."""


class BadPerson(Problem):
    """A name or login can not be used, or the login belongs to somebody."""

    kind: ClassVar[str] = "bad-person"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The person can not be added so")


class NoSuchPerson(Problem):
    """This member has no such person, or the account is closed."""

    kind: ClassVar[str] = "no-such-person"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such person here")


class RoleNotPossible(Problem):
    """The role can not be held here, or not together with those the person has."""

    kind: ClassVar[str] = "role-not-possible"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The role can not be given")


class LinkUsed(Problem):
    """The one-time link was used, replaced by a newer one, or is older than two days."""

    kind: ClassVar[str] = "link-used"
    status: ClassVar[int] = 410
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This link counts no more")


def full_name(typed: str) -> str:
    """ "Họ và tên" as it is kept; raises BadPerson."""
    name = " ".join(visible(typed).split())
    letters = [each for each in name if each.isalpha()]
    if not letters or len(name) > LONGEST_NAME:
        raise BadPerson(T("A name has letters, and at most {most} characters."), most=LONGEST_NAME)
    scripts = {unicodedata.name(each, "?").split()[0] for each in letters} - {"MODIFIER"}
    if len(scripts) > 1:
        raise BadPerson(T("The name mixes letters of several scripts that look alike."))
    return name


def login_key(typed: str) -> str:
    """What a person types to sign in, as it is compared: without case, marks and spaces."""
    return fold(typed).replace(" ", "")


async def add_person(
    db: Connection,
    typed_name: str,
    login: str | None,
    member: str | None,
    *,
    by: Actor | None,
    now: datetime,
    synthetic: bool = False,
) -> Person:
    """Add a person without roles; raises BadPerson."""
    name = full_name(typed_name)
    account = login_key(login) if login is not None else None
    if account is not None and not _LOGIN.fullmatch(account):
        raise BadPerson(T("A login has 2 to 64 letters a to z, digits, dots, hyphens or an e-mail address."))
    person = secrets.token_hex(8)
    if not await queries.insert_person(db, person, member, name, account, synthetic, now):
        raise BadPerson(T("This login belongs to somebody already."))
    await put_down(db, by, "person.added", person, {"synthetic": synthetic}, now=now, member=member)
    return await person_of(db, person, member)


async def person_of(db: Connection, person: str, member: str | None) -> Person:
    """An active person of ``member``; raises NoSuchPerson, also for somebody of another member."""
    found = await queries.person_by_id(db, person)
    if found is None or found.state != "active" or found.member != member:
        raise NoSuchPerson(T("Your agency has no person with this id."), mend=T("Start from the list of persons."))
    return found


async def make_first_link(db: Connection, person: Person, *, by: Actor | None, now: datetime) -> str:
    """The secret of a link by which the person sets a password, once, within two days; shown once."""
    secret = secrets.token_urlsafe(32)
    await queries.put_first_link(db, person.id, digest(secret), now + LINK_LIVES)
    await put_down(db, by, "link.made", person.id, {}, now=now, member=person.member)
    return secret


async def linked_person(db: Connection, secret: str, now: datetime) -> Person:
    """Whose link it is; raises LinkUsed."""
    found = await queries.first_link_person(db, digest(secret), now)
    if found is None:
        raise _link_used()
    return found


async def use_first_link(db: Connection, secret: str, password: str, now: datetime) -> Person:
    """Set the password by a link, which is used up; raises LinkUsed, WeakPassword.  Other sessions end."""
    person = await linked_person(db, secret, now)
    passwords.check_new(password, own_words=(person.name, person.login or ""))
    hashed = await passwords.encoded(password)
    if not await queries.use_first_link(db, digest(secret)):
        raise _link_used()
    await set_password(db, person, hashed, now)
    return person


async def set_password(db: Connection, person: Person, encoded: str, now: datetime, *, keep: str = "") -> None:
    """Keep a new password; every session but ``keep`` ends."""
    await queries.put_password(db, person.id, encoded, now)
    await end_sessions_of(db, person.id, but=keep)
    actor = Actor(person.id, "", person.member, person.roles, Assurance.NONE, None)
    await put_down(db, actor, "password.set", person.id, {}, now=now)


def check_role(person: Person, role: Role, *, national: bool) -> None:
    """Raise RoleNotPossible unless ``person`` may come to hold ``role`` on this node."""
    if (role is Role.CITIZEN) != (person.member is None):
        raise RoleNotPossible(T("Citizens have no role at an agency, and persons of an agency sign in apart."))
    if role is Role.COORDINATOR and not national:
        raise RoleNotPossible(T("Coordinators are persons of the national node alone."))
    if any(frozenset({role, held}) in ALONE for held in person.roles):
        raise RoleNotPossible(T("Who checks may not also be who is checked: one of the two roles has to go first."))


async def give_role(
    db: Connection, person: Person, role: Role, *, national: bool, by: Actor | None, now: datetime
) -> None:
    """Give a role at once; deeds of persons come here only through ``approvals``.  Raises RoleNotPossible."""
    check_role(person, role, national=national)
    await queries.give_role(db, person.id, role, now)
    await put_down(db, by, "role.given", person.id, {"role": role.value}, now=now, member=person.member)


async def take_role(db: Connection, person: Person, role: Role, *, by: Actor | None, now: datetime) -> None:
    """Take a role away: one person may, for it only lessens what somebody may do."""
    await queries.take_role(db, person.id, role)
    await put_down(db, by, "role.taken", person.id, {"role": role.value}, now=now, member=person.member)


async def close_account(db: Connection, person: Person, *, by: Actor | None, now: datetime) -> None:
    """Let the person in no more, at once; what they did stays written."""
    await queries.close_person(db, person.id)
    await put_down(db, by, "person.closed", person.id, {}, now=now, member=person.member)


def _link_used() -> LinkUsed:
    return LinkUsed(T("This link was used already, or is too old."), mend=T("Ask an operator for a new one."))
