"""Whether a node can serve, told part by part; both listeners that people and monitors look at use it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from lienthong.access import queries as log_queries
from lienthong.errors import Problem
from lienthong.node.local import Local
from lienthong.storage.pool import DatabaseFailed

STALE_DIRECTORY = timedelta(minutes=10)


async def readiness(local: Local) -> tuple[bool, dict[str, str]]:
    """Whether this node can serve, and every part's state in a word."""
    found: dict[str, str] = {}
    try:
        async with local.pool.connection(timeout=2.0) as db:
            await log_queries.newest_checkpoint(db)
        found["database"] = "ok"
    except (DatabaseFailed, OSError, TimeoutError) as away:
        found["database"] = type(away).__name__
    try:
        local.directory.look()
        snapshot = local.directory.snapshot()
        now = datetime.now(UTC)
        found["directory"] = (
            "expired" if snapshot.expired(now) else "degraded" if snapshot.age(now) > STALE_DIRECTORY else "ok"
        )
    except Problem as missing:
        found["directory"] = missing.kind
    ready = found["database"] == "ok" and found["directory"] in ("ok", "degraded", "expired")
    return ready, found
