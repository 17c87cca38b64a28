"""Passwords: hashed with Argon2id (RFC 9106), checked in the same time whether or not there is one.

Parameters are RFC 9106's second recommendation (section 4): 64 MiB, three passes, four lanes.  Rules follow NIST
SP 800-63B-4: length counts, kinds of characters do not.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import secrets
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import ClassVar, Final

from cryptography.exceptions import InvalidKey
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.law.text import fold

LEAST: Final = 12
MOST: Final = 256
_AT_ONCE: Final = 2
"""A hash takes 64 MiB and a tenth of a second of a core: more at once would only wait for one another."""
_FEW: Final = 5
"""A password needs this many different characters."""
_KNOWN: Final = ("matkhau", "password", "qwerty", "123456", "abcdef", "lienthong", "vietnam", "admin")
_LETTERS: Final = "abcdefghjkmnpqrstuvwxyz23456789"


class WeakPassword(Problem):
    """The new password is too short, or one of the first that anybody would try."""

    kind: ClassVar[str] = "weak-password"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Please choose another password")


def check_new(password: str, *, own_words: tuple[str, ...] = ()) -> None:
    """Raise WeakPassword unless ``password`` may be chosen; ``own_words`` (name, login) are what is tried first."""
    plain = fold(password).replace(" ", "")
    if not LEAST <= len(password) <= MOST:
        raise WeakPassword(T("A password has {least} to {most} characters; several words are good."),
                           least=LEAST, most=MOST)  # fmt: skip
    left = plain
    for word in (*_KNOWN, *(fold(each).replace(" ", "") for each in own_words)):
        left = left.replace(word, "") if len(word) > 2 else left
    if len(set(plain)) < _FEW or len(left) < LEAST // 2:
        raise WeakPassword(T("This password would be among the first that are tried; choose several unrelated words."))


def made_up() -> str:
    """A random first password of 20 characters that can be read aloud (98 bits)."""
    return "-".join("".join(secrets.choice(_LETTERS) for _ in range(5)) for _ in range(4))


async def encoded(password: str) -> str:
    """The Argon2id hash in its text form."""
    return await asyncio.get_running_loop().run_in_executor(_workers(), _encode, password)


async def matches(password: str, kept: str | None) -> bool:
    """Whether ``password`` is the one behind ``kept``; takes as long when ``kept`` is None."""
    compared = kept if kept is not None else _nobodys()
    right = await asyncio.get_running_loop().run_in_executor(_workers(), _verify, password[:MOST], compared)
    return right and kept is not None


def digest(secret: str) -> bytes:
    """What is kept of a random secret (session, link, token): SHA-256, for there is nothing to guess."""
    return hashlib.sha256(secret.encode()).digest()


def _encode(password: str) -> str:
    hashing = Argon2id(salt=os.urandom(16), length=32, iterations=3, lanes=4, memory_cost=64 * 1024)
    return hashing.derive_phc_encoded(password.encode())


def _verify(password: str, kept: str) -> bool:
    try:
        Argon2id.verify_phc_encoded(password.encode(), kept)
    except InvalidKey:
        return False
    return True


@cache
def _nobodys() -> str:
    """A hash to compare with where there is no account: with the same parameters, of a password nobody knows."""
    return _encode(secrets.token_urlsafe(32))


@cache
def _workers() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="passwords")
