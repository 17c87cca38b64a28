"""Daily quotas of the member's agreements: granted, taken, held by gateways, refused; and asking for another one.

Promises: a quota stands in a signed agreement, so nobody changes it here alone: the consumer asks for a next version,
the provider approves or refuses it among the requests; what is counted is counted by this node for its own side.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Final, Literal, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from lienthong.agreements.models import TermsRefused
from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may, require
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.forms import Form, read_form
from lienthong.portal.models import Name
from lienthong.portal.noderooms import QUOTAS, rooms_for
from lienthong.portal.shell import Pages, Shell, both, prefix_of
from lienthong.web import page_language

PATH: Final = QUOTAS.path
TITLE: Final = QUOTAS.title
NEAR: Final = 0.8
"""From this part of the day's quota on somebody is told."""
LARGEST: Final = 1_000_000_000


class QuotaNotAsked(Problem):
    """Another quota can not be asked for: no such limited agreement of the member's own, or the rule says it."""

    kind: ClassVar[str] = "quota-not-asked"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This quota can not be asked for")


@dataclass(frozen=True, slots=True)
class QuotaLine:
    """One limited agreement on the day that is being counted."""

    agreement: str
    target: str
    title: Name
    other: Name
    """The member on the other side, or the class of members that a rule is for."""
    ours: Literal["provider", "consumer"]
    by_rule: bool
    quota: int
    """Uses a day that the agreement grants; the least, when its permissions differ."""
    taken: int
    """Of these, how many the gateways have used or hold."""
    used: int
    """How many are on record."""
    refused: int
    """Uses that were refused because the quota was used up."""
    waiting: bool = False
    """Whether a request for a next version of the agreement waits."""

    @property
    def leased(self) -> int:
        """Uses that gateways hold and have not recorded yet; what they do not need goes back within seconds."""
        return max(0, self.taken - self.used)

    @property
    def counted(self) -> int:
        """What counts against the quota."""
        return min(self.quota, max(self.taken, self.used))

    @property
    def percent(self) -> int:
        """Of the quota, in whole hundredths, rounded down: only all of it is 100."""
        return 100 * self.counted // self.quota

    @property
    def state(self) -> Literal["free", "near", "full"]:
        """How much is left, in a word."""
        return "full" if self.counted >= self.quota else "near" if self.counted >= NEAR * self.quota else "free"

    @property
    def can_ask(self) -> bool:
        """Whether the member may ask for another quota."""
        return self.ours == "consumer" and not self.by_rule and not self.waiting


@dataclass(frozen=True, slots=True)
class QuotaPage:
    """What the page shows."""

    at: datetime
    lines: tuple[QuotaLine, ...]
    """The fullest first."""
    unlimited: int
    """Agreements of the member without a quota."""
    whole: bool
    """False: there were more uses today than were looked through, so ``used`` and ``refused`` are at least these."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherQuota:
    """Which agreement, how many uses a day, and why."""

    agreement: str = about("Id of the agreement, as GET /v1/own/quotas lists it.", most=200)
    quota: int = about("Uses a day that are wanted.", least=1, most=LARGEST)
    note: str = about("Why, in words; the provider reads it.", most=2_000, lines=True)


class QuotaDesk(Protocol):
    """What the node does for this page."""

    async def page(self, member: str) -> QuotaPage:
        """The limited agreements of ``member`` today."""
        ...

    async def near(self, member: str) -> Sequence[QuotaLine]:
        """Those of which most is taken, without looking through the log: for what is asked often."""
        ...

    async def ask(self, actor: Actor, wish: OtherQuota) -> str:
        """Ask the provider for a next version with another quota; the request's id.  Raises QuotaNotAsked."""
        ...


def quota_deeds(desk: QuotaDesk) -> tuple[Deed[Any], ...]:
    """Ask for another quota."""

    async def ask(actor: Actor, wish: OtherQuota) -> Facts:
        require(actor, Right.ASK_ACCESS, actor.member)
        return {"request": await desk.ask(actor, wish)}

    return (
        Deed("quotas/ask", T("Ask for another daily quota"), OtherQuota, ask, Right.ASK_ACCESS,
             problems=(QuotaNotAsked, TermsRefused), elsewhere=True, forms=(PATH,),
             gives={"request": "Id of the request, which the provider approves or refuses."}),
    )  # fmt: skip


def quota_reads(desk: QuotaDesk) -> list[BaseRoute]:
    """``GET /v1/own/quotas``."""

    async def told(request: Request) -> Response:
        actor = require(actor_of(request), Right.SEE_AGREEMENTS)
        page = await desk.page(str(actor.member))
        quotas = [
            {
                "agreement": each.agreement, "target": each.target, "ours": each.ours, "by_rule": each.by_rule,
                "quota": each.quota, "taken": each.taken, "used": each.used, "leased": each.leased,
                "refused": each.refused, "state": each.state, "waiting": each.waiting,
            }
            for each in page.lines
        ]  # fmt: skip
        answer = {"at": page.at.isoformat(), "whole": page.whole, "unlimited": page.unlimited, "quotas": quotas}
        return JSONResponse(answer, headers={"Cache-Control": "no-store"})

    return [Route("/v1/own/quotas", told, methods=["GET"])]


def quota_pages(desk: QuotaDesk) -> Callable[[Shell], Pages]:
    """The page, as a module of the portal."""

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            actor = require(actor_of(request), Right.SEE_AGREEMENTS)
            form, asks = Form(), may(actor, Right.ASK_ACCESS, actor.member)
            if request.method == "POST":
                require(actor, Right.ASK_ACCESS, actor.member)
                form = await read_form(request, shell)
                if await _asked(form, desk, actor):
                    return RedirectResponse(f"{prefix_of(request)}{PATH}?done=asked", 303)
            shown = await desk.page(str(actor.member))
            return shell.page(
                request, "quotas.html", title=translate(TITLE, page_language(request)), page=shown, form=form,
                status=422 if form.wrong else 200, done=request.query_params.get("done", ""),
                may_ask=_may_ask(shown.lines) if asks else (), rooms=rooms_for(actor),
            )  # fmt: skip

        return Pages(both(PATH, page, ("GET", "POST")), (QUOTAS,))

    return join


def _may_ask(lines: Sequence[QuotaLine]) -> tuple[QuotaLine, ...]:
    return tuple(each for each in lines if each.can_ask)


async def _asked(form: Form, desk: QuotaDesk, actor: Actor) -> bool:
    agreement = form.text("agreement", most=200)
    quota = form.whole("quota", least=1, most=LARGEST)
    note = form.lines("note", most=2_000)
    if not form.good or quota is None:
        return False
    try:
        await desk.ask(actor, OtherQuota(agreement=agreement, quota=quota, note=note))
    except Problem as problem:
        form.fault("", problem.message, **problem.facts)
        return False
    return True
