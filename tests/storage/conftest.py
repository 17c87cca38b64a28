"""Servers of a test's own, for what must not happen to the shared one."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lienthong.storage.placement import embedded_programs
from lienthong.storage.server import PostgresServer
from tests.conftest import DEBIAN_PROGRAMS, start_engine

MakeServer = Callable[..., PostgresServer]


@pytest.fixture
def programs(pg_engine: str) -> Path:
    """The folder of the chosen engine's programs."""
    return DEBIAN_PROGRAMS if pg_engine == "debian" else embedded_programs()


@pytest.fixture
def make_server(pg_engine: str, tmp_path: Path) -> Iterator[MakeServer]:
    """Starts servers of the chosen engine in folders named by the test; removes them afterwards."""
    made: list[PostgresServer] = []

    def make(name: str = "data") -> PostgresServer:
        server = start_engine(pg_engine, tmp_path / name)
        made.append(server)
        return server

    yield make
    for server in made:
        server.destroy()


@pytest.fixture
def server(make_server: MakeServer) -> PostgresServer:
    """A running server that belongs to this test alone."""
    return make_server()
