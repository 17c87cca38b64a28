"""Ids and frozen values of the directory: members, systems, nodes, keys, purposes, rules.

An id is the text that travels in headers, agreements and records; reading one checks its shape and nothing else.
Source: X-Road's identifier parts (instance, member class, member code, subsystem, service) and QĐ 20/2020/QĐ-TTg.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime
from typing import Final, Literal, NewType, get_args

from lienthong.errors import Problem
from lienthong.i18n import T

MemberId = NewType("MemberId", str)
"""``VN/GOV/G01``: instance, class, code."""
SystemId = NewType("SystemId", str)
"""``VN/GOV/G01/dancu``: a member's information system."""
ServiceId = NewType("ServiceId", str)
"""``VN/GOV/G01/dancu/citizen``: X-Road's five parts."""
DatasetId = NewType("DatasetId", str)
"""``VN/GOV/G01/dancu/ds/citizen``: six parts, the fifth is ``ds``."""
NodeId = NewType("NodeId", str)
"""``nut-g01``: a free token, unique in the directory."""

MemberClass = Literal["GOV", "COM", "EDU", "ORG"]
MemberKind = Literal[
    "ministry", "agency", "province", "commune", "party-body", "court", "procuracy", "data-centre", "enterprise",
    "university", "organisation",
]  # fmt: skip
Block = Literal["party", "national-assembly", "government", "front", "court", "procuracy", "none"]
"""Block of the political system a member belongs to; ``none`` for enterprises, schools, associations."""
MemberState = Literal["active", "closed"]
SecurityLevel = Literal[1, 2, 3, 4, 5]
"""Approved security level of an information system (TCVN 11930), 5 the strictest."""

CLASSES: Final[tuple[MemberClass, ...]] = get_args(MemberClass)
KINDS: Final[tuple[MemberKind, ...]] = get_args(MemberKind)
BLOCKS: Final[tuple[Block, ...]] = get_args(Block)

_INSTANCE = r"[A-Z][A-Z0-9-]{1,15}"
_CODE = r"[0-9A-Z]+(?:[.-][0-9A-Z]+)*"
_NAME = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?"
_MEMBER = rf"{_INSTANCE}/(?:{'|'.join(CLASSES)})/(?=[^/]{{1,35}}(?:/|\Z)){_CODE}"
_MEMBER_SHAPE: Final = re.compile(rf"{_MEMBER}\Z")
_GOV_SHAPE: Final = re.compile(rf"{_INSTANCE}/GOV/[A-Z][0-9]{{2}}(?:\.[0-9A-Z]+)*\Z")
_SYSTEM_SHAPE: Final = re.compile(rf"{_MEMBER}/{_NAME}\Z")
_SERVICE_SHAPE: Final = re.compile(rf"{_MEMBER}/{_NAME}/(?!ds\Z){_NAME}\Z")
_DATASET_SHAPE: Final = re.compile(rf"{_MEMBER}/{_NAME}/ds/{_NAME}\Z")
_NODE_SHAPE: Final = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_PURPOSE_SHAPE: Final = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,62}[A-Za-z0-9])?\Z")


class IdMalformed(Problem):
    """A text does not have the shape of the id it should be."""

    kind = "id-malformed"
    status = 400
    side = "caller"
    title = T("Not a valid id")


def read_member_id(text: str) -> MemberId:
    """``text`` as a member id; a GOV code follows QĐ 20/2020 (R-01).  Raises IdMalformed."""
    if not _MEMBER_SHAPE.match(text) or ("/GOV/" in text and not _GOV_SHAPE.match(text)):
        raise _malformed(text, "VN/GOV/G01")
    return MemberId(text)


def read_system_id(text: str) -> SystemId:
    """``text`` as a system id.  Raises IdMalformed."""
    if not _SYSTEM_SHAPE.match(text):
        raise _malformed(text, "VN/GOV/G01/dancu")
    read_member_id(member_of(text))
    return SystemId(text)


def read_service_id(text: str) -> ServiceId:
    """``text`` as a service id.  Raises IdMalformed."""
    if not _SERVICE_SHAPE.match(text):
        raise _malformed(text, "VN/GOV/G01/dancu/citizen")
    read_member_id(member_of(text))
    return ServiceId(text)


def read_dataset_id(text: str) -> DatasetId:
    """``text`` as a dataset id.  Raises IdMalformed."""
    if not _DATASET_SHAPE.match(text):
        raise _malformed(text, "VN/GOV/G01/dancu/ds/citizen")
    read_member_id(member_of(text))
    return DatasetId(text)


def read_target_id(text: str) -> str:
    """``text`` as what an agreement may be about: a service id or a dataset id.  Raises IdMalformed."""
    return read_dataset_id(text) if _DATASET_SHAPE.match(text) else read_service_id(text)


def read_node_id(text: str) -> NodeId:
    """``text`` as a node id.  Raises IdMalformed."""
    if not _NODE_SHAPE.match(text):
        raise _malformed(text, "nut-g01")
    return NodeId(text)


def read_purpose_code(text: str) -> str:
    """``text`` as the code of a purpose: letters, digits, dot, dash, underscore, at most 64.  Raises IdMalformed."""
    if not _PURPOSE_SHAPE.match(text):
        raise _malformed(text, "HP-DATDAI-01")
    return text


def member_of(identifier: str) -> MemberId:
    """The member part (first three parts) of any id; the caller has checked the id's shape."""
    return MemberId("/".join(identifier.split("/", 3)[:3]))


def system_of(identifier: str) -> SystemId:
    """The system part (first four parts) of a system, service or dataset id."""
    return SystemId("/".join(identifier.split("/", 4)[:4]))


def class_of(identifier: str) -> str:
    """The class part (``VN/GOV``) of any id: what a rule for all bodies of one class names as its assignee."""
    return "/".join(identifier.split("/", 2)[:2])


def _malformed(text: str, example: str) -> IdMalformed:
    return IdMalformed(T("{id} is not a valid id; one looks like {example}."), id=text[:200], example=example)


@dataclass(frozen=True, slots=True)
class Contact:
    """The one focal contact of a member, public by law (R-06)."""

    name: str
    position: str
    phone: str
    email: str


@dataclass(frozen=True, slots=True)
class MemberKey:
    """A key with which ``node`` signs in the member's name from ``valid_from`` until before ``valid_to``."""

    keyid: str
    jwk: Mapping[str, str]
    node: NodeId
    valid_from: datetime
    valid_to: datetime

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key might sign at ``moment``."""
        return self.valid_from <= moment < self.valid_to


@dataclass(frozen=True, slots=True)
class Member:
    """An organisation in the data space.  A closed one names its ``successor`` when it has one."""

    id: MemberId
    name_vi: str
    name_en: str
    kind: MemberKind
    block: Block
    parent: MemberId | None
    state: MemberState
    successor: MemberId | None
    verified: bool
    """Whether the agency code was confirmed against the published list; shown wherever the code is shown."""
    security_level: SecurityLevel
    contact: Contact
    keys: tuple[MemberKey, ...]
    closed_on: date | None = None


@dataclass(frozen=True, slots=True)
class System:
    """An information system of a member that calls or serves."""

    id: SystemId
    name_vi: str
    name_en: str
    default_purpose: str | None = None
    """Purpose taken when a call of this system names none and its agreement has several."""


@dataclass(frozen=True, slots=True)
class Node:
    """The program a member runs; it may act for several members."""

    id: NodeId
    operator: MemberId
    members: tuple[MemberId, ...]
    peer_url: str
    public_url: str
    tls_sha256: tuple[str, ...]
    """SHA-256 of the DER of each TLS certificate the node may show, lower-case hex."""
    log_origin: str
    log_key: str
    """C2SP note verifier key of the node's log."""
    platform: str = ""
    """The shared platform the node belongs to (NDXP, LGSP of a province ...)."""
    runs_on: str = ""
    """The data centre or cloud the node runs in."""
    security_level: SecurityLevel = 3
    capabilities: tuple[str, ...] = ()
    witness_key: str = ""
    """C2SP verifier key with which the node cosigns other nodes' checkpoints; empty while it is no witness."""


@dataclass(frozen=True, slots=True)
class WitnessPolicy:
    """How many of which nodes must have cosigned a checkpoint; a threshold of 0 asks for none."""

    threshold: int = 0
    witnesses: tuple[NodeId, ...] = ()


@dataclass(frozen=True, slots=True)
class Purpose:
    """A registered task of a member, the reason every use must name."""

    code: str
    member: MemberId
    title_vi: str
    title_en: str
    legal_basis: str
    valid_from: date
    valid_to: date | None
    """First day on which the purpose is no longer valid; None while open."""
    dpv: str = ""
    """Data Privacy Vocabulary term, a full IRI."""
    common: bool = False
    """A task the law gives to every body of the member's class: all of them may name it."""

    def named_by(self, member_id: str) -> bool:
        """Whether ``member_id`` may name it: its own member, or any of the same class when it is common."""
        return self.member == member_id or (self.common and class_of(self.member) == class_of(member_id))

    def valid_on(self, day: date) -> bool:
        """Whether the purpose may be named on ``day``."""
        return self.valid_from <= day and (self.valid_to is None or day < self.valid_to)


@dataclass(frozen=True, slots=True)
class Rule:
    """An agreement by rule: the provider's signed document, published so that a first call accepts it."""

    provider: MemberId
    document: bytes
    """The exact bytes that were signed."""
    provider_jws: str
    """Detached JWS (ES256) over ``document`` by a key of ``provider``."""
