"""A log in memory that may fork, and a witness of its own database: what tests about witnesses need."""

from __future__ import annotations

import hashlib

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from lienthong.trust import merkle
from lienthong.trust.cosign import Submission, write_submission
from lienthong.trust.note import Checkpoint, VerifierKey, sign_checkpoint
from lienthong.trust.tiles import tiles_for

ORIGIN = "vn.lienthong/nut-so"


class GrowingLog:
    """A log whose entries are numbers behind a word; ``fork`` gives one that differs from some entry on."""

    def __init__(self, key: Ed25519PrivateKey, word: str = "") -> None:
        self.key = key
        self.entries: list[bytes] = []
        self.word = word

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(ORIGIN, self.key.public_key())

    def grow(self, to: int) -> None:
        self.entries += [hashlib.sha256(f"{self.word}{n}".encode()).digest() for n in range(len(self.entries), to)]

    def node(self, level: int, index: int) -> bytes:
        return merkle.root_of(merkle.leaf_hash(one) for one in self.entries[index << level : (index + 1) << level])

    def note(self, size: int, origin: str = ORIGIN) -> bytes:
        self.grow(size)
        root = merkle.root_of(merkle.leaf_hash(one) for one in self.entries[:size])
        return sign_checkpoint(Checkpoint(origin, size, root), self.key, origin)

    def submission(self, old: int, size: int) -> bytes:
        note = self.note(size)
        proof = merkle.consistency_proof(self.node, old, size) if 0 < old < size else []
        return write_submission(Submission(old, tuple(proof), note))

    def files(self, size: int) -> dict[str, bytes]:
        """The tiles of the log of ``size``."""
        self.grow(size)
        return tiles_for(0, self.entries[:size], {}.get)

    def fork(self, at: int, word: str) -> GrowingLog:
        other = GrowingLog(self.key, word)
        other.entries = self.entries[:at]
        return other
