"""Deeds on one's own account: password, passkeys, tokens, sessions; all take the person in front of a screen.

Adding a passkey is not among them: it is a conversation between browser and authenticator (WebAuthn, section 7.1); nor
is linking with an identity provider, one between browser and provider.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.audit import put_down
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import actor_of
from lienthong.identity.linking import LastWayIn, unlink
from lienthong.identity.models import Actor
from lienthong.identity.ownpassword import WrongPassword, change_own_password
from lienthong.identity.passwords import WeakPassword
from lienthong.identity.persons import NoSuchPerson, person_of
from lienthong.identity.provider import ProviderRefused
from lienthong.identity.rights import LoginNeeded
from lienthong.identity.sessions import keep
from lienthong.identity.sessions.queries import end_sessions_of, tokens_of
from lienthong.identity.tokens import LONGEST_DAYS, BadToken, make_token, withdraw
from lienthong.portal.deeds import BadInput, Deed, Facts, about
from lienthong.storage.pool import reading

LONGEST_PASSWORD: Final = 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class NewPassword:
    """The old password and the new one."""

    old: str = about("The password as it is.", most=LONGEST_PASSWORD, verbatim=True)
    new: str = about("The password as it is to be.", most=LONGEST_PASSWORD, verbatim=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichPasskey:
    """A passkey of one's own."""

    passkey: str = about("Id of the credential, hexadecimal.", most=2_100)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichProvider:
    """An identity provider that one's own account is linked with."""

    provider: str = about("Name of the provider, as it stands in the node's configuration.", most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewToken:
    """A token to be made."""

    label: str = about("What it is for.", most=60)
    scopes: tuple[str, ...] = about("Rights that it carries: some of one's own.", least=1, most=40)
    days: int = about("How long it lives.", least=1, most=LONGEST_DAYS)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichToken:
    """A token of one's own."""

    token: str = about("Id of the token, as GET /v1/tokens lists it.", most=64)


@dataclass(frozen=True, slots=True, kw_only=True)
class WhichSessions:
    """Which sessions end."""

    which: str = about("All of them, or all but this one.", among=("all", "others"))


def account_deeds(entrance: Entrance) -> tuple[Deed[Any], ...]:
    """Everything that the page of the account does, but for adding a passkey and linking with an identity provider."""

    async def password(actor: Actor, wish: NewPassword) -> Facts:
        await change_own_password(entrance, actor, wish.old, wish.new)
        return {"changed": True}

    async def remove_passkey(actor: Actor, wish: WhichPasskey) -> Facts:
        try:
            credential = bytes.fromhex(wish.passkey)
        except ValueError:
            raise BadInput({"passkey": (T("This is not written as it must be."), {})}) from None
        async with reading(entrance.pool) as db:
            removed = await queries.remove_passkey(db, actor.person or "", credential)
            if removed:
                facts = {"passkey": credential.hex()[:16]}
                await put_down(db, actor, "passkey.removed", actor.person or "", facts, now=entrance.now())
        return {"removed": bool(removed)}

    async def unlink_provider(actor: Actor, wish: WhichProvider) -> Facts:
        return {"unlinked": await unlink(entrance, actor, wish.provider)}

    async def token(actor: Actor, wish: NewToken) -> Facts:
        async with reading(entrance.pool) as db:
            person = await person_of(db, actor.person or "", actor.member)
            secret, made = await make_token(
                db, person, wish.label, wish.scopes, wish.days, by=actor, now=entrance.now()
            )  # fmt: skip
        return {"token": made.id, "secret": secret, "ends_at": made.ends_at}

    async def withdraw_token(actor: Actor, wish: WhichToken) -> Facts:
        async with reading(entrance.pool) as db:
            done = await withdraw(db, actor.person or "", wish.token, by=actor, now=entrance.now())
        return {"withdrawn": done}

    async def end_sessions(actor: Actor, wish: WhichSessions) -> Facts:
        async with reading(entrance.pool) as db:
            but = "" if wish.which == "all" else actor.session or ""
            ended = await end_sessions_of(db, actor.person or "", but=but)
            if actor.member is not None:
                facts = {"sessions": ended}
                await put_down(db, actor, "sessions.ended", actor.person or "", facts, now=entrance.now())
        return {"ended": ended}

    return (
        Deed("account/password", T("Change my password"), NewPassword, password, screen=True,
             problems=(WrongPassword, WeakPassword, NoSuchPerson), gives={"changed": "True."},
             forms=("/account/password",)),
        Deed("account/remove-passkey", T("Remove a passkey of mine"), WhichPasskey, remove_passkey, screen=True,
             gives={"removed": "Whether there was such a passkey."}, forms=("/account/passkeys/remove",)),
        Deed("account/unlink-provider", T("Unlink my account from an identity provider"), WhichProvider,
             unlink_provider, screen=True, problems=(ProviderRefused, NoSuchPerson, LastWayIn),
             gives={"unlinked": "Whether there was such a link."}, forms=("/account/links/remove",)),
        Deed("tokens/make", T("Make an API token"), NewToken, token, screen=True, problems=(BadToken, NoSuchPerson),
             gives={"token": "Id of the token.", "secret": "The token itself, told once.", "ends_at": "Its end."},
             forms=("/account/tokens",)),
        Deed("tokens/withdraw", T("Withdraw an API token"), WhichToken, withdraw_token, screen=True,
             gives={"withdrawn": "Whether there was such a token."}, forms=("/account/tokens/withdraw",)),
        Deed("sessions/end", T("Sign out on other devices"), WhichSessions, end_sessions, screen=True,
             gives={"ended": "How many sessions."}, forms=("/account/sessions/end", "/logout")),
    )  # fmt: skip


def account_reads(entrance: Entrance) -> list[BaseRoute]:
    """``GET /v1/tokens``: one's own tokens without their secrets, and the sessions that are open."""

    async def tokens(request: Request) -> Response:
        actor = actor_of(request)
        if actor.person is None:
            raise LoginNeeded(T("This needs somebody who is signed in."), mend=T("Sign in and try again."))
        async with reading(entrance.pool) as db:
            made = await tokens_of(db, actor.person)
            opened = await keep.living_sessions(db, actor.person, entrance.now())
        body = {
            "tokens": [{name: told for name, told in asdict(each).items() if name != "person"} for each in made],
            "sessions": [
                {"id": each.id, "opened_at": each.opened_at, "seen_at": each.seen_at, "this": each.id == actor.session}
                for each in opened
            ],
        }
        return _answer(body)

    return [Route("/v1/tokens", tokens, methods=["GET"])]


def _answer(body: dict[str, list[dict[str, str | bool | datetime]]]) -> Response:
    headers = {"Cache-Control": "no-store"}
    return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), 200, headers, "application/json")
