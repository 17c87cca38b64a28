"""What every test may use: a real PostgreSQL, a fresh database, a connection that is rolled back.

``LIENTHONG_TEST_PG`` chooses the server: ``embedded`` (the wheel, default) or ``debian`` (PostgreSQL 15 of the system).
Sockets reach this machine only; a test that tries to leave it fails.
"""

from __future__ import annotations

import contextlib
import ipaddress
import itertools
import os
import shutil
import socket
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import AsyncConnection, sql

from lienthong.errors import Problem
from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer

DEBIAN_PROGRAMS = Path("/usr/lib/postgresql/15/bin")
ENGINES = ("embedded", "debian")
LEFT = "lienthong-pg-"


def _only_this_machine(event: str, arguments: tuple[object, ...]) -> None:
    """Audit hook: no connection and no datagram leaves the machine (uvloop's own connections are not seen here)."""
    if event not in ("socket.connect", "socket.sendto"):
        return
    opened, address = arguments[0], arguments[1]
    if not isinstance(opened, socket.socket) or opened.family not in (socket.AF_INET, socket.AF_INET6):
        return
    host = str(address[0]) if isinstance(address, tuple) else ""
    if host in ("localhost", ""):
        return
    try:
        loopback = ipaddress.ip_address(host).is_loopback
    except ValueError:
        loopback = False
    if not loopback:
        raise PermissionError(f"a test tried to reach {address}; tests stay on this machine")


sys.addaudithook(_only_this_machine)


def pytest_make_parametrize_id(config: pytest.Config, val: object, argname: str) -> str | None:
    """Long texts (keys and signatures made anew in each process) name no test: all processes collect the same names."""
    return argname if isinstance(val, str | bytes) and len(val) > 40 else None


def start_engine(engine: str, data_dir: Path) -> PostgresServer:
    """A running server of ``engine``; skips the test, with the reason, where the engine is not on this machine."""
    if engine == "debian" and not (DEBIAN_PROGRAMS / "postgres").exists():
        pytest.skip(f"no PostgreSQL 15 under {DEBIAN_PROGRAMS}: apt-get install postgresql-15")
    server = PostgresServer(data_dir, DEBIAN_PROGRAMS if engine == "debian" else None)
    server.start()
    return server


def remove_what_killed_runs_left() -> None:
    """A run that was killed could not end its server: its folder bears the number of a process that is gone."""
    for folder in Path(tempfile.gettempdir()).glob(f"{LEFT}*"):
        number = folder.name.removeprefix(LEFT).split("-")[0]
        if not number.isdigit() or Path(f"/proc/{number}").exists():
            continue
        if (folder / "data").exists():
            with contextlib.suppress(Problem):
                PostgresServer(folder / "data").destroy()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def pg_engine() -> str:
    """The engine chosen by ``LIENTHONG_TEST_PG``."""
    engine = os.environ.get("LIENTHONG_TEST_PG", "embedded")
    assert engine in ENGINES, f"LIENTHONG_TEST_PG must be one of {ENGINES}"
    return engine


@pytest.fixture(scope="session")
def pg_server(pg_engine: str) -> Iterator[PostgresServer]:
    """One PostgreSQL server for the whole run."""
    remove_what_killed_runs_left()
    with tempfile.TemporaryDirectory(prefix=f"{LEFT}{os.getpid()}-", ignore_cleanup_errors=True) as folder:
        server = start_engine(pg_engine, Path(folder) / "data")
        try:
            yield server
        finally:
            server.destroy()


_numbers = itertools.count(1)


def drop_database(superuser_dsn: str, name: str) -> None:
    """Remove a test's database and its roles, whoever is still connected."""
    with psycopg.connect(superuser_dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(name)))
        for role in ("owner", "app", "log"):
            connection.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(sql.Identifier(f"{name}_{role}")))


@pytest.fixture
def database(pg_server: PostgresServer) -> Iterator[DatabaseDsns]:
    """A fresh, migrated database of its own; dropped afterwards."""
    name = f"test_{os.getpid()}_{next(_numbers)}"
    yield prepare_database(pg_server.dsn(), name)
    drop_database(pg_server.dsn(), name)


@pytest.fixture(scope="session")
def _shared_database(pg_server: PostgresServer) -> DatabaseDsns:
    """The migrated database whose tests all roll back."""
    return prepare_database(pg_server.dsn(), f"test_{os.getpid()}_shared")


@pytest.fixture
async def db(_shared_database: DatabaseDsns) -> AsyncIterator[AsyncConnection]:
    """A connection of the app role in a transaction that is rolled back."""
    connection = await AsyncConnection.connect(_shared_database.app)
    try:
        yield connection
    finally:
        await connection.rollback()
        await connection.close()
