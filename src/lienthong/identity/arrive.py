"""Whom an identity provider vouched for becomes a person here: citizens at once, staff only when added before."""

from __future__ import annotations

import secrets
from datetime import datetime
from typing import Any

from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.models import Person, Role
from lienthong.identity.persons import LONGEST_NAME
from lienthong.identity.provider import Identified, Provider, ProviderRefused
from lienthong.law.text import visible

Connection = Any
"""A connection of any row factory, passed on."""


async def person_from_provider(db: Connection, provider: Provider, told: Identified, now: datetime) -> Person:
    """The person; raises ProviderRefused for closed accounts, and for staff whom nobody added."""
    known = await queries.person_at_provider(db, provider.issuer, told.subject)
    if known is None and provider.audience == "citizens":
        known = await _new_citizen(db, provider, told, now)
    if known is None or known.state != "active":
        raise ProviderRefused(
            T("{provider} knows you, but you have no account on this node."),
            mend=T(
                "Sign in otherwise and link your account on its page, or ask an operator of your agency to add you."
            ),
            provider=provider.title,
        )
    return known


async def _new_citizen(db: Connection, provider: Provider, told: Identified, now: datetime) -> Person | None:
    person = secrets.token_hex(8)
    name = " ".join(visible(told.name).split())[:LONGEST_NAME] or "—"
    await queries.insert_person(db, person, None, name, None, False, now)
    await queries.give_role(db, person, Role.CITIZEN, now)
    await queries.link_provider(db, provider.issuer, told.subject, person)
    return await queries.person_at_provider(db, provider.issuer, told.subject)
