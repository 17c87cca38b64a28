"""The rooms of those who work here, as this node composes them: their pages, their deeds, what is read to do them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute

from lienthong.node.agreeing import NodeAgreementDesk
from lienthong.node.asking import NodeAskDesk
from lienthong.node.changedesk import NodeChangeDesk
from lienthong.node.connectordesk import NodeConnectorDesk
from lienthong.node.copies import copies_of
from lienthong.node.copydesk import COPY_PROBLEMS, NodeCopyDesk
from lienthong.node.entry import least_assurance
from lienthong.node.findingdesk import DoctorSilent, NodeFindingDesk
from lienthong.node.integrating import NodeIntegratorDesk
from lienthong.node.keydesk import NodeKeyDesk
from lienthong.node.local import Local
from lienthong.node.lookup import lookup_desk
from lienthong.node.pages import NodePages
from lienthong.node.quotadesk import NodeQuotaDesk
from lienthong.node.reviewdesk import NodeReviewDesk
from lienthong.portal.agreeing import AgreementDesk, agreeing_pages
from lienthong.portal.app import PageModule
from lienthong.portal.asking import ask_deeds, ask_pages
from lienthong.portal.connectors import connector_deeds, connector_pages, connector_reads
from lienthong.portal.copies import copy_deeds, copy_pages
from lienthong.portal.deeds import Deed
from lienthong.portal.findings import finding_deeds, finding_pages, finding_reads
from lienthong.portal.integrator import integrator_deeds, integrator_pages, integrator_reads
from lienthong.portal.joining import change_deeds, change_pages
from lienthong.portal.keys import key_pages, key_reads
from lienthong.portal.national import national_pages
from lienthong.portal.quotas import quota_deeds, quota_pages, quota_reads
from lienthong.portal.rekeying import rekeying_pages
from lienthong.portal.review import review_pages


@dataclass(frozen=True, slots=True)
class WorkRooms:
    """The rooms.  Make them with ``work_rooms``."""

    modules: tuple[PageModule, ...]
    """In the order of the navigation."""
    deeds: tuple[Deed[Any], ...]  # Any: each deed has its own input
    """Those that ``node.deeds`` does not put together itself."""
    reads: tuple[BaseRoute, ...]
    agreements: AgreementDesk


def work_rooms(local: Local, pages: NodePages) -> WorkRooms:
    """The rooms of this node; changes of the directory are decided on the national one alone."""
    settings = local.settings
    agreements, asking = NodeAgreementDesk(local, pages), NodeAskDesk(local)
    connecting, copies = NodeIntegratorDesk(local, pages), NodeCopyDesk(local, copies_of(local), pages)
    changes = NodeChangeDesk(local, pages, least=least_assurance(settings)) if settings.national else None
    findings, keys = NodeFindingDesk(local), NodeKeyDesk(local)
    connectors, quotas = NodeConnectorDesk(local, findings), NodeQuotaDesk(local, pages)
    modules = (
        finding_pages(findings),
        connector_pages(connectors),
        key_pages(keys.keys),
        national_pages(lookup_desk(local)),
        copy_pages(copies),
        integrator_pages(connecting),
        rekeying_pages(),
        *((change_pages(changes),) if changes else ()),
        ask_pages(asking),
        agreeing_pages(agreements),
        quota_pages(quotas),
        *((review_pages(NodeReviewDesk(local.pool, settings.matching, settings.members[0])),)
          if settings.matching else ()),
    )  # fmt: skip
    deeds = (
        *finding_deeds(findings, (DoctorSilent,)),
        *connector_deeds(connectors),
        *quota_deeds(quotas),
        *ask_deeds(asking),
        *copy_deeds(copies, COPY_PROBLEMS),
        *(change_deeds(changes) if changes else ()),
        *integrator_deeds(connecting),
    )
    reads = (
        *finding_reads(findings), *connector_reads(connectors), *key_reads(keys.keys), *quota_reads(quotas),
        *integrator_reads(connecting),
    )  # fmt: skip
    return WorkRooms(modules, deeds, reads, agreements)
