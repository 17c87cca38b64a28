"""The doors of identity that are not pages: who asks (``ActorLayer``), the own account as JSON, a provider's logout.

``ActorLayer`` is plain ASGI and sets ``request.state.actor`` for every request: by the session's cookie, or for
``/v1/`` by an API token.  A cookie alone changes nothing under ``/v1/``: that needs an API token, or proof that the
session's own page asks (``believed``), neither of which another site can send along (CSRF).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from datetime import datetime
from typing import ClassVar, Final

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.entrance import Entrance
from lienthong.identity.models import ANONYMOUS, Actor, Right
from lienthong.identity.provider import ProviderRefused
from lienthong.identity.rights import LoginNeeded, may, require
from lienthong.identity.sessions.keep import TOKEN_MARK, actor_of_token
from lienthong.identity.sessions.queries import end_provider_sessions
from lienthong.storage.pool import reading

Answer = Callable[[Request], Awaitable[Response]]
SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
MOST_ACTS: Final = 200
NO_STORE: Final = {"Cache-Control": "no-store"}


class TokenRefused(Problem):
    """The bearer token is not one of this node's, is over or was withdrawn."""

    kind: ClassVar[str] = "token-refused"
    status: ClassVar[int] = 401
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The token does not count")


class ActorLayer:
    """ASGI middleware: ``scope["state"]["actor"]`` is who asks, ``ANONYMOUS`` for nobody."""

    def __init__(
        self, app: ASGIApp, entrance: Entrance, believed: Callable[[Request, str], bool] | None = None
    ) -> None:  # fmt: skip
        """``believed``: whether an unsafe request under ``/v1/`` comes from a page of the session with this id."""
        self.app = app
        self._entrance = entrance
        self._believed = believed

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Find out who asks, then go on."""
        if scope["type"] == "http":
            scope.setdefault("state", {})["actor"] = await self._actor(Request(scope))
        await self.app(scope, receive, send)

    async def _actor(self, request: Request) -> Actor:
        path = request.url.path
        if path.startswith("/static/"):
            return ANONYMOUS
        scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
        if path.startswith("/v1/") and scheme.lower() == "bearer" and bearer.startswith(TOKEN_MARK):
            return await self._by_token(bearer)
        secret = request.cookies.get(self._entrance.cookie, "")
        needs_proof = path.startswith("/v1/") and request.method not in SAFE
        if not secret or (needs_proof and self._believed is None):
            return ANONYMOUS
        async with reading(self._entrance.pool) as db:
            found = await self._entrance.actor(db, secret) or ANONYMOUS
        if needs_proof and not (self._believed and self._believed(request, found.session or "")):
            return ANONYMOUS
        return found

    async def _by_token(self, bearer: str) -> Actor:
        async with reading(self._entrance.pool) as db:
            found = await actor_of_token(db, bearer, self._entrance.now())
        if found is None:
            raise TokenRefused(
                T("This token is unknown here, over or withdrawn."),
                mend=T("Make a new one on the page of your account."),
            )
        return found


def actor_of(request: Request) -> Actor:
    """Who asks, as the layer found out."""
    found: Actor = getattr(request.state, "actor", ANONYMOUS)
    return found


def identity_routes(entrance: Entrance) -> list[BaseRoute]:
    """``/v1/me``, ``/v1/persons``, ``/v1/proposals``, ``/v1/audit`` and the providers' logout."""
    return [
        Route("/v1/me", _me, methods=["GET"]),
        Route("/v1/persons", _persons(entrance), methods=["GET"]),
        Route("/v1/proposals", _proposals(entrance), methods=["GET"]),
        Route("/v1/audit", _audit(entrance), methods=["GET"]),
        Route("/login/with/{provider}/ended", _ended(entrance), methods=["POST"]),
    ]


async def _me(request: Request) -> Response:
    actor = actor_of(request)
    if not actor.known:
        raise LoginNeeded(T("Nobody is signed in."), mend=T("Send a token, or sign in."))
    body = {
        "person": actor.person,
        "name": actor.name,
        "member": actor.member,
        "roles": sorted(actor.roles),
        "assurance": int(actor.assurance),
        "rights": sorted(right for right in Right if may(actor, right)),
    }
    return JSONResponse(body, headers=NO_STORE)


def _persons(entrance: Entrance) -> Answer:
    async def persons(request: Request) -> Response:
        """Persons of the own member with their roles."""
        actor = require(actor_of(request), Right.MANAGE_PERSONS)
        async with reading(entrance.pool) as db:
            found = await queries.persons_of(db, actor.member or "")
        told = [
            {"id": each.id, "name": each.name, "login": each.login, "roles": sorted(each.roles), "state": each.state,
             "synthetic": each.synthetic}
            for each in found
        ]  # fmt: skip
        return JSONResponse({"persons": told}, headers=NO_STORE)

    return persons


def _proposals(entrance: Entrance) -> Answer:
    async def proposals(request: Request) -> Response:
        """What waits for a second person, and how others ended."""
        actor = require(actor_of(request), Right.APPROVE_TRUST)
        async with reading(entrance.pool) as db:
            found = await queries.proposals_of(db, actor.member or "", MOST_ACTS)
        return JSONResponse({"proposals": [_plain(asdict(each)) for each in found]}, headers=NO_STORE)

    return proposals


def _audit(entrance: Entrance) -> Answer:
    async def audit(request: Request) -> Response:
        """Administrative acts, newest first; ``?before=`` a number goes on from there."""
        actor = require(actor_of(request), Right.SEE_AUDIT)
        before = request.query_params.get("before", "")
        async with reading(entrance.pool) as db:
            found = await queries.acts_of(db, actor.member or "", int(before) if before.isdigit() else None, MOST_ACTS)
        return JSONResponse({"acts": [_plain(asdict(each)) for each in found]}, headers=NO_STORE)

    return audit


def _plain(row: dict[str, object]) -> dict[str, object]:
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in row.items()}


def _ended(entrance: Entrance) -> Answer:
    async def ended(request: Request) -> Response:
        """OpenID Connect Back-Channel Logout 1.0, section 2.5: the provider says that a session is over."""
        provider = entrance.providers.get(request.path_params["provider"])
        if provider is None:
            raise ProviderRefused(T("This node has no such identity provider."))
        async with request.form(max_files=0, max_fields=4, max_part_size=16_384) as form:
            told = str(form.get("logout_token", ""))
        over = await provider.read_logout(told, entrance.now())
        async with reading(entrance.pool) as db:
            await end_provider_sessions(db, provider.issuer, sid=over.sid, subject=over.subject)
        return Response(status_code=200, headers=NO_STORE)

    return ended
