"""Keys and certificate as they lie on disk, and what the directory says of them."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.i18n import T
from lienthong.node.certificates import TLS_KEY, fingerprint
from lienthong.node.certificates import shown as shown_file
from lienthong.node.checks import SOON
from lienthong.node.prepare import LOG_KEY, key_names
from lienthong.trust.keys import UnusableKey, key_id, private_from_pem, public_jwk

Key = ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
IDENTITY = T("Send the output of lienthong node identity to the national node, or restore the old one from the backup.")
RESTORE = T("Restore the file from the backup; a new key must first be listed by the directory.")


async def keys(patient: Patient) -> list[Fault]:
    """Every key that the node signs with: there, readable, opened by its password, listed."""
    if not patient.keys.is_dir():
        return []
    faults: list[Fault] = []
    for name in (TLS_KEY, LOG_KEY):
        key = opened(patient, name)
        if isinstance(key, Fault):
            faults.append(key)
    for member in patient.settings.members:
        held = [opened(patient, name) for name in key_names(lambda name: _file(patient, name).exists(), member)]
        faults += [key for key in held if isinstance(key, Fault)]
        told = [_listed(patient, member, key) for key in held if isinstance(key, ec.EllipticCurvePrivateKey)]
        # Any key that counts will do; the newest may still wait for the directory, the oldest have ended.
        faults += next((found for found in reversed(told) if not found), told[-1] if told else [])
    return faults


async def certificate(patient: Patient) -> list[Fault]:
    """The TLS certificate: there, in its term, of our key, listed."""
    node = patient.snapshot.node(patient.settings.node) if patient.snapshot else None
    path = shown_file(patient.keys, node.tls_sha256 if node else ())
    if not patient.keys.is_dir():
        return []
    try:
        shown = x509.load_pem_x509_certificate(path.read_bytes())
    except OSError:
        return [
            Fault(
                "certificate-missing",
                T("The certificate {file} is missing or can not be read."),
                RESTORE,
                {"file": str(path)},
            )
        ]
    except ValueError:
        return [Fault("certificate-broken", T("{file} is no certificate."), RESTORE, {"file": str(path)})]
    faults: list[Fault] = []
    day = shown.not_valid_after_utc.date().isoformat()
    if patient.now >= shown.not_valid_after_utc:
        faults.append(
            Fault(
                "certificate-expired",
                T("The node's TLS certificate ended on {day}: no peer accepts it."),
                T("Make a new one and have the directory list it: lienthong directory change certificate."),
                {"day": day},
            )
        )
    elif patient.now + SOON >= shown.not_valid_after_utc:
        faults.append(
            Fault(
                "certificate-ends-soon",
                T("The node's TLS certificate ends on {day}."),
                T("Make a new one and have the directory list it: lienthong directory change certificate."),
                {"day": day},
                grave=False,
            )
        )
    key = opened(patient, path.stem)
    if not isinstance(key, Fault) and _spki(key) != _spki_of(shown):
        faults.append(
            Fault("certificate-mismatch", T("The certificate does not belong to the key beside it."), RESTORE)
        )
    if node is not None and fingerprint(path.read_text("ascii")) not in node.tls_sha256:
        faults.append(
            Fault(
                "certificate-not-listed",
                T("The directory does not list the certificate that this node shows: peers refuse it."),
                IDENTITY,
            )
        )
    return faults


def opened(patient: Patient, name: str) -> Key | Fault:
    """The key called ``name``, or what keeps it from being used; nothing is made that is not there."""
    path = _file(patient, name)
    password = patient.settings.data / "secrets" / "key-password"
    try:
        content, secret = path.read_bytes(), bytes.fromhex(password.read_text("ascii")).hex().encode()
    except FileNotFoundError as missing:
        lost = Path(str(missing.filename))
        return Fault("key-missing", T("The file {file} is missing."), RESTORE, {"file": str(lost)})
    except (OSError, ValueError):
        return Fault(
            "key-unreadable",
            T("The key {file} can not be read by this account."),
            T("Run the doctor and the node under the account that owns the data folder."),
            {"file": str(path)},
        )
    try:
        return private_from_pem(content, secret)
    except UnusableKey:
        if b"-----BEGIN" not in content:
            return Fault("key-broken", T("{file} is no key."), RESTORE, {"file": str(path)})
        return Fault(
            "key-password-wrong",
            T("The password in {password} does not open the key {file}."),
            T("Key and password were restored from different backups: restore both from one."),
            {"file": str(path), "password": str(password)},
        )


def _file(patient: Patient, name: str) -> Path:
    return patient.keys / (name.replace("/", "-") + ".pem")


def _listed(patient: Patient, member: str, key: ec.EllipticCurvePrivateKey) -> list[Fault]:
    if patient.snapshot is None:
        return []
    known = patient.snapshot.member(member)
    if known is None or known.state == "closed":
        return [
            Fault(
                "member-not-active",
                T("The directory has no active member {member}."),
                T("Have the national node admit it, or take it out of members."),
                {"member": member},
            )
        ]
    found = patient.snapshot.key(key_id(public_jwk(key)))
    if found is None or found[1].id != member or not found[0].valid_at(patient.now):
        return [
            Fault(
                "key-not-listed",
                T("The directory does not list the key with which this node signs for {member}: nobody accepts it."),
                IDENTITY,
                {"member": member},
            )
        ]
    if not found[0].valid_at(patient.now + timedelta(days=SOON.days)):
        return [
            Fault(
                "key-ends-soon",
                T("The key of {member} ends on {day}."),
                T("Have the directory list its next key before that day."),
                {"member": member, "day": found[0].valid_to.date().isoformat()},
                grave=False,
            )
        ]
    return []


def _spki(key: Key) -> bytes:
    return key.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)


def _spki_of(shown: x509.Certificate) -> bytes:
    return shown.public_key().public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
