"""What the public rooms of the portal show, for one node: nodes, services, the exchange, log, status, figures.

Promises: what another node told is shown as its own; however many people look, each question is asked of the database
a few times a second at most.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from typing import Final

from lienthong.access import queries as log_queries
from lienthong.access.witness import queries as witness_queries
from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import member_of
from lienthong.node.gathered import Gathered
from lienthong.node.health import HealthDesk
from lienthong.node.lines import use_lines
from lienthong.node.local import Local
from lienthong.node.pages import COUNT_SHARE, NodePages, Renewed
from lienthong.node.queries import checkpoint_signed_at
from lienthong.node.sheets import checkpoint_view
from lienthong.node.versions import DirectoryHistory
from lienthong.portal.charts import Between, Hour
from lienthong.portal.figures import Figure
from lienthong.portal.journal import HeadLine, Journal, WitnessLine
from lienthong.portal.mapfiles import Draw as DrawFile
from lienthong.portal.members import Listed, provinces
from lienthong.portal.models import Name, UseLine
from lienthong.portal.nodes import NodeLine
from lienthong.portal.pictures import Draw, Shown
from lienthong.portal.queries import FIGURES, NATIONAL_FIGURES, ViewRows, figure, hours, pairs, view_rows, visits
from lienthong.portal.services import ServiceLine
from lienthong.portal.shell import Look
from lienthong.portal.status import PartState, StatusPage
from lienthong.portal.visits import Visit
from lienthong.portal.words import VIETNAM
from lienthong.storage.pool import reading
from lienthong.tables.limits import Limits
from lienthong.tables.sandbox import Sandbox

FIGURES_EVERY_S: Final = 1.0
PICTURED_HOURS: Final = 48
PICTURED_PAIRS: Final = 400
VISITS_SHOWN_DAYS: Final = 92
DRAW_LIMITS: Final = Limits(memory_mb=1024, cpu_s=20, wall_s=30.0, max_bytes=4 << 20)


class Rooms:
    """The rooms' questions, answered.  Belongs to one event loop."""

    def __init__(self, local: Local, pages: NodePages) -> None:
        self._local = local
        self._pages = pages
        self._health = HealthDesk(local)
        self._history = DirectoryHistory(local) if local.settings.national else None
        self._figures = Renewed(self._read_figures, FIGURES_EVERY_S, share=COUNT_SHARE)

    def directory(self) -> Snapshot:
        """The directory as last verified.  Raises NoDirectory before the first."""
        self._local.directory.look()
        return self._local.directory.snapshot()

    async def listed_on(self, day: date) -> Listed:
        """Members and nodes of the directory in force at the end of ``day``, and when it was signed.

        The national node keeps what every version said; another node has only the one it acts on.
        """
        snapshot, today = self.directory(), datetime.now(UTC).astimezone(VIETNAM).date()
        if day >= today or self._history is None:
            return Listed(snapshot.contents.members, snapshot.contents.nodes, snapshot.issued)
        end = datetime.combine(day + timedelta(days=1), time(), VIETNAM)
        earlier = await self._history.on(end)
        if earlier is None:
            return Listed((), (), end)
        return Listed(earlier.contents.members, earlier.contents.nodes, end)

    async def nodes(self) -> tuple[datetime, tuple[NodeLine, ...]]:
        """Every node of the directory, as each answered this one when it was last asked."""
        gathered = await self._pages.gathered()
        known = {facts.node: facts for facts in gathered.nodes}
        contents = self.directory().contents
        lines = [
            NodeLine(
                id=node.id,
                operator=gathered.member_name(node.operator),
                members=len(node.members),
                health=known[node.id].health if node.id in known else None,
                log_size=known[node.id].log_size if node.id in known else None,
                platform=node.platform,
                runs_on=node.runs_on,
                security_level=node.security_level,
                witness=bool(node.witness_key),
                public_url="/" if node.id == self._local.settings.node else node.public_url,
            )
            for node in contents.nodes
        ]
        return gathered.now, tuple(lines)

    async def services(self) -> tuple[datetime, tuple[ServiceLine, ...]]:
        """The services that this node and, on the national node, the others publish."""
        gathered = await self._pages.gathered()
        lines = [
            ServiceLine(service, gathered.member_name(service.member), facts.base)
            for facts in gathered.nodes
            for service in facts.services
        ]
        return gathered.now, tuple(lines)

    async def uses(self) -> tuple[datetime, tuple[UseLine, ...]]:
        """The newest uses that are known here."""
        gathered = await self._pages.gathered()
        return gathered.now, use_lines(gathered)

    async def journal(self) -> Journal:
        """The log, who cosigned it, and what this node's witness knows of other logs."""
        local, policy = self._local, self._local.receipts.policy()
        async with reading(local.pool) as db:
            newest = await log_queries.newest_checkpoint(db)
            at = await checkpoint_signed_at(db, newest[0]) if newest else None
            kept = await witness_queries.newest_with_cosignatures(db, policy.names)
            heads = await witness_queries.seen_heads(db)
            forks = await witness_queries.all_evidence(db)
            stamp = await witness_queries.newest_stamp(db)
            recovering = await log_queries.recovery_row(db) is not None
        view = None
        if newest and at:
            view = checkpoint_view(local.files, newest[2], at)
        signed = {line.split(" ")[1] for line in kept.lines} if kept else set[str]()
        return Journal(
            at=datetime.now(UTC),
            checkpoint=view,
            note=bytes(newest[2]).decode() if newest else "",
            threshold=policy.threshold,
            witnesses=tuple(WitnessLine(name, name in signed) for name in policy.names),
            heads=tuple(HeadLine(head.origin, head.size, head.at) for head in heads),
            forks=len(forks),
            stamped_size=stamp.size if stamp else None,
            stamped_at=stamp.at if stamp else None,
            recovering=recovering,
        )

    async def status(self) -> StatusPage:
        """What the checks of this node's health say."""
        health = await self._health.look()
        parts = tuple(
            PartState(check.name, check.state, check.word, check.cause, check.mend, check.facts)
            for check in health.checks
        )
        return StatusPage(datetime.now(UTC), health.status, parts)

    async def figures(self) -> tuple[Figure, ...]:
        """The figures of the front page."""
        return await self._figures.value()

    async def behind(self, view: str) -> ViewRows:
        """What a view of the figures says now."""
        async with reading(self._local.pool) as db:
            return await view_rows(db, view)

    async def pictures(self) -> Shown:
        """What the pictures show: two days by hour, the busiest pairs, members by province."""
        gathered, national = await self._pages.gathered(), self._local.settings.national
        if national:
            by_hour, busiest = told_by_nodes(gathered)
        else:
            async with reading(self._local.pool) as db:
                by_hour, busiest = await hours(db, PICTURED_HOURS), await pairs(db, PICTURED_PAIRS)
        return Shown(
            at=gathered.now,
            hours=tuple(Hour(at, way, count) for at, way, count in by_hour),
            pairs=tuple(
                Between(gathered.member_name(consumer), gathered.member_name(provider), count)
                for consumer, provider, count in busiest
            ),
            provinces=provinces(self.directory().contents.members, gathered.now.astimezone(VIETNAM).date()),
            by_nodes=national,
        )

    async def visits(self) -> Sequence[Visit]:
        """How often pages were shown in the last quarter of a year."""
        since = datetime.now(UTC).astimezone(VIETNAM).date() - timedelta(days=VISITS_SHOWN_DAYS)
        async with reading(self._local.pool) as db:
            return await visits(db, since)

    async def _read_figures(self) -> tuple[Figure, ...]:
        told = [key for key in FIGURES if self._local.settings.national or key not in NATIONAL_FIGURES]
        async with reading(self._local.pool) as db:
            return tuple([Figure(key, await figure(db, key), datetime.now(UTC)) for key in told])


def told_by_nodes(gathered: Gathered) -> tuple[list[tuple[datetime, str, int]], list[tuple[str, str, int]]]:
    """The newest uses of all nodes, each counted once: by hour and way, and by consumer and provider."""
    once = {entry.exchange_id: entry for facts in gathered.nodes for entry in facts.entries}
    by_hour = Counter((entry.at.replace(minute=0, second=0, microsecond=0), entry.way) for entry in once.values())
    between = Counter((member_of(entry.consumer), entry.provider) for entry in once.values())
    return (
        [(at, way, count) for (at, way), count in sorted(by_hour.items())],
        [(consumer, provider, count) for (consumer, provider), count in between.most_common(PICTURED_PAIRS)],
    )


def drawing_in(sandbox: Sandbox) -> Draw:
    """Draws in the sandbox.  Raises its Problems."""

    async def draw(specification: Mapping[str, object], numbers: Mapping[str, object]) -> str:
        args = {"spec": dict(specification), "numbers": dict(numbers)}
        return (await sandbox.run("draw", args, limits=DRAW_LIMITS)).body.decode()

    return draw


def drawing_files_in(sandbox: Sandbox) -> DrawFile:
    """Draws in the sandbox, as SVG or PNG.  Raises its Problems."""

    async def draw(specification: Mapping[str, object], numbers: Mapping[str, object], ending: str) -> bytes:
        args = {"spec": dict(specification), "numbers": dict(numbers), "as": ending}
        return (await sandbox.run("draw", args, limits=DRAW_LIMITS)).body

    return draw


def look_of(settings: Settings) -> Look:
    """The operator's own face of the portal."""
    ours = Look()
    name = Name(settings.portal_name, settings.portal_name_en) if settings.portal_name else ours.name
    return Look(name, settings.emblem, synthetic=settings.synthetic)
