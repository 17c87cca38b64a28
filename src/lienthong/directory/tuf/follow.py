"""Following the directory by TUF: fetch, check in order, keep the last verified set as one file.

Promises: what is kept is complete and of one version, also after a crash between two files; a refusal changes nothing;
no more than each role's limit is ever read; a restart remembers every version number.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import Final

from lienthong.directory.document import Snapshot, parse_directory
from lienthong.directory.follow import SIZE_LIMIT_BYTES, VERIFIED, DirectoryRollback, DirectoryTooLarge, require_fresh
from lienthong.directory.tuf import chain as checks
from lienthong.directory.tuf.chain import Chain
from lienthong.directory.tuf.problems import MEND, DirectoryIncomplete
from lienthong.i18n import T
from lienthong.storage.objects import ObjectStore

Fetch = Callable[[str, int], Awaitable[bytes | None]]
"""The file of this name below ``/directory/tuf/``, reading at most so many bytes; None when there is none.

Raises DirectoryTooLarge, DirectorySlow.
"""

ROOT_LIMIT_BYTES: Final = 512 * 1024
ROLE_LIMIT_BYTES: Final = 64 * 1024
MOST_ROTATIONS: Final = 32
"""Rotations of the root followed in one refresh: a chain without end costs no more than this."""


class TufFollower:
    """One node's view of the directory; ``anchor`` is the root metadata it was given when it was set up."""

    def __init__(self, fetch: Fetch, anchor: bytes, keep: ObjectStore) -> None:
        self._fetch = fetch
        self._keep = keep
        self._chain = checks.first_root(anchor)
        self._anchor_version = self._chain.root_version
        self._snapshot: Snapshot | None = None
        self._loaded = False

    @property
    def snapshot(self) -> Snapshot | None:
        """The last verified version, expired or not; None before the first."""
        return self._snapshot

    @property
    def notes_key(self) -> dict[str, str] | None:
        """The key (JWK) whose revocation notes are believed; None before the first version."""
        return self._chain.notes_key if self._chain.targets is not None else None

    def load(self) -> Snapshot | None:
        """Take up the set kept on disk, if there is one."""
        self._loaded = True
        kept = self._keep.get(VERIFIED)
        if kept is None:
            return None
        told: dict[str, str | None] = json.loads(kept)
        root = (told["root"] or "").encode()
        trusted = checks.first_root(root)
        newer_anchor = trusted.root_version < self._anchor_version
        if told["document"] is None:
            self._chain = self._chain if newer_anchor else trusted
            return None
        document = told["document"].encode()
        if newer_anchor:  # the operator gave a newer root: it decides what comes next, the last set goes on serving
            self._snapshot = parse_directory(document)
            return self._snapshot
        parts = {name: text.encode() for name in ("timestamp", "snapshot", "targets") if (text := told[name])}
        self._chain = Chain(root, **parts)
        if parts:
            checks.require_target(self._chain, document)
        self._snapshot = parse_directory(document)
        return self._snapshot

    async def refresh(self, now: datetime) -> Snapshot:
        """The newest version, fetched and verified; raises and keeps the last one when anything is wrong with it."""
        if not self._loaded:
            self.load()
        await self._follow_root()
        checks.require_root_valid(self._chain, now)
        known = self._chain
        offered = await self._need("timestamp.json", ROLE_LIMIT_BYTES)
        chain = checks.take_timestamp(known, offered, now)
        if chain is known and self._snapshot is not None:
            return self._snapshot
        name = f"{chain.snapshot_version}.snapshot.json"
        chain = checks.take_snapshot(chain, await self._need(name, ROLE_LIMIT_BYTES), now)
        name = f"{chain.targets_version}.targets.json"
        chain = checks.take_targets(chain, await self._need(name, ROLE_LIMIT_BYTES), now)
        length, hashes = chain.target.length, chain.target.hashes
        if length > SIZE_LIMIT_BYTES:
            raise DirectoryTooLarge(T("The directory is larger than {limit} bytes."), limit=SIZE_LIMIT_BYTES)
        document = checks.require_target(chain, await self._need(f"{hashes['sha256']}.{checks.TARGET}", length))
        snapshot = parse_directory(document)
        self._check_order(snapshot)
        require_fresh(snapshot, now)
        # Durable before it is used: after a restart the node must not accept anything older than what it acted on.
        self._store(chain, document)
        self._chain, self._snapshot = chain, snapshot
        return snapshot

    def _check_order(self, offered: Snapshot) -> None:
        """The document's own number never falls, also across a change of the online keys."""
        if self._snapshot is not None and offered.version < self._snapshot.version:
            raise DirectoryRollback(
                T("Version {offered} was offered, but version {known} is already known."),
                mend=MEND,
                offered=offered.version,
                known=self._snapshot.version,
            )

    async def _follow_root(self) -> None:
        for _ in range(MOST_ROTATIONS):
            offered = await self._fetch(f"{self._chain.root_version + 1}.root.json", ROOT_LIMIT_BYTES)
            if offered is None:
                return
            self._chain = checks.take_root(self._chain, offered)
            self._store_root()

    def _store_root(self) -> None:
        """Keep a rotation at once: the keys it dropped must not be believed after a restart."""
        kept = self._keep.get(VERIFIED)
        told: dict[str, str | None] = json.loads(kept) if kept is not None else {"document": None}
        told["root"] = self._chain.root.decode()
        if self._chain.timestamp is None:
            # What a dropped key signed no longer binds; the document itself goes on serving from memory and disk.
            told |= {"timestamp": None, "snapshot": None, "targets": None}
        self._keep.put(VERIFIED, json.dumps(told).encode())

    def _store(self, chain: Chain, document: bytes) -> None:
        parts = {"root": chain.root, "timestamp": chain.timestamp, "snapshot": chain.snapshot, "targets": chain.targets}
        told: dict[str, object] = {name: part.decode() if part else None for name, part in parts.items()}
        told |= {"document": document.decode(), "notes_key": chain.notes_key}
        self._keep.put(VERIFIED, json.dumps(told).encode())

    async def _need(self, name: str, limit: int) -> bytes:
        found = await self._fetch(name, limit)
        if found is None:
            raise DirectoryIncomplete(T("The national node has no {name}."), name=name)
        return found
