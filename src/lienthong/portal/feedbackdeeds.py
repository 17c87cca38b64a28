"""Feedback for programs: anybody sends it, its code says how it stands."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.cases.opening import LONGEST_TEXT, BadCase, Wish, open_case
from lienthong.cases.queries import case_by_id
from lienthong.i18n import T
from lienthong.identity.models import Actor, Right
from lienthong.identity.rights import may
from lienthong.portal.deeds import Deed, Facts, about
from lienthong.portal.feedback import KIND, Limit, NoSuchFeedback, TooMuchFeedback, page_path
from lienthong.storage.pool import Pool, reading

_CODE: Final = re.compile(r"[0-9a-f]{16}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What somebody has to say about a page."""

    page: str = about("Path of the page; no query.", default="/", most=300)
    text: str = about("What is good, wrong or missing; no personal data.", most=LONGEST_TEXT, lines=True)


def feedback_deeds(pool: Pool, owner: str, limit: Limit | None = None) -> tuple[Deed[Any], ...]:
    """Sending it; ``owner`` is the member that must act."""
    limit = limit or Limit()

    async def send(actor: Actor, wish: Said) -> Facts:
        path = page_path(wish.page)
        by = actor if may(actor, Right.OPEN_CASES) else None
        told = Wish(KIND, owner, path, wish.text, facts={"page": path})
        async with reading(pool) as db:
            case = await open_case(db, told, by=by, now=datetime.now(UTC))
        return {"code": case.id, "state": case.state}

    return (
        Deed("feedback/send", T("Send feedback on a page"), Said, send, anybody=True, place=limit.take,
             problems=(TooMuchFeedback, BadCase), forms=("/feedback",),
             gives={"code": "What leads to it later: GET /v1/feedback/<code>.", "state": "How it stands."}),
    )  # fmt: skip


def feedback_reads(pool: Pool) -> list[BaseRoute]:
    """``GET /v1/feedback/{code}``."""

    async def one(request: Request) -> Response:
        code = str(request.path_params["code"])
        async with reading(pool) as db:
            case = await case_by_id(db, code) if _CODE.fullmatch(code) else None
        if case is None or case.kind != KIND:
            raise NoSuchFeedback(
                T("There is no feedback with this code."), mend=T("Compare it with the one that was shown.")
            )
        body = {"code": case.id, "page": case.title, "state": case.state, "opened_at": case.opened_at,
                "ended_at": case.ended_at}  # fmt: skip
        headers = {"Cache-Control": "no-store"}
        return Response(orjson.dumps(body, option=orjson.OPT_UTC_Z), 200, headers, "application/json")

    return [Route("/v1/feedback/{code}", one, methods=["GET"])]
