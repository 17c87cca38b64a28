"""Gaps in which a helper was missing while uses went on: witnesses, the time-stamping authority, a fresh directory.

Nothing here is in a leaf: a record's flags are the gaps in which its time falls.  A missing helper stops nothing unless
a dated rule says after how many hours it does.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import ClassVar, Final, Literal, get_args

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.law.rules import RuleBook

Helper = Literal["witnesses", "timestamps", "directory"]
HELPERS: Final[tuple[Helper, ...]] = get_args(Helper)
RETRY_AFTER_S: Final = 60


class HelperMissing(Problem):
    """A dated rule stops uses after a helper was missing for so long."""

    kind: ClassVar[str] = "helper-missing"
    status: ClassVar[int] = 503
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("A helper has been missing for too long")


@dataclass(frozen=True, slots=True)
class Gap:
    """A time in which a helper was missing."""

    helper: str
    since: datetime
    until: datetime | None
    """None while it is missing."""
    basis: str | None
    """The rule by which it stops uses; None while it stops none."""

    def holds(self, at: datetime) -> bool:
        """Whether ``at`` lies in it."""
        return self.since <= at and (self.until is None or at < self.until)

    def problem(self) -> HelperMissing:
        """What callers are told."""
        return HelperMissing(
            T("No use is answered: {helper} missing since {since}, and a rule stops uses then ({basis})."),
            mend=T("The operator brings the helper back, or ends the rule; see /readyz of the node."),
            helper=self.helper,
            since=self.since.isoformat(timespec="seconds"),
            basis=self.basis,
            retry_after_s=RETRY_AFTER_S,
        )


def rule_name(helper: Helper) -> str:
    """Name of the rule (unit: hours) that says after how long without this helper uses stop."""
    return f"{helper}-missing-stops"


def stopped_by(helper: Helper, since: datetime, now: datetime, book: RuleBook) -> str | None:
    """The legal basis by which the absence of ``helper`` since ``since`` stops uses; None when no rule does."""
    found = [entry for entry in book.history(rule_name(helper)) if entry.in_force(_day(now))]
    for entry in found:
        if now - since >= timedelta(hours=entry.whole()):
            return entry.legal_basis
    return None


def flags(gaps: Sequence[Gap], at: datetime) -> list[str]:
    """What was missing at ``at``, as receipts and lists of uses say it."""
    return sorted({f"{gap.helper}-missing" for gap in gaps if gap.holds(at)})


def _day(moment: datetime) -> date:
    return moment.date()
