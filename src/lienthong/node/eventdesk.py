"""Where events meet the node: what other nodes ask, what the owner's systems ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import parse_qs

from lienthong.access.gate import Gate
from lienthong.access.models import Use
from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.directory.models import SystemId, member_of
from lienthong.events.feed import Feeds
from lienthong.events.follow import Follower
from lienthong.events.models import MOST_EVENTS
from lienthong.events.push import Pusher
from lienthong.exchange.clientdoor import BadQuestion, NoSuchClientPath
from lienthong.exchange.parts import SubqueryAnswer
from lienthong.exchange.provide import UnknownService
from lienthong.exchange.signed import Incoming
from lienthong.i18n import T
from lienthong.node.questions import SUBJECTS_NOT_LISTED
from lienthong.tables.models import subject_columns


@dataclass(frozen=True, slots=True)
class EventOffice:
    """The provider's side as the peer listener sees it."""

    feeds: Feeds
    gate: Gate
    service: Callable[[str], Service | None]

    async def head(self, _: str, incoming: Incoming) -> dict[str, object]:
        """How far the feed is that the sender may read; no use, so no record.  Raises the gate's refusals."""
        service = self.service(incoming.service)
        use = Use(
            way="event",
            exchange_id=incoming.exchange_id,
            consumer=incoming.consumer,
            provider=member_of(incoming.service),
            resource=incoming.service,
            purpose=incoming.purpose,
            at=datetime.now(UTC),
        )
        decision = self.gate.consider(use)
        if service is None:
            raise UnknownService(T("There is no service {resource}."), resource=incoming.service)
        feed = await self.feeds.head(service, decision)
        return {"feed": feed.id, "head": feed.head, "bulk": feed.bulk}

    async def answer(self, service: Service, decision: Decision, asked: Mapping[str, object]) -> SubqueryAnswer:
        """The next events, and whom they are about as far as the key names them."""
        told = await self.feeds.read(service, decision, dict(asked))
        kinds = {column: kind for kind, column in subject_columns(service)}
        named = tuple(dict.fromkeys((kinds[name], code) for name, code in told.keys if name in kinds))
        unnamed = service.personal and told.events > 0 and not named
        return SubqueryAnswer(told.body, told.events, named, SUBJECTS_NOT_LISTED if unnamed else None)


@dataclass(frozen=True, slots=True)
class EventCounter:
    """The subscriber's side as the client listener shows it to the owner's systems."""

    follower: Follower
    pusher: Pusher

    async def answer(
        self, system: SystemId, method: str, path: bytes, query: bytes, asked: Mapping[str, object]
    ) -> Mapping[str, object]:
        """``POST /events`` subscribes, ``GET /events`` lists, ``GET /events/<id>?after=`` reads.

        ``POST /events/<id>/push`` has them pushed to an address, or no longer when it names none.
        """
        named = path.removeprefix(b"/events").strip(b"/").decode("ascii", "replace")
        if method == "POST" and not named:
            service, purpose = asked.get("service"), asked.get("purpose")
            if not isinstance(service, str) or not (purpose is None or isinstance(purpose, str)):
                raise BadQuestion(
                    T("A subscription names its service."),
                    mend=T("Send for example {example}."),
                    example='{"service": "VN/GOV/G01/dancu/citizen", "purpose": "HP-01"}',
                )
            return (await self.follower.subscribe(system, service, purpose)).as_dict()
        if method == "POST" and named.endswith("/push"):
            return await self._push(system, named.removesuffix("/push"), asked)
        if method == "GET" and not named:
            known = await self.follower.listed(system)
            pushed = await self.follower.pushed(known)
            return {"subscriptions": [each.as_dict() | {"push": pushed.get(each.id)} for each in known]}
        if method == "GET":
            after, limit = _number(query, "after", 0), _number(query, "limit", MOST_EVENTS)
            events, reached = await self.follower.read(system, named, after, limit)
            return {"events": events, "next": reached}
        raise NoSuchClientPath(
            T("The client listener has no such address."), mend=T("Subscribe with POST /events, read with GET.")
        )

    async def _push(self, system: SystemId, subscription: str, asked: Mapping[str, object]) -> Mapping[str, object]:
        url, token = asked.get("url"), asked.get("token", "")
        if not isinstance(url, str | None) or not isinstance(token, str):
            raise BadQuestion(
                T("A push names its address."),
                mend=T("Send for example {example}."),
                example='{"url": "https://motcua.haiphong.gov.vn/events", "token": "..."}',
            )
        if url is None:
            await self.pusher.end(system, subscription)
        else:
            await self.pusher.begin(system, subscription, url, token)
        known = await self.follower.listed(system)
        return {"push": (await self.follower.pushed(known)).get(subscription)}


def _number(query: bytes, name: str, default: int) -> int:
    value = parse_qs(query.decode("ascii", "replace")).get(name, [str(default)])[-1]
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadQuestion(T("{name} must be a whole number."), name=name)
    return int(value)
