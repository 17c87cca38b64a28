"""Sealing: the detail beside a record is encrypted, what must not be guessed is committed to with a salt.

The leaf of the log holds no personal data; what could be traced to a person lies sealed beside it and can be erased.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from hashlib import sha256

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lienthong.errors import Problem
from lienthong.i18n import T

KEY_BYTES = 32
NONCE_BYTES = 12
SALT_BYTES = 16


class SealBroken(Problem):
    """Sealed bytes that no key here opens, or that belong to another place."""

    kind = "seal-broken"
    status = 500
    side = "node"
    title = T("Stored detail cannot be opened")


class Seal:
    """AES-256-GCM under a key named by one byte, so that a new key can take over while the old one still opens.

    Nonces are random: one key may seal 2**32 times; change it with the log's half-year shard, which stays below.
    """

    def __init__(self, key: bytes, *, key_id: int = 0, older: Mapping[int, bytes] | None = None) -> None:
        self._id = key_id
        keys = {**(older or {}), key_id: key}
        if any(len(one) != KEY_BYTES for one in keys.values()) or not all(0 <= named <= 255 for named in keys):
            raise ValueError("a seal's keys have 32 bytes and a name of one byte")
        self._ciphers = {named: AESGCM(one) for named, one in keys.items()}

    def encrypt(self, plain: bytes, place: bytes = b"") -> bytes:
        """Key id, nonce, ciphertext.  It opens only with the same ``place`` (what it belongs to: a record's hash)."""
        nonce = os.urandom(NONCE_BYTES)
        named = bytes([self._id])
        return named + nonce + self._ciphers[self._id].encrypt(nonce, plain, named + place)

    def decrypt(self, sealed: bytes, place: bytes = b"") -> bytes:
        """The inverse of ``encrypt``; raises SealBroken."""
        named, nonce, secret = sealed[:1], sealed[1 : 1 + NONCE_BYTES], sealed[1 + NONCE_BYTES :]
        cipher = self._ciphers.get(named[0]) if named else None
        if cipher is None:
            raise SealBroken(
                T("The key that sealed this detail is not known here."),
                mend=T("Put the older seal key back into the node's settings."),
            )
        try:
            return cipher.decrypt(nonce, secret, named + place)
        except (InvalidTag, ValueError):  # ValueError: cut so short that the nonce is not whole
            raise SealBroken(T("The sealed detail was altered or belongs to another record.")) from None


def new_salt() -> bytes:
    """16 random bytes for one commitment."""
    return os.urandom(SALT_BYTES)


def commitment(salt: bytes, text: str) -> bytes:
    """SHA-256(salt || UTF-8 of ``text``); the salt has a fixed length, so no two pairs run together the same."""
    if len(salt) != SALT_BYTES:
        raise ValueError(f"a salt has {SALT_BYTES} bytes")
    return sha256(salt + text.encode()).digest()
