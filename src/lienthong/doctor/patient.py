"""What the doctor is given to look at, and the shape of a look."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.doctor.models import Fault
from lienthong.storage.provision import DatabaseDsns


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
