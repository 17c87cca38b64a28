"""Word from the national node that something was revoked: every node then looks at once instead of at its next round.

A nudge carries nothing and proves nothing: what it leads to is fetched and verified as always, so whoever is in the
directory may send one.  Promises: a lost nudge costs two seconds, the time to the next look; a member that sends them
without end is refused (``Nudges``) and makes nobody look.
"""

from __future__ import annotations

import asyncio
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import ClassVar, Final

import structlog

from lienthong.directory.models import MemberId, Node, SystemId
from lienthong.directory.queries import all_revocations
from lienthong.errors import Problem, Side
from lienthong.exchange.parts import PeerNotice
from lienthong.exchange.signed import Incoming, Message
from lienthong.i18n import T
from lienthong.node.desk import DESK, Desk, open_desk
from lienthong.node.local import Local
from lienthong.storage.objects import ObjectStore, changed_at

log = structlog.get_logger("lienthong.jobs")
NEWS: Final = "directory-news"
"""Name of the path ``/x1/directory-news`` on the peer listener."""
NUDGED: Final = "directory/nudged"
"""A file whose time says when the last nudge came; the gateways touch it, the jobs process looks."""
DEADLINE_S: Final = 3.0
AT_ONCE: Final = 50
MAX_ANSWER: Final = 64 * 1024
LOOK_EVERY_S: Final = 0.5
WINDOW_S: Final = 10


class TooManyNudges(Problem):
    """One member said more often than any revocation needs that there is news."""

    kind: ClassVar[str] = "too-many-nudges"
    status: ClassVar[int] = 429
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Too much word of news")


@dataclass(slots=True)
class Nudges:
    """How often each member may nudge, in windows counted in memory; members are those of the directory, so few."""

    most: int = 40
    """Twice what the national node sends when something is revoked without a pause."""
    clock: Callable[[], float] = time.monotonic
    _window: int = -1
    _came: dict[str, int] = field(default_factory=dict[str, int])

    def take(self, member: str) -> None:
        """Count one of ``member``; raises TooManyNudges."""
        now = self.clock()
        window = int(now // WINDOW_S)
        if window != self._window:
            self._window, self._came = window, {}
        came = self._came[member] = self._came.get(member, 0) + 1
        if came > self.most:
            raise TooManyNudges(
                T("More than {most} words of news came within {seconds} seconds."),
                mend=T("Wait: every node looks by itself every two seconds."),
                most=self.most,
                seconds=WINDOW_S,
                retry_after_s=max(1, int((window + 1) * WINDOW_S - now)),
            )


@dataclass(frozen=True, slots=True)
class NewsDesk:
    """Takes nudges at the gateway and leaves word for the jobs process."""

    local: Local
    nudges: Nudges = field(default_factory=Nudges)

    def handlers(self) -> dict[str, PeerNotice]:
        """Path below ``/x1/`` to handler."""
        return {NEWS: self.receive}

    async def receive(self, _: str, incoming: Incoming) -> dict[str, object]:
        """Have the jobs process look at the revocations.  Raises TooManyNudges."""
        self.nudges.take("/".join(incoming.consumer.split("/")[:3]))
        path = ObjectStore(self.local.settings.data).path(NUDGED)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        return {"looks": True}


def nudged(local: Local) -> int:
    """When the last nudge came, in nanoseconds of the file system's clock; 0 before the first."""
    return changed_at(f"{local.settings.data}/{NUDGED}")


async def nudge_all(local: Local) -> None:
    """On the national node: tell every other node whenever something was revoked, for as long as the process runs."""
    told: int | None = None
    while True:
        async with local.pool.connection() as db:
            number, _ = await all_revocations(db)
        if told is not None and number > told:
            reached = await nudge_once(local)
            log.info("directory.nudged", number=number, reached=reached)
        told = number
        await asyncio.sleep(LOOK_EVERY_S)


async def nudge_once(local: Local) -> int:
    """Tell every other node now; how many took it."""
    async with open_desk(local.settings, local.dsns.app) as desk:
        turn = asyncio.Semaphore(AT_ONCE)
        nodes = [node for node in desk.directory.snapshot().contents.nodes if node.id != local.settings.node]
        taken = await asyncio.gather(*(_nudge(desk, MemberId(local.settings.members[0]), node, turn) for node in nodes))
    return sum(taken)


async def _nudge(desk: Desk, own: MemberId, node: Node, turn: asyncio.Semaphore) -> bool:
    try:
        async with turn:
            exchanged = await desk.link.send(
                Message(
                    consumer=SystemId(f"{own}/{DESK}"),
                    service=f"{node.operator}/{DESK}/{NEWS}",
                    target=f"/x1/{NEWS}".encode(),
                    exchange_id=str(uuid.uuid4()),
                    purpose=None,
                    agreement=None,
                    body=b"{}",
                ),
                node.operator,
                deadline_s=DEADLINE_S,
                max_body=MAX_ANSWER,
            )
    except Problem:
        return False
    return exchanged.answer.status < 400
