"""What a process that answers no calls tells of itself, and the end of what is kept of calls."""

from __future__ import annotations

import asyncio
import os
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from lienthong.monitoring import queries
from lienthong.monitoring.counters import Counters
from lienthong.node.local import Local
from lienthong.storage.pool import DatabaseFailed

log = structlog.get_logger("lienthong.monitoring")
TELL_EVERY_S: Final = 5.0
FORGET_EVERY_S: Final = 600.0


async def tell_process(local: Local, role: str) -> None:
    """Put down what the kernel says of this process, for as long as it runs."""
    started, name = datetime.now(UTC), f"{role}-{os.getpid()}"
    while True:
        try:
            async with local.pool.connection() as db:
                await queries.put_counters(db, name, started, Counters().as_dict())
        except (DatabaseFailed, OSError, TimeoutError) as away:
            log.warning("monitoring.not-kept", error=type(away).__name__)
        await asyncio.sleep(TELL_EVERY_S)


async def forget_calls(local: Local) -> None:
    """Let go of what was kept of calls for the configured number of days."""
    while True:
        before = datetime.now(UTC) - timedelta(days=local.settings.monitoring_days)
        async with local.pool.connection() as db:
            await queries.forget_calls(db, before)
        await asyncio.sleep(FORGET_EVERY_S)
