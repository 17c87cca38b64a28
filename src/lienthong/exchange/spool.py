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

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from lienthong.errors import Problem, Side
from lienthong.exchange.budget import Budget, Share
from lienthong.exchange.guard import too_large
from lienthong.exchange.listen import pieces_of
from lienthong.i18n import T

SPOOL_ABOVE_BYTES: Final = 1024 * 1024
"""Larger bodies are written down, where that is allowed; smaller ones are held."""
PIECE_BYTES: Final = 512 * 1024
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
        self._key, self._start = os.urandom(32), os.urandom(16)
        self._encryptor = Cipher(AES(self._key), CTR(self._start)).encryptor()
        self._sha256 = hashlib.sha256()
        self._sha512 = hashlib.sha512() if also_sha512 else None
        self._waiting = bytearray()
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
            await self.end()

    async def end(self) -> None:
        """Write down what was added.  Raises RequestNotKept."""
        waiting, self._waiting = self._waiting, bytearray()
        if waiting:
            await asyncio.to_thread(self._write, waiting)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The body in pieces.  Raises RequestNotKept before the last one when they are not what was written."""
        decryptor = Cipher(AES(self._key), CTR(self._start)).decryptor()
        seen = hashlib.sha256()

        def read(at: int) -> bytes:
            length = min(PIECE_BYTES, self.size_bytes - at)
            sealed = os.pread(self._file.fileno(), length, at)
            piece = decryptor.update(sealed)
            seen.update(piece)
            whole = at + length < self.size_bytes or seen.digest() == self._sha256.digest()
            if len(piece) != length or not whole:
                raise OSError(None, "changed on the disk")
            return piece

        for at in range(0, self.size_bytes, PIECE_BYTES):
            try:
                yield await asyncio.to_thread(read, at)
            except OSError as failed:
                raise _not_kept(failed) from None

    def close(self) -> None:
        """Forget the body."""
        self._file.close()

    def _write(self, waiting: bytearray) -> None:
        self._sha256.update(waiting)
        if self._sha512 is not None:
            self._sha512.update(waiting)
        left = memoryview(self._encryptor.update(waiting))
        try:
            while left:
                left = left[os.write(self._file.fileno(), left) :]
        except OSError as failed:
            raise _not_kept(failed) from None


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
