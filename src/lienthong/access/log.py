"""The node's log as files: tiles, entry bundles and the newest checkpoint under one folder that anyone may copy.

The database is the way in; for readers the files are the truth (C2SP tlog-tiles).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lienthong.storage.objects import ObjectStore
from lienthong.trust import merkle
from lienthong.trust.note import Checkpoint, VerifierKey, open_checkpoint
from lienthong.trust.proof import write_proof
from lienthong.trust.tiles import TileReader

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "key"
"""The log's verifier key beside its files: handy for a copy, but only the directory says whose key it is."""


SIGNED_FILE = "signed-checkpoint"
"""The checkpoint signed last, kept apart from what readers copy: it shows when the log's folder was put back."""


class LogFiles:
    """Reads one log folder; ``store`` holds ``checkpoint`` and ``tile/...``.

    ``kept`` is where the node keeps the checkpoint it signed last (None: not at all).
    """

    def __init__(
        self, folder: Path, origin: str, public_key: Ed25519PublicKey, kept: ObjectStore | None = None
    ) -> None:
        self.store = ObjectStore(folder)
        self._kept = kept
        self.origin = origin
        self.public_key = public_key
        self.verifier_key = str(VerifierKey(origin, public_key))

    def published_size(self) -> int:
        """Number of leaves the published checkpoint covers; 0 before the first."""
        note = self.store.get(CHECKPOINT_FILE)
        if note is None:
            return 0
        return open_checkpoint(note, self.origin, self.public_key, self.origin).size

    def keep_signed(self, note: bytes) -> None:
        """Keep the checkpoint just signed, before anybody sees it."""
        if self._kept is not None:
            self._kept.put(SIGNED_FILE, note)

    def last_signed(self) -> bytes | None:
        """The checkpoint signed last, as kept."""
        return self._kept.get(SIGNED_FILE) if self._kept is not None else None

    def opened(self, note: bytes) -> Checkpoint:
        """The checkpoint in a note of this very log; raises NoteRefused."""
        return open_checkpoint(note, self.origin, self.public_key, self.origin)

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
