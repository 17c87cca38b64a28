"""Two nodes of the real parts (consumer, provider, gate, writer, repeated nonces, sequencer) over simulated ports."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import patch

import asyncpg
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from lienthong.access import log as log_module
from lienthong.access import seen as seen_module
from lienthong.access import sequence as sequence_module
from lienthong.access.gate import Gate
from lienthong.access.log import LogFiles
from lienthong.access.seen import SeenMessages
from lienthong.access.sequence import Sequencer, SequencerReplaced
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.catalog.models import Service
from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, ServiceId
from lienthong.exchange import consume as consume_module
from lienthong.exchange import provide as provide_module
from lienthong.exchange import signed as signed_module
from lienthong.exchange.answer import Answer
from lienthong.exchange.breaker import Breaker
from lienthong.exchange.consume import Consumer, Wish
from lienthong.exchange.fair import FairQueue
from lienthong.exchange.parts import Parts
from lienthong.exchange.provide import Provider
from lienthong.exchange.signed import Incoming, LocalKey, PeerLink
from lienthong.storage import copy as copy_module
from lienthong.storage.copy import GroupCommit
from lienthong.trust.keys import generate_ed25519, generate_es256, key_id, public_jwk
from lienthong.trust.note import Checkpoint, open_checkpoint
from lienthong.trust.seal import Seal
from tests.agreements.build import CITIZEN, compiled
from tests.directory.build import COUNTER, POLICE, PROVINCE, a_key, a_member, a_node, a_snapshot
from tests.faults.simulated.disk import Connection, Database, Folder, Gone, Queries, Session, best_checkpoint
from tests.faults.simulated.network import CONSUMER_CERTIFICATE, PROVIDER_AUTHORITY
from tests.faults.simulated.world import Clock, Killed, Moment, Process, World, here

KEYS = {"nut-h24": generate_es256(), "nut-g01": generate_es256()}
LOG_PRIVATE = generate_ed25519()
SEAL = Seal(bytes(32))
AGREEMENT = compiled()
SERVICE = Service(
    id=ServiceId(CITIZEN), kind="http", title_vi="Công dân", title_en="Citizens", sharing="conditional", fields=()
)  # fmt: skip


@cache
def the_directory() -> Snapshot:
    members = tuple(
        a_member(member, keys=(a_key(node, KEYS[node]),))
        for member, node in ((POLICE, "nut-g01"), (PROVINCE, "nut-h24"))
    )
    nodes = (
        a_node("nut-g01", peer_url=f"https://{PROVIDER_AUTHORITY}"),
        a_node("nut-h24", operator=PROVINCE, members=(PROVINCE,), tls_sha256=(CONSUMER_CERTIFICATE,)),
    )
    return a_snapshot(members=members, nodes=nodes)


@cache
def no_folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="lt-sim-"))


@dataclass
class Gateway:
    """One gateway process."""

    process: Process
    parts: Parts
    consumer: Consumer
    provider: Provider


@dataclass
class Site:
    """One node: its database and folder, its gateways, its sequencer."""

    world: World
    node: str
    member: MemberId
    gateways: list[Gateway] = field(default_factory=list)
    jobs: Process | None = None
    network: Any = None
    executed: Counter[str] = field(default_factory=Counter)
    """How often the back end was called for a nonce."""

    def __post_init__(self) -> None:
        self.database = Database(self.world)
        self.files = LogFiles(no_folder(), f"log.example/{self.node}", LOG_PRIVATE.public_key())
        self.folder = Folder()
        self.files.store = self.folder  # type: ignore[assignment]
        self.kept = Folder()
        self.files._kept = self.kept  # type: ignore[assignment]

    def spawn(self, work: Coroutine[Any, Any, Any]) -> None:
        """Something that happens between processes."""
        self.world.loop.create_task(work)

    def a_gateway(self) -> Gateway | None:
        alive = [gateway for gateway in self.gateways if gateway.process.alive]
        return self.world.dice.choice(alive) if alive else None

    async def start_gateway(self) -> Gateway:
        process = Process(self.world, f"{self.node} gateway", skew_s=self.world.dice.uniform(-1.5, 1.5))
        made: asyncio.Future[Gateway] = self.world.loop.create_future()
        process.spawn(self._open(process, made))
        gateway = await made
        self.gateways.append(gateway)
        return gateway

    async def _open(self, process: Process, made: asyncio.Future[Gateway]) -> None:
        seen = SeenMessages(self.node)
        await seen.start()
        jwk = public_jwk(KEYS[self.node])
        keys = {self.member: LocalKey(self.member, KEYS[self.node], key_id(jwk), jwk)}
        link = PeerLink(
            self.network, the_directory, keys, SimpleNamespace(origin=lambda *_: None),  # type: ignore[arg-type]
            breaker=Breaker(clock=self.world.loop.time),
        )  # fmt: skip
        parts = Parts(
            settings=Settings(
                node=self.node, data=no_folder(), members=(self.member,), peer_url=f"https://{PROVIDER_AUTHORITY}"
            ),
            snapshot=the_directory,
            keys=keys,
            gate=Gate(lambda *_: [AGREEMENT], the_directory),
            writer=RecordWriter(GroupCommit(self.node, "record", COLUMNS), SEAL),
            seen=seen,
            link=link,
            service=lambda name: SERVICE if name == SERVICE.id else None,
            services=lambda: [SERVICE],
            tables=None,  # type: ignore[arg-type]
            answer_subquery=None,  # type: ignore[arg-type]
            call_backend=self._backend,
            notices={},
            accept_rule=_nothing,
            turns=FairQueue(16),
        )  # fmt: skip
        made.set_result(Gateway(process, parts, Consumer(parts), Provider(parts)))

    async def _backend(self, service: Service, incoming: Incoming, rest: bytes, may_stream: bool) -> Answer:
        process = here.get()
        await process.port()
        self.executed[incoming.verified.nonce] += 1
        await self.world.some_time(0.03)
        await process.port()
        return Answer(200, [(b"content-type", b"application/json")], b'{"for": "%b"}' % incoming.exchange_id.encode())

    def start_jobs(self) -> None:
        self.jobs = Process(self.world, f"{self.node} jobs")
        if self.world.chance(0.3):
            self.jobs.dies_at_put = self.world.dice.randint(1, 30)
        self.jobs.spawn(self._sequence(self.jobs))

    async def _sequence(self, process: Process) -> None:
        """What the jobs process does, started again by itself as its supervisor would."""
        while True:
            try:
                await self._sequence_session(process)
            except Gone:
                await asyncio.sleep(0.5)
            except (SequencerReplaced, Killed):
                return

    async def _sequence_session(self, process: Process) -> None:
        await process.port()
        if not self.database.up:
            raise Gone
        session = Session(self.database, process, self.database.generation, self.folder)
        sequencer = Sequencer(self.files, LOG_PRIVATE, epoch=await sequence_module.queries.raise_epoch(session))  # type: ignore[arg-type]
        await session.commit()
        await sequencer.publish_newest(session)  # type: ignore[arg-type]
        while True:
            if not await sequencer.step(session, limit=4):  # type: ignore[arg-type]
                await self.world.some_time(1.5)


_known: dict[tuple[bytes, str], Checkpoint] = {}


def _opened(note: bytes, origin: str, key: Ed25519PublicKey, name: str) -> Checkpoint:
    """``open_checkpoint``, but each signature is checked once: a sequencer reads the same one at every step."""
    if (note, origin) not in _known:
        _known[note, origin] = open_checkpoint(note, origin, key, name)
    return _known[note, origin]


async def _nothing(*_: object) -> None:
    """No agreement is by rule."""


@contextmanager
def simulated_ports(sites: dict[str, Site]) -> Iterator[None]:
    """Clock and database of the code are the simulated ones; ``sites`` may change while it holds."""

    async def connect(dsn: str, **_: object) -> Connection:
        return await sites[dsn].database.connect(here.get())

    _known.clear()
    database = SimpleNamespace(
        connect=connect, Connection=Connection, PostgresError=asyncpg.PostgresError,
        InterfaceError=asyncpg.InterfaceError,
    )  # fmt: skip
    with (
        patch.object(copy_module, "asyncpg", database),
        patch.object(seen_module, "asyncpg", database),
        patch.object(sequence_module, "queries", Queries),
        patch.object(sequence_module, "best_checkpoint", best_checkpoint),
        patch.object(log_module, "open_checkpoint", _opened),
        patch.object(seen_module, "time", Clock),
        patch.object(signed_module, "time", Clock),
        patch.object(signed_module, "datetime", Moment),
        patch.object(consume_module, "time", Clock),
        patch.object(consume_module, "datetime", Moment),
        patch.object(provide_module, "time", Clock),
        patch.object(provide_module, "datetime", Moment),
    ):
        yield


def a_wish() -> Wish:
    return Wish(
        consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=b"{}",
        purpose="HP-01", deadline_s=6.0,
    )  # fmt: skip
