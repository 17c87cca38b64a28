"""Writing metadata: the online roles over one document, and the root in its ceremony.  Pure: bytes in, bytes out."""

# python-tuf documents these names but lists them in no __all__.
# pyright: reportPrivateImportUsage=false

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from securesystemslib.exceptions import StorageError
from securesystemslib.signer import CryptoSigner, SSlibKey
from tuf.api.exceptions import RepositoryError
from tuf.api.metadata import Metadata, MetaFile, Root, Signature, Snapshot, TargetFile, Targets, Timestamp

from lienthong.directory.document import DirectoryMalformed
from lienthong.directory.tuf.chain import TARGET, first_root, take_root
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust.keys import PrivateKey, PublicKey

ONLINE_ROLES: Final = ("timestamp", "snapshot", "targets")
LIFETIME: Final = timedelta(hours=24)
ROOT_LIFETIME: Final = timedelta(days=365)


class CeremonyIncomplete(Problem):
    """The draft of the root can not be finished: signatures or keys are missing, or a copy is of another draft."""

    kind = "ceremony-incomplete"
    status = 422
    side = "caller"
    title = T("The key ceremony is not complete")


@dataclass(frozen=True, slots=True)
class OnlineKeys:
    """The national node's own keys, one a role; and the key (JWK) that signs its revocation notes."""

    timestamp: PrivateKey
    snapshot: PrivateKey
    targets: PrivateKey
    notes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Signing:
    """One signature of a root, for the protocol on paper.  Name and time are the signer's word, not signed."""

    keyid: str
    signer: str
    signed_at: str


def write_metadata(document: bytes, version: int, keys: OnlineKeys, now: datetime) -> dict[str, bytes]:
    """File name to content of everything followers need for ``document`` besides the root."""
    expires = (now + LIFETIME).replace(microsecond=0)
    sha256 = hashlib.sha256(document).hexdigest()
    target = TargetFile(len(document), {"sha256": sha256}, TARGET, {"custom": {"notes_key": dict(keys.notes)}})
    targets = _signed(Targets(version, expires=expires, targets={TARGET: target}), keys.targets)
    snapshot = _signed(
        Snapshot(version, expires=expires, meta={"targets.json": _meta(version, targets)}), keys.snapshot
    )
    timestamp = _signed(Timestamp(version, expires=expires, snapshot_meta=_meta(version, snapshot)), keys.timestamp)
    return {
        f"{sha256}.{TARGET}": document,
        f"{version}.targets.json": targets,
        f"{version}.snapshot.json": snapshot,
        "timestamp.json": timestamp,
    }


def draft_root(
    root_keys: Sequence[PublicKey],
    threshold: int,
    online: Mapping[str, PublicKey],
    now: datetime,
    previous: bytes | None = None,
) -> bytes:
    """An unsigned root: the first, or the one that follows ``previous``.  Raises CeremonyIncomplete."""
    if not 1 <= threshold <= len(set(map(_key_id, root_keys))) or {*online} != {*ONLINE_ROLES}:
        raise CeremonyIncomplete(
            T("A root needs at least as many different keys as its threshold, and the three online keys."),
            mend=T("Collect the public halves first: one file from each keeper, one from the national node."),
        )
    version = 1 if previous is None else _root(previous).signed.version + 1
    root = Root(version, expires=(now + ROOT_LIFETIME).replace(microsecond=0), consistent_snapshot=True)
    for key in root_keys:
        root.add_key(SSlibKey.from_crypto(key), "root")
    root.roles["root"].threshold = threshold
    for role in ONLINE_ROLES:
        root.add_key(SSlibKey.from_crypto(online[role]), role)
    return Metadata(root).to_bytes()


def sign_root(draft: bytes, key: PrivateKey, signer: str, now: datetime) -> bytes:
    """``draft`` with one more signature."""
    metadata = _root(draft)
    signature = metadata.sign(_signer(key), append=True)
    signature.unrecognized_fields |= {"signer": signer, "signed_at": now.isoformat(timespec="seconds")}
    return metadata.to_bytes()


def finish_root(copies: Sequence[bytes], previous: bytes | None) -> bytes:
    """One root with the signatures of all copies, accepted exactly as a follower accepts it.

    ``previous`` is the root it follows.  Raises CeremonyIncomplete, DirectoryUnsigned, DirectoryRollback.
    """
    first = _root(copies[0])
    for copy in map(_root, copies[1:]):
        if copy.signed_bytes != first.signed_bytes:
            raise CeremonyIncomplete(
                T("The copies are not of one draft."), mend=T("Collect the copies that were signed today.")
            )
        first.signatures |= copy.signatures
    done = first.to_bytes()
    if previous is not None:
        take_root(first_root(previous), done)
    first_root(done)
    return done


def signings(root: bytes) -> list[Signing]:
    """Who signed a root, by key id."""
    listed: list[Signature] = sorted(_root(root).signatures.values(), key=lambda one: one.keyid)
    told = [(one.keyid, one.unrecognized_fields) for one in listed]
    return [Signing(keyid, str(said.get("signer", "")), str(said.get("signed_at", ""))) for keyid, said in told]


def root_facts(root: bytes) -> tuple[int, datetime, int, list[str]]:
    """Version, expiry, threshold and key ids of a root."""
    signed = _root(root).signed
    role = signed.roles["root"]
    return signed.version, signed.expires, role.threshold, list(role.keyids)


def _root(octets: bytes) -> Metadata[Root]:
    try:
        metadata: Metadata[Any] = Metadata.from_bytes(octets)  # Any: of any role until looked at
    except (RepositoryError, StorageError, ValueError, KeyError, TypeError, AttributeError) as malformed:
        raise DirectoryMalformed(T("The file is no root of the directory.")) from malformed
    if not isinstance(metadata.signed, Root):
        raise DirectoryMalformed(T("The file is no root of the directory."))
    return metadata


def _meta(version: int, content: bytes) -> MetaFile:
    return MetaFile(version, len(content), {"sha256": hashlib.sha256(content).hexdigest()})


def _signed(role: Any, key: PrivateKey) -> bytes:
    # Any: a union of the three roles is none of the types that the library's class is made for.
    metadata: Metadata[Any] = Metadata(role)
    metadata.sign(_signer(key))
    return metadata.to_bytes()


def _signer(key: PrivateKey) -> CryptoSigner:
    return CryptoSigner(key, SSlibKey.from_crypto(key.public_key()))


def _key_id(key: PublicKey) -> str:
    return SSlibKey.from_crypto(key).keyid
