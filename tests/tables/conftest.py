"""A running sandbox, and tables to publish."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from lienthong.tables.sandbox import OPERATIONS, Keeper, Sandbox

FROM_TESTS = {
    name: f"tests.tables.operations:{name}"
    for name in ("escape", "wait", "spin", "eat", "crash", "half", "echo", "merge")
}
CLIENTS = Path(__file__).parents[2] / ".venv-clients"
"""Foreign clients have an environment of their own: their old pins would pull ours down."""


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def sandbox_socket() -> AsyncIterator[Path]:
    """The socket of one sandbox for the whole run (starting one takes a second)."""
    with tempfile.TemporaryDirectory(prefix="lienthong-sandbox-") as folder:
        keeper = Keeper(Path(folder) / "sandbox.sock", {**OPERATIONS, **FROM_TESTS})
        await keeper.start(warm=True)
        yield Path(folder) / "sandbox.sock"
        await keeper.close()


@pytest.fixture
def sandbox(sandbox_socket: Path) -> Sandbox:
    """A client of the running sandbox."""
    return Sandbox(sandbox_socket)


@pytest.fixture(scope="session")
def delta_sharing_python() -> Path:
    """The Python that has the official Delta Sharing client."""
    python = CLIENTS / "bin" / "python"
    if not python.exists():
        pytest.skip("no .venv-clients: make clients")
    return python
