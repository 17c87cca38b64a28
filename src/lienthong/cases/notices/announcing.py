"""Says, in the transaction of what happened to a case, whom to tell of it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lienthong.cases.kinds import kind_on
from lienthong.cases.models import Case, Escalation, Event
from lienthong.cases.notices.queries import put_notices
from lienthong.identity.models import Right
from lienthong.identity.rights import MATRIX


async def announce(db: Any, case: Case, event: Event) -> None:  # Any: a connection of any row factory, passed on
    """Tell of ``event`` whoever is concerned, except who did it; the event's number makes it told once."""
    handler = kind_on(case.kind, case.opened_on).handler
    await put_notices(
        db, case, f"{case.id}/{event.number}", event.act, event.at, roles=roles_with(handler), by=event.person
    )


async def remind(db: Any, case: Case, act: str, mark: str, now: datetime) -> None:  # Any: passed on
    """Tell everybody concerned that a clock of the case nears its end or is over; once for each ``mark``."""
    handler = kind_on(case.kind, case.opened_on).handler
    await put_notices(db, case, f"{case.id}/{act}/{mark}", act, now, roles=roles_with(handler), by=None)


async def escalate(db: Any, case: Case, event: Event, step: Escalation) -> None:  # Any: passed on
    """Tell of a late case those to whom it is reported, and those who handle it."""
    handler = kind_on(case.kind, case.opened_on).handler
    here = [*roles_with(handler), step.role] if step.at == "owner" else roles_with(handler)
    everywhere = [step.role] if step.at == "national" else []
    await put_notices(
        db, case, f"{case.id}/{event.number}", event.act, event.at, roles=here, by=None, everywhere=everywhere
    )


def roles_with(right: Right) -> list[str]:
    """The roles that have ``right``."""
    return [role.value for role, rights in MATRIX.items() if right in rights]
