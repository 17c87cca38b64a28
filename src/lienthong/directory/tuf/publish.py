"""The national node's side of TUF: take over a finished root, and sign each version of the directory's document.

Promises: a root that followers would refuse is never published; the files of one version appear together; a change of
the online keys is followed by a new version at once.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

from lienthong.directory.publish import REISSUE_AFTER, publish_directory
from lienthong.directory.queries import Connection
from lienthong.directory.tuf import queries
from lienthong.directory.tuf.chain import first_root, take_root
from lienthong.directory.tuf.sign import OnlineKeys, write_metadata
from lienthong.directory.versions.queries import DirectoryVersion
from lienthong.trust.documents import open_document
from lienthong.trust.keys import PrivateKey

KEEP: Final = timedelta(hours=1)
"""How long superseded parts stay for followers that are in the middle of a refresh."""


class MetadataPublisher:
    """Publishes version after version; remembers what it published last so that a quiet second costs one query."""

    def __init__(self, key: PrivateKey, online: OnlineKeys) -> None:
        self._key = key
        self._online = online
        self._last: tuple[int, int] | None = None

    async def publish(self, db: Connection, now: datetime) -> DirectoryVersion:
        """The version that followers should have at ``now``, with its metadata; the caller commits."""
        root = await queries.latest_root(db)
        new_root = root is not None and (self._last is None or self._last[0] != root[0])
        version = await publish_directory(db, self._key, now, reissue_after=timedelta(0) if new_root else REISSUE_AFTER)
        if root is None or self._last == (root[0], version.version):
            return version
        document = open_document(version.envelope, lambda _: self._key.public_key())
        await queries.store_files(db, write_metadata(document, version.version, self._online, now), now)
        await queries.forget_files(db, now - KEEP)
        self._last = (root[0], version.version)
        return version


async def take_over_root(db: Connection, root: bytes, now: datetime) -> int:
    """Publish a finished root; its number.  The same root twice is one.  Raises as followers would."""
    known = await queries.latest_root(db)
    if known is not None and known[1] == root:
        return known[0]
    chain = first_root(root) if known is None else take_root(first_root(known[1]), root)
    await queries.store_files(db, {f"{chain.root_version}.root.json": root}, now)
    return chain.root_version
