"""The provider's side: feeds are compared while somebody follows them, and read like any use, under the agreement.

Promises: events of a feed are numbered without gap in the order in which comparisons found them, per row in the order
of its changes; a comparison and its events are kept together or not at all, so a crash repeats it and loses nothing.
"""

from __future__ import annotations

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, cast

import orjson
import structlog

from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.errors import Problem
from lienthong.events.models import MOST_EVENTS, Change, Feed, Kind, check_key, cloud_event, feed_id
from lienthong.events.queries import (
    ask_feed,
    events_after,
    followed_feeds,
    keep_comparison,
    keep_problem,
)
from lienthong.storage.pool import Pool
from lienthong.tables.jobs import table_argument
from lienthong.tables.limits import Limits
from lienthong.tables.models import View, view_from, view_json
from lienthong.tables.sandbox import Sandbox
from lienthong.trust.seal import Seal

log = structlog.get_logger("lienthong.events")
OPERATIONS: Final = {"changes": "lienthong.events.compare:changes"}
"""What the composition root adds to the sandbox's operations."""
COMPARE_LIMITS: Final = Limits(
    memory_mb=2048, cpu_s=300, wall_s=240.0, max_rows=0, max_bytes=256 << 20, file_mb=4 * 1024
)
FOLLOWED: Final = timedelta(minutes=10)
"""A feed that nobody asked about for so long is no longer compared; its next reader finds what happened since."""
MOST_INITIAL: Final = 50_000
"""Rows told one by one when a feed begins; a larger table is taken whole first."""


@dataclass(frozen=True, slots=True)
class Told:
    """The answer to a reading of a feed."""

    body: bytes
    events: int
    keys: tuple[tuple[str, str], ...]
    """Column and value of every key told of."""


@dataclass(frozen=True, slots=True)
class Feeds:
    """Reads feeds for other nodes."""

    pool: Pool
    seal: Seal

    async def head(self, service: Service, decision: Decision) -> Feed:
        """The feed that ``decision`` shows of ``service``; asking keeps it compared.  Raises EventKeyHidden."""
        view = View(fields=decision.fields, masks=dict(decision.masks), row_filter=tuple(decision.row_filter))
        check_key(service, view)
        wanted = Feed(feed_id(service, view), service.id, view_json(view), 0, "", 0, bulk=False)
        async with self.pool.connection() as db:
            return await ask_feed(db, wanted)

    async def read(self, service: Service, decision: Decision, asked: dict[str, object]) -> Told:
        """The next events as JSON: ``feed``, ``head``, ``bulk``, ``events``.

        ``asked`` names the ``feed`` and the sequence ``after`` which to go on; after another feed all is new.
        """
        feed = await self.head(service, decision)
        after = asked.get("after") if asked.get("feed") == feed.id else 0
        limit = asked.get("limit", MOST_EVENTS)
        whole = after if isinstance(after, int) and after >= 0 else 0
        most = min(max(limit, 1), MOST_EVENTS) if isinstance(limit, int) else MOST_EVENTS
        async with self.pool.connection() as db:
            found = await events_after(db, feed.id, whole, most)
        events = [self._event(feed, *row) for row in found]
        body = {"feed": feed.id, "head": feed.head, "bulk": feed.bulk, "events": events}
        keys = tuple(
            (name, str(value))
            for event in events
            for name, value in cast("dict[str, dict[str, object]]", event["data"])["key"].items()
        )
        return Told(orjson.dumps(body), len(events), keys)

    def _event(self, feed: Feed, sequence: int, kind: str, at: datetime, sealed: bytes) -> dict[str, object]:
        key, changed = orjson.loads(self.seal.decrypt(sealed, place_of_event(feed.id, sequence)))
        return cloud_event(feed, sequence, at, Change(cast("Kind", kind), key, changed))


class Comparer:
    """Finds the changes of followed feeds; belongs to one process and event loop."""

    def __init__(
        self,
        pool: Pool,
        seal: Seal,
        sandbox: Sandbox,
        folder: Path,
        services: Callable[[], Awaitable[Mapping[str, Service]]],
        mark: Callable[[Service, datetime], Awaitable[str]],
        secret: bytes,
    ) -> None:
        """``mark`` gives a text that differs whenever the table may have changed; ``secret`` salts what is left."""
        self._pool = pool
        self._seal = seal
        self._sandbox = sandbox
        self._folder = folder
        self._services = services
        self._mark = mark
        self._secret = secret

    async def compare_all(self, now: datetime) -> int:
        """Compare every followed feed whose table may have changed; how many events there are.

        What is wrong with one table is kept with its feed and stops no other.
        """
        async with self._pool.connection() as db:
            feeds = await followed_feeds(db, now - FOLLOWED)
        services = await self._services() if feeds else {}
        told = 0
        for feed in feeds:
            try:
                told += await self.compare(feed, services.get(feed.service), now)
            except Problem as problem:
                log.warning("feed.not-compared", feed=feed.id, service=feed.service, error=problem.kind)
                async with self._pool.connection() as db:
                    await keep_problem(db, feed.id, problem.kind)
        return told

    async def compare(self, feed: Feed, service: Service | None, now: datetime) -> int:
        """Compare one feed if its table may have changed; how many events came of it."""
        if service is None or not service.enabled or feed_id(service, view_from(feed.view)) != feed.id:
            return 0
        mark = await self._mark(service, now)
        if mark == feed.source_mark:
            return 0
        lines, bulk = await self._changes(feed, service)
        events: list[tuple[int, str, datetime, bytes]] = []
        for sequence, line in enumerate(lines, feed.head + 1):
            kind, key, changed = orjson.loads(line)
            sealed = self._seal.encrypt(orjson.dumps([key, changed]), place_of_event(feed.id, sequence))
            events.append((sequence, kind, now, sealed))
        async with self._pool.connection() as db:
            kept = await keep_comparison(db, feed, mark, bulk=bulk, events=events)
        if kept and feed.snapshot:
            await asyncio.to_thread(self._file(feed.id, feed.snapshot).unlink, True)
        return len(events) if kept else 0

    async def _changes(self, feed: Feed, service: Service) -> tuple[list[bytes], bool]:
        following = self._file(feed.id, feed.snapshot + 1)
        following.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        outcome = await self._sandbox.run(
            "changes",
            {
                "table": table_argument(service, view_from(feed.view)),
                "previous": str(self._file(feed.id, feed.snapshot)) if feed.snapshot else "",
                "next": str(following),
                "salt": hmac.digest(self._secret, feed.id.encode(), "sha256").hex(),
                "most_initial": MOST_INITIAL,
            },
            limits=COMPARE_LIMITS,
        )
        return outcome.body.splitlines(), outcome.result["bulk"] is True

    def _file(self, feed: str, snapshot: int) -> Path:
        return self._folder / feed / f"{snapshot}.parquet"


def place_of_event(feed: str, sequence: int) -> bytes:
    """What the bytes of an event are sealed to."""
    return f"event/{feed}/{sequence}".encode()
