"""The gateway process: the client and the peer listener over one set of parts; imports no engine.

What changes while it runs (directory, agreements, services) is looked up in memory and renewed on notice.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

import structlog

from lienthong.access.gate import Gate
from lienthong.access.recovery import RecoveryWatch
from lienthong.access.repeats import Repeats
from lienthong.access.seen import SeenMessages
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.agreements.policy import Decision
from lienthong.agreements.rules import accept_rule
from lienthong.config import Settings
from lienthong.directory.models import MemberId, SystemId
from lienthong.errors import Problem
from lienthong.events.feed import Feeds
from lienthong.events.follow import NOTICE as EVENT_HEAD
from lienthong.events.follow import Follower
from lienthong.events.push import Pusher
from lienthong.events.rounds import rounds
from lienthong.exchange.answer import Spill
from lienthong.exchange.backend import Backend
from lienthong.exchange.budget import Budget
from lienthong.exchange.client import HttpClient
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.consume import Consumer
from lienthong.exchange.describe import Describer, Descriptions
from lienthong.exchange.fair import FairQueue
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.outward import Outward, read_allowed
from lienthong.exchange.parts import Parts
from lienthong.exchange.peer import OwnCertificate, PeerOrigins, PeerTrust
from lienthong.exchange.peerdoor import PeerDoor
from lienthong.exchange.provide import Provider
from lienthong.exchange.quota import Leases
from lienthong.exchange.signed import LocalKey
from lienthong.exchange.spool import Spools
from lienthong.node.certificates import AHEAD_S, CertificateChoice
from lienthong.node.corrections import CorrectionDesk
from lienthong.node.desk import Desk
from lienthong.node.eventdesk import EventCounter, EventOffice
from lienthong.node.halves import HalvesDesk
from lienthong.node.health import readiness
from lienthong.node.live import Live
from lienthong.node.local import Local, NoDirectory, open_local
from lienthong.node.notices import Notices
from lienthong.node.nudging import NewsDesk
from lienthong.node.observing import Observer, TimedLink, names_of, timed_backend, tracing
from lienthong.node.ownpages import open_pages, own_pages, own_receipt
from lienthong.node.prepare import local_keys, renew_keys
from lienthong.node.profiles import ProfileOffice, ask_profile
from lienthong.node.questions import Question, Questions, Subqueries, answer_json
from lienthong.node.supervise import sandbox_socket
from lienthong.node.takeover import RulesDesk
from lienthong.query.operations import Planner, Restrictor
from lienthong.storage.copy import GroupCommit
from lienthong.storage.pool import DatabaseFailed
from lienthong.tables.jobs import file_rows
from lienthong.tables.queries import Sources
from lienthong.tables.read import TableReader
from lienthong.tables.sandbox import Sandbox

log = structlog.get_logger("lienthong.gateway")
TRUST_LOOK_S = 0.5
REPEATS_LOOK_S = 5.0
STREAM_ABOVE_BYTES = 1024 * 1024
"""Answers of back ends above it go in frames."""


class Gateway:
    """Both listeners of a node; ``start`` opens them, ``stop`` drains them."""

    def __init__(self, local: Local, *, certificate_ahead_s: float = AHEAD_S) -> None:
        """``certificate_ahead_s``: how long the directory has listed a certificate of ours before it is shown."""
        self.local = local
        self._settings: Settings = local.settings
        self._commit = GroupCommit(local.dsns.log, "record", COLUMNS)
        self._recovery = RecoveryWatch(local.dsns.app)
        self._writer = RecordWriter(self._commit, local.seal, self._recovery.refuse)
        self._repeats = Repeats()
        self._seen = SeenMessages(local.dsns.app)
        self._client = HttpClient()
        self._rule = Outward("inside", read_allowed(self._settings.outward_allowed))
        self._sources = Sources()
        self._live = Live(local)
        self._sandbox = Sandbox(sandbox_socket(local.settings))
        self._tasks: list[asyncio.Task[None]] = []
        self._listeners: list[Listener] = []
        self._descriptions: Descriptions | None = None
        self._leases: Leases | None = None
        self._observer: Observer | None = None
        self._keys: dict[MemberId, LocalKey] = {}
        self._choice = CertificateChoice(local.settings, local.keyring, certificate_ahead_s)
        own = self._choice.own(None)
        self._trust, self._origins = PeerTrust(own, ()), PeerOrigins(own, ())
        self._trusted: tuple[OwnCertificate, tuple[str, ...]] = (own, ())

    @property
    def ports(self) -> tuple[int, int]:
        """Client and peer port, as bound."""
        return self._listeners[0].port, self._listeners[1].port

    async def start(self) -> None:
        """Load what is needed for the first answer, then open the listeners."""
        await self._seen.start()
        await self._recovery.start()
        await self._live.start()
        self.renew()
        parts = self._parts()
        self.renew()
        self._descriptions = descriptions = Descriptions(parts.link)
        provider, consumer = Provider(parts), Consumer(parts, descriptions.at_hand)
        questions = Questions(parts, consumer, self._sandbox, Planner(self._sandbox), descriptions)
        settings = self._settings
        self._observer = observer = Observer(
            self.local.pool,
            names_of(self.local.directory.snapshot, self._live, descriptions.at_hand),
            settings.members,
            tracing(settings.traces),
        )
        follower = Follower(self.local.pool, self.local.seal, parts.link, consumer)
        pusher = Pusher(self.local.pool, self.local.seal, follower, self._client, self._rule, settings.node)
        counter = replace(
            self._counter(parts, consumer, questions, descriptions), events=EventCounter(follower, pusher).answer
        )
        door = observer.client_door(ClientDoor(counter))
        body = RequestLimits(max_body=max(settings.max_body_bytes, settings.max_request_bytes))
        shared = settings.gateways > 1
        self._listeners = [
            await serve_app(door, settings.client_host, settings.client_port, limits=body, reuse_port=shared),
            await serve_app(
                observer.peer_door(
                    PeerDoor(provider, settings.max_body_bytes, parts.budget, parts.spools, settings.max_request_bytes)
                ),
                settings.peer_host,
                settings.peer_port,
                tls=self._trust.context,
                limits=body,
                reuse_port=shared,
            ),
        ]
        self._tasks = [
            asyncio.create_task(self._watch_directory()),
            asyncio.create_task(self._count_repeats()),
            asyncio.create_task(observer.run()),
            asyncio.create_task(self._tidy_leases()),
            asyncio.create_task(rounds(follower.follow_all)),
            asyncio.create_task(rounds(pusher.push_all)),
        ]
        log.info("gateway.serving", client=self.ports[0], peer=self.ports[1])

    async def stop(self, grace_s: float = 25.0) -> None:
        """Drain both listeners, then close what they used."""
        await asyncio.gather(*(listener.stop(grace_s) for listener in self._listeners))
        for record in self._repeats.rest():
            await self._writer.append(record)
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        if self._observer is not None:
            await self._observer.flush()
        if self._leases is not None:
            with contextlib.suppress(DatabaseFailed):  # what is not given back stays unused today
                await self._leases.tidy(everything=True)
        await self._live.stop()
        await self._client.close()
        await self._sources.close()
        await self._commit.close()
        await self._seen.stop()
        await self._recovery.stop()

    def _counter(self, parts: Parts, consumer: Consumer, questions: Questions, descriptions: Descriptions) -> Counter:
        local, live = self.local, self._live

        async def ask(system: SystemId, sql: str, purpose: str | None, default: str | None) -> bytes:
            return answer_json(await questions.ask(Question(system, sql, purpose, default)))

        async def profile(system: SystemId, agreement: str, purpose: str | None) -> Mapping[str, object]:
            return await ask_profile(parts.link, live.index, system, agreement, purpose)

        async def receipt(record: str, member: MemberId | None) -> Mapping[str, object]:
            async with local.pool.connection() as db:
                return await own_receipt(db, local, record, member)

        async def ready() -> tuple[bool, Mapping[str, str]]:
            return await readiness(local)

        pages, opened = own_pages(local), open_pages(local)
        return Counter(parts, consumer, descriptions, ask, profile, receipt, ready, pages=pages, open_pages=opened)

    def _parts(self) -> Parts:
        local, settings, live = self.local, self._settings, self._live
        self._keys = keys = local_keys(settings, local.keyring)
        stream = Spill(STREAM_ABOVE_BYTES, max_body=settings.max_stream_bytes, deadline_s=settings.stream_timeout_s)
        # Frames add five bytes to each piece, and pieces may be small.
        framed = replace(stream, max_body=2 * settings.max_stream_bytes)
        link = TimedLink(self._client, local.directory.snapshot, keys, self._origins, framed)
        notices = Notices(
            Desk(local.pool, local.directory, keys, link),
            Describer(live.services, live.index.find),
            ProfileOffice(settings, local.pool, live.index, live.services),
            HalvesDesk(local),
            RulesDesk(local),
            NewsDesk(local),
            CorrectionDesk(local.pool, live.service, live.index.find),
        )
        gate = Gate(live.index.find, local.directory.snapshot, is_open=self._is_open)
        self._leases = Leases(local.pool, gate.quota)
        events = EventOffice(Feeds(local.pool, local.seal), gate, live.service)
        return Parts(
            settings=settings,
            snapshot=local.directory.snapshot,
            keys=keys,
            gate=gate,
            leases=self._leases,
            turns=FairQueue(settings.max_uses),
            budget=Budget(settings.max_held_bytes),
            spools=Spools(settings.data / "spool", settings.max_spool_bytes),
            writer=self._writer,
            repeats=self._repeats,
            seen=self._seen,
            link=link,
            service=live.service,
            services=live.services,
            tables=TableReader(self._sources, file_rows(self._sandbox)),
            answer_subquery=Subqueries(self._sandbox, Restrictor(self._sandbox), self._sources, settings).answer,
            call_backend=timed_backend(Backend(self._client, settings.max_body_bytes, stream, rule=self._rule).call),
            notices={**notices.handlers(), EVENT_HEAD: events.head},
            answer_events=events.answer,
            accept_rule=self._accept_rule,
        )

    def _is_open(self, identifier: str) -> bool:
        """Whether a service is open data: our own, or another member's as it was last described to us."""
        service = self._live.service(identifier)
        if service is None and self._descriptions is not None:
            service = self._descriptions.at_hand(identifier)
        return service is not None and service.sharing == "open" and not service.personal

    async def _accept_rule(self, decision: Decision, member: str, exchange_id: str) -> None:
        """Note the first use of an agreement by rule as its acceptance."""
        compiled = self._live.index.get(str(decision.agreement_id))
        if compiled is None or not self._live.index.awaits_acceptance(compiled, member):
            return
        async with self.local.pool.connection() as db:
            await accept_rule(db, compiled.digest, member, exchange_id=exchange_id, at=datetime.now(UTC))

    async def _count_repeats(self) -> None:
        """Write one record for all equal refusals of a minute that has ended."""
        while True:
            await asyncio.sleep(REPEATS_LOOK_S)
            for record in self._repeats.due(time.monotonic()):
                try:
                    await self._writer.append(record)
                except Problem as failed:
                    log.error("repeats.not-recorded", error=failed.kind)

    async def _tidy_leases(self) -> None:
        """Give unused parts of quotas back to the node's other gateways."""
        while self._leases is not None:
            await asyncio.sleep(1.0)
            try:
                await self._leases.tidy()
            except (DatabaseFailed, OSError) as away:
                log.warning("quota.not-given-back", error=type(away).__name__)

    async def _watch_directory(self) -> None:
        while True:
            await asyncio.sleep(TRUST_LOOK_S)
            self.local.directory.look()
            self.renew()

    def renew(self) -> None:
        """Take up certificates that the directory has come to list, our own among them, and our members' next keys."""
        with contextlib.suppress(NoDirectory):
            snapshot = self.local.directory.snapshot()
            renew_keys(self._keys, self._settings, self.local.keyring, snapshot, datetime.now(UTC))
            trusted = (self._choice.own(snapshot), snapshot.contents.authorities)
            if trusted != self._trusted:
                self._trusted = trusted
                self._trust.renew(*trusted)
                self._origins.renew(*trusted)


async def run_gateway(settings: Settings, stopping: asyncio.Event) -> None:
    """Serve both listeners until ``stopping`` is set, then drain."""
    gateway = Gateway(await open_local(settings))
    await gateway.start()
    await stopping.wait()
    await gateway.stop()
