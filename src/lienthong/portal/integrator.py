"""The integrator's pages: find a service, ask for access, get a token for a system, copy commands, read own calls.

Promises: what is asked for is checked like any agreement; a token is shown once and changes nothing until an operator
puts its hash into the settings; calls are shown without bodies and without persons, each refusal with what mends it.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import Any, Final, Protocol

import orjson
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.agreements.models import TermsRefused
from lienthong.directory.models import IdMalformed
from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import require
from lienthong.portal.commands import Use, commands
from lienthong.portal.deeds import BadInput, Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.shell import Pages, Section, Shell, both, prefix_of
from lienthong.web import answer_language, page_language

TITLE: Final = T("Connect a system")
PATH: Final = "/work/connect"
ASK: Final = "/work/connect/ask"
CREDENTIALS: Final = "/work/connect/token"
MOST_DAYS: Final = 3 * 366
EXPLAINED: Final[Mapping[str, tuple[str, str]]] = MappingProxyType(
    {
        "no-agreement": (T("No agreement covers this service."), T("Ask for access and wait for the approval.")),
        "wrong-target": (T("The agreement is about other data."), T("Look which service your agreement names.")),
        "wrong-consumer": (T("The agreement is another agency's."), T("Send your own system in X-Road-Client.")),
        "purpose-not-granted": (T("The agreement does not grant this purpose."), T("Name a purpose it grants.")),
        "purpose-needed": (T("Several purposes are possible."), T("Name one in Lienthong-Purpose.")),
        "way-not-granted": (T("The agreement does not grant this way of use."), T("Use a way it grants.")),
        "system-not-granted": (T("The agreement names other systems."), T("Call from a system it names.")),
        "not-started": (T("The agreement has not begun."), T("Wait for its first day.")),
        "ended": (T("The agreement is over."), T("Ask for access again.")),
        "prohibited": (T("The agreement forbids this use."), T("Read its prohibitions.")),
        "field-not-granted": (T("A field was asked for that is not granted."), T("Ask for granted fields alone.")),
        "quota-used-up": (T("The day's quota is used up."), T("Wait until tomorrow, or ask for a larger one.")),
    }
)
"""Reason in a record -> what happened, and what to do."""


@dataclass(frozen=True, slots=True)
class OwnSystem:
    """A system of the member that this node lets in."""

    id: str
    with_token: bool
    default_purpose: str | None


@dataclass(frozen=True, slots=True)
class Usable:
    """Data that the member may use under an agreement."""

    service: str
    title: Name
    synthetic: bool
    """Made-up data, which may be tried with."""
    ends: datetime | None
    body: str = "{}"
    """JSON of a small question, with dots where an identifier belongs."""


@dataclass(frozen=True, slots=True)
class OwnCall:
    """One use by a system of the member, as the log holds it."""

    index: int
    record: str
    at: datetime
    system: str
    service: str
    way: str
    purpose: str
    outcome: str
    reason: str


@dataclass(frozen=True, slots=True)
class Connecting:
    """What the member has to connect with."""

    listener: str
    systems: tuple[OwnSystem, ...]
    purposes: tuple[tuple[str, Name], ...]
    usable: tuple[Usable, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Asking:
    """A request for access."""

    target: str = about("Id of the service or dataset.")
    purposes: tuple[str, ...] = about("Codes of registered purposes.", least=1, most=20)
    ground: str = about("Legal ground: law:<article>, consent, contract or vital.")
    legal_basis: str = about("Legal basis of the agreement, in words.", most=1_000)
    fields: tuple[str, ...] = about("The only fields wanted; none: all.", default=(), most=200)
    days: int = about("For how long.", default=365, least=1, most=MOST_DAYS)
    note: str = about("Why, in words.", default="", most=2_000, lines=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class ForSystem:
    """Which system a token is for."""

    system: str = about("Id of the system, as GET /v1/own/systems lists it.")


class IntegratorDesk(Protocol):
    """What the node does for these pages."""

    async def connecting(self, member: str) -> Connecting:
        """The member's systems, purposes and agreements."""
        ...

    async def ask(self, actor: Actor, asking: Asking) -> str:
        """Ask the provider; the request's id.  Raises what ``check_terms`` does."""
        ...

    async def calls(self, member: str, before: int | None) -> Sequence[OwnCall]:
        """The newest uses by systems of the member, older than index ``before``."""
        ...


def integrator_pages(desk: IntegratorDesk) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        rooms = Rooms(shell, desk)
        routes = (
            *both(PATH, rooms.overview),
            *both(ASK, rooms.ask, ("GET", "POST")),
            *both(CREDENTIALS, rooms.token, ("GET", "POST")),
            *both(f"{PATH}/calls", rooms.calls),
        )
        return Pages(routes, (Section(PATH, TITLE, Right.ASK_ACCESS, "work"),))

    return join


def integrator_deeds(desk: IntegratorDesk) -> tuple[Deed[Any], ...]:
    """Asking for access, and making a token for a system."""

    async def ask(actor: Actor, wish: Asking) -> Facts:
        return {"request": await desk.ask(actor, wish)}

    async def token(actor: Actor, wish: ForSystem) -> Facts:
        return await new_token(desk, actor, wish.system)

    return (
        Deed("requests/ask", T("Ask for access"), Asking, ask, Right.ASK_ACCESS, problems=(TermsRefused, IdMalformed),
             elsewhere=True,
             gives={"request": "Its id."}, forms=(ASK,)),
        Deed("systems/token", T("Make a token for a system"), ForSystem, token, Right.MANAGE_CREDENTIALS,
             gives={"token": "The token, told once.", "settings": "What an operator puts into the node's settings."},
             forms=(CREDENTIALS,)),
    )  # fmt: skip


def integrator_reads(desk: IntegratorDesk) -> list[BaseRoute]:
    """``GET /v1/own/systems`` and ``/v1/own/calls``."""

    async def systems(request: Request) -> Response:
        actor = require(actor_of(request), Right.ASK_ACCESS)
        return _answer(await desk.connecting(str(actor.member)))

    async def calls(request: Request) -> Response:
        actor, language = require(actor_of(request), Right.SEE_CALLS), answer_language(request)
        found = await desk.calls(str(actor.member), _before(request))
        told = [
            {name: getattr(each, name) for name in each.__slots__}
            | dict(zip(("happened", "mend"), (translate(words, language) for words in explained(each)), strict=True))
            for each in found
        ]
        return _answer({"calls": told})

    return [
        Route("/v1/own/systems", systems, methods=["GET"]),
        Route("/v1/own/calls", calls, methods=["GET"]),
    ]


async def new_token(desk: IntegratorDesk, actor: Actor, system: str) -> Facts:
    """A token and the lines that let it in; nothing is kept.  Raises BadInput for a system that is not the member's."""
    if all(each.id != system for each in (await desk.connecting(str(actor.member))).systems):
        raise BadInput({"system": (T("Your agency has no such system at this node."), {})})
    token = secrets.token_urlsafe(32)
    digest = hashlib.sha256(token.encode()).hexdigest()
    return {
        "token": token,
        "settings": f'[[clients]]\nsystem = "{system}"\nauth = "token"\ntoken_sha256 = "{digest}"\n',
    }


def explained(call: OwnCall) -> tuple[str, str]:
    """What happened to a call and what to do, as messages; empty when it went well."""
    if call.outcome == "permitted":
        return "", ""
    kept = EXPLAINED.get(call.reason)
    if kept:
        return kept
    if call.outcome == "failed":
        return (
            T("The use was allowed, and the other side did not finish it."),
            T("Send it again; if it fails again, ask the provider with the number of the record."),
        )
    return T("It was refused."), T("Ask the operator of your node with the number of the record.")


class Rooms:
    """The handlers."""

    def __init__(self, shell: Shell, desk: IntegratorDesk) -> None:
        self._shell = shell
        self._desk = desk

    async def overview(self, request: Request) -> Response:
        """What there is, and commands for what is chosen."""
        actor = require(actor_of(request), Right.ASK_ACCESS)
        found = await self._desk.connecting(str(actor.member))
        asked = request.query_params
        service = next((each for each in found.usable if each.service == asked.get("service")), None)
        system = next((each for each in found.systems if each.id == asked.get("system")), None)
        shown = ()
        if service and system:
            purpose = next((code for code, _ in found.purposes if code == asked.get("purpose")), "")
            use = Use(
                found.listener,
                system.id,
                service.service,
                purpose,
                asked.get("body") or service.body,
                system.with_token,
            )
            shown = commands(use)
        return self._page(request, "connect.html", TITLE, found=found, asked=asked, shown=shown,
                          done=asked.get("done", ""))  # fmt: skip

    async def ask(self, request: Request) -> Response:
        """The request for access."""
        actor = require(actor_of(request), Right.ASK_ACCESS)
        found, form = await self._desk.connecting(str(actor.member)), Form()
        if request.method == "POST":
            form = await read_form(request, self._shell)
            asking = _asking(form, found)
            if asking is not None and await self._asked(form, actor, asking):
                return RedirectResponse(f"{prefix_of(request)}{PATH}?done=asked", 303)
        language = page_language(request)
        options = [(code, f"{code} · {name.say(language)}") for code, name in found.purposes]
        wanted = request.query_params.get("service", "")[:200]
        return self._page(request, "connect_ask.html", T("Ask for access"), 200 if form.good else 422,
                          form=form, options=options, wanted=wanted, most=MOST_DAYS)  # fmt: skip

    async def token(self, request: Request) -> Response:
        """A token for a system, told once."""
        actor = require(actor_of(request), Right.MANAGE_CREDENTIALS)
        found, form, made = await self._desk.connecting(str(actor.member)), Form(), None
        if request.method == "POST":
            form = await read_form(request, self._shell)
            system = form.choice("system", [each.id for each in found.systems])
            made = await new_token(self._desk, actor, system) if form.good else None
        return self._page(request, "connect_token.html", T("A token for a system"), 200 if form.good else 422,
                          form=form, systems=[(each.id, each.id) for each in found.systems], made=made)  # fmt: skip

    async def calls(self, request: Request) -> Response:
        """Own calls, newest first."""
        actor = require(actor_of(request), Right.SEE_CALLS)
        found = await self._desk.calls(str(actor.member), _before(request))
        return self._page(request, "connect_calls.html", T("Calls of our systems"),
                          calls=[(each, explained(each)) for each in found],
                          older=found[-1].index if found else None)  # fmt: skip

    async def _asked(self, form: Form, actor: Actor, asking: Asking) -> bool:
        try:
            await self._desk.ask(actor, asking)
        except Problem as refused:
            form.fault("", refused.message, **refused.facts)
            if refused.mend:
                form.fault("mend", refused.mend, **refused.facts)
            return False
        return True

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        told = translate(title, page_language(request))
        return self._shell.page(request, template, title=told, status=status, **facts)


def _asking(form: Form, found: Connecting) -> Asking | None:
    """What the form asks for; None when something in it is wrong."""
    target = form.text("target")
    purpose = form.choice("purpose", [code for code, _ in found.purposes])
    ground, basis = form.text("ground"), form.text("legal_basis", most=1_000)
    fields = tuple(part for part in form.text("fields", required=False, most=2_000).replace(",", " ").split() if part)
    days = form.whole("days", least=1, most=MOST_DAYS)
    note = form.lines("note", required=False, most=2_000)
    if not form.good or days is None:
        return None
    return Asking(target=target, purposes=(purpose,), ground=ground, legal_basis=basis, fields=fields, days=days,
                  note=note)  # fmt: skip


def _before(request: Request) -> int | None:
    told = request.query_params.get("before", "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 19 else None


def _answer(body: object) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), 200, headers, "application/json")
