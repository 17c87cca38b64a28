"""What is being published and is not yet: drafts of this process, for half an hour each, their owner's alone.

A draft belongs to a person, not to a session: whoever has to sign in again goes on where they were.  A password typed
in the first step is in no page, address or log, and in the database only once the service is published.
"""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final

from lienthong.catalog.models import Endpoint
from lienthong.catalog.publish import Found, PublishRequest
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.models import Actor

KEPT_FOR: Final = timedelta(minutes=30)
MOST_DRAFTS: Final = 200


class DraftGone(Problem):
    """The draft was published, is older than half an hour, or belongs to somebody else."""

    kind: ClassVar[str] = "draft-gone"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This draft is gone")


@dataclass(frozen=True, slots=True)
class Sample:
    """How a service by HTTP is tried before it is published."""

    endpoints: tuple[Endpoint, ...]
    """What callers may ask for."""
    target: str
    """Path and query of one GET that the back end answers."""


@dataclass(frozen=True, slots=True)
class Draft:
    """One publication under way."""

    id: str
    person: str
    source: str
    """In the words of ``catalog.publish.PublishRequest.source``."""
    found: Found
    ends: datetime
    sample: Sample | None = None
    """How a service by HTTP is tried; None for tables and files."""
    request: PublishRequest | None = None
    """What is shown in step three; None while it is described."""
    typed: PublishRequest | None = None
    """What was described before, shown again in step two."""


class Drafts:
    """The drafts of this process; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._kept: dict[str, Draft] = {}
        self._done: dict[str, tuple[str, str]] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    def begin(self, actor: Actor, source: str, found: Found, sample: Sample | None = None) -> Draft:
        """A new draft of the actor's."""
        now = datetime.now(UTC)
        self._kept = {name: each for name, each in self._kept.items() if each.ends > now}
        self._locks = {name: lock for name, lock in self._locks.items() if name in self._kept or lock.locked()}
        while len(self._kept) >= MOST_DRAFTS:
            del self._kept[next(iter(self._kept))]
        draft = Draft(secrets.token_urlsafe(16), actor.person or "", source, found, now + KEPT_FOR, sample)
        self._kept[draft.id] = draft
        return draft

    def of(self, name: str, actor: Actor) -> Draft:
        """The draft if it is the actor's own, in whichever session.  Raises DraftGone."""
        draft = self._kept.get(name)
        if draft is None or draft.person != actor.person or draft.ends <= datetime.now(UTC):
            raise DraftGone(
                T("There is no such draft of yours; drafts are kept for half an hour."),
                mend=T("Begin again; nothing was published."),
            )
        return draft

    def keep(self, draft: Draft) -> None:
        """Put ``draft`` in the place of what it was."""
        self._kept[draft.id] = draft

    def publishing(self, name: str) -> asyncio.Lock:
        """Held while the draft ``name`` is published, so that a form sent twice does one thing."""
        return self._locks.setdefault(name, asyncio.Lock())

    def done(self, name: str, actor: Actor) -> str | None:
        """The service that the actor's draft ``name`` became; None while it is none."""
        person, service = self._done.get(name, ("", ""))
        return service if person and person == actor.person else None

    def finish(self, draft: Draft, service: str) -> None:
        """It was published as ``service``: nothing but that is kept."""
        self._kept.pop(draft.id, None)
        while len(self._done) >= MOST_DRAFTS:
            del self._done[next(iter(self._done))]
        self._done[draft.id] = (draft.person, service)
