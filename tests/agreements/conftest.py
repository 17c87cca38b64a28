"""A second node's database beside ``db``, rolled back like it."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from typing import Any

import pytest
from psycopg import AsyncConnection

from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer
from tests.agreements.country import Country, TwoNodes


@pytest.fixture(scope="session")
def _second_database(pg_server: PostgresServer) -> DatabaseDsns:
    return prepare_database(pg_server.dsn(), f"test_{os.getpid()}_second")


@pytest.fixture
async def other_db(_second_database: DatabaseDsns) -> AsyncIterator[AsyncConnection[Any]]:
    """A connection of the app role of another node, in a transaction that is rolled back."""
    connection = await AsyncConnection.connect(_second_database.app)
    try:
        yield connection
    finally:
        await connection.rollback()
        await connection.close()


@pytest.fixture
def nodes(db: AsyncConnection[Any], other_db: AsyncConnection[Any]) -> TwoNodes:
    """A consumer's and a provider's node in a country of three members."""
    return TwoNodes(Country(), consumer=db, provider=other_db)
