"""The subscriber's side: a node follows tables for its systems and keeps what arrives until they have read it.

Promises: events are kept in the order of their feed, each once, and the place reached with them in one transaction, so
a restart loses and doubles nothing; an answer out of order is refused whole; following ends with the agreement.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final, cast

import orjson
import structlog

from lienthong.access.gate import Refused
from lienthong.directory.models import MemberId, SystemId, member_of, read_service_id
from lienthong.errors import Problem
from lienthong.events.models import (
    MOST_EVENTS,
    Arrived,
    EventRowUnknown,
    NoSuchSubscription,
    Subscription,
    in_order,
    not_an_event,
    read_event,
)
from lienthong.events.queries import (
    ids_among,
    inbox,
    keep_arrived,
    keep_subscription,
    place_of,
    pushes,
    rows_among,
    set_state,
    subscriptions,
    take_following_lock,
)
from lienthong.exchange.consume import Consumer, Wish
from lienthong.exchange.signed import Message, PeerLink, RefusedByProvider
from lienthong.i18n import T
from lienthong.storage.pool import Connection, Pool
from lienthong.trust.seal import Seal

log = structlog.get_logger("lienthong.events")
TARGET: Final = b"/x1/events"
NOTICE: Final = "event-head"
DEADLINE_S: Final = 30.0
MAX_ANSWER: Final = 16 * 1024 * 1024
STOPPING: Final = frozenset({401, 403, 404, 409})
"""A provider that refuses so will not think otherwise by itself."""


@dataclass(frozen=True, slots=True)
class Pulled:
    """One answer of a provider, read."""

    feed: str
    bulk: bool
    head: int
    events: tuple[Arrived, ...]


class Follower:
    """Follows what this node's systems have subscribed to.  Any number of processes may: a row's lock takes turns."""

    def __init__(self, pool: Pool, seal: Seal, link: PeerLink, consumer: Consumer) -> None:
        self._pool = pool
        self._seal = seal
        self._link = link
        self._consumer = consumer

    async def subscribe(self, system: SystemId, service: str, purpose: str | None) -> Subscription:
        """Begin to follow ``service`` for ``system``, or go on after a stop; the first events are fetched at once.

        Raises the refusals of either side, recorded, and the problems of an unreachable provider.
        """
        read_service_id(service)
        wanted = Subscription(
            str(uuid.uuid4()), system, service, purpose, "", 0, False, "active", None, datetime.now(UTC)
        )
        # Asked before it is kept: what is refused leaves a record, not a subscription.
        first = await self._pull(wanted, "", 0)
        async with self._pool.connection() as db:
            kept = await keep_subscription(db, wanted)
            if await take_following_lock(db, kept.id) and (await place_of(db, kept.id))[0] in ("", first.feed):
                await self._keep(db, kept, first)
        return kept

    async def listed(self, system: SystemId) -> list[Subscription]:
        """The subscriptions of ``system``."""
        async with self._pool.connection() as db:
            return await subscriptions(db, system)

    async def pushed(self, known: Sequence[Subscription]) -> dict[str, dict[str, object]]:
        """How the pushes of these subscriptions stand, by subscription."""
        async with self._pool.connection() as db:
            return {name: push.as_dict() for name, push in (await pushes(db, [each.id for each in known])).items()}

    async def read(
        self, system: SystemId, subscription: str, after: int, limit: int
    ) -> tuple[list[dict[str, object]], int]:
        """Events that arrived after number ``after`` and the number to go on from; the same ones as often as asked.

        Raises NoSuchSubscription.
        """
        await self.own(system, subscription)
        found = await self.kept(subscription, after, min(max(limit, 1), MOST_EVENTS))
        return [event for _, event in found], found[-1][0] if found else after

    async def own(self, system: SystemId, subscription: str) -> None:
        """Raises NoSuchSubscription unless ``system`` has ``subscription``."""
        async with self._pool.connection() as db:
            if subscription in {known.id for known in await subscriptions(db, system)}:
                return
        raise NoSuchSubscription(
            T("This system has no subscription {id}."),
            mend=T("List them: lienthong events list"),
            id=subscription[:60],
        )

    async def kept(self, subscription: str, after: int, limit: int) -> list[tuple[int, dict[str, object]]]:
        """Number and content of the events that arrived after number ``after``."""
        async with self._pool.connection() as db:
            found = await inbox(db, subscription, after, limit)
        return [
            (
                number,
                cast("dict[str, object]", orjson.loads(self._seal.decrypt(sealed, _place(subscription, identifier)))),
            )
            for number, identifier, sealed in found
        ]

    async def follow_all(self) -> int:
        """Fetch what is new for every active subscription; how many events arrived."""
        async with self._pool.connection() as db:
            active = [known for known in await subscriptions(db) if known.state == "active"]
        arrived = 0
        for subscription in active:
            try:
                arrived += await self.follow(subscription)
            except Problem as problem:
                log.warning("events.not-followed", service=subscription.service, error=problem.kind)
                async with self._pool.connection() as db:
                    await set_state(db, subscription.id, "stopped" if _ends(problem) else "active", problem.kind)
        return arrived

    async def follow(self, subscription: Subscription) -> int:
        """Fetch what is new for one subscription, until nothing is; how many events arrived.

        No connection to the database is held while the provider answers; what another process kept meanwhile stays.
        """
        arrived = 0
        while True:
            async with self._pool.connection() as db:
                feed, after = place = await place_of(db, subscription.id)
            if not arrived and await self._at_head(subscription, feed, after):
                return arrived
            pulled = await self._pull(subscription, feed, after)
            async with self._pool.connection() as db:
                if not await take_following_lock(db, subscription.id) or await place_of(db, subscription.id) != place:
                    return arrived
                arrived += await self._keep(db, subscription, pulled)
            if not pulled.events or pulled.events[-1].sequence >= pulled.head:
                return arrived

    async def _at_head(self, subscription: Subscription, feed: str, after: int) -> bool:
        """Whether there is nothing new: asked by a message that is no use and leaves no record."""
        exchanged = await self._link.send(
            Message(
                consumer=SystemId(subscription.system),
                service=subscription.service,
                target=f"/x1/{NOTICE}".encode(),
                exchange_id=str(uuid.uuid4()),
                purpose=subscription.purpose,
                agreement=None,
            ),
            MemberId(member_of(subscription.service)),
            deadline_s=DEADLINE_S,
            max_body=64 * 1024,
        )
        if exchanged.answer.status >= 400:
            return False  # let the use be refused, on record
        told = cast("dict[str, object]", orjson.loads(exchanged.answer.body))
        return told.get("feed") == feed and told.get("head") == after

    async def _pull(self, subscription: Subscription, feed: str, after: int) -> Pulled:
        """The next events, as a recorded use."""
        used = await self._consumer.use(
            Wish(
                consumer=SystemId(subscription.system),
                service=subscription.service,
                way="event",
                target=TARGET,
                body=orjson.dumps({"feed": feed, "after": after, "limit": MOST_EVENTS}),
                purpose=subscription.purpose,
                deadline_s=DEADLINE_S,
                max_body=MAX_ANSWER,
            )
        )
        if used.answer.status >= 400:
            raise RefusedByProvider(cast("dict[str, object]", orjson.loads(used.answer.body)), used.answer.status)
        return read_answer(used.answer.body)

    async def _keep(self, db: Connection, subscription: Subscription, pulled: Pulled) -> int:
        """Keep what is new of ``pulled``; how many events.  Raises EventsOutOfOrder, EventRowUnknown."""
        feed, after = await place_of(db, subscription.id)
        restarted = feed != pulled.feed
        if restarted:
            after = 0
        known = await ids_among(db, subscription.id, [event.id for event in pulled.events])
        fresh = in_order(list(pulled.events), after, known)
        told = [] if restarted else [event.row for event in fresh]
        rows = set(await rows_among(db, subscription.id, told))
        existing = set(rows)
        for event in fresh:
            _check_row(event, existing, bulk=pulled.bulk)
        await keep_arrived(
            db,
            subscription.id,
            pulled.feed,
            after + len(fresh),
            bulk=pulled.bulk,
            restarted=restarted,
            events=[
                (event.id, self._seal.encrypt(orjson.dumps(event.event), _place(subscription.id, event.id)))
                for event in fresh
            ],
            born=sorted(existing - rows),
            gone=sorted({event.row for event in fresh} - existing),
        )
        return len(fresh)


def read_answer(content: bytes) -> Pulled:
    """A provider's answer.  Raises EventsOutOfOrder when it has not the shape of one."""
    try:
        body = cast("dict[str, object]", orjson.loads(content))
        named, head, listed = str(body["feed"]), int(cast("int", body["head"])), cast("list[object]", body["events"])
        return Pulled(named, body["bulk"] is True, head, tuple(read_event(raw, named) for raw in listed))
    except (KeyError, TypeError, ValueError) as wrong:
        raise not_an_event() from wrong


def _check_row(event: Arrived, existing: set[bytes], *, bulk: bool) -> None:
    """Follow which rows exist; only what was inserted can be updated or deleted.

    Of a table that was taken whole first the rows are not known, so there all are believed.
    """
    if event.kind == "inserted":
        existing.add(event.row)
        return
    if event.row not in existing and not bulk:
        raise EventRowUnknown(
            T("Event {sequence} changes a row that no event inserted."),
            mend=T("Nothing of the answer was kept; tell the provider's operator."),
            sequence=event.sequence,
        )
    if event.kind == "deleted":
        existing.discard(event.row)


def _ends(problem: Problem) -> bool:
    status = problem.answer_status if isinstance(problem, RefusedByProvider) else problem.status
    return isinstance(problem, Refused) or (isinstance(problem, RefusedByProvider) and status in STOPPING)


def _place(subscription: str, event: str) -> bytes:
    """What the bytes of a kept event are sealed to."""
    return f"inbox/{subscription}/{event}".encode()
