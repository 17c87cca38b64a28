"""Cases and people for the tests of cases."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from lienthong.cases.models import Case
from lienthong.cases.moving import Deed
from lienthong.cases.opening import Wish, open_case
from lienthong.identity.models import Actor, Assurance, Role
from lienthong.law.calendar import ZONE

NOW = datetime(2026, 11, 23, 8, 0, tzinfo=ZONE)
OWNER, OTHER, MEDIATOR = "VN/GOV/H24", "VN/GOV/H26", "VN/GOV/G01"


def somebody(person: str, member: str | None, *roles: Role) -> Actor:
    """A person who is signed in."""
    return Actor(person, "Trần Thị Hoa", member, frozenset(roles), Assurance.TWO_FACTORS, f"s-{person}")


OFFICER = somebody("officer", OWNER, Role.DATA_OFFICER)
FOREIGN_OFFICER = somebody("foreign", OTHER, Role.DATA_OFFICER)
MEDIATING = somebody("mediating", MEDIATOR, Role.DATA_OFFICER)
ASKER = somebody("asker", OTHER, Role.INTEGRATOR)
CITIZEN = somebody("citizen", None, Role.CITIZEN)


async def a_case(
    db: Any,
    kind: str = "access-request",
    *,
    by: Actor | None = ASKER,
    title: str = "Dữ liệu dân số",
    now: datetime = NOW,
    once: str | None = None,
    **wish: Any,
) -> Case:
    """A case that ``OWNER`` must act on."""
    told = {"owner": OWNER, "title": title, **wish}
    return await open_case(db, Wish(kind, **told), by=by, now=now, once=once)


def by(actor: Actor | None, case: Case, **said: str) -> Deed:
    """A deed on the case as it was read."""
    return Deed(case.id, case.version, actor, **said)
