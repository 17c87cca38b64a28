"""The node's log as files: tiles, entry bundles and the newest checkpoint under one folder that anyone may copy.

The database is the way in; for readers the files are the truth (C2SP tlog-tiles).
"""

from __future__ import annotations

import os
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lienthong.access.shards import shard_name, shard_origin
from lienthong.i18n import T
from lienthong.storage.objects import ObjectStore, changed_at
from lienthong.trust import merkle
from lienthong.trust.note import Checkpoint, NoteRefused, VerifierKey, open_checkpoint
from lienthong.trust.proof import write_proof
from lienthong.trust.tiles import TileReader

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "key"
"""The log's verifier key beside its files: handy for a copy, but only the directory says whose key it is."""


SIGNED_FILE = "signed-checkpoint"
"""The checkpoint signed last, kept apart from what readers copy: it shows when the log's folder was put back."""


class LogFiles:
    """Reads one shard's folder; ``store`` holds ``checkpoint`` and ``tile/...``.

    What opens a log gives the first shard, under whose folder the others lie.  ``kept`` is where the node keeps the
    checkpoint it signed last (None: not at all).
    """

    def __init__(
        self, folder: Path, origin: str, public_key: Ed25519PublicKey, kept: ObjectStore | None = None
    ) -> None:
        self.store = ObjectStore(folder)
        self._folder = folder
        self._kept = kept
        self._signed = os.fspath(kept.path(SIGNED_FILE)) if kept else ""
        self.origin = origin
        self.public_key = public_key
        self.verifier_key = str(VerifierKey(origin, public_key))

    def shard(self, name: str) -> LogFiles:
        """The files of the shard ``name`` of this log; the first one's are these."""
        if not name:
            return self
        return LogFiles(self._folder / name, shard_origin(self.origin, name), self.public_key, self._kept)

    def of_note(self, note: bytes) -> LogFiles:
        """The files of the shard whose signed checkpoint ``note`` is; raises NoteRefused."""
        return self.shard(shard_name(self.origin, self.opened(note).origin) or "")

    def published(self) -> Checkpoint | None:
        """The checkpoint that readers of this shard see; None before the first."""
        note = self.store.get(CHECKPOINT_FILE)
        return None if note is None else open_checkpoint(note, self.origin, self.public_key, self.origin)

    def published_size(self) -> int:
        """Number of leaves the published checkpoint of this shard covers; 0 before the first."""
        published = self.published()
        return published.size if published else 0

    def keep_signed(self, note: bytes) -> None:
        """Keep the checkpoint just signed, before anybody sees it."""
        if self._kept is not None:
            self._kept.put(SIGNED_FILE, note)

    def last_signed(self) -> bytes | None:
        """The checkpoint signed last, as kept."""
        return self._kept.get(SIGNED_FILE) if self._kept is not None else None

    def signed_at(self) -> int:
        """When a checkpoint was last signed, in nanoseconds of the file system's clock; 0 before the first."""
        return changed_at(self._signed) if self._signed else 0

    def opened(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note of this very log, of whichever shard; raises NoteRefused."""
        origin = note.partition(b"\n")[0].decode("utf-8", "replace")
        if shard_name(self.origin, origin) is None:
            raise NoteRefused(T("The checkpoint is of another log."), origin=origin)
        return open_checkpoint(note, origin, self.public_key, origin)

    def root_at(self, size: int, of: int) -> bytes:
        """The root over the first ``size`` leaves of a log of ``of`` leaves, from its tiles; raises BrokenLog."""
        return merkle.root_at(TileReader(self.store.get, of).node, size)

    def proof(self, index: int, size: int, note: bytes) -> str:
        """``tlog-proof`` of the leaf at ``index`` against the checkpoint ``note`` of ``size`` leaves."""
        reader = TileReader(self.store.get, size)
        return write_proof(index, reader.inclusion_proof(index), note)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Consistency proof (RFC 9162) between two sizes of this log."""
        return TileReader(self.store.get, size).consistency_proof(old_size)
