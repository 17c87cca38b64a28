"""What arrived is pushed to the system that follows it: batches of CloudEvents by POST, in order, until they are taken.

Source: CloudEvents 1.0, HTTP protocol binding (batched content mode) and HTTP 1.1 Web Hooks for Event Delivery (the
handshake, the token, 410 and 429).  Promises: nothing is sent to an address that did not agree to it; the next batch
leaves after the last one was taken, so events keep their order; at least once, and what was taken is known by ``id``; a
system that is away is asked again, ever more seldom, and misses nothing; any number of processes may push.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

import orjson
import structlog

from lienthong.directory.models import SystemId
from lienthong.errors import Problem, Side
from lienthong.events.follow import Follower
from lienthong.events.models import PushPlace
from lienthong.events.queries import drop_push, due_push, keep_push, note_push
from lienthong.exchange.answer import Answer, Headers
from lienthong.exchange.backend import backend_origin
from lienthong.exchange.client import HttpClient, Origin
from lienthong.exchange.outward import Outward
from lienthong.i18n import T
from lienthong.storage.pool import Pool
from lienthong.trust.seal import Seal

log = structlog.get_logger("lienthong.events")
BATCH_TYPE: Final = b"application/cloudevents-batch+json"
MOST_AT_ONCE: Final = 100
DEADLINE_S: Final = 30.0
LEASE: Final = timedelta(seconds=90)
"""How long a process may be busy with one batch before another takes it up: longer than handshake and deadline."""
LONGEST_PAUSE_S: Final = 300
MAX_ANSWER: Final = 64 * 1024
MOST_TOKEN: Final = 4_096


class WebhookNotAgreed(Problem):
    """The address does not answer that it takes events from this node."""

    kind: ClassVar[str] = "webhook-not-agreed"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The address does not agree to take events")


@dataclass(slots=True)
class Pusher:
    """Pushes for this node's systems; belongs to one event loop."""

    pool: Pool
    seal: Seal
    follower: Follower
    client: HttpClient
    rule: Outward
    """Where an address that a system gave may lead to."""
    node: str
    """Our name in the handshake."""

    async def begin(self, system: SystemId, subscription: str, url: str, token: str) -> None:
        """Push to ``url`` what arrives for ``subscription``, from the first event that was not pushed yet.

        ``token``: sent as a bearer token, kept sealed; empty: none.  Raises NoSuchSubscription, WebhookNotAgreed,
        BackendAddressNotValid, AddressNotAllowed and the problems of an unreachable server.
        """
        await self.follower.own(system, subscription)
        if len(token) > MOST_TOKEN or any(not "!" <= letter <= "~" for letter in token):
            raise _not_agreed(T("The token must be of printable ASCII letters without spaces."))
        origin, path = self._place(url)
        if origin.tls is None and not await self._is_named(origin):
            raise _not_agreed(T("Only https:// is pushed to, or an address that the operator listed."))
        asked: Headers = [(b"webhook-request-origin", self.node.encode("ascii"))]
        answer = await self._send(origin, "OPTIONS", path, asked, b"")
        allowed = (answer.header(b"webhook-allowed-origin") or b"").decode("latin-1").strip()
        if answer.status >= 300 or allowed not in ("*", self.node):
            raise _not_agreed(
                T("It answered the question whether it takes events from {node} without WebHook-Allowed-Origin."),
                node=self.node,
            )
        sealed = self.seal.encrypt(token.encode("ascii"), _place_of_token(subscription)) if token else None
        async with self.pool.connection() as db:
            await keep_push(db, subscription, url, sealed)

    async def end(self, system: SystemId, subscription: str) -> None:
        """Push no more; what arrives can be read as before.  Raises NoSuchSubscription."""
        await self.follower.own(system, subscription)
        async with self.pool.connection() as db:
            await drop_push(db, subscription)

    async def push_all(self) -> int:
        """Push what is due; how many events were taken."""
        taken = 0
        while True:
            async with self.pool.connection() as db:
                due = await due_push(db, LEASE)
            if due is None:
                return taken
            taken += await self._push(due)

    async def _push(self, due: PushPlace) -> int:
        """One batch; no connection to the database is held while it is under way."""
        numbered = await self.follower.kept(due.subscription, due.after, MOST_AT_ONCE)
        fields: Headers = [(b"content-type", BATCH_TYPE)]
        if due.token is not None:
            token = self.seal.decrypt(due.token, _place_of_token(due.subscription))
            fields.append((b"authorization", b"Bearer " + token))
        failure, pause_s, ended = "", 0, False
        try:
            origin, path = self._place(due.url)
            answer = await self._send(origin, "POST", path, fields, orjson.dumps([event for _, event in numbered]))
            ended = answer.status == 410
            if not 200 <= answer.status < 300:
                failure, pause_s = f"status-{answer.status}", _asked_to_wait(answer)
        except Problem as problem:
            failure = problem.kind
        after = due.after if failure else numbered[-1][0]
        failures = due.failures + 1 if failure else 0
        pause_s = max(pause_s, min(LONGEST_PAUSE_S, 2**failures)) if failure else 0
        if failure:
            log.warning("events.not-pushed", subscription=due.subscription, error=failure, failures=failures)
        next_at = datetime.now(UTC) + timedelta(seconds=pause_s)
        async with self.pool.connection() as db:
            await note_push(db, due, after=after, failures=failures, problem=failure, next_at=next_at, ended=ended)
        return 0 if failure else len(numbered)

    def _place(self, url: str) -> tuple[Origin, bytes]:
        origin, path = backend_origin(url)
        guarded = Origin(origin.host, origin.port, origin.tls, idle_s=origin.idle_s, rule=self.rule)
        return guarded, path or b"/"

    async def _is_named(self, origin: Origin) -> bool:
        """Whether every address of a server without TLS is one that the operator listed."""
        named = Outward("public", self.rule.allowed)
        places = await self.rule.addresses(origin.host, origin.port)
        return all(any(each.holds_text(place, origin.port) for each in named.allowed) for place in places)

    async def _send(self, origin: Origin, method: str, path: bytes, fields: Headers, body: bytes) -> Answer:
        return await self.client.request(origin, method, path, fields, body, deadline_s=DEADLINE_S, max_body=MAX_ANSWER)


def _asked_to_wait(answer: Answer) -> int:
    """Seconds of a Retry-After in digits, at most an hour."""
    told = answer.header(b"retry-after") or b""
    return min(int(told), 3_600) if told.isdigit() and len(told) <= 9 else 0


def _place_of_token(subscription: str) -> bytes:
    """What a token is sealed to."""
    return f"push/{subscription}".encode()


def _not_agreed(message: str, **facts: object) -> WebhookNotAgreed:
    return WebhookNotAgreed(
        message, mend=T("See the page on events: what an address must answer, and how a token is given."), **facts
    )
