"""Two real nodes with a bad network between them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from lienthong.config import Settings
from lienthong.exchange.consume import Used, Wish
from lienthong.node.local import Local, open_local
from lienthong.node.supervise import write_dsns
from lienthong.storage.keyring import Keyring
from lienthong.storage.provision import DatabaseDsns
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.faults.proxy import FaultProxy
from tests.use.conftest import PEOPLE, node_sandbox, the_agreement, the_service
from tests.use.databases import databases
from tests.use.forged import BODY, CITIZEN
from tests.use.nodes import (
    COUNTER,
    POLICE,
    PROVINCE,
    PURPOSE,
    TestNode,
    a_directory,
    free_port,
    publish,
    start_node,
)

__all__ = ["node_sandbox"]
"""A fixture of the tests of uses."""


@dataclass
class Apart:
    """A consumer that reaches its provider through a proxy only."""

    consumer: TestNode
    provider: TestNode
    proxy: FaultProxy

    async def use(self, deadline_s: float = 10.0) -> Used:
        return await self.consumer.consumer.use(
            Wish(
                consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY,
                purpose=PURPOSE, deadline_s=deadline_s,
            )
        )  # fmt: skip


async def local_behind(dsns: DatabaseDsns, folder: Path, node: str, member: str, *, port: int, seen_at: int) -> Local:
    """A node whose peer listener is at ``port`` and whom the directory knows at ``seen_at``."""
    settings = Settings(
        node=node, data=folder / node, members=(member,), peer_port=port, peer_url=f"https://127.0.0.1:{seen_at}",
        directory_anchor=folder / "anchor.json",
    )  # fmt: skip
    Keyring(settings.data)
    write_dsns(settings, dsns)
    return await open_local(settings)


@pytest.fixture
async def apart(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Apart]:
    with databases(pg_server, 2) as (ours, theirs):
        port, ours_port = free_port(), free_port()
        proxy = FaultProxy(port)
        seen_at = await proxy.start()
        locals_ = [
            await local_behind(ours, tmp_path, "nut-h24", PROVINCE, port=ours_port, seen_at=ours_port),
            await local_behind(theirs, tmp_path, "nut-g01", POLICE, port=port, seen_at=seen_at),
        ]
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        consumer, provider = [await start_node(local) for local in locals_]
        with psycopg.connect(theirs.owner, autocommit=True) as source:
            source.execute(PEOPLE)
        async with provider.local.pool.connection() as db:
            service = await the_service(db, theirs.owner)
        provider.services[service.id] = service
        for node in (consumer, provider):
            node.agreements.append(the_agreement())
        yield Apart(consumer, provider, proxy)
        for node in (consumer, provider):
            await node.stop()
        await proxy.stop()
