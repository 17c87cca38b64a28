"""The small country, serving."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from lienthong.storage.server import PostgresServer
from tests.node_pages.country import NODES, Country, open_country
from tests.use.databases import databases


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Country]:
    """Three nodes with an agreement, before any use."""
    with databases(pg_server, len(NODES)) as dsns:
        async with open_country(dsns, tmp_path) as opened:
            yield opened
