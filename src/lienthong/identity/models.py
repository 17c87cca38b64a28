"""What the package speaks of: roles, rights, how sure we are of a person, and who asks (``Actor``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum, StrEnum
from typing import Final


class Role(StrEnum):
    """What a person does at a member.  A person may have several; ``CITIZEN`` stands alone."""

    COORDINATOR = "coordinator"
    """Runs the data space: admits members, watches coverage.  On the national node alone."""
    OPERATOR = "operator"
    """Runs the node and its keys, and looks after the member's persons."""
    DATA_OFFICER = "data-officer"
    """Publishes what the member holds, answers requests; never sees bodies or whom a use was about."""
    INTEGRATOR = "integrator"
    """Connects the member's systems: asks for access, gets credentials, sees own calls and errors."""
    CASE_OFFICER = "case-officer"
    """Handles persons' dossiers: may ask the national databases about whom a case in hand concerns."""
    AUDITOR = "auditor"
    """Checks: reads the audit and the log, changes nothing."""
    CITIZEN = "citizen"
    """A person or the representative of a firm, who looks after their own affairs."""


class Right(StrEnum):
    """One thing that one may do."""

    SEE_OWN = "see-own"
    """See who used one's own data; consent, object, correct."""
    OPEN_CASES = "open-cases"
    """Open a case of one's own and follow it."""
    HANDLE_CASES = "handle-cases"
    """Answer, extend and close the member's cases."""
    PUBLISH = "publish"
    """Publish and withdraw services and tables of the member."""
    DECIDE_REQUESTS = "decide-requests"
    """Approve or refuse requests for access to the member's services."""
    SEE_AGREEMENTS = "see-agreements"
    """See the member's agreements with their terms."""
    ASK_ACCESS = "ask-access"
    """Ask other members for access in the name of a system."""
    MANAGE_CREDENTIALS = "manage-credentials"
    """Get and withdraw credentials of the member's systems."""
    SEE_CALLS = "see-calls"
    """See the calls and errors of the member's systems, without bodies and without persons."""
    SEE_SUBJECTS = "see-subjects"
    """See whom a record of use was about."""
    SEE_BODIES = "see-bodies"
    """See what was asked and answered.  No role has it: bodies are not kept, and no page may show one."""
    LOOK_UP = "look-up"
    """Ask the national databases about a person, firm or parcel, for a case in hand; every call leaves a record."""
    REVIEW_RECORDS = "review-records"
    """See the member's own records side by side and say whether they mean one person; each look is audited."""
    SEE_HEALTH = "see-health"
    """See what is wrong with the node (doctor)."""
    MANAGE_NODE = "manage-node"
    """Keys, connectors, quotas and settings of the node."""
    MANAGE_PERSONS = "manage-persons"
    """Add persons of the member, close accounts, propose roles."""
    APPROVE_TRUST = "approve-trust"
    """Give the second person's word to a change of trust (roles, keys)."""
    MANAGE_MEMBERS = "manage-members"
    """Propose and approve the admission, closing and merging of members.  National node."""
    SEE_COVERAGE = "see-coverage"
    """See connection coverage and figures of all members.  National node."""
    SEE_AUDIT = "see-audit"
    """Read the audit of administrative acts."""
    READ_LOG = "read-log"
    """Read whole receipts of the member's records."""


class Assurance(IntEnum):
    """How sure we are that it is this person."""

    NONE = 0
    ONE_FACTOR = 1
    """A password, or a provider's lowest level."""
    TWO_FACTORS = 2
    """A passkey that checked its holder, or password and passkey, or the level of a provider mapped to it."""
    HIGH = 3
    """A provider's level that rests on the person's own presence and document."""


@dataclass(frozen=True, slots=True)
class Actor:
    """Who asks."""

    person: str | None
    """Random id of the person; None for nobody.  May stand in logs and in the audit."""
    name: str
    """"Họ và tên" as one field; never in logs."""
    member: str | None
    """The member the person works for; None for citizens and nobody."""
    roles: frozenset[Role]
    assurance: Assurance
    session: str | None
    """Id of the session, which is not its secret; None for nobody and for tokens."""
    scopes: frozenset[Right] | None = None
    """For a token: the only rights it carries; None: all of the roles'."""

    @property
    def known(self) -> bool:
        """Whether somebody is signed in, by session or token."""
        return self.person is not None


ANONYMOUS: Final = Actor(None, "", None, frozenset(), Assurance.NONE, None)


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with an account on this node."""

    id: str
    member: str | None
    """None: a citizen."""
    name: str
    sort_key: bytes
    login: str | None
    """What the person types to sign in with a password; None: only by a provider."""
    roles: frozenset[Role]
    state: str
    """``active`` or ``closed``."""
    synthetic: bool
    """Made up for a demonstration."""
    made_at: datetime


@dataclass(frozen=True, slots=True)
class OpenSession:
    """One browser that is signed in; its secret is in the browser alone."""

    id: str
    person: str
    assurance: Assurance
    opened_at: datetime
    seen_at: datetime
    issuer: str | None = None
    """The identity provider it rests on."""
    sid: str | None = None
    """That provider's own id of the session."""


@dataclass(frozen=True, slots=True)
class Passkey:
    """A WebAuthn credential."""

    id: bytes
    person: str
    public_key: bytes
    """COSE, as the authenticator gave it."""
    sign_count: int
    label: str
    made_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Token:
    """An API token without its secret."""

    id: str
    person: str
    label: str
    scopes: tuple[str, ...]
    made_at: datetime
    ends_at: datetime
    used_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Act:
    """One administrative act, as it was put down."""

    number: int
    at: datetime
    person: str | None
    """None: by command, with the rights of the machine."""
    member: str | None
    act: str
    """What was done, for example ``role.given``."""
    object: str
    """What it was done to: an id, never a name."""
    facts: Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Proposal:
    """A change that one person wants and another must approve."""

    id: str
    kind: str
    member: str
    wanted: Mapping[str, object]
    reason: str
    proposed_by: str | None
    """None: by command."""
    proposed_at: datetime
    ends_at: datetime
    state: str = "open"
    """``open``, ``approved``, ``refused``, ``withdrawn`` or ``expired``."""
    decided_by: str | None = None
    decided_at: datetime | None = None
    answer: str = ""
