"""What the review pages do on this node: the state of ``lienthong link`` opened for a moment, each look put down first.

The state is a DuckDB file that one process holds at a time, so it is closed after each question; a run of the command
that is at work on it is waited for by nobody: the page says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar

from lienthong.entities.models import Found, Overview, Pair, Whole
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.linkage.matching.columns import MatchingUnknown
from lienthong.storage.pool import Pool

if TYPE_CHECKING:
    from lienthong.entities.store import Store

R = TypeVar("R")
MEMORY: Final = "256MB"


class NodeReviewDesk:
    """See ``portal.review.ReviewDesk``."""

    def __init__(self, pool: Pool, folder: Path, member: str) -> None:
        self._pool = pool
        self._folder = folder
        self._member = member
        self._turn = asyncio.Lock()

    @property
    def member(self) -> str:
        """Whose records these are."""
        return self._member

    async def overview(self, actor: Actor, most: int, skip: int) -> Overview | None:
        """What waits: numbers, sources and reasons alone, so nothing is put down."""
        from lienthong.entities import review  # DuckDB takes 60 MB, for nodes that match records alone
        from lienthong.entities.store import STATE  # DuckDB takes 60 MB, as above

        if not (self._folder / STATE).is_file():
            return None
        return await self._asked(lambda store: review.overview(store, _who(actor), most, skip))

    async def pair(self, actor: Actor, a: int, b: int) -> Pair:
        """Two records side by side."""
        from lienthong.entities import review  # DuckDB takes 60 MB, as above

        await self._put_down(actor, "records.read", f"{a}-{b}")
        return await self._asked(lambda store: review.pair(store, a, b, _who(actor)))

    async def judge(self, actor: Actor, a: int, b: int, *, same: bool) -> bool:
        """Say that they are one person, or two."""
        from lienthong.entities import review  # DuckDB takes 60 MB, as above
        from lienthong.entities.deciding import decide_pair  # DuckDB takes 60 MB, as above

        await self._put_down(actor, "records.judged", f"{a}-{b}", same=same)
        first, second = sorted((a, b))

        def judged(store: Store) -> bool:
            review.pair(store, first, second, _who(actor))
            return decide_pair(store, first, second, same=same, who=_who(actor))

        return await self._asked(judged)

    async def entity(self, actor: Actor, r: int) -> Whole:
        """The entity of a record."""
        from lienthong.entities import review  # DuckDB takes 60 MB, as above

        await self._put_down(actor, "records.read", str(r))
        return await self._asked(lambda store: review.whole(store, r, _who(actor)))

    async def undo(self, actor: Actor, r: int, number: int) -> bool:
        """Say that a change of that record's entity was wrong."""
        from lienthong.entities import review  # DuckDB takes 60 MB, as above
        from lienthong.entities.deciding import undo  # DuckDB takes 60 MB, as above

        await self._put_down(actor, "records.undone", str(r), change=number)

        def undone(store: Store) -> bool:
            if number not in {change.number for change in review.whole(store, r, _who(actor)).changes}:
                raise MatchingUnknown(T("There is no change {number} to undo."), number=number)
            return undo(store, number, _who(actor))

        return await self._asked(undone)

    async def named(self, actor: Actor, first: str, second: str) -> tuple[int, int]:
        """The numbers of two records; which, the audit is told when they are opened."""
        from lienthong.entities.look import two_records  # DuckDB takes 60 MB, as above

        del actor
        return await self._asked(lambda store: two_records(store, first, second))

    async def find(self, actor: Actor, record: Mapping[str, str]) -> list[Found]:
        """Entities that a record may mean; what was typed is kept nowhere."""
        from lienthong.entities.look import find  # DuckDB takes 60 MB, as above

        await self._put_down(actor, "records.looked-up", "")
        return await self._asked(lambda store: find(store, record))

    async def _asked(self, question: Callable[[Store], R]) -> R:
        async with self._turn:
            return await asyncio.to_thread(self._open, question)

    def _open(self, question: Callable[[Store], R]) -> R:
        from lienthong.entities.store import Store  # DuckDB takes 60 MB, as above

        with Store(self._folder, threads=1, memory=MEMORY) as store:
            return question(store)

    async def _put_down(self, actor: Actor, act: str, what: str, **facts: object) -> None:
        async with self._pool.connection() as db:
            await put_down(db, actor, act, what, facts, now=datetime.now(UTC), member=self._member)


def _who(actor: Actor) -> str:
    return actor.person or ""
