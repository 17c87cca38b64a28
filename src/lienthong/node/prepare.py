"""Before a node serves: its keys, its TLS certificate, its database; and what it tells the directory of itself.

Everything here can be done again without harm: what exists is kept.
"""

from __future__ import annotations

import hashlib
import ipaddress
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId
from lienthong.exchange.signed import LocalKey
from lienthong.storage.keyring import Keyring
from lienthong.trust.cosign import CosignerKey
from lienthong.trust.keys import key_id, public_jwk
from lienthong.trust.note import VerifierKey

CERTIFICATE_DAYS = 365
TLS_KEY = "node-tls"
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
    pem = certificate(settings, keyring)
    origin = log_origin(settings)
    return NodeIdentity(
        node=settings.node,
        members={member: public_jwk(keyring.es256(member)) for member in settings.members},
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
    """The signing keys of the members this node acts for."""
    keys: dict[MemberId, LocalKey] = {}
    for member in settings.members:
        key = keyring.es256(member)
        jwk = public_jwk(key)
        keys[MemberId(member)] = LocalKey(MemberId(member), key, key_id(jwk), jwk)
    return keys


def renew_keys(
    keys: dict[MemberId, LocalKey], settings: Settings, keyring: Keyring, snapshot: Snapshot, now: datetime
) -> None:
    """Sign with each member's next key from the moment the directory lets it count; the old one stays on disk."""
    for name in settings.members:
        member = MemberId(name)
        if member not in keys or not keyring.has(_next_name(member)):
            continue
        key = keyring.es256(_next_name(member))
        jwk = public_jwk(key)
        if keys[member].keyid != key_id(jwk) and snapshot.signing_key(key_id(jwk), now) is not None:
            keys[member] = LocalKey(member, key, key_id(jwk), jwk)


def next_key(keyring: Keyring, member: str) -> EllipticCurvePrivateKey:
    """The member's next key; made on first use, and not used before the directory lists it."""
    return keyring.es256(_next_name(member))


def current_key(keyring: Keyring, member: str) -> EllipticCurvePrivateKey:
    """The key that the member has signed with so far."""
    return keyring.es256(member)


def _next_name(member: str) -> str:
    return f"{member}+next"


def certificate(settings: Settings, keyring: Keyring) -> str:
    """PEM of the node's TLS certificate for the peer listener; self-signed, pinned through the directory."""
    path = settings.data / "keys" / "node-tls.crt"
    if path.exists():
        return path.read_text("ascii")
    key = keyring.es256(TLS_KEY)
    host = urlsplit(settings.peer_url).hostname or "localhost"
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, settings.node)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=CERTIFICATE_DAYS))
        .add_extension(x509.SubjectAlternativeName([_general_name(host)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    pem = made.public_bytes(serialization.Encoding.PEM).decode("ascii")
    path.write_text(pem, "ascii")
    return pem


def tls_files(settings: Settings, keyring: Keyring) -> tuple[Path, Path, str]:
    """Certificate file, encrypted key file and its password, as ``SSLContext.load_cert_chain`` takes them."""
    certificate(settings, keyring)
    return (
        settings.data / "keys" / "node-tls.crt",
        settings.data / "keys" / f"{TLS_KEY}.pem",
        keyring.secret("key-password").hex(),
    )


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate's DER, lower-case hexadecimal."""
    der = x509.load_pem_x509_certificate(pem.encode("ascii")).public_bytes(serialization.Encoding.DER)
    return hashlib.sha256(der).hexdigest()


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
