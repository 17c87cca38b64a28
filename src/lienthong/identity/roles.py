"""The kind of change that gives a role: proposed by one operator, approved by another."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Final

from lienthong.i18n import T
from lienthong.identity.approvals import Approvals, Kind
from lienthong.identity.models import Actor, Person, Proposal, Right, Role
from lienthong.identity.persons import check_role, give_role, person_of
from lienthong.identity.queries import holders

GIVE_ROLE: Final = "give-role"
ENOUGH: Final = 2
"""With so many operators a member gives roles by itself."""


def giving_roles(*, national: bool) -> Kind:
    """The kind, on a node that is or is not the national one."""

    async def carry_out(db: Any, proposal: Proposal, actor: Actor, now: datetime) -> None:  # Any: passed on
        person = await person_of(db, str(proposal.wanted["person"]), proposal.member)
        await give_role(db, person, Role(str(proposal.wanted["role"])), national=national, by=actor, now=now)

    return Kind(GIVE_ROLE, T("Give a role"), Right.MANAGE_PERSONS, Right.APPROVE_TRUST, carry_out)


async def give_by_command(
    db: Any,  # Any: passed on
    approvals: Approvals,
    person: Person,
    role: Role,
    *,
    national: bool,
    now: datetime,
) -> Proposal | None:
    """Give a role with the rights of the machine: at once until the member has two operators, then as a proposal.

    So the first two operators come by command, and from then on no role without an operator's word.
    """
    check_role(person, role, national=national)
    if person.member is None or await holders(db, person.member, Role.OPERATOR) < ENOUGH:
        await give_role(db, person, role, national=national, by=None, now=now)
        return None
    wanted = {"person": person.id, "role": role.value}
    return await approvals.propose(db, None, GIVE_ROLE, person.member, wanted, "", now)
