"""Who sees which case: who opened it, who handles it, who hears that it is late; for others there is none."""

from __future__ import annotations

from typing import Any, ClassVar

from lienthong.cases import queries
from lienthong.cases.kinds import escalations_on, kind_on
from lienthong.cases.models import Case
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor
from lienthong.identity.rights import LoginNeeded, may


class NoSuchCase(Problem):
    """There is no such case, or none that this person may see: which of both is not told."""

    kind: ClassVar[str] = "no-such-case"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such case")


async def case_for(db: Any, case_id: str, actor: Actor | None) -> Case:  # Any: passed on
    """The case, for somebody who may see it; ``actor`` None: by command.  Raises LoginNeeded, NoSuchCase."""
    if actor is not None and not actor.known:
        raise LoginNeeded(
            T("This needs somebody who is signed in."), mend=T("Sign in and try again; what was typed is kept.")
        )
    found = await queries.case_by_id(db, case_id)
    if found is None or (actor is not None and not _concerns(found, actor)):
        raise NoSuchCase(T("There is no case with this id."), mend=T("Start from the list of cases."))
    return found


def _concerns(case: Case, actor: Actor) -> bool:
    return is_opener(case, actor) or is_handler(case, actor) or is_told(case, actor)


def is_told(case: Case, actor: Actor) -> bool:
    """Whether the case is so late that it was reported to ``actor``."""
    steps = escalations_on(case.opened_on) if case.escalated and case.ended_at is None else ()
    return any(each.step <= case.escalated and each.tells(actor, case.owner) for each in steps)


def is_opener(case: Case, actor: Actor) -> bool:
    """Whether ``actor`` opened the case."""
    return actor.person is not None and actor.person == case.opener


def is_handler(case: Case, actor: Actor) -> bool:
    """Whether ``actor`` has the right of the case's kind at the member that owns it."""
    return may(actor, kind_on(case.kind, case.opened_on).handler, case.owner)
