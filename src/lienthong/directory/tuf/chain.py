"""The checks of TUF's client, one file after the other: pure, each refusal with its Problem.

Promise: what passed is signed by the thresholds of the trusted root, not older than what was trusted before, not
expired, and all of one version.  python-tuf's own sequence belongs to its downloader, which has no offline mode, so
the order of the specification (section 5.3 to 5.7) is kept here over its Metadata API.
"""

# python-tuf documents these names but lists them in no __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeVar

from securesystemslib.exceptions import StorageError
from tuf.api.exceptions import LengthOrHashMismatchError, RepositoryError, UnsignedMetadataError
from tuf.api.metadata import Metadata, Root, Signed, Snapshot, TargetFile, Targets, Timestamp

from lienthong.directory.document import DirectoryMalformed
from lienthong.directory.follow import DirectoryExpired, DirectoryRollback
from lienthong.directory.tuf.problems import MEND, DirectoryForked, DirectoryMixed, DirectoryUnsigned
from lienthong.i18n import T

TARGET: Final = "directory.json"
_Role = TypeVar("_Role", Root, Timestamp, Snapshot, Targets)


@dataclass(frozen=True, slots=True)
class Chain:
    """The metadata one node trusts, as the exact bytes that were verified."""

    root: bytes
    timestamp: bytes | None = None
    snapshot: bytes | None = None
    targets: bytes | None = None

    @property
    def root_version(self) -> int:
        """Number of the trusted root."""
        return _read(self.root, Root).signed.version

    @property
    def snapshot_version(self) -> int:
        """Number of the snapshot that the timestamp names; the timestamp must be there."""
        return _read(_there(self.timestamp), Timestamp).signed.snapshot_meta.version

    @property
    def targets_version(self) -> int:
        """Number of the targets that the snapshot names; the snapshot must be there."""
        return _read(_there(self.snapshot), Snapshot).signed.meta["targets.json"].version

    @property
    def target(self) -> TargetFile:
        """Length and hashes of the directory's document; the targets must be there."""
        return _target(_read(_there(self.targets), Targets).signed)

    @property
    def notes_key(self) -> dict[str, str] | None:
        """The key (JWK) that signs revocation notes, as the targets name it."""
        named: object = self.target.custom.get("notes_key") if self.target.custom else None
        return {str(name): str(value) for name, value in named.items()} if isinstance(named, dict) else None


def first_root(anchor: bytes) -> Chain:
    """A chain that trusts ``anchor``, the root a node was given when it was set up.  Raises DirectoryUnsigned."""
    root = _read(anchor, Root)
    _verified(root, root, anchor)
    return Chain(anchor)


def take_root(chain: Chain, offered: bytes) -> Chain:
    """The chain after one rotation of the root, signed by the old threshold and by the new one (5.3.4, 5.3.5).

    A new online key drops what the old one signed, so that a thief's high version numbers can not outlive it
    (fast-forward, 5.3.11).
    """
    old, new = _read(chain.root, Root), _read(offered, Root)
    _verified(old, new, offered)
    _verified(new, new, offered)
    if new.signed.version != old.signed.version + 1:
        raise _rollback("root", new.signed.version, old.signed.version)
    if any(old.signed.roles[role].keyids != new.signed.roles[role].keyids for role in ("timestamp", "snapshot")):
        return Chain(offered)
    return replace(chain, root=offered)


def require_root_valid(chain: Chain, now: datetime) -> None:
    """Raise DirectoryExpired when the newest root is past its term: a freeze of the root (5.3.10)."""
    _fresh(_read(chain.root, Root).signed, now)


def take_timestamp(chain: Chain, offered: bytes, now: datetime) -> Chain:
    """The chain with the offered timestamp (5.4); the same object when it is the one already trusted."""
    new = _verified(_read(chain.root, Root), _read(offered, Timestamp), offered)
    if chain.timestamp is not None:
        old = _read(chain.timestamp, Timestamp).signed
        if new.version < old.version:
            raise _rollback("timestamp", new.version, old.version)
        if new.version == old.version:
            if new.to_dict() != old.to_dict():
                raise _forked("timestamp", new.version)
            _fresh(new, now)
            return chain
        if new.snapshot_meta.version < old.snapshot_meta.version:
            raise _rollback("snapshot", new.snapshot_meta.version, old.snapshot_meta.version)
    _fresh(new, now)
    return replace(chain, timestamp=offered)


def take_snapshot(chain: Chain, offered: bytes, now: datetime) -> Chain:
    """The chain with the snapshot that its timestamp names (5.5)."""
    meta = _read(_there(chain.timestamp), Timestamp).signed.snapshot_meta
    _same_file(lambda: meta.verify_length_and_hashes(offered), "snapshot.json")
    new = _verified(_read(chain.root, Root), _read(offered, Snapshot), offered)
    if new.version != meta.version:
        raise _mixed("snapshot.json")
    if chain.snapshot is not None:
        old = _read(chain.snapshot, Snapshot).signed
        for name, known in old.meta.items():
            listed = new.meta.get(name)
            if listed is None or listed.version < known.version:
                raise _rollback(name.removesuffix(".json"), listed.version if listed else 0, known.version)
    if "targets.json" not in new.meta:
        raise DirectoryMalformed(T("The directory is not a document this program can read."))
    _fresh(new, now)
    return replace(chain, snapshot=offered)


def take_targets(chain: Chain, offered: bytes, now: datetime) -> Chain:
    """The chain with the targets that its snapshot names (5.6)."""
    meta = _read(_there(chain.snapshot), Snapshot).signed.meta["targets.json"]
    _same_file(lambda: meta.verify_length_and_hashes(offered), "targets.json")
    new = _verified(_read(chain.root, Root), _read(offered, Targets), offered)
    if new.version != meta.version:
        raise _mixed("targets.json")
    _target(new)
    _fresh(new, now)
    return replace(chain, targets=offered)


def require_target(chain: Chain, document: bytes) -> bytes:
    """``document``, once it is the one that the targets name (5.7).  Raises DirectoryMixed."""
    _same_file(lambda: chain.target.verify_length_and_hashes(document), TARGET)
    return document


def _verified(root: Metadata[Root], offered: Metadata[_Role], octets: bytes) -> _Role:
    try:
        root.signed.verify_delegate(offered.signed.type, offered.signed_bytes, offered.signatures)
    except (UnsignedMetadataError, ValueError) as unsigned:
        raise DirectoryUnsigned(
            T("The {role} of the directory is not signed by enough of its keys."), mend=MEND, role=offered.signed.type
        ) from unsigned
    return offered.signed


def _read(octets: bytes, kind: type[_Role]) -> Metadata[_Role]:
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(octets)  # Any: of any role until looked at
    except (
        RepositoryError,
        StorageError,
        ValueError,
        KeyError,
        TypeError,
        AttributeError,
        RecursionError,
    ) as malformed:
        raise DirectoryMalformed(T("The directory is not a document this program can read.")) from malformed
    if not isinstance(metadata.signed, kind):
        raise DirectoryMalformed(T("The directory is not a document this program can read."))
    return metadata


def _there(octets: bytes | None) -> bytes:
    if octets is None:
        raise DirectoryMalformed(T("The directory is not a document this program can read."))
    return octets


def _target(targets: Targets) -> TargetFile:
    try:
        return targets.targets[TARGET]
    except KeyError:
        raise DirectoryMalformed(T("The directory is not a document this program can read.")) from None


def _same_file(verify: Callable[[], None], name: str) -> None:
    try:
        verify()
    except LengthOrHashMismatchError as different:
        raise _mixed(name) from different


def _fresh(signed: Signed, now: datetime) -> None:
    if signed.is_expired(now):
        raise DirectoryExpired(
            T("The {role} of the directory expired at {expires}."),
            mend=T("Restore the connection to the national node; uses under existing agreements go on."),
            role=signed.type,
            expires=signed.expires.isoformat(timespec="seconds"),
        )


def _rollback(role: str, offered: int, known: int) -> DirectoryRollback:
    return DirectoryRollback(
        T("Version {offered} of the {role} was offered, but version {known} is already known."),
        mend=MEND,
        role=role,
        offered=offered,
        known=known,
    )


def _mixed(name: str) -> DirectoryMixed:
    return DirectoryMixed(T("{name} is not the file that the metadata names."), mend=MEND, name=name)


def _forked(role: str, version: int) -> DirectoryForked:
    return DirectoryForked(
        T("Another {role} than the one already verified bears the number {version}."),
        mend=MEND,
        role=role,
        version=version,
    )
