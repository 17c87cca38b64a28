"""A stream that only the holder of a key can read, and in which nothing can be changed, cut or moved unseen.

Layout: a line naming the format, 16 bytes of salt, then chunks of 1 MiB, each AES-256-GCM with a counter and a mark on
the last one in its nonce (the STREAM construction).  The chunk key is HKDF-SHA256 of the secret and the salt.
"""

from __future__ import annotations

import io
import os
import secrets
from pathlib import Path
from typing import IO, ClassVar, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from lienthong.errors import Problem, Side
from lienthong.i18n import T

HEAD: Final = b"lienthong backup 1\n"
SALT_BYTES: Final = 16
CHUNK_BYTES: Final = 1024 * 1024
TAG_BYTES: Final = 16
KEY_BYTES: Final = 32


class BackupUnreadable(Problem):
    """The file is no backup of ours, was changed or cut, or the key is another one."""

    kind: ClassVar[str] = "backup-unreadable"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The backup can not be read")


class BadBackupKey(Problem):
    """The file with the backup's key is missing, too short, or open to other accounts."""

    kind: ClassVar[str] = "bad-backup-key"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The key of the backup can not be used")


def make_key(path: Path) -> None:
    """Write a new key to ``path`` (mode 0600); an existing file is never replaced (FileExistsError)."""
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(secrets.token_hex(KEY_BYTES) + "\n")


def read_key(path: Path) -> bytes:
    """The key in ``path``.  Raises BadBackupKey."""
    try:
        if path.stat().st_mode & 0o077:
            raise BadBackupKey(T("{file} can be read by others."), mend=T("chmod 600 {file}"), file=str(path))
        key = bytes.fromhex(path.read_text("ascii").strip())
    except (OSError, ValueError) as broken:
        raise BadBackupKey(
            T("{file} holds no key."), mend=T("Make one: lienthong backup --new-key FILE"), file=str(path)
        ) from broken
    if len(key) < KEY_BYTES:
        raise BadBackupKey(
            T("{file} holds no key."), mend=T("Make one: lienthong backup --new-key FILE"), file=str(path)
        )
    return key


class Sealer(io.RawIOBase):
    """Writes to ``out`` sealed; ``close`` marks the end, without which nothing of it can be read whole."""

    def __init__(self, out: IO[bytes], secret: bytes) -> None:
        super().__init__()
        salt = os.urandom(SALT_BYTES)
        self._cipher, self._out, self._count = _cipher(secret, salt), out, 0
        self._held = bytearray()
        out.write(HEAD + salt)

    def writable(self) -> bool:
        """Yes."""
        return True

    def write(self, content: bytes | bytearray | memoryview, /) -> int:  # type: ignore[override] - io knows any buffer
        """Take up ``content``."""
        self._held += content
        while len(self._held) > CHUNK_BYTES:  # one is held back: the last is marked
            self._put(bytes(self._held[:CHUNK_BYTES]), last=False)
            del self._held[:CHUNK_BYTES]
        return len(content)

    def close(self) -> None:
        """Write the last chunk; ``out`` stays open."""
        if not self.closed:
            self._put(bytes(self._held), last=True)
        super().close()

    def _put(self, chunk: bytes, *, last: bool) -> None:
        self._out.write(self._cipher.encrypt(_nonce(self._count, last=last), chunk, HEAD))
        self._count += 1


class Opener(io.RawIOBase):
    """Reads what a ``Sealer`` wrote; every byte handed out was checked.  Raises BackupUnreadable."""

    def __init__(self, source: IO[bytes], secret: bytes) -> None:
        super().__init__()
        head = source.read(len(HEAD) + SALT_BYTES)
        if len(head) < len(HEAD) + SALT_BYTES or not head.startswith(HEAD):
            raise BackupUnreadable(T("This is no backup of this program."))
        self._cipher, self._source, self._count = _cipher(secret, head[len(HEAD) :]), source, 0
        self._next = source.read(CHUNK_BYTES + TAG_BYTES)
        self._held = b""
        self._ended = False

    def readable(self) -> bool:
        """Yes."""
        return True

    def readinto(self, buffer: bytearray | memoryview, /) -> int:  # type: ignore[override] - io knows any buffer
        """Fill ``buffer`` as far as a chunk goes; 0 at the marked end."""
        while not self._held and not self._ended:
            self._held = self._open_chunk()
        taken = min(len(buffer), len(self._held))
        buffer[:taken] = self._held[:taken]
        self._held = self._held[taken:]
        return taken

    def _open_chunk(self) -> bytes:
        sealed, self._next = self._next, self._source.read(CHUNK_BYTES + TAG_BYTES)
        self._ended = not self._next
        try:
            chunk = self._cipher.decrypt(_nonce(self._count, last=self._ended), sealed, HEAD)
        except (InvalidTag, ValueError) as changed:
            raise BackupUnreadable(
                T("The backup was changed or cut, or the key is another one."),
                mend=T("Name the key file it was made with, or take another copy."),
            ) from changed
        self._count += 1
        return chunk


def _cipher(secret: bytes, salt: bytes) -> AESGCM:
    return AESGCM(HKDF(hashes.SHA256(), KEY_BYTES, salt, HEAD).derive(secret))


def _nonce(count: int, *, last: bool) -> bytes:
    return count.to_bytes(11, "big") + bytes([last])
