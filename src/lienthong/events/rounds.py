"""The pace at which tables are compared and feeds followed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

log = structlog.get_logger("lienthong.events")
ROUND_S: Final = 2.0


async def rounds(once: Callable[[], Awaitable[int]]) -> None:
    """Call ``once`` every two seconds for as long as the process runs; what fails is tried again."""
    while True:
        try:
            await once()
        except Exception as failed:  # a task's root: the next round tries again
            log.warning("events.round-failed", error=getattr(failed, "kind", type(failed).__name__))
        await asyncio.sleep(ROUND_S)
