"""The job that has checkpoints timestamped, where a time-stamping authority is set."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Final

import aiohttp
import structlog

from lienthong.access.queries import newest_checkpoint
from lienthong.access.stamp import QUERY_TYPE, Stamp, read_roots, stamp
from lienthong.access.witness.queries import keep_stamp, newest_stamp
from lienthong.errors import Problem
from lienthong.node.local import Local

log = structlog.get_logger("lienthong.stamp")
PATIENCE_S: Final = 10.0
MOST_REPLY_BYTES: Final = 200_000
AGAIN_S: Final = 30.0


async def stamp_checkpoints(local: Local) -> None:
    """Have the newest checkpoint stamped every ``tsa_every_s`` seconds; who is away is asked again sooner."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
        while True:
            try:
                await stamp_newest(local, session)
                pause = local.settings.tsa_every_s
            except (Problem, OSError, TimeoutError) as failed:
                log.warning("stamp.missing", error=getattr(failed, "kind", type(failed).__name__))
                pause = min(AGAIN_S, local.settings.tsa_every_s)
            await asyncio.sleep(pause)


async def stamp_newest(local: Local, session: aiohttp.ClientSession) -> Stamp | None:
    """Stamp the newest checkpoint, unless it has one or there is none.  Raises StampRefused, OSError, TimeoutError."""
    settings = local.settings
    async with local.pool.connection() as db:
        newest, last = await newest_checkpoint(db), await newest_stamp(db)
    if newest is None or (last is not None and last.size >= newest[0]):
        return None
    pem = await asyncio.to_thread(settings.tsa_roots.read_bytes) if settings.tsa_roots else b""

    async def send(query: bytes) -> bytes:
        try:
            async with session.post(settings.tsa_url, data=query, headers={"Content-Type": QUERY_TYPE}) as answer:
                if answer.status != 200:
                    raise OSError(f"status {answer.status}")
                return await answer.content.read(MOST_REPLY_BYTES)
        except aiohttp.ClientError as away:
            raise OSError(type(away).__name__) from away

    made = await stamp(newest[2], read_roots(pem), send, datetime.now(UTC))
    async with local.pool.connection() as db:
        await keep_stamp(db, newest[0], made.token, made.at)
    return made


def overdue(local: Local, waiting: datetime | None, now: datetime) -> bool:
    """Whether a timestamp should have come: a checkpoint has waited for one, twice the interval and a minute long.

    ``waiting``: since when; None when every checkpoint is covered.
    """
    return waiting is not None and now - waiting > timedelta(seconds=2 * local.settings.tsa_every_s + 60)
