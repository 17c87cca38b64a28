"""The keys of a node on disk: encrypted PEM files, opened by a password that lies in its own file of mode 0600.

One key per name: a member's signing key, the node's TLS key, the log's checkpoint key, the directory's key.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, ed25519

from lienthong.config import Settings
from lienthong.i18n import T
from lienthong.trust.keys import UnusableKey, generate_ed25519, generate_es256, private_from_pem, private_to_pem
from lienthong.trust.token import Token


class Keyring:
    """Keys under ``folder/keys``, secrets under ``folder/secrets``; both folders have mode 0700."""

    def __init__(self, folder: Path, token: Token | None = None) -> None:
        """``token``: where new keys of members are made; those in files go on; all other keys are files."""
        self._token = token
        self._keys = folder / "keys"
        self._secrets = folder / "secrets"
        for path in (self._keys, self._secrets):
            path.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._opened: dict[str, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey] = {}
        self._read: dict[str, bytes] = {}
        self._password = self.secret("key-password").hex().encode("ascii")

    def secret(self, name: str, size: int = 32) -> bytes:
        """The random secret called ``name``, made on first use; ``size`` bytes of entropy, stored as hexadecimal."""
        if name not in self._read:
            path = self._secrets / name
            if not path.exists():
                _write_once(path, secrets.token_hex(size).encode())
            self._read[name] = bytes.fromhex(path.read_text("ascii"))
        return self._read[name]

    def es256(self, name: str) -> ec.EllipticCurvePrivateKey:
        """The P-256 key called ``name``, made on first use."""
        key = self._load(name)
        if key is None and self._token is not None and _is_a_members(name):
            key = self._opened[name] = self._token.es256(name)
        if key is None:
            key = generate_es256()
            self._save(name, key)
            key = self._load(name)  # the first one written, which may be another process's
        if not isinstance(key, ec.EllipticCurvePrivateKey):
            raise UnusableKey(T("The key {name} is not a P-256 key."), name=name)
        return key

    def ed25519(self, name: str) -> ed25519.Ed25519PrivateKey:
        """The Ed25519 key called ``name``, made on first use."""
        key = self._load(name)
        if key is None:
            key = generate_ed25519()
            self._save(name, key)
            key = self._load(name)  # the first one written, which may be another process's
        if not isinstance(key, ed25519.Ed25519PrivateKey):
            raise UnusableKey(T("The key {name} is not an Ed25519 key."), name=name)
        return key

    def has(self, name: str) -> bool:
        """Whether there is a key called ``name``."""
        in_token = self._token is not None and _is_a_members(name) and self._token.has
        return name in self._opened or self._file(name).exists() or bool(in_token and in_token(name))

    def _file(self, name: str) -> Path:
        return self._keys / (name.replace("/", "-") + ".pem")

    def _load(self, name: str) -> ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey | None:
        """The key called ``name``; a file once written never changes, and opening one takes milliseconds."""
        path = self._file(name)
        if name not in self._opened:
            if not path.exists():
                return None
            self._opened[name] = private_from_pem(path.read_bytes(), self._password)
        return self._opened[name]

    def _save(self, name: str, key: ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey) -> None:
        _write_once(self._file(name), private_to_pem(key, self._password))


def open_keyring(settings: Settings) -> Keyring:
    """The keyring of a node, with its token when it has one."""
    if not settings.pkcs11_module:
        return Keyring(settings.data)
    pin_file = settings.pkcs11_pin_file or settings.data / "secrets" / "token-pin"
    return Keyring(settings.data, Token(settings.pkcs11_module, settings.pkcs11_token, pin_file))


def write_private(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, atomically and durably."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
    temporary.replace(path)


def _is_a_members(name: str) -> bool:
    return "/" in name


def _write_once(path: Path, content: bytes) -> None:
    """Write a file that only its owner may read, whole and durably; one that is there already stays.

    Processes of a node start together: whatever a second one made must not replace what the first already uses.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        os.write(descriptor, content)
        os.fsync(descriptor)
        path.hardlink_to(temporary)
    except FileExistsError:
        pass  # another process was quicker
    finally:
        os.close(descriptor)
        temporary.unlink()
