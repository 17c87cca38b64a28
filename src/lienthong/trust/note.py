"""Signed notes and checkpoints as C2SP writes them: a few lines of text that a log signs and anybody can read.

Sources: c2sp.org/signed-note, c2sp.org/tlog-checkpoint.  Our logs sign with Ed25519 (signature type 0x01); signatures
of keys we do not know are ignored, as the specification demands, so that witnesses can add theirs.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass
from hashlib import sha256

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.merkle import HASH_BYTES

ED25519 = b"\x01"
MAX_NOTE_BYTES = 1_000_000
"""Far above 16 post-quantum signatures of 5 kB, which a reader must accept."""


class NoteRefused(Problem):
    """A note that is malformed, or carries no good signature of the key asked for."""

    kind = "note-refused"
    status = 400
    side = "provider"
    title = T("The signed note does not hold")


@dataclass(frozen=True, slots=True)
class VerifierKey:
    """A note key as it is published: ``name+<8 hex digits>+<base64 of type and key>``."""

    name: str
    public_key: Ed25519PublicKey

    def __post_init__(self) -> None:
        if not is_key_name(self.name):
            raise NoteRefused(T("A note key's name must not be empty or hold spaces or plus signs."))

    @property
    def id(self) -> bytes:
        """The first four bytes of SHA-256(name, newline, type, key)."""
        return sha256(self.name.encode() + b"\n" + ED25519 + self.public_key.public_bytes_raw()).digest()[:4]

    def __str__(self) -> str:
        octets = ED25519 + self.public_key.public_bytes_raw()
        return f"{self.name}+{self.id.hex()}+{base64.b64encode(octets).decode('ascii')}"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a log says of itself at one moment: its name, how many entries, and the root over them."""

    origin: str
    size: int
    root: bytes
    extensions: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        lines = (self.origin, *self.extensions)
        if not all(lines) or any(_CONTROL.search(line) or "\n" in line for line in lines):
            raise NoteRefused(T("A checkpoint's lines must be non-empty text."))
        if self.size < 0 or len(self.root) != HASH_BYTES:
            raise NoteRefused(T("A checkpoint needs a size and a root of 32 bytes."))

    def text(self) -> str:
        """The note text that is signed, with its last newline."""
        root = base64.b64encode(self.root).decode("ascii")
        return "\n".join([self.origin, str(self.size), root, *self.extensions]) + "\n"


def verifier_key(name: str, public_key: Ed25519PublicKey) -> str:
    """The text under which a note key is published."""
    return str(VerifierKey(name, public_key))


def parse_verifier_key(text: str) -> VerifierKey:
    """The key in ``text``; raises NoteRefused when it is not Ed25519 or its id does not fit."""
    name, _, rest = text.partition("+")
    key_id, _, encoded = rest.partition("+")
    octets = _base64(encoded)
    if len(octets) != 33 or octets[:1] != ED25519:
        raise NoteRefused(T("The verifier key is not an Ed25519 note key."))
    key = VerifierKey(name, Ed25519PublicKey.from_public_bytes(octets[1:]))
    if key.id.hex() != key_id:
        raise NoteRefused(T("The verifier key's id does not fit its name and key."))
    return key


def is_key_name(name: str) -> bool:
    """Whether ``name`` may stand in a signature line."""
    return bool(name) and "+" not in name and not any(char.isspace() or char < " " for char in name)


def sign_note(text: str, key: Ed25519PrivateKey, name: str) -> bytes:
    """``text`` (ending in a newline) with one signature line by ``name``."""
    if not text.endswith("\n") or _CONTROL.search(text):
        raise NoteRefused(T("A note's text ends in a newline and holds no other control character."))
    verifier = VerifierKey(name, key.public_key())
    signature = base64.b64encode(verifier.id + key.sign(text.encode())).decode("ascii")
    return f"{text}\n— {name} {signature}\n".encode()


def open_note(note: bytes, key: VerifierKey) -> str:
    """The text of ``note`` once a signature of ``key`` holds.

    A failing signature under this very name and id refuses the whole note; other keys are ignored.
    """
    text, lines = split_note(note)
    found = False
    for line in lines:
        name, signature = read_signature_line(line)
        if name != key.name or signature[:4] != key.id:
            continue
        try:
            key.public_key.verify(signature[4:], text.encode())
        except InvalidSignature:
            raise NoteRefused(T("The signature of {name} on the note is wrong."), name=key.name) from None
        found = True
    if not found:
        raise NoteRefused(T("The note carries no signature of {name}."), name=key.name)
    return text


def sign_checkpoint(checkpoint: Checkpoint, key: Ed25519PrivateKey, name: str) -> bytes:
    """The checkpoint as a signed note; ``name`` is the log's origin by convention."""
    return sign_note(checkpoint.text(), key, name)


def open_checkpoint(note: bytes, origin: str, public_key: Ed25519PublicKey, name: str) -> Checkpoint:
    """The checkpoint in ``note``, once it is signed by the key and speaks of the log ``origin``."""
    checkpoint = parse_checkpoint(open_note(note, VerifierKey(name, public_key)))
    if checkpoint.origin != origin:
        raise NoteRefused(T("The checkpoint is of another log."), origin=checkpoint.origin)
    return checkpoint


_SIZE = re.compile(r"0|[1-9][0-9]{0,17}")
_CONTROL = re.compile(r"[\x00-\x09\x0b-\x1f]")


def parse_checkpoint(text: str) -> Checkpoint:
    """The checkpoint in a note's text, whose signature is the caller's concern (see ``open_checkpoint``)."""
    lines = text.split("\n")
    if len(lines) < 4 or lines[-1] or not all(lines[:-1]) or not _SIZE.fullmatch(lines[1]):
        raise NoteRefused(T("The note is not a checkpoint."))
    return Checkpoint(lines[0], int(lines[1]), _base64(lines[2]), tuple(lines[3:-1]))


def split_note(note: bytes) -> tuple[str, list[str]]:
    """Text and signature lines of a note whose signatures nobody has checked yet; raises NoteRefused."""
    try:
        decoded = note.decode("utf-8")
    except UnicodeDecodeError:
        raise NoteRefused(T("The note is not UTF-8 text.")) from None
    text, separator, signatures = decoded.rpartition("\n\n")
    if not separator or not signatures.endswith("\n") or _CONTROL.search(decoded) or len(note) > MAX_NOTE_BYTES:
        raise NoteRefused(T("The note is not text, an empty line and signature lines."))
    return text + "\n", signatures[:-1].split("\n")


def read_signature_line(line: str) -> tuple[str, bytes]:
    """Key name and octets (four of the key's id, then the signature) of one line; raises NoteRefused."""
    dash, _, rest = line.partition(" ")
    name, _, encoded = rest.partition(" ")
    signature = _base64(encoded)
    if dash != "—" or not is_key_name(name) or len(signature) < 5:
        raise NoteRefused(T("The note holds a line that is no signature."))
    return name, signature


def _base64(text: str) -> bytes:
    try:
        octets = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):  # ValueError: not ASCII
        raise NoteRefused(T("The note holds damaged base64.")) from None
    if base64.b64encode(octets).decode("ascii") != text:
        raise NoteRefused(T("The note holds damaged base64."))
    return octets
