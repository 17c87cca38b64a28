"""The layer of sign-in, commanded by a test: whoever stands last in the list is looking."""

from __future__ import annotations

from starlette.types import ASGIApp, Receive, Scope, Send

from lienthong.identity.models import Actor


class SignedIn:
    """Sets ``request.state.actor`` as the real layer does."""

    def __init__(self, app: ASGIApp, signed_in: list[Actor]) -> None:
        self.app, self.signed_in = app, signed_in

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        scope.setdefault("state", {})["actor"] = self.signed_in[-1]
        await self.app(scope, receive, send)
