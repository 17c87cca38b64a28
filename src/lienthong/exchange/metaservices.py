"""X-Road's metaservices at the client listener, filled from the directory and from what providers describe."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import ClassVar

from lienthong.access.gate import Refused
from lienthong.access.models import Use
from lienthong.catalog.models import Service
from lienthong.directory.models import SystemId, member_of, read_system_id
from lienthong.errors import Problem, Side
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.parts import Parts
from lienthong.exchange.provide import UnknownService
from lienthong.exchange.xroad import XRoadCall, asked_service_code
from lienthong.exchange.xroad_meta import (
    ListedClient,
    ListedService,
    anonymised_openapi,
    list_clients,
    list_services,
    openapi_type,
    wants_json,
)
from lienthong.i18n import T
from lienthong.tables.openapi import openapi


class WrongServiceType(Problem):
    """getOpenAPI was asked about a service without an OpenAPI description."""

    kind: ClassVar[str] = "wrong-service-type"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The service has no OpenAPI description")


class Metaservices:
    """Answers listClients, listMethods, allowedMethods and getOpenAPI."""

    def __init__(self, parts: Parts, descriptions: Descriptions) -> None:
        self._parts = parts
        self._descriptions = descriptions

    def clients(self, instance: str | None, accept: list[bytes]) -> tuple[str, bytes]:
        """Everybody in the directory: content type and body."""
        contents = self._parts.snapshot().contents
        names = {member.id: member.name_vi for member in contents.members if member.state == "active"}
        listed = [ListedClient(member, name) for member, name in names.items()]
        listed += [
            ListedClient(system.id, names[member_of(system.id)], system.name_vi)
            for system in contents.systems
            if member_of(system.id) in names
        ]
        wanted = instance or self._parts.settings.instance
        return list_clients([c for c in listed if c.id.startswith(wanted + "/")], as_json=wants_json(accept))

    async def answer(self, call: XRoadCall, consumer: SystemId) -> tuple[str, bytes]:
        """A metaservice of another member's system: content type and body."""
        services = await self._descriptions.of_system(consumer, read_system_id(call.system))
        if call.metaservice == "getOpenAPI":
            return self._openapi(call, services)
        if call.metaservice == "allowedMethods":
            services = tuple(service for service in services if self._allowed(service, consumer))
        return list_services(ListedService(s.id, bool(s.openapi) or s.kind == "table", _endpoints(s)) for s in services)

    def _openapi(self, call: XRoadCall, services: tuple[Service, ...]) -> tuple[str, bytes]:
        code = asked_service_code(call)
        service = next((service for service in services if service.name == code), None)
        if service is None:
            raise UnknownService(
                T("There is no service {resource}."),
                mend=T("List what there is with listMethods, or ask the provider's focal contact."),
                resource=f"{call.system}/{code}"[:200],
            )
        if service.kind == "table":
            return "application/json", json.dumps(openapi(service), ensure_ascii=False).encode()
        if not service.openapi:
            raise WrongServiceType(T("Invalid service type: REST"))
        return openapi_type(service.openapi), anonymised_openapi(service.openapi).encode()

    def _allowed(self, service: Service, consumer: SystemId) -> bool:
        use = Use("call", "-", consumer, service.member, service.id, None, datetime.now(UTC))
        try:
            self._parts.gate.consider(use)
        except Refused as refused:
            return refused.kind == "purpose-missing"
        return True


def _endpoints(service: Service) -> tuple[tuple[str, str], ...]:
    if service.kind == "table":
        return (("GET", "/"), ("POST", "/"))
    return tuple((endpoint.method, endpoint.path) for endpoint in service.endpoints)
