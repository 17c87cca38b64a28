"""Witnesses with databases and listeners of their own, and a log that asks them over HTTP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from psycopg import AsyncConnection
from starlette.applications import Starlette

from lienthong.access import queries
from lienthong.access.log import LogFiles
from lienthong.access.sequence import Sequencer
from lienthong.access.witness.ask import Asking
from lienthong.access.witness.cosign import Witness
from lienthong.access.witness.http import witness_routes
from lienthong.access.witness.policy import Policy, WitnessSite
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.exchange.listen import Listener, serve_app
from lienthong.storage.copy import GroupCommit
from lienthong.storage.objects import ObjectStore
from lienthong.storage.pool import Pool, open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.storage.server import PostgresServer
from lienthong.trust.cosign import parse_cosigner_key
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import VerifierKey
from lienthong.trust.seal import Seal
from tests.access.test_log import ORIGIN, a_record
from tests.use.databases import databases


@pytest.fixture
def database(pg_server: PostgresServer) -> Iterator[DatabaseDsns]:
    """As the fixture of the same name, copied instead of migrated: a tenth of its time."""
    with databases(pg_server, 1) as (copied,):
        yield copied


@dataclass
class RunningWitness:
    """One witness on a loopback port."""

    pool: Pool
    witness: Witness
    listener: Listener | None
    port: int

    @property
    def site(self) -> WitnessSite:
        return WitnessSite(parse_cosigner_key(self.witness.verifier_key), f"http://127.0.0.1:{self.port}/witness")

    async def listen(self) -> None:
        app = Starlette(routes=witness_routes(self.pool, self.witness))
        self.listener = await serve_app(app, "127.0.0.1", self.port)
        self.port = self.listener.port

    async def silence(self) -> None:
        if self.listener:
            await self.listener.stop(1.0)
            self.listener = None

    async def close(self) -> None:
        await self.silence()
        await self.pool.close()


async def a_witness(dsns: DatabaseDsns, name: str, keys: Callable[[str], VerifierKey | None]) -> RunningWitness:
    pool = await open_pool(dsns.app, max_size=4)
    running = RunningWitness(pool, Witness(pool, generate_ed25519(), f"vn.lienthong/{name}/witness", keys), None, 0)
    await running.listen()
    return running


class AskingLog:
    """A node's log that asks witnesses; ``clock`` is the clock of its pauses."""

    def __init__(self, dsns: DatabaseDsns, folder: Path) -> None:
        self.key = generate_ed25519()
        self.dsns = dsns
        self.files = LogFiles(folder / "log", ORIGIN, self.key.public_key(), ObjectStore(folder))
        self.policy = Policy(0, ())
        self.now = 0.0
        self.commit = GroupCommit(dsns.log, "record", COLUMNS)
        self.writer = RecordWriter(self.commit, Seal(bytes(32)))
        self.sequencer = Sequencer(self.files, self.key, lambda: self.policy)
        self.session = aiohttp.ClientSession()
        self.asking = Asking(self.files, lambda: self.policy, self.post, clock=lambda: self.now)
        self.written = 0

    @property
    def verifier(self) -> VerifierKey:
        return VerifierKey(ORIGIN, self.key.public_key())

    async def post(self, url: str, body: bytes) -> tuple[int, bytes]:
        try:
            async with self.session.post(url, data=body) as answer:
                return answer.status, await answer.read()
        except aiohttp.ClientError as away:
            raise OSError(str(away)) from away

    async def grow(self, by: int) -> None:
        for _ in range(by):
            self.written += 1
            await self.writer.append(a_record(self.written))
        async with await AsyncConnection.connect(self.dsns.app) as db:
            await self.sequencer.step(db)

    async def ask(self) -> int:
        pool = await open_pool(self.dsns.app)
        try:
            return await self.asking.round(pool)
        finally:
            await pool.close()

    async def newest(self) -> int:
        async with await AsyncConnection.connect(self.dsns.app) as db:
            found = await queries.newest_checkpoint(db)
        return found[0] if found else 0

    def published(self) -> bytes:
        note = self.files.store.get("checkpoint")
        assert note is not None
        return note

    async def close(self) -> None:
        await self.session.close()
        await self.commit.close()
