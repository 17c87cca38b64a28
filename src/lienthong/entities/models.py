"""What people see of records and entities when they review them; light, so that pages can speak of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Final

SHOWN: Final = ("name", "birth", "gender", "number", "phone", "unit", "street")
"""Fields of a record that are shown to whoever reviews it, as they came."""


@dataclass(frozen=True, slots=True)
class Change:
    """A line of the journal: entity ``other`` came into ``id`` (merge), or records left it for ``other`` (split)."""

    number: int
    moment: datetime
    kind: str
    id: str
    other: str
    who: str
    undone: bool


@dataclass(frozen=True, slots=True)
class Why:
    """Why two records are held for one person or not: ``reasons`` as field, level, weight; the greatest weight first.

    ``shared`` names the blocks they share; without one they were never compared.
    """

    entities: tuple[str, str]
    probability: float
    reasons: tuple[tuple[str, str, float], ...]
    shared: tuple[str, ...]
    changes: tuple[Change, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """An entity that a record may mean, by its likeliest record, whose number is ``r``."""

    id: str
    source: str | None
    record: str
    probability: float
    r: int


@dataclass(frozen=True, slots=True)
class Record:
    """A record as it came, by its number."""

    r: int
    source: str
    record: str
    entity: str
    told: Mapping[str, str]
    """Field of SHOWN -> text; "" where nothing is known."""


@dataclass(frozen=True, slots=True)
class Waiting:
    """A pair in the grey zone: how likely, why; how many have spoken, and whether the person who looks did."""

    a: int
    b: int
    probability: float
    reasons: tuple[tuple[str, str, float], ...]
    sources: tuple[str, str]
    spoken: int
    mine: bool


@dataclass(frozen=True, slots=True)
class Overview:
    """What waits, for one person."""

    records: int
    entities: int
    pairs: int
    waiting: tuple[Waiting, ...]


@dataclass(frozen=True, slots=True)
class Pair:
    """Two records side by side and what is known of the pair."""

    left: Record
    right: Record
    why: Why
    spoken: int
    mine: bool | None
    """What the person who looks has said: one, two, or nothing yet."""

    @property
    def one(self) -> bool:
        """Whether they are one entity now."""
        return self.left.entity == self.right.entity


@dataclass(frozen=True, slots=True)
class Whole:
    """An entity with its records, the pairs of it that wait, its history, and changes that one person wants undone."""

    id: str
    records: tuple[Record, ...]
    waiting: tuple[Waiting, ...]
    changes: tuple[Change, ...]
    to_undo: Mapping[int, bool]
    """Number of a change -> whether it was the person who looks."""
