"""Before a node serves: its keys, and what it tells the directory of itself.

Everything here can be done again without harm: what exists is kept.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId
from lienthong.exchange.signed import LocalKey
from lienthong.node.certificates import fingerprint, newest_certificate
from lienthong.storage.keyring import Keyring
from lienthong.trust.cosign import CosignerKey
from lienthong.trust.keys import key_id, public_jwk
from lienthong.trust.note import VerifierKey

SETTLE = timedelta(seconds=10)
"""How long a key has counted before it signs: twice what two clocks may differ by."""
LOG_KEY = "log"
WITNESS_KEY = "witness"
DIRECTORY_KEY = "directory"
ONLINE_ROLE_KEYS = {role: f"directory-{role}" for role in ("timestamp", "snapshot", "targets")}
"""The national node's keys for the online roles of the directory's metadata."""


@dataclass(frozen=True, slots=True)
class NodeIdentity:
    """What the directory must know of a node: public things only."""

    node: str
    members: Mapping[str, Mapping[str, str]]
    """Member id to public JWK of the key this node signs with."""
    peer_url: str
    public_url: str
    certificate_pem: str
    tls_sha256: str
    log_origin: str
    log_key: str
    witness_key: str
    """C2SP cosignature key with which this node witnesses the others' logs."""


def identity_of(settings: Settings, keyring: Keyring) -> NodeIdentity:
    """The node's identity; keys and certificate are made on first use."""
    pem = newest_certificate(settings, keyring)
    origin = log_origin(settings)
    return NodeIdentity(
        node=settings.node,
        members={member: public_jwk(_held(keyring, MemberId(member))[-1].key) for member in settings.members},
        peer_url=settings.peer_url,
        public_url=settings.public_url,
        certificate_pem=pem,
        tls_sha256=fingerprint(pem),
        log_origin=origin,
        log_key=str(VerifierKey(origin, keyring.ed25519(LOG_KEY).public_key())),
        witness_key=str(CosignerKey(witness_name(settings), keyring.ed25519(WITNESS_KEY).public_key())),
    )


def identity_json(identity: NodeIdentity) -> str:
    """The identity as the file that an operator sends to the national node."""
    return json.dumps(asdict(identity), ensure_ascii=False, indent=2)


def log_origin(settings: Settings) -> str:
    """Name of the node's log in checkpoints: unique in the country, no scheme, stable when addresses change."""
    return f"{settings.instance.lower()}.lienthong/{settings.node}"


def witness_name(settings: Settings) -> str:
    """Name under which the node cosigns: its log's name and one word more, so that neither passes for the other."""
    return f"{log_origin(settings)}/witness"


def local_keys(settings: Settings, keyring: Keyring) -> dict[MemberId, LocalKey]:
    """The first signing keys of the members this node acts for; ``renew_keys`` puts the present ones in their place."""
    return {MemberId(member): _local(MemberId(member), keyring.es256(member)) for member in settings.members}


def renew_keys(
    keys: dict[MemberId, LocalKey], settings: Settings, keyring: Keyring, snapshot: Snapshot, now: datetime
) -> None:
    """Sign for each member with the newest key that the directory lets count, for so long that all clocks say so.

    The keys of before stay on disk; one that ended or was revoked gives way at once to any other that counts.
    """
    for name in settings.members:
        member = MemberId(name)
        if member not in keys:
            continue
        counting = [local for local in _held(keyring, member) if snapshot.signing_key(local.keyid, now) is not None]
        settled = [local for local in counting if snapshot.signing_key(local.keyid, now - SETTLE) is not None]
        if counting:
            keys[member] = (settled or counting)[-1]


def next_key(keyring: Keyring, member: str, snapshot: Snapshot) -> EllipticCurvePrivateKey:
    """The key that the member is to have listed next; not used before the directory lets it count.

    The newest one while the directory does not know it, so that asking twice asks for the same; else a new one.
    """
    held = _held(keyring, MemberId(member))
    if len(held) > 1 and snapshot.key(held[-1].keyid) is None:
        return held[-1].key
    return keyring.es256(_name(member, len(held) + 1))


def current_key(
    settings: Settings, keyring: Keyring, member: str, snapshot: Snapshot | None
) -> EllipticCurvePrivateKey:
    """The key that the member signs with today; without a directory, its newest."""
    if snapshot is None:
        return _held(keyring, MemberId(member))[-1].key
    keys = local_keys(settings, keyring)
    renew_keys(keys, settings, keyring, snapshot, datetime.now(UTC))
    return keys[MemberId(member)].key


def key_names(has: Callable[[str], bool], member: str) -> list[str]:
    """The names of the member's keys on this node, the oldest first; ``has`` says whether there is one so called."""
    names = [member]
    while has(name := _name(member, len(names) + 1)):
        names.append(name)
    return names


def _held(keyring: Keyring, member: MemberId) -> list[LocalKey]:
    """The member's keys on this node, the oldest first."""
    keyring.es256(member)  # made on first use
    return [_local(member, keyring.es256(name)) for name in key_names(keyring.has, member)]


@lru_cache(maxsize=256)
def _local(member: MemberId, key: EllipticCurvePrivateKey) -> LocalKey:
    """The keyring gives the same object for the same key, and each process asks for it twice a second."""
    jwk = public_jwk(key)
    return LocalKey(member, key, key_id(jwk), jwk)


def _name(member: str, generation: int) -> str:
    """How the keyring calls a member's first, second (as before there were more), third key and so on."""
    return f"{member}+next" if generation == 2 else f"{member}+{generation}"
