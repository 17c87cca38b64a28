"""A stream whose gateway was killed does not stay open in the log for ever, and one that ended is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from lienthong.access.models import AgreementRef, Record
from lienthong.node.unclosed import close_unclosed
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PROVINCE, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration

HOUR = timedelta(hours=1)
NOW = datetime.now(UTC)


@pytest.fixture
async def node(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[TestNode]:
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        node = await start_node(locals_[0])
        yield node
        await node.stop()
        await locals_[1].pool.close()


def opened(exchange: str, at: datetime, signature: str = "sha-256:" + "a" * 64) -> Record:
    return Record(
        side="consumer", exchange_id=exchange, at=at, node="nut-h24", consumer=COUNTER, provider=PROVINCE,
        resource=f"{COUNTER}/maps", way="call", purpose=PURPOSE, ground="agreement",
        agreement=AgreementRef("a-1", "1", "sha-256:" + "b" * 64), decision_digest="sha-256:" + "c" * 64,
        outcome="permitted", reason="opened", request_signature_digest=signature, bytes=0,
    )  # fmt: skip


async def look(node: TestNode) -> int:
    await node.sequence()
    return await close_unclosed(node.local.pool, node.local.seal, node.parts.writer, HOUR, NOW)


async def test_what_broke_off_unseen_is_closed_once_as_lost_and_nothing_else(node: TestNode) -> None:
    writer, long_ago = node.parts.writer, NOW - 2 * HOUR
    await writer.append(opened("killed", long_ago))
    await writer.append(opened("may still run", NOW - HOUR))
    for end in (("closed", "permitted"), ("closed;caller-gone", "failed")):
        ended = opened(f"has {end[0]}", long_ago)
        await writer.append(ended)
        await writer.append(replace(ended, reason=end[0], outcome=end[1]))
    # Two messages of one exchange: the first one's end says nothing of the second.
    again = opened("asked twice", long_ago)
    await writer.append(again)
    await writer.append(replace(again, reason="closed;peer-closed", outcome="failed"))
    await writer.append(opened("asked twice", long_ago, "sha-256:" + "d" * 64))

    assert await look(node) == 2
    assert await look(node) == 0

    lost = [leaf for leaf in await node.leaves() if leaf["reason"] == "closed;lost"]
    assert [leaf["exchange_id"] for leaf in lost] == ["killed", "asked twice"]
    unknown = ("bytes", "body_digest", "response_signature_digest", "peer_record")
    for leaf in lost:
        assert (leaf["outcome"], [leaf[name] for name in unknown]) == ("failed", [None] * 4)
        assert leaf["agreement"]["id"] == "a-1"
    assert lost[1]["request_signature_digest"] == "sha-256:" + "d" * 64


async def test_an_end_that_awaits_the_log_is_waited_for(node: TestNode) -> None:
    record = opened("slow log", NOW - 2 * HOUR)
    await node.parts.writer.append(record)
    await node.sequence()
    await node.parts.writer.append(replace(record, reason="closed", bytes=7))

    assert await close_unclosed(node.local.pool, node.local.seal, node.parts.writer, HOUR, NOW) == 0
    assert await look(node) == 0
