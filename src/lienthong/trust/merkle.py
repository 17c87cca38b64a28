"""The Merkle tree of RFC 9162 (the same as RFC 6962): roots, proofs, and the check of proofs.

A proof is checked by the RFC's own algorithm, not by rebuilding the path the way it was made, so that a fault in one
is seen by the other.  All hashes are SHA-256, 32 bytes; a leaf and a node are hashed under different prefixes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from hashlib import sha256
from typing import TypeAlias

from lienthong.errors import Problem
from lienthong.i18n import T

HASH_BYTES = 32
EMPTY_ROOT = sha256(b"").digest()

NodeHash: TypeAlias = Callable[[int, int], bytes]
"""From (level, index) to the hash of the full subtree of ``2**level`` leaves that is number ``index`` of its level."""


class WrongProof(Problem):
    """The proof does not lead from what it is about to the root it names."""

    kind = "wrong-proof"
    status = 400
    side = "provider"
    title = T("The proof does not hold")


def leaf_hash(leaf: bytes) -> bytes:
    """SHA-256(0x00 || leaf).  Source: RFC 9162, section 2.1.1."""
    return sha256(b"\x00" + leaf).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right).  Source: RFC 9162, section 2.1.1."""
    return sha256(b"\x01" + left + right).digest()


class Frontier:
    """The right edge of a growing tree: enough to append leaves and to know the root, at most 64 hashes."""

    __slots__ = ("_peaks", "size")

    def __init__(self) -> None:
        self.size = 0
        """How many leaves the tree has."""
        self._peaks: list[bytes] = []  # roots of the full subtrees, the widest first: one for each set bit of the size

    def append(self, hashed_leaf: bytes) -> None:
        """Add a leaf, given by its leaf hash."""
        size, peaks, node = self.size, self._peaks, hashed_leaf
        while size & 1:
            node = node_hash(peaks.pop(), node)
            size >>= 1
        peaks.append(node)
        self.size += 1

    def root(self) -> bytes:
        """The root of the tree as it stands; of the empty tree the hash of nothing."""
        if not self._peaks:
            return EMPTY_ROOT
        root = self._peaks[-1]
        for peak in reversed(self._peaks[:-1]):
            root = node_hash(peak, root)
        return root

    def to_bytes(self) -> bytes:
        """The size in eight bytes, then the hashes of the edge, the widest subtree first."""
        return self.size.to_bytes(8, "big") + b"".join(self._peaks)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Frontier:
        """The inverse of ``to_bytes``; raises ValueError when the bytes cannot be an edge."""
        size = int.from_bytes(stored[:8], "big")
        if len(stored) != 8 + HASH_BYTES * size.bit_count():
            raise ValueError("not a stored frontier")
        frontier = cls()
        frontier.size = size
        frontier._peaks = [stored[at : at + HASH_BYTES] for at in range(8, len(stored), HASH_BYTES)]
        return frontier


def root_of(hashed_leaves: Iterable[bytes]) -> bytes:
    """The root of the tree over leaves given by their leaf hashes."""
    frontier = Frontier()
    for hashed_leaf in hashed_leaves:
        frontier.append(hashed_leaf)
    return frontier.root()


def root_at(get_hash: NodeHash, size: int) -> bytes:
    """The root of the tree of the first ``size`` leaves, from the hashes of its full subtrees."""
    return _range_root(get_hash, 0, size) if size else EMPTY_ROOT


def inclusion_proof(get_hash: NodeHash, index: int, size: int) -> list[bytes]:
    """Sibling hashes from leaf ``index`` up to the root of the first ``size`` leaves, nearest first.

    Raises IndexError when ``index`` is outside the tree.  Source: RFC 9162, section 2.1.3.1.
    """
    if not 0 <= index < size:
        raise IndexError(f"no leaf {index} in a tree of {size}")
    path: list[bytes] = []
    begin, end = 0, size
    while end - begin > 1:
        middle = begin + _left_width(end - begin)
        if index < middle:
            path.append(_range_root(get_hash, middle, end))
            end = middle
        else:
            path.append(_range_root(get_hash, begin, middle))
            begin = middle
    return path[::-1]


def consistency_proof(get_hash: NodeHash, old_size: int, new_size: int) -> list[bytes]:
    """Hashes that show the first ``old_size`` leaves unchanged in the tree of ``new_size``.

    Empty when the sizes are equal; raises IndexError unless 0 < old_size <= new_size, because every tree is
    consistent with the empty one and a proof of it would show nothing.  Source: RFC 9162, section 2.1.4.1.
    """
    if not 0 < old_size <= new_size:
        raise IndexError(f"no consistency between trees of {old_size} and {new_size}")
    path: list[bytes] = []
    begin, end = 0, new_size
    whole = True  # the old tree's part of this subtree starts at its left end: its root is known to the verifier
    while old_size != end:
        middle = begin + _left_width(end - begin)
        if old_size <= middle:
            path.append(_range_root(get_hash, middle, end))
            end = middle
        else:
            path.append(_range_root(get_hash, begin, middle))
            begin = middle
            whole = False
    if not whole:
        path.append(_range_root(get_hash, begin, end))
    return path[::-1]


def verify_inclusion(hashed_leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> None:
    """Raise WrongProof unless ``proof`` leads from the leaf at ``index`` to ``root`` of a tree of ``size``.

    Source: RFC 9162, section 2.1.3.2.
    """
    _check_lengths(hashed_leaf, root, *proof)
    if not 0 <= index < size:
        raise WrongProof(T("The entry lies outside the tree."), index=index, size=size)
    fn, sn, found = index, size - 1, hashed_leaf
    for sibling in proof:
        if sn == 0:
            raise WrongProof(T("The proof has too many hashes."))
        if fn & 1 or fn == sn:
            found = node_hash(sibling, found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise WrongProof(T("The proof has too few hashes."))
    if found != root:
        raise WrongProof(T("The proof leads to another root."))


def verify_consistency(old_size: int, new_size: int, proof: Sequence[bytes], old_root: bytes, new_root: bytes) -> None:
    """Raise WrongProof unless the tree of ``new_size`` begins with the very leaves of the tree of ``old_size``.

    An ``old_size`` of 0 is an error, see ``consistency_proof``.  Source: RFC 9162, section 2.1.4.2.
    """
    _check_lengths(old_root, new_root, *proof)
    if not 0 < old_size <= new_size:
        raise WrongProof(T("The earlier tree must not be empty or larger than the later one."))
    if old_size == new_size:
        if proof or old_root != new_root:
            raise WrongProof(T("Two trees of one size must have one root, and need no proof."))
        return
    # A full old tree is a node of the new one, so its root is not sent again.
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise WrongProof(T("The proof has too few hashes."))
    fn, sn = old_size - 1, new_size - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    old_found = new_found = path[0]
    for sibling in path[1:]:
        if sn == 0:
            raise WrongProof(T("The proof has too many hashes."))
        if fn & 1 or fn == sn:
            old_found, new_found = node_hash(sibling, old_found), node_hash(sibling, new_found)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            new_found = node_hash(new_found, sibling)
        fn, sn = fn >> 1, sn >> 1
    if sn:
        raise WrongProof(T("The proof has too few hashes."))
    if old_found != old_root or new_found != new_root:
        raise WrongProof(T("The proof leads to another root."))


def _check_lengths(*hashes: bytes) -> None:
    if any(len(one) != HASH_BYTES for one in hashes):
        raise WrongProof(T("A hash in the proof does not have 32 bytes."))


def _left_width(width: int) -> int:
    """The largest power of two below ``width`` (``width`` > 1): how the RFC splits a tree."""
    return 1 << (width - 1).bit_length() - 1


def _range_root(get_hash: NodeHash, begin: int, end: int) -> bytes:
    """The hash of the subtree over leaves ``begin`` to ``end``, where ``begin`` is one of the RFC's splits."""
    width = end - begin
    if width & (width - 1) == 0:
        level = width.bit_length() - 1
        return get_hash(level, begin >> level)
    middle = begin + _left_width(width)
    return node_hash(_range_root(get_hash, begin, middle), _range_root(get_hash, middle, end))
