"""May this use happen?  One decision for calls, shared tables and queries, made before anything is touched.

The gate knows the agreements in force and the registered purposes; it returns the decision that goes into the record
or refuses with the reason, whose side it is on and what to do.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import ClassVar

from lienthong.access.models import AgreementRef, Use
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.policy import Decision, Request
from lienthong.directory.document import Snapshot
from lienthong.errors import Problem, Side
from lienthong.i18n import T


class Refused(Problem):
    """A use that may not happen; recorded as refused when the asking system is known."""

    kind: ClassVar[str] = "refused"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The use is not allowed")


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


class Gate:
    """Admits uses under the agreements in ``index`` and the purposes of the directory."""

    def __init__(self, index: AgreementIndex, snapshot: Callable[[], Snapshot], quota: Quota | None = None) -> None:
        self._index = index
        self._snapshot = snapshot
        self.quota = quota or Quota()

    def admit(self, use: Use, *, fields: frozenset[str] | None = None, default_purpose: str | None = None) -> Decision:
        """The permit for ``use``; ``fields`` are those asked for by name (None: whatever is granted).

        Raises a Refused.  When several agreements cover the use, the first that permits it is taken.
        """
        candidates = self._index.find(use.consumer, targets_of(use.resource), use.at)
        if not candidates:
            raise NoAgreement(
                T("No agreement in force lets {consumer} use {resource}."),
                mend=T("Ask the provider: lienthong agreement request --target {resource}"),
                consumer=use.consumer,
                resource=use.resource,
            )
        purpose = use.purpose or self._only_purpose(use, [c.purposes for c in candidates], default_purpose)
        self._check_purpose(purpose, use)
        denials: list[Decision] = []
        for compiled in candidates:
            decision = compiled.decide(
                Request(
                    consumer=use.consumer,
                    target=compiled.target,
                    way=use.way,
                    purpose=purpose,
                    at=use.at,
                    fields=fields,
                    uses_today=self.quota.today(compiled.agreement_id, use.at),
                )
            )
            if decision.permit:
                self.quota.add(compiled.agreement_id, use.at)
                return decision
            denials.append(decision)
        raise refusal(denials[0], use)

    def _only_purpose(
        self, use: Use, granted: Sequence[frozenset[str]], default_purpose: str | None
    ) -> str:
        possible = frozenset[str]().union(*granted)
        if len(possible) == 1:
            return next(iter(possible))
        if default_purpose in possible:
            return str(default_purpose)
        raise PurposeMissing(
            T("The agreements for {resource} allow several purposes: {purposes}."),
            mend=T("Name one in the header Lienthong-Purpose (SQL: the parameter purpose)."),
            resource=use.resource,
            purposes=", ".join(sorted(possible)),
        )

    def _check_purpose(self, code: str, use: Use) -> None:
        purpose = self._snapshot().purpose(code)
        if purpose is None or not purpose.valid_on(use.at.date()):
            raise PurposeNotGranted(
                T("The purpose {purpose} is not registered or not valid on {day}."),
                mend=T("Register it with the national node, or name a valid one."),
                purpose=code[:64],
                day=use.at.date().isoformat(),
            )


def targets_of(service: str) -> tuple[str, str]:
    """The ids an agreement about ``service`` may name: the service, or the dataset of the same name."""
    system, _, name = service.rpartition("/")
    return (service, f"{system}/ds/{name}")


def agreement_ref(decision: Decision) -> AgreementRef:
    """How a record names the agreement of ``decision``."""
    return AgreementRef(decision.agreement_id, decision.version, decision.digest)
