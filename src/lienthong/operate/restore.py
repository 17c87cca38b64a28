"""``lienthong restore``: a node made again from a backup, on an empty server; and the end of its recovery mode.

The backup alone can not say whether it is the newest: a log that went on from an old one would sign a second history.
So a restored node signs nothing until somebody outside (a witness, a monitor, a copy of the log) has shown a
checkpoint of it, and the records that were restored lead to that very root.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import IO, ClassVar, cast

from lienthong.access.log import CHECKPOINT_FILE, LogFiles
from lienthong.access.recovery import NotRecovered, contradiction, lift_recovery
from lienthong.config import Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node.prepare import LOG_KEY, log_origin
from lienthong.node.supervise import lock_folder, write_dsns
from lienthong.operate import database, queries
from lienthong.operate.backup import CONFIG, MANIFEST, PIECE
from lienthong.operate.models import Manifest, read_manifest
from lienthong.operate.sealed import BackupUnreadable, Opener
from lienthong.storage.keyring import open_keyring
from lienthong.storage.migrations.runner import revisions
from lienthong.storage.pool import connect
from lienthong.storage.provision import migrate, prepare_database

CAUSE = "restored"


class NotEmpty(Problem):
    """Something is already where the backup would be restored."""

    kind: ClassVar[str] = "not-empty"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("A node lives here already")


@dataclass(frozen=True, slots=True)
class Restored:
    """What was restored."""

    manifest: Manifest
    in_recovery: bool


def unpack_config(archive: Path, key: bytes, to: Path) -> None:
    """Write the backup's own configuration to ``to``, which must not exist.  Raises BackupUnreadable, NotEmpty."""
    if to.exists():
        raise NotEmpty(T("{place} is there already."), mend=T("Name another file."), place=str(to))
    with archive.open("rb") as file, _members(file, key) as tar:
        for member in tar:
            content = tar.extractfile(member) if member.name == CONFIG else None
            if content is not None:
                to.parent.mkdir(parents=True, exist_ok=True)
                descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
                with os.fdopen(descriptor, "wb") as out:
                    out.write(content.read())


def restore(settings: Settings, archive: Path, key: bytes, *, now: datetime) -> Restored:
    """Make the node of ``settings`` from ``archive``: into an empty data folder and an empty database.

    Raises BackupUnreadable, NotEmpty, DatabaseUnavailable.  What fails leaves the data folder empty again.
    """
    data = settings.data
    if data.exists() and any(each.name != "postgres" for each in data.iterdir()):
        raise NotEmpty(T("{place} is there already."), mend=T("Restore into an empty data folder."), place=str(data))
    data.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".restoring-", dir=data.parent) as folder:
        staging = Path(folder)
        manifest = _unpack(archive, key, staging)
        lock = lock_folder(data)
        try:
            with database.superuser(settings) as superuser:
                in_recovery = _load(settings, superuser, manifest, staging, now)
                for each in (staging / "data").iterdir():
                    shutil.move(each, data / each.name)
                dsns = prepare_database(superuser, settings.database_name)
                write_dsns(settings, dsns)
                with queries.one_transaction(dsns.owner) as db:
                    notes = queries.final_checkpoints(db)
            # Each shard shows its own: whoever follows the chain begins at the first one's last checkpoint.
            for note in [*notes, *([manifest.checkpoint.encode()] if manifest.checkpoint else [])]:
                _log_files(settings).of_note(note).store.put(CHECKPOINT_FILE, note)
        finally:
            os.close(lock)
    return Restored(manifest, in_recovery)


def expect_to_lead_to(settings: Settings, note: bytes, size: int) -> None:
    """Raise NotRecovered unless the log of ``size`` records leads to ``note``, NoteRefused when it is not this log's.

    An older checkpoint than the log's own is good here, and too little to end the recovery mode.
    """
    files = _log_files(settings)
    files.opened(note)
    with database.owner(settings) as owner, queries.one_transaction(owner) as db:
        shards = queries.shards(db)
    found = contradiction(files, shards, size, "outside", note)
    if found is not None:
        raise NotRecovered(
            T("The log has {own_size} records; {source} shows {size} that it signed ({cause})."),
            own_size=found.own_size,
            size=found.size,
            source=found.source,
            cause=found.cause,
        )


async def confirm(settings: Settings, note: bytes) -> int:
    """End the recovery mode: ``note`` is a checkpoint of this log that somebody outside has kept; the log's size.

    Raises NoteRefused when it is not signed by this log, NotRecovered when the log does not lead to it.
    """
    with database.owner(settings) as owner:
        async with await connect(owner) as db:
            return await lift_recovery(db, _log_files(settings), note)


def _log_files(settings: Settings) -> LogFiles:
    public_key = open_keyring(settings).ed25519(LOG_KEY).public_key()
    return LogFiles(settings.data / "log", log_origin(settings), public_key)


def _load(settings: Settings, superuser: str, manifest: Manifest, staging: Path, now: datetime) -> bool:
    dsns = prepare_database(superuser, settings.database_name, to=manifest.revision)
    with queries.one_transaction(dsns.owner) as db:
        if queries.holds_records(db):
            raise NotEmpty(
                T("{place} is there already."), mend=T("Name another database."), place=settings.database_name
            )
        queries.empty(db, [table.name for table in manifest.tables])
        for table in manifest.tables:
            with (staging / "database" / table.name).open("rb") as rows:
                queries.copy_in(db, table.name, table.columns, iter(lambda: rows.read(PIECE), b""))
        queries.renumber(db)
        queries.advance_sequences(db)
    migrate(dsns.owner)
    with queries.one_transaction(dsns.owner) as db:
        # In the words of access/recovery.py: who showed it, how large the log was known to be, how large it is.
        facts = {"source": "backup", "size": manifest.log_size, "own_size": manifest.log_size}
        facts |= {"backup_of": manifest.made_at, "restored_at": now.isoformat()}
        return queries.begin_recovery(db, CAUSE, json.dumps(facts))


def _unpack(archive: Path, key: bytes, staging: Path) -> Manifest:
    """Everything but the configuration, checked against the manifest; raises BackupUnreadable."""
    digests: dict[str, str] = {}
    (staging / "data").mkdir()
    (staging / "database").mkdir()
    with archive.open("rb") as file, _members(file, key) as tar:
        for member in tar:
            if member.name == CONFIG:
                continue
            if not member.isfile() or member.name.startswith("/") or ".." in member.name.split("/"):
                raise BackupUnreadable(T("This is no backup of this program."))
            content = tar.extractfile(member)
            if content is not None:
                digests[member.name] = _write(content, staging / member.name, member.mode)
    try:
        manifest = read_manifest(json.loads((staging / MANIFEST).read_text("utf-8")))
    except (OSError, ValueError, KeyError, TypeError) as broken:
        raise BackupUnreadable(T("The backup has no manifest of this format.")) from broken
    wanted = {f"database/{table.name}": table.sha256 for table in manifest.tables}
    wanted |= {f"data/{each.path}": each.sha256 for each in manifest.files}
    if any(digests.get(name) != digest for name, digest in wanted.items()):
        raise BackupUnreadable(T("The backup does not hold what its manifest says."))
    if manifest.revision not in revisions():
        raise BackupUnreadable(
            T("The backup was made by a newer release ({revision})."),
            mend=T("Install that release, then restore."),
            revision=manifest.revision,
        )
    return manifest


@contextmanager
def _members(file: IO[bytes], key: bytes) -> Generator[tarfile.TarFile]:
    try:
        with (
            Opener(file, key) as opened,
            gzip.GzipFile(fileobj=cast("IO[bytes]", opened)) as packed,
            tarfile.open(fileobj=packed, mode="r|") as tar,
        ):
            yield tar
    except (tarfile.TarError, gzip.BadGzipFile, EOFError) as broken:
        raise BackupUnreadable(T("This is no backup of this program.")) from broken


def _write(content: IO[bytes], to: Path, mode: int) -> str:
    digest = hashlib.sha256()
    for folder in reversed(to.parents):
        if not folder.exists():
            folder.mkdir(mode=0o700)
    descriptor = os.open(to, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as out:
        while piece := content.read(PIECE):
            digest.update(piece)
            out.write(piece)
        os.fchmod(out.fileno(), mode & 0o700 | mode & 0o055)
    return digest.hexdigest()
