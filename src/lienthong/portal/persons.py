"""The pages on the persons of the own member: their roles, what waits for a second person, the audit."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity import queries
from lienthong.identity.audit import ACTS
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Person, Right, Role
from lienthong.identity.persons import (
    add_person,
    check_role,
    close_account,
    make_first_link,
    person_of,
    take_role,
)
from lienthong.identity.rights import require
from lienthong.identity.roles import GIVE_ROLE
from lienthong.portal.forms import Form, read_form
from lienthong.portal.queries import claim_form
from lienthong.portal.shell import Page, Pages, Section, Shell, both, prefix_of
from lienthong.portal.standing import ROLES, STATES
from lienthong.storage.pool import reading
from lienthong.web import page_language

SHOWN: Final = 100


def person_pages(entrance: Entrance) -> Callable[[Shell], Pages]:
    """Persons, approvals and audit, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        desk = PersonDesk(shell, entrance)
        routes = (
            *both("/persons", desk.persons, ("GET", "POST")),
            *both("/persons/{person}", desk.person),
            *both("/persons/{person}/{deed}", desk.do, ("POST",)),
            *both("/approvals", desk.approvals),
            *both("/approvals/{proposal}", desk.decide, ("POST",)),
            *both("/audit", _audit(shell, entrance)),
        )
        return Pages(
            routes,
            (
                Section("/persons", T("Persons"), Right.MANAGE_PERSONS, "work"),
                Section("/approvals", T("Approvals"), Right.APPROVE_TRUST, "work"),
                Section("/audit", T("Audit"), Right.SEE_AUDIT, "work"),
            ),
        )

    return join


class PersonDesk:
    """The handlers; every one asks for the right and stays within the actor's own member."""

    def __init__(self, shell: Shell, entrance: Entrance) -> None:
        self._shell = shell
        self._entrance = entrance
        self._deeds: dict[str, Callable[[Any, Actor, Person, Form], Awaitable[str]]] = {  # Any: passed on
            "role": self._propose,
            "take": self._take,
            "link": self._link,
            "close": self._close,
        }

    async def persons(self, request: Request) -> Response:
        """The list; a form to add somebody."""
        actor = require(actor_of(request), Right.MANAGE_PERSONS)
        form = await read_form(request, self._shell) if request.method == "POST" else Form()
        if request.method == "POST":
            name, login = form.text("name", most=200), form.text("login", most=64)
            if form.good:
                try:
                    return await self._add(request, actor, form, name, login)
                except Problem as refused:
                    form.fault("name", refused.message, **refused.facts)
        async with reading(self._entrance.pool) as db:
            found = await queries.persons_of(db, actor.member or "")
        return self._page(request, "persons.html", T("Persons of your agency"), _status(form), form=form, persons=found)

    async def _add(self, request: Request, actor: Actor, form: Form, name: str, login: str) -> Response:
        now = self._entrance.now()
        async with reading(self._entrance.pool) as db:
            if await claim_form(db, form.key) is not None:
                return RedirectResponse(f"{prefix_of(request)}/persons", 303)
            person = await add_person(db, name, login, actor.member, by=actor, now=now)
            secret = await make_first_link(db, person, by=actor, now=now)
        return await self._shown(request, actor, person.id, Form(), link=self._address(request, secret))

    async def person(self, request: Request) -> Response:
        """One person."""
        actor = require(actor_of(request), Right.MANAGE_PERSONS)
        return await self._shown(request, actor, request.path_params["person"], Form())

    async def do(self, request: Request) -> Response:
        """Propose a role, take one away, make a new link, close the account."""
        actor = require(actor_of(request), Right.MANAGE_PERSONS)
        deed = self._deeds.get(request.path_params["deed"])
        form = await read_form(request, self._shell)
        person_id = request.path_params["person"]
        link = ""
        if form.good and deed is not None:
            try:
                async with reading(self._entrance.pool) as db:
                    person = await person_of(db, person_id, actor.member)
                    if await claim_form(db, form.key) is None:
                        link = await deed(db, actor, person, form)
            except Problem as refused:
                if refused.status == 404:
                    raise
                form.fault("", refused.message, **refused.facts)
        if form.good and not link:
            closed = request.path_params["deed"] == "close"
            return RedirectResponse(f"{prefix_of(request)}/persons" + ("" if closed else f"/{person_id}"), 303)
        address = self._address(request, link) if link else ""
        return await self._shown(request, actor, person_id, form, link=address)

    async def _propose(self, db: Any, actor: Actor, person: Person, form: Form) -> str:  # Any: passed on
        told, reason = form.choice("role", [each.value for each in Role]), form.text("reason", most=500)
        if form.good:
            role = Role(told)
            check_role(person, role, national=self._entrance.national)
            await self._entrance.approvals.propose(
                db, actor, GIVE_ROLE, actor.member or "", {"person": person.id, "role": role.value}, reason,
                self._entrance.now(),
            )  # fmt: skip
        return ""

    async def _take(self, db: Any, actor: Actor, person: Person, form: Form) -> str:  # Any: passed on
        told = form.choice("role", [each.value for each in person.roles])
        if form.good:
            await take_role(db, person, Role(told), by=actor, now=self._entrance.now())
        return ""

    async def _link(self, db: Any, actor: Actor, person: Person, form: Form) -> str:  # Any: passed on
        return await make_first_link(db, person, by=actor, now=self._entrance.now())

    async def _close(self, db: Any, actor: Actor, person: Person, form: Form) -> str:  # Any: passed on
        await close_account(db, person, by=actor, now=self._entrance.now())
        return ""

    async def _shown(
        self, request: Request, actor: Actor, person_id: str, form: Form, *, link: str = ""
    ) -> Response:  # fmt: skip
        async with reading(self._entrance.pool) as db:
            person = await person_of(db, person_id, actor.member)
            waiting = [
                each
                for each in await queries.proposals_of(db, actor.member or "", SHOWN)
                if each.state == "open" and each.wanted.get("person") == person.id
            ]
        language = page_language(request)
        possible = [each for each in ROLES if each not in person.roles and self._possible(person, each)]
        choices = [(each.value, translate(ROLES[each], language)) for each in possible]
        return self._page(
            request, "person.html", person.name, _status(form), form=form, person=person, link=link, roles=ROLES,
            role_choices=choices, waiting=waiting, me=actor,
        )  # fmt: skip

    def _possible(self, person: Person, role: Role) -> bool:
        try:
            check_role(person, role, national=self._entrance.national)
        except Problem:
            return False
        return True

    async def approvals(self, request: Request) -> Response:
        """What waits for a second person."""
        return await self._approvals(request, require(actor_of(request), Right.APPROVE_TRUST), Form())

    async def decide(self, request: Request) -> Response:
        """Approve, or refuse with a reason."""
        actor = require(actor_of(request), Right.APPROVE_TRUST)
        form = await read_form(request, self._shell)
        verdict = form.choice("verdict", ("approve", "refuse"))
        if form.good:
            approvals, now = self._entrance.approvals, self._entrance.now()
            try:
                async with reading(self._entrance.pool) as db:
                    proposal = request.path_params["proposal"]
                    if verdict == "approve":
                        await approvals.approve(db, actor, proposal, now)
                    else:
                        await approvals.refuse(db, actor, proposal, form.text("answer", required=False, most=500), now)
                return RedirectResponse(f"{prefix_of(request)}/approvals", 303)
            except Problem as refused:
                if refused.status == 404:
                    raise
                form.fault("", refused.message, **refused.facts)
        return await self._approvals(request, actor, form)

    async def _approvals(self, request: Request, actor: Actor, form: Form) -> Response:
        async with reading(self._entrance.pool) as db:
            found = await queries.proposals_of(db, actor.member or "", SHOWN)
            concerned = {str(each.wanted.get("person", "")) for each in found}
            concerned |= {each for found_ in found for each in (found_.proposed_by, found_.decided_by) if each}
            names = await queries.names_of(db, concerned)
        return self._page(
            request, "approvals.html", T("Changes that need two persons"), _status(form), form=form, proposals=found,
            names=names, kinds=self._entrance.approvals.kinds, roles=ROLES, states=STATES, me=actor,
        )  # fmt: skip

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        shown = translate(title, page_language(request))
        return self._shell.page(request, template, title=shown, status=status, role_words=ROLES, **facts)

    def _address(self, request: Request, secret: str) -> str:
        return f"{self._entrance.public_url.rstrip('/')}{prefix_of(request)}/login/first/{secret}"


def _audit(shell: Shell, entrance: Entrance) -> Page:
    async def audit(request: Request) -> Response:
        """Administrative acts, newest first."""
        actor = require(actor_of(request), Right.SEE_AUDIT)
        told = request.query_params.get("before", "")
        before = int(told) if told.isdigit() and len(told) < 16 else None
        async with reading(entrance.pool) as db:
            acts = await queries.acts_of(db, actor.member or "", before, SHOWN + 1)
            names = await queries.names_of(db, {each for act in acts for each in (act.person, act.object) if each})
        title = translate(T("Audit of administrative acts"), page_language(request))
        older = acts[SHOWN - 1].number if len(acts) > SHOWN else None
        return shell.page(
            request, "audit.html", title=title, acts=acts[:SHOWN], names=names, words_of=ACTS, older=older
        )

    return audit


def _status(form: Form) -> int:
    return 200 if form.good else 422
