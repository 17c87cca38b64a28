"""Routing class ``observed``: both nodes tell the national node of every use under an agreement by rule.

Told are the record's hash and who, what and when, never the record itself.  The place read up to is kept in the
database, so nothing is lost while the national node is away, and nothing is told twice to any effect.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final, cast

from lienthong.access.models import instant
from lienthong.access.reconcile import queries
from lienthong.access.reconcile.answer import HalvesMalformed
from lienthong.access.reconcile.models import Half, read_half
from lienthong.directory.models import MemberId
from lienthong.i18n import T
from lienthong.storage.pool import Pool

READER: Final = "observe"
BATCH: Final = 500
FIELDS: Final = (
    "side", "exchange_id", "consumer", "provider", "resource", "way", "outcome", "reason", "agreement_digest",
    "request_signature_digest", "peer_record",
)  # fmt: skip

Tell = Callable[[MemberId, Sequence[Half]], Awaitable[None]]
"""Sends halves of one of our members to the national node; what it raises leaves them for the next round."""


@dataclass(frozen=True, slots=True)
class Observed:
    """Tells the national node of this node's uses under agreements by rule."""

    pool: Pool
    tell: Tell

    async def step(self) -> int:
        """Tell what is new, at most a batch; how many records were read.  Raises what ``tell`` raises."""
        async with self.pool.connection() as db:
            if not await queries.anything_behind(db, READER):
                return 0
            at = await queries.lock_place(db, READER)
            read = [(place, read_half(leaf)) for place, leaf in await queries.placed_leaves(db, at, BATCH)]
            digests = {half.agreement_digest for _, half in read if half.agreement_digest}
            by_rule = await queries.agreements_by_rule(db, sorted(digests))
        if not read:
            return 0
        by_member: dict[MemberId, list[Half]] = defaultdict(list)
        for _, half in read:
            if half.agreement_digest in by_rule and half.expected:
                by_member[half.own].append(half)
        for member, halves in by_member.items():
            await self.tell(member, halves)
        async with self.pool.connection() as db:
            await queries.lock_place(db, READER)
            await queries.move_place(db, READER, read[-1][0])
        return len(read)


def write_observed(halves: Sequence[Half]) -> dict[str, object]:
    """The message to the national node."""
    return {
        "observed": [
            {"hash": half.hash.hex(), "at": instant(half.at)} | {name: getattr(half, name) for name in FIELDS}
            for half in halves
        ]
    }


def read_observed(body: dict[str, object], sender: str) -> list[Half]:
    """What ``sender`` tells of its own records.  Raises HalvesMalformed."""
    told = body.get("observed")
    try:
        if not isinstance(told, list) or len(cast("list[object]", told)) > BATCH:
            raise ValueError("no list of records, or too long a one")
        halves = [_observed(each) for each in cast("list[dict[str, str | None]]", told)]
        if any(half.own != sender for half in halves):
            raise ValueError("a record of somebody else")
    except (ValueError, KeyError, TypeError, AttributeError):
        raise HalvesMalformed(
            T("The message must list at most {most} records of its sender."),
            mend=T("Both nodes need compatible versions; compare them."),
            most=BATCH,
        ) from None
    return halves


def _observed(told: dict[str, str | None]) -> Half:
    named = bytes.fromhex(str(told["hash"]))
    if len(named) != 32 or told["side"] not in ("consumer", "provider"):
        raise ValueError("not the hash and side of a record")
    if told["peer_record"] is not None:
        bytes.fromhex(told["peer_record"])
    texts = {name: str(told[name])[:300] for name in ("exchange_id", "consumer", "provider", "resource", "way")}
    return Half(
        hash=named,
        at=datetime.fromisoformat(str(told["at"])),
        side=told["side"],
        outcome=str(told["outcome"])[:20],
        reason=told["reason"],
        agreement_digest=told["agreement_digest"],
        request_signature_digest=told["request_signature_digest"],
        peer_record=told["peer_record"],
        **texts,
    )
