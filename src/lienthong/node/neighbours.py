"""Asking other nodes what they publish: the national node all of them, any other its partners for their services.

Promises: no node is asked more than once a second, however many people look; a page waits one second at most; a
node that does not answer is shown as silent with what was last known of it, one not yet heard as starting.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from typing import Final

import aiohttp
import structlog

from lienthong.access.shards import next_shard, shard_name
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Node
from lienthong.node.facts import NodeFacts
from lienthong.node.published import NotAsPublished, read_agreements, read_head, read_services, read_uses

log = structlog.get_logger("lienthong.public")
EVERY_S: Final = 1.0
PATIENCE_S: Final = 1.0
"""How long a page waits for answers under way; later ones are in the next page."""
TIMEOUT_S: Final = 2.0
"""A node that takes longer is silent."""
SHOWN_USES: Final = 100
MOST_SHARDS: Final = 60
"""Thirty years of half-years."""
SMALL: Final = 64 * 1024
LARGE: Final = 4 * 1024 * 1024
"""Most bytes read of one answer."""


Get = Callable[[str, int], Awaitable[bytes | None]]
"""The body of a node's answer at a path, of at most so many bytes; None when it does not answer so."""
Ask = Callable[[Get, Snapshot, Node, NodeFacts], Awaitable[NodeFacts]]
"""The facts after one round of questions, from those before; what is not answered stays as it was."""


@dataclass(slots=True)
class _Watch:
    """One node as last seen, and the asking under way."""

    facts: NodeFacts
    asked: float
    """The loop's time when it was last asked."""
    asking: asyncio.Task[None]
    rounds: int = 0
    """How often it was asked to the end."""


class Neighbours:
    """The other nodes' facts.  Belongs to one event loop; ``close`` it there."""

    def __init__(
        self,
        ask: Ask | None = None,
        *,
        every_s: float = EVERY_S,
        timeout_s: float = TIMEOUT_S,
        patience_s: float = PATIENCE_S,
    ) -> None:
        """``ask`` is what a node is asked at most once in ``every_s``: everything, unless told otherwise."""
        self._ask_node = ask or ask_everything
        self._every_s = every_s
        self._timeout_s = timeout_s
        self._patience_s = patience_s
        self._watches: dict[tuple[str, str], _Watch] = {}
        self._session: aiohttp.ClientSession | None = None

    async def facts(self, snapshot: Snapshot, nodes: Sequence[Node]) -> tuple[NodeFacts, ...]:
        """What each of ``nodes`` last told, in their order; those due are asked again."""
        keys = [(node.id, node.public_url) for node in nodes]
        self._forget({*keys})
        for node, key in zip(nodes, keys, strict=True):
            self._ask_when_due(snapshot, node, key)
        # Whoever was silent a moment ago is not waited for again.
        under_way = [
            watch.asking
            for watch in self._watches.values()
            if not watch.asking.done() and (watch.rounds == 0 or watch.facts.health != "silent")
        ]
        if under_way:
            await asyncio.wait(under_way, timeout=self._patience_s)
        return tuple(self._watches[key].facts for key in keys)

    async def close(self) -> None:
        """End what is under way and let go of the connections."""
        self._forget(set())
        if self._session:
            await self._session.close()
            self._session = None

    def _forget(self, keep: set[tuple[str, str]]) -> None:
        for key in self._watches.keys() - keep:
            self._watches.pop(key).asking.cancel()

    def _ask_when_due(self, snapshot: Snapshot, node: Node, key: tuple[str, str]) -> None:
        now = asyncio.get_running_loop().time()
        known = self._watches.get(key)
        if known and (not known.asking.done() or now - known.asked < self._every_s):
            return
        asking = asyncio.create_task(self._ask(snapshot, node, key))
        if known:
            known.asked, known.asking = now, asking
        else:
            # Not silent yet: nobody knows before the first round has ended.
            self._watches[key] = _Watch(NodeFacts(node.id, node.public_url.rstrip("/"), "starting"), now, asking)

    async def _ask(self, snapshot: Snapshot, node: Node, key: tuple[str, str]) -> None:
        watch = self._watches[key]
        try:
            watch.facts = await self._ask_node(partial(self._get, watch.facts.base), snapshot, node, watch.facts)
        except Exception as failed:  # a task's root: whatever a node sends must not end the others' asking
            log.error("neighbour.unreadable", node=node.id, error=type(failed).__name__)
            watch.facts = replace(watch.facts, health="silent")
        finally:
            watch.rounds += 1

    async def _get(self, base: str, path: str, limit: int) -> bytes | None:
        """The body of a 200 of at most ``limit`` bytes; None for anything else."""
        try:
            async with self._open_session().get(base + path, allow_redirects=False) as answer:
                if answer.status != 200:
                    return None
                body = bytearray()
                async for piece in answer.content.iter_any():
                    body += piece
                    if len(body) > limit:
                        return None
                return bytes(body)
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):  # ValueError: no address at all
            return None

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            self._session = aiohttp.ClientSession(
                timeout=aiohttp.ClientTimeout(total=self._timeout_s),
                connector=aiohttp.TCPConnector(limit_per_host=5, keepalive_timeout=15.0),
                cookie_jar=aiohttp.DummyCookieJar(),
                # An answer is read as it comes: compressed, a few bytes could become more than we want to hold.
                auto_decompress=False,
                headers={"Accept-Encoding": "identity", "Accept": "application/json, text/plain"},
                raise_for_status=False,
            )
        return self._session


async def _covered(get: Get, node: Node, note: bytes) -> int | None:
    """How many entries the log of ``node`` has over all shards; None when it did not sign what it shows."""
    size = 0
    for _ in range(MOST_SHARDS):
        head = read_head(note, node)
        if head is None:
            return None
        size += head.size
        following = shard_name(node.log_origin, next_shard(head) or "")
        if not following or (told := await get(f"/log/{following}/checkpoint", SMALL)) is None:
            break
        note = told
    return size


async def ask_everything(get: Get, snapshot: Snapshot, node: Node, before: NodeFacts) -> NodeFacts:
    """All that a node publishes about itself."""
    alive, uses, services, agreements, checkpoint = await asyncio.gather(
        get("/livez", SMALL),
        get(f"/v1/uses?limit={SHOWN_USES}", LARGE),
        get("/v1/services", LARGE),
        get("/v1/agreements", LARGE),
        get("/log/checkpoint", SMALL),
    )
    if alive is None:
        return replace(before, health="silent")
    covered = None if checkpoint is None else await _covered(get, node, checkpoint)
    after = replace(before, health="starting", log_size=before.log_size if covered is None else covered)
    if uses is None or services is None or agreements is None:
        return after
    known = {signed.agreement.digest: signed for signed in before.agreements}
    try:
        entries, counts = read_uses(uses, node, datetime.now(UTC))
        return replace(
            after,
            health="serving",
            services=read_services(services, node),
            # Off the loop: checking the signatures of hundreds of agreements takes a while, the first time.
            agreements=await asyncio.to_thread(read_agreements, agreements, node, snapshot, known),
            entries=entries,
            counts=counts,
        )
    except NotAsPublished:
        return after


async def ask_services(get: Get, snapshot: Snapshot, node: Node, before: NodeFacts) -> NodeFacts:
    """What a node offers: enough to call its services by their titles."""
    services = await get("/v1/services", LARGE)
    if services is None:
        return replace(before, health="silent")
    try:
        return replace(before, health="serving", services=read_services(services, node))
    except NotAsPublished:
        return before
