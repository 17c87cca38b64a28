"""Proofs that travel: one small text with an entry's place, its path to the root and the signed checkpoint.

Source: c2sp.org/tlog-proof.  Whoever holds the log's public key can check it offline, years later.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Sequence
from dataclasses import dataclass

from lienthong.i18n import T
from lienthong.trust.merkle import HASH_BYTES, WrongProof, verify_inclusion
from lienthong.trust.note import Checkpoint, VerifierKey, open_checkpoint

HEADER = "c2sp.org/tlog-proof@v1"
MAX_PATH = 64
_INDEX = re.compile(r"index (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class LogProof:
    """The parts of a proof as they were written; nothing in it is trusted until ``verify_proof`` said so."""

    index: int
    path: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note, to the byte."""
    extra: bytes | None = None
    """Not authenticated by anything."""


def write_proof(index: int, path: Sequence[bytes], checkpoint: bytes, extra: bytes | None = None) -> str:
    """The proof as text (file extension ``.tlog-proof``)."""
    lines = [HEADER]
    if extra is not None:
        lines.append(f"extra {base64.b64encode(extra).decode('ascii')}")
    lines.append(f"index {index}")
    lines += [base64.b64encode(node).decode("ascii") for node in path]
    return "\n".join(lines) + "\n\n" + checkpoint.decode()


def parse_proof(text: str) -> LogProof:
    """The parts of ``text``; raises WrongProof when it is not of the form."""
    head, separator, checkpoint = text.partition("\n\n")
    first, *lines = head.split("\n")
    extra = None
    if lines and lines[0].startswith("extra "):
        extra = _base64(lines.pop(0).removeprefix("extra "))
    place = _INDEX.fullmatch(lines[0]) if lines else None
    if first != HEADER or not separator or place is None or len(lines) > MAX_PATH + 1:
        raise WrongProof(T("The text is not a tlog-proof."))
    path = tuple(_base64(line) for line in lines[1:])
    if any(len(node) != HASH_BYTES for node in path):
        raise WrongProof(T("A hash in the proof does not have 32 bytes."))
    return LogProof(int(place.group(1)), path, checkpoint.encode(), extra)


def verify_proof(proof: LogProof, hashed_leaf: bytes, origin: str, key: VerifierKey) -> Checkpoint:
    """The checkpoint that covers the entry; raises WrongProof or NoteRefused.

    ``origin`` and ``key`` come from whom the checker trusts, never from the proof.
    """
    checkpoint = open_checkpoint(proof.checkpoint, origin, key.public_key, key.name)
    verify_inclusion(hashed_leaf, proof.index, checkpoint.size, proof.path, checkpoint.root)
    return checkpoint


def _base64(text: str) -> bytes:
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise WrongProof(T("The text is not a tlog-proof.")) from None
    if base64.b64encode(octets).decode("ascii") != text:
        raise WrongProof(T("The text is not a tlog-proof."))
    return octets
