"""The matrix person -> role -> may do, as one table, and the two questions asked of it.

``may`` answers; ``require`` raises ``LoginNeeded`` (nobody is signed in) or ``NotAllowed``.  A right is held for the
person's own member; the rights of ``NATIONAL`` concern the whole data space and so any member.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor, Right, Role

MATRIX: Final = MappingProxyType(
    {
        Role.COORDINATOR: frozenset(
            {Right.MANAGE_MEMBERS, Right.SEE_COVERAGE, Right.HANDLE_CASES, Right.OPEN_CASES, Right.SEE_AUDIT}
        ),
        Role.OPERATOR: frozenset(
            {
                Right.SEE_HEALTH,
                Right.MANAGE_NODE,
                Right.MANAGE_PERSONS,
                Right.APPROVE_TRUST,
                Right.SEE_AUDIT,
                Right.SEE_AGREEMENTS,
                Right.SEE_CALLS,
                Right.OPEN_CASES,
            }
        ),
        Role.DATA_OFFICER: frozenset(
            {
                Right.PUBLISH,
                Right.DECIDE_REQUESTS,
                Right.SEE_AGREEMENTS,
                Right.SEE_CALLS,
                Right.REVIEW_RECORDS,
                Right.SEE_HEALTH,
                Right.HANDLE_CASES,
                Right.OPEN_CASES,
            }
        ),
        Role.INTEGRATOR: frozenset(
            {Right.ASK_ACCESS, Right.MANAGE_CREDENTIALS, Right.SEE_AGREEMENTS, Right.SEE_CALLS, Right.OPEN_CASES}
        ),
        Role.CASE_OFFICER: frozenset({Right.LOOK_UP, Right.OPEN_CASES}),
        Role.AUDITOR: frozenset(
            {
                Right.SEE_AUDIT,
                Right.READ_LOG,
                Right.SEE_SUBJECTS,
                Right.SEE_AGREEMENTS,
                Right.SEE_CALLS,
                Right.SEE_HEALTH,
                Right.OPEN_CASES,
            }
        ),
        Role.CITIZEN: frozenset({Right.SEE_OWN, Right.OPEN_CASES}),
    }
)
"""Who may do what.  No role has ``SEE_BODIES``."""

NATIONAL: Final = frozenset({Right.MANAGE_MEMBERS, Right.SEE_COVERAGE})
"""Rights that concern any member."""

ALONE: Final = frozenset(
    {
        frozenset({Role.AUDITOR, Role.OPERATOR}),
        frozenset({Role.AUDITOR, Role.DATA_OFFICER}),
        frozenset({Role.AUDITOR, Role.COORDINATOR}),
        frozenset({Role.AUDITOR, Role.CASE_OFFICER}),
    }
)
"""Roles that one person may not have together: who checks does not check themselves."""

PUBLIC_PERSONS: Final = frozenset({Right.SEE_OWN})
"""Rights of those who sign in by an identity provider alone; everything else leads to the entrance for staff."""


class LoginNeeded(Problem):
    """Nobody is signed in, or the session is over; pages lead to the sign-in and come back with what was typed."""

    kind: ClassVar[str] = "login-needed"
    status: ClassVar[int] = 401
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Please sign in")


class NotAllowed(Problem):
    """The person is signed in and may not do this, or not for this member."""

    kind: ClassVar[str] = "not-allowed"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("You may not do this")


def may(actor: Actor, right: Right, member: str | None = None) -> bool:
    """Whether ``actor`` has ``right``, at ``member`` when one is named."""
    if actor.scopes is not None and right not in actor.scopes:
        return False
    if not any(right in MATRIX[role] for role in actor.roles):
        return False
    return member is None or right in NATIONAL or member == actor.member


def require(actor: Actor, right: Right, member: str | None = None) -> Actor:
    """``actor`` when they may; raises LoginNeeded or NotAllowed, neither of which says whether the thing exists."""
    if may(actor, right, member):
        return actor
    if not actor.known:
        raise LoginNeeded(
            T("This needs somebody who is signed in."),
            mend=T("Sign in and try again; what was typed is kept."),
            right=right.value,
        )
    raise NotAllowed(
        T("Your roles do not include this."),
        mend=T("Ask an operator of your agency for the role."),
        right=right.value,
    )
