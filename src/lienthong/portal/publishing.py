"""Publishing without programming: where the data lies, what it holds, what others will see; then it is a service.

Promises: a PostgreSQL table takes at most eight inputs; the preview shows what a caller would get and hides every field
that is about a person; what somebody else published meanwhile is not written over.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, cast
from urllib.parse import quote

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.catalog.models import Service, Sharing, Subject
from lienthong.catalog.publish import Found, PublishRequest, ServiceChanged, describe, subjects_from
from lienthong.directory.models import DatasetId, ServiceId, SystemId, read_service_id
from lienthong.errors import Problem
from lienthong.exchange.project import NotJson, limited
from lienthong.i18n import T, translate
from lienthong.identity.models import ANONYMOUS, Actor, Right
from lienthong.identity.rights import require
from lienthong.law.text import fold
from lienthong.portal.drafts import Draft, Drafts, Sample
from lienthong.portal.forms import Form, read_form
from lienthong.portal.publishsource import SourceDesk, read_source
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.tables.models import Page as Rows
from lienthong.tables.models import View
from lienthong.web import page_language

PATH: Final = "/work/publish"
TITLE: Final = T("Publish data")
MOST_FILE_BYTES: Final = 900_000
"""What the public listener takes with room for the rest of the form; larger files are published by command."""
PREVIEW_ROWS: Final = 5
PREVIEW_LETTERS: Final = 6_000
SHARINGS: Final[tuple[tuple[Sharing, str], ...]] = (
    ("shared", T("Shared: other agencies use it under an agreement")),
    ("open", T("Open: everybody may use it, without agreement")),
    ("private", T("Private: described, but given to nobody yet")),
)
STEPS: Final = (T("Where it lies"), T("What it is"), T("What others will see"), T("Published"))
_NAME: Final = re.compile(r"[a-z0-9][a-z0-9_-]{0,62}")


@dataclass(frozen=True, slots=True)
class Tried:
    """What a back end answered to the example."""

    status: int
    media_type: str
    body: bytes


class PublishDesk(SourceDesk, Protocol):
    """What the node does for the wizard."""

    def systems(self, member: str) -> Sequence[SystemId]:
        """The systems of ``member`` that the directory lists."""
        ...

    async def preview(self, service: Service, view: View, most: int) -> Rows:
        """The first rows of a service that is not published yet.  Raises what a call of it would."""
        ...

    async def call(self, service: Service, sample: Sample) -> Tried:
        """Call the back end of a service that is not published yet, as a caller would.  Raises what a call may."""
        ...

    async def version_of(self, service: ServiceId) -> int:
        """The version that stands here now; 0 for none."""
        ...

    async def publish(self, request: PublishRequest, actor: Actor) -> Service:
        """Publish, and put the act down.  Raises what ``catalog.publish`` does."""
        ...

    async def services(self, member: str) -> Sequence[Service]:
        """What ``member`` has published here."""
        ...


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
            looked = await read_source(form, self._desk)
            if looked is not None:
                draft = self._drafts.begin(actor, looked.source, looked.found, looked.sample)
                return RedirectResponse(_address(request, draft), 303)
        status = 422 if form.wrong else 200
        return self._page(request, "publish_source.html", 1, form=form, status=status)

    async def draft(self, request: Request) -> Response:
        """Steps two and three: what it is, and what others will see of it."""
        actor = _officer(request)
        name = str(request.path_params["draft"])
        if request.method != "POST":
            draft = self._drafts.of(name, actor)
            if draft.request is not None:
                return await self._preview(request, draft, draft.request, Form())
            return self._describing(request, draft, Form(), actor)
        form = await read_form(request, self._shell)
        async with self._drafts.publishing(name):
            if (done := self._drafts.done(name, actor)) is not None:
                return _published(request, done)
            draft = self._drafts.of(name, actor)
            deed = form.choice("deed", ("describe", "back", "publish"))
            if deed == "publish" and draft.request is not None:
                return await self._publish(request, draft, draft.request, actor, form)
        if form.good and deed == "back":
            self._drafts.keep(replace(draft, request=None, typed=draft.request))
            return RedirectResponse(_address(request, draft), 303)
        wanted = await described(form, draft, str(actor.member), self._desk)
        if wanted is None:
            return self._describing(request, draft, form, actor)
        self._drafts.keep(replace(draft, request=wanted))
        return RedirectResponse(_address(request, draft), 303)

    async def services(self, request: Request) -> Response:
        """What the member has published."""
        actor = _officer(request)
        found = await self._desk.services(str(actor.member))
        title = translate(T("Our services"), page_language(request))
        fresh = request.query_params.get("new", "")
        return self._shell.page(
            request, "own_services.html", title=title, services=found, fresh=fresh, words_of_sharing=dict(SHARINGS)
        )

    async def _publish(
        self, request: Request, draft: Draft, wanted: PublishRequest, actor: Actor, form: Form
    ) -> Response:
        if not form.good:
            return await self._preview(request, draft, wanted, form)
        try:
            service = await self._desk.publish(wanted, actor)
        except ServiceChanged as changed:
            draft = replace(draft, request=None, typed=wanted)
            self._drafts.keep(draft)
            again = typed_again(wanted)
            again.fault("name", changed.message, **changed.facts)
            return self._describing(request, draft, again, actor, status=changed.status)
        self._drafts.finish(draft, service.id)
        return _published(request, service.id)

    def _describing(
        self, request: Request, draft: Draft, form: Form, actor: Actor, *, status: int | None = None
    ) -> Response:
        if not form.values and draft.typed is not None:
            form = typed_again(draft.typed)
        systems = [(str(system), str(system)) for system in self._desk.systems(str(actor.member))]
        language = page_language(request)
        return self._page(
            request, "publish_describe.html", 2, status=status or (422 if form.wrong else 200), form=form, draft=draft,
            suspects=looks_personal(draft.found), system_options=systems,
            sharing_options=[(value, translate(word, language)) for value, word in SHARINGS],
            name=suggested_name(draft.source),
        )  # fmt: skip

    async def _preview(self, request: Request, draft: Draft, wanted: PublishRequest, form: Form) -> Response:
        service = describe(wanted, draft.found)
        failed: Problem | None = None
        rows: tuple[Mapping[str, object], ...] = ()
        tried, shown = None, None
        hidden = {field.name for field in service.fields if field.personal} | set(looks_personal(draft.found))
        try:
            if draft.sample is not None:
                tried = await self._desk.call(service, draft.sample)
                shown = as_answered(service, tried.body, hidden)
            else:
                rows = (await self._desk.preview(*as_previewed(service, hidden), PREVIEW_ROWS)).rows
        except Problem as problem:
            failed = problem
        return self._page(
            request, "publish_preview.html", 3, status=422 if form.wrong else 200, form=form, draft=draft,
            service=service, rows=rows, failed=failed, hidden=hidden, tried=tried, shown=shown,
            sharing_word=dict(SHARINGS)[service.sharing],
        )  # fmt: skip

    def _page(self, request: Request, template: str, step: int, *, status: int = 200, **facts: object) -> Response:
        language = page_language(request)
        words = [translate(word, language) for word in STEPS]
        title = translate(TITLE, language)
        return self._shell.page(request, template, title=title, status=status, step=step, steps=words, **facts)


async def described(form: Form, draft: Draft, member: str, desk: PublishDesk) -> PublishRequest | None:
    """What step two describes; None when something is wrong, which the form says then."""
    title = form.text("title", most=250)
    system = form.choice("system", [str(system) for system in desk.systems(member)])
    name = form.text("name", most=63, shape=_NAME)
    sharing = form.choice("sharing", [each for each, _ in SHARINGS])
    person = form.choice("person", ["-", *(field.name for field in draft.found.fields)])
    _check_persons(form, draft.found, sharing, person)
    if not form.good:
        return None
    identifier = read_service_id(f"{system}/{name}")
    standing = await desk.version_of(identifier)
    if standing and not form.ticked("replace"):
        form.fault(
            "name", T("There is a service of this name already. Choose another one, or tick that it is replaced.")
        )
        return None
    by_http = draft.sample is not None
    wanted = PublishRequest(
        service=identifier,
        source=draft.source,
        title_vi=title,
        sharing=cast("Sharing", sharing),
        personal=person != "-",
        subjects=_subjects(person, by_http=by_http),
        dataset=DatasetId("{}/ds/{}".format(*identifier.rsplit("/", 1))),
        endpoints=draft.sample.endpoints if draft.sample else (),
        http_fields=draft.found.fields if by_http else (),
        guarded=by_http,
        instead_of=standing,
    )
    try:
        describe(wanted, draft.found)
    except Problem as problem:
        form.fault("", problem.message, **problem.facts)
        return None
    return wanted


def _check_persons(form: Form, found: Found, sharing: str, person: str) -> None:
    if sharing == "open" and person not in ("", "-"):
        form.fault("sharing", T("Data about persons can not be open data."))
    if person != "-" or form.ticked("sure"):
        return
    if looks_personal(found):
        form.fault(
            "person",
            T("Some columns look as if they were about persons. Name the column, or say that they are not."),
        )
    elif not found.fields:
        form.fault(
            "person", T("The answers are not JSON, so nobody can look into them. Say that they are not about persons.")
        )


def _subjects(person: str, *, by_http: bool) -> tuple[Subject, ...]:
    if person == "-":
        return ()
    return (Subject("response", person, "personal_number"),) if by_http else subjects_from(person)


def typed_again(wanted: PublishRequest) -> Form:
    """The form of step two as it was filled in for ``wanted``."""
    system, _, name = wanted.service.rpartition("/")
    said = {
        "title": wanted.title_vi, "system": system, "name": name, "sharing": wanted.sharing,
        "person": wanted.subjects[0].select if wanted.subjects else "-",
    }  # fmt: skip
    return Form({field: (value,) for field, value in said.items()})


def as_answered(service: Service, body: bytes, hidden: Collection[str]) -> str | None:
    """An answer in JSON as the preview shows it: published fields alone, those about a person hidden; None: no JSON."""
    names = tuple(field.name for field in service.fields)
    if not names:
        return None
    try:
        kept = limited(service, View(fields=names, masks=dict.fromkeys(sorted(set(hidden) & set(names)), "null")), body)
    except NotJson:
        return None
    told = orjson.dumps(orjson.loads(kept), option=orjson.OPT_INDENT_2).decode()
    return told if len(told) <= PREVIEW_LETTERS else told[:PREVIEW_LETTERS] + "\n…"


def as_previewed(service: Service, hidden: Collection[str]) -> tuple[Service, View]:
    """The service as the preview reads it: without asking for a person, every field about one hidden."""
    view = View(masks=dict.fromkeys(sorted(hidden), "null"), limit=PREVIEW_ROWS)
    return replace(service, required_lookup=False, personal=False, subjects=()), view


def looks_personal(found: Found) -> tuple[str, ...]:
    """The columns whose names sound as if they were about persons."""
    return tuple(field.name for field in found.fields if field.personal)


def suggested_name(source: str) -> str:
    """A service's name made of the table's, file's or address's last part: without diacritics, small letters."""
    if "#" in source:
        last = source.rsplit("#", 1)[-1].rsplit(".", 1)[-1]
    else:
        last = source.rstrip("/").rsplit("/", 1)[-1].split(".")[0]
    return re.sub(r"[^a-z0-9]+", "-", fold(last)).strip("-")[:63] or "dulieu"


def _officer(request: Request) -> Actor:
    actor: Actor = getattr(request.state, "actor", ANONYMOUS)
    return require(actor, Right.PUBLISH, actor.member)


def _address(request: Request, draft: Draft) -> str:
    return f"{prefix_of(request)}{PATH}/{draft.id}"


def _published(request: Request, service: str) -> Response:
    return RedirectResponse(f"{prefix_of(request)}/work/services?new={quote(service)}", 303)
