"""``lienthong upgrade``: bring a node's data to this release: look first, back up, then migrate.

Revisions only add (a test refuses others), so the release before runs on the new schema: gateways of a node with
several machines are renewed one after the other, and going back needs no restore.
"""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import ClassVar, Final

from lienthong import __version__
from lienthong.config import Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.operate import database, queries
from lienthong.operate.backup import back_up
from lienthong.operate.models import Manifest
from lienthong.storage.migrations.runner import revisions
from lienthong.storage.provision import migrate

SPARE: Final = 2
"""Free space wanted, in sizes of the database: one for the backup, one for what a revision may rewrite."""


class NotReadyToUpgrade(Problem):
    """Something would go wrong half-way; nothing was changed."""

    kind: ClassVar[str] = "not-ready-to-upgrade"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The upgrade was not begun")


@dataclass(frozen=True, slots=True)
class Preflight:
    """What an upgrade finds before it begins."""

    program: str
    found: str
    """Revision of the database; empty when the node was never started."""
    missing: tuple[str, ...]
    """Revisions that will run, in their order."""
    database_bytes: int
    free_bytes: int


def preflight(settings: Settings, backups: Path) -> Preflight:
    """Look at everything an upgrade needs, change nothing.

    Raises NotReadyToUpgrade, DatabaseUnavailable.
    """
    with database.owner(settings) as owner, queries.snapshot(owner) as db:
        found, size = queries.revision(db), queries.size_bytes(db)
    known = revisions()
    if found not in known:
        raise NotReadyToUpgrade(
            T("The database is of a newer release ({found}); this is {program}."),
            mend=T("Install that release, or a newer one."),
            found=found,
            program=__version__,
        )
    backups.mkdir(parents=True, exist_ok=True, mode=0o700)
    if not os.access(backups, os.W_OK):
        raise NotReadyToUpgrade(T("Nothing can be written to {folder}."), mend=T("Name another folder: --backups"),
                                folder=str(backups))  # fmt: skip
    free = shutil.disk_usage(backups).free
    if free < SPARE * size:
        raise NotReadyToUpgrade(
            T("{folder} has {free} MB free; {wanted} MB are wanted."),
            mend=T("Make room, or name another folder: --backups"),
            folder=str(backups),
            free=free >> 20,
            wanted=SPARE * size >> 20,
        )
    return Preflight(__version__, found, known[known.index(found) + 1 :], size, free)


def upgrade(
    settings: Settings, config: Path, backups: Path, key: bytes, *, now: datetime
) -> tuple[Preflight, Manifest]:
    """Preflight, backup, revisions; what was found and what was backed up.

    Raises NotReadyToUpgrade, MigrationFailed (the revisions before the failed one stay, and the old release runs).
    """
    found = preflight(settings, backups)
    out = backups / f"{settings.node}-before-{found.program}-{now:%Y%m%dT%H%M%SZ}.lienthong"
    manifest = back_up(settings, config, out, key, now=now)
    with database.owner(settings) as owner:
        migrate(owner)  # with the account of the last start: a node that serves keeps its connections
    return found, manifest
