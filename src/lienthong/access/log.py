"""The node's log as files: tiles, entry bundles and the newest checkpoint under one folder that anyone may copy.

The database is the way in; for readers the files are the truth (C2SP tlog-tiles).
"""

from __future__ import annotations

from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lienthong.storage.objects import ObjectStore
from lienthong.trust.note import VerifierKey, open_checkpoint
from lienthong.trust.proof import write_proof
from lienthong.trust.tiles import TileReader

CHECKPOINT_FILE = "checkpoint"
KEY_FILE = "key"
"""The log's verifier key beside its files: handy for a copy, but only the directory says whose key it is."""


class LogFiles:
    """Reads one log folder; ``store`` holds ``checkpoint`` and ``tile/...``."""

    def __init__(self, folder: Path, origin: str, public_key: Ed25519PublicKey) -> None:
        self.store = ObjectStore(folder)
        self.origin = origin
        self.public_key = public_key
        self.verifier_key = str(VerifierKey(origin, public_key))

    def published_size(self) -> int:
        """Number of leaves the published checkpoint covers; 0 before the first."""
        note = self.store.get(CHECKPOINT_FILE)
        if note is None:
            return 0
        return open_checkpoint(note, self.origin, self.public_key, self.origin).size

    def proof(self, index: int, size: int, note: bytes) -> str:
        """``tlog-proof`` of the leaf at ``index`` against the checkpoint ``note`` of ``size`` leaves."""
        reader = TileReader(self.store.get, size)
        return write_proof(index, reader.inclusion_proof(index), note)

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Consistency proof (RFC 9162) between two sizes of this log."""
        return TileReader(self.store.get, size).consistency_proof(old_size)
