"""What a check of a node's health says: a state, its cause and its mend in words, and the facts they name."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from lienthong.node.local import Local

State = Literal["ok", "degraded", "failed"]
"""``degraded``: calls go on and somebody must act; ``failed``: the node can not serve."""


@dataclass(frozen=True, slots=True)
class Check:
    """One finding; ``cause`` and ``mend`` are message ids whose placeholders are filled from ``facts``.

    Facts hold no personal data: they are shown in public.
    """

    name: str
    state: State
    word: str = "ok"
    """The cause in a word that does not change, for monitors."""
    cause: str = ""
    mend: str = ""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def as_row(self) -> dict[str, Any]:
        """For the database."""
        return {
            "name": self.name,
            "state": self.state,
            "word": self.word,
            "cause": self.cause,
            "mend": self.mend,
            "facts": dict(self.facts),
        }

    @classmethod
    def of_row(cls, row: Mapping[str, Any]) -> Check:
        """What ``as_row`` wrote."""
        return cls(**row)


Look = Callable[[Local], Awaitable[Check]]
"""A check; what it raises of the database and the network becomes a finding of its own."""


def fine(name: str) -> Check:
    """Nothing is wrong with ``name``."""
    return Check(name, "ok")
