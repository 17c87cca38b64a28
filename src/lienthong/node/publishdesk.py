"""What the wizard of publishing does on this node: look into sources, read first rows, publish and put it down."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final
from urllib.parse import urlencode

import orjson

from lienthong.catalog.leaves import leaves_of
from lienthong.catalog.models import HttpSource, Service, ServiceNotValid, TableSource
from lienthong.catalog.publish import Found, PublishRequest, SourceNotFound, find, publish
from lienthong.catalog.queries import all_services, server_of, service_by_id, services_of_member
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, ServiceId, SystemId, member_of
from lienthong.exchange.answer import Answer, Limits
from lienthong.exchange.backend import backend_origin
from lienthong.exchange.client import HttpClient
from lienthong.exchange.outward import AddressNotAllowed, Outward
from lienthong.exchange.paths import joined_target
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.portal.drafts import Sample
from lienthong.portal.forms import Upload
from lienthong.portal.publishing import Tried
from lienthong.storage.pool import Pool, reading
from lienthong.tables.jobs import file_rows, inspect_file
from lienthong.tables.models import Page, View
from lienthong.tables.page import Wanted
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox

FILES: Final = "published"
"""Folder of uploaded files, under the node's data."""
UNUSED_AFTER: Final = timedelta(hours=1)
"""An upload that no service was made of by then is removed: a draft lives for half an hour."""
TRIAL_S: Final = 10.0
"""How long a back end may take to answer the example."""
MOST_TRIED_BYTES: Final = 1024 * 1024
TRIALS: Final = 4
"""Trials at once: more wait."""
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")


def _not_allowed(why: str) -> AddressNotAllowed:
    return AddressNotAllowed(
        T("This node does not connect to this database for others: {why}."),
        mend=T("Name one server. One on this machine is listed by the operator in the setting outward_allowed."),
        why=why,
    )


class NodePublishDesk:
    """The wizard's desk at this node; see ``portal.publishing.PublishDesk``."""

    def __init__(
        self, pool: Pool, data: Path, snapshot: Callable[[], Snapshot], sandbox: Sandbox, sources: Sources,
        rule: Outward,
    ) -> None:  # fmt: skip
        """``data``: the node's folder; ``snapshot``: the directory; ``rule``: where typed addresses may lead."""
        self._rule = rule
        self._trials = asyncio.Semaphore(TRIALS)
        self._pool = pool
        self._data = data
        self._snapshot = snapshot
        self._sandbox = sandbox
        self._reader = TableReader(sources, file_rows(sandbox))

    async def checked(self, source: str) -> str:
        """A typed PostgreSQL source whose server is named by the addresses that were checked.

        Every later connection, of whatever engine, goes to these: a name that points elsewhere later gains nothing.
        Raises AddressNotAllowed, PeerUnreachable for a name that stands for nothing.
        """
        dsn, _, relation = source.partition("#")
        server = server_of(dsn)
        if server is None or not server[0]:
            raise _not_allowed(T("it names no server, or several"))
        host, port = server
        if host.startswith(("/", "@")):
            if host not in self._rule.sockets:
                raise _not_allowed(T("the operator did not name this folder of sockets"))
            return source
        found = await self._rule.addresses(host, int(port))
        told = {"host": ",".join([host] * len(found)), "hostaddr": ",".join(found), "port": port}
        return f"{dsn}{'&' if '?' in dsn else '?'}{urlencode(told)}#{relation}"

    async def look(self, source: str) -> Found:
        """What lies at ``source``.  Raises SourceNotFound, FileNotReadable."""
        return await find(source, lambda path: inspect_file(self._sandbox, path))

    async def look_by_http(self, address: str, sample: Sample) -> Found:
        """The fields of the back end's answer to the example.  Raises AddressNotAllowed, SourceNotFound."""
        source = HttpSource(address, TRIAL_S, guarded=True)
        answer = await self._ask(source, sample)
        if not 200 <= answer.status < 300:
            raise SourceNotFound(
                T("The back end answered the example with status {http_status}."),
                mend=T("Give an example that is answered with data; redirects are not followed."),
                http_status=answer.status,
            )
        try:
            fields, left_out = leaves_of(orjson.loads(answer.body))
        except orjson.JSONDecodeError:
            fields, left_out = (), ()
        return Found(source, fields, left_out=left_out)

    async def call(self, service: Service, sample: Sample) -> Tried:
        """The back end's answer to the example.  Raises what ``look_by_http`` may of a call."""
        if not isinstance(service.source, HttpSource):
            raise SourceNotFound(T("The service has no back end by HTTP."))
        answer = await self._ask(service.source, sample)
        kind = (answer.header(b"content-type") or b"").decode("latin-1").partition(";")[0].strip()[:80]
        return Tried(answer.status, kind, answer.body)

    async def _ask(self, source: HttpSource, sample: Sample) -> Answer:
        origin, base = backend_origin(source.url, source.ca)
        client = HttpClient(Limits(connect_s=TRIAL_S, first_byte_s=TRIAL_S))
        try:
            async with self._trials:
                return await client.request(
                    replace(origin, rule=self._rule), "GET", joined_target(base, sample.target.encode("ascii")),
                    [(b"accept", b"application/json, */*;q=0.1")], deadline_s=TRIAL_S, max_body=MOST_TRIED_BYTES,
                )  # fmt: skip
        finally:
            await client.close()

    async def version_of(self, service: ServiceId) -> int:
        """The version that stands here now; 0 for none."""
        async with reading(self._pool) as db:
            known = await service_by_id(db, service)
        return known.version if known else 0

    async def keep_file(self, upload: Upload) -> str:
        """Write the file under a name of its own; its path.  Raises ServiceNotValid for what is no table."""
        suffix = Path(upload.name).suffix.lower()
        if suffix not in SUFFIXES:
            raise ServiceNotValid(T("Only CSV and Parquet files can be published."))
        folder = self._data / FILES
        await self.forget_unused(datetime.now(UTC))
        path = folder / f"{Path(upload.name).stem[:60]}-{secrets.token_hex(6)}{suffix}"

        def write() -> None:
            folder.mkdir(mode=0o700, exist_ok=True)
            path.write_bytes(upload.content)

        await asyncio.to_thread(write)
        return str(path)

    async def forget_unused(self, now: datetime) -> None:
        """Remove uploads of drafts that were given up: they may hold personal data that nobody published."""
        async with reading(self._pool) as db:
            sources = [service.source for service in await all_services(db)]
        used = {source.path for source in sources if isinstance(source, TableSource)}
        oldest = (now - UNUSED_AFTER).timestamp()

        def remove() -> None:
            for file in (self._data / FILES).glob("*"):
                if str(file) not in used and file.stat().st_mtime < oldest:
                    file.unlink(missing_ok=True)

        await asyncio.to_thread(remove)

    def systems(self, member: str) -> Sequence[SystemId]:
        """The systems of ``member`` that the directory lists."""
        listed = self._snapshot().contents.systems
        return sorted(system.id for system in listed if member_of(system.id) == member)

    async def preview(self, service: Service, view: View, most: int) -> Page:
        """The first rows of a service that is not published yet."""
        return await self._reader.rows(service, view, Wanted(limit=most))

    async def publish(self, request: PublishRequest, actor: Actor) -> Service:
        """Publish, in one transaction with the act in the audit; every process takes it up at once."""
        async with self._pool.connection() as db:
            service = await publish(db, request, look=lambda path: inspect_file(self._sandbox, path))
            facts = {"version": service.version, "sharing": service.sharing, "personal": service.personal}
            await put_down(db, actor, "service.published", service.id, facts, now=datetime.now(UTC))
            await db.execute("SELECT pg_notify('service', %s)", (service.id,))
        return service

    async def services(self, member: str) -> Sequence[Service]:
        """What ``member`` has published here."""
        async with reading(self._pool) as db:
            return await services_of_member(db, MemberId(member))
