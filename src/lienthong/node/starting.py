"""How far a start has come, read from the file its starter keeps beside the nodes' folders.

The file is another process's: it may be missing, half written or wrong, and then the last good reading stays.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Final, cast, get_args

import orjson

from lienthong.portal.models import Name, Progress, Step, StepState

EVERY_S: Final = 0.5
LIMIT_BYTES: Final = 64 * 1024
FILE: Final = "progress.json"


@dataclass(frozen=True, slots=True)
class Start:
    """What the file says: the steps, and commands worth trying once all are done."""

    progress: Progress
    commands: tuple[tuple[Name, str], ...] = ()

    @property
    def under_way(self) -> bool:
        """Whether steps are still open."""
        return self.progress.done < len(self.progress.steps)


class StartFile:
    """``path`` as last read; looked at no more than twice a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._looked = -EVERY_S
        self._start: Start | None = None

    def look(self) -> Start | None:
        """The start as the file tells it, or None when there is no such file."""
        now = time.monotonic()
        if now - self._looked >= EVERY_S:
            self._looked = now
            try:
                with self._path.open("rb") as file:
                    content = file.read(LIMIT_BYTES)
            except OSError:
                self._start = None
            else:
                self._start = read_start(content) or self._start
        return self._start


def read_start(content: bytes) -> Start | None:
    """The start in ``content``, or None when it is not whole."""
    try:
        told = cast("Mapping[str, object]", orjson.loads(content))
        progress = Progress(
            steps=tuple(_step(step) for step in cast("list[Mapping[str, object]]", told["steps"])),
            started_at=datetime.fromisoformat(cast("str", told["started_at"])),
        )
        commands = cast("list[Mapping[str, object]]", told.get("commands", []))
        return Start(progress, tuple((_name(each), str(each["command"])) for each in commands))
    except (ValueError, TypeError, KeyError, AttributeError):
        return None


def _step(told: Mapping[str, object]) -> Step:
    state = told["state"]
    if state not in get_args(StepState):
        raise ValueError("not a state of a step")
    return Step(_name(told), cast("StepState", state), str(told.get("detail", "")))


def _name(told: Mapping[str, object]) -> Name:
    return Name(str(told["vi"]), str(told["en"]))
