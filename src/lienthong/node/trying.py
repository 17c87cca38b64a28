"""One trial of a published service's source: is it there, does it let this node in, is it still as it was published?

Promises: nothing is changed at the source; an address that an officer typed is connected to only where
``exchange.outward`` lets it lead; no password, and nothing else of a connection but names, is in what is told.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import SplitResult, urlsplit

from lienthong.catalog.models import HttpSource, Service, TableSource
from lienthong.catalog.queries import describe_relation, open_source
from lienthong.exchange.answer import PeerUnreachable
from lienthong.exchange.outward import AddressNotAllowed, Outward
from lienthong.i18n import T
from lienthong.storage.pool import Connection, DatabaseFailed


@dataclass(frozen=True, slots=True)
class Trouble:
    """What is wrong with a source; ``cause`` and ``mend`` are messages with ``facts``."""

    name: str
    """A word that does not change."""
    cause: str
    mend: str
    facts: Mapping[str, object]


async def try_source(service: Service, rule: Outward, patience_s: float) -> Trouble | None:
    """What is wrong with the source of ``service``; None: nothing.  ``patience_s``: to wait for a connection."""
    if isinstance(service.source, HttpSource):
        return await _backend(service, service.source, rule, patience_s)
    if isinstance(service.source, TableSource):
        return await _table(service, service.source, patience_s)
    return None


async def _backend(service: Service, source: HttpSource, rule: Outward, patience_s: float) -> Trouble | None:
    parts = urlsplit(source.url)
    facts = {"service": service.id, "host": parts.hostname or "", "seconds": source.timeout_s}
    try:
        async with asyncio.timeout(patience_s):
            reader, writer = await _connected(source, parts, rule)
    except AddressNotAllowed as refused:
        return Trouble("backend-not-allowed", refused.message, refused.mend, facts | refused.facts)
    except ssl.SSLError:
        return Trouble(
            "backend-tls",
            T("The back end of {service} shows a certificate that is not trusted here."),
            T("Name the authority of its certificate when publishing (ca), or give it a trusted one."),
            facts,
        )
    except (OSError, TimeoutError, PeerUnreachable):
        return Trouble(
            "backend-down",
            T("The back end of {service} does not take connections at {host}."),
            T("Start it, or publish the service with its new address."),
            facts,
        )
    try:
        # HEAD is safe, and any answer will do: what is looked for is that one comes.
        host = parts.netloc.rpartition("@")[2]
        writer.write(f"HEAD {parts.path or '/'} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())
        async with asyncio.timeout(source.timeout_s):
            await reader.readline()
    except (OSError, TimeoutError):
        return Trouble(
            "backend-slow",
            T("The back end of {service} took a connection and did not answer in {seconds} s."),
            T("See what it waits for; callers get a time-out meanwhile."),
            facts,
        )
    finally:
        writer.transport.abort()
    return None


async def _connected(
    source: HttpSource, parts: SplitResult, rule: Outward
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    context = ssl.create_default_context(cafile=source.ca) if parts.scheme == "https" else None
    host, port = parts.hostname or "", parts.port or (443 if context else 80)
    where = (await rule.addresses(host, port))[0] if source.guarded else host
    return await asyncio.open_connection(where, port, ssl=context, server_hostname=host if context else None)


async def _table(service: Service, source: TableSource, patience_s: float) -> Trouble | None:
    if source.kind != "postgres":
        return await asyncio.to_thread(_file, service, source)
    try:
        opened = await asyncio.wait_for(open_source(source.dsn), patience_s)
    except (DatabaseFailed, OSError, TimeoutError):
        opened = None
    if opened is None:
        return Trouble(
            "source-down",
            T("The database behind {service} does not answer."),
            T("Start it; see that its account and password are still those named when publishing."),
            {"service": service.id, "relation": source.relation},
        )
    async with opened:
        return await _relation(opened, service, source)


async def _relation(opened: Connection, service: Service, source: TableSource) -> Trouble | None:
    facts: dict[str, object] = {"service": service.id, "relation": source.relation}
    schema, _, table = source.relation.partition(".")
    found = await describe_relation(opened, schema, table)
    if found is None:
        return Trouble(
            "table-gone",
            T("The table {relation} of {service} is gone, or its account may not see it."),
            T("Restore the table or its rights; or publish the service again from another one."),
            facts,
        )
    has = {column.name: column.type for column in found.columns}
    changed = [name for name, kind in source.columns if has.get(name) != kind]
    if not changed:
        return None
    return Trouble(
        "column-changed",
        T("Columns of {relation} are gone or of another type than published: {columns}."),
        T("Publish {service} again: agreements name its columns."),
        facts | {"columns": ", ".join(changed)},
    )


def _file(service: Service, source: TableSource) -> Trouble | None:
    try:
        with open(source.path, "rb"):
            return None
    except OSError:
        return Trouble(
            "file-gone",
            T("The file of {service} is gone or can not be read."),
            T("Restore the file or its rights; or publish the service again from another one."),
            {"service": service.id},
        )
