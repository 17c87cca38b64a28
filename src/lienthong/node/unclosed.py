"""Streams whose end nobody recorded, because the gateway was killed or its database was away, are closed as failed.

A stream is on record as ``opened`` before its first byte leaves.  Whoever reads the log must not take what broke off
for what still runs: once no stream can live any longer, the end is written down as unknown.
"""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any, Final, cast

import orjson
import structlog

from lienthong.access.models import AgreementRef, Record
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.node.local import Local
from lienthong.node.queries import unclosed_streams
from lienthong.storage.copy import GroupCommit
from lienthong.storage.pool import Pool
from lienthong.trust.seal import Seal

log = structlog.get_logger("lienthong.unclosed")
LOST_REASON: Final = "closed;lost"
"""Of the record of an end that nobody saw; how many bytes had left is not known."""
LOOK_EVERY_S: Final = 300.0
_PATIENCE: Final = timedelta(minutes=2)
"""Beyond the longest time of a stream: the record of its end may just be on its way."""


async def close_unclosed(pool: Pool, seal: Seal, writer: RecordWriter, longest: timedelta, now: datetime) -> int:
    """Record the end of streams that were opened more than ``longest`` before ``now``; how many."""
    async with pool.connection() as db:
        streams = await unclosed_streams(db, now - longest - _PATIENCE)
    for stream in streams:
        detail = cast("dict[str, Any]", orjson.loads(seal.decrypt(stream.detail, stream.hash))) if stream.detail else {}
        detail.get("messages", {}).pop("response", None)  # it was an answer to the opening
        await writer.append(lost(stream.leaf), detail)
    return len(streams)


def lost(opened: bytes) -> Record:
    """The record of the unknown end of the stream whose opening has the leaf ``opened``."""
    told = cast("dict[str, Any]", orjson.loads(opened))
    agreement = told["agreement"]
    return Record(
        side=told["side"],
        exchange_id=told["exchange_id"],
        at=datetime.fromisoformat(told["at"]),
        node=told["node"],
        consumer=told["consumer"],
        provider=told["provider"],
        resource=told["resource"],
        way=told["way"],
        purpose=told["purpose"],
        ground=told["ground"],
        agreement=AgreementRef(**agreement) if agreement else None,
        decision_digest=told["decision_digest"],
        outcome="failed",
        reason=LOST_REASON,
        target_commitment=told["target_commitment"],
        request_signature_digest=told["request_signature_digest"],
    )


async def close_what_was_lost(local: Local) -> None:
    """Look again and again for streams that nobody closed."""
    commit = GroupCommit(local.dsns.log, "record", COLUMNS)
    longest = timedelta(seconds=local.settings.stream_timeout_s)
    try:
        while True:
            closed = await close_unclosed(
                local.pool, local.seal, RecordWriter(commit, local.seal), longest, datetime.now(UTC)
            )
            if closed:
                log.warning("streams.closed-as-lost", streams=closed)
            await asyncio.sleep(LOOK_EVERY_S)
    finally:
        await commit.close()
