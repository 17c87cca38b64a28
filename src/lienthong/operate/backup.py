"""``lienthong backup``: one sealed file with everything a node needs to live again, taken while it serves.

The database is read in one snapshot; files of the data folder are read after it, so that whatever the snapshot speaks
of is there (tiles never change; the published checkpoint is taken from the snapshot).  Beside the file lies its
manifest, in clear: hashes, counts and the log's checkpoint, nothing secret and nothing personal.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import os
import tarfile
import tempfile
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import IO, ClassVar, Final, cast

from lienthong import __version__
from lienthong.access.log import CHECKPOINT_FILE, SIGNED_FILE
from lienthong.config import Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.operate import database, queries
from lienthong.operate.models import FileCopy, Manifest, TableCopy
from lienthong.operate.sealed import Sealer

LEFT_OUT: Final = (
    "postgres", "cluster-folder", "serving.lock", "secrets/database.json",
    f"log/{CHECKPOINT_FILE}", SIGNED_FILE, f"log/{SIGNED_FILE}",
)  # fmt: skip
"""Of the data folder: what a start makes anew, and the checkpoints, which come from the database's snapshot."""
MANIFEST: Final = "manifest.json"
CONFIG: Final = "lienthong.toml"
PIECE: Final = 1024 * 1024


class BackupExists(Problem):
    """A file of that name is there already; a backup never replaces anything."""

    kind: ClassVar[str] = "backup-exists"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The backup's file exists already")


def back_up(settings: Settings, config: Path, out: Path, key: bytes, *, now: datetime) -> Manifest:
    """Write the backup to ``out`` and its manifest beside it; both appear whole or not at all.

    Raises BackupExists, DatabaseUnavailable.
    """
    if out.exists():
        raise BackupExists(T("{file} exists already."), mend=T("Name another file."), file=str(out))
    out.parent.mkdir(parents=True, exist_ok=True)
    half = out.with_name(f".{out.name}.half")
    descriptor = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            with (
                Sealer(file, key) as sealed,
                gzip.GzipFile(fileobj=cast("IO[bytes]", sealed), mode="wb", compresslevel=1) as packed,
                tarfile.open(fileobj=packed, mode="w|") as tar,
            ):
                manifest = _fill(tar, settings, config, now)
            file.flush()
            os.fsync(file.fileno())
        half.rename(out)
    finally:
        half.unlink(missing_ok=True)
    told = json.dumps(manifest.as_dict() | {"archive_sha256": _digest_of(out)}, ensure_ascii=False, indent=1)
    manifest_path(out).write_text(told, "utf-8")
    return manifest


def manifest_path(archive: Path) -> Path:
    """Where the manifest in clear lies."""
    return archive.with_name(f"{archive.name}.manifest.json")


def _fill(tar: tarfile.TarFile, settings: Settings, config: Path, now: datetime) -> Manifest:
    with database.owner(settings) as owner, queries.snapshot(owner) as db:
        revision = queries.revision(db)
        newest = queries.newest_checkpoint(db)
        tables = tuple(_add_table(tar, db, name) for name in queries.tables(db))
        files = tuple(_add_file(tar, path, name) for path, name in _files(settings.data))
    if config.exists():
        _add_bytes(tar, CONFIG, config.read_bytes())
    note = newest[1].decode() if newest else ""
    manifest = Manifest(
        node=settings.node,
        made_at=now.isoformat(),
        program=__version__,
        revision=revision,
        checkpoint=note,
        log_size=newest[0] if newest else 0,
        tables=tables,
        files=tuple(file for file in files if file is not None),
    )
    _add_bytes(tar, MANIFEST, json.dumps(manifest.as_dict()).encode())
    return manifest


def _add_table(tar: tarfile.TarFile, db: queries.Database, name: str) -> TableCopy:
    digest, names = hashlib.sha256(), queries.columns(db, name)
    with tempfile.TemporaryFile() as rows:  # without a name from the first moment: nobody else can open it

        def take(piece: bytes) -> None:
            digest.update(piece)
            rows.write(piece)

        count = queries.copy_out(db, name, names, take)
        entry = tarfile.TarInfo(f"database/{name}")
        entry.size = rows.tell()
        rows.seek(0)
        tar.addfile(entry, rows)
    return TableCopy(name, tuple(names), count, digest.hexdigest())


def _files(data: Path) -> Iterator[tuple[Path, str]]:
    for folder, names, files in os.walk(data):
        here = Path(folder).relative_to(data)
        names[:] = sorted(name for name in names if str(here / name) not in LEFT_OUT and not name.startswith("."))
        for name in sorted(files):
            path = Path(folder) / name
            if str(here / name) not in LEFT_OUT and not name.startswith(".") and path.is_file():
                yield path, str(here / name)


def _add_file(tar: tarfile.TarFile, path: Path, name: str) -> FileCopy | None:
    try:
        # Small or written once: what is replaced is replaced whole, so that one reading is consistent.
        content = path.read_bytes()
        mode = path.stat().st_mode & 0o777
    except FileNotFoundError:
        return None  # gone since it was listed: nothing in the snapshot needs it
    _add_bytes(tar, f"data/{name}", content, mode)
    return FileCopy(name, len(content), hashlib.sha256(content).hexdigest())


def _add_bytes(tar: tarfile.TarFile, name: str, content: bytes, mode: int = 0o600) -> None:
    entry = tarfile.TarInfo(name)
    entry.size, entry.mode = len(content), mode
    tar.addfile(entry, io.BytesIO(content))


def _digest_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
