"""What the doctor finds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, Literal

from lienthong.i18n import Language, translate

Whose = Literal["node", "systems", "national", "others"]
"""Who mends it: whoever runs this node; the agency's own systems behind it; the national node; another member's."""

ELSEWHERE: Final[Mapping[str, Whose]] = MappingProxyType(
    {
        "agreement-ends-soon": "others",
        "backend-down": "systems",
        "backend-not-allowed": "systems",
        "backend-slow": "systems",
        "backend-tls": "systems",
        "column-changed": "systems",
        "database-down": "systems",
        "database-old": "systems",
        "database-unsafe": "systems",
        "few-connections": "systems",
        "file-gone": "systems",
        "source-down": "systems",
        "table-gone": "systems",
        "client-not-listed": "national",
        "directory-expired": "national",
        "directory-not-served": "national",
        "directory-not-verified": "national",
        "directory-offered-expired": "national",
        "directory-rollback": "national",
        "member-not-active": "national",
        "national-down": "national",
        "node-not-listed": "national",
        "peer-certificate-other": "others",
        "peer-name-unknown": "others",
        "peer-unreachable": "others",
    }
)
"""Name of a fault -> on whose side it lies; all others are this node's own."""


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

    @property
    def whose(self) -> Whose:
        """On whose side it lies."""
        return ELSEWHERE.get(self.name, "node")

    def as_dict(self, language: Language) -> dict[str, object]:
        """For ``--json``; ``messages`` are cause and mend before a language was chosen, to be filled from ``facts``."""
        return {
            "fault": self.name,
            "grave": self.grave,
            "whose": self.whose,
            "cause": translate(self.cause, language, **self.facts),
            "mend": translate(self.mend, language, **self.facts),
            "messages": {"cause": self.cause, "mend": self.mend},
            "facts": dict(self.facts),
        }
