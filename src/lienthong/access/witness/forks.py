"""Forks: two heads of one log, both signed by it, that no single history can have; as a file anybody can verify.

Two heads of one size with different roots are a proof by themselves.  For heads of different sizes the proof is a
consistency proof from the larger tree that shows its beginning to have another root than the smaller head.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime

from lienthong.access.witness.queries import Evidence
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.merkle import WrongProof, root_at, verify_consistency
from lienthong.trust.note import Checkpoint, NoteRefused, VerifierKey, open_checkpoint
from lienthong.trust.tiles import BrokenLog, ReadPath, TileReader

EVIDENCE_FORMAT = 1


class NotAFork(Problem):
    """The file is no proof that a log showed two histories."""

    kind = "not-a-fork"
    status = 400
    side = "caller"
    title = T("No proof of a fork")


@dataclass(frozen=True, slots=True)
class Doubt:
    """Two heads that should be of one history, but the log's files do not show it: suspicious, no proof."""

    origin: str
    sizes: tuple[int, int]
    why: str


def same_size_fork(key: VerifierKey, one: bytes, other: bytes) -> Evidence:
    """The evidence in two signed notes of the log ``key`` with one size and two roots."""
    return _evidence(key, one, other, None, [])


def compare_heads(key: VerifierKey, one: bytes, other: bytes, read: ReadPath) -> Evidence | Doubt | None:
    """Whether two signed notes of the log ``key`` are of one history: None if so.

    ``read`` gives the log's files, which are asked only when the sizes differ.  Raises NoteRefused when a note is not
    the log's.
    """
    older, newer = sorted(((_opened(key, note), note) for note in (one, other)), key=lambda pair: pair[0].size)
    (small, small_note), (large, large_note) = older, newer
    if small.size == large.size:
        return None if small.root == large.root else same_size_fork(key, small_note, large_note)
    if small.size == 0:
        return None
    sizes = (small.size, large.size)
    try:
        tiles = TileReader(read, large.size)
        proof, beginning = tiles.consistency_proof(small.size), root_at(tiles.node, small.size)
        verify_consistency(small.size, large.size, proof, beginning, large.root)
    except BrokenLog as missing:
        return Doubt(small.origin, sizes, str(missing))
    except WrongProof:
        return Doubt(small.origin, sizes, "files")
    if beginning == small.root:
        return None
    return _evidence(key, small_note, large_note, beginning, proof)


def verify_fork(evidence: bytes, log_key: Callable[[str], VerifierKey | None]) -> tuple[Checkpoint, Checkpoint]:
    """The two heads that ``evidence`` shows to be of different histories of one log; raises NotAFork.

    ``log_key`` gives the key of a log by its origin, from whom the checker trusts.
    """
    try:
        told = json.loads(evidence)
        key = log_key(told["origin"])
        if told["format"] != EVIDENCE_FORMAT or key is None:
            raise NotAFork(T("The evidence is of another format or of an unknown log."))
        small, large = (_opened(key, note.encode()) for note in told["notes"])
        if small.size == large.size:
            forked = small.root != large.root
        else:
            beginning = base64.b64decode(told["beginning"], validate=True)
            proof = [base64.b64decode(one, validate=True) for one in told["proof"]]
            verify_consistency(small.size, large.size, proof, beginning, large.root)
            forked = beginning != small.root
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError, NoteRefused, WrongProof):
        raise NotAFork(T("The file is not the evidence of a fork.")) from None
    if not forked:
        raise NotAFork(T("Both heads are of one history."))
    return small, large


def _opened(key: VerifierKey, note: bytes) -> Checkpoint:
    return open_checkpoint(note, key.name, key.public_key, key.name)


def _evidence(key: VerifierKey, small: bytes, large: bytes, beginning: bytes | None, proof: list[bytes]) -> Evidence:
    content = json.dumps(
        {
            "format": EVIDENCE_FORMAT,
            "kind": "fork",
            "origin": key.name,
            "log_key": str(key),
            "notes": [small.decode(), large.decode()],
            "beginning": base64.b64encode(beginning).decode("ascii") if beginning else None,
            "proof": [base64.b64encode(one).decode("ascii") for one in proof],
        },
        ensure_ascii=False,
        indent=1,
    ).encode()
    return evidence_of(content)


def evidence_of(content: bytes) -> Evidence:
    """``content``, whose proof the caller has made or verified, as it is kept."""
    return Evidence(hashlib.sha256(content).hexdigest(), str(json.loads(content)["origin"]), datetime.now(UTC), content)
