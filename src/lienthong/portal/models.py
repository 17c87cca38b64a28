"""What the pages show: plain frozen values, filled by whoever holds the facts, and the questions the pages ask.

Times are aware datetimes; digests are lower-case hexadecimal without prefix; addresses are relative or http(s).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal, Protocol

from lienthong.i18n import Language

Health = Literal["serving", "starting", "silent"]
"""``silent``: the node did not answer when it was last asked."""
StepState = Literal["done", "running", "waiting", "failed"]
Way = Literal["call", "table", "query", "event"]
Outcome = Literal["permitted", "refused", "failed"]
RecordSide = Literal["consumer", "provider"]


@dataclass(frozen=True, slots=True)
class Name:
    """A name in both languages."""

    vi: str
    en: str

    def say(self, language: Language) -> str:
        """The name in ``language``; the other one where it is missing."""
        return (self.vi or self.en) if language == "vi" else (self.en or self.vi)


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the start."""

    title: Name
    state: StepState
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a start has come; shown instead of the rest while steps are open."""

    steps: tuple[Step, ...]
    started_at: datetime

    @property
    def done(self) -> int:
        """Number of finished steps."""
        return sum(step.state == "done" for step in self.steps)

    @property
    def failed(self) -> bool:
        """Whether a step failed, so that waiting longer does not help."""
        return any(step.state == "failed" for step in self.steps)


@dataclass(frozen=True, slots=True)
class MemberLine:
    """A member with the node that acts for it."""

    id: str
    name: Name
    code_verified: bool
    node: str
    node_url: str
    health: Health
    log_size: int | None
    """Records in the node's log by its latest checkpoint; None when not known."""
    systems: tuple[Name, ...] = ()
    services: tuple[Name, ...] = ()


@dataclass(frozen=True, slots=True)
class AgreementLine:
    """An agreement in force, as a list shows it."""

    id: str
    version: str
    digest: str
    title: Name
    """What is shared, e.g. the service's title."""
    target: str
    provider: Name
    consumer: Name
    fields: int | None
    """Number of fields granted; None means all."""
    masked: int
    filtered: bool
    by_rule: bool
    valid_to: datetime | None
    personal: bool
    synthetic: bool
    url: str


@dataclass(frozen=True, slots=True)
class RecordLink:
    """Where one side's record of a use can be read and fetched."""

    side: RecordSide
    record_hash: str
    page_url: str
    receipt_url: str
    proof_url: str | None
    """The tlog-proof; None until a checkpoint covers the record."""


@dataclass(frozen=True, slots=True)
class UseLine:
    """One use of data, with the records that both sides keep of it."""

    exchange_id: str
    at: datetime
    way: Way
    consumer: Name
    provider: Name
    title: Name
    resource: str
    purpose: Name | None
    purpose_code: str | None
    outcome: Outcome
    reason: str | None
    rows: int | None
    bytes: int | None
    agreement_digest: str | None
    agreement_url: str | None
    records: tuple[RecordLink, ...]
    synthetic: bool


@dataclass(frozen=True, slots=True)
class CheckpointView:
    """The latest signed checkpoint of the node's log."""

    origin: str
    size: int
    root: str
    at: datetime
    url: str
    key: str
    """C2SP note verifier key."""


@dataclass(frozen=True, slots=True)
class Home:
    """The front page."""

    at: datetime
    node: Name
    synthetic: bool
    """Whether this node serves made-up data; said too when a use or an agreement shown is about some."""
    progress: Progress | None = None
    """None once everything runs."""
    members: tuple[MemberLine, ...] = ()
    agreements: tuple[AgreementLine, ...] = ()
    uses: tuple[UseLine, ...] = ()
    """Newest first; at most 50 are worth showing."""
    uses_by_way: tuple[tuple[Way, int], ...] = ()
    checkpoint: CheckpointView | None = None
    commands: tuple[tuple[Name, str], ...] = ()
    """Command lines worth trying here, each with what it does."""


@dataclass(frozen=True, slots=True)
class PurposeLine:
    """A registered task with its legal basis."""

    code: str
    title: Name
    legal_basis: str
    valid_from: date
    valid_to: date | None
    """First day on which it no longer holds; None while open."""


@dataclass(frozen=True, slots=True)
class FieldLine:
    """One field of the published schema and what the agreement does with it."""

    name: str
    title: Name
    type: str
    personal: bool
    granted: bool
    mask: str | None


@dataclass(frozen=True, slots=True)
class FilterLine:
    """One condition every returned row fulfils."""

    field: str
    operator: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SignatureLine:
    """One side's signature under the agreement; ``jws`` is None while it has not signed."""

    member: Name
    member_id: str
    role: RecordSide
    keyid: str | None
    jws: str | None
    by_rule: bool = False
    """The consumer accepted a published rule with its first use instead of signing the document."""


@dataclass(frozen=True, slots=True)
class PermissionView:
    """One thing the consumer may do; all of its conditions hold at once."""

    ways: tuple[Way, ...]
    systems: tuple[str, ...]
    """The only systems that may use it; empty means all of the consumer's."""
    purposes: tuple[PurposeLine, ...]
    ground: str
    fields: tuple[FieldLine, ...]
    """Every field of the published schema, granted or not."""
    row_filter: tuple[FilterLine, ...]
    quota_per_day: int | None
    min_group: int | None
    """Fewest rows an aggregate may stand for."""
    valid_from: datetime
    valid_to: datetime | None


@dataclass(frozen=True, slots=True)
class AgreementPage:
    """One agreement in words, beside the exact document that was signed."""

    line: AgreementLine
    state: str
    """DSP state name, e.g. ``FINALIZED``."""
    legal_basis: str
    permissions: tuple[PermissionView, ...]
    obligations: tuple[tuple[str, str | None], ...]
    """Kind and ISO 8601 period, e.g. ``("delete-after", "P30D")``."""
    prohibitions: tuple[str, ...]
    """Forbidden actions, e.g. ``reidentify``."""
    clauses: tuple[tuple[str, str], ...]
    """Matter and its wording as signed (the wording has one language: that of the document)."""
    signatures: tuple[SignatureLine, ...]
    document: str
    """The exact bytes that were signed, as text."""
    previous_digest: str | None = None


@dataclass(frozen=True, slots=True)
class RecordPage:
    """One access record in words, beside the exact leaf."""

    line: UseLine
    link: RecordLink
    """This side's links."""
    leaf: str
    """The exact bytes of the record, as text."""
    record: tuple[tuple[str, str | None], ...]
    """The record's keys and values as text, in the order of the leaf; nested keys are joined by a dot."""
    node: str
    log_index: int | None
    """Position in the node's log; None until the sequencer gave one."""
    checkpoint: CheckpointView | None
    """A checkpoint that covers the record; None until there is one."""
    peer_url: str | None = None
    """The other side's receipt, where its node serves it."""


class PortalData(Protocol):
    """The questions the pages ask; whoever composes the node answers them."""

    async def home(self) -> Home:
        """What the front page shows now."""
        ...

    async def agreement(self, digest: str) -> AgreementPage | None:
        """The agreement whose exact bytes have this SHA-256 (hexadecimal), or None."""
        ...

    async def record(self, record_hash: str) -> RecordPage | None:
        """The record with this leaf hash (hexadecimal), or None when this node does not hold it."""
        ...
