"""Following a directory that one key signs: fetch, verify, keep the last good version on disk, refuse to go back.

Promises: nothing unsigned, older or altered replaces what a node already trusts, also after a restart; when the
national node is away the last verified version goes on serving.

A country's nodes follow by TUF (``directory/tuf/follow.py``), which keeps the same promises with an offline root; this
one is for a node that was given a single key (JWK) as its anchor.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import datetime
from typing import Final

from lienthong.directory.document import Snapshot, parse_directory
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.storage.objects import ObjectStore
from lienthong.trust.documents import open_document
from lienthong.trust.keys import PublicKey, key_id, public_from_jwk

KEPT: Final = "directory/current"
VERIFIED: Final = "directory/verified"
"""Where a node that follows by TUF keeps its last verified set (``directory/tuf/follow.py``)."""
SIZE_LIMIT_BYTES: Final = 64 * 1024 * 1024


def anchored_in_root(anchor: Mapping[str, object]) -> bool:
    """Whether the file a node was given is TUF root metadata; otherwise it is a single public key (JWK)."""
    return "signed" in anchor


class DirectoryRollback(Problem):
    """What was offered is older than, or says otherwise than, a version this node has already verified."""

    kind = "directory-rollback"
    status = 502
    side = "node"
    title = T("An older directory was offered")


class DirectoryExpired(Problem):
    """What was offered, or what is kept, is past its expiry."""

    kind = "directory-expired"
    status = 503
    side = "node"
    title = T("The directory has expired")


class DirectoryTooLarge(Problem):
    """What was offered is larger than any directory can be."""

    kind = "directory-too-large"
    status = 502
    side = "node"
    title = T("The directory is too large")


class Follower:
    """One node's view of the directory.

    ``read`` fetches the current envelope; ``anchor`` is the public key (JWK) the node was given when it was set up.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]], anchor: Mapping[str, str], keep: ObjectStore) -> None:
        self._read = read
        self._anchor_jwk = dict(anchor)
        self._anchor_id = key_id(anchor)
        self._anchor = public_from_jwk(anchor)
        self._keep = keep
        self._envelope: bytes | None = None
        self._snapshot: Snapshot | None = None

    @property
    def snapshot(self) -> Snapshot | None:
        """The last verified version, expired or not; None before the first."""
        return self._snapshot

    @property
    def notes_key(self) -> Mapping[str, str] | None:
        """The key whose revocations are believed: the one that signs the directory."""
        return self._anchor_jwk

    def load(self) -> Snapshot | None:
        """Take up the version kept on disk, if there is one; it is verified like any other."""
        envelope = self._keep.get(KEPT)
        if envelope is not None:
            self._snapshot = self._verified(envelope)
            self._envelope = envelope
        return self._snapshot

    async def refresh(self, now: datetime) -> Snapshot:
        """The newest version, fetched and verified; raises and keeps the last one when anything is wrong with it."""
        if self._snapshot is None:
            self.load()
        envelope = await self._read()
        if self._snapshot is not None and envelope == self._envelope:
            _check_expiry(self._snapshot, now)
            return self._snapshot
        offered = self._verified(envelope)
        self._check_order(offered)
        _check_expiry(offered, now)
        # Durable before it is used: after a restart the node must not accept anything older than what it acted on.
        self._keep.put(KEPT, envelope)
        self._envelope, self._snapshot = envelope, offered
        return offered

    def _verified(self, envelope: bytes) -> Snapshot:
        if len(envelope) > SIZE_LIMIT_BYTES:
            raise DirectoryTooLarge(T("The directory is larger than {limit} bytes."), limit=SIZE_LIMIT_BYTES)
        return parse_directory(open_document(envelope, self._resolve))

    def _resolve(self, keyid: str) -> PublicKey | None:
        return self._anchor if keyid == self._anchor_id else None

    def _check_order(self, offered: Snapshot) -> None:
        last = self._snapshot
        if last is None or offered.version > last.version:
            return
        if offered.version == last.version and offered.digest == last.digest:
            return
        raise DirectoryRollback(
            T("Version {offered} was offered, but version {known} is already known."),
            mend=T("Ask the national node's operator: somebody may be showing this node an old directory."),
            offered=offered.version,
            known=last.version,
        )


def require_fresh(snapshot: Snapshot, now: datetime) -> None:
    """Raise DirectoryExpired unless ``snapshot`` may still carry new agreements and members."""
    _check_expiry(snapshot, now)


def _check_expiry(snapshot: Snapshot, now: datetime) -> None:
    if snapshot.expired(now):
        raise DirectoryExpired(
            T("The directory expired at {expires}."),
            mend=T("Restore the connection to the national node; uses under existing agreements go on."),
            expires=snapshot.expires.isoformat(timespec="seconds"),
        )
