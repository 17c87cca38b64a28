"""How often pages are looked at: counted by the server per day and kind of page, and shown to everybody.

Promises: nothing of who looked is noted - no address, no cookie, no browser, not even the moment; a page is named by
the pattern of its address, so no id in an address is; days that are not over, and numbers under ten, are not told.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import ClassVar, Final, cast, get_args

import structlog
from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from lienthong.errors import Problem, Side
from lienthong.i18n import LANGUAGES, T
from lienthong.portal.charts import NUMBERS, Paper, views_by_day
from lienthong.portal.listing import Listing, listing
from lienthong.portal.models import Name
from lienthong.portal.pictures import Draw
from lienthong.portal.queries import add_visits
from lienthong.portal.sheet import Row, Sheet, columns_of
from lienthong.portal.shell import Pages, Shell
from lienthong.portal.words import VIETNAM
from lienthong.storage.pool import DatabaseFailed, Pool, reading

log = structlog.get_logger("lienthong.visits")
TITLE: Final = T("Visits")
LEAD: Final = T(
    "How often each kind of page was shown, counted by this server by day. Nobody is followed: no cookie, no address "
    "and no browser is noted, today is not told before it is over, and pages shown less than ten times count together."
)
OTHERS: Final = T("Pages shown less than ten times")
COLUMNS: Final = columns_of(("day", T("Day")), ("page", T("Page"), "code"), ("views", T("Times shown"), "figure"))
FLUSH_EVERY_S: Final = 30.0
PICTURED_DAYS: Final = 60
MOST_DRAWN: Final = len(LANGUAGES) * len(get_args(Paper))

Visit = tuple[date, str, int]
"""Day, page, times shown; page "" stands for those counted together."""


class NoVisits(Problem):
    """No day is over yet whose visits could be drawn, or there is no such picture."""

    kind: ClassVar[str] = "no-visits"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No visits to draw")


@dataclass(slots=True)
class Visits:
    """Counts in memory what was shown since they were last written down."""

    pool: Pool
    today: Callable[[], date] = lambda: datetime.now(UTC).astimezone(VIETNAM).date()
    _seen: Counter[tuple[date, str]] = field(default_factory=Counter[tuple[date, str]])

    def count(self, page: str) -> None:
        """One more view of ``page`` today."""
        self._seen[self.today(), page] += 1

    async def flush(self) -> None:
        """Write down what was counted; what the database does not take stays for the next time."""
        taken, self._seen = self._seen, Counter[tuple[date, str]]()
        for day in sorted({day for day, _ in taken}):
            views = {page: count for (on, page), count in taken.items() if on == day}
            try:
                async with reading(self.pool) as db:
                    await add_visits(db, day, views)
            except (Problem, DatabaseFailed, OSError) as failed:
                self._seen.update({(day, page): count for page, count in views.items()})
                log.warning("visits.not-written", error=type(failed).__name__)

    async def keep(self) -> None:
        """Write down again and again; for as long as the process runs."""
        while True:
            await asyncio.sleep(FLUSH_EVERY_S)
            await self.flush()


class VisitLayer:
    """ASGI middleware: counts pages that were shown, by the pattern of their route."""

    def __init__(self, app: ASGIApp, visits: Visits) -> None:
        self.app = app
        self._visits = visits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass on; count once a page was answered."""
        if scope["type"] != "http" or scope["method"] != "GET":
            await self.app(scope, receive, send)
            return
        shown = False

        async def watched(message: Message) -> None:
            nonlocal shown
            if message["type"] == "http.response.start":
                kind = Headers(raw=message["headers"]).get("content-type", "")
                shown = message["status"] == 200 and kind.startswith("text/html")
            await send(message)

        await self.app(scope, receive, watched)
        pattern = getattr(scope.get("route"), "path", "")
        if shown and pattern:
            self._visits.count(pattern.removeprefix("/en") or "/")


def visit_pages(read: Callable[[], Awaitable[Sequence[Visit]]], draw: Draw) -> Callable[[Shell], Pages]:
    """The page, its table as files and its picture."""
    drawn: dict[tuple[object, ...], str] = {}

    async def sheet(request: Request) -> Sheet:
        del request
        others = Name("Các trang được xem dưới mười lần", OTHERS)
        rows = tuple(Row((day, page or others, views)) for day, page, views in await read())
        return Sheet("luot-xem", TITLE, COLUMNS, rows, datetime.now(UTC))

    async def facts(request: Request) -> Mapping[str, object]:
        del request
        return {"drawn": bool(await read())}

    async def picture(request: Request) -> Response:
        language, paper = (str(request.path_params[part]) for part in ("language", "paper"))
        days = Counter[date]()
        for day, _, views in await read():
            days[day] += views
        if not days or language not in LANGUAGES or paper not in get_args(Paper):
            raise NoVisits(T("There is nothing to draw here yet."), mend=T("See the page of visits."))
        key = (language, paper, *sorted(days.items()))
        if key not in drawn:
            if len(drawn) >= MOST_DRAWN:
                drawn.clear()
            wanted = views_by_day(sorted(days.items())[-PICTURED_DAYS:], language, cast("Paper", paper))
            drawn[key] = await draw(wanted, NUMBERS[language])
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(drawn[key], media_type="image/svg+xml", headers=headers | {"Cache-Control": "max-age=60"})

    def join(shell: Shell) -> Pages:
        empty = T("No day is over yet since counting began; the first appears here after midnight.")
        page = Listing("/visits", TITLE, LEAD, sheet, template="visits.html", facts=facts, empty=empty)
        routes = (*listing(shell, page), Route("/visits/{language}.{paper}.svg", picture, methods=["GET"]))
        return Pages(routes)

    return join
