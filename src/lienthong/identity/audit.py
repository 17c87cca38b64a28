"""The audit of administrative acts: who did what to what, put down where no role of the program can take it back.

Facts are codes, ids and counts: never names, addresses or anything typed about a person.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final

from lienthong.i18n import T
from lienthong.identity.models import Act, Actor
from lienthong.identity.queries import insert_act

ACTS: Final = MappingProxyType(
    {
        "person.added": T("Person added"),
        "person.closed": T("Account closed"),
        "role.given": T("Role given"),
        "role.taken": T("Role taken away"),
        "link.made": T("One-time link made"),
        "password.set": T("Password set"),
        "passkey.added": T("Passkey added"),
        "passkey.removed": T("Passkey removed"),
        "provider.linked": T("Account linked with an identity provider"),
        "provider.unlinked": T("Account unlinked from an identity provider"),
        "sessions.ended": T("Signed out everywhere"),
        "signed-in": T("Signed in"),
        "token.made": T("API token made"),
        "token.withdrawn": T("API token withdrawn"),
        "proposal.made": T("Change proposed"),
        "proposal.approved": T("Change approved"),
        "proposal.refused": T("Change refused"),
        "proposal.withdrawn": T("Proposal withdrawn"),
        "proposal.expired": T("Proposal ran out of time"),
    }
)
"""What this package puts down; other packages add codes of their own, which are shown as they stand."""


async def put_down(
    db: Any,  # Any: a connection of any row factory, passed on
    actor: Actor | None,
    act: str,
    object_id: str,
    facts: Mapping[str, object],
    *,
    now: datetime,
    member: str | None = None,
) -> None:
    """Put an act down in the transaction of the deed itself, so that neither exists without the other.

    ``actor`` None: by command, with the rights of the machine.  ``member``: whose affair it is, by default the actor's.
    """
    person = actor.person if actor else None
    concerned = member if member is not None else actor.member if actor else None
    await insert_act(db, Act(0, now, person, concerned, act, object_id, facts))
