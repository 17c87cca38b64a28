""" "Việc của tôi": everything that waits for somebody who works here, from all packages, on one page.

Promises: what is late stands first; an offer that fails hides no other and is told; the number beside the entry of the
navigation is at most ``FRESH_S`` old.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import Final, Protocol, cast

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lienthong.cases.todo import Offer, Todo, in_order
from lienthong.errors import Problem
from lienthong.i18n import Language, T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor
from lienthong.identity.rights import LoginNeeded
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.portal.words import VIETNAM
from lienthong.storage.pool import DatabaseFailed
from lienthong.web import answer_language, page_language, wants_page

log = structlog.get_logger("lienthong.inbox")
PATH: Final = "/work"
TITLE: Final = T("My work")
FRESH_S: Final = 5.0
MOST_COUNTED: Final = 1_000
"""Persons whose number is remembered; with more, all are counted anew."""


class Spoken(Protocol):
    """A fact with words in both languages."""

    def say(self, language: Language) -> str:
        """The words."""
        ...


@dataclass(frozen=True, slots=True)
class Line:
    """One to-do in the reader's language."""

    title: str
    hint: str
    href: str
    due: date | None
    urgent: bool
    days: int | None
    """Days left, negative when late; None without a clock."""


@dataclass(frozen=True, slots=True)
class Group:
    """The to-dos of one source, the most pressing first."""

    source: str
    lines: tuple[Line, ...]


@dataclass(frozen=True, slots=True)
class Waiting:
    """What waits for one person."""

    todos: tuple[Todo, ...]
    whole: bool
    """False: an offer failed, so there may be more."""


@dataclass(slots=True)
class Inbox:
    """Asks every offer."""

    offers: Sequence[Offer]
    today: Callable[[], date] = lambda: datetime.now(UTC).astimezone(VIETNAM).date()
    _counts: dict[str, tuple[float, int]] = field(default_factory=dict[str, tuple[float, int]])

    async def waiting(self, actor: Actor) -> Waiting:
        """Everything that waits for ``actor``, in order."""
        found: list[Todo] = []
        whole = True
        for offer in self.offers:
            try:
                found += await offer(actor)
            except (Problem, DatabaseFailed, OSError, TimeoutError) as failed:
                whole = False
                log.warning("inbox.offer-failed", offer=_name(offer), error=type(failed).__name__)
        self._remember(actor, len(found))
        return Waiting(tuple(in_order(found, self.today())), whole)

    async def count(self, actor: Actor) -> int:
        """How much waits for ``actor``, at most ``FRESH_S`` old."""
        at, number = self._counts.get(str(actor.session), (float("-inf"), 0))
        if at + FRESH_S > time.monotonic():
            return number
        return len((await self.waiting(actor)).todos)

    def forget(self, actor: Actor) -> None:
        """Count anew when next asked: ``actor`` is about to do something."""
        self._counts.pop(str(actor.session), None)

    def _remember(self, actor: Actor, number: int) -> None:
        if len(self._counts) >= MOST_COUNTED:
            self._counts.clear()
        self._counts[str(actor.session)] = (time.monotonic(), number)


class CountLayer:
    """ASGI middleware within ``ActorLayer``: ``scope["state"]["counts"]`` says what waits, for the navigation."""

    def __init__(self, app: ASGIApp, inbox: Inbox) -> None:
        self.app = app
        self._inbox = inbox

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Count for those who work here and ask for a page, then go on."""
        if scope["type"] == "http" and wants_page(Headers(scope=scope)):
            actor = actor_of(Request(scope))
            if actor.session is not None and actor.member is not None:
                if scope["method"] not in ("GET", "HEAD"):
                    self._inbox.forget(actor)
                scope["state"]["counts"] = {PATH: await self._inbox.count(actor)}
        await self.app(scope, receive, send)


def inbox_pages(inbox: Inbox) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = _known(request)
            if actor.member is None:
                return RedirectResponse(f"{prefix_of(request)}/mine", 303)
            language = page_language(request)
            waiting = await inbox.waiting(actor)
            groups = grouped(waiting.todos, inbox.today(), language)
            late = sum(todo.late(inbox.today()) for todo in waiting.todos)
            return shell.page(
                request, "inbox.html", title=translate(TITLE, language), groups=groups, whole=waiting.whole,
                count=len(waiting.todos), late=late,
            )  # fmt: skip

        async def told(request: Request) -> Response:
            waiting = await inbox.waiting(_known(request))
            groups = grouped(waiting.todos, inbox.today(), answer_language(request))
            listed = [{"source": group.source, **_plain(line)} for group in groups for line in group.lines]
            return JSONResponse({"whole": waiting.whole, "todos": listed}, headers={"Cache-Control": "no-store"})

        routes = (*both(PATH, page), Route("/v1/work", told, methods=["GET"]))
        return Pages(routes, (Section(PATH, TITLE, group="work"),))

    return join


def grouped(todos: Sequence[Todo], today: date, language: Language) -> tuple[Group, ...]:
    """The to-dos by source; the source of the most pressing one first."""
    sources: dict[str, list[Line]] = {}
    for todo in todos:
        facts = spoken(todo.facts, language)
        line = Line(
            title=translate(todo.title, language, **facts),
            hint=translate(todo.hint, language, **facts) if todo.hint else "",
            href=todo.href,
            due=todo.due,
            urgent=todo.urgent,
            days=(todo.due - today).days if todo.due else None,
        )
        sources.setdefault(todo.source, []).append(line)
    return tuple(Group(translate(source, language), tuple(lines)) for source, lines in sources.items())


def spoken(facts: Mapping[str, object], language: Language) -> dict[str, object]:
    """``facts`` with those that have words in both languages said in ``language``."""
    return {
        name: cast("Spoken", value).say(language) if callable(getattr(value, "say", None)) else value
        for name, value in facts.items()
    }


def _known(request: Request) -> Actor:
    actor = actor_of(request)
    if not actor.known:
        raise LoginNeeded(
            T("This needs somebody who is signed in."), mend=T("Sign in and try again; what was typed is kept.")
        )
    return actor


def _plain(line: Line) -> dict[str, object]:
    return {
        "title": line.title,
        "hint": line.hint,
        "href": line.href,
        "due": line.due.isoformat() if line.due else None,
        "late": line.days is not None and line.days < 0,
        "urgent": line.urgent,
    }


def _name(offer: Offer) -> str:
    return getattr(offer, "__qualname__", type(offer).__name__)
