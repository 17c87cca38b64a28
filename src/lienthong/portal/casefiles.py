"""Opening a case on a page, with evidence; and evidence given back as a download, never shown in the page's place.

Promises: each person is offered only the kinds they may open; a form sent twice opens one case; what was typed comes
back when it is not taken; a file goes only to those whom the case concerns, as an attachment that no browser opens.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from hashlib import sha256
from typing import Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.cases import queries
from lienthong.cases.evidence import MOST_BYTES, MOST_FILES, File, attach, opened_evidence
from lienthong.cases.kinds import kind_on, shipped_kinds
from lienthong.cases.models import Case, Kind
from lienthong.cases.opening import LONGEST_TEXT, LONGEST_TITLE, Wish, may_open, open_case
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed, require
from lienthong.law.calendar import ZONE
from lienthong.law.text import fold
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.storage.pool import Pool, reading
from lienthong.trust.seal import Seal
from lienthong.web import page_language

TITLE: Final = T("Open a case")
PATH: Final = "/cases/open"
Members = Callable[[], Mapping[str, Name]]
"""The members that can be asked: id to name."""
MATTERS: Final = {
    "view": T("See the data about me"),
    "edit": T("Have the data about me changed"),
    "obtain": T("Get the data about me"),
    "delete": T("Have the data about me deleted"),
    "restrict": T("Have its use restricted"),
    "object": T("Object to its use"),
    "withdraw": T("Withdraw my consent"),
}
HINTS: Final = {
    "access-request": T("Which data, from whom, for which task of your agency?"),
    "dispute": T("Another member decides about the refusal of a case of yours."),
    "rights-request": T("See, get, change or delete what an agency holds about you, or object to a use."),
    "correction": T("A record says something that is wrong."),
    "quality-ticket": T("A dataset has a fault: codes, gaps, duplicates."),
    "open-data-request": T("Which dataset should be open to everybody, and what for?"),
    "feedback": T("What is wrong or missing, what could be better?"),
    "proposal": T("What should the data space do differently?"),
    "bottleneck": T("What holds the sharing of data up, and whom?"),
    "field-report": T("What do you see in your commune or department?"),
    "breach": T("Personal data was seen, lost or changed by somebody who may not. 72 hours run from now."),
}


def opening_pages(pool: Pool, seal: Seal, members: Members) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal; stands before the page of one case."""

    def join(shell: Shell) -> Pages:
        desk = Desk(shell, pool, seal, members)
        routes = (
            *both(PATH, desk.kinds),
            *both(f"{PATH}/{{kind}}", desk.write, ("GET", "POST")),
            *both("/cases/{case}/files/{evidence}", desk.file),
        )
        return Pages(routes, (Section(PATH, TITLE, right=Right.OPEN_CASES, group="own"),))

    return join


class Desk:
    """The handlers."""

    def __init__(self, shell: Shell, pool: Pool, seal: Seal, members: Members) -> None:
        self._shell = shell
        self._pool = pool
        self._seal = seal
        self._members = members

    async def kinds(self, request: Request) -> Response:
        """The kinds that the person may open."""
        actor = require(actor_of(request), Right.OPEN_CASES)
        day = datetime.now(UTC).astimezone(ZONE).date()
        offered = [kind for kind in shipped_kinds() if may_open(kind, actor) and kind.valid_from <= day]
        lines = [(kind, Name(kind.title_vi, kind.title_en), HINTS.get(kind.name, "")) for kind in offered]
        return self._page(request, "open_case.html", translate(TITLE, page_language(request)), 200, kinds=lines)

    async def write(self, request: Request) -> Response:
        """The form of one kind.  Raises LoginNeeded, NotAllowed."""
        actor = require(actor_of(request), Right.OPEN_CASES)
        kind = _kind(str(request.path_params["kind"]), actor)
        form, status = Form(), 200
        refused = await self._refused(actor) if kind.name == "dispute" else {}
        if request.method == "POST":
            form = await read_form(request, self._shell, most_file_bytes=MOST_BYTES)
            wish = self._wish(form, kind, refused)
            opened, status = await self._opened(form, wish, actor) if form.good else (None, 422)
            if opened is not None:
                return RedirectResponse(f"{prefix_of(request)}/cases/{opened.id}", 303)
        language = page_language(request)
        return self._page(
            request, "open_one.html", Name(kind.title_vi, kind.title_en).say(language), status,
            form=form, kind=kind, hint=HINTS.get(kind.name, ""), members=self._members(),
            matters=[(matter, translate(MATTERS[matter], language)) for matter in kind.matters],
            refused=[(case.id, case.title) for case in refused.values()], most_files=MOST_FILES,
            most_mb=MOST_BYTES // 1024**2, longest=LONGEST_TITLE, back=translate(TITLE, language),
            own=actor.member if kind.name == "breach" else "",
        )  # fmt: skip

    async def file(self, request: Request) -> Response:
        """One file, as an attachment.  Raises LoginNeeded, NoSuchCase, NoSuchEvidence."""
        case, named = str(request.path_params["case"]), str(request.path_params["evidence"])
        async with reading(self._pool) as db:
            kept, content = await opened_evidence(db, case, named, actor_of(request), self._seal)
        headers = {
            "Content-Disposition": f"attachment; filename*=UTF-8''{quote(kept.name, safe='')}",
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "no-store",
        }
        return Response(content, 200, headers, kept.media_type)

    def _wish(self, form: Form, kind: Kind, refused: Mapping[str, Case]) -> Wish:
        """What was typed; what is wrong with it is noted in the form."""
        title = form.text("title", most=LONGEST_TITLE)
        text = form.lines("text", most=LONGEST_TEXT)
        matter = form.choice("matter", kind.matters) if kind.matters else ""
        about = form.choice("about", refused) if kind.name == "dispute" else None
        return Wish(kind.name, self._owner(form), title, text, matter, about)

    def _owner(self, form: Form) -> str:
        """The member that was named, by its id or its name however it is spelt."""
        typed, members = form.text("owner", most=300), self._members()
        if not typed or typed in members:
            return typed
        told = fold(typed)
        found = [each for each, name in members.items() if told in (fold(each), fold(name.vi), fold(name.en))]
        if len(found) != 1:
            form.fault("owner", T("No agency, or more than one, is called so: choose one from the list."))
            return ""
        return found[0]

    async def _opened(self, form: Form, wish: Wish, actor: Actor) -> tuple[Case | None, int]:
        once = sha256(b"open\x00" + form.key.encode()).hexdigest() if form.key else None
        files = [File(each.name, each.content) for each in form.files("files")]
        now = datetime.now(UTC)
        try:
            async with reading(self._pool) as db:
                case = await open_case(db, wish, by=actor, now=now, once=once)
                if not await queries.evidence_of(db, case.id):  # sent twice, it was opened with its files
                    await attach(db, case.id, 1, files, self._seal, now)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            return None, refused.status
        return case, 303

    async def _refused(self, actor: Actor) -> dict[str, Case]:
        """The person's own cases that were refused."""
        async with reading(self._pool) as db:
            found: Sequence[Case] = await queries.cases_of_opener(db, str(actor.person), most=100)
        return {case.id: case for case in found if case.state == "refused"}

    def _page(self, request: Request, template: str, title: str, status: int, **facts: object) -> Response:
        return self._shell.page(request, template, title=title, status=status, **facts)


def _kind(name: str, actor: Actor) -> Kind:
    """The kind, for somebody who may open one; of others it is not said whether they are."""
    day = datetime.now(UTC).astimezone(ZONE).date()
    for kind in shipped_kinds():
        if kind.name == name and kind.valid_from <= day and may_open(kind, actor):
            return kind_on(name, day)
    raise NotAllowed(T("Cases of this kind are not opened by you."), mend=T("See which ones you may open."))
