"""A provider with a table of people and a consumer with an agreement about it."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg
import pytest
import pytest_asyncio
from psycopg import AsyncConnection

from lienthong.catalog.models import Service, Subject
from lienthong.catalog.publish import PublishRequest
from lienthong.catalog.publish import publish as publish_service
from lienthong.directory.models import DatasetId, ServiceId
from lienthong.node.jobs import ALL_OPERATIONS
from lienthong.storage.server import PostgresServer
from lienthong.tables.sandbox import Keeper
from lienthong.trust.keys import generate_es256
from tests.agreements.build import compiled
from tests.use.databases import databases
from tests.use.nodes import PURPOSE, TestNode, a_directory, publish, start_node, two_locals

if TYPE_CHECKING:
    from tests.use.streams import Stream

PEOPLE = """
CREATE TABLE public.person (
    personal_number text PRIMARY KEY, full_name text NOT NULL, birth_date date, phone text, religion text,
    province_code text NOT NULL
);
INSERT INTO public.person VALUES
    ('001099012345', 'Nguyễn Thị Bình', '1999-05-02', '0912345678', 'không', '31'),
    ('031085000777', 'Trần Văn Hải', '1985-11-20', '0987654321', 'không', '31'),
    ('079099054321', 'Lê Minh Phương', '1999-01-31', '0900000001', 'không', '79');
"""
FIELDS = ("personal_number", "full_name", "birth_date", "phone", "province_code")


def the_agreement(**changes):
    """The province may see its own people, the phone number only in part."""
    terms = {
        "target": "VN/GOV/G01/dancu/ds/citizen",
        "purposes": (PURPOSE,),
        "fields": FIELDS,
        "masks": (("phone", "partial"),),
        "row_filter": (("province_code", "eq", "31"),),
    }
    return compiled(**(terms | changes))


async def the_service(database: AsyncConnection, dsn: str) -> Service:
    """The table of people as the police publishes it."""
    return await publish_service(
        database,
        PublishRequest(
            service=ServiceId("VN/GOV/G01/dancu/citizen"),
            source=f"{dsn}#public.person",
            title_vi="Công dân",
            title_en="Citizens",
            personal=True,
            subjects=(
                Subject("request", "personal_number", "personal_number"),
                Subject("response", "personal_number", "personal_number"),
            ),
            dataset=DatasetId("VN/GOV/G01/dancu/ds/citizen"),
            legal_basis="Luật Căn cước 2023",
            synthetic=True,
        ),
    )


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def node_sandbox() -> AsyncIterator[Path]:
    """The socket of one sandbox with every job that nodes send to theirs (starting one takes a second)."""
    with tempfile.TemporaryDirectory(prefix="lienthong-sandbox-") as folder:
        keeper = Keeper(Path(folder) / "sandbox.sock", ALL_OPERATIONS)
        await keeper.start(warm=True)
        yield Path(folder) / "sandbox.sock"
        await keeper.close()


@pytest.fixture
async def two_nodes(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[TestNode, TestNode]]:
    """Consumer and provider, both serving."""
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        consumer, provider = [await start_node(local) for local in locals_]
        with psycopg.connect(provider.local.dsns.owner, autocommit=True) as source:
            source.execute(PEOPLE)
        async with provider.local.pool.connection() as db:
            service = await the_service(db, provider.local.dsns.owner)
        provider.services[service.id] = service
        for node in (consumer, provider):
            node.agreements.append(the_agreement())
        yield consumer, provider
        for node in (consumer, provider):
            await node.stop()


@pytest.fixture
async def stream(pg_server: PostgresServer, tmp_path: Path, node_sandbox: Path) -> AsyncIterator[Stream]:
    from tests.use.streams import followed_table  # it imports this module

    async with followed_table(pg_server, tmp_path, node_sandbox) as opened:
        yield opened
