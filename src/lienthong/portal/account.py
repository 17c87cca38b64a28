"""The page of one's own account: who I am here, my passkeys, tokens and open sessions; signing out everywhere."""

from __future__ import annotations

from binascii import Error as NotBase64
from collections.abc import Callable
from typing import Any

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from lienthong.errors import Problem
from lienthong.i18n import T, translate
from lienthong.identity import passkeys, queries
from lienthong.identity.audit import put_down
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import actor_of
from lienthong.identity.linking import LastWayIn, LinkNeedsPasskey, linkable, links_of, unlink, wish_of
from lienthong.identity.models import Actor, Person
from lienthong.identity.ownpassword import WrongPassword, change_own_password
from lienthong.identity.persons import person_of
from lienthong.identity.rights import LoginNeeded
from lienthong.identity.sessions import keep
from lienthong.identity.sessions.queries import end_sessions_of, tokens_of
from lienthong.identity.tokens import LONGEST_DAYS, make_token, possible_scopes, withdraw
from lienthong.portal.forms import Form, read_form
from lienthong.portal.queries import claim_form
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.portal.signin import to_provider
from lienthong.portal.standing import RIGHTS, ROLES
from lienthong.storage.pool import reading
from lienthong.web import page_language


def account_pages(entrance: Entrance) -> Callable[[Shell], Pages]:
    """The own account, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        desk = AccountDesk(shell, entrance)
        post = ("POST",)
        routes = (
            *both("/account", desk.show),
            *both("/account/password", desk.change_password, post),
            *both("/account/passkeys", desk.add_passkey, post),
            *both("/account/passkeys/remove", desk.remove_passkey, post),
            *both("/account/links", desk.link, post),
            *both("/account/links/remove", desk.unlink, post),
            *both("/account/tokens", desk.add_token, post),
            *both("/account/tokens/withdraw", desk.withdraw_token, post),
            *both("/account/sessions/end", desk.end_sessions, post),
        )
        return Pages(routes)

    return join


class AccountDesk:
    """The handlers; each acts on the person who is signed in, whatever the form says."""

    def __init__(self, shell: Shell, entrance: Entrance) -> None:
        self._shell = shell
        self._entrance = entrance

    async def show(self, request: Request) -> Response:
        """The page."""
        return await self._page(request, Form())

    async def change_password(self, request: Request) -> Response:
        """The old password, then the new one; every other session ends."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        old, new = form.secret("old_password"), form.secret("new_password")
        if form.good:
            try:
                await change_own_password(self._entrance, actor, old, new)
            except WrongPassword as wrong:
                form.fault("old_password", wrong.message)
            except Problem as weak:
                form.fault("new_password", weak.message, **weak.facts)
        if not form.good:
            return await self._page(request, form, 422)
        return self._again(request)

    async def add_passkey(self, request: Request) -> Response:
        """Keep what the authenticator made."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        label = form.text("label", most=passkeys.LONGEST_LABEL)
        form.text("answer", most=20_000)
        if form.good:
            try:
                async with reading(self._entrance.pool) as db:
                    person = await self._person(db, actor)
                    await passkeys.register(
                        db, self._entrance, person, form.said("answer"), label, by=actor, now=self._entrance.now()
                    )
            except passkeys.PasskeyRefused as refused:
                form.fault("", refused.message)
        return self._again(request) if form.good else await self._page(request, form, 422)

    async def remove_passkey(self, request: Request) -> Response:
        """Forget a passkey of one's own."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        if not form.good:
            return await self._page(request, form, 422)
        try:
            credential = bytes.fromhex(form.said("passkey"))
        except (ValueError, NotBase64):
            credential = b""
        async with reading(self._entrance.pool) as db:
            if await queries.remove_passkey(db, actor.person or "", credential):
                facts = {"passkey": credential.hex()[:16]}
                await put_down(db, actor, "passkey.removed", actor.person or "", facts, now=self._entrance.now())
        return self._again(request)

    async def link(self, request: Request) -> Response:
        """To the provider, with the wish to be linked; its answer counts in this session alone."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        if form.good:
            try:
                provider = await linkable(self._entrance, actor, form.said("provider"))
            except LinkNeedsPasskey as refused:
                form.fault("", refused.message)
            else:
                facts = {"next": f"{prefix_of(request)}/account", "link": wish_of(actor)}
                return await to_provider(self._shell, self._entrance, request, provider, facts)
        return await self._page(request, form, 422)

    async def unlink(self, request: Request) -> Response:
        """End a link of one's own, unless it is the last way in."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        if form.good:
            try:
                await unlink(self._entrance, actor, form.said("provider"))
            except LastWayIn as refused:
                form.fault("", refused.message, **refused.facts)
        return self._again(request) if form.good else await self._page(request, form, 422)

    async def add_token(self, request: Request) -> Response:
        """Make a token and show it, once."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        label = form.text("token_label", most=60)
        days = form.whole("days", least=1, most=LONGEST_DAYS)
        if form.good and days is not None:
            try:
                async with reading(self._entrance.pool) as db:
                    if await claim_form(db, form.key) is not None:
                        return self._again(request)
                    person = await self._person(db, actor)
                    secret, _ = await make_token(
                        db, person, label, form.all_said("scopes"), days, by=actor, now=self._entrance.now()
                    )
                return await self._page(request, Form(), secret=secret)
            except Problem as refused:
                form.fault("scopes", refused.message, **refused.facts)
        return await self._page(request, form, 422)

    async def withdraw_token(self, request: Request) -> Response:
        """End a token of one's own."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        if not form.good:
            return await self._page(request, form, 422)
        async with reading(self._entrance.pool) as db:
            await withdraw(db, actor.person or "", form.said("withdrawn"), by=actor, now=self._entrance.now())
        return self._again(request)

    async def end_sessions(self, request: Request) -> Response:
        """Sign out everywhere, or everywhere else."""
        actor = self._self(request)
        form = await read_form(request, self._shell)
        if not form.good:
            return await self._page(request, form, 422)
        everywhere = form.said("which") == "all"
        async with reading(self._entrance.pool) as db:
            ended = await end_sessions_of(db, actor.person or "", but="" if everywhere else actor.session or "")
            if actor.member is not None:
                await put_down(db, actor, "sessions.ended", actor.person or "", {"sessions": ended},
                               now=self._entrance.now())  # fmt: skip
        if not everywhere:
            return self._again(request)
        answer = RedirectResponse(f"{prefix_of(request)}/", 303)
        answer.delete_cookie(self._entrance.cookie, secure=self._entrance.secure, httponly=True, samesite="lax")
        return answer

    async def _page(self, request: Request, form: Form, status: int = 200, *, secret: str = "") -> Response:
        actor = self._self(request)
        now = self._entrance.now()
        async with reading(self._entrance.pool) as db:
            person = await self._person(db, actor)
            keys = await queries.passkeys_of(db, person.id)
            facts: dict[str, object] = {
                "person": person,
                "passkeys": keys,
                "tokens": await tokens_of(db, person.id),
                "sessions": await keep.living_sessions(db, person.id, now),
                "links": await links_of(db, self._entrance, person),
                "has_password": await queries.password_of(db, person.id) is not None,
            }
        options = ""
        if person.member is not None and self._entrance.relying_party:
            options = passkeys.options_to_register(self._entrance, person, keys, now)
        language = page_language(request)
        scopes = [(right.value, translate(RIGHTS[right], language)) for right in possible_scopes(person)]
        return self._shell.page(
            request, "account.html", title=translate(T("My account"), language), status=status,
            form=form, me=actor, options=options, secret=secret, scopes=scopes, role_words=ROLES,
            origin=self._entrance.origin, **facts,
        )  # fmt: skip

    async def _person(self, db: Any, actor: Actor) -> Person:  # Any: passed on
        return await person_of(db, actor.person or "", actor.member)

    def _self(self, request: Request) -> Actor:
        actor = actor_of(request)
        if actor.person is None:
            raise LoginNeeded(T("This is the page of whoever is signed in."), mend=T("Sign in and try again."))
        return actor

    def _again(self, request: Request) -> Response:
        return RedirectResponse(f"{prefix_of(request)}/account", 303)
