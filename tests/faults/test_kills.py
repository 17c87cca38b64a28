"""Twenty rounds of ``kill -9`` under load: whatever anybody was told is in the logs, with a proof, when all is over."""

from __future__ import annotations

import asyncio
import os
import pickle
import signal
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from lienthong.node.local import Local, open_local
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from lienthong.trust.note import parse_verifier_key
from lienthong.trust.proof import parse_proof, verify_proof
from tests.conftest import start_engine
from tests.faults.lone import CONSUMER, PROVIDER, SERVICE_FILE
from tests.use.conftest import PEOPLE, the_service
from tests.use.databases import databases
from tests.use.nodes import TestNode, a_directory, publish, two_locals

pytestmark = [pytest.mark.integration, pytest.mark.faults]

ROOT = Path(__file__).parents[2]
ANSWERS = 12
"""Uses answered between two kills."""
ROUNDS = 16 * ["process"] + 4 * ["database"]
PATIENCE_S = 60.0


@dataclass
class Journal:
    """What was acknowledged, written down outside of everything that gets killed."""

    told: dict[str, set[str]] = field(default_factory=lambda: {CONSUMER: set(), PROVIDER: set()})
    refused: Counter[str] = field(default_factory=Counter)
    answers: int = 0
    _more: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def keep(self, line: str) -> None:
        word, _, rest = line.partition(" ")
        if word == "used":
            record, peer_record = rest.split()
            self.told[CONSUMER].add(record)
            self.told[PROVIDER].add(peer_record)
            self.answers += 1
        elif word == "refused":
            self.refused[rest] += 1
        async with self._more:
            self._more.notify_all()

    async def answers_come(self, count: int) -> None:
        wanted = self.answers + count
        async with self._more, asyncio.timeout(PATIENCE_S):
            await self._more.wait_for(lambda: self.answers >= wanted)


@dataclass
class Lone:
    """A node that may be killed and begun again."""

    folder: Path
    role: str
    journal: Journal
    _forks: asyncio.subprocess.Process | None = None
    _started: asyncio.Queue[int] = field(default_factory=asyncio.Queue)
    _reader: asyncio.Task[None] | None = None
    _running: int = 0

    async def begin(self) -> None:
        if self._forks is None:
            self._forks = await asyncio.create_subprocess_exec(
                sys.executable, "-m", "tests.faults.lone", str(self.folder), self.role, cwd=ROOT,
                env=os.environ | {"PYTHONPATH": f"{ROOT / 'src'}:{ROOT}"},
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
            )  # fmt: skip
            self._reader = asyncio.create_task(self._read(self._forks))
        assert self._forks.stdin
        self._forks.stdin.write(b"go\n")
        self._running = await self._started.get()

    def kill(self) -> None:
        os.kill(self._running, signal.SIGKILL)

    async def _read(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout
        async for line in process.stdout:
            if line.startswith(b"started "):
                self._started.put_nowait(int(line.split()[1]))
            else:
                await self.journal.keep(line.decode().strip())

    async def end(self) -> None:
        if self._forks is not None and self._reader is not None:
            assert self._forks.stdin
            self._forks.stdin.close()
            await self._forks.wait()
            await self._reader
            self._forks = None


@dataclass
class Country:
    journal: Journal
    nodes: dict[str, Lone]
    servers: dict[str, PostgresServer]
    locals: dict[str, Local]


@asynccontextmanager
async def two_processes(engine: str, server: PostgresServer, folder: Path) -> AsyncIterator[Country]:
    """Both nodes as processes under load, each on a database server of its own; the table lies on ``server``."""
    servers = {role: start_engine(engine, folder / f"pg-{role}") for role in (CONSUMER, PROVIDER)}
    journal = Journal()
    nodes = {role: Lone(folder, role, journal) for role in (PROVIDER, CONSUMER)}
    try:
        with (
            databases(servers[CONSUMER], 1) as (ours,),
            databases(servers[PROVIDER], 1) as (theirs,),
            databases(server, 1) as (table,),
        ):
            locals_ = dict(zip((CONSUMER, PROVIDER), await two_locals((ours, theirs), folder), strict=True))
            publish(list(locals_.values()), a_directory(list(locals_.values()), datetime.now(UTC)), folder,
                    generate_es256())  # fmt: skip
            with psycopg.connect(table.owner, autocommit=True) as source:
                source.execute(PEOPLE)
            async with locals_[PROVIDER].pool.connection() as db:
                service = await the_service(db, table.owner)
            (folder / SERVICE_FILE).write_bytes(pickle.dumps(service))
            for role, local in locals_.items():
                await local.pool.close()
                (folder / f"{role}.pickle").write_bytes(pickle.dumps(local.settings))
            for node in nodes.values():
                await node.begin()
            yield Country(journal, nodes, servers, locals_)
            for node in nodes.values():
                await node.end()
    finally:
        for node in nodes.values():
            await node.end()
        for each in servers.values():
            each.destroy()


async def test_what_was_acknowledged_is_in_the_log_with_a_proof_after_twenty_kills(
    pg_engine: str, pg_server: PostgresServer, tmp_path: Path
) -> None:
    async with two_processes(pg_engine, pg_server, tmp_path) as country:
        journal = country.journal
        await journal.answers_come(ANSWERS)
        for number, what in enumerate(ROUNDS):
            # The provider's database comes last: for the length of the clock skew it can take no message afterwards.
            role = PROVIDER if number == len(ROUNDS) - 1 or (what == "process" and number % 2) else CONSUMER
            if what == "process":
                country.nodes[role].kill()
                await country.nodes[role].begin()
            else:
                server = country.servers[role]
                assert server.pid
                os.kill(server.pid, signal.SIGKILL)
                await asyncio.to_thread(server.start)
            await journal.answers_come(ANSWERS)
        for node in country.nodes.values():
            await node.end()

        assert len(journal.told[CONSUMER]) >= ANSWERS * len(ROUNDS)
        assert set(journal.refused) <= {"502", "503", "504"}
        for role, told in journal.told.items():
            await check_proven(country.locals[role], told)


async def check_proven(closed: Local, told: set[str]) -> None:
    """Every hash of ``told`` is in the log of the node, with a proof against its newest checkpoint."""
    local = await open_local(closed.settings)
    try:
        placed = await TestNode(local).sequence()
        assert placed >= len(told)
        key = parse_verifier_key(local.files.verifier_key)
        async with local.pool.connection() as db:
            cursor = await db.execute("SELECT encode(hash, 'hex'), idx FROM entry")
            places = {row[0]: row[1] for row in await cursor.fetchall()}
            assert told <= places.keys(), f"{len(told - places.keys())} acknowledged records are lost"
            cursor = await db.execute("SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
            row = await cursor.fetchone()
        assert row is not None
        for named in told:
            proof = parse_proof(local.files.proof(places[named], row[0], bytes(row[1])))
            verify_proof(proof, bytes.fromhex(named), local.files.origin, key)
    finally:
        await local.pool.close()
