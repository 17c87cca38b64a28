"""Join requests and other changes of the directory, for the coordinators of the national node: read, approved, refused.

Promises: nobody approves unseen - the checks stand above the buttons; the second approval is another person's; a
closing shows which agreements its successor takes over before anybody signs.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.directory.checks import Checked
from lienthong.directory.lifecycle import REASON_LIMIT, Change, ChangeRefused, SameOperator
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.approvals import StrongerSignInNeeded
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed, require
from lienthong.portal.coming import KINDS, STATES
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Name
from lienthong.portal.sheet import Mark, Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.web import page_language

TITLE: Final = T("Changes of members and nodes")
PATH: Final = "/work/changes"
MOST_REQUEST: Final = 32_000
"""Characters of a signed request: a node with a hundred members needs a fifth of it."""
COLUMNS: Final = columns_of(
    ("member", T("Member")),
    ("kind", T("What changes")),
    ("state", T("State")),
    ("approvals", T("Approvals"), "figure"),
    ("changed_at", T("Since")),
    ("reason", T("Reason")),
    ("id", T("Id"), "code"),
)


class ChangeNotHere(Problem):
    """No change with that id waits or was refused lately."""

    kind: ClassVar[str] = "change-not-here"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such change")


@dataclass(frozen=True, slots=True)
class Reissued:
    """An agreement that must be made anew after a closing."""

    id: str
    title: Name
    provider: Name
    consumer: Name
    target: str
    by_rule: bool
    href: str
    """Where it can be read; empty when nobody who signed it answers."""


@dataclass(frozen=True, slots=True)
class Reading:
    """One change with everything to know before approving it."""

    change: Change
    name: Name
    """The member's."""
    wanted: Mapping[str, Any]  # Any: JSON as each kind wants it
    checks: Sequence[Checked]
    approved: Sequence[str]
    """Names of the operators who approved."""
    own: bool
    """Whether the reader has approved already."""
    reissued: Sequence[Reissued] = ()

    @property
    def open(self) -> bool:
        """Whether it can be approved or refused."""
        return self.change.state in ("requested", "approved-once")

    @property
    def facts(self) -> Sequence[tuple[str, str]]:
        """What it asks for: field and value, as they were signed."""
        told = self.wanted.get("identity", self.wanted)
        return [(name, _said(value)) for name, value in told.items() if value not in (None, "")]


class ChangeDesk(Protocol):
    """What the national node does for these pages.  Its verbs raise the directory's Problems and put the act down."""

    async def changes(self) -> Sequence[tuple[Change, Name]]:
        """What waits or was refused lately, with the members' names."""
        ...

    async def one(self, change: str, actor: Actor) -> Reading | None:
        """One of them with its checks."""
        ...

    async def submit(self, envelope: bytes, actor: Actor) -> Change:
        """Take a signed request in."""
        ...

    async def approve(self, change: str, actor: Actor) -> Change:
        """Approve it with the key that the node keeps for this person."""
        ...

    async def refuse(self, change: str, actor: Actor, reason: str) -> Change:
        """Refuse it; members see the reason."""
        ...


def change_pages(desk: ChangeDesk) -> Callable[[Shell], Pages]:
    """The page module."""

    async def sheet(request: Request) -> Sheet:
        _coordinates(request)
        rows = tuple(_row(change, name) for change, name in await desk.changes())
        return Sheet("thay-doi-thanh-vien", TITLE, COLUMNS, rows, datetime.now(UTC))

    def join(shell: Shell) -> Pages:
        async def facts(request: Request) -> Mapping[str, object]:
            return {"form": Form(), "done": request.query_params.get("done", "")}

        async def take_in(request: Request) -> Response:
            actor = _coordinates(request)
            form = await read_form(request, shell)
            text = form.lines("request", most=MOST_REQUEST)
            if form.good:
                try:
                    change = await desk.submit(text.strip().encode(), actor)
                    return RedirectResponse(f"{prefix_of(request)}{PATH}/{change.id}", 303)
                except Problem as problem:
                    _tell(form, problem)
            title = translate(T("Take a request in"), page_language(request))
            return shell.page(request, "change_new.html", title=title, status=422, form=form)

        async def new(request: Request) -> Response:
            _coordinates(request)
            title = translate(T("Take a request in"), page_language(request))
            return shell.page(request, "change_new.html", title=title, form=Form())

        async def one(request: Request) -> Response:
            actor, change = _coordinates(request), str(request.path_params["change"])
            form = await read_form(request, shell) if request.method == "POST" else Form()
            if request.method == "POST" and (done := await _decided(desk, form, change, actor)):
                return RedirectResponse(f"{prefix_of(request)}{PATH}?done={done}", 303)
            reading = await desk.one(change, actor)
            if reading is None:
                raise ChangeNotHere(T("No such change waits here."), mend=T("It may have been decided; see the list."))
            title = reading.name.say(page_language(request))
            return shell.page(
                request, "change.html", title=title, status=422 if form.wrong else 200, reading=reading, form=form,
                kind=KINDS[reading.change.kind], state=STATES[reading.change.state], limit=REASON_LIMIT,
            )  # fmt: skip

        lead = T(
            "Who joins, changes a key or a certificate, or is closed, asks by a signed file. Two different persons"
            " approve; one suffices to refuse, with a reason that the member sees."
        )
        empty = T("No change waits.")
        page = Listing(PATH, TITLE, lead, sheet, template="changes.html", facts=facts, empty=empty)
        routes = (
            *both(f"{PATH}/new", new),
            *both(f"{PATH}/new", take_in, ("POST",)),
            *listing(shell, page),
            *both(f"{PATH}/{{change}}", one, ("GET", "POST")),
        )
        return Pages(routes, (Section(PATH, TITLE, Right.MANAGE_MEMBERS, "work"),))

    return join


@dataclass(frozen=True, slots=True, kw_only=True)
class Submitted:
    """A signed request."""

    request: str = about("The file that `lienthong directory change join|key|certificate|close` wrote, as text.",
                         most=MOST_REQUEST, lines=True)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Approved:
    """Which change is approved."""

    change: str = about("Id of the change, as GET /v1/work/changes lists it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Declined:
    """Which change is refused, and why."""

    change: str = about("Id of the change, as GET /v1/work/changes lists it.")
    reason: str = about("Why; the member sees it.", most=REASON_LIMIT, lines=True)


def change_deeds(desk: ChangeDesk) -> tuple[Deed[Any], ...]:  # Any: each deed has its own input
    """Take in, approve, refuse: by a person in front of a screen."""

    async def submit(actor: Actor, wish: Submitted) -> Facts:
        return (await desk.submit(wish.request.strip().encode(), actor)).public()

    async def approve(actor: Actor, wish: Approved) -> Facts:
        return (await desk.approve(wish.change, actor)).public()

    async def refuse(actor: Actor, wish: Declined) -> Facts:
        return (await desk.refuse(wish.change, actor, wish.reason)).public()

    gives = {"id": "Its id.", "state": "What became of it.", "approvals": "How many have approved."}
    right, one = Right.MANAGE_MEMBERS, f"{PATH}/{{change}}"
    may_raise = (NotAllowed, ChangeRefused, StrongerSignInNeeded)
    return (
        Deed("directory/changes/submit", T("Take a request in"), Submitted, submit, right, screen=True,
             problems=(NotAllowed, ChangeRefused), gives=gives, forms=(f"{PATH}/new",)),
        Deed("directory/changes/approve", T("Approve a change of the directory"), Approved, approve, right,
             screen=True, problems=(*may_raise, SameOperator), gives=gives, forms=(one,)),
        Deed("directory/changes/refuse", T("Refuse a change of the directory"), Declined, refuse, right,
             screen=True, problems=may_raise, gives=gives, forms=(one,)),
    )  # fmt: skip


async def _decided(desk: ChangeDesk, form: Form, change: str, actor: Actor) -> str:
    """What was done, "" when nothing was."""
    deed = form.choice("deed", ("approve", "refuse"))
    reason = form.lines("reason", most=REASON_LIMIT) if deed == "refuse" else ""
    if not form.good:
        return ""
    try:
        if deed == "approve":
            return (await desk.approve(change, actor)).state
        return (await desk.refuse(change, actor, reason)).state
    except Problem as problem:
        _tell(form, problem)
        return ""


def _tell(form: Form, problem: Problem) -> None:
    form.fault("", problem.message, **problem.facts)
    if problem.mend:
        form.fault("mend", problem.mend, **problem.facts)


def _coordinates(request: Request) -> Actor:
    return require(actor_of(request), Right.MANAGE_MEMBERS)


def _row(change: Change, name: Name) -> Row:
    kind, state = KINDS[change.kind], STATES.get(change.state, Mark("still", change.state, change.state))
    cells = (name, kind, state, len(change.approved_by), change.changed_at, change.reason or None, change.id)
    return Row(cells, f"{PATH}/{change.id}", change.member)


def _said(value: object) -> str:
    if isinstance(value, str):
        return value
    if isinstance(value, Mapping):
        return ", ".join(str(name) for name in value)
    return json.dumps(value, ensure_ascii=False)
