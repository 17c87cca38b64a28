"""A log's owner asks its witnesses: in parallel, for a bounded time, with growing pauses for those who are away.

Nothing waits for the outcome: a checkpoint without cosignatures is a checkpoint all the same, and says so.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import structlog

from lienthong.access.log import LogFiles
from lienthong.access.sequence import publish_best
from lienthong.access.witness import queries
from lienthong.access.witness.policy import Policy, WitnessSite
from lienthong.access.witness.queries import KeptCheckpoint
from lienthong.storage.pool import Pool
from lienthong.trust.cosign import Submission, cosignature_times, cosigned, write_submission
from lienthong.trust.note import NoteRefused

log = structlog.get_logger("lienthong.witness")
PATIENCE_S = 5.0
"""A witness that has not answered by then is taken as away."""
FIRST_PAUSE_S = 1.0
LONGEST_PAUSE_S = 60.0
MOST_TRIES = 3
"""A witness may tell its size once, and once more when another process of ours asked meanwhile."""

Post = Callable[[str, bytes], Awaitable[tuple[int, bytes]]]
"""Sends a body to an address; status and body of the answer.  Raises OSError or TimeoutError when there is none."""


class _Away(Exception):
    pass


@dataclass(slots=True)
class _Pause:
    until: float
    length: float


class Asking:
    """Asks the witnesses of one log; remembers what size each holds and who is away."""

    def __init__(
        self,
        files: LogFiles,
        policy: Callable[[], Policy],
        post: Post,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._files = files
        self._policy = policy
        self._post = post
        self._clock = clock
        self._known: dict[tuple[str, str], int] = {}
        self._pauses: dict[str, _Pause] = {}
        self.complete = False
        """Whether after the last round nobody was left to ask."""
        self.contradicted: set[str] = set()
        """Names of witnesses who hold another head than this log has: their heads must be looked at."""

    async def round(self, pool: Pool) -> int:
        """Ask everybody who has not cosigned the newest checkpoint or a shard's last one; how many did now."""
        policy = self._policy()
        async with pool.connection() as db:
            newest = await queries.newest_with_cosignatures(db, policy.names)
            finals = await queries.finals_to_cosign(db, policy.names)
        self.complete = True
        if newest is None or not policy.witnesses:
            return 0
        return sum([await self._round_for(pool, policy, kept) for kept in (*finals, newest)])

    async def _round_for(self, pool: Pool, policy: Policy, newest: KeptCheckpoint) -> int:
        present = cosignature_times(cosigned(bytes(newest.note), newest.lines), [s.key for s in policy.witnesses])
        wanted = [site for site in policy.witnesses if site.key.name not in present and self._may_ask(site)]
        answers = await asyncio.gather(*(self._ask(site, newest) for site in wanted))
        lines = {site.key.name: line for site, line in zip(wanted, answers, strict=True) if line is not None}
        if len(present) + len(lines) < len(policy.witnesses):
            self.complete = False
        if lines:
            async with pool.connection() as db:
                await queries.keep_cosignatures(db, newest.size, lines)
                await db.commit()
                await publish_best(db, self._files, policy)
        return len(lines)

    def _may_ask(self, site: WitnessSite) -> bool:
        pause = self._pauses.get(site.key.name)
        return pause is None or self._clock() >= pause.until

    async def _ask(self, site: WitnessSite, newest: KeptCheckpoint) -> str | None:
        """The witness's signature line over ``newest``; None when it gave none, and then it is left alone a while."""
        name = site.key.name
        try:
            async with asyncio.timeout(PATIENCE_S):
                line = await self._asked(site, newest)
        except (_Away, OSError, TimeoutError) as away:
            last = self._pauses.get(name)
            length = min(last.length * 2, LONGEST_PAUSE_S) if last else FIRST_PAUSE_S
            self._pauses[name] = _Pause(self._clock() + length, length)
            log.warning("witness.missing", witness=name, why=str(away) or type(away).__name__, pause_s=length)
            return None
        self._pauses.pop(name, None)
        told = self._files.opened(bytes(newest.note))
        self._known[name, told.origin] = told.size
        self.contradicted.discard(name)
        return line

    async def _asked(self, site: WitnessSite, newest: KeptCheckpoint) -> str:
        told = self._files.opened(bytes(newest.note))
        files, known = self._files.of_note(bytes(newest.note)), (site.key.name, told.origin)
        for _ in range(MOST_TRIES):
            old = self._known.get(known, 0)
            proof = files.consistency(old, told.size) if 0 < old < told.size else []
            body = write_submission(Submission(old, tuple(proof), bytes(newest.note)))
            status, answer = await self._post(f"{site.url}/add-checkpoint", body)
            if status == 200:
                return _checked(site, bytes(newest.note), answer)
            size = _told_size(answer) if status == 409 else None
            if size is None or size > told.size or size == old:
                # It holds a larger head, or another of this size, or refuses the proof: look at its head, signed by us.
                if status in (409, 422):
                    self.contradicted.add(site.key.name)
                raise _Away(f"status {status}")
            self._known[known] = size
        raise _Away("its size changes")


def _checked(site: WitnessSite, note: bytes, answer: bytes) -> str:
    """The one line of ``answer`` that is this witness's good cosignature over ``note``."""
    try:
        for line in answer.decode("utf-8").splitlines(keepends=True):
            if line.startswith(f"— {site.key.name} ") and cosignature_times(cosigned(note, [line]), [site.key]):
                return line
    except (NoteRefused, UnicodeDecodeError):
        pass
    raise _Away("no good cosignature")


def _told_size(answer: bytes) -> int | None:
    told = re.fullmatch(rb"(0|[1-9][0-9]{0,17})\n", answer)
    return int(told[1]) if told else None
