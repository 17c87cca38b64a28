"""Every deed of this node, put together for ``POST /v1/...``, the API's description and ``lienthong api``."""

from __future__ import annotations

from typing import Any

from starlette.routing import BaseRoute

from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.node.local import Local
from lienthong.portal.agreedeeds import agreement_deeds
from lienthong.portal.agreeing import AgreementDesk
from lienthong.portal.casedeeds import case_deeds, case_reads
from lienthong.portal.deeds import Deed
from lienthong.portal.doing import Doing
from lienthong.portal.shell import Shell


def deed_routes(local: Local, shell: Shell, desk: AgreementDesk) -> list[BaseRoute]:
    """The routes of all deeds and of what is read to do them."""
    doing = Doing(deeds_of(local, desk), local.pool, local.keyring.secret("deeds"), shell)
    return [*doing.routes(), *case_reads(local.pool)]


def deeds_of(local: Local, desk: AgreementDesk) -> tuple[Deed[Any], ...]:
    """The deeds, those of one thing together."""
    return (*agreement_deeds(desk), *case_deeds(local.pool, lambda member: _is_member(local, member)))


def _is_member(local: Local, member: str) -> bool:
    try:
        known = local.directory.snapshot().member(MemberId(member))
    except Problem:
        return False
    return known is not None and known.state == "active"
