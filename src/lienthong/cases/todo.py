"""What waits for somebody who is signed in: packages offer their to-dos, one inbox shows them in order.

Promises: what is late comes first, then what is urgent, then what is due soonest; an offer names nobody and shows
nothing that the asking person may not see (each offer asks for the right itself).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import TypeAlias

from lienthong.i18n import Language, translate
from lienthong.identity.models import Actor


@dataclass(frozen=True, slots=True)
class Phrase:
    """A message within a message: a fact of a to-do that has words of its own."""

    message: str
    """Marked with ``T``."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])

    def say(self, language: Language) -> str:
        """The message in ``language``."""
        return translate(self.message, language, **self.facts)


@dataclass(frozen=True, slots=True)
class Todo:
    """One thing that waits."""

    title: str
    """A message marked with ``T``; may hold placeholders filled from ``facts``."""
    href: str
    """Where it is done: an address without language prefix."""
    due: date | None
    """The last day that is in time, in Việt Nam; None: no clock runs."""
    source: str
    """What it is grouped under, such as ``T("Approvals")``: a message."""
    urgent: bool = False
    """Before others of the same day, whatever their source."""
    facts: Mapping[str, object] = field(default_factory=dict[str, object])
    """For the placeholders; a value with ``say(language)`` is spoken in the reader's language."""
    hint: str = ""
    """What to do, as a message with the same ``facts``; "" when the title says it."""

    def late(self, today: date) -> bool:
        """Whether its last day is over."""
        return self.due is not None and self.due < today


Offer: TypeAlias = Callable[[Actor], Awaitable[Sequence[Todo]]]
"""What waits for this person; nothing for somebody without the right."""


def in_order(todos: Iterable[Todo], today: date) -> list[Todo]:
    """Late ones first, then urgent ones, then by day; those without a day last, each in the order of their offers."""
    return sorted(
        todos, key=lambda todo: (not todo.late(today), not todo.urgent, todo.due is None, todo.due or date.max)
    )
