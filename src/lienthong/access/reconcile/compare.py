"""The job that compares: read what is new in our log, ask the other side for its half, write down what came of it.

Promises: a crash at any point only means asking once more; a side that is away costs one question a round; what can
not be settled within ``AGED_OUT`` is settled as missing, with the reason.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

from lienthong.access import queries as log_queries
from lienthong.access.reconcile import queries
from lienthong.access.reconcile.models import DayShare, Half, Verdict, compare, read_half
from lienthong.access.witness.policy import key_of_node
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.storage.pool import Connection, Pool
from lienthong.trust.note import parse_checkpoint, split_note
from lienthong.trust.proof import parse_proof, verify_proof

READER: Final = "reconcile"
DELAY: Final = timedelta(seconds=10)
"""The other side's sequencer gets this long before its half is asked for."""
BATCH: Final = 200
FIRST_PAUSE: Final = timedelta(seconds=30)
LONGEST_PAUSE: Final = timedelta(hours=1)
AGED_OUT: Final = timedelta(days=7)
"""A half that was not found by then is missing for good."""
KEPT: Final = timedelta(days=400)
"""How long settled halves stay listed: past the yearly report."""


@dataclass(frozen=True, slots=True)
class Told:
    """A record as the other side shows it, with the proof that its log holds it; None: not covered yet."""

    leaf: bytes
    proof: str | None


class PeerAway(Exception):
    """The other side could not be asked; ``reason`` is one of the words that a page can say."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


Ask = Callable[[MemberId, MemberId, Sequence[bytes]], Awaitable[list[list[Told]]]]
"""Our member, the other one, our leaves -> for each leaf what the other side holds of its exchange; or PeerAway."""
Judged = tuple[Half, bytes, Verdict]


@dataclass(frozen=True, slots=True)
class Reconciler:
    """Compares one node's records with the other sides'."""

    pool: Pool
    snapshot: Callable[[], Snapshot]
    ask: Ask

    async def step(self, now: datetime) -> int:
        """Compare what is new, at most a batch; how many records were read."""
        async with self.pool.connection() as db:
            if not await queries.anything_behind(db, READER):
                return 0
            at = await queries.lock_place(db, READER)
            read = await queries.placed_leaves(db, at, BATCH)
        ripe: list[tuple[Half, bytes]] = []
        for place, leaf in read:
            half = read_half(leaf)
            if half.at > now - DELAY:
                break
            at = place
            ripe.append((half, leaf))
        if not ripe:
            return 0
        judged = await self._judge([(half, leaf) for half, leaf in ripe if half.expected])
        async with self.pool.connection() as db:
            await queries.lock_place(db, READER)
            await queries.count(db, _shares(judged, new=True))
            await queries.keep_open(
                db,
                [
                    (half, leaf, told, now + FIRST_PAUSE if told.finding == "waiting" else None)
                    for half, leaf, told in judged
                    if told.finding != "matched"
                ],
            )
            await queries.move_place(db, READER, at)
        return len(ripe)

    async def again(self, now: datetime) -> int:
        """Ask once more for the halves that are due; how many there were."""
        async with self.pool.connection() as db:
            due = await queries.due_halves(db, now, BATCH)
        if not due:
            return 0
        asked = {waiting.hash: waiting.asked for waiting in due}
        judged = await self._judge([(read_half(waiting.leaf), waiting.leaf) for waiting in due])
        async with self.pool.connection() as db:
            settled: list[Judged] = []
            for half, leaf, told in judged:
                verdict = told
                if told.finding == "waiting" and half.at < now - AGED_OUT:
                    verdict = Verdict("missing", told.reason)
                if verdict.finding == "waiting":
                    pause = min(FIRST_PAUSE * 2 ** min(asked[half.hash], 12), LONGEST_PAUSE)
                    await queries.ask_again(db, half, verdict.reason, now + pause)
                elif await queries.settle(db, half, verdict):
                    settled.append((half, leaf, verdict))
            await queries.count(db, _shares(settled, new=False))
        return len(due)

    async def forget(self, now: datetime) -> None:
        """Let go of what is older than anybody asks for."""
        async with self.pool.connection() as db:
            await queries.forget_older(db, now - KEPT)

    async def _judge(self, halves: Sequence[tuple[Half, bytes]]) -> list[Judged]:
        groups: dict[tuple[MemberId, MemberId], list[tuple[Half, bytes]]] = defaultdict(list)
        for half, leaf in halves:
            groups[half.own, half.peer].append((half, leaf))
        judged: list[Judged] = []
        for (own, peer), group in groups.items():
            try:
                told = await self.ask(own, peer, [leaf for _, leaf in group])
            except PeerAway as away:
                judged += [(half, leaf, Verdict("waiting", away.reason)) for half, leaf in group]
                continue
            async with self.pool.connection() as db:
                for (half, leaf), answers in zip(group, told, strict=True):
                    judged.append((half, leaf, await self._verdict(db, half, answers)))
        return judged

    async def _verdict(self, db: Connection, ours: Half, answers: Sequence[Told]) -> Verdict:
        theirs: list[Half] = []
        unproven: str | None = None
        for told in answers:
            try:
                half = read_half(told.leaf)
            except (ValueError, KeyError, TypeError, AttributeError):
                return Verdict("differs", "not-a-record")
            if half.exchange_id != ours.exchange_id or half.resource != ours.resource:
                return Verdict("differs", "another-record")
            if told.proof is None:
                unproven = "not-covered"
            elif not self._in_log_of(ours.peer, told):
                return Verdict("differs", "not-proven")
            theirs.append(half)
        verdict = compare(ours, theirs)
        if verdict.reason == "another-record" and ours.side == "provider":
            kept = await log_queries.entries_of_exchange(db, ours.exchange_id)
            siblings = {entry.hash.hex() for entry in kept if entry.resource == ours.resource}
            verdict = compare(ours, theirs, frozenset(siblings))
        if verdict.finding == "missing":
            # It may still come: the other side may be behind, or restoring.  Only age makes it final.
            return Verdict("waiting", verdict.reason)
        return Verdict("waiting", unproven) if unproven and verdict.finding == "matched" else verdict

    def _in_log_of(self, peer: MemberId, told: Told) -> bool:
        """Whether the proof shows the leaf in a shard of the log of the node that acts for ``peer``."""
        node = self.snapshot().node_of(peer)
        if node is None or told.proof is None:
            return False
        try:
            proof = parse_proof(told.proof)
            origin = parse_checkpoint(split_note(proof.checkpoint)[0]).origin
            key = key_of_node(node, origin)
            if key is None:
                return False
            verify_proof(proof, read_half(told.leaf).hash, origin, key)
        except Problem:
            return False
        return True


def _shares(judged: Sequence[Judged], *, new: bool) -> list[DayShare]:
    """The counts of ``judged`` by day and members; ``new`` ones are also expected, the others were before."""
    counts: dict[tuple[object, ...], dict[str, int]] = {}
    for half, _, verdict in judged:
        counted = counts.setdefault(
            (half.day, half.own, half.peer), {"expected": 0, "matched": 0, "missing": 0, "differs": 0}
        )
        if new:
            counted["expected"] += 1
        if verdict.finding != "waiting":
            counted[verdict.finding] += 1
    return [
        DayShare(half_day, own, peer, **counted)  # type: ignore[arg-type] - the key's parts in their order
        for (half_day, own, peer), counted in counts.items()
    ]
