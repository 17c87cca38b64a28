"""Every deed of this node, put together for ``POST /v1/...``, the API's description and ``lienthong api``."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Final

from starlette.routing import BaseRoute

from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.node.local import Local
from lienthong.portal.agreedeeds import agreement_deeds
from lienthong.portal.agreeing import AgreementDesk
from lienthong.portal.casedeeds import case_deeds, case_reads
from lienthong.portal.deeds import Deed
from lienthong.portal.described import description_routes
from lienthong.portal.doing import Doing, Pace
from lienthong.portal.shell import Shell

DEEDS_A_MINUTE: Final = 120
"""How many deeds of one person, or of one place without a sign-in, this node takes."""


def deed_routes(
    local: Local,
    shell: Shell,
    desk: AgreementDesk,
    routes: Callable[[], Iterable[BaseRoute]],
    more: tuple[Deed[Any], ...] = (),
) -> list[BaseRoute]:
    """The routes of all deeds, of what is read to do them, and of the API's description.

    ``routes`` gives those of the whole application, once it stands; ``more`` are deeds of other rooms.
    """
    pace = Pace(DEEDS_A_MINUTE)
    doing = Doing((*deeds_of(local, desk), *more), local.pool, local.keyring.secret("deeds"), shell, pace)
    return [*doing.routes(), *case_reads(local.pool), *description_routes(doing.deeds, routes)]


def deeds_of(local: Local, desk: AgreementDesk) -> tuple[Deed[Any], ...]:
    """The deeds, those of one thing together."""
    return (*agreement_deeds(desk), *case_deeds(local.pool, lambda member: _is_member(local, member)))


def _is_member(local: Local, member: str) -> bool:
    try:
        known = local.directory.snapshot().member(MemberId(member))
    except Problem:
        return False
    return known is not None and known.state == "active"
