"""May this use happen?  One decision for calls, shared tables and queries, made before anything is touched.

The gate knows the agreements in force and the registered purposes; it returns the decision that goes into the record
or refuses with the reason, whose side it is on and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar, Final

from lienthong.access.models import AgreementRef, Use
from lienthong.agreements.models import Way as AgreementWay
from lienthong.agreements.policy import Compiled, Decision, Reason, Request, decide_among, sealed
from lienthong.directory.document import Snapshot, UnknownPurpose
from lienthong.directory.models import DatasetId, SystemId, member_of
from lienthong.errors import Problem, Side
from lienthong.i18n import T


class Refused(Problem):
    """A use that may not happen; recorded as refused when the asking system is known."""

    kind: ClassVar[str] = "refused"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The use is not allowed")
    decision: Decision | None = None
    """What was decided, for the record."""


class NoAgreement(Refused):
    """No agreement in force covers this system and this service."""

    kind: ClassVar[str] = "no-agreement"
    title: ClassVar[str] = T("No agreement covers this use")


class PurposeMissing(Refused):
    """Several purposes are possible and none was named."""

    kind: ClassVar[str] = "purpose-missing"
    title: ClassVar[str] = T("The use names no purpose")


class PurposeNotGranted(Refused):
    """The purpose named is not registered for the member, not valid today, or not the agreement's."""

    kind: ClassVar[str] = "purpose-not-granted"
    title: ClassVar[str] = T("The purpose is not granted")


class FieldNotGranted(Refused):
    """A field asked for is outside the agreement."""

    kind: ClassVar[str] = "field-not-granted"
    title: ClassVar[str] = T("A field is not granted")


class QuotaUsedUp(Refused):
    """The agreement's quota for today is used up."""

    kind: ClassVar[str] = "quota-used-up"
    status: ClassVar[int] = 429
    title: ClassVar[str] = T("The quota is used up")


class TermsRefuse(Refused):
    """The agreement exists but its terms do not allow this use."""

    kind: ClassVar[str] = "terms-refuse"
    title: ClassVar[str] = T("The agreement does not allow this use")


class AgreementEnded(Refused):
    """The agreement's last day has passed or one side has ended it."""

    kind: ClassVar[str] = "agreement-ended"
    title: ClassVar[str] = T("The agreement has ended")


class ConsumerClosed(Refused):
    """The asking member was merged or dissolved; ``successor`` is who may take its agreements over, or empty."""

    kind: ClassVar[str] = "consumer-closed"
    status: ClassVar[int] = 410
    title: ClassVar[str] = T("The asking member is closed")


class ConsentMissing(Refused):
    """The agreement's ground is the person's consent, and none is known."""

    kind: ClassVar[str] = "consent-missing"
    title: ClassVar[str] = T("There is no consent")


CONSENT: Final = "consent"
OWN_GROUND: Final = "own"
"""Ground of a record in which a member reads its own data."""
OPEN_GROUND: Final = "open"
"""Ground of a record of open data used without an agreement."""


@dataclass(slots=True)
class Quota:
    """Uses counted per agreement and day in this process, starting from what the log already holds."""

    day: date = date.min
    used: dict[str, int] = field(default_factory=dict[str, int])

    def today(self, agreement: str, at: datetime) -> int:
        """Uses of ``agreement`` so far on the day of ``at``."""
        if at.date() != self.day:
            self.day, self.used = at.date(), {}
        return self.used.get(agreement, 0)

    def add(self, agreement: str, at: datetime) -> None:
        """Count one more."""
        self.used[agreement] = self.today(agreement, at) + 1


FindAgreements = Callable[[SystemId, tuple[str, ...]], Sequence[Compiled]]
"""Agreements in force that might cover a system's use of one of these targets."""


def nothing_open(service: str) -> bool:
    """No service is open data."""
    del service
    return False


class Gate:
    """Admits uses under the agreements that ``find`` knows and the purposes of the directory."""

    def __init__(
        self,
        find: FindAgreements,
        snapshot: Callable[[], Snapshot],
        quota: Quota | None = None,
        *,
        is_open: Callable[[str], bool] = nothing_open,
    ) -> None:
        """``is_open``: whether a service is open data, as far as this node knows."""
        self._find = find
        self._snapshot = snapshot
        self._is_open = is_open
        self.quota = quota or Quota()

    def knows(self, consumer: SystemId, resource: str) -> bool:
        """Whether this node can decide on ``resource`` without first asking what it is."""
        own = member_of(consumer) == member_of(resource)
        return own or self._is_open(resource) or bool(self._find(consumer, targets_of(resource)))

    def admit(self, use: Use, *, fields: frozenset[str] | None = None, default_purpose: str | None = None) -> Decision:
        """The permit for ``use``; ``fields`` are those asked for by name (None: whatever is granted).

        A member always reads back its own data (R-35).  Raises a Refused that names the reason.
        """
        decision = self.consider(use, fields=fields, default_purpose=default_purpose)
        if decision.agreement_id is not None:
            self.quota.add(decision.agreement_id, use.at)
        return decision

    def consider(
        self, use: Use, *, fields: frozenset[str] | None = None, default_purpose: str | None = None
    ) -> Decision:
        """As ``admit``, but nothing is used yet: for planning.  Raises a Refused."""
        if member_of(use.consumer) == use.provider:
            return own_use(use)
        service, dataset = targets_of(use.resource)
        decision = decide_among(
            self._find(SystemId(use.consumer), (service, dataset)),
            Request(
                consumer=SystemId(use.consumer),
                target=service,
                way=way_of(use),
                purpose=use.purpose,
                at=use.at,
                dataset=dataset,
                fields=fields,
                default_purpose=default_purpose,
            ),
            lambda agreement: self.quota.today(agreement, use.at),
        )
        if not decision.permit:
            if self._is_open(use.resource):
                if use.purpose is not None:
                    self._check_purpose(use.purpose, use)
                return open_use(use)
            raise refusal(decision, use)
        self._check_purpose(str(decision.purpose), use)
        if decision.ground == CONSENT:
            raise ConsentMissing(
                T("The agreement rests on consent, and this node keeps none yet."),
                mend=T("Agree on another legal ground, or wait for the node to keep consents."),
                resource=use.resource,
            )
        return decision

    def _check_purpose(self, code: str, use: Use) -> None:
        """A task must be the consumer's own, or one that all bodies of its class share, and valid today."""
        snapshot = self._snapshot()
        member = snapshot.member(member_of(use.consumer))
        if member is not None and member.state == "closed":
            raise ConsumerClosed(
                T("{consumer} belongs to a member that was closed."),
                mend=T("Its successor takes its agreements over: lienthong agreement take-over"),
                consumer=use.consumer,
                successor=member.successor or "",
            )
        try:
            snapshot.purpose_on(code, member_of(use.consumer), use.at.date())
        except UnknownPurpose as unknown:
            raise PurposeNotGranted(
                T("The purpose {purpose} is not registered for {consumer} or not valid on {day}."),
                mend=T("Register it with the national node, or name a valid one."),
                purpose=code[:64],
                consumer=use.consumer,
                day=use.at.date().isoformat(),
            ) from unknown


def way_of(use: Use) -> AgreementWay:
    """The way as agreements name it."""
    return use.way


def own_use(use: Use) -> Decision:
    """The permit of a member for its own data: no agreement is needed, a record is."""
    return sealed(Decision(permit=True, reason="permitted", purpose=use.purpose, way=way_of(use), ground=OWN_GROUND))


def open_use(use: Use) -> Decision:
    """The permit for open data: no agreement is needed and no purpose, a record is."""
    return sealed(Decision(permit=True, reason="permitted", purpose=use.purpose, way=way_of(use), ground=OPEN_GROUND))


def targets_of(service: str) -> tuple[str, DatasetId]:
    """The ids an agreement about ``service`` may name: the service, or the dataset of the same name."""
    system, _, name = service.rpartition("/")
    return (service, DatasetId(f"{system}/ds/{name}"))


def agreement_ref(decision: Decision | None) -> AgreementRef | None:
    """How a record names the agreement of ``decision``; None for a refusal without one and for own data."""
    if decision is None or decision.agreement_id is None:
        return None
    return AgreementRef(decision.agreement_id, str(decision.version), str(decision.digest))


def refusal(decision: Decision, use: Use) -> Refused:
    """The problem that tells why ``decision`` does not permit ``use``; it carries the decision for the record."""
    kind, message, mend = REFUSALS.get(decision.reason, OTHER_REFUSAL)
    facts = {"consumer": use.consumer, "resource": use.resource, "way": use.way} | dict(decision.facts)
    if decision.purpose:
        facts["purpose"] = decision.purpose[:64]
    if decision.agreement_id:
        facts["agreement"] = decision.agreement_id
    problem = kind(message, mend=mend, reason=decision.reason, **facts)
    problem.decision = decision
    return problem


REFUSALS: Final[Mapping[Reason, tuple[type[Refused], str, str]]] = {
    "no-agreement": (
        NoAgreement,
        T("No agreement in force lets {consumer} use {resource}."),
        T("Ask the provider for one: lienthong agreement request --target {resource}"),
    ),
    "purpose-needed": (
        PurposeMissing,
        T("The agreements for {resource} allow several purposes: {purposes}."),
        T("Name one in the header Lienthong-Purpose (SQL: the parameter purpose)."),
    ),
    "purpose-not-granted": (
        PurposeNotGranted,
        T("The agreement for {resource} does not cover this purpose."),
        T("Use one that it covers, or ask the provider for an agreement that does."),
    ),
    "field-not-granted": (
        FieldNotGranted,
        T("These fields of {resource} are not granted: {fields}."),
        T("Leave them out, or ask the provider for an agreement that grants them."),
    ),
    "quota-used-up": (
        QuotaUsedUp,
        T("The agreement's number of uses for today is used up."),
        T("Go on tomorrow, or ask the provider for a larger quota."),
    ),
    "ended": (
        AgreementEnded,
        T("The agreement for {resource} has ended."),
        T("Ask the provider to renew it."),
    ),
    "way-not-granted": (
        TermsRefuse,
        T("The agreement for {resource} does not allow this way of use: {way}."),
        T("Use a way that it allows, or ask the provider for an agreement that does."),
    ),
}
OTHER_REFUSAL: Final = (
    TermsRefuse,
    T("The agreement for {resource} does not allow this use ({reason})."),
    T("Read the agreement's terms, or ask the provider."),
)
