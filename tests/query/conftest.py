"""Three members in files, and a running sandbox that knows the jobs of queries."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lienthong.query.operations import OPERATIONS as QUERY_OPERATIONS
from lienthong.tables.sandbox import OPERATIONS, Keeper, Sandbox
from tests.query.members import Federation, make_federation


@pytest.fixture(scope="session")
def federation(tmp_path_factory: pytest.TempPathFactory) -> Federation:
    """People, land and firms at three members, everything granted."""
    return make_federation(tmp_path_factory.mktemp("members"))


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def query_sandbox_socket() -> AsyncIterator[Path]:
    """The socket of one sandbox for all tests of queries."""
    with tempfile.TemporaryDirectory(prefix="lienthong-sandbox-") as folder:
        keeper = Keeper(Path(folder) / "sandbox.sock", {**OPERATIONS, **QUERY_OPERATIONS})
        await keeper.start(warm=True)
        yield Path(folder) / "sandbox.sock"
        await keeper.close()


@pytest.fixture
def sandbox(query_sandbox_socket: Path) -> Sandbox:
    """A client of the running sandbox."""
    return Sandbox(query_sandbox_socket)
