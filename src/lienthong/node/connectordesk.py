"""What the page of connectors does on this node: sources as published, their last trials, one more on demand.

A trial on demand is remembered in this process; otherwise the doctor's last look counts, which tries every source.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Final

from lienthong.catalog.models import Service
from lienthong.catalog.queries import services_of_member
from lienthong.directory.models import MemberId
from lienthong.exchange.outward import inside_of
from lienthong.i18n import T
from lienthong.node.local import Local
from lienthong.node.trying import try_source
from lienthong.portal.connectors import Connector, ConnectorUnknown, place_of
from lienthong.portal.findings import Finding, FindingDesk, Looked
from lienthong.portal.models import Name
from lienthong.storage.pool import reading

PATIENCE_S: Final = 5.0
AT_ONCE: Final = 4
TROUBLES: Final = frozenset(
    {"backend-down", "backend-not-allowed", "backend-slow", "backend-tls", "column-changed", "file-gone",
     "source-down", "table-gone"}
)  # fmt: skip
"""Faults of sources (``node.trying``)."""


class NodeConnectorDesk:
    """See ``portal.connectors.ConnectorDesk``."""

    def __init__(self, local: Local, findings: FindingDesk) -> None:
        self._local = local
        self._findings = findings
        self._rule = inside_of(local.settings.outward_allowed)
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._tried: dict[tuple[str, int], tuple[datetime, Finding | None]] = {}
        """By service and its version: a source that was published anew has not been tried."""

    async def connectors(self, member: str) -> Sequence[Connector]:
        """Every service of ``member`` with its source and last trial."""
        services, looked = await self._services(member), await self._findings.last()
        found = _by_service(looked)
        return [self._connector(each, looked, found) for each in services if each.source is not None]

    async def attempt(self, member: str, service: str) -> Connector:
        """Try one now.  Raises ConnectorUnknown."""
        chosen = next((each for each in await self._services(member) if each.id == service and each.source), None)
        if chosen is None:
            raise ConnectorUnknown(
                T("Your agency publishes no service {service} on this node."),
                mend=T("Choose one of the page of connectors."),
                service=service[:300],
            )
        async with self._turn:
            trouble = await try_source(chosen, self._rule, PATIENCE_S)
        fault = Finding(trouble.name, trouble.cause, trouble.mend, trouble.facts, whose="systems") if trouble else None
        self._tried = {key: tried for key, tried in self._tried.items() if key[0] != chosen.id}
        self._tried[chosen.id, chosen.version] = (datetime.now(UTC), fault)
        return self._connector(chosen, None, {})

    async def _services(self, member: str) -> Sequence[Service]:
        async with reading(self._local.pool) as db:
            return await services_of_member(db, MemberId(member))

    def _connector(self, service: Service, looked: Looked | None, found: Mapping[str, Finding]) -> Connector:
        if service.source is None:
            raise LookupError("a service of another node has no source here")
        known = self._tried.get((service.id, service.version))
        if looked is not None and (known is None or known[0] < looked.at):
            known = (looked.at, found.get(service.id))
        at, trouble = known or (None, None)
        title = Name(service.title_vi, service.title_en)
        return Connector(service.id, title, place_of(service.source), at, trouble)


def _by_service(looked: Looked | None) -> dict[str, Finding]:
    faults = [each for each in looked.findings if each.name in TROUBLES] if looked else []
    return {str(each.facts.get("service")): each for each in faults}
