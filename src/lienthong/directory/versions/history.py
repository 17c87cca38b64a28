"""The changes of the directory as they were published, the newest first.

Promise: only what the directory's own key signed is told; versions of an earlier key that this node no longer holds
are left out, and the next one kept is compared with the last one that could be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise

from lienthong.directory.document import Snapshot, parse_directory
from lienthong.directory.versions.differences import Difference, differences
from lienthong.directory.versions.queries import DirectoryVersion
from lienthong.trust.documents import DocumentRefused, open_document
from lienthong.trust.keys import PublicKey
from lienthong.trust.messages import ResolveKey


@dataclass(frozen=True, slots=True)
class Published:
    """A version with what it changed against the one before it."""

    version: int
    before: int
    first_issued: datetime
    """When it was first signed: since then the directory says so."""
    issued: datetime
    """When it was last signed: a version that nothing follows is signed again every minute."""
    changed: tuple[Difference, ...]


def history(versions: Sequence[DirectoryVersion], resolve: ResolveKey) -> list[Published]:
    """``versions`` (the newest first) compared pair by pair; the oldest has nothing to be compared with.

    Raises DocumentRefused when a signature by a key that ``resolve`` knows does not hold, DirectoryMalformed.
    """
    read = [(each, snapshot) for each in versions if (snapshot := read_version(each, resolve)) is not None]
    return [
        Published(
            later.version, earlier.version, signed.first_issued, later.issued,
            differences(earlier.contents, later.contents),
        )
        for (signed, later), (_, earlier) in pairwise(read)
    ]  # fmt: skip


def read_version(version: DirectoryVersion, resolve: ResolveKey) -> Snapshot | None:
    """What a version says; None when no key that ``resolve`` knows signed it.  Raises DocumentRefused."""
    known: list[str] = []

    def noting(keyid: str) -> PublicKey | None:
        key = resolve(keyid)
        if key is not None:
            known.append(keyid)
        return key

    try:
        return parse_directory(open_document(version.envelope, noting))
    except DocumentRefused:
        if known:
            raise
        return None
