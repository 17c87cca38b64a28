"""Bodies of requests too large to hold: in a nameless, encrypted file until they have been passed on.

A message is signed over the digest of its body, and nobody acts on a body whose digest does not hold: so a large one is
written down first, on both sides.  Promises: memory does not grow with the body; the file has no name and is gone with
its request; its key is in memory alone; a copy that came to harm on the disk is never passed on as whole.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, ClassVar, Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from lienthong.errors import Problem, Side
from lienthong.exchange.budget import Budget, Share
from lienthong.exchange.guard import too_large
from lienthong.exchange.listen import pieces_of
from lienthong.i18n import T

SPOOL_ABOVE_BYTES: Final = 1024 * 1024
"""Larger bodies are written down, where that is allowed; smaller ones are held."""
PIECE_BYTES: Final = 512 * 1024
_SEALED_BYTES: Final = PIECE_BYTES + 16
"""A piece with its tag; all but the last are full."""
RETRY_AFTER_S: Final = 30


class RequestNotKept(Problem):
    """A large request could not be written down, or not be read back as it was."""

    kind: ClassVar[str] = "request-not-kept"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node could not keep a large request")


class Spool:
    """One body; it can be read any number of times, each time from its start."""

    def __init__(self, folder: Path, *, also_sha512: bool = False) -> None:
        """``also_sha512``: compute that digest too, which X-Road's hash of a request is made of."""
        self._cipher = AESGCM(os.urandom(32))
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512() if also_sha512 else None
        self._waiting = bytearray()
        self._pieces = 0
        self.size_bytes = 0
        """Bytes of the body so far."""
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115 - closed by ``close``
        except OSError as failed:
            raise _not_kept(failed) from None

    @property
    def sha256(self) -> bytes:
        """Digest of the whole body, once it has ended."""
        return self._sha256.digest()

    @property
    def sha512(self) -> bytes:
        """The other digest, where it was asked for."""
        assert self._sha512 is not None  # noqa: S101 - whoever asks for it has asked for it before
        return self._sha512.digest()

    async def write(self, piece: bytes) -> None:
        """Add ``piece``.  Raises RequestNotKept."""
        self.size_bytes += len(piece)
        self._waiting += piece
        if len(self._waiting) >= PIECE_BYTES:
            await asyncio.to_thread(self._write, False)

    async def end(self) -> None:
        """Write down what is left of what was added.  Raises RequestNotKept."""
        if self._waiting:
            await asyncio.to_thread(self._write, True)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces.  Raises RequestNotKept in place of one that is not what was written."""
        for number in range(self._pieces):
            yield await asyncio.to_thread(self._read, number)

    def close(self) -> None:
        """Forget the body."""
        self._file.close()

    def _write(self, all_of_it: bool) -> None:
        whole = len(self._waiting) if all_of_it else len(self._waiting) // PIECE_BYTES * PIECE_BYTES
        waiting = bytes(self._waiting[:whole])
        del self._waiting[:whole]
        self._sha256.update(waiting)
        if self._sha512 is not None:
            self._sha512.update(waiting)
        try:
            for start in range(0, whole, PIECE_BYTES):
                left = memoryview(
                    self._cipher.encrypt(_nonce(self._pieces), waiting[start : start + PIECE_BYTES], None)
                )
                self._pieces += 1
                while left:
                    left = left[os.write(self._file.fileno(), left) :]
        except OSError as failed:
            raise _not_kept(failed) from None

    def _read(self, number: int) -> bytes:
        try:
            sealed = os.pread(self._file.fileno(), _SEALED_BYTES, number * _SEALED_BYTES)
            return self._cipher.decrypt(_nonce(number), sealed, None)
        except OSError as failed:
            raise _not_kept(failed) from None
        except InvalidTag:
            raise _not_kept(OSError(None, "changed on the disk")) from None


def _nonce(number: int) -> bytes:
    """Of a piece: the key is used for one body alone, so its number is enough."""
    return number.to_bytes(12, "big")


class Spools:
    """Where the process writes large requests down, and how much of them at once."""

    def __init__(self, folder: Path, most_bytes: int) -> None:
        self._folder = folder
        self._budget = Budget(most_bytes)

    def room(self, *, also_sha512: bool = False) -> Room:
        """For the body of one request; to be used as a context that forgets it."""
        return Room(self._folder, self._budget.share(), also_sha512=also_sha512)


class Room:
    """Takes one request's body, held or written down."""

    __slots__ = ("_also_sha512", "_folder", "_share", "large")

    def __init__(self, folder: Path, share: Share, *, also_sha512: bool) -> None:
        self._folder = folder
        self._share = share
        self._also_sha512 = also_sha512
        self.large: Spool | None = None
        """The body, where it is too large to hold."""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        if self.large is not None:
            self.large.close()
            self._share.__exit__()

    async def take(
        self,
        receive: Callable[[], Awaitable[Any]],
        *,
        announced: int,
        most_bytes: int,
        hold: Callable[[int], None],
        expect: Callable[[], object],
    ) -> bytes:
        """The body, or nothing and ``large``; ``expect`` refuses those who may not send a large one.

        ``announced``: the request's Content-Length, 0 where there is none.  ``hold`` is told of bytes held in memory.
        Raises BodyTooLarge, CallerGone, MemoryBudgetSpent, RequestNotKept, and what ``expect`` raises; the last before
        a client that waits for 100 Continue has sent anything.
        """
        if announced > SPOOL_ABOVE_BYTES:
            expect()
        held: list[bytes] = []
        size = 0
        async for piece in pieces_of(receive):
            size += len(piece)
            if size > most_bytes:
                raise too_large(most_bytes)
            if size <= SPOOL_ABOVE_BYTES:
                hold(len(piece))
                held.append(piece)
                continue
            self._share.grow(len(piece))
            if self.large is None:
                if announced <= SPOOL_ABOVE_BYTES:
                    expect()
                self.large = Spool(self._folder, also_sha512=self._also_sha512)
                self._share.grow(size - len(piece))
                for before in held:
                    await self.large.write(before)
                held.clear()
            await self.large.write(piece)
        if self.large is not None:
            await self.large.end()
        return held[0] if len(held) == 1 else b"".join(held)


def announced_bytes(content_length: str | bytes | None) -> int:
    """What a Content-Length field says that the listener has let through; 0 where there is none."""
    return int(content_length) if content_length else 0


def _not_kept(failed: OSError) -> RequestNotKept:
    return RequestNotKept(
        T("The node could not write a large request down: {reason}."),
        mend=T("Try again later; the node's operator looks whether its disk is full."),
        reason=failed.strerror or type(failed).__name__,
        retry_after_s=RETRY_AFTER_S,
    )
