"""How far the demo's start has come: printed line by line, and kept in a file that the portal shows."""

from __future__ import annotations

import json
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lienthong.i18n import Language, T, translate

STEPS: Final = {
    "database": T("Start PostgreSQL"),
    "admit": T("Make keys and certificates, admit the members"),
    "nodes": T("Start the five nodes"),
    "registers": T("Fill the registers (synthetic people, parcels and firms; the real units)"),
    "publish": T("Publish the registers as services"),
    "agree": T("Request, approve and countersign the agreements"),
    "uses": T("Call, take and query; keep the receipts"),
}
"""The steps of a start in their order."""


@dataclass(slots=True)
class Progress:
    """Tells people and the portal which step is under way."""

    path: Path
    language: Language
    quiet: bool = False
    started: float = field(default_factory=time.monotonic)
    started_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    _states: dict[str, tuple[str, str]] = field(default_factory=lambda: dict.fromkeys(STEPS, ("waiting", "")))

    @contextmanager
    def step(self, name: str) -> Generator[None]:
        """Mark ``name`` as running, then as done, or as failed when the block raises."""
        self._note(name, "running")
        begin = time.monotonic()
        try:
            yield
        except BaseException:
            self._note(name, "failed")
            raise
        self._note(name, "done", f"{time.monotonic() - begin:.1f} s")
        if not self.quiet:
            took = time.monotonic() - self.started
            print(f"  ✓ {translate(STEPS[name], self.language)}  ({took:.1f} s)", flush=True)

    def _note(self, name: str, state: str, detail: str = "") -> None:
        self._states[name] = (state, detail)
        steps = [
            {"vi": translate(STEPS[n], "vi"), "en": translate(STEPS[n], "en"), "state": s, "detail": d}
            for n, (s, d) in self._states.items()
        ]
        text = json.dumps({"started_at": self.started_at.isoformat(), "steps": steps}, ensure_ascii=False)
        temporary = self.path.with_suffix(".new")
        temporary.write_text(text, "utf-8")
        temporary.replace(self.path)
