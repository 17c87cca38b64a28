"""The jobs process: follow the directory, sequence the log, forget old nonces; on the national node also publish."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime

import structlog

from lienthong.access.seen import SeenMessages
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.agreements.negotiate import unanswered
from lienthong.catalog.models import Service
from lienthong.catalog.queries import all_services
from lienthong.config import Settings
from lienthong.events.feed import OPERATIONS as EVENT_OPERATIONS
from lienthong.events.feed import Comparer
from lienthong.events.rounds import rounds
from lienthong.node.casedesk import carry_notices, mind_cases
from lienthong.node.comparing import compare_halves, tell_national
from lienthong.node.copies import compare_copies
from lienthong.node.desk import open_desk
from lienthong.node.findingdesk import look_for_faults
from lienthong.node.following import follow_directory, publish_versions
from lienthong.node.jobchecks import watch_health
from lienthong.node.local import Local, open_local
from lienthong.node.missing import watch_helpers
from lienthong.node.nudging import nudge_all
from lienthong.node.opencounts import record_open_days
from lienthong.node.sequencing import sequence_log
from lienthong.node.stamping import stamp_checkpoints
from lienthong.node.supervise import sandbox_socket
from lienthong.node.takeover import follow_successions
from lienthong.node.telling import forget_calls, tell_process
from lienthong.node.unclosed import close_what_was_lost
from lienthong.node.witnessing import ask_witnesses, compare_with_others
from lienthong.portal.drawing import OPERATIONS as PICTURE_OPERATIONS
from lienthong.query.operations import OPERATIONS as QUERY_OPERATIONS
from lienthong.storage.copy import GroupCommit
from lienthong.tables.materialise import Materialiser, Storage
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import OPERATIONS as TABLE_OPERATIONS
from lienthong.tables.sandbox import Keeper, Sandbox

log = structlog.get_logger("lienthong.jobs")
ALL_OPERATIONS = {**TABLE_OPERATIONS, **QUERY_OPERATIONS, **EVENT_OPERATIONS, **PICTURE_OPERATIONS}
SWEEP_EVERY_S = 30.0
CARRY_EVERY_S = 60.0
OPEN_DAYS_EVERY_S = 300.0


async def run_jobs(settings: Settings, stopping: asyncio.Event) -> None:
    """Run all jobs, and keep the sandbox, until ``stopping`` is set."""
    local = await open_local(settings, connections=3)
    keeper = Keeper(sandbox_socket(settings), ALL_OPERATIONS)
    await keeper.start(warm=True)
    jobs: list[Callable[[], Awaitable[None]]] = [
        lambda: sequence_log(local),
        lambda: ask_witnesses(local),
        lambda: compare_with_others(local),
        lambda: follow_directory(local),
        lambda: sweep_nonces(local),
        lambda: carry_again(local),
        lambda: follow_successions(local),
        lambda: compare_halves(local),
        lambda: compare_copies(local),
        lambda: tell_national(local),
        lambda: watch_health(local),
        lambda: watch_helpers(local),
        lambda: look_for_faults(local),
        lambda: tell_process(local, "jobs"),
        lambda: forget_calls(local),
        lambda: record_open(local),
        lambda: find_changes(local),
        lambda: close_what_was_lost(local),
        lambda: carry_notices(local),
        lambda: mind_cases(local),
    ]
    if settings.tsa_url:
        jobs.append(lambda: stamp_checkpoints(local))
    if settings.national:
        jobs += [lambda: publish_versions(local), lambda: nudge_all(local)]
    tasks = [asyncio.create_task(_for_ever(job)) for job in jobs]
    await stopping.wait()
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await keeper.close()
    await local.pool.close()


async def carry_again(local: Local) -> None:
    """Send the messages about agreements that the other side never answered."""
    while True:
        await asyncio.sleep(CARRY_EVERY_S)
        async with local.pool.connection() as db:
            if not await unanswered(db):
                continue
        async with open_desk(local.settings, local.dsns.app) as desk:
            await desk.send_again()


async def record_open(local: Local) -> None:
    """Put on record how often open data was used on the days that have ended."""
    commit = GroupCommit(local.dsns.log, "record", COLUMNS)
    try:
        while True:
            await record_open_days(local.pool, RecordWriter(commit, local.seal), local.settings.node, datetime.now(UTC))
            await asyncio.sleep(OPEN_DAYS_EVERY_S)
    finally:
        await commit.close()


async def find_changes(local: Local) -> None:
    """Compare the tables whose changes others follow, as often as they may have changed."""
    sandbox, sources = Sandbox(sandbox_socket(local.settings)), Sources()
    materialiser = Materialiser(local.pool, Storage(local.settings.data / "shared"), sandbox, sources)

    async def services() -> Mapping[str, Service]:
        async with local.pool.connection() as db:
            return {service.id: service for service in await all_services(db)}

    comparer = Comparer(
        local.pool, local.seal, sandbox, local.settings.data / "events", services, materialiser.mark,
        local.keyring.secret("event-hashes"),
    )  # fmt: skip
    try:
        await rounds(lambda: comparer.compare_all(datetime.now(UTC)))
    finally:
        await sources.close()


async def sweep_nonces(local: Local) -> None:
    """Forget nonces whose messages are stale by now."""
    seen = SeenMessages(local.dsns.app)
    while True:
        await seen.sweep(int(time.time()) - 30)
        await asyncio.sleep(SWEEP_EVERY_S)


async def _for_ever(job: Callable[[], Awaitable[None]]) -> None:
    """Run a job again after it failed; a task's root is one of the two places that catch everything."""
    while True:
        try:
            await job()
        except Exception as failed:
            log.error("job.failed", error=getattr(failed, "kind", type(failed).__name__), exc_info=failed)
            await asyncio.sleep(1.0)
