"""The gateway process: the client and the peer listener over one set of parts; imports no engine.

What changes while it runs (directory, agreements, services) is looked up in memory and renewed on notice.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Mapping
from dataclasses import dataclass, field

import structlog

from lienthong.access.gate import Gate
from lienthong.access.seen import SeenMessages
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.agreements.index import AgreementIndex
from lienthong.catalog.models import Service
from lienthong.catalog.queries import all_services
from lienthong.config import Settings
from lienthong.exchange.backend import Backend
from lienthong.exchange.client import HttpClient
from lienthong.exchange.clientdoor import ClientDoor
from lienthong.exchange.consume import Consumer
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.parts import Parts
from lienthong.exchange.peer import OwnCertificate, PeerOrigins, PeerTrust
from lienthong.exchange.peerdoor import PeerDoor
from lienthong.exchange.provide import Provider
from lienthong.exchange.signed import PeerLink
from lienthong.node.local import Local, NoDirectory, listen, open_local
from lienthong.node.notices import Notices
from lienthong.node.prepare import local_keys, tls_files
from lienthong.node.questions import Questions
from lienthong.node.supervise import sandbox_socket
from lienthong.storage.copy import GroupCommit
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox

log = structlog.get_logger("lienthong.gateway")
TRUST_LOOK_S = 0.5
HEAD_ROOM = 64 * 1024


@dataclass(slots=True)
class Registry:
    """This node's own services, as the database last told."""

    services: dict[str, Service] = field(default_factory=dict[str, Service])

    def find(self, identifier: str) -> Service | None:
        """The service with this id, or None."""
        return self.services.get(identifier)

    def all(self) -> list[Service]:
        """Every service, by id."""
        return [self.services[name] for name in sorted(self.services)]


class Gateway:
    """Both listeners of a node; ``start`` opens them, ``stop`` drains them."""

    def __init__(self, local: Local) -> None:
        self.local = local
        self._settings: Settings = local.settings
        self._commit = GroupCommit(local.dsns.log, "record", COLUMNS)
        self._seen = SeenMessages(local.dsns.app)
        self._client = HttpClient()
        self._registry = Registry()
        self._index = AgreementIndex()
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[Listener] = []
        file, key, password = tls_files(local.settings, local.keyring)
        self._own = OwnCertificate(file, key, password)
        self._trust = PeerTrust(self._own, ())
        self._origins = PeerOrigins(self._own, ())
        self._trusted: tuple[str, ...] = ()

    @property
    def ports(self) -> tuple[int, int]:
        """Client and peer port, as bound."""
        return self._listeners[0].port, self._listeners[1].port

    async def start(self) -> None:
        """Load what is needed for the first answer, then open the listeners."""
        await self._seen.start()
        await self._reload()
        self._renew_trust()
        parts = self._parts()
        provider, consumer = Provider(parts), Consumer(parts)
        questions = Questions(parts, consumer, self._sandbox)
        door = ClientDoor(parts, consumer, questions, self.local.pool, self.local.receipts)
        settings = self._settings
        body = RequestLimits(max_body=settings.max_body_bytes + HEAD_ROOM)
        self._listeners = [
            await serve_app(door, settings.client_host, settings.client_port, limits=door.limits(body)),
            await serve_app(
                PeerDoor(provider, settings.max_body_bytes),
                settings.peer_host,
                settings.peer_port,
                tls=self._trust.context,
                limits=body,
            ),
        ]
        self._tasks = [
            asyncio.create_task(self._watch_directory()),
            asyncio.create_task(listen(self.local.dsns.app, ("agreement", "service"), self._reload)),
        ]
        log.info("gateway.serving", client=self.ports[0], peer=self.ports[1])

    async def stop(self, grace_s: float = 25.0) -> None:
        """Drain both listeners, then close what they used."""
        await asyncio.gather(*(listener.stop(grace_s) for listener in self._listeners))
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._client.close()
        await self._commit.close()
        await self._seen.stop()

    def _parts(self) -> Parts:
        local, settings = self.local, self._settings
        self._sandbox = Sandbox(sandbox_socket(settings))
        keys = local_keys(settings, local.keyring)
        link = PeerLink(self._client, local.directory.snapshot, keys, self._origins)
        questions = Questions.subqueries(self._sandbox, settings)
        notices = Notices(local, keys, link, self._registry.all)
        return Parts(
            settings=settings,
            snapshot=local.directory.snapshot,
            keys=keys,
            gate=Gate(self._index.find, local.directory.snapshot),
            writer=RecordWriter(self._commit, local.seal),
            seen=self._seen,
            link=link,
            service=self._registry.find,
            services=self._registry.all,
            tables=TableReader(Sources(), questions.file_rows),
            answer_subquery=questions.answer_subquery,
            call_backend=Backend(self._client, settings.max_body_bytes).call,
            notices=notices.handlers(),
        )

    async def _reload(self) -> None:
        """Read services and agreements anew."""
        async with self.local.pool.connection() as db:
            services: Mapping[str, Service] = {service.id: service for service in await all_services(db)}
            await self._index.reload(db)
        self._registry.services = dict(services)

    async def _watch_directory(self) -> None:
        while True:
            await asyncio.sleep(TRUST_LOOK_S)
            self.local.directory.look()
            self._renew_trust()

    def _renew_trust(self) -> None:
        """Take up certificates that the directory has come to list, our own among them."""
        with contextlib.suppress(NoDirectory):
            listed = self.local.directory.snapshot().contents.authorities
            if listed != self._trusted:
                self._trusted = listed
                self._trust.renew(self._own, listed)
                self._origins.renew(self._own, listed)


async def run_gateway(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve both listeners until ``stopping`` is set, then drain."""
    gateway = Gateway(await open_local(settings))
    await gateway.start()
    await stopping.wait()
    await gateway.stop()
