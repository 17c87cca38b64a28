"""Requests for access and the agreements of one's own member: read in words, approved, refused with a provision, ended.

Promises: a request is shown in the words of an agreement, before anybody signs; a refusal or an end without reason and
legal provision can not be sent (R-36); whoever may only see agreements is shown no button.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import ClassVar, Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.models import ANONYMOUS, Actor, Right
from lienthong.identity.rights import may, require
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name, PermissionView
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.portal.words import VIETNAM
from lienthong.web import page_language

REQUESTS: Final = T("Requests for access")
AGREEMENTS: Final = T("Our agreements")
MOST_DAYS_AHEAD: Final = 3 * 366


class RequestNotHere(Problem):
    """No request with that id waits for the officer's member, or it was answered."""

    kind: ClassVar[str] = "request-not-here"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such request")


@dataclass(frozen=True, slots=True)
class Asked:
    """A request for access as an officer reads it."""

    id: str
    consumer: Name
    consumer_id: str
    provider: str
    target: str
    title: Name
    note: str
    at: datetime
    ours: Literal["provider", "consumer"]
    """Which side the officer's member is on."""
    legal_basis: str = ""
    permissions: tuple[PermissionView, ...] = ()


@dataclass(frozen=True, slots=True)
class Kept:
    """An agreement of the officer's member."""

    id: str
    digest: str
    title: Name
    other: Name
    target: str
    ours: Literal["provider", "consumer"]
    by_rule: bool
    ends: datetime | None


class AgreementDesk(Protocol):
    """What the node does for these pages.  Its verbs raise what the agreements raise, and put the act down."""

    async def requests(self, member: str) -> Sequence[Asked]:
        """The requests that wait: to ``member`` first, then those it made."""
        ...

    async def asked(self, member: str, pid: str) -> Asked | None:
        """One of them with its terms."""
        ...

    async def approve(self, pid: str, actor: Actor) -> None:
        """Sign it; the other side countersigns."""
        ...

    async def refuse(self, pid: str, actor: Actor, reason: str, provision: str) -> None:
        """Refuse it with its reason and legal provision."""
        ...

    async def agreements(self, member: str) -> Sequence[Kept]:
        """The agreements of ``member`` that count."""
        ...

    async def end(self, agreement: str, actor: Actor, reason: str, provision: str, ends_at: datetime) -> None:
        """Give notice."""
        ...


def agreeing_pages(desk: AgreementDesk) -> Callable[[Shell], Pages]:
    """The page module."""

    def join(shell: Shell) -> Pages:
        rooms = Agreeing(shell, desk)
        return Pages(
            (
                *both("/work/requests", rooms.requests),
                *both("/work/requests/{pid}", rooms.request, ("GET", "POST")),
                *both("/work/agreements", rooms.agreements),
                *both("/work/agreements/{id}/end", rooms.end, ("GET", "POST")),
            ),
            (
                Section("/work/requests", REQUESTS, Right.SEE_AGREEMENTS, "work"),
                Section("/work/agreements", AGREEMENTS, Right.SEE_AGREEMENTS, "work"),
            ),
        )

    return join


class Agreeing:
    """The handlers."""

    def __init__(self, shell: Shell, desk: AgreementDesk) -> None:
        self._shell = shell
        self._desk = desk

    async def requests(self, request: Request) -> Response:
        """What waits."""
        actor = _sees(request)
        found = await self._desk.requests(str(actor.member))
        done = request.query_params.get("done", "")
        return self._page(request, "requests.html", REQUESTS, requests=found, done=done)

    async def request(self, request: Request) -> Response:
        """One request: read, then approved or refused."""
        actor = _sees(request)
        asked = await self._desk.asked(str(actor.member), str(request.path_params["pid"]))
        if asked is None:
            raise RequestNotHere(
                T("No such request waits for your agency."), mend=T("It may have been answered; see the list.")
            )
        decides = asked.ours == "provider" and may(actor, Right.DECIDE_REQUESTS, actor.member)
        form = Form()
        if request.method == "POST":
            require(actor, Right.DECIDE_REQUESTS, asked.provider)
            form = await read_form(request, self._shell)
            done = await self._decided(form, asked, actor)
            if done:
                return RedirectResponse(f"{prefix_of(request)}/work/requests?done={done}", 303)
        status = 422 if form.wrong else 200
        return self._page(
            request, "request.html", REQUESTS, status, asked=asked, form=form, decides=decides
        )  # fmt: skip

    async def agreements(self, request: Request) -> Response:
        """What counts."""
        actor = _sees(request)
        found = await self._desk.agreements(str(actor.member))
        ends = may(actor, Right.DECIDE_REQUESTS, actor.member)
        done = request.query_params.get("done", "")
        return self._page(request, "own_agreements.html", AGREEMENTS, agreements=found, ends=ends, done=done)

    async def end(self, request: Request) -> Response:
        """Give notice of one."""
        actor = _sees(request)
        require(actor, Right.DECIDE_REQUESTS, actor.member)
        found = await self._desk.agreements(str(actor.member))
        kept = next((each for each in found if each.id == request.path_params["id"]), None)
        if kept is None:
            raise RequestNotHere(T("Your agency has no such agreement."), mend=T("See the list of your agreements."))
        form = Form()
        if request.method == "POST":
            form = await read_form(request, self._shell)
            if await self._ended(form, kept, actor):
                return RedirectResponse(f"{prefix_of(request)}/work/agreements?done=ended", 303)
        first = datetime.now(UTC).astimezone(VIETNAM).date() + timedelta(days=1)
        status = 422 if form.wrong else 200
        return self._page(request, "end_agreement.html", AGREEMENTS, status, kept=kept, form=form, first=first)

    async def _decided(self, form: Form, asked: Asked, actor: Actor) -> str:
        """What was done, "" when nothing was."""
        deed = form.choice("deed", ("approve", "refuse"))
        reason = provision = ""
        if deed == "refuse":
            reason, provision = form.lines("reason", most=2_000), form.text("provision", most=300)
        if not form.good:
            return ""
        try:
            if deed == "approve":
                await self._desk.approve(asked.id, actor)
                return "approved"
            await self._desk.refuse(asked.id, actor, reason, provision)
        except Problem as problem:
            _tell(form, problem)
            return ""
        return "refused"

    async def _ended(self, form: Form, kept: Kept, actor: Actor) -> bool:
        reason, provision = form.lines("reason", most=2_000), form.text("provision", most=300)
        day = form.day("day")
        today = datetime.now(UTC).astimezone(VIETNAM).date()
        if day is not None and not today < day <= today + timedelta(days=MOST_DAYS_AHEAD):
            form.fault("day", T("Please give a day from tomorrow on."))
        if not form.good or day is None:
            return False
        try:
            await self._desk.end(kept.id, actor, reason, provision, _midnight(day))
        except Problem as problem:
            _tell(form, problem)
            return False
        return True

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        told = translate(title, page_language(request))
        return self._shell.page(request, template, title=told, status=status, **facts)


def _midnight(day: date) -> datetime:
    """The first moment of ``day`` in Việt Nam, in UTC."""
    return datetime.combine(day, time(), VIETNAM).astimezone(UTC)


def _tell(form: Form, problem: Problem) -> None:
    form.fault("", problem.message, **problem.facts)
    if problem.mend:
        form.fault("mend", problem.mend, **problem.facts)


def _sees(request: Request) -> Actor:
    actor: Actor = getattr(request.state, "actor", ANONYMOUS)
    return require(actor, Right.SEE_AGREEMENTS, actor.member)
