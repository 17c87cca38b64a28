"""Observing a gateway's calls: both listeners wrapped, what is sent on timed, all of it told every few seconds.

Nothing here can stop a call: what can not be kept is counted and let go.
"""

from __future__ import annotations

import asyncio
import importlib
import os
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Final
from urllib.parse import urlsplit

import structlog

from lienthong.agreements.index import AgreementIndex
from lienthong.catalog.models import Service
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, member_of
from lienthong.errors import Problem, Side
from lienthong.exchange.answer import Answer
from lienthong.exchange.client import Flow
from lienthong.exchange.parts import CallBackend
from lienthong.exchange.paths import path_matches
from lienthong.exchange.signed import Exchanged, Incoming, Message, PeerLink
from lienthong.i18n import T
from lienthong.monitoring import queries
from lienthong.monitoring.calls import Names, ServiceType, pack, tell
from lienthong.monitoring.counters import Counters
from lienthong.monitoring.watch import HOP, App, Buffer, StartSpan, Watched
from lienthong.node.live import Live
from lienthong.storage.pool import DatabaseFailed, Pool

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

log = structlog.get_logger("lienthong.monitoring")
FLUSH_EVERY_S: Final = 2.0
QUIET_S: Final = 10.0
"""How often a process of which nobody wants anything tells that it lives."""
TRACEPARENT: Final = "traceparent"


class TracesNotInstalled(Problem):
    """The configuration names a collector of traces, but what sends to it is not installed."""

    kind: ClassVar[str] = "traces-not-installed"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("Traces can not be sent")


class TimedLink(PeerLink):
    """Tells the call under way when it was sent on and came back, and passes its span on."""

    async def send(self, message: Message, provider: MemberId, *, deadline_s: float, max_body: int) -> Exchanged:
        """As PeerLink does."""
        hop = HOP.get()
        if hop is None:
            return await super().send(message, provider, deadline_s=deadline_s, max_body=max_body)
        span = hop.span.child("lienthong.peer") if hop.span else None
        if span is not None and span.header():
            message = replace(message, extra={**(message.extra or {}), TRACEPARENT: span.header()})
        hop.exchange, hop.sent_on, status = message.exchange_id, time.time(), 0
        try:
            exchanged = await super().send(message, provider, deadline_s=deadline_s, max_body=max_body)
            status = exchanged.answer.status
            return exchanged
        finally:
            hop.came_back = time.time()
            if span is not None:
                span.end(status)


def timed_backend(call: CallBackend) -> CallBackend:
    """``call``, telling the call under way when its back end was asked and answered."""

    async def timed(service: Service, incoming: Incoming, rest: bytes, may_stream: bool) -> Answer | Flow:
        hop = HOP.get()
        if hop is None:
            return await call(service, incoming, rest, may_stream)
        span = hop.span.child("lienthong.backend") if hop.span else None
        if span is not None and span.header():
            incoming = replace(incoming, headers={**incoming.headers, TRACEPARENT: span.header()})
        hop.sent_on, status = time.time(), 0
        try:
            answer = await call(service, incoming, rest, may_stream)
            status = answer.status
            return answer
        finally:
            hop.came_back = time.time()
            if span is not None:
                span.end(status)

    return timed


@dataclass(slots=True)
class Observer:
    """Collects one gateway process's calls and puts them down for ``/monitoring`` and ``/metrics``."""

    pool: Pool
    names: Names
    members: tuple[str, ...]
    start_span: StartSpan | None = None
    buffer: Buffer = field(default_factory=Buffer)
    counters: Counters = field(default_factory=Counters)
    process: str = field(default_factory=lambda: f"gateway-{os.getpid()}")
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    _tell_at: float = 0.0

    def client_door(self, app: App) -> Watched:
        """The client listener's application, observed where X-Road clients call."""
        return Watched(app, "consumer", b"/r1/", self.buffer, self.start_span)

    def peer_door(self, app: App) -> Watched:
        """The peer listener's application, observed."""
        return Watched(app, "provider", b"/x1/", self.buffer, self.start_span)

    async def run(self) -> None:
        """Tell again and again; what is left at the end is told by ``flush``."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()

    async def flush(self) -> None:
        """Put down what was seen since the last time; when the database is away it is counted as not kept."""
        seen = self.buffer.take()
        now = time.monotonic()
        if not seen and now < self._tell_at:
            return
        self._tell_at = now + QUIET_S
        calls = tell(seen, self.names, int(time.time()))
        self.counters.count(calls)
        rows: dict[str, list[Any]] = defaultdict(list)
        for call in calls:
            named = call.client if call.side == "consumer" else call.service
            if named is not None and member_of(named) in self.members:
                rows[member_of(named)].append(call.row)
        try:
            async with self.pool.connection(timeout=FLUSH_EVERY_S) as db:
                for member, of_member in rows.items():
                    await queries.keep_calls(db, member, of_member[0][2], of_member[-1][5], pack(of_member))
                counted = self.counters.as_dict(self.buffer.dropped)
                await queries.put_counters(db, self.process, self.started, counted)
        except (DatabaseFailed, OSError, TimeoutError) as away:
            self.buffer.dropped += sum(map(len, rows.values()))
            self._tell_at = 0.0
            log.warning("monitoring.not-kept", calls=len(calls), error=type(away).__name__)


def names_of(snapshot: Callable[[], Snapshot], live: Live, described: Callable[[str], Service | None]) -> Names:
    """What may be named on a node: its directory, its services, its agreements, what others described to it."""

    def system(text: str) -> bool:
        return snapshot().system(text) is not None

    def service(text: str) -> bool:
        return live.service(text) is not None or described(text) is not None or _agreed(live.index, text)

    def template(text: str, method: str, path: bytes) -> tuple[str | None, ServiceType]:
        known = live.service(text) or described(text)
        if known is None or not known.endpoints:
            # Whatever a caller puts behind a service without description is its own.
            return ("/*" if path.strip(b"/") else None), "REST"
        for endpoint in known.endpoints:
            if endpoint.method in (method, "*") and path_matches(endpoint.path, path):
                return endpoint.path, "OPENAPI3"
        return "/*", "OPENAPI3"

    def address(text: str) -> str | None:
        node = snapshot().node_of(member_of(text))
        return urlsplit(node.peer_url).hostname if node else None

    return Names(system, service, template, address)


def _agreed(index: AgreementIndex, text: str) -> bool:
    return any(compiled.target == text for compiled in index.all())


def tracing(collector: str, provider: TracerProvider | None = None) -> StartSpan | None:
    """What starts spans; None where ``collector`` is empty and no provider is given.  Raises TracesNotInstalled."""
    if not collector and provider is None:
        return None
    from lienthong.monitoring.traces import Tracing  # heavy for a gateway, and off unless asked for

    return Tracing(provider or _provider_of(collector)).start


def _provider_of(collector: str) -> TracerProvider:
    """Sends spans to ``collector``, in a thread of its own.

    The packages are the optional extra: looked for by name, because most installations lack them.
    """
    try:
        exporting: Any = importlib.import_module("opentelemetry.exporter.otlp.proto.http.trace_exporter")
        tracer: Any = importlib.import_module("opentelemetry.sdk.trace")
        sending: Any = importlib.import_module("opentelemetry.sdk.trace.export")
    except ImportError:
        raise TracesNotInstalled(
            T("The setting traces names a collector, but the packages that send to it are not installed."),
            mend=T("pip install 'lienthong[traces]', or leave the setting empty."),
        ) from None
    provider: TracerProvider = tracer.TracerProvider()
    exporter = exporting.OTLPSpanExporter(collector.rstrip("/") + "/v1/traces")
    provider.add_span_processor(sending.BatchSpanProcessor(exporter))
    return provider
