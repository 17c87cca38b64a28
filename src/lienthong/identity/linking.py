"""Staff link their account with an identity provider, from inside, and end the link again.

Promises: a link is made only for the person, and in the very session, that asked for it, so that nobody's account is
linked by an answer which somebody else began (login CSRF, RFC 9700, 4.7); whom a provider knows as one person is nobody
else here; a link is never ended that is the last way in.  Providers for citizens are not for staff: there the same
human is a citizen, and looks after their own affairs as one.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from typing import ClassVar

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.audit import put_down
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import Actor, Assurance, Person
from lienthong.identity.persons import person_of
from lienthong.identity.provider import Identified, Provider, ProviderRefused
from lienthong.identity.rights import LoginNeeded
from lienthong.identity.sessions.queries import end_sessions_at
from lienthong.storage.pool import Connection, reading


class LinkTaken(Problem):
    """The provider's account belongs to somebody here already, or the person has another one of this provider."""

    kind: ClassVar[str] = "link-taken"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The account was not linked")


class LinkNeedsPasskey(Problem):
    """The person has a passkey, and this session was opened without it."""

    kind: ClassVar[str] = "link-needs-passkey"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Sign in with your passkey first")


class LastWayIn(Problem):
    """Without this link the person could not sign in any more."""

    kind: ClassVar[str] = "last-way-in"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This is your only way to sign in")


async def linkable(entrance: Entrance, actor: Actor, name: str) -> Provider:
    """The provider to link with; raises LoginNeeded, ProviderRefused, LinkNeedsPasskey.

    A new way in must not be stronger than the old ones: who has a passkey links after it was asked for.
    """
    if actor.person is None or actor.member is None or actor.session is None:
        raise LoginNeeded(T("This needs somebody who is signed in."), mend=T("Sign in and try again."))
    provider = entrance.providers.get(name)
    if provider is None or provider.audience != "staff":
        raise ProviderRefused(T("This node has no such identity provider."))
    async with reading(entrance.pool) as db:
        keys = await queries.passkeys_of(db, actor.person)
    if keys and entrance.relying_party and actor.assurance < Assurance.TWO_FACTORS:
        raise LinkNeedsPasskey(
            T("You have a passkey, and signed in without it."), mend=T("Sign out, sign in with it and link again.")
        )
    return provider


def wish_of(actor: Actor) -> dict[str, str]:
    """What is remembered while the browser is at the provider: who wishes to be linked, in which session."""
    return {"person": actor.person or "", "session": actor.session or ""}


async def link(entrance: Entrance, provider: Provider, told: Identified, wish: Mapping[str, str], actor: Actor) -> None:
    """Link ``actor`` with whom the provider vouched for; raises ProviderRefused, LoginNeeded, LinkTaken."""
    same = hmac.compare_digest(f"{wish['person']} {wish['session']}", f"{actor.person} {actor.session}")
    if not same:
        raise ProviderRefused(
            T("This link was begun in another session, or that session is over."),
            mend=T("Sign in, and begin again on the page of your account."),
        )
    await linkable(entrance, actor, provider.name)
    async with reading(entrance.pool) as db:
        person = await _held(db, actor)
        has = await queries.subject_at_provider(db, provider.issuer, person.id)
        if has == told.subject:
            return
        if has is not None or not await queries.link_provider(db, provider.issuer, told.subject, person.id):
            raise LinkTaken(
                T("This account at {provider} is linked here already, or you are linked with another one."),
                mend=T("Unlink the other one first; if it is not yours, tell an operator of your agency."),
                provider=provider.title,
            )
        await put_down(db, actor, "provider.linked", person.id, {"provider": provider.name}, now=entrance.now())


async def unlink(entrance: Entrance, actor: Actor, name: str) -> bool:
    """End the link with the provider ``name``, and the other sessions that rest on it; False when there was none.

    Raises ProviderRefused, NoSuchPerson, LastWayIn.
    """
    provider = entrance.providers.get(name)
    if provider is None:
        raise ProviderRefused(T("This node has no such identity provider."))
    async with reading(entrance.pool) as db:
        person = await _held(db, actor)
        if await queries.subject_at_provider(db, provider.issuer, person.id) is None:
            return False
        if not await _other_way_in(db, entrance, person, provider.issuer):
            raise LastWayIn(
                T("Without {provider} you could not sign in any more."),
                mend=T("Add a passkey, or ask an operator for a one-time link to choose a password; then unlink."),
                provider=provider.title,
            )
        await queries.unlink_provider(db, provider.issuer, person.id)
        await end_sessions_at(db, provider.issuer, person.id, but=actor.session or "")
        await put_down(db, actor, "provider.unlinked", person.id, {"provider": provider.name}, now=entrance.now())
    return True


async def links_of(db: Connection, entrance: Entrance, person: Person) -> list[tuple[Provider, bool]]:
    """The providers that staff may link with or are linked with, and whether they are; none for a citizen."""
    if person.member is None:
        return []
    has = await queries.issuers_of(db, person.id)
    return [
        (each, each.issuer in has)
        for each in entrance.providers.values()
        if each.audience == "staff" or each.issuer in has
    ]


async def _held(db: Connection, actor: Actor) -> Person:
    """The staff person who acts, held until the transaction ends: two who unlink at once do not both count."""
    if actor.member is None:
        raise LoginNeeded(T("This needs somebody who is signed in."), mend=T("Sign in and try again."))
    await queries.hold_person(db, actor.person or "")
    return await person_of(db, actor.person or "", actor.member)


async def _other_way_in(db: Connection, entrance: Entrance, person: Person, issuer: str) -> bool:
    if person.login is not None and await queries.password_of(db, person.id) is not None:
        return True
    if entrance.relying_party and await queries.passkeys_of(db, person.id):
        return True
    left = await queries.issuers_of(db, person.id) - {issuer}
    return any(each.issuer in left for each in entrance.providers.values())
