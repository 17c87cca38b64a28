"""``lienthong support-bundle``: what somebody who helps needs to see, and nothing about any person.

Only what is listed here goes in, each in a form that can hold no personal data: settings by name and without values
that could be secret, versions, counts, sizes, the causes of readiness, and log lines reduced to the fields named below.
"""

from __future__ import annotations

import io
import json
import os
import platform
import re
import shutil
import sys
import tarfile
from collections.abc import Iterable, Mapping
from dataclasses import fields
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Final, cast

from lienthong import __version__
from lienthong.config import Settings
from lienthong.errors import Problem
from lienthong.operate import database, queries

SHOWN: Final = frozenset(
    {
        "node", "instance", "national", "synthetic", "public_port", "client_port", "peer_port", "public_host",
        "client_host", "peer_host", "checkpoint_interval_s", "max_body_bytes", "max_query_bytes", "query_timeout_s",
        "query_memory_mb", "query_max_rows", "error_style", "database_name",
    }
)  # fmt: skip
"""Settings whose values are shown; of all others only whether they are set."""
KEPT_FIELDS: Final = (
    "timestamp",
    "level",
    "event",
    "node",
    "role",
    "status",
    "kind",
    "error",
    "outcome",
    "duration_ms",
)
"""Fields of a log line that are kept: none of them takes a value from a request."""
WORD: Final = re.compile(r"[A-Za-z0-9_.:+/-]{1,80}")
"""What a kept value may look like: a word of the program's, no sentence."""
DIGITS: Final = re.compile(r"\d{9,}")
"""Long numbers are taken out wherever they stand: they may name a person."""
MOST_LINES: Final = 5000


def support_bundle(settings: Settings, out: Path, *, logs: Iterable[Path] = (), now: datetime) -> tuple[str, ...]:
    """Write the bundle to ``out`` (mode 0600); returns the names of what is in it."""
    parts: dict[str, object] = {
        "about.json": {
            "made_at": now.isoformat(),
            "program": __version__,
            "python": sys.version.split()[0],
            "system": platform.platform(),
            "cpus": os.cpu_count(),
            "disk": _disk(settings.data),
            "packages": {each.metadata["Name"]: each.version for each in metadata.distributions()},
        },
        "settings.json": settings_shown(settings),
        "database.json": _database(settings),
        "files.json": _files(settings.data),
    }
    contents = {name: json.dumps(part, indent=1, sort_keys=True).encode() for name, part in parts.items()}
    for path in logs:
        contents[f"log/{path.name}"] = b"".join(_reduced(path))
    descriptor = os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file, tarfile.open(fileobj=file, mode="w:gz") as tar:
        for name, content in contents.items():
            entry = tarfile.TarInfo(name)
            entry.size, entry.mode = len(content), 0o600
            tar.addfile(entry, io.BytesIO(content))
    return tuple(contents)


def settings_shown(settings: Settings) -> Mapping[str, object]:
    """Every setting: its value where it can be shown, else whether it is set."""
    shown: dict[str, object] = {}
    for each in fields(settings):
        value = getattr(settings, each.name)
        shown[each.name] = value if each.name in SHOWN else "set" if value else "not set"
    return shown


def reduced_line(line: bytes) -> bytes | None:
    """A log line as it may leave: the fields of ours that take nothing from a request; None when it is none of ours."""
    try:
        told: object = json.loads(line)
    except ValueError:
        return None
    if not isinstance(told, dict):
        return None
    entries = cast("dict[str, object]", told)
    kept = {name: entries[name] for name in KEPT_FIELDS if name in entries and _is_plain(entries[name])}
    return json.dumps(kept).encode() + b"\n" if "event" in kept else None


def _is_plain(value: object) -> bool:
    if isinstance(value, str):
        return bool(WORD.fullmatch(value)) and not DIGITS.search(value)
    return isinstance(value, float | int) and abs(value) < 1_000_000


def _reduced(path: Path) -> Iterable[bytes]:
    try:
        lines = path.read_bytes().splitlines()[-MOST_LINES:]
    except OSError:
        return
    for line in lines:
        kept = reduced_line(line)
        if kept is not None:
            yield kept


def _database(settings: Settings) -> Mapping[str, object]:
    try:
        with database.owner(settings) as owner, queries.snapshot(owner) as db:
            newest = queries.newest_checkpoint(db)
            return {
                "server": queries.server_version(db),
                "revision": queries.revision(db),
                "size_bytes": queries.size_bytes(db),
                "log_size": newest[0] if newest else 0,
                "rows": queries.estimated_rows(db),
                "connections": queries.connections(db),
            }
    except Problem as away:
        return {"error": away.kind}


def _files(data: Path) -> Mapping[str, object]:
    sizes: dict[str, dict[str, int]] = {}
    for folder, _, names in os.walk(data):
        parts = Path(folder).relative_to(data).parts
        entry = sizes.setdefault(parts[0] if parts else ".", {"files": 0, "bytes": 0})
        for name in names:
            path = Path(folder) / name
            if path.is_file():
                entry["files"] += 1
                entry["bytes"] += path.stat().st_size
    return sizes


def _disk(data: Path) -> Mapping[str, int]:
    place = data if data.exists() else Path("/")
    usage = shutil.disk_usage(place)
    return {"free_mb": usage.free >> 20, "total_mb": usage.total >> 20}
