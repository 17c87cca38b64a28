"""The pace at which tables are compared and feeds followed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

import structlog

from lienthong.errors import Problem

log = structlog.get_logger("lienthong.events")
ROUND_S: Final = 2.0


async def rounds(once: Callable[[], Awaitable[int]]) -> None:
    """Call ``once`` every two seconds for as long as the process runs; what fails is tried again."""
    while True:
        try:
            await once()
        except Problem as problem:
            log.warning("events.round-failed", error=problem.kind)
        await asyncio.sleep(ROUND_S)
