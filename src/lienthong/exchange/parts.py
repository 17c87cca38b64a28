"""What a gateway carries out uses with: one frozen set of parts, put together by ``node``."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from lienthong.access.gate import Gate
from lienthong.access.models import RecordSide, Use
from lienthong.access.repeats import Repeats
from lienthong.access.seen import SeenMessages
from lienthong.access.write import RecordWriter
from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.config import Settings
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId
from lienthong.exchange.answer import Answer
from lienthong.exchange.budget import Budget
from lienthong.exchange.client import Flow
from lienthong.exchange.fair import FairQueue
from lienthong.exchange.quota import Leases
from lienthong.exchange.signed import Incoming, LocalKey, PeerLink
from lienthong.exchange.spool import Spools
from lienthong.tables.read import TableReader

FindService = Callable[[str], Service | None]
"""This node's own services by id."""


@dataclass(frozen=True, slots=True)
class SubqueryAnswer:
    """Our part of another member's query."""

    arrow: bytes
    """An Arrow IPC stream."""
    rows: int
    subjects: tuple[tuple[str, str], ...] = ()
    """Whom it is about: kind and identifier, in clear; only commitments reach the record."""
    note: str | None = None
    """What the record says beside ``permitted``."""


AnswerSubquery = Callable[[Service, str, Decision], Awaitable[SubqueryAnswer]]
"""Runs the text of a sub-query under a decision."""
AnswerEvents = Callable[[Service, Decision, Mapping[str, object]], Awaitable[SubqueryAnswer]]
"""The next events of a table for a body that says from where: JSON in place of Arrow."""
CallBackend = Callable[[Service, Incoming, bytes, bool], Awaitable[Answer | Flow]]
"""Forwards a call to a service's HTTP back end; the last argument says whether its answer may be streamed."""
AcceptRule = Callable[[Decision, str, str], Awaitable[None]]
"""Told of every permitted use (decision, consumer's member, exchange id), so that the first one under an agreement by
rule is noted as its acceptance before anything leaves."""
PeerNotice = Callable[[str, Incoming], Awaitable[dict[str, object]]]
"""Handles a message that is not a use (agreements, profiles): its name and the message; answers JSON values."""


@dataclass(frozen=True, slots=True)
class Parts:
    """Everything the five steps of a use need on either side."""

    settings: Settings
    snapshot: Callable[[], Snapshot]
    keys: Mapping[MemberId, LocalKey]
    gate: Gate
    writer: RecordWriter
    seen: SeenMessages
    link: PeerLink
    service: FindService
    services: Callable[[], list[Service]]
    tables: TableReader
    answer_subquery: AnswerSubquery
    call_backend: CallBackend
    notices: Mapping[str, PeerNotice]
    accept_rule: AcceptRule
    repeats: Repeats = field(default_factory=Repeats)
    """Refusals of the last minute: equal ones become one record with their count."""
    turns: FairQueue = field(default_factory=FairQueue)
    """Uses carried out at once for other nodes."""
    answer_events: AnswerEvents | None = None
    """None: this node tells no changes."""
    budget: Budget = field(default_factory=Budget)
    """Bytes of requests that both listeners of this process may hold together."""
    spools: Spools | None = None
    """Where requests too large to hold are written down; None: none are taken."""
    leases: Leases | None = None
    """Quotas shared with the node's other processes; without them each process counts for itself."""

    async def admit(
        self,
        side: RecordSide,
        use: Use,
        *,
        fields: frozenset[str] | None = None,
        default_purpose: str | None = None,
    ) -> Decision:
        """The permit for ``use``, counted against its agreement's quota.  Raises a Refused."""
        if self.leases is None:
            return self.gate.admit(use, fields=fields, default_purpose=default_purpose)
        return await self.leases.admit(self.gate, side, use, fields=fields, default_purpose=default_purpose)
