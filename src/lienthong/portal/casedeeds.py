"""Deeds about cases: open one, move it, answer, extend, pause, resume; one case as JSON with its version as ETag."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.cases import moving, queries
from lienthong.cases.kinds import NoSuchKind, shipped_kinds
from lienthong.cases.models import Case
from lienthong.cases.moving import CaseChanged, CaseNotPossible, RefusalUnfounded
from lienthong.cases.moving import Deed as Moved
from lienthong.cases.opening import LONGEST_TEXT, LONGEST_TITLE, BadCase, Wish, open_case
from lienthong.cases.reading import NoSuchCase, case_for
from lienthong.i18n import T
from lienthong.identity.http import actor_of
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import NotAllowed
from lienthong.portal.deeds import BadInput, Deed, Facts, about
from lienthong.storage.pool import Connection, Pool, reading

FORMS: Final = ("/cases/{case}",)
GIVES: Final = {
    "case": "Its id.",
    "state": "The state it is in now.",
    "version": "Its version, for the next deed.",
    "due": "The first moment that is too late to settle it.",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Opened:
    """A case to be opened."""

    kind: str = about("Kind of the case.", among=tuple(sorted(kind.name for kind in shipped_kinds())))
    owner: str = about("Id of the member that must act.")
    title: str = about("What it is, in a line; no names of persons.", most=LONGEST_TITLE)
    text: str = about("What there is to say.", default="", most=LONGEST_TEXT, lines=True)
    matter: str = about("What is asked for, where the kind knows several matters.", default="")
    about: str | None = about("The refused case that a dispute is about.", default=None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """Something done to a case."""

    case: str = about("Id of the case.")
    version: int | None = about("The version that was read; or send If-Match.", default=None, least=1)
    text: str = about("What to say with it.", default="", most=LONGEST_TEXT, lines=True)
    reason: str = about("Why; a refusal, an extension and a pause need it.", default="", most=LONGEST_TEXT, lines=True)
    provision: str = about("The text and article of law; a refusal needs it.", default="", most=300)


@dataclass(frozen=True, slots=True, kw_only=True)
class Moving(Said):
    """A case and the state it is to be in."""

    target: str = about("The state it moves to.")


def case_deeds(pool: Pool, is_member: Callable[[str], bool]) -> tuple[Deed[Any], ...]:
    """All that the page of a case does, and opening one; ``is_member``: whether the directory knows a member."""

    async def opened(actor: Actor, wish: Opened) -> Facts:
        if not is_member(wish.owner):
            raise BadInput({"owner": (T("The directory knows no such member."), {})})
        told = Wish(wish.kind, wish.owner, wish.title, wish.text, wish.matter, wish.about)
        async with reading(pool) as db:
            return _facts(await open_case(db, told, by=actor, now=datetime.now(UTC)))

    async def moved(actor: Actor, wish: Moving) -> Facts:
        async with reading(pool) as db:
            return _facts(await moving.move(db, _said(actor, wish), wish.target, datetime.now(UTC)))

    def verb(
        act: Callable[[Connection, Moved, datetime], Awaitable[Case]],
    ) -> Callable[[Actor, Said], Awaitable[Facts]]:
        async def done(actor: Actor, wish: Said) -> Facts:
            async with reading(pool) as db:
                return _facts(await act(db, _said(actor, wish), datetime.now(UTC)))

        return done

    may_raise = (NoSuchCase, CaseChanged, CaseNotPossible, NotAllowed, BadCase, NoSuchKind)
    verbs: Mapping[str, tuple[str, Callable[[Actor, Said], Awaitable[Facts]]]] = {
        "answer": (T("Answer in a case"), verb(moving.answer)),
        "extend": (T("Extend the time of a case"), verb(moving.extend)),
        "pause": (T("Pause the clock of a case"), verb(moving.pause)),
        "resume": (T("Resume a case"), verb(moving.resume)),
    }
    return (
        Deed("cases/open", T("Open a case"), Opened, opened, Right.OPEN_CASES,
             problems=(BadCase, NoSuchKind, NoSuchCase, NotAllowed), gives=GIVES,
             forms=("/mine/uses/{record_hash}", "/cases/open/{kind}")),
        Deed("cases/move", T("Move a case to another state"), Moving, moved, changed=CaseChanged,
             problems=(*may_raise, RefusalUnfounded), gives=GIVES, forms=FORMS),
        *(Deed(f"cases/{name}", title, Said, done, changed=CaseChanged, problems=may_raise, gives=GIVES, forms=FORMS)
          for name, (title, done) in verbs.items()),
    )  # fmt: skip


def case_reads(pool: Pool) -> list[BaseRoute]:
    """``GET /v1/cases/{case}``: one case with its history, for those who may see it; its version is its ETag."""

    async def one(request: Request) -> Response:
        actor, case_id = actor_of(request), str(request.path_params["case"])
        async with reading(pool) as db:
            case = await case_for(db, case_id, actor)
            events = await queries.events_of(db, case.id)
            files = await queries.evidence_of(db, case.id)
        evidence = [asdict(each) | {"sha256": each.sha256.hex(), "href": f"/cases/{case.id}/files/{each.id}"}
                    for each in files]  # fmt: skip
        body = asdict(case) | {"events": [asdict(each) for each in events], "evidence": evidence}
        headers = {"ETag": f'"{case.version}"', "Cache-Control": "no-store"}
        return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), 200, headers, "application/json")

    return [Route("/v1/cases/{case}", one, methods=["GET"])]


def _said(actor: Actor, wish: Said) -> Moved:
    return Moved(wish.case, wish.version, actor, wish.text, wish.reason, wish.provision)


def _facts(case: Case) -> Facts:
    return {"case": case.id, "state": case.state, "version": case.version, "due": case.due}
