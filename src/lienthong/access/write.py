"""Writing records durably: nothing leaves a node before ``RecordWriter.append`` has returned.

Each record goes with an encrypted detail (message signatures with their bases, salts) that a dated rule may erase
later; the leaf stays for ever.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import orjson

from lienthong.access.models import Record, record_hash, write_record
from lienthong.storage.copy import GroupCommit
from lienthong.trust.seal import Seal

COLUMNS = ("hash", "leaf", "detail")


def _never() -> None:
    """Everything may be recorded."""


class RecordWriter:
    """Appends records by group commit; safe to share among all tasks of a process."""

    def __init__(self, commit: GroupCommit, seal: Seal, refuse: Callable[[], None] = _never) -> None:
        """``refuse`` raises a Problem while nothing may be recorded (the log is in recovery)."""
        self._commit = commit
        self._seal = seal
        self._refuse = refuse

    def check(self) -> None:
        """Raise the Problem for which nothing may be recorded now: then do nothing that must be on record."""
        self._refuse()

    async def append(self, record: Record, detail: Mapping[str, object] | None = None) -> bytes:
        """Write ``record`` and return its 32-byte hash once it is on disk.

        Raises Problem ``no-record`` (503) when the database did not take it: then nothing may leave.
        """
        leaf = write_record(record)
        named = record_hash(leaf)
        await self.append_leaf(leaf, named, detail)
        return named

    async def append_leaf(self, leaf: bytes, named: bytes, detail: Mapping[str, object] | None) -> None:
        """Write a leaf whose hash the caller already signed into a message."""
        self._refuse()
        sealed = self._seal.encrypt(orjson.dumps(detail), named) if detail else None
        await self._commit.append((named, leaf, sealed))
