"""Publishing without programming: where the data lies, what it holds, what others will see; then it is a service.

A draft lives in this process for half an hour and belongs to one session: a password typed in the first step is in no
page, address or log, and in the database only once the service is published.  Promises: a PostgreSQL table takes at
most eight inputs; the preview shows what a caller would get and hides every field that is about a person.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import ClassVar, Final, Protocol, cast
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.catalog.models import Service, Sharing
from lienthong.catalog.publish import Found, PublishRequest, describe, subjects_from
from lienthong.directory.models import DatasetId, SystemId, read_service_id
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.models import ANONYMOUS, Actor, Right
from lienthong.identity.rights import require
from lienthong.law.text import fold
from lienthong.portal.forms import Form, Upload, read_form
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.tables.models import Page as Rows
from lienthong.tables.models import View
from lienthong.web import page_language

PATH: Final = "/work/publish"
TITLE: Final = T("Publish data")
KEPT_FOR: Final = timedelta(minutes=30)
MOST_DRAFTS: Final = 200
MOST_FILE_BYTES: Final = 900_000
"""What the public listener takes with room for the rest of the form; larger files are published by command."""
PREVIEW_ROWS: Final = 5
SHARINGS: Final[tuple[tuple[Sharing, str], ...]] = (
    ("shared", T("Shared: other agencies use it under an agreement")),
    ("open", T("Open: everybody may use it, without agreement")),
    ("private", T("Private: described, but given to nobody yet")),
)
STEPS: Final = (T("Where it lies"), T("What it is"), T("What others will see"), T("Published"))
_PLACE: Final = re.compile(
    r"[A-Za-z0-9_.:\-\[\]]{0,250}/[^\s/?#]{1,63}(?:\?(?:(?:host|port|sslmode)=[A-Za-z0-9_./%-]{1,200}&?)+)?"
)
"""Server and database; of libpq's options only those that say where (a socket's folder) and whether by TLS."""
_TABLE: Final = re.compile(r"(?:[^\s.#?]{1,63}\.)?[^\s.#?]{1,63}")
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


class DraftGone(Problem):
    """The draft was published, is older than half an hour, or belongs to somebody else."""

    kind: ClassVar[str] = "draft-gone"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This draft is gone")


class PublishDesk(Protocol):
    """What the node does for the wizard."""

    async def look(self, source: str) -> Found:
        """What lies at ``source`` (``catalog.publish.find``).  Raises SourceNotFound, FileNotReadable."""
        ...

    async def keep_file(self, upload: Upload) -> str:
        """Put an uploaded file where the node reads it from; its path."""
        ...

    def systems(self, member: str) -> Sequence[SystemId]:
        """The systems of ``member`` that the directory lists."""
        ...

    async def preview(self, service: Service, view: View, most: int) -> Rows:
        """The first rows of a service that is not published yet.  Raises what a call of it would."""
        ...

    async def publish(self, request: PublishRequest, actor: Actor) -> Service:
        """Publish, and put the act down.  Raises what ``catalog.publish`` does."""
        ...

    async def services(self, member: str) -> Sequence[Service]:
        """What ``member`` has published here."""
        ...


@dataclass(frozen=True, slots=True)
class Draft:
    """One publication under way."""

    id: str
    session: str
    source: str
    found: Found
    ends: datetime
    request: PublishRequest | None = None


class Drafts:
    """The drafts of this process; the oldest go first when there are too many."""

    def __init__(self) -> None:
        self._kept: dict[str, Draft] = {}

    def begin(self, actor: Actor, source: str, found: Found) -> Draft:
        """A new draft of the actor's session."""
        now = datetime.now(UTC)
        self._kept = {name: each for name, each in self._kept.items() if each.ends > now}
        while len(self._kept) >= MOST_DRAFTS:
            del self._kept[next(iter(self._kept))]
        draft = Draft(secrets.token_urlsafe(16), actor.session or "", source, found, now + KEPT_FOR)
        self._kept[draft.id] = draft
        return draft

    def of(self, name: str, actor: Actor) -> Draft:
        """The draft if it is the actor's own.  Raises DraftGone."""
        draft = self._kept.get(name)
        if draft is None or draft.session != actor.session or draft.ends <= datetime.now(UTC):
            raise DraftGone(
                T("There is no such draft of yours; drafts are kept for half an hour."),
                mend=T("Begin again; nothing was published."),
            )
        return draft

    def keep(self, draft: Draft) -> None:
        """Put ``draft`` in the place of what it was."""
        self._kept[draft.id] = draft

    def drop(self, draft: Draft) -> None:
        """It was published."""
        self._kept.pop(draft.id, None)


def publishing_pages(desk: PublishDesk) -> Callable[[Shell], Pages]:
    """The page module of the wizard."""

    def join(shell: Shell) -> Pages:
        wizard = Wizard(shell, desk)
        routes = (
            *both(PATH, wizard.source, ("GET", "POST")),
            *both(PATH + "/{draft}", wizard.draft, ("GET", "POST")),
            *both("/work/services", wizard.services),
        )
        sections = (
            Section("/work/services", T("Our services"), Right.PUBLISH, "work"),
            Section(PATH, TITLE, Right.PUBLISH, "work"),
        )
        return Pages(routes, sections)

    return join


class Wizard:
    """The handlers."""

    def __init__(self, shell: Shell, desk: PublishDesk) -> None:
        self._shell = shell
        self._desk = desk
        self._drafts = Drafts()

    async def source(self, request: Request) -> Response:
        """Step one: where the data lies."""
        actor = _officer(request)
        form = Form()
        if request.method == "POST":
            form = await read_form(request, self._shell, most_file_bytes=MOST_FILE_BYTES)
            source = await self._source(form)
            if form.good:
                found = await self._found(form, source)
                if found is not None:
                    draft = self._drafts.begin(actor, source, found)
                    return RedirectResponse(_address(request, draft), 303)
        return self._page(request, "publish_source.html", 1, form=form, status=422 if form.wrong else 200)

    async def draft(self, request: Request) -> Response:
        """Steps two and three: what it is, and what others will see of it."""
        actor = _officer(request)
        draft = self._drafts.of(str(request.path_params["draft"]), actor)
        form = Form()
        if request.method == "POST":
            form = await read_form(request, self._shell)
            deed = form.choice("deed", ("describe", "back", "publish"))
            if form.good and deed == "publish" and draft.request is not None:
                return await self._publish(request, draft, draft.request, actor)
            if form.good and deed == "back":
                draft = replace(draft, request=None)
                self._drafts.keep(draft)
                return RedirectResponse(_address(request, draft), 303)
            wanted = self._described(form, draft, str(actor.member))
            if form.good and wanted is not None:
                self._drafts.keep(replace(draft, request=wanted))
                return RedirectResponse(_address(request, draft), 303)
        if draft.request is not None and not form.wrong:
            return await self._preview(request, draft, draft.request)
        return self._page(
            request,
            "publish_describe.html",
            2,
            status=422 if form.wrong else 200,
            form=form,
            draft=draft,
            suspects=looks_personal(draft.found),
            system_options=[(str(system), str(system)) for system in self._desk.systems(str(actor.member))],
            sharing_options=[(value, translate(word, page_language(request))) for value, word in SHARINGS],
            name=suggested_name(draft.source),
        )

    async def services(self, request: Request) -> Response:
        """What the member has published."""
        actor = _officer(request)
        found = await self._desk.services(str(actor.member))
        title = translate(T("Our services"), page_language(request))
        fresh = request.query_params.get("new", "")
        return self._shell.page(
            request, "own_services.html", title=title, services=found, fresh=fresh, words_of_sharing=dict(SHARINGS)
        )

    async def _publish(self, request: Request, draft: Draft, wanted: PublishRequest, actor: Actor) -> Response:
        service = await self._desk.publish(wanted, actor)
        self._drafts.drop(draft)
        return RedirectResponse(f"{prefix_of(request)}/work/services?new={quote(service.id)}", 303)

    async def _preview(self, request: Request, draft: Draft, wanted: PublishRequest) -> Response:
        service = describe(wanted, draft.found)
        failed: Problem | None = None
        rows: tuple[Mapping[str, object], ...] = ()
        hidden = {field.name for field in service.fields if field.personal} | set(looks_personal(draft.found))
        try:
            rows = (await self._desk.preview(*as_previewed(service, hidden), PREVIEW_ROWS)).rows
        except Problem as problem:
            failed = problem
        return self._page(
            request, "publish_preview.html", 3, draft=draft, service=service, rows=rows, failed=failed, hidden=hidden,
            sharing_word=dict(SHARINGS)[service.sharing],
        )  # fmt: skip

    async def _source(self, form: Form) -> str:
        """The source in the words of ``catalog.publish``; "" when something is wrong."""
        if form.choice("kind", ("postgresql", "file")) == "file":
            files = form.files("file")
            if not files:
                form.fault("file", T("Please choose a file."))
                return ""
            try:
                return await self._desk.keep_file(files[0]) if form.good else ""
            except Problem as problem:
                form.fault("file", problem.message, **problem.facts)
                return ""
        place = form.text("place", most=320, shape=_PLACE)
        account = form.text("account", most=63)
        table = form.text("table", most=130, shape=_TABLE)
        password = form.said("password")
        entry = quote(account, safe="") + (f":{quote(password, safe='')}" if password else "")
        return f"postgresql://{entry}@{place}#{table}"

    async def _found(self, form: Form, source: str) -> Found | None:
        try:
            found = await self._desk.look(source)
        except Problem as problem:
            form.fault("", problem.message, **problem.facts)
            if problem.mend:
                form.fault("place" if "://" in source else "file", problem.mend, **problem.facts)
            return None
        if not found.fields:
            form.fault("", T("Nothing that can be published was found."))
            return None
        return found

    def _described(self, form: Form, draft: Draft, member: str) -> PublishRequest | None:
        title = form.text("title", most=250)
        systems = [str(system) for system in self._desk.systems(member)]
        system = form.choice("system", systems)
        name = form.text("name", most=63, shape=_NAME)
        sharing = form.choice("sharing", [each for each, _ in SHARINGS])
        columns = [field.name for field in draft.found.fields]
        person = form.choice("person", ["-", *columns])
        if sharing == "open" and person not in ("", "-"):
            form.fault("sharing", T("Data about persons can not be open data."))
        if person == "-" and looks_personal(draft.found) and not form.ticked("sure"):
            form.fault(
                "person",
                T("Some columns look as if they were about persons. Name the column, or say that they are not."),
            )
        if not form.good:
            return None
        identifier = read_service_id(f"{system}/{name}")
        wanted = PublishRequest(
            service=identifier,
            source=draft.source,
            title_vi=title,
            sharing=cast("Sharing", sharing),
            personal=person != "-",
            subjects=() if person == "-" else subjects_from(person),
            dataset=DatasetId("{}/ds/{}".format(*identifier.rsplit("/", 1))),
        )
        try:
            describe(wanted, draft.found)
        except Problem as problem:
            form.fault("", problem.message, **problem.facts)
            return None
        return wanted

    def _page(self, request: Request, template: str, step: int, *, status: int = 200, **facts: object) -> Response:
        language = page_language(request)
        words = [translate(word, language) for word in STEPS]
        title = translate(TITLE, language)
        return self._shell.page(request, template, title=title, status=status, step=step, steps=words, **facts)


def as_previewed(service: Service, hidden: Collection[str]) -> tuple[Service, View]:
    """The service as the preview reads it: without asking for a person, every field about one hidden."""
    view = View(masks=dict.fromkeys(sorted(hidden), "null"), limit=PREVIEW_ROWS)
    return replace(service, required_lookup=False, personal=False, subjects=()), view


def looks_personal(found: Found) -> tuple[str, ...]:
    """The columns whose names sound as if they were about persons."""
    return tuple(field.name for field in found.fields if field.personal)


def suggested_name(source: str) -> str:
    """A service's name made of the table's or file's: without diacritics, small letters."""
    last = source.rsplit("#", 1)[-1].rsplit(".", 1)[-1] if "#" in source else source.rsplit("/", 1)[-1].split(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", fold(last)).strip("-")[:63] or "dulieu"


def _officer(request: Request) -> Actor:
    actor: Actor = getattr(request.state, "actor", ANONYMOUS)
    return require(actor, Right.PUBLISH, actor.member)


def _address(request: Request, draft: Draft) -> str:
    return f"{prefix_of(request)}{PATH}/{draft.id}"
