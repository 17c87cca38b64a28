"""May this use happen, and with which limits: agreements compiled into closed little tables, decided in microseconds.

Pure: no clock, no database, no log.  Promises: what was not understood is denied by name; a prohibition beats every
permission of its agreement; neither the order of rules nor that of agreements changes a decision; a decision can be
computed again from the agreement and gives the same digest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from types import MappingProxyType
from typing import Final, Literal, get_args

from lienthong.agreements.document import Json, canonical, sha256_text, write_moment
from lienthong.agreements.models import Agreement, MaskKind, Permission, Prohibition, RowFilter, Way
from lienthong.directory.models import SystemId
from lienthong.errors import Problem

Reason = Literal[
    "no-agreement", "term-unknown", "wrong-target", "wrong-consumer", "purpose-not-granted", "purpose-needed",
    "way-not-granted", "system-not-granted", "not-started", "ended", "prohibited", "field-not-granted",
    "quota-used-up", "permitted",
]  # fmt: skip
"""Why a use may or may not happen, from the farthest to the nearest to being permitted."""

_NEARNESS: Final[dict[Reason, int]] = {reason: nearness for nearness, reason in enumerate(get_args(Reason))}
_NOTHING: Final[Mapping[str, MaskKind]] = MappingProxyType({})
_NO_FACTS: Final[Mapping[str, str]] = MappingProxyType({})
_KEPT_LIMIT: Final = 256


@dataclass(frozen=True, slots=True)
class Request:
    """One wish to use a target."""

    consumer: SystemId
    target: str
    """The service (or dataset) asked for."""
    way: Way
    purpose: str | None
    at: datetime
    dataset: str | None = None
    """The dataset the service gives out, when there is one: an agreement about it covers the service."""
    fields: frozenset[str] | None = None
    """The only fields wanted; None takes what is granted."""
    default_purpose: str | None = None
    """What the consumer's system is registered to mean when it names no purpose."""


@dataclass(frozen=True, slots=True)
class Decision:
    """The record of one decision: permit or not, why, within which limits, under which exact agreement."""

    permit: bool
    reason: Reason
    purpose: str | None
    way: Way
    agreement_id: str | None = None
    version: int | None = None
    digest: str | None = None
    """``sha-256:<hex>`` of the agreement's exact bytes."""
    ground: str | None = None
    fields: tuple[str, ...] | None = None
    """Fields given, sorted; None means all of them."""
    masks: Mapping[str, MaskKind] = field(default_factory=lambda: _NOTHING)
    row_filter: RowFilter = ()
    quota: int | None = None
    min_group: int | None = None
    obligations: tuple[str, ...] = ()
    valid_to: datetime | None = None
    """When the permission ends, by its own end or by notice; None while open."""
    facts: Mapping[str, str] = field(default_factory=lambda: _NO_FACTS)
    """What a refusal has to tell: the purposes to choose from, the fields not granted, the term not understood."""
    decision_digest: str = ""
    """SHA-256 of the decision's canonical text (``decision_text``)."""


def decision_text(decision: Decision) -> bytes:
    """The canonical JSON of all the decision says, absent parts left out: what ``decision_digest`` is made of."""
    said: dict[str, Json] = {
        "v": "1",
        "effect": "permit" if decision.permit else "deny",
        "reason": decision.reason,
        "way": decision.way,
    }
    said |= {
        name: value
        for name, value in (
            ("purpose", decision.purpose),
            ("agreement", decision.agreement_id),
            ("digest", decision.digest),
            ("ground", decision.ground),
        )
        if value is not None
    }
    said |= {
        name: str(value)
        for name, value in (("quota", decision.quota), ("minGroup", decision.min_group), ("version", decision.version))
        if value is not None
    }
    if decision.fields is not None:
        said["fields"] = list(decision.fields)
    if decision.masks:
        said["masks"] = dict(decision.masks)
    if decision.row_filter:
        said["rows"] = [[name, operator, value] for name, operator, value in decision.row_filter]
    if decision.obligations:
        said["obligations"] = list(decision.obligations)
    if decision.valid_to is not None:
        said["validTo"] = write_moment(decision.valid_to)
    if decision.facts:
        said["facts"] = dict(decision.facts)
    return canonical(said)


def sealed(decision: Decision) -> Decision:
    """``decision`` with its digest in place."""
    return replace(decision, decision_digest=sha256_text(decision_text(decision)))


@dataclass(frozen=True, slots=True)
class _Grant:
    """One permission for one purpose and one way, with the decision it leads to when every field is taken."""

    starts: datetime
    ends: datetime | None
    systems: frozenset[SystemId] | None
    quota: int | None
    fields: frozenset[str] | None
    whole: Decision
    narrowed: dict[frozenset[str], Decision]
    """Decisions for fewer fields, made when first asked for; decisions are values, so keeping them changes nothing."""

    def for_fields(self, wanted: frozenset[str]) -> Decision | None:
        """The decision that gives exactly ``wanted``, or None when one of them is not granted."""
        known = self.narrowed.get(wanted)
        if known is not None:
            return known
        if self.not_granted(wanted):
            return None
        masks = {name: kind for name, kind in self.whole.masks.items() if name in wanted}
        decision = sealed(replace(self.whole, fields=tuple(sorted(wanted)), masks=MappingProxyType(masks)))
        if len(self.narrowed) >= _KEPT_LIMIT:
            self.narrowed.clear()
        self.narrowed[wanted] = decision
        return decision

    def not_granted(self, wanted: frozenset[str]) -> frozenset[str]:
        """Those of ``wanted`` that are not given: outside the granted fields, or dropped by a mask."""
        outside = frozenset[str]() if self.fields is None else wanted - self.fields
        return outside | {name for name in wanted if self.whole.masks.get(name) == "drop"}


@dataclass(frozen=True, slots=True)
class _Ban:
    """A prohibition of use; None does not narrow."""

    purposes: frozenset[str] | None
    ways: frozenset[Way] | None
    systems: frozenset[SystemId] | None
    starts: datetime | None
    ends: datetime | None

    def applies(self, purpose: str, way: Way, consumer: SystemId, at: datetime) -> bool:
        return (
            (self.purposes is None or purpose in self.purposes)
            and (self.ways is None or way in self.ways)
            and (self.systems is None or consumer in self.systems)
            and (self.starts is None or at >= self.starts)
            and (self.ends is None or at < self.ends)
        )


@dataclass(frozen=True, slots=True)
class Compiled:
    """An agreement ready to decide.  ``ended_at`` is the moment a notice of termination takes effect."""

    id: str
    version: int
    digest: str
    provider: str
    consumer: str
    """Member id, or a class (``VN/GOV``) for an agreement by rule."""
    target: str
    mode: str
    purposes: tuple[str, ...]
    """Every purpose some permission names, sorted."""
    ended_at: datetime | None
    unknown_term: str | None
    """Set when the stored document could not be understood: everything is then denied by this name."""
    prefix: str
    bans: tuple[_Ban, ...]
    grants: Mapping[tuple[str, Way], tuple[_Grant, ...]]
    refusals: dict[tuple[object, ...], Decision] = field(default_factory=dict, compare=False, repr=False)
    """Refusals already made; like narrowed decisions they are values, so keeping them changes nothing."""

    def decide(self, request: Request, uses_today: int = 0) -> Decision:
        """The decision of this agreement alone.  ``uses_today`` counts what its quota counts: uses since midnight."""
        if self.unknown_term is not None:
            return self.refuse("term-unknown", request, term=self.unknown_term)
        if request.target != self.target and request.dataset != self.target:
            return self.refuse("wrong-target", request)
        if not request.consumer.startswith(self.prefix):
            return self.refuse("wrong-consumer", request)
        purpose = request.purpose
        if purpose is None:
            purpose = _meant(self.purposes, request.default_purpose)
            if purpose is None:
                return self.refuse("purpose-needed", request, purposes=", ".join(self.purposes))
        if self.ended_at is not None and request.at >= self.ended_at:
            return self.refuse("ended", request)
        for ban in self.bans:
            if ban.applies(purpose, request.way, request.consumer, request.at):
                return self.refuse("prohibited", request)
        grants = self.grants.get((purpose, request.way))
        if grants is None:
            reason: Reason = "way-not-granted" if purpose in self.purposes else "purpose-not-granted"
            return self.refuse(reason, request, purposes=", ".join(self.purposes))
        return self._first(grants, request, uses_today)

    def _first(self, grants: tuple[_Grant, ...], request: Request, uses_today: int) -> Decision:
        nearest: Reason = "no-agreement"
        missing = ""
        for grant in grants:
            reason: Reason
            if grant.systems is not None and request.consumer not in grant.systems:
                reason = "system-not-granted"
            elif request.at < grant.starts:
                reason = "not-started"
            elif grant.ends is not None and request.at >= grant.ends:
                reason = "ended"
            elif grant.quota is not None and uses_today >= grant.quota:
                reason = "quota-used-up"
            elif request.fields is None:
                return grant.whole
            else:
                narrowed = grant.for_fields(request.fields)
                if narrowed is not None:
                    return narrowed
                reason = "field-not-granted"
                missing = missing or ", ".join(sorted(grant.not_granted(request.fields)))
            if _NEARNESS[reason] > _NEARNESS[nearest]:
                nearest = reason
        return self.refuse(nearest, request, **({"fields": missing} if nearest == "field-not-granted" else {}))

    def refuse(self, reason: Reason, request: Request, **facts: str) -> Decision:
        """A refusal that names this agreement."""
        key = (reason, request.purpose, request.way, tuple(facts.values()))
        known = self.refusals.get(key)
        if known is not None:
            return known
        decision = sealed(
            Decision(
                permit=False,
                reason=reason,
                purpose=request.purpose,
                way=request.way,
                agreement_id=self.id,
                version=self.version,
                digest=self.digest,
                facts=facts or _NO_FACTS,
            )
        )
        if len(self.refusals) >= _KEPT_LIMIT:
            self.refusals.clear()
        self.refusals[key] = decision
        return decision


def compile_agreement(agreement: Agreement, ended_at: datetime | None = None) -> Compiled:
    """``agreement`` as lookup tables; ``ended_at`` when one side has given notice."""
    terms = agreement.terms
    grants: dict[tuple[str, Way], list[_Grant]] = {}
    for permission in terms.permissions:
        for purpose in permission.purposes:
            for way in permission.ways:
                grants.setdefault((purpose, way), []).append(_grant(agreement, permission, purpose, way, ended_at))
    return Compiled(
        id=agreement.id,
        version=agreement.version,
        digest=agreement.digest,
        provider=terms.provider,
        consumer=terms.consumer,
        target=terms.target,
        mode=terms.mode,
        purposes=tuple(sorted({purpose for purpose, _ in grants})),
        ended_at=ended_at,
        unknown_term=None,
        prefix=terms.consumer + "/",
        bans=tuple(_ban(each) for each in terms.prohibitions if each.action == "use"),
        grants={key: tuple(sorted(found, key=lambda grant: _width(grant.whole))) for key, found in grants.items()},
    )


def compile_unreadable(agreement_id: str, version: int, digest: str, parties: tuple[str, str, str], why: Problem
                       ) -> Compiled:  # fmt: skip
    """A stored agreement this program does not understand: it stands in its place and denies, naming the term.

    ``parties`` are provider, consumer and target as the index knows them.
    """
    provider, consumer, target = parties
    return Compiled(
        id=agreement_id,
        version=version,
        digest=digest,
        provider=provider,
        consumer=consumer,
        target=target,
        mode="request",
        purposes=(),
        ended_at=None,
        unknown_term=str(why.facts.get("term", why.kind)),
        prefix=consumer + "/",
        bans=(),
        grants={},
    )


def decide_among(
    candidates: Sequence[Compiled], request: Request, uses_today: Callable[[str], int] = lambda _: 0
) -> Decision:
    """The decision of all agreements that might cover ``request``: the widest permission, else the nearest refusal.

    A purpose left out is taken only when it can mean one thing; otherwise the refusal lists the choices.
    ``uses_today`` gives the uses since midnight under an agreement's id.
    """
    if not candidates:
        return no_agreement(request)
    if len(candidates) == 1:
        return candidates[0].decide(request, uses_today(candidates[0].id))
    if request.purpose is None:
        purposes = sorted({purpose for each in candidates for purpose in each.purposes})
        purpose = _meant(purposes, request.default_purpose)
        if purpose is None:
            return _refuse_alone("purpose-needed", request, purposes=", ".join(purposes))
        request = replace(request, purpose=purpose)
    decisions = [each.decide(request, uses_today(each.id)) for each in candidates]
    permits = [decision for decision in decisions if decision.permit]
    if permits:
        return min(permits, key=_width)
    return max(decisions, key=lambda decision: (_NEARNESS[decision.reason], decision.decision_digest))


def no_agreement(request: Request) -> Decision:
    """The refusal of a use that no agreement covers."""
    return _refuse_alone("no-agreement", request)


def _refuse_alone(reason: Reason, request: Request, **facts: str) -> Decision:
    return sealed(Decision(False, reason, request.purpose, request.way, facts=facts or _NO_FACTS))


def _meant(purposes: Sequence[str], default: str | None) -> str | None:
    """The purpose a silent request means: the only one, or the system's registered default if it is among them."""
    if len(purposes) == 1:
        return purposes[0]
    return default if default in purposes else None


def _grant(agreement: Agreement, permission: Permission, purpose: str, way: Way, ended_at: datetime | None) -> _Grant:
    masks = dict(permission.masks)
    ends = [moment for moment in (permission.ends, ended_at) if moment is not None]
    given = permission.fields
    fields = None if given is None else tuple(sorted(name for name in given if masks.get(name) != "drop"))
    whole = Decision(
        permit=True,
        reason="permitted",
        purpose=purpose,
        way=way,
        agreement_id=agreement.id,
        version=agreement.version,
        digest=agreement.digest,
        ground=permission.ground,
        fields=fields,
        masks=MappingProxyType(masks),
        row_filter=tuple(sorted(permission.row_filter, key=repr)),
        quota=permission.quota,
        min_group=permission.min_group,
        obligations=tuple(sorted(str(each) for each in agreement.terms.obligations)),
        valid_to=min(ends, default=None),
    )
    return _Grant(
        starts=permission.starts,
        ends=permission.ends,
        systems=frozenset(permission.systems) or None,
        quota=permission.quota,
        fields=None if given is None else frozenset(given),
        whole=sealed(whole),
        narrowed={},
    )


def _ban(prohibition: Prohibition) -> _Ban:
    return _Ban(
        frozenset(prohibition.purposes) or None,
        frozenset(prohibition.ways) or None,
        frozenset(prohibition.systems) or None,
        prohibition.starts,
        prohibition.ends,
    )


def _width(decision: Decision) -> tuple[bool, int, int, int, int, int, str]:
    """Sort key, widest first: all fields, no row filter, few masks, single rows, the largest quota; then the digest."""
    return (
        decision.fields is not None,
        -len(decision.fields or ()),
        len(decision.row_filter),
        len(decision.masks),
        decision.min_group or 0,
        -(decision.quota or 1_000_000_000),
        decision.decision_digest,
    )
