"""Deeds about persons of the own member: added, roles proposed and taken, links, closing; what waits for a second one.

All take a person in front of a screen: who may change what others may do is nobody's program.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from lienthong.i18n import T
from lienthong.identity.approvals import NoSuchProposal, NotOpen, ReasonMissing, SamePerson, StrongerSignInNeeded
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Actor, Person, Right, Role
from lienthong.identity.persons import (
    BadPerson,
    NoSuchPerson,
    RoleNotPossible,
    add_person,
    check_role,
    close_account,
    make_first_link,
    person_of,
    take_role,
)
from lienthong.identity.roles import GIVE_ROLE
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.storage.pool import Connection, reading

ROLES: Final = tuple(role.value for role in Role)
FORM: Final = ("/persons/{person}/{deed}",)
APPROVALS: Final = ("/approvals/{proposal}",)
LINK: Final = "One-time address under which the person chooses a password; told once."


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPerson:
    """Somebody who joins."""

    name: str = about("Family name, middle names and given name, as one text.")
    login: str = about("What the person types to sign in.", most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Whom:
    """Which person."""

    person: str = about("Id of the person, as GET /v1/persons lists it.", most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class RoleOf(Whom):
    """A person and a role."""

    role: str = about("The role.", among=ROLES)


@dataclass(frozen=True, slots=True, kw_only=True)
class Proposed(RoleOf):
    """A role that somebody is to have, and why."""

    reason: str = about("Why, for the second person.", most=500)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decided:
    """Which proposal is approved."""

    proposal: str = about("Id of the proposal, as GET /v1/proposals lists it.", most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined(Decided):
    """Which proposal is refused, and why."""

    answer: str = about("Why; may stay out when one withdraws one's own.", default="", most=500)


def person_deeds(entrance: Entrance) -> tuple[Deed[Any], ...]:
    """Everything that the pages of persons and approvals do."""

    async def add(actor: Actor, wish: NewPerson) -> Facts:
        now = entrance.now()
        async with reading(entrance.pool) as db:
            person = await add_person(db, wish.name, wish.login, actor.member, by=actor, now=now)
            secret = await make_first_link(db, person, by=actor, now=now)
        return {"person": person.id, "link": _address(entrance, secret)}

    async def propose(db: Connection, actor: Actor, person: Person, wish: Proposed) -> Facts:
        role = Role(wish.role)
        check_role(person, role, national=entrance.national)
        wanted = {"person": person.id, "role": role.value}
        member = actor.member or ""
        made = await entrance.approvals.propose(db, actor, GIVE_ROLE, member, wanted, wish.reason, entrance.now())
        return {"proposal": made.id}

    async def take(db: Connection, actor: Actor, person: Person, wish: RoleOf) -> Facts:
        await take_role(db, person, Role(wish.role), by=actor, now=entrance.now())
        return {"person": person.id, "roles": sorted(person.roles - {Role(wish.role)})}

    async def link(db: Connection, actor: Actor, person: Person, wish: Whom) -> Facts:
        return {"person": person.id, "link": _address(
            entrance, await make_first_link(db, person, by=actor, now=entrance.now()))}  # fmt: skip

    async def close(db: Connection, actor: Actor, person: Person, wish: Whom) -> Facts:
        await close_account(db, person, by=actor, now=entrance.now())
        return {"person": person.id, "state": "closed"}

    def to(deed: Callable[[Connection, Actor, Person, Any], Awaitable[Facts]]) -> Callable[..., Awaitable[Facts]]:
        async def done(actor: Actor, wish: Whom) -> Facts:
            async with reading(entrance.pool) as db:
                return await deed(db, actor, await person_of(db, wish.person, actor.member), wish)

        return done

    right, may_raise = Right.MANAGE_PERSONS, (NoSuchPerson, BadPerson)
    return (
        Deed("persons/add", T("Add a person"), NewPerson, add, right, problems=may_raise,
             gives={"person": "Id of the person.", "link": LINK}, forms=("/persons",)),
        Deed("persons/propose-role", T("Propose a role for a person"), Proposed, to(propose), right,
             problems=(*may_raise, RoleNotPossible, StrongerSignInNeeded), gives={"proposal": "Its id."}, forms=FORM),
        Deed("persons/take-role", T("Take a role away from a person"), RoleOf, to(take), right,
             problems=(*may_raise, RoleNotPossible), gives={"person": "Id.", "roles": "What is left."}, forms=FORM),
        Deed("persons/link", T("Make a new one-time link for a person"), Whom, to(link), right, problems=may_raise,
             gives={"person": "Id.", "link": LINK}, forms=FORM),
        Deed("persons/close", T("Close the account of a person"), Whom, to(close), right, problems=may_raise,
             gives={"person": "Id.", "state": "closed"}, forms=FORM),
        *_decisions(entrance),
    )  # fmt: skip


def _decisions(entrance: Entrance) -> tuple[Deed[Any], ...]:
    async def approve(actor: Actor, wish: Decided) -> Facts:
        async with reading(entrance.pool) as db:
            done = await entrance.approvals.approve(db, actor, wish.proposal, entrance.now())
        return {"proposal": done.id, "state": "approved"}

    async def refuse(actor: Actor, wish: Declined) -> Facts:
        async with reading(entrance.pool) as db:
            done = await entrance.approvals.refuse(db, actor, wish.proposal, wish.answer, entrance.now())
        return {"proposal": done.id, "state": "withdrawn" if done.proposed_by == actor.person else "refused"}

    may_raise = (NoSuchProposal, NotOpen, SamePerson, StrongerSignInNeeded)
    gives = {"proposal": "Its id.", "state": "What became of it."}
    return (
        Deed("approvals/approve", T("Approve a change that needs two persons"), Decided, approve, Right.APPROVE_TRUST,
             problems=(*may_raise, NoSuchPerson, RoleNotPossible), gives=gives, forms=APPROVALS),
        Deed("approvals/refuse", T("Refuse a change that needs two persons"), Declined, refuse, Right.APPROVE_TRUST,
             problems=(*may_raise, ReasonMissing), gives=gives, forms=APPROVALS),
    )  # fmt: skip


def _address(entrance: Entrance, secret: str) -> str:
    return f"{entrance.public_url.rstrip('/')}/login/first/{secret}"
