"""What a person wishes to be told and by which way; a notice that waits to be carried; why one could not be."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from typing import ClassVar, Final, Literal

from lienthong.errors import Problem, Side
from lienthong.i18n import T

Way = Literal["page", "mail", "webhook"]
About = Literal["all", "clocks"]
"""``all``: everything that happens; ``clocks``: new cases, ends, reminders and what is late."""
CONFIRM: Final = "confirm"
"""The act of the one notice that tells of no case: it carries the code by which an e-mail address is confirmed."""
OF_CLOCKS: Final = frozenset(("opened", "moved", "extended", "due-soon", "overdue", "escalated"))


class NotCarried(Problem):
    """A notice could not be handed over; told to the operator, never to the person it was for."""

    kind: ClassVar[str] = "notice-not-carried"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("A notice could not be delivered")

    def __init__(self, word: str, *, for_good: bool = False) -> None:
        """``word``: the cause without any address, such as ``smtp-550``; ``for_good``: trying again is no use."""
        super().__init__(
            T("The notice was not taken: {word}."), mend=T("See: lienthong case notices"), word=word
        )  # fmt: skip
        self.word = word
        self.for_good = for_good


@dataclass(frozen=True, slots=True)
class Wishes:
    """What one person wishes; without a row: their page alone."""

    person: str
    about: About = "all"
    mail: str = ""
    by_mail: bool = False
    mail_confirmed: bool = False
    """Whether the code that was sent to the address came back; before that no notice goes there."""
    webhook: str = ""
    by_webhook: bool = False
    language: Literal["vi", "en"] = "vi"


@dataclass(frozen=True, slots=True)
class Notice:
    """One notice for one person by one way, on its way."""

    id: int
    key: str
    person: str
    case: str | None
    act: str
    way: Way
    at: datetime
    tries: int
    """Counted with the one under way."""


@dataclass(frozen=True, slots=True)
class Told:
    """What a notice says: ids, codes and days alone, never what somebody wrote."""

    notice: Notice
    kind_vi: str
    kind_en: str
    state: str
    due: date | None
    """The last day in time of a case that runs."""
    wishes: Wishes


@dataclass(frozen=True, slots=True)
class Failing:
    """Notices that could not be delivered, by way and cause: what the operator sees, without persons."""

    way: str
    word: str
    state: str
    """``waiting``: it is tried again; ``given-up``."""
    count: int
    since: datetime
