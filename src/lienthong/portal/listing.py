"""Pages that are one table: searched, leafed through, downloaded, with the same as JSON beside them.

``listing`` makes all the routes of such a page: the page in both languages, ``/v1<path>`` for programs, and
``/v1<path>.xlsx`` and ``.csv`` for spreadsheets.  JSON names its next page in ``Link``.  ``q`` searches, ``page``
leafs, ``day`` is for ``asked_day``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import ClassVar, Final
from urllib.parse import urlencode

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.portal.finding import Wanted, wanted
from lienthong.portal.sheet import MOST_PER_PAGE, PER_PAGE, Part, Sheet, as_csv, as_json, as_workbook, part_of
from lienthong.portal.shell import Shell, both
from lienthong.portal.words import VIETNAM
from lienthong.web import page_language

Read = Callable[[Request], Awaitable[Sheet]]
Facts = Callable[[Request], Awaitable[Mapping[str, object]]]


class NotADay(Problem):
    """``day`` in the address is no day, or lies before anything is known or beyond the next century."""

    kind: ClassVar[str] = "not-a-day"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This is not a day")


FIRST_DAY: Final = date(2004, 1, 1)
LAST_DAY: Final = date(2099, 12, 31)


@dataclass(frozen=True, slots=True)
class Listing:
    """One page that is a table."""

    path: str
    title: str
    """A message marked with ``T``."""
    lead: str
    """A message marked with ``T``: what the page tells, in a sentence or two."""
    read: Read
    template: str = "sheet.html"
    facts: Facts | None = None
    """What the template shows beside the table."""
    empty: str = T("Nothing to show yet.")
    dated: bool = False
    """Whether the table is as of a day that can be asked for."""
    json: str = ""
    """Where the same stands as JSON when another door already tells it; else ``/v1<path>``."""


def listing(shell: Shell, page: Listing) -> tuple[BaseRoute, ...]:
    """All routes of ``page``."""

    async def shown(request: Request) -> Response:
        looked = _looked_for(request)
        sheet = (await page.read(request)).matching(looked)
        facts = await page.facts(request) if page.facts else {}
        address = _kept(request, "q", "day")
        return shell.page(
            request,
            page.template,
            title=translate(page.title, page_language(request)),
            listing=page,
            sheet=sheet,
            part=part_of(sheet, _number(request, "page", 1)),
            wanted=looked,
            typed=request.query_params.get("q", ""),
            day=asked_day(request),
            address=address,
            json=(page.json or f"/v1{page.path}") + _kept(request, "q", "day").rstrip("?&"),
            beside=facts,
        )

    async def told(request: Request) -> Response:
        sheet = (await page.read(request)).matching(_looked_for(request))
        per_page = min(max(_number(request, "per_page", PER_PAGE), 1), MOST_PER_PAGE)
        part = part_of(sheet, _number(request, "page", 1), per_page)
        answer = as_json(sheet, part)
        if links := _links(request, part):
            answer.headers["Link"] = links
        return answer

    async def workbook(request: Request) -> Response:
        return as_workbook((await page.read(request)).matching(_looked_for(request)), page_language(request))

    async def text(request: Request) -> Response:
        return as_csv((await page.read(request)).matching(_looked_for(request)), page_language(request))

    return (
        *both(page.path, shown),
        *(() if page.json else (Route(f"/v1{page.path}", told, methods=["GET"]),)),
        Route(f"/v1{page.path}.xlsx", workbook, methods=["GET"]),
        Route(f"/v1{page.path}.csv", text, methods=["GET"]),
    )


def asked_day(request: Request) -> date:
    """The day that the address asks for, today in Việt Nam without one.  Raises NotADay."""
    told = request.query_params.get("day", "").strip()
    if not told:
        return datetime.now(UTC).astimezone(VIETNAM).date()
    try:
        day = date.fromisoformat(told)
    except ValueError:
        day = None
    if day is None or not FIRST_DAY <= day <= LAST_DAY:
        raise NotADay(
            T("{day} is not a day that can be asked for."),
            mend=T("Write a day as 2026-12-31, from 2004 to 2099."),
            day=told[:20],
        )
    return day


def _looked_for(request: Request) -> Wanted:
    return wanted(request.query_params.get("q", ""))


def _number(request: Request, name: str, default: int) -> int:
    told = request.query_params.get(name, "")
    return int(told) if told.isascii() and told.isdigit() and len(told) < 7 else default


def _links(request: Request, part: Part) -> str:
    """The next and the previous page of the same question (RFC 8288)."""
    near = {"next": part.page + 1, "prev": part.page - 1}
    asked = [(name, told) for name, told in request.query_params.multi_items() if name != "page"]
    return ", ".join(
        f'<{request.url.path}?{urlencode([*asked, ("page", str(page))])}>; rel="{rel}"'
        for rel, page in near.items()
        if 1 <= page <= part.pages
    )


def _kept(request: Request, *names: str) -> str:
    """The query that stays when one leafs on, ending so that another part can follow."""
    kept = [(name, told) for name in names if (told := request.query_params.get(name))]
    return f"?{urlencode(kept)}&" if kept else "?"
