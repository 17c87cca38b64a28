"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lienthong.i18n import Language, translate


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
