"""The TLS certificates of a node: the one it shows, the next one while both count, and when to change.

Self-signed and pinned through the directory.  Promises: a process shows a new certificate only once the directory has
listed it for ``AHEAD_S``, when every follower has heard of it, or when nothing else of ours counts any more.
"""

from __future__ import annotations

import hashlib
import ipaddress
import os
import re
import time
from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.exchange.peer import OwnCertificate
from lienthong.storage.keyring import Keyring
from lienthong.storage.objects import changed_at

CERTIFICATE_DAYS: Final = 365
AHEAD_S: Final = 120.0
TLS_KEY: Final = "node-tls"
_FILE: Final = re.compile(r"node-tls(?:-([1-9][0-9]*))?\.crt\Z")


@dataclass(slots=True)
class CertificateChoice:
    """Which of its certificates one process shows."""

    settings: Settings
    keyring: Keyring
    ahead_s: float = AHEAD_S
    _listed_since: dict[str, float] = field(default_factory=dict[str, float])

    def own(self, snapshot: Snapshot | None, *, now_s: float | None = None) -> OwnCertificate:
        """The one to show: the newest that the directory has listed long enough, else the oldest it lists."""
        if not (files := held(_folder(self.settings))):
            certificate(self.settings, self.keyring)
            files = held(_folder(self.settings))
        now_s = time.monotonic() if now_s is None else now_s
        node = snapshot.node(self.settings.node) if snapshot else None
        listed = [path for path in files if node and fingerprint_of(path) in node.tls_sha256]
        for path in listed:
            self._listed_since.setdefault(path.name, now_s)
        settled = [path for path in listed if now_s - self._listed_since[path.name] >= self.ahead_s]
        first = listed[:1] or files[:1]
        return _own(self.keyring, (settled or first)[-1])


def certificate(settings: Settings, keyring: Keyring) -> str:
    """PEM of the node's first TLS certificate, made when there is none."""
    path = _folder(settings) / "node-tls.crt"
    if not path.exists():
        _make(settings, keyring, path)
    return path.read_text("ascii")


def newest_certificate(settings: Settings, keyring: Keyring) -> str:
    """PEM of the last certificate that was made: what the node tells of itself."""
    certificate(settings, keyring)
    return held(_folder(settings))[-1].read_text("ascii")


def next_certificate(settings: Settings, keyring: Keyring, snapshot: Snapshot) -> str:
    """PEM of the certificate to have listed next: the newest while the directory does not list it, else a new one."""
    newest = newest_certificate(settings, keyring)
    node = snapshot.node(settings.node)
    if node is not None and fingerprint(newest) not in node.tls_sha256:
        return newest
    last = _FILE.match(held(_folder(settings))[-1].name)
    path = _folder(settings) / f"node-tls-{int(last[1] or 1) + 1 if last else 2}.crt"
    _make(settings, keyring, path)
    return path.read_text("ascii")


def held(keys: Path) -> list[Path]:
    """The certificate files in the folder ``keys``, the oldest first."""
    found = [(int(match[1] or 1), path) for path in keys.glob("node-tls*.crt") if (match := _FILE.match(path.name))]
    return [path for _, path in sorted(found)]


def shown(keys: Path, listed: Collection[str]) -> Path:
    """The newest certificate file that the directory lists; the newest of all, or the first's name, when none is."""
    files = held(keys)
    counting = [path for path in files if fingerprint_of(path) in listed]
    return (counting or files or [keys / "node-tls.crt"])[-1]


def tls_files(settings: Settings, keyring: Keyring) -> tuple[Path, Path, str]:
    """First certificate's file, its encrypted key file, the password: as ``SSLContext.load_cert_chain`` takes them."""
    certificate(settings, keyring)
    own = _own(keyring, held(_folder(settings))[0])
    return own.certificate, own.key, str(own.password)


def fingerprint(pem: str) -> str:
    """SHA-256 of a certificate's DER, lower-case hexadecimal."""
    der = x509.load_pem_x509_certificate(pem.encode("ascii")).public_bytes(serialization.Encoding.DER)
    return fingerprint_of_der(der)


def fingerprint_of_der(der: bytes) -> str:
    """SHA-256 of a certificate's DER, lower-case hexadecimal."""
    return hashlib.sha256(der).hexdigest()


def fingerprint_of(path: Path) -> str:
    """As ``fingerprint``, of a file; empty when it holds no certificate."""
    return _fingerprint_of(path, changed_at(os.fspath(path)))


@lru_cache(maxsize=64)
def _fingerprint_of(path: Path, _changed: int) -> str:
    """Asked for every half second by each process: read again only when the file was written again."""
    try:
        return fingerprint(path.read_text("ascii"))
    except (OSError, ValueError):
        return ""


def _folder(settings: Settings) -> Path:
    return settings.data / "keys"


def _own(keyring: Keyring, path: Path) -> OwnCertificate:
    return OwnCertificate(path, path.with_suffix(".pem"), keyring.secret("key-password").hex())


def _make(settings: Settings, keyring: Keyring, path: Path) -> None:
    key = keyring.es256(path.stem)
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
        # Several certificates bear the node's name: by its key's id a chain finds the right one.
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(
            x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False
        )
        .sign(key, hashes.SHA256())
    )
    path.write_text(made.public_bytes(serialization.Encoding.PEM).decode("ascii"), "ascii")


def _general_name(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        return x509.DNSName(host)
