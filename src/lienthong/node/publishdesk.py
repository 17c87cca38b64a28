"""What the wizard of publishing does on this node: look into sources, read first rows, publish and put it down."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from lienthong.catalog.models import Service, ServiceNotValid, TableSource
from lienthong.catalog.publish import Found, PublishRequest, find, publish
from lienthong.catalog.queries import all_services, services_of_member
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, SystemId, member_of
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.portal.forms import Upload
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
SUFFIXES: Final = (".csv", ".tsv", ".txt", ".parquet")


class NodePublishDesk:
    """The wizard's desk at this node; see ``portal.publishing.PublishDesk``."""

    def __init__(
        self, pool: Pool, data: Path, snapshot: Callable[[], Snapshot], sandbox: Sandbox, sources: Sources
    ) -> None:
        """``data`` is the node's data folder, ``snapshot`` gives the directory as it stands."""
        self._pool = pool
        self._data = data
        self._snapshot = snapshot
        self._sandbox = sandbox
        self._reader = TableReader(sources, file_rows(sandbox))

    async def look(self, source: str) -> Found:
        """What lies at ``source``.  Raises SourceNotFound, FileNotReadable."""
        return await find(source, lambda path: inspect_file(self._sandbox, path))

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
