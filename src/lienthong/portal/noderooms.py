"""The pages about the officer's own node: one entry of the navigation leads to them, and each leads to the others."""

from __future__ import annotations

from typing import Final

from lienthong.i18n import T
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may
from lienthong.portal.shell import Section

FINDINGS: Final = Section("/work/findings", T("What is wrong"), Right.SEE_HEALTH, "work")
CONNECTORS: Final = Section("/work/connectors", T("Connectors to sources"), Right.SEE_HEALTH, "work")
KEYS: Final = Section("/work/keys", T("Keys and certificates"), Right.SEE_HEALTH, "work")
QUOTAS: Final = Section("/work/quotas", T("Quotas"), Right.SEE_AGREEMENTS, "work")
ROOMS: Final = (FINDINGS, CONNECTORS, KEYS, QUOTAS)


def rooms_for(actor: Actor) -> tuple[Section, ...]:
    """Those that ``actor`` may see."""
    return tuple(each for each in ROOMS if each.right is not None and may(actor, Right(each.right)))
