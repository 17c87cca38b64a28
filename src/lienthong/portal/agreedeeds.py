"""Deeds about requests for access and agreements: the same verbs as the officers' pages, for programs and commands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.agreements.answer import RefusalIncomplete
from lienthong.agreements.ending import NoticeBackdated
from lienthong.agreements.parties import NotAParty, UnknownNegotiation
from lienthong.agreements.states import NegotiationState
from lienthong.i18n import T
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed, require
from lienthong.portal.agreeing import MOST_DAYS_AHEAD, AgreementDesk, Asked, RequestNotHere
from lienthong.portal.deeds import BadInput, Deed, Facts, about
from lienthong.portal.words import VIETNAM

REQUEST: Final = "/work/requests/{pid}"
LONGEST_REASON: Final = 2_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Approval:
    """Which request is approved."""

    request: str = about("Id of the request, as GET /v1/requests lists it.")


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Which request is refused, and why."""

    request: str = about("Id of the request, as GET /v1/requests lists it.")
    reason: str = about("Why, in words.", most=LONGEST_REASON, lines=True)
    provision: str = about("The text and article of law that restrict sharing.", most=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Notice:
    """Which agreement ends, when and why."""

    agreement: str = about("Id of the agreement, as GET /v1/own/agreements lists it.")
    reason: str = about("Why, in words.", most=LONGEST_REASON, lines=True)
    provision: str = about("The text and article of law that it rests on.", most=300)
    day: date = about("The first day without it, from tomorrow on, in Việt Nam.")


def agreement_deeds(desk: AgreementDesk) -> tuple[Deed[Any], ...]:
    """Approve, refuse, end."""

    async def asked_of_us(actor: Actor, pid: str) -> Asked:
        asked = await desk.asked(str(actor.member), pid)
        if asked is None:
            raise RequestNotHere(
                T("No such request waits for your agency."), mend=T("It may have been answered; see the list.")
            )
        require(actor, Right.DECIDE_REQUESTS, asked.provider)
        return asked

    async def approve(actor: Actor, wish: Approval) -> Facts:
        asked = await asked_of_us(actor, wish.request)
        await desk.approve(asked.id, actor)
        return {"request": asked.id, "state": "approved"}

    async def refuse(actor: Actor, wish: Refused) -> Facts:
        asked = await asked_of_us(actor, wish.request)
        await desk.refuse(asked.id, actor, wish.reason, wish.provision)
        return {"request": asked.id, "state": "refused"}

    async def end(actor: Actor, wish: Notice) -> Facts:
        kept = next((each for each in await desk.agreements(str(actor.member)) if each.id == wish.agreement), None)
        if kept is None:
            raise RequestNotHere(T("Your agency has no such agreement."), mend=T("See the list of your agreements."))
        today = datetime.now(UTC).astimezone(VIETNAM).date()
        if not today < wish.day <= today + timedelta(days=MOST_DAYS_AHEAD):
            raise BadInput({"day": (T("Please give a day from tomorrow on."), {})})
        ends_at = datetime.combine(wish.day, time(), VIETNAM).astimezone(UTC)
        await desk.end(kept.id, actor, wish.reason, wish.provision, ends_at)
        return {"agreement": kept.id, "ends_at": ends_at}

    may_raise = (NotAllowed, RequestNotHere, UnknownNegotiation, NegotiationState, NotAParty)
    state = {"request": "Its id.", "state": "What became of it."}
    right = Right.DECIDE_REQUESTS
    return (
        Deed("requests/approve", T("Approve a request for access"), Approval, approve, right,
             problems=may_raise, elsewhere=True, gives=state, forms=(REQUEST,)),
        Deed("requests/refuse", T("Refuse a request for access"), Refused, refuse, right,
             problems=(*may_raise, RefusalIncomplete), elsewhere=True, gives=state, forms=(REQUEST,)),
        Deed("agreements/end", T("End an agreement"), Notice, end, right,
             problems=(NotAllowed, RequestNotHere, NoticeBackdated, NotAParty), elsewhere=True,
             gives={"agreement": "Its id.", "ends_at": "The first moment without it."},
             forms=("/work/agreements/{id}/end",)),
    )  # fmt: skip


def agreement_reads(desk: AgreementDesk) -> list[BaseRoute]:
    """``GET /v1/requests``, ``/v1/requests/{pid}`` and ``/v1/own/agreements``: for those who may see agreements."""

    async def requests(request: Request) -> Response:
        found = await desk.requests(str(_sees(request).member))
        return _answer({"requests": [_line(each) for each in found]})

    async def one(request: Request) -> Response:
        asked = await desk.asked(str(_sees(request).member), str(request.path_params["pid"]))
        if asked is None:
            raise RequestNotHere(
                T("No such request waits for your agency."), mend=T("It may have been answered; see the list.")
            )
        terms = {"legal_basis": asked.legal_basis, "permissions": [asdict(each) for each in asked.permissions]}
        return _answer(_line(asked) | terms)

    async def agreements(request: Request) -> Response:
        found = await desk.agreements(str(_sees(request).member))
        return _answer({"agreements": [asdict(each) for each in found]})

    doors = {"/v1/requests": requests, "/v1/requests/{pid}": one, "/v1/own/agreements": agreements}
    return [Route(path, door, methods=["GET"]) for path, door in doors.items()]


def _sees(request: Request) -> Actor:
    actor = actor_of(request)
    return require(actor, Right.SEE_AGREEMENTS, actor.member)


def _line(asked: Asked) -> dict[str, object]:
    left = ("permissions", "legal_basis")
    return {name: told for name, told in asdict(asked).items() if name not in left}


def _answer(body: object) -> Response:
    headers = {"Cache-Control": "no-store"}
    content = orjson.dumps(body, option=orjson.OPT_UTC_Z, default=str)
    return Response(content, 200, headers, "application/json")
