"""Cases on pages: how many there are and how many are late, for everybody; one case for those whom it concerns.

Promises: of a case nobody learns anything, not even that there is one, but who opened it and who handles it; a deed
names the version that was read, so that of two officers the second is told and loses nothing typed; a form sent twice
does one thing; a no without reason and provision is not taken (``cases.moving``).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.cases import moving, queries
from lienthong.cases.evidence import MOST_BYTES, MOST_FILES, File, attach
from lienthong.cases.kinds import STATES, kind_on, shipped_kinds
from lienthong.cases.models import Case, Kind
from lienthong.cases.moving import FOUNDED, Deed
from lienthong.cases.notices.queries import case_seen
from lienthong.cases.opening import LONGEST_TEXT
from lienthong.cases.reading import case_for, is_handler, is_opener
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor
from lienthong.law.calendar import last_day
from lienthong.portal.forms import Form, read_form
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Name
from lienthong.portal.sheet import Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.storage.pool import Connection, Pool, reading
from lienthong.trust.seal import Seal
from lienthong.web import page_language

TITLE: Final = T("Cases and their time limits")
COLUMNS: Final = columns_of(
    ("kind", T("Kind of case")),
    ("owner", T("Member that must act"), "code"),
    ("running", T("Running"), "figure"),
    ("overdue", T("Overdue"), "figure"),
    ("escalated", T("Reported upwards"), "figure"),
    ("ended", T("Ended"), "figure"),
    ("legal_basis", T("Legal basis")),
)
ACTS: Final[Mapping[str, str]] = {
    "opened": T("opened"),
    "moved": T("state changed"),
    "answered": T("wrote"),
    "extended": T("time extended"),
    "paused": T("clock paused"),
    "resumed": T("clock goes on"),
    "escalated": T("reported upwards, because it is late"),
}
Act = Callable[[Connection, Deed, datetime], Awaitable[Case]]
VERBS: Final[Mapping[str, Act]] = {
    "answer": moving.answer,
    "extend": moving.extend,
    "pause": moving.pause,
    "resume": moving.resume,
}


def case_pages(pool: Pool, seal: Seal) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    async def sheet(request: Request) -> Sheet:
        del request
        async with reading(pool) as db:
            found = await queries.counts(db)
        kinds = {kind.name: kind for kind in shipped_kinds()}
        rows = [
            Row((_title(kinds[each.kind]), each.owner, each.running, each.overdue, each.escalated,
                 each.ended,                 kinds[each.kind].legal_basis))
            for each in found
        ]  # fmt: skip
        return Sheet("vu-viec", TITLE, COLUMNS, tuple(rows), datetime.now(UTC))

    def join(shell: Shell) -> Pages:
        lead = T(
            "Requests, disputes, corrections, breaches, feedback: each has somebody who must act and a legal time"
            " limit. How many are late is told to everybody; what a case says, only to those whom it concerns."
        )
        page = Listing("/cases", TITLE, lead, sheet, empty=T("No case was opened yet."))
        room = Room(shell, pool, seal)
        routes = (*listing(shell, page), *both("/cases/{case}", room.one, ("GET", "POST")))
        return Pages(routes, (Section("/cases", T("Cases")),))

    return join


class Room:
    """One case and what may be done to it."""

    def __init__(self, shell: Shell, pool: Pool, seal: Seal) -> None:
        self._shell = shell
        self._pool = pool
        self._seal = seal

    async def one(self, request: Request) -> Response:
        """The case with its history and the forms of those who may act.  Raises LoginNeeded, NoSuchCase."""
        actor, case_id = actor_of(request), str(request.path_params["case"])
        form, status = Form(), 200
        async with reading(self._pool) as db:
            await case_for(db, case_id, actor)  # before anything typed is read
        if request.method == "POST":
            form = await read_form(request, self._shell, most_file_bytes=MOST_BYTES)
            status = await self._acted(form, case_id, actor)
            if status == 303:
                return RedirectResponse(f"{prefix_of(request)}/cases/{case_id}", 303)
        async with reading(self._pool) as db:
            case = await case_for(db, case_id, actor)
            events = await queries.events_of(db, case_id)
            evidence = await queries.evidence_of(db, case_id)
            if actor.person is not None:
                await case_seen(db, actor.person, case_id, datetime.now(UTC))
        kind = kind_on(case.kind, case.opened_on)
        handles = is_handler(case, actor)
        who = {person: _who(case, person) for person in {each.person for each in events}}
        return self._shell.page(
            request, "case.html", title=case.title, status=status, case=case, kind=_title(kind), law=kind.legal_basis,
            events=events, who=who, states=STATES, acts=ACTS, form=form, handles=handles,
            steps=_steps(case, kind, actor),
            extends=bool(kind.extension) and not case.extended and handles, pauses=kind.pauses and handles,
            overdue=case.overdue(datetime.now(UTC)), founded=sorted(FOUNDED), most=LONGEST_TEXT,
            due=last_day(case.due) if case.due else None,
            answer_due=last_day(case.answer_due) if case.answer_due and not case.answered_at else None,
            evidence=evidence, most_files=MOST_FILES, most_mb=MOST_BYTES // 1024**2,
            back=translate(TITLE, page_language(request)),
        )  # fmt: skip

    async def _acted(self, form: Form, case_id: str, actor: Actor) -> int:
        """Do what the form asks; 303 when it is done, else the status of the page that says why not."""
        version = form.whole("version", least=1, most=1_000_000)
        verb, target = form.choice("verb", (*VERBS, "move")), form.said("target")
        if not form.good or version is None:
            return 422
        deed = Deed(case_id, version, actor, form.said("text"), form.said("reason"), form.said("provision"))
        try:
            async with reading(self._pool) as db:
                now = datetime.now(UTC)
                done = await (moving.move(db, deed, target, now) if verb == "move" else VERBS[verb](db, deed, now))
                files = [File(each.name, each.content) for each in form.files("files")]
                await attach(db, done.id, done.version, files, self._seal, now)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            return refused.status
        return 303


def _title(kind: Kind) -> Name:
    return Name(kind.title_vi, kind.title_en)


def _steps(case: Case, kind: Kind, actor: Actor) -> list[str]:
    """The states this person may move the case to."""
    if case.paused_at is not None or case.ended_at is not None:
        return []
    allowed = {"opener": is_opener(case, actor), "handler": is_handler(case, actor)}
    return [step.target for step in kind.flow.moves if step.source == case.state and allowed[step.by]]


def _who(case: Case, person: str | None) -> str:
    """Who did something, by role: names stay out of the thread."""
    if person is not None and person == case.opener:
        return T("who opened it")
    return T("by command, or nobody signed in") if person is None else T("who handles it")
