"""Whether a node can serve, told check by check, each with its cause and what to do.

A check is a function of the opened node that returns one ``Check``; those that take long or look at others run in the
jobs process, which notes what it found.  To add one, append it to ``CHECKS`` (looked at in every answer, must be
quick) or to ``jobchecks.CHECKS``.  Promises: no check can keep another from being told; an answer takes at most
``PATIENCE_S``; an answer is not older than ``FRESH_S``.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

import structlog

from lienthong.i18n import Language, T, translate
from lienthong.monitoring import queries
from lienthong.node.checks import CHECKS, away
from lienthong.node.finding import Check, Look, fine
from lienthong.node.local import Local
from lienthong.storage.pool import DatabaseFailed

log = structlog.get_logger("lienthong.health")
PATIENCE_S: Final = 3.0
FRESH_S: Final = 1.0
SILENT_AFTER: Final = timedelta(seconds=60)
"""The jobs process notes its checks every few seconds: after this long it counts as stopped."""

Status = Literal["ok", "degraded", "not-ready"]


@dataclass(frozen=True, slots=True)
class Health:
    """What all checks said at one moment."""

    checks: tuple[Check, ...]

    @property
    def ready(self) -> bool:
        """Whether the node can serve at all."""
        return all(check.state != "failed" for check in self.checks)

    @property
    def status(self) -> Status:
        """The worst that any check says."""
        if not self.ready:
            return "not-ready"
        return "ok" if all(check.state == "ok" for check in self.checks) else "degraded"

    @property
    def parts(self) -> dict[str, str]:
        """Check by name: ``ok`` or the word for what is wrong."""
        return {check.name: check.word for check in self.checks}

    def as_dict(self, language: Language) -> dict[str, object]:
        """For ``/readyz``: every part, and for those not in order the cause and the mend."""
        causes = [
            {
                "part": check.name,
                "state": check.word,
                "detail": translate(check.cause, language, **check.facts),
                "mend": translate(check.mend, language, **check.facts),
            }
            for check in self.checks
            if check.state != "ok"
        ]
        return {"status": self.status, "parts": self.parts, "causes": causes}


@dataclass(slots=True)
class HealthDesk:
    """Looks at one node's health, at most once in ``FRESH_S`` however many ask."""

    local: Local
    checks: Sequence[Look] = CHECKS
    _last: Health | None = None
    _at: float = -FRESH_S
    _asking: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def look(self) -> Health:
        """What the checks say now."""
        async with self._asking:
            if self._last is None or time.monotonic() - self._at >= FRESH_S:
                own = await run_checks(self.local, self.checks)
                self._last = Health((*own, *await _noted(self.local)))
                self._at = time.monotonic()
            return self._last


async def readiness(local: Local) -> tuple[bool, dict[str, str]]:
    """Whether this node can serve, and every part's state in a word."""
    health = Health((*await run_checks(local, CHECKS), *await _noted(local)))
    return health.ready, health.parts


async def run_checks(local: Local, checks: Sequence[Look]) -> list[Check]:
    """What each of ``checks`` says, in their order; one that fails or hangs is itself a finding."""
    return list(await asyncio.gather(*(_told(local, look) for look in checks)))


async def note_checks(local: Local, checks: Sequence[Look]) -> None:
    """Run ``checks`` and keep what they say for the other processes of the node."""
    found = await run_checks(local, checks)
    async with local.pool.connection() as db:
        await queries.note_health(db, [check.as_row() for check in found])


async def _told(local: Local, look: Look) -> Check:
    try:
        async with asyncio.timeout(PATIENCE_S):
            return await look(local)
    except (DatabaseFailed, OSError, TimeoutError) as failed:
        return away(look.__name__, failed)
    except Exception as failed:  # a check's root: what it did not foresee must not hide the others
        log.error("health.check-failed", check=look.__name__, error=type(failed).__name__, exc_info=failed)
        return away(look.__name__, failed)


async def _noted(local: Local) -> list[Check]:
    """What the jobs process noted; nothing while the database is away, which another check tells."""
    try:
        async with local.pool.connection(timeout=2.0) as db:
            rows = await queries.noted_health(db)
    except (DatabaseFailed, OSError, TimeoutError):
        return []
    now = datetime.now(UTC)
    fresh = [Check.of_row(row.check) for row in rows if now - row.at < SILENT_AFTER]
    if rows and len(fresh) == len(rows):
        return [fine("jobs"), *fresh]
    last = max((row.at for row in rows), default=None)
    return [
        Check(
            "jobs",
            "degraded",
            "silent",
            T("The jobs process has told nothing since {since}: the log is not sequenced, the directory not followed."),
            T("Look for its lines in the log (role jobs); the supervisor starts it again when it ends."),
            {"since": last.isoformat(timespec="seconds") if last else "-"},
        ),
        *fresh,
    ]
