"""A folder of immutable-looking objects: log tiles, checkpoints, shared Parquet files.

Promises: a reader sees a whole object or none; what ``put`` returned from survives a power cut; no key leaves the
folder.
"""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path
from typing import ClassVar

from lienthong.errors import Problem, Side
from lienthong.i18n import T

PART = re.compile(r"[A-Za-z0-9_=+@~-][A-Za-z0-9._=+@~-]{0,199}")
"""One part of a key: no slash, no leading dot (``..`` and our own temporary files begin with one)."""


class BadObjectKey(Problem):
    """The key is not a relative path of plain names."""

    kind: ClassVar[str] = "bad-object-key"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such object")


def changed_at(path: str) -> int:
    """When the file was last put, in nanoseconds of the file system's clock; 0 when there is none.

    For files that are looked at several times a second: it costs two microseconds where ``Path`` takes twenty.
    """
    try:
        return os.stat(path).st_mtime_ns
    except (FileNotFoundError, NotADirectoryError):
        return 0


class ObjectStore:
    """Objects under ``folder``, named by keys such as ``tile/0/x001/234``."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(parents=True, exist_ok=True)

    def path(self, key: str) -> Path:
        """Where ``key`` lies or would lie.  Raises BadObjectKey for a key that is no relative path of plain names."""
        if not all(PART.fullmatch(part) for part in key.split("/")):
            raise BadObjectKey(T("The object's name can not be used."), mend=T("Use a name from the index."))
        return self._folder / key

    def get(self, key: str) -> bytes | None:
        """The object's bytes, or None when there is none."""
        try:
            return self.path(key).read_bytes()
        except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
            return None

    def put(self, key: str, content: bytes) -> None:
        """Store ``content`` under ``key``, replacing what was there; durable when this returns."""
        path = self.path(key)
        self._make_folder(path.parent)
        # Readers never see a half-written object: the dot keeps the temporary name outside every key.
        temporary = path.with_name(f".{secrets.token_hex(8)}")
        try:
            with temporary.open("xb") as out:
                out.write(content)
                out.flush()
                os.fsync(out.fileno())
            temporary.replace(path)
        except BaseException:
            temporary.unlink(missing_ok=True)
            raise
        _sync_folder(path.parent)

    def _make_folder(self, folder: Path) -> None:
        if folder.is_dir():
            return
        self._make_folder(folder.parent)
        folder.mkdir(exist_ok=True)
        _sync_folder(folder.parent)


def _sync_folder(folder: Path) -> None:
    """Make the folder's names durable: a rename is lost with power until its folder is synced."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
