"""A log is a chain of half-year shards: a closed one is frozen by a final checkpoint, and its root opens the next.

The first shard bears the log's own name, later ones the name and the half-year.  The database counts through all of
them: the closing of a shard takes one number (that of its final checkpoint), the entry that links the next shard to it
another; neither is a record.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Final

from lienthong.trust.note import Checkpoint, VerifierKey

SHARD_NAME: Final = re.compile(r"[1-9][0-9]{3}h[12]")
VIETNAM: Final = timezone(timedelta(hours=7))
"""UTC+7, without summer time."""
FINAL: Final = "final "
"""How the extension line of a final checkpoint begins; the origin of the next shard follows."""


@dataclass(frozen=True, slots=True)
class Shard:
    """One shard as the database counts it."""

    name: str
    """Half-year in its name, such as ``2027h1``; empty for the first shard."""
    half: str
    """The last half-year whose records it takes."""
    begin: int
    """Number of its first entry."""
    end: int | None
    """Number after its last entry once it is frozen; its final checkpoint is kept under ``end + 1``."""

    def size(self, counted: int) -> int:
        """How many entries it has in a log that counts ``counted`` numbers."""
        return (counted if self.end is None else self.end) - self.begin

    @property
    def last(self) -> int | None:
        """Number of its final checkpoint; None while it is open."""
        return None if self.end is None else self.end + 1


def half_year(at: datetime) -> str:
    """The half-year of a moment, by the calendar of Việt Nam: ``2027h1`` from January to June."""
    moment = at.astimezone(VIETNAM)
    return f"{moment.year:04d}h{1 if moment.month <= 6 else 2}"


def shard_origin(origin: str, name: str) -> str:
    """Under which name the log ``origin`` signs its shard ``name``."""
    return f"{origin}/{name}" if name else origin


def shard_name(origin: str, shard: str) -> str | None:
    """The name of the shard that signs as ``shard`` in the log ``origin``; None for another log's."""
    if shard == origin:
        return ""
    log, _, name = shard.rpartition("/")
    return name if log == origin and SHARD_NAME.fullmatch(name) else None


def shard_key(key: VerifierKey, shard: str) -> VerifierKey | None:
    """The log's ``key`` as its shard ``shard`` bears it; None for another log's shard."""
    return None if shard_name(key.name, shard) is None else VerifierKey(shard, key.public_key)


def next_shard(checkpoint: Checkpoint) -> str | None:
    """The origin of the shard that follows, when this checkpoint is its shard's last; None otherwise."""
    told = [line.removeprefix(FINAL) for line in checkpoint.extensions if line.startswith(FINAL)]
    return told[0] if told else None


def final_checkpoint(last: Checkpoint, successor: str) -> Checkpoint:
    """The checkpoint that freezes a shard: the last one, with the name of the next shard."""
    return Checkpoint(last.origin, last.size, last.root, (FINAL + successor,))


def write_link(shard: str, last: Checkpoint) -> bytes:
    """The first entry of ``shard``: which shard came before, its size and root; keys in this order, no spaces."""
    link = {"link": 1, "shard": shard, "previous": last.origin, "size": last.size, "root": last.root.hex()}
    return json.dumps(link, ensure_ascii=False, separators=(",", ":")).encode()
