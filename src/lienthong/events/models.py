"""Feeds, events and subscriptions: frozen values, and the CloudEvents JSON that travels.  No I/O.

Source: CloudEvents 1.0.2, JSON event format 1.0.2 and the extension ``sequence``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, Literal, cast, get_args

from lienthong.access.models import instant
from lienthong.catalog.models import Service
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.tables.models import View, mask_of, shown_fields, view_digest

Kind = Literal["inserted", "updated", "deleted"]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
State = Literal["active", "stopped"]
TYPE: Final = "vn.lienthong.row.{kind}.v1"
SOURCE: Final = "urn:lienthong:id:"
MOST_EVENTS: Final = 500
"""Events of one answer between nodes, and of one page to a system."""


class EventKeyHidden(Problem):
    """The table has no key, or the agreement hides it: an event could not say which row it is about."""

    kind: ClassVar[str] = "event-key-hidden"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The table's changes can not be told apart")


class EventKeyNotUnique(Problem):
    """Two rows of the table have the same key."""

    kind: ClassVar[str] = "event-key-not-unique"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The table's key names several rows")


class EventsOutOfOrder(Problem):
    """An answer holds events twice, backwards or with a gap: nothing of it is kept."""

    kind: ClassVar[str] = "events-out-of-order"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The events came out of order")


class EventRowUnknown(Problem):
    """An update or deletion of a row that was never told of (R-42): nothing of the answer is kept."""

    kind: ClassVar[str] = "event-row-unknown"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("An event is about an unknown row")


class NoSuchSubscription(Problem):
    """The system has no subscription of this id."""

    kind: ClassVar[str] = "no-such-subscription"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such subscription")


@dataclass(frozen=True, slots=True)
class Feed:
    """The changes of one table under one view, in one order; every subscriber with an equal view reads the same."""

    id: str
    service: str
    view: Mapping[str, object]
    """As ``tables.models.view_json`` writes it."""
    snapshot: int
    """Number of the file of hashes that the last comparison left; 0 before the first."""
    source_mark: str
    head: int
    """Sequence of the newest event."""
    bulk: bool
    """The table was too large to tell every row at the start: take it first."""


@dataclass(frozen=True, slots=True)
class Change:
    """One row's change, as the view shows it."""

    kind: Kind
    key: Mapping[str, object]
    changed: Mapping[str, object]
    """For an insertion every shown field, for an update those that changed, for a deletion none; never the key."""


@dataclass(frozen=True, slots=True)
class Subscription:
    """One of our systems follows a table; ``after`` is how far this node has come in ``feed``."""

    id: str
    system: str
    service: str
    purpose: str | None
    feed: str
    after: int
    bulk: bool
    state: State
    reason: str | None
    made_at: datetime

    def as_dict(self) -> dict[str, object]:
        """JSON values for the owner."""
        return {
            "id": self.id,
            "system": self.system,
            "service": self.service,
            "purpose": self.purpose,
            "sequence": self.after,
            "bulk": self.bulk,
            "state": self.state,
            "reason": self.reason,
            "made_at": instant(self.made_at),
        }


@dataclass(frozen=True, slots=True)
class PushPlace:
    """A push that is due, and how far it has come."""

    subscription: str
    url: str
    token: bytes | None
    """Sealed."""
    after: int
    """Number of the last event that was taken."""
    failures: int
    """Since the last one that was taken."""
    taken: int
    """Which lease this is."""


@dataclass(frozen=True, slots=True)
class PushState:
    """How a push stands, as its system sees it."""

    subscription: str
    url: str
    state: str
    failures: int
    problem: str
    waiting: int
    """Events that arrived and were not taken yet."""

    def as_dict(self) -> dict[str, object]:
        """JSON values."""
        return {
            "url": self.url, "state": self.state, "failures": self.failures, "problem": self.problem or None,
            "waiting": self.waiting,
        }  # fmt: skip


def feed_id(service: Service, view: View) -> str:
    """The name of the feed of ``service`` under ``view``: it changes with what is shown, not with its writing."""
    shown = [(shown.name, shown.type) for shown in shown_fields(service, view)]
    text = json.dumps([service.id, view_digest(view), list(service.key), shown], ensure_ascii=False)
    return hashlib.sha256(text.encode()).hexdigest()[:32]


def check_key(service: Service, view: View) -> None:
    """Raises EventKeyHidden unless every column of the key is shown as it is."""
    shown = {field.name for field in shown_fields(service, view)}
    if not service.key or any(name not in shown or mask_of(view, name) is not None for name in service.key):
        raise EventKeyHidden(
            T("{service} has no key that the agreement shows unmasked, so its events could name no row."),
            mend=T("The provider publishes the table with a key, or grants the key's columns."),
            service=service.id,
        )


def cloud_event(feed: Feed, sequence: int, at: datetime, change: Change) -> dict[str, object]:
    """The event as JSON values.  Its attributes name no row: brokers and logs may show them, ``data`` they may not."""
    data: dict[str, object] = {"key": dict(change.key)}
    if change.kind != "deleted":
        data["changed"] = dict(change.changed)
    return {
        "specversion": "1.0",
        "id": f"{feed.id}/{sequence}",
        "source": SOURCE + feed.service,
        "type": TYPE.format(kind=change.kind),
        "time": instant(at.astimezone(UTC)),
        "datacontenttype": "application/json",
        "sequence": f"{sequence:020d}",
        "data": data,
    }


@dataclass(frozen=True, slots=True)
class Arrived:
    """An event as it came from its provider, its shape checked."""

    id: str
    sequence: int
    kind: Kind
    key: Mapping[str, object]
    event: Mapping[str, object]

    @property
    def row(self) -> bytes:
        """What stands for the row: a digest of its key."""
        return hashlib.sha256(json.dumps(self.key, sort_keys=True, ensure_ascii=False).encode()).digest()


def read_event(raw: object, feed: str) -> Arrived:
    """The event ``raw`` of ``feed``.  Raises EventsOutOfOrder when it is none: it can not be put in its place."""
    try:
        event = cast("Mapping[str, object]", raw)
        identifier, sequence = str(event["id"]), int(str(event["sequence"]))
        kind: Kind = next(kind for kind in KINDS if TYPE.format(kind=kind) == event["type"])
        key = cast("Mapping[str, object]", cast("Mapping[str, object]", event["data"])["key"])
        if identifier != f"{feed}/{sequence}" or not key or event["specversion"] != "1.0":
            raise ValueError("not this feed's event")
        return Arrived(identifier, sequence, kind, dict(key), event)
    except (KeyError, TypeError, ValueError, StopIteration, AttributeError) as wrong:
        raise not_an_event() from wrong


def not_an_event() -> EventsOutOfOrder:
    """What an answer of another shape is refused with."""
    return EventsOutOfOrder(
        T("An event of the answer has not the shape of one."),
        mend=T("Nothing of it was kept; tell the provider's operator."),
    )


def in_order(arrived: list[Arrived], after: int, known: frozenset[str]) -> list[Arrived]:
    """The events that are new, each one more than the last.

    ``known`` are ids already kept: they may come again.  Raises EventsOutOfOrder.
    """
    fresh: list[Arrived] = []
    for event in arrived:
        if event.id in known:
            continue
        if event.sequence != after + len(fresh) + 1:
            raise EventsOutOfOrder(
                T("After event {after} came event {came}."),
                mend=T("Nothing of the answer was kept; the next question asks for it again."),
                after=after + len(fresh),
                came=event.sequence,
            )
        fresh.append(event)
    return fresh
