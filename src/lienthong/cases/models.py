"""What the package speaks of: kinds with their flows, cases, and what happened to them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime

from lienthong.identity.models import Actor, Right


@dataclass(frozen=True, slots=True)
class Move:
    """A step from one state to another; ``by`` is ``opener`` or ``handler``."""

    source: str
    target: str
    by: str


@dataclass(frozen=True, slots=True)
class Flow:
    """The states a case goes through."""

    name: str
    first: str
    ends: frozenset[str]
    moves: tuple[Move, ...]


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of case on the days it is in force, both included."""

    name: str
    title_vi: str
    title_en: str
    flow: Flow
    answer: str
    """Name of the dated rule for the first answer; "" for none."""
    act: str
    """Name of the dated rule for settling it; "" where ``matters`` says it."""
    matters: Mapping[str, str]
    """What can be asked -> name of its rule; empty: nothing is distinguished."""
    extension: str
    """Name of the dated rule for the one extension; "" for none."""
    pauses: bool
    handler: Right
    openers: frozenset[str]
    """Who may open one on a page or by API: ``citizen``, ``staff``; none: the node by itself, or a command."""
    shown: str
    """What everybody may see: ``counts`` or ``status``."""
    legal_basis: str
    valid_from: date
    valid_to: date | None
    verified: bool

    def rule_for(self, matter: str) -> str:
        """The dated rule whose clock runs for ``matter``."""
        return self.matters[matter] if self.matters else self.act


@dataclass(frozen=True, slots=True)
class Escalation:
    """Who hears of a case that is late, on the days it is in force."""

    step: int
    after: int
    """Working days late."""
    role: str
    at: str
    """``owner``: those with the role at the member that must act; ``national``: wherever they are."""
    legal_basis: str
    valid_from: date
    valid_to: date | None
    verified: bool

    def tells(self, actor: Actor, owner: str) -> bool:
        """Whether ``actor`` is one of those who hear of it."""
        return self.role in actor.roles and (self.at == "national" or actor.member == owner)


@dataclass(frozen=True, slots=True)
class Case:
    """One case as it stands."""

    id: str
    kind: str
    matter: str
    owner: str
    """The member that must act."""
    opener: str | None
    """The person who opened it; None: by command, or nobody signed in."""
    opener_member: str | None
    title: str
    text: str
    about: str | None
    """The case it is about, for a dispute."""
    facts: Mapping[str, object]
    """Codes and ids of what it is about, such as the service; never names."""
    state: str
    version: int
    opened_at: datetime
    opened_on: date
    """The day whose kinds and rules it follows."""
    answer_due: datetime | None
    """The first instant that is too late for a first answer."""
    due: datetime | None
    """The first instant that is too late to settle it."""
    answered_at: datetime | None
    ended_at: datetime | None
    extended: bool
    paused_at: datetime | None
    answer_left: int | None
    """What is left of each clock while it stands still: working days, days, or seconds of a clock in hours."""
    left: int | None
    escalated: int = 0
    """The step to which it was reported because it is late; 0: not."""

    def overdue(self, now: datetime) -> bool:
        """Whether it should have been answered or settled before ``now``."""
        if self.ended_at is not None or self.paused_at is not None:
            return False
        unanswered = self.answer_due is not None and self.answered_at is None and self.answer_due <= now
        return unanswered or (self.due is not None and self.due <= now)


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened to a case; none is ever changed or taken back."""

    number: int
    """Position in the case's history, from 1."""
    at: datetime
    person: str | None
    member: str | None
    act: str
    """``opened``, ``moved``, ``answered``, ``extended``, ``paused``, ``resumed`` or ``escalated``."""
    state: str
    """The state after it."""
    text: str
    reason: str
    provision: str
    """The text and article that a refusal rests on."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """A file that came with an event of a case; its content lies sealed beside it."""

    id: str
    number: int
    """The event it came with."""
    name: str
    """As its sender called it: for people, never for paths or addresses."""
    media_type: str
    """By its content."""
    size: int
    """Bytes."""
    sha256: bytes
    at: datetime


@dataclass(frozen=True, slots=True)
class Count:
    """How many cases of a kind a member has."""

    kind: str
    owner: str
    running: int
    overdue: int
    ended: int
    escalated: int
    """Running ones that are so late that they were reported upwards."""
