"""Who may come in at the public listener: the ways in as configured, put around the pages and the API."""

from __future__ import annotations

import asyncio
from typing import ClassVar

import structlog
from starlette.applications import Starlette

from lienthong.config import IdentityProvider, Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity.approvals import Approvals, expire
from lienthong.identity.entrance import Entrance
from lienthong.identity.http import ActorLayer
from lienthong.identity.models import Actor, Assurance, Right
from lienthong.identity.provider import Provider
from lienthong.identity.rights import LoginNeeded, may
from lienthong.identity.roles import giving_roles
from lienthong.identity.sessions.keep import forget_the_past
from lienthong.node.local import Local
from lienthong.portal.forms import believed
from lienthong.portal.queries import forget_deeds, forget_forms
from lienthong.portal.shell import Shell, Visitor
from lienthong.portal.signin import LoginNeededPage
from lienthong.storage.pool import reading

log = structlog.get_logger("lienthong.identity")
TIDY_S = 60.0


class NoProviderSecret(Problem):
    """The secret that the identity provider gave us is not where it should be."""

    kind: ClassVar[str] = "no-provider-secret"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The identity provider's secret is missing")


def entrance_of(local: Local) -> Entrance:
    """The ways in; raises NoProviderSecret."""
    settings = local.settings
    return Entrance(
        pool=local.pool,
        key=local.keyring.secret("identity"),
        public_url=settings.public_url,
        members=settings.members,
        approvals=Approvals([giving_roles(national=settings.national)], least=least_assurance(settings)),
        national=settings.national,
        providers={each.name: _provider(local, each) for each in settings.identity_providers},
    )


def least_assurance(settings: Settings) -> Assurance:
    """How sure we must be of who changes trust; on a node of made-up data nobody's is at stake, nor has a passkey."""
    return Assurance.ONE_FACTOR if settings.synthetic else Assurance.TWO_FACTORS


def guard_pages(app: Starlette, shell: Shell, entrance: Entrance) -> None:
    """Put the layer that knows who asks around ``app``, and the way to the sign-in; before ``web.install``."""
    app.add_middleware(ActorLayer, entrance=entrance, believed=believed(shell))
    app.add_exception_handler(LoginNeeded, LoginNeededPage(shell, entrance))


def has_right(visitor: Visitor, right: str) -> bool:
    """Whether the navigation shows an entry that needs ``right``."""
    return isinstance(visitor, Actor) and may(visitor, Right(right))


async def keep_tidy(entrance: Entrance) -> None:
    """End proposals nobody decided, forget what counts no more; for as long as the process runs."""
    while True:
        try:
            async with reading(entrance.pool) as db:
                await expire(db, entrance.now())
                await forget_the_past(db, entrance.now())
                await forget_forms(db)
                await forget_deeds(db)
        except Exception as failed:  # a task's root: the next round tries again
            log.warning("identity.not-tidied", error=type(failed).__name__)
        await asyncio.sleep(TIDY_S)


def _provider(local: Local, told: IdentityProvider) -> Provider:
    secret = local.settings.data / "secrets" / f"oidc-{told.name}"
    if not secret.exists():
        raise NoProviderSecret(
            T("There is no file {file} with the secret of the identity provider {name}."),
            mend=T("Write the client secret into it, readable by this node's account alone."),
            file=str(secret),
            name=told.name,
        )
    return Provider(
        name=told.name,
        title=told.title or told.name,
        issuer=told.issuer,
        client_id=told.client_id,
        client_secret=secret.read_text("utf-8").strip(),
        callback=f"{local.settings.public_url.rstrip('/')}/login/with/{told.name}/back",
        levels=told.levels,
        ask_levels=told.ask_levels,
        least=Assurance(told.least),
        audience=told.audience,
        number_claim=told.number_claim,
    )
