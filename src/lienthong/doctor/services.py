"""What this node offers and uses: tables and back ends as described, agreements that stand and that end."""

from __future__ import annotations

import asyncio
import ssl
from datetime import datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from lienthong.agreements import queries as agreements
from lienthong.catalog.models import HttpSource, Service, TableSource
from lienthong.catalog.queries import all_services, describe_relation, open_source
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.i18n import T
from lienthong.storage.pool import Connection, DatabaseFailed, connect

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
    if isinstance(service.source, HttpSource):
        return await _backend(patient, service, service.source)
    if isinstance(service.source, TableSource):
        return await _table(patient, service, service.source)
    return []


async def _backend(patient: Patient, service: Service, source: HttpSource) -> list[Fault]:
    parts = urlsplit(source.url)
    facts = {"service": service.id, "host": parts.hostname or "", "seconds": source.timeout_s}
    context = ssl.create_default_context(cafile=source.ca) if parts.scheme == "https" else None
    try:
        async with asyncio.timeout(patient.patience_s):
            reader, writer = await asyncio.open_connection(
                parts.hostname, parts.port or (443 if context else 80), ssl=context
            )
    except ssl.SSLError:
        return [
            Fault(
                "backend-tls",
                T("The back end of {service} shows a certificate that is not trusted here."),
                T("Name the authority of its certificate when publishing (ca), or give it a trusted one."),
                facts,
            )
        ]
    except (OSError, TimeoutError):
        return [
            Fault(
                "backend-down",
                T("The back end of {service} does not take connections at {host}."),
                T("Start it, or publish the service with its new address."),
                facts,
            )
        ]
    try:
        # HEAD is safe, and any answer will do: what is looked for is that one comes.
        writer.write(f"HEAD {parts.path or '/'} HTTP/1.1\r\nHost: {parts.netloc}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(source.timeout_s):
            await reader.readline()
    except (OSError, TimeoutError):
        return [
            Fault(
                "backend-slow",
                T("The back end of {service} took a connection and did not answer in {seconds} s."),
                T("See what it waits for; callers get a time-out meanwhile."),
                facts,
            )
        ]
    finally:
        writer.transport.abort()
    return []


async def _table(patient: Patient, service: Service, source: TableSource) -> list[Fault]:
    if source.kind != "postgres":
        return await asyncio.to_thread(_file, service, source)
    facts = {"service": service.id, "relation": source.relation}
    try:
        opened = await asyncio.wait_for(open_source(source.dsn), patient.patience_s)
    except (DatabaseFailed, OSError, TimeoutError):
        opened = None
    if opened is None:
        return [
            Fault(
                "source-down",
                T("The database behind {service} does not answer."),
                T("Start it; see that its account and password are still those named when publishing."),
                facts,
            )
        ]
    async with opened:
        return await _relation(opened, service, source)


async def _relation(opened: Connection, service: Service, source: TableSource) -> list[Fault]:
    facts: dict[str, object] = {"service": service.id, "relation": source.relation}
    schema, _, table = source.relation.partition(".")
    found = await describe_relation(opened, schema, table)
    if found is None:
        return [
            Fault(
                "table-gone",
                T("The table {relation} of {service} is gone, or its account may not see it."),
                T("Restore the table or its rights; or publish the service again from another one."),
                facts,
            )
        ]
    has = {column.name: column.type for column in found.columns}
    changed = [name for name, kind in source.columns if has.get(name) != kind]
    if not changed:
        return []
    return [
        Fault(
            "column-changed",
            T("Columns of {relation} are gone or of another type than published: {columns}."),
            T("Publish {service} again: agreements name its columns."),
            facts | {"columns": ", ".join(changed)},
        )
    ]


def _file(service: Service, source: TableSource) -> list[Fault]:
    try:
        with open(source.path, "rb"):
            return []
    except OSError:
        return [
            Fault(
                "file-gone",
                T("The file of {service} is gone or can not be read."),
                T("Restore the file or its rights; or publish the service again from another one."),
                {"service": service.id},
            )
        ]
