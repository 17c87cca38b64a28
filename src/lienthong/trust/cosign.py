"""Cosignatures: what a witness says of another's log, and the request by which a log asks for it.

Sources: c2sp.org/tlog-cosignature (Ed25519, signature type 0x04), c2sp.org/tlog-witness.  A cosignature states that at
its time the checkpoint was the largest consistent one the witness had seen of the log.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lienthong.i18n import T
from lienthong.trust.merkle import HASH_BYTES
from lienthong.trust.note import NoteRefused, is_key_name, read_signature_line, split_note

COSIGNATURE = b"\x04"
MOST_PROOF_LINES = 63
_STAMPED_BYTES = 4 + 8 + 64  # the key's id, the time, the Ed25519 signature
_OLD = re.compile(r"old (0|[1-9][0-9]{0,17})")


@dataclass(frozen=True, slots=True)
class CosignerKey:
    """A witness's key as it is published: ``name+<8 hex digits>+<base64 of type 0x04 and key>``."""

    name: str
    public_key: Ed25519PublicKey

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise NoteRefused(T("A note key's name must not be empty or hold spaces or plus signs."))

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, 0x04, key)."""
        return sha256(self.name.encode() + b"\n" + COSIGNATURE + self.public_key.public_bytes_raw()).digest()[:4]

    def __str__(self) -> str:
        octets = COSIGNATURE + self.public_key.public_bytes_raw()
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(octets).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Submission:
    """What a log asks a witness: to cosign ``checkpoint``, which continues the ``old_size`` the witness knows."""

    old_size: int
    proof: tuple[bytes, ...]
    checkpoint: bytes
    """The signed note, to the byte."""


def parse_cosigner_key(text: str) -> CosignerKey:
    """The key in ``text``; raises NoteRefused when it is no witness's key or its id does not fit."""
    name, _, rest = text.partition("+")
    encoded = rest.partition("+")[2]
    try:
        octets = base64.b64decode(encoded, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        octets = b""
    if len(octets) != 33 or octets[:1] != COSIGNATURE:
        raise NoteRefused(T("The verifier key is not that of a witness."))
    key = CosignerKey(name, Ed25519PublicKey.from_public_bytes(octets[1:]))
    if str(key) != text:
        raise NoteRefused(T("The verifier key's id does not fit its name and key."))
    return key


def cosign(text: str, key: Ed25519PrivateKey, name: str, at: int) -> str:
    """The line of the witness ``name`` over a checkpoint's ``text`` at POSIX second ``at``; ends in a newline."""
    cosigner = CosignerKey(name, key.public_key())
    stamped = cosigner.id + at.to_bytes(8, "big") + key.sign(_message(text, at))
    return f"— {name} {base64.b64encode(stamped).decode('ascii')}\n"


def cosignature_times(note: bytes, keys: Iterable[CosignerKey]) -> dict[str, int]:
    """Which of ``keys`` cosigned ``note``: witness's name to POSIX second; other signatures are ignored.

    A signature under the name and id of one of ``keys`` that does not hold refuses the note: raises NoteRefused.
    """
    text, lines = split_note(note)
    signatures = [read_signature_line(line) for line in lines]
    times: dict[str, int] = {}
    for key in keys:
        for name, octets in signatures:
            if name == key.name and octets[:4] == key.id:
                times[key.name] = max(_checked_time(text, octets, key), times.get(key.name, 0))
    return times


def cosigned(note: bytes, lines: Iterable[str]) -> bytes:
    """``note`` with the signature ``lines`` (each ending in newline) added; one whose key is there takes its place."""
    text, present = split_note(note)
    kept = {_name_and_id(line): line for line in present}
    kept |= {_name_and_id(line.rstrip("\n")): line.rstrip("\n") for line in lines}
    return (text + "\n" + "".join(f"{line}\n" for line in kept.values())).encode()


def write_submission(submission: Submission) -> bytes:
    """The body of ``add-checkpoint``."""
    lines = [f"old {submission.old_size}", *(base64.b64encode(one).decode("ascii") for one in submission.proof)]
    return "\n".join(lines).encode() + b"\n\n" + submission.checkpoint


def parse_submission(body: bytes) -> Submission:
    """The request in ``body``, whose note nobody has checked yet; raises NoteRefused when it is not of the form."""
    head, gap, checkpoint = body.partition(b"\n\n")
    try:
        first, *lines = head.decode("ascii").split("\n")
        proof = tuple(base64.b64decode(line, validate=True) for line in lines)
    except (UnicodeDecodeError, binascii.Error):
        raise NoteRefused(_NOT_A_SUBMISSION) from None
    old = _OLD.fullmatch(first)
    spelled = [base64.b64encode(one).decode("ascii") for one in proof]
    if not gap or old is None or len(proof) > MOST_PROOF_LINES or spelled != lines:
        raise NoteRefused(_NOT_A_SUBMISSION)
    if any(len(one) != HASH_BYTES for one in proof) or (old[1] == "0" and proof):
        raise NoteRefused(_NOT_A_SUBMISSION)
    return Submission(int(old[1]), proof, checkpoint)


_NOT_A_SUBMISSION = T("The request is not an old size, a proof, an empty line and a checkpoint.")


def _message(text: str, at: int) -> bytes:
    return f"cosignature/v1\ntime {at}\n{text}".encode()


def _checked_time(text: str, octets: bytes, key: CosignerKey) -> int:
    at = int.from_bytes(octets[4:12], "big")
    try:
        if len(octets) != _STAMPED_BYTES or at >> 63:
            raise InvalidSignature
        key.public_key.verify(octets[12:], _message(text, at))
    except InvalidSignature:
        raise NoteRefused(T("The signature of {name} on the note is wrong."), name=key.name) from None
    return at


def _name_and_id(line: str) -> tuple[str, bytes]:
    name, octets = read_signature_line(line)
    return name, octets[:4]
