"""What the doctor finds, and what it is given to look at."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.i18n import Language, translate
from lienthong.storage.provision import DatabaseDsns


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong; ``cause`` and ``mend`` are message ids filled from ``facts``."""

    name: str
    """A word that does not change, for programs."""
    cause: str
    mend: str
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    grave: bool = True
    """False: nothing fails yet."""

    def as_dict(self, language: Language) -> dict[str, object]:
        """For ``--json``."""
        return {
            "fault": self.name,
            "grave": self.grave,
            "cause": translate(self.cause, language, **self.facts),
            "mend": translate(self.mend, language, **self.facts),
            "facts": dict(self.facts),
        }


@dataclass(frozen=True, slots=True)
class Patient:
    """The node as the doctor finds it."""

    settings: Settings
    now: datetime
    running: bool
    """Whether its processes serve the data folder."""
    dsns: DatabaseDsns | None
    """None when the node was never started here, or its database does not answer."""
    snapshot: Snapshot | None
    """The directory as the node keeps it; None when it has none that can be used."""
    patience_s: float = 3.0
    """How long anybody is waited for."""

    @property
    def keys(self) -> Path:
        """Where the node's keys lie."""
        return self.settings.data / "keys"


Look = Callable[[Patient], Awaitable[list[Fault]]]
"""One kind of look; what it raises becomes a fault of its own."""
