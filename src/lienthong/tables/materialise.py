"""A table under a view as Parquet files, made once and used until the table changes.

Promises: equal views share files; files and their row in the database appear together or not at all; a version that
somebody reads stays until the reading is closed.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import cast

from lienthong.catalog.models import Service, TableSource
from lienthong.directory.models import ServiceId
from lienthong.i18n import T
from lienthong.storage.pool import Pool
from lienthong.tables.jobs import table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import TableFile, TableVersion, View, check_row_filter, shown_fields, view_digest
from lienthong.tables.queries import Sources, keep_version, newest_version, take_old_versions
from lienthong.tables.sandbox import Sandbox
from lienthong.tables.sources import FileNotReadable
from lienthong.tables.sql import quote_text, table_source

UNKNOWN_CHANGE_S = 300
"""A source that can not tell whether it changed (a view) is written anew when its files are older than this."""
WRITE_LIMITS = Limits(memory_mb=4096, cpu_s=900, wall_s=600.0, max_rows=0, max_bytes=1 << 20, file_mb=64 * 1024)
DEFAULT_ROWS_PER_FILE = 1_000_000
"""About 128 MB of a table of ten columns: the largest file a reader should have to take whole."""


@dataclass(frozen=True, slots=True)
class Storage:
    """Where files lie and how many rows one holds."""

    folder: Path
    rows_per_file: int = DEFAULT_ROWS_PER_FILE
    limits: Limits = WRITE_LIMITS

    def path(self, version: TableVersion, file: str) -> Path:
        """Where a file of a version lies; ``file`` must be one of its names."""
        return self.version_folder(version.service, version.view_digest, version.version) / file

    def version_folder(self, service: ServiceId, digest: str, version: int) -> Path:
        """The folder of one version.  Ids and digests hold only letters, digits, dots, dashes and slashes."""
        return self.folder / service / digest[:32] / str(version)


class Materialiser:
    """Gives the current files of a table under a view, making them when there are none.  One event loop only."""

    def __init__(self, pool: Pool, storage: Storage, sandbox: Sandbox, sources: Sources) -> None:
        self.storage = storage
        self._pool = pool
        self._sandbox = sandbox
        self._sources = sources
        self._making: dict[tuple[ServiceId, str], asyncio.Lock] = {}

    async def current(self, service: Service, view: View, now: datetime) -> TableVersion:
        """The files of ``service`` under ``view`` as the source is now.

        Raises NotATable, ViewNotApplicable and the problems of sources and sandbox.
        """
        check_row_filter(service, view)
        digest = view_digest(view)
        async with self._making.setdefault((service.id, digest), asyncio.Lock()):
            mark = await self.mark(service, now)
            async with self._pool.connection() as db:
                newest = await newest_version(db, service.id, digest)
            if newest is not None and newest.source_mark == mark and self._is_whole(newest):
                return newest
            made = await self._make(service, view, now, mark, 1 if newest is None else newest.version + 1)
            async with self._pool.connection() as db:
                await keep_version(db, made)
            return made

    async def remove_old(self) -> int:
        """Remove versions that are neither the newest nor being read; how many there were."""
        async with self._pool.connection() as db:
            old = await take_old_versions(db)
        for service, digest, version in old:
            await asyncio.to_thread(shutil.rmtree, self.storage.version_folder(service, digest, version), True)
        return len(old)

    def _is_whole(self, version: TableVersion) -> bool:
        try:
            return all(
                self.storage.path(version, file.name).stat().st_size == file.size_bytes for file in version.files
            )
        except OSError:
            return False

    async def _make(self, service: Service, view: View, now: datetime, mark: str, version: int) -> TableVersion:
        digest = view_digest(view)
        place = self.storage.version_folder(service.id, digest, version)
        place.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        unfinished = place.parent / f".{secrets.token_hex(8)}"
        unfinished.mkdir(mode=0o700)
        try:
            outcome = await self._sandbox.run(
                "write",
                {
                    "table": table_argument(service, view),
                    "folder": str(unfinished),
                    "rows_per_file": self.storage.rows_per_file,
                    "sort": list(service.key or service.lookup),
                },
                limits=self.storage.limits,
            )
            await asyncio.to_thread(_put_in_place, unfinished, place)
        finally:
            await asyncio.to_thread(shutil.rmtree, unfinished, True)
        files = cast("list[dict[str, object]]", outcome.result["files"])
        return TableVersion(
            service=service.id,
            view_digest=digest,
            version=version,
            made_at=now,
            fields=shown_fields(service, view),
            files=tuple(TableFile(**file) for file in files),  # type: ignore[arg-type] - written by write_files
            source_mark=mark,
        )

    async def mark(self, service: Service, now: datetime) -> str:
        """A text that differs whenever the source or the service's description may have changed."""
        source = table_source(service)
        if source.kind == "postgres":
            seen = (
                await self._relation_mark(source, service.timeout_s) or f"t{int(now.timestamp()) // UNKNOWN_CHANGE_S}"
            )
        else:
            seen = _file_mark(source)
        return hashlib.sha256(f"{service.version}\n{service.fields}\n{seen}".encode()).hexdigest()

    async def _relation_mark(self, source: TableSource, timeout_s: float) -> str | None:
        """Counters that every committed change of an ordinary table moves; None for views and foreign tables.

        Read before the table is: a change in between makes the files look older than they are, never younger.
        """
        schema, _, table = source.relation.partition(".")
        # Counters are flushed when a session turns idle, at most ten seconds late; a reset moves them as well.
        rows = await self._sources.rows(
            source.dsn,
            timeout_s,
            f"""
            SELECT c.oid::text, pg_relation_filenode(c.oid)::text, s.n_tup_ins::text, s.n_tup_upd::text,
                   s.n_tup_del::text, pg_relation_size(c.oid)::text
              FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
              JOIN pg_stat_all_tables s ON s.relid = c.oid
             WHERE c.relkind = 'r' AND n.nspname = {quote_text(schema)} AND c.relname = {quote_text(table)}
            """.replace("%", "%%"),  # noqa: S608 - both texts are quoted
            {},
        )
        return "/".join(str(cell) for cell in rows[0]) if rows else None


def _file_mark(source: TableSource) -> str:
    try:
        found = os.stat(source.path)
    except OSError as gone:
        raise FileNotReadable(
            T("The file of this table is gone."), mend=T("The provider has to put it back or publish again.")
        ) from gone
    return f"{found.st_ino}/{found.st_size}/{found.st_mtime_ns}"


def _put_in_place(unfinished: Path, place: Path) -> None:
    shutil.rmtree(unfinished / "spill", ignore_errors=True)
    shutil.rmtree(place, ignore_errors=True)  # of a run that ended between the rename and its row
    unfinished.rename(place)
    for folder in (place, place.parent):
        descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
