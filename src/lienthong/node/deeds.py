"""Every deed of this node, put together for ``POST /v1/...``, the API's description and ``lienthong api``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.routing import BaseRoute

from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.identity.entrance import Entrance
from lienthong.node.casedesk import code_in, ways_of
from lienthong.node.local import Local
from lienthong.portal.accountdeeds import account_deeds, account_reads
from lienthong.portal.agreedeeds import agreement_deeds, agreement_reads
from lienthong.portal.agreeing import AgreementDesk
from lienthong.portal.casedeeds import case_deeds, case_reads
from lienthong.portal.deeds import Deed
from lienthong.portal.described import description_routes
from lienthong.portal.doing import Doing, Pace
from lienthong.portal.feedbackdeeds import feedback_deeds, feedback_reads
from lienthong.portal.noticing import notice_deeds
from lienthong.portal.persondeeds import person_deeds
from lienthong.portal.shell import Shell

DEEDS_A_MINUTE: Final = 120
"""How many deeds of one person, or of one place without a sign-in, this node takes."""


def deed_routes(
    local: Local,
    shell: Shell,
    desk: AgreementDesk,
    entrance: Entrance,
    routes: Callable[[], Iterable[BaseRoute]],
    more: tuple[Deed[Any], ...] = (),
) -> list[BaseRoute]:
    """The routes of all deeds, of what is read to do them, and of the API's description.

    ``routes`` gives those of the whole application, once it stands; ``more`` are deeds of other rooms.
    """
    deeds = (*deeds_of(local, desk, entrance), *more)
    doing = Doing(deeds, local.pool, local.keyring.secret("deeds"), shell, Pace(DEEDS_A_MINUTE))
    return [
        *doing.routes(),
        *agreement_reads(desk),
        *case_reads(local.pool),
        *feedback_reads(local.pool),
        *account_reads(entrance),
        *description_routes(routes),
    ]


def deeds_of(local: Local, desk: AgreementDesk, entrance: Entrance) -> tuple[Deed[Any], ...]:
    """The deeds, those of one thing together."""
    return (
        *agreement_deeds(desk),
        *case_deeds(local.pool, lambda member: _is_member(local, member)),
        *notice_deeds(local.pool, code_in(local), ways_of(local)),
        *feedback_deeds(local.pool, local.settings.members[0]),
        *person_deeds(entrance),
        *account_deeds(entrance),
    )


def _is_member(local: Local, member: str) -> bool:
    try:
        known = local.directory.snapshot().member(MemberId(member))
    except Problem:
        return False
    return known is not None and known.state == "active"
