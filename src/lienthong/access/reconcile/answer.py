"""The other direction: a member of another node asks for our halves of exchanges it took part in.

Promises: nobody gets a record of an exchange that is not its own; what we lack and the asker holds is noted, so that
our own people see it too.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import ClassVar, Final, cast

from lienthong.access import queries as log_queries
from lienthong.access.receipt import ReceiptMaker
from lienthong.access.reconcile import queries
from lienthong.access.reconcile.compare import BATCH, Told
from lienthong.access.reconcile.models import Half, read_half
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.pool import Connection

MOST_OF_EXCHANGE: Final = 8
"""An exchange has a handful of records on a side; a caller that gave a thousand calls one id gets the first ones."""


class HalvesMalformed(Problem):
    """A message about halves does not hold records of exchanges between its sender and us."""

    kind: ClassVar[str] = "halves-malformed"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The question about halves can not be read")


def read_leaves(body: dict[str, object], asker: str, ours: frozenset[str]) -> list[tuple[Half, bytes]]:
    """The asker's records in ``body``, each of an exchange between it and one of our members.

    Raises HalvesMalformed.
    """
    leaves = body.get("leaves")
    if not isinstance(leaves, list) or len(cast("list[object]", leaves)) > BATCH:
        raise _malformed()
    read: list[tuple[Half, bytes]] = []
    for leaf in cast("list[object]", leaves):
        try:
            half = read_half(str(leaf).encode())
        except (ValueError, KeyError, TypeError, AttributeError):
            raise _malformed() from None
        if half.own != asker or half.peer not in ours:
            raise _malformed()
        read.append((half, str(leaf).encode()))
    return read


async def our_halves(
    db: Connection, receipts: ReceiptMaker, asked: Sequence[tuple[Half, bytes]], now: datetime
) -> list[list[Told]]:
    """For each record of the asker what our log holds of the same exchange and resource, on the other side of it."""
    answers: list[list[Told]] = []
    found: list[bytes] = []
    for half, _ in asked:
        told: list[Told] = []
        for entry in await log_queries.entries_of_exchange(db, half.exchange_id):
            same = entry.resource == half.resource and entry.provider == half.provider
            if not same or entry.side == half.side or entry.consumer != half.consumer:
                continue
            stored = await log_queries.stored_record(db, entry.hash)
            if stored is not None and len(told) < MOST_OF_EXCHANGE:
                told.append(Told(bytes(stored.leaf), await receipts.proof(db, stored)))
        answers.append(told)
        if told:
            found.append(half.hash)
        elif half.expected:
            await queries.claim(db, half, now)
    await queries.unclaim(db, found)
    return answers


def _malformed() -> HalvesMalformed:
    return HalvesMalformed(
        T("The message must list at most {most} records of exchanges between its sender and this node's members."),
        mend=T("Both nodes need compatible versions; compare them."),
        most=BATCH,
    )
