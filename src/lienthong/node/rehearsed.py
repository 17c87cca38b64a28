"""The last restore drill of this node: its signed result in the data folder, and how long ago one was passed.

The signature is for those who are shown the file; the node itself believes its own folder, as with all that lies there.
"""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from lienthong.config import Settings
from lienthong.storage.objects import ObjectStore

KEPT: Final = "drills/restore.json"
"""Under the data folder: the newest result, passed or not."""
PASSED: Final = "drills/restore-passed.json"
"""The newest result that passed."""


def keep_result(settings: Settings, envelope: bytes, *, passed: bool) -> None:
    """Keep a drill's signed result; one that failed does not hide when a restore last worked."""
    store = ObjectStore(settings.data)
    store.put(KEPT, envelope)
    if passed:
        store.put(PASSED, envelope)


def last_passed(settings: Settings) -> datetime | None:
    """When a drill was last passed; None when none was, or what is kept can not be read."""
    return _at(settings.data / PASSED)


def last_failed(settings: Settings) -> datetime | None:
    """When the newest drill failed; None when it passed, or none was made."""
    last, passed = _at(settings.data / KEPT), last_passed(settings)
    return last if last and last != passed else None


def first_start(settings: Settings) -> datetime | None:
    """About when the node was made or restored here: its oldest secret; None before its first start."""
    times = [path.stat().st_mtime for path in (settings.data / "secrets").glob("*") if path.is_file()]
    return datetime.fromtimestamp(min(times), UTC) if times else None


def _at(path: Path) -> datetime | None:
    try:
        told = json.loads(base64.b64decode(json.loads(path.read_bytes())["payload"]))
        return datetime.fromisoformat(told["at"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
