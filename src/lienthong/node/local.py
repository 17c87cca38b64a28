"""What every process of a node opens first: settings, keys, database, the directory as last verified, the log."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ClassVar

import structlog

from lienthong.access.log import LogFiles
from lienthong.access.receipt import ReceiptMaker
from lienthong.access.witness.policy import NO_POLICY, Policy, policy_for
from lienthong.config import Settings
from lienthong.directory.document import Snapshot, parse_directory
from lienthong.directory.follow import KEPT, VERIFIED, Follower, anchored_in_root
from lienthong.directory.revoke import Notes, open_notes, revoked
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node.prepare import LOG_KEY, log_origin
from lienthong.node.supervise import read_dsns
from lienthong.storage.keyring import Keyring, open_keyring
from lienthong.storage.objects import ObjectStore, changed_at
from lienthong.storage.pool import DatabaseFailed, Pool, open_pool, wait_for_notices
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.seal import Seal

log = structlog.get_logger("lienthong.node")
POLL_S = 0.5
REFUSED = "directory/refused"
NOTES = "directory/notes"
QUIET_S = 4.0


class NoDirectory(Problem):
    """The node has not yet verified any version of the directory, so it knows nobody."""

    kind: ClassVar[str] = "no-directory"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The directory has not been fetched yet")


class KeptDirectory:
    """The directory as the jobs process keeps it on disk; looked at again whenever the file changes."""

    def __init__(self, settings: Settings) -> None:
        self._store = ObjectStore(settings.data)
        self._anchor = settings.directory_anchor
        self._anchor_seen = 0
        self._anchored: dict[str, str] = {}
        self._files = {name: os.fspath(self._store.path(name)) for name in (KEPT, VERIFIED, NOTES)}
        self._seen = self._seen_notes = 0
        self._published: Snapshot | None = None
        self._snapshot: Snapshot | None = None
        self._notes: Notes | None = None

    def snapshot(self) -> Snapshot:
        """The last verified version without what was revoked since; raises NoDirectory before the first."""
        if self._snapshot is None:
            self.look()
        if self._snapshot is None:
            raise NoDirectory(
                T("This node has no directory yet."),
                mend=T(
                    "Check directory_url and directory_anchor in the configuration, and that the national node runs."
                ),
            )
        return self._snapshot

    def look(self) -> None:
        """Read the kept version, and the kept revocations, again if they changed."""
        if self._anchor is None or not (anchor_seen := changed_at(os.fspath(self._anchor))):
            return
        if anchor_seen != self._anchor_seen:
            self._anchored = json.loads(self._anchor.read_text("utf-8"))
            self._anchor_seen = anchor_seen
        anchor, rooted = self._anchored, anchored_in_root(self._anchored)
        seen, seen_notes = changed_at(self._files[VERIFIED if rooted else KEPT]), changed_at(self._files[NOTES])
        if not seen or (seen == self._seen and seen_notes == self._seen_notes):
            return
        if seen != self._seen:
            self._published = self._kept_set() if rooted else Follower(_nobody, anchor, self._store).load()
        if seen_notes != self._seen_notes:
            self._notes = self._kept_notes()
        self._seen, self._seen_notes = seen, seen_notes
        if self._published is not None and self._notes is not None:
            self._snapshot = revoked(self._published, self._notes)
        else:
            self._snapshot = self._published

    @property
    def notes(self) -> Notes | None:
        """The revocations as last taken; None before the first."""
        return self._notes

    def keep_notes(self, envelope: bytes, key: Mapping[str, str]) -> None:
        """Keep revocations that were verified under ``key``, for every process of the node and its next start."""
        self._store.put(NOTES, json.dumps({"key": dict(key), "envelope": envelope.decode()}).encode())

    def _kept_set(self) -> Snapshot | None:
        """Verified by the jobs process; whoever can write this folder holds the node's keys as well."""
        document: str | None = json.loads(self._store.get(VERIFIED) or b"{}").get("document")
        return None if document is None else parse_directory(document.encode())

    def _kept_notes(self) -> Notes | None:
        kept = self._store.get(NOTES)
        if kept is None:
            return None
        told = json.loads(kept)
        return open_notes(told["envelope"].encode(), told["key"])

    def refused(self) -> str | None:
        """The kind of the Problem for which the newest directory was refused; None while it is taken."""
        kept = self._store.get(REFUSED)
        return kept.decode("ascii") if kept else None

    def note_refused(self, kind: str | None) -> None:
        """Leave word for the other processes why the newest directory was refused, or that it was taken."""
        if self.refused() != kind:
            self._store.put(REFUSED, (kind or "").encode("ascii"))

    async def watch(self) -> None:
        """Look again and again, for as long as the process runs."""
        while True:
            await asyncio.sleep(POLL_S)
            self.look()


@dataclass(frozen=True, slots=True)
class Local:
    """The opened node, as one process sees it."""

    settings: Settings
    keyring: Keyring
    dsns: DatabaseDsns
    pool: Pool
    directory: KeptDirectory
    files: LogFiles
    seal: Seal
    receipts: ReceiptMaker


async def open_local(settings: Settings, *, connections: int = 4) -> Local:
    """Open the node's parts; the caller closes ``pool``."""
    keyring = open_keyring(settings)
    dsns = read_dsns(settings)
    public_key = keyring.ed25519(LOG_KEY).public_key()
    files = LogFiles(settings.data / "log", log_origin(settings), public_key, ObjectStore(settings.data))
    seal = Seal(keyring.secret("record-seal"))
    directory = KeptDirectory(settings)

    def policy() -> Policy:
        try:
            return policy_for(directory.snapshot(), settings.node)
        except NoDirectory:
            return NO_POLICY

    return Local(
        settings=settings,
        keyring=keyring,
        dsns=dsns,
        pool=await open_pool(dsns.app, min_size=1, max_size=connections),
        directory=directory,
        files=files,
        seal=seal,
        receipts=ReceiptMaker(settings.node, files, seal, settings.synthetic, policy),
    )


async def listen(dsn: str, channels: tuple[str, ...], changed: Callable[[], Awaitable[None]]) -> None:
    """Call ``changed`` at every notice on ``channels`` and every few seconds, for as long as the process runs.

    The regular look covers notices missed while the database was away.
    """
    while True:
        try:
            async for _ in wait_for_notices(dsn, channels, QUIET_S):
                await changed()
        except (DatabaseFailed, OSError) as failed:
            log.warning("database.away", error=type(failed).__name__)
            await asyncio.sleep(1.0)


async def _nobody() -> bytes:
    raise NoDirectory(T("A kept directory is loaded, never fetched."))
