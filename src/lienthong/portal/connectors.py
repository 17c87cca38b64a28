"""The sources behind the member's services: databases, files, back ends, what is published from each, how it works.

Promises: an address is shown without password, query and fragment; what failed is shown with what to do; a trial looks
and changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from pathlib import PurePath
from types import MappingProxyType
from typing import Any, ClassVar, Final, Literal, Protocol
from urllib.parse import parse_qs, unquote, urlsplit

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.catalog.models import HttpSource, Source, TableSource
from lienthong.errors import Problem, Side
from lienthong.i18n import Language, T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may, require
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.findings import Finding
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.noderooms import CONNECTORS, rooms_for
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.web import answer_language, page_language

PATH: Final = CONNECTORS.path
TITLE: Final = CONNECTORS.title
Kind = Literal["postgres", "file", "http"]
KINDS: Final[Mapping[str, str]] = MappingProxyType(
    {"postgres": T("PostgreSQL database"), "file": T("File"), "http": T("Service by HTTP")}
)


class ConnectorUnknown(Problem):
    """The member publishes no service with this id on this node."""

    kind: ClassVar[str] = "connector-unknown"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such connector")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a source lies, without anything that lets one in."""

    kind: Kind
    address: str
    """Server and database, folder and file, or scheme, host and path."""
    account: str = ""
    part: str = ""
    """What is read there: a table."""


@dataclass(frozen=True, slots=True)
class Connector:
    """One published service and its source."""

    service: str
    title: Name
    place: Place
    tried_at: datetime | None = None
    """The last trial; None: not tried yet."""
    trouble: Finding | None = None
    """What was wrong then; None: nothing."""


class ConnectorDesk(Protocol):
    """What the node does for this page."""

    async def connectors(self, member: str) -> Sequence[Connector]:
        """Every service of ``member`` with its source and last trial."""
        ...

    async def attempt(self, member: str, service: str) -> Connector:
        """Try the source of one service now.  Raises ConnectorUnknown."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """Which source is tried."""

    service: str = about("Id of the service whose source is tried, as GET /v1/own/connectors lists it.", most=300)


def place_of(source: Source) -> Place:
    """``source`` as people may see it."""
    if isinstance(source, HttpSource):
        parts = urlsplit(source.url)
        port = f":{parts.port}" if parts.port else ""
        return Place("http", f"{parts.scheme}://{parts.hostname or '-'}{port}{parts.path}")
    return Place("file", str(PurePath(source.path))) if source.kind != "postgres" else _database(source)


def connector_deeds(desk: ConnectorDesk) -> tuple[Deed[Any], ...]:
    """Try one."""

    async def attempt(actor: Actor, wish: Trial) -> Facts:
        require(actor, Right.SEE_HEALTH, actor.member)
        tried = await desk.attempt(str(actor.member), wish.service)
        told = _told(tried, "en")
        return {name: told[name] for name in ("service", "tried_at", "fault", "cause", "mend")}

    return (
        Deed("connectors/try", T("Try the source of a service now"), Trial, attempt, Right.SEE_HEALTH,
             problems=(ConnectorUnknown,), forms=(PATH,),
             gives={"service": "Its id.", "tried_at": "When it was tried.", "fault": "A word for what is wrong.",
                    "cause": "What is wrong, in words.", "mend": "What to do."}),
    )  # fmt: skip


def connector_reads(desk: ConnectorDesk) -> list[BaseRoute]:
    """``GET /v1/own/connectors``."""

    async def told(request: Request) -> Response:
        actor, language = require(actor_of(request), Right.SEE_HEALTH), answer_language(request)
        found = [_told(each, language) for each in await desk.connectors(str(actor.member))]
        return JSONResponse({"connectors": found}, headers={"Cache-Control": "no-store"})

    return [Route("/v1/own/connectors", told, methods=["GET"])]


def connector_pages(desk: ConnectorDesk) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = require(actor_of(request), Right.SEE_HEALTH)
            form, member = Form(), str(actor.member)
            if request.method == "POST":
                form = await read_form(request, shell)
                service = form.text("service", most=300)
                if form.good and await _tried(form, desk, member, service):
                    return RedirectResponse(f"{prefix_of(request)}{PATH}#{anchor(service)}", 303)
            found = await desk.connectors(member)
            return shell.page(
                request, "connectors.html", title=translate(TITLE, page_language(request)), form=form, kinds=KINDS,
                status=422 if form.wrong else 200, groups=_by_place(found), anchor=anchor,
                publishes=may(actor, Right.PUBLISH), rooms=rooms_for(actor),
                failing=sum(each.trouble is not None for each in found),
            )  # fmt: skip

        return Pages(both(PATH, page, ("GET", "POST")))

    return join


def anchor(service: str) -> str:
    """Where a service stands on the page."""
    return "s-" + hashlib.sha256(service.encode()).hexdigest()[:12]


async def _tried(form: Form, desk: ConnectorDesk, member: str, service: str) -> bool:
    try:
        await desk.attempt(member, service)
    except Problem as problem:
        form.fault("", problem.message, **problem.facts)
        return False
    return True


def _by_place(found: Iterable[Connector]) -> list[tuple[Place, list[Connector]]]:
    """Sources with what is published from each; a database's tables stand together."""

    def key(each: Connector) -> tuple[str, str, str]:
        return (each.place.kind, each.place.address, each.place.account)

    groups = [list(group) for _, group in groupby(sorted(found, key=key), key=key)]
    groups.sort(key=lambda group: not any(each.trouble for each in group))  # what does not work comes first
    return [(group[0].place, sorted(group, key=lambda each: each.service)) for group in groups]


def _database(source: TableSource) -> Place:
    parts = urlsplit(source.dsn)
    told = {name: values[-1] for name, values in parse_qs(parts.query).items()}
    host = (told.get("host") or parts.hostname or "localhost").partition(",")[0]  # once for each of its addresses
    try:
        port = told.get("port") or parts.port
    except ValueError:
        port = None
    database = unquote(parts.path.lstrip("/"))
    address = f"{host}{f':{port}' if port else ''}/{database}"
    return Place("postgres", address, unquote(parts.username or ""), source.relation)


def _told(each: Connector, language: Language) -> dict[str, object]:
    fault = each.trouble
    return {
        "service": each.service,
        "kind": each.place.kind,
        "address": each.place.address,
        "account": each.place.account or None,
        "part": each.place.part or None,
        "tried_at": each.tried_at.isoformat() if each.tried_at else None,
        "fault": fault.name if fault else None,
        "cause": translate(fault.cause, language, **fault.facts) if fault else "",
        "mend": translate(fault.mend, language, **fault.facts) if fault else "",
    }
