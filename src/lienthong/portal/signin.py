"""The pages of signing in and out, and the way back to where one was, with what was typed.

Two entrances: ``/login`` for everybody, by an identity provider alone; ``/login/staff`` for those who work here, by
password and passkey, which no page for citizens names where a provider is set up.  Promises: only addresses of this
node are led back to; a form that met an ended session is carried through the sign-in and shown again, never sent again
by itself.
"""

from __future__ import annotations

import json
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity import passkeys, queries
from lienthong.identity.arrive import person_from_provider
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import actor_of
from lienthong.identity.linking import link
from lienthong.identity.models import Assurance, Passkey, Person
from lienthong.identity.numbers import note_number
from lienthong.identity.persons import linked_person, use_first_link
from lienthong.identity.provider import Provider, ProviderRefused
from lienthong.identity.rights import PUBLIC_PERSONS
from lienthong.identity.sessions import keep
from lienthong.identity.sessions.queries import attempts
from lienthong.identity.signin import check_password
from lienthong.portal.forms import KEY, TOKEN, Form, read_form
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.storage.pool import reading
from lienthong.trust.seal import SealBroken
from lienthong.web import page_language, problem_response, wants_page

KEPT: Final = "kept."
MOST_KEPT_BYTES: Final = 64 * 1024
MOST_ATTEMPTS: Final = 2_000
"""More sign-ins under way than this, and what was typed is no longer carried through a provider's pages."""
ATTEMPT_COOKIE: Final = "sign-in"
_OWN_ADDRESS: Final = re.compile(r"/(?![/\\])[!#-\[\]-~]*")


def own_address(told: str) -> str:
    """``told`` when it is an address of this node and not one of signing in or out, else the front page."""
    if not _OWN_ADDRESS.fullmatch(told) or re.match(r"/(en/)?log(in|out)(/|$|\?)", told):
        return "/"
    return told


def sign_in_pages(entrance: Entrance) -> Callable[[Shell], Pages]:
    """Signing in and out, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        doors = Doors(shell, entrance)
        routes = (
            *both("/login", doors.everybody),
            *both("/login/staff", doors.staff, methods=("GET", "POST")),
            *both("/login/passkey", doors.passkey, methods=("POST",)),
            *both("/login/first/{secret}", doors.first, methods=("GET", "POST")),
            *both("/login/with/{provider}", doors.begin, methods=("POST",)),
            *both("/login/with/{provider}/back", doors.back),
            *both("/logout", doors.leave, methods=("POST",)),
        )
        return Pages(routes)

    return join


class LoginNeededPage:
    """Answers ``LoginNeeded``: a page leads to the sign-in and back, a program gets problem details."""

    def __init__(self, shell: Shell, entrance: Entrance) -> None:
        self._shell = shell
        self._entrance = entrance

    async def __call__(self, request: Request, problem: Exception) -> Response:
        """The answer; what a form brought is kept in the page."""
        assert isinstance(problem, Problem)  # noqa: S101 - registered for this kind alone
        if not wants_page(request.headers):
            answer = problem_response(problem, request)
            answer.headers["WWW-Authenticate"] = 'Bearer realm="lienthong"'
            return answer
        public = problem.facts.get("right") in {right.value for right in PUBLIC_PERSONS}
        door = "/login" if public else "/login/staff"
        prefix = "/en" if page_language(request) == "en" else ""
        there = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        if request.method in ("GET", "HEAD"):
            return RedirectResponse(f"{prefix}{door}?next={_quoted(own_address(there))}", 303)
        form = await read_form(request, self._shell, most_file_bytes=1024 * 1024)
        return _show(self._shell, self._entrance, request, Form(), staff=not public, next_=own_address(there),
                     kept=_typed(form), status=401)  # fmt: skip


class Doors:
    """The handlers."""

    def __init__(self, shell: Shell, entrance: Entrance) -> None:
        self._shell = shell
        self._entrance = entrance

    async def everybody(self, request: Request) -> Response:
        """The providers."""
        return self._entry(request, Form(), staff=False)

    async def staff(self, request: Request) -> Response:
        """Password, or passkey."""
        if request.method != "POST":
            return self._entry(request, Form(), staff=True)
        form = await read_form(request, self._shell)
        login, password = form.text("login", most=64), form.secret("password")
        if form.good:
            try:
                return await self._by_password(request, form, login, password)
            except Problem as refused:
                form.fault("", refused.message, **refused.facts)
                return self._entry(request, form, staff=True, status=refused.status)
        return self._entry(request, form, staff=True, status=422)

    async def _by_password(self, request: Request, form: Form, login: str, password: str) -> Response:
        failed: Problem | None = None
        async with reading(self._entrance.pool) as db:
            try:
                person = await check_password(
                    db, login, password, address=_address(request), key=self._entrance.key, now=self._entrance.now()
                )
            except Problem as refused:  # raised outside, so that the failure stays counted
                failed = refused
            else:
                keys = await queries.passkeys_of(db, person.id)
                if not keys or not self._entrance.relying_party:
                    secret = await self._admitted(db, request, person, Assurance.ONE_FACTOR, "password")
                    return self._enter(request, form, secret)
                return self._passkey_step(request, form, person, keys, self._next(request, form), _carried(form))
        raise failed

    async def passkey(self, request: Request) -> Response:
        """A passkey answered, alone or after the password."""
        form = await read_form(request, self._shell)
        form.text("answer", most=20_000)
        if not form.good:
            return self._entry(request, form, staff=True, status=422)
        now = self._entrance.now()
        try:
            step = self._stepped(form.said("step"), now)
            after = step.pop("person", None)
            async with reading(self._entrance.pool) as db:
                person = await passkeys.check(db, self._entrance, form.said("answer"), after_password=after, now=now)
                secret = await self._admitted(db, request, person, Assurance.TWO_FACTORS, "passkey", **step)
        except passkeys.PasskeyRefused as refused:
            form.fault("", refused.message)
            return self._entry(request, form, staff=True, status=refused.status)
        return self._enter(request, form, secret)

    async def first(self, request: Request) -> Response:
        """The one-time link: choose a password."""
        secret = request.path_params["secret"]
        now = self._entrance.now()
        async with reading(self._entrance.pool) as db:
            person = await linked_person(db, secret, now)
        form = await read_form(request, self._shell) if request.method == "POST" else Form()
        if request.method == "POST":
            password = form.secret("password")
            if form.said("again") != password:
                form.fault("again", T("The two passwords differ."))
            if form.good:
                try:
                    async with reading(self._entrance.pool) as db:
                        await use_first_link(db, secret, password, now)
                except Problem as refused:
                    form.fault("password", refused.message, **refused.facts)
                else:
                    return RedirectResponse(f"{prefix_of(request)}/login/staff", 303)
        status = 200 if form.good else 422
        return self._page(request, "first_link.html", T("Choose a password"), status, form=form, person=person)

    async def begin(self, request: Request) -> Response:
        """To the provider's pages; what must be remembered lies sealed here, under a secret in this browser."""
        provider = self._entrance.providers.get(request.path_params["provider"])
        if provider is None:
            raise ProviderRefused(T("This node has no such identity provider."))
        form = await read_form(request, self._shell)
        facts = {"next": self._next(request, form)}
        return await to_provider(self._shell, self._entrance, request, provider, facts, kept=_carried(form))

    async def back(self, request: Request) -> Response:
        """The provider sent the browser back."""
        provider = self._entrance.providers.get(request.path_params["provider"])
        async with reading(self._entrance.pool) as db:
            kept = await self._entrance.recall(db, request.cookies.get(_attempt_cookie(self._entrance), ""))
        if provider is None or kept is None or kept["provider"] != provider.name:
            raise ProviderRefused(
                T("This sign-in was begun in another browser, or too long ago."), mend=T("Begin again.")
            )
        told = await provider.finish(
            dict(request.query_params), state=kept["state"], nonce=kept["nonce"], verifier=kept["verifier"],
            now=self._entrance.now(),
        )  # fmt: skip
        if "link" in kept:  # the session that asked for it stays the session: nobody is signed in by this
            await link(self._entrance, provider, told, kept["link"], actor_of(request))
            answer: Response = RedirectResponse(own_address(kept["next"]), 303, {"Cache-Control": "no-store"})
            self._forget_attempt(answer)
            return answer
        async with reading(self._entrance.pool) as db:
            person = await person_from_provider(db, provider, told, self._entrance.now())
            if person.member is None:
                await note_number(db, self._entrance.key, person.id, told.number)
            carried = tuple((name, value) for name, value in kept["kept"])
            keys = await queries.passkeys_of(db, person.id) if told.assurance < Assurance.TWO_FACTORS else []
            if keys and self._entrance.relying_party:  # as after a password: one factor alone opens less than it did
                rests = {"issuer": provider.issuer, "sid": told.sid}
                answer = self._passkey_step(request, Form(), person, keys, own_address(kept["next"]), carried, rests)
                self._forget_attempt(answer)
                return answer
            secret = await self._admitted(
                db, request, person, told.assurance, provider.name, issuer=provider.issuer, sid=told.sid
            )
        answer = self._lead(request, secret, kept["next"], carried)
        self._forget_attempt(answer)
        return answer

    async def leave(self, request: Request) -> Response:
        """Sign out here."""
        form = await read_form(request, self._shell)
        answer = RedirectResponse(f"{prefix_of(request)}/", 303)
        if form.good:
            async with reading(self._entrance.pool) as db:
                await keep.end(db, request.cookies.get(self._entrance.cookie, ""))
            answer.delete_cookie(self._entrance.cookie, secure=self._entrance.secure, httponly=True, samesite="lax")
        return answer

    async def _admitted(
        self, db: Any, request: Request, person: Person, assurance: Assurance, way: str, **more: Any  # Any: passed on
    ) -> str:  # fmt: skip
        had = request.cookies.get(self._entrance.cookie)
        return await self._entrance.admit(db, person, assurance, had=had, way=way, **more)

    def _enter(self, request: Request, form: Form, secret: str) -> Response:
        return self._lead(request, secret, self._next(request, form), _carried(form))

    def _lead(self, request: Request, secret: str, there: str, kept: Sequence[tuple[str, str]]) -> Response:
        answer: Response
        if kept:
            answer = self._page(
                request, "resume.html", T("You are signed in again"), next=own_address(there), kept=kept
            )
        else:
            answer = RedirectResponse(own_address(there), 303, {"Cache-Control": "no-store"})
        answer.set_cookie(self._entrance.cookie, secret, secure=self._entrance.secure, httponly=True, samesite="lax")
        return answer

    def _entry(self, request: Request, form: Form, *, staff: bool, status: int = 200) -> Response:
        return _show(self._shell, self._entrance, request, form, staff=staff, next_=self._next(request, form),
                     kept=_carried(form), status=status)  # fmt: skip

    def _page(self, request: Request, template: str, title: str, status: int = 200, **facts: object) -> Response:
        return self._shell.page(
            request, template, title=translate(title, page_language(request)), status=status, **facts
        )

    def _forget_attempt(self, answer: Response) -> None:
        name = _attempt_cookie(self._entrance)
        answer.delete_cookie(name, secure=self._entrance.secure, httponly=True, samesite="lax")

    def _next(self, request: Request, form: Form) -> str:
        told = own_address(form.said("next") or request.query_params.get("next", ""))
        return told if told != "/" else f"{prefix_of(request)}/"

    def _passkey_step(
        self, request: Request, form: Form, person: Person, keys: list[Passkey], there: str,
        kept: Sequence[tuple[str, str]], rests: Mapping[str, str | None] | None = None,
    ) -> Response:  # fmt: skip
        """The page that asks for a passkey after the first factor; ``rests``: the provider's session it came from."""
        now = self._entrance.now()
        told = {"person": person.id, "at": now.timestamp(), **(rests or {})}
        step = urlsafe_b64encode(self._entrance.seal().encrypt(json.dumps(told).encode(), b"step")).decode()
        options = passkeys.options_to_sign_in(self._entrance, now, keys)
        return self._page(
            request, "passkey_step.html", T("Now your passkey"), form=form, options=options, step=step, next=there,
            kept=kept,
        )  # fmt: skip

    def _stepped(self, step: str, now: datetime) -> dict[str, Any]:
        """The person of the first factor, and the provider's session if one vouched; {} for a passkey alone."""
        if not step:
            return {}
        try:
            told: dict[str, Any] = json.loads(self._entrance.seal().decrypt(urlsafe_b64decode(step), b"step"))
        except (SealBroken, ValueError) as wrong:
            raise passkeys.refused() from wrong
        if now.timestamp() - told.pop("at") > keep.ATTEMPT.total_seconds():
            raise passkeys.refused()
        return told


async def to_provider(
    shell: Shell, entrance: Entrance, request: Request, provider: Provider, facts: Mapping[str, object], *,
    kept: Sequence[tuple[str, str]] = (),
) -> Response:  # fmt: skip
    """To the provider's pages; ``facts`` lie sealed here until it answers, under a secret in this browser alone."""
    asked = await provider.begin()
    async with reading(entrance.pool) as db:
        if _size(kept) > MOST_KEPT_BYTES or await attempts(db) > MOST_ATTEMPTS:
            kept = ()
        secret = await entrance.remember(
            db,
            {"provider": provider.name, "state": asked.state, "nonce": asked.nonce, "verifier": asked.verifier,
             "kept": kept, **facts},
        )  # fmt: skip
    title = translate(T("To the provider"), page_language(request))
    answer = shell.page(request, "to_provider.html", title=title, provider=provider, address=asked.address)
    answer.set_cookie(
        _attempt_cookie(entrance), secret, max_age=int(keep.ATTEMPT.total_seconds()), secure=entrance.secure,
        httponly=True, samesite="lax",
    )  # fmt: skip
    return answer


def _attempt_cookie(entrance: Entrance) -> str:
    return f"__Host-{ATTEMPT_COOKIE}" if entrance.secure else ATTEMPT_COOKIE


def _show(
    shell: Shell, entrance: Entrance, request: Request, form: Form, *, staff: bool, next_: str,
    kept: Sequence[tuple[str, str]], status: int,
) -> Response:  # fmt: skip
    audience = "staff" if staff else "citizens"
    providers = [each for each in entrance.providers.values() if each.audience == audience]
    options = ""
    if staff and entrance.relying_party:
        options = passkeys.options_to_sign_in(entrance, entrance.now())
    title = translate(T("Sign in for staff") if staff else T("Sign in"), page_language(request))
    return shell.page(
        request, "sign_in.html", title=title, status=status, form=form, staff=staff, providers=providers,
        options=options, next=next_, kept=kept, origin=entrance.origin,
    )  # fmt: skip


def _typed(form: Form) -> tuple[tuple[str, str], ...]:
    """What a form brought, to be carried on: neither passwords nor what belongs to the ended session."""
    left_out = {TOKEN, KEY}
    return tuple(
        (name, value)
        for name, values in form.values.items()
        if name not in left_out and "password" not in name
        for value in values
    )


def _carried(form: Form) -> tuple[tuple[str, str], ...]:
    return tuple(
        (name.removeprefix(KEPT), value)
        for name, values in form.values.items()
        if name.startswith(KEPT)
        for value in values
    )


def _size(kept: Sequence[tuple[str, str]]) -> int:
    return sum(len(name) + len(value) for name, value in kept)


def _address(request: Request) -> str:
    return request.client.host if request.client else ""


def _quoted(address: str) -> str:
    return quote(address, safe="/")
