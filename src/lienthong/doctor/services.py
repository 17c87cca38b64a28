"""What this node offers and uses: tables and back ends as described, agreements that stand and that end."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Final

from lienthong.agreements import queries as agreements
from lienthong.catalog.models import Service
from lienthong.catalog.queries import all_services
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.exchange.outward import inside_of
from lienthong.i18n import T
from lienthong.node.trying import try_source
from lienthong.storage.pool import connect

SOON: Final = timedelta(days=30)


async def services(patient: Patient) -> list[Fault]:
    """Every enabled service's source, and whether anybody may use it; agreements about to end."""
    if patient.dsns is None:
        return []
    async with await connect(patient.dsns.app) as db:
        published = await all_services(db)
        current = await agreements.current_agreements(db)
    told = await asyncio.gather(*(_source(patient, service) for service in published))
    faults = [fault for found in told for fault in found]
    agreed = {row.target for row in current}
    for service in published:
        if service.sharing == "shared" and not agreed & {service.id, service.dataset}:
            faults.append(
                Fault(
                    "service-without-agreement",
                    T("Nobody may use {service}: no agreement is about it."),
                    T("Approve a request (lienthong agreement list), or switch the service off."),
                    {"service": service.id},
                    grave=False,
                )
            )
    for row in current:
        ends = min((end for end in (row.ends, row.ended_at) if end is not None), default=None)
        if ends is not None and patient.now < ends <= patient.now + SOON:
            faults.append(_ends(row.target, row.consumer, ends))
    return faults


def _ends(target: str, consumer: str, ends: datetime) -> Fault:
    return Fault(
        "agreement-ends-soon",
        T("The agreement about {target} with {consumer} ends on {day}."),
        T("Agree on a new version in time: lienthong agreement request."),
        {"target": target, "consumer": consumer, "day": ends.date().isoformat()},
        grave=False,
    )


async def _source(patient: Patient, service: Service) -> list[Fault]:
    rule = inside_of(patient.settings.outward_allowed)
    trouble = await try_source(service, rule, patient.patience_s)
    return [Fault(trouble.name, trouble.cause, trouble.mend, trouble.facts)] if trouble else []
