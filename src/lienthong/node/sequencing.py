"""The sequencer's job: before anything is signed, the log is compared with all that is known of it elsewhere."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import aiohttp
import structlog

from lienthong.access import queries
from lienthong.access.recovery import Contradiction, enter_recovery, recovery_state
from lienthong.access.sequence import BATCH, LogShortened, Sequencer
from lienthong.node.local import Local, NoDirectory
from lienthong.node.prepare import LOG_KEY
from lienthong.node.witnessing import PATIENCE_S, own_heads, own_policy, stop_if_contradicted
from lienthong.storage.pool import Connection, connect

log = structlog.get_logger("lienthong.jobs")
RECOVERY_LOOK_S = 2.0
WHOLE_LOOK_S = 5.0
"""How often, while no record comes, what readers are shown is held against the database."""


async def sequence_log(local: Local) -> None:
    """Give records their places, as long as this process holds the sequencer's lock and nobody took it over."""
    async with await connect(local.dsns.app) as db:
        while not await queries.take_sequencer_lock(db):
            await db.commit()
            await asyncio.sleep(1.0)
        epoch = await queries.raise_epoch(db)
        await db.commit()
        await stop_if_contradicted(local, await _heads(local))
        await _wait_out_recovery(db)
        sequencer = replace(_sequencer(local), epoch=epoch)
        try:
            await sequencer.publish_newest(db)
            loop, whole_at = asyncio.get_running_loop(), 0.0
            while True:
                if loop.time() < whole_at and await sequencer.rests(db):
                    await asyncio.sleep(local.settings.checkpoint_interval_s)
                    continue
                whole_at = loop.time() + WHOLE_LOOK_S
                placed = await sequencer.step(db)
                if placed == BATCH:
                    continue
                if placed == 0:
                    await _wait_out_recovery(db)
                # Also while records keep coming: a checkpoint for each handful would cost more than the calls.
                await asyncio.sleep(local.settings.checkpoint_interval_s)
        except LogShortened as shortened:
            facts = shortened.facts
            await db.rollback()
            await enter_recovery(
                db, Contradiction("shortened", "published", int(str(facts["published"])), int(str(facts["size"])))
            )
            raise


def _sequencer(local: Local) -> Sequencer:
    return Sequencer(local.files, local.keyring.ed25519(LOG_KEY), lambda: own_policy(local))


async def _heads(local: Local) -> list[tuple[str, bytes]]:
    """What the others' witnesses hold of this log; whoever is away is heard later, by the job that compares."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
        try:
            return await own_heads(local, session)
        except NoDirectory:
            return []


async def _wait_out_recovery(db: Connection) -> None:
    """Return once the log is in good order."""
    while (state := await recovery_state(db)) is not None:
        await db.commit()
        log.error("log.in-recovery", cause=state.cause, source=state.source)
        await asyncio.sleep(RECOVERY_LOOK_S)
    await db.commit()
