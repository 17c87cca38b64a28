"""The kind of change that gives a role: proposed by one operator, approved by another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from lienthong.i18n import T
from lienthong.identity.approvals import Kind
from lienthong.identity.models import Actor, Proposal, Right, Role
from lienthong.identity.persons import give_role, person_of

GIVE_ROLE: Final = "give-role"


def giving_roles(*, national: bool) -> Kind:
    """The kind, on a node that is or is not the national one."""

    async def carry_out(db: Any, proposal: Proposal, actor: Actor, now: datetime) -> None:  # Any: passed on
        person = await person_of(db, str(proposal.wanted["person"]), proposal.member)
        await give_role(db, person, Role(str(proposal.wanted["role"])), national=national, by=actor, now=now)

    return Kind(GIVE_ROLE, T("Give a role"), Right.MANAGE_PERSONS, Right.APPROVE_TRUST, carry_out)
