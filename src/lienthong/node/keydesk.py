"""The node's keys as its page shows them: files and token beside what the directory lists and what was revoked."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, MemberKey, Node
from lienthong.errors import Problem
from lienthong.node.certificates import fingerprint_of, held, shown
from lienthong.node.local import Local
from lienthong.node.prepare import (
    LOG_KEY,
    WITNESS_KEY,
    current_key,
    key_names,
    log_origin,
    witness_name,
)
from lienthong.portal.keys import KeyLine, KeysPage, KeyState
from lienthong.trust.cosign import CosignerKey
from lienthong.trust.keys import key_id, public_jwk
from lienthong.trust.note import VerifierKey


class NodeKeyDesk:
    """See ``portal.keys.ReadKeys``."""

    def __init__(self, local: Local) -> None:
        self._local = local

    async def keys(self, member: str) -> KeysPage:
        """The keys of this node that matter to ``member``."""
        return await asyncio.to_thread(self._keys, member)

    def _keys(self, member: str) -> KeysPage:
        settings, now = self._local.settings, datetime.now(UTC)
        snapshot = _snapshot(self._local)
        node = snapshot.node(settings.node) if snapshot else None
        lines = (*self._signing(member, snapshot, now), *self._certificates(node, now), *self._others(node))
        return KeysPage(now, settings.node, lines, snapshot.version if snapshot else None)

    def _signing(self, member: str, snapshot: Snapshot | None, now: datetime) -> list[KeyLine]:
        settings, keyring = self._local.settings, self._local.keyring
        known = snapshot.member(member) if snapshot else None
        listed = {each.keyid: each for each in known.keys} if known else {}
        lines: list[KeyLine] = []
        if member in settings.members:
            used = key_id(public_jwk(current_key(settings, keyring, MemberId(member), snapshot)))
            names = key_names(keyring.has, member)
            for name in names:
                keyid = key_id(public_jwk(keyring.es256(name)))
                newest = name == names[-1] and len(names) > 1
                lines.append(self._line(name, keyid, listed.pop(keyid, None), used, now, newest=newest))
        for each in listed.values():
            state = "ended" if now >= each.valid_to else "missing" if each.node == settings.node else "elsewhere"
            lines.append(
                KeyLine("signing", each.keyid, self._revoked("key", each.keyid) or state, since=each.valid_from,
                        ends=each.valid_to, node="" if each.node == settings.node else each.node)
            )  # fmt: skip
        return lines

    def _line(
        self, name: str, keyid: str, listed: MemberKey | None, used: str, now: datetime, *, newest: bool
    ) -> KeyLine:
        made = _made(_file(self._local.settings, name))
        in_token = made is None and bool(self._local.settings.pkcs11_module)
        line = KeyLine("signing", keyid, "next" if newest else "unlisted", made, listed=False, in_token=in_token)
        if revoked := self._revoked("key", keyid):
            return _as(line, revoked, listed)
        if listed is None:
            return line
        state: KeyState = (
            "ended" if now >= listed.valid_to
            else "coming" if now < listed.valid_from
            else "used" if keyid == used else "counts"
        )  # fmt: skip
        return _as(line, state, listed)

    def _certificates(self, node: Node | None, now: datetime) -> list[KeyLine]:
        folder = self._local.settings.data / "keys"
        files, used = held(folder), shown(folder, node.tls_sha256 if node else ())
        lines: list[KeyLine] = []
        for path in files:
            try:
                read = x509.load_pem_x509_certificate(path.read_bytes())
            except (OSError, ValueError):
                continue  # the doctor says so
            sha256 = fingerprint_of(path)
            listed = node is not None and sha256 in node.tls_sha256
            since, ends = read.not_valid_before_utc, read.not_valid_after_utc
            newest = path == files[-1] and len(files) > 1
            state: KeyState = (
                "ended" if now >= ends
                else "used" if listed and path == used
                else "counts" if listed
                else "next" if newest else "unlisted"
            )  # fmt: skip
            revoked = self._revoked("certificate", sha256)
            lines.append(
                KeyLine("certificate", sha256, revoked or state, _made(path), since, ends, listed=listed)
            )  # fmt: skip
        return lines

    def _others(self, node: Node | None) -> list[KeyLine]:
        settings, keyring = self._local.settings, self._local.keyring
        log = str(VerifierKey(log_origin(settings), keyring.ed25519(LOG_KEY).public_key()))
        witness = str(CosignerKey(witness_name(settings), keyring.ed25519(WITNESS_KEY).public_key()))
        named = node is not None
        return [
            KeyLine("log", log, "used" if named and node.log_key == log else "unlisted",
                    _made(_file(settings, LOG_KEY)), listed=named and node.log_key == log),
            KeyLine("witness", witness, "used" if named and node.witness_key == witness else "unlisted",
                    _made(_file(settings, WITNESS_KEY)), listed=named and node.witness_key == witness),
        ]  # fmt: skip

    def _revoked(self, kind: str, subject: str) -> KeyState | None:
        notes = self._local.directory.notes
        found = any(each.kind == kind and each.subject == subject for each in notes.revocations) if notes else False
        return "revoked" if found else None


def _as(line: KeyLine, state: KeyState, listed: MemberKey | None) -> KeyLine:
    return KeyLine(
        line.kind, line.id, state, line.made, listed.valid_from if listed else None,
        listed.valid_to if listed else None, listed is not None, line.in_token,
    )  # fmt: skip


def _file(settings: Settings, name: str) -> Path:
    return settings.data / "keys" / (name.replace("/", "-") + ".pem")


def _made(path: Path) -> datetime | None:
    """When the file was written: a key's file never changes; None when there is none."""
    try:
        return datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError:
        return None


def _snapshot(local: Local) -> Snapshot | None:
    try:
        return local.directory.snapshot()
    except Problem:
        return None
