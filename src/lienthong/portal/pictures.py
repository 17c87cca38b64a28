"""Pictures of the exchange: calls over time, who exchanges with whom, which provinces take part; each with its table.

Promises: a picture is drawn in the sandbox at most once a minute however many look; without a sandbox the tables stand
alone; every figure of a picture stands in the table below it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final, Literal, cast, get_args

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.i18n import LANGUAGES, Language, T, translate
from lienthong.portal.charts import NUMBERS, Between, Hour, Paper, calls_over_time, exchange_graph, told
from lienthong.portal.mapfiles import Draw as DrawFile
from lienthong.portal.mapfiles import MapSheet, NoPicture, map_routes
from lienthong.portal.models import Name
from lienthong.portal.sheet import Row, Sheet, columns_of, part_of, rows_of
from lienthong.portal.shell import Pages, Section, Shell, both
from lienthong.portal.words import VIETNAM, WAYS
from lienthong.web import page_language

TITLE: Final = T("In pictures")
KEPT_S: Final = 60.0
Picture = Literal["calls", "graph", "map"]
TITLES: Final[Mapping[Picture, str]] = {
    "calls": T("Uses by hour"),
    "graph": T("Who exchanges with whom"),
    "map": T("Members by province"),
}
Draw = Callable[[Mapping[str, Any], Mapping[str, object]], Awaitable[str]]
"""SVG of a Vega-Lite specification, numbers written as given."""


@dataclass(frozen=True, slots=True)
class Province:
    """A province and how many members act there."""

    code: str
    name: Name
    members: int


@dataclass(frozen=True, slots=True)
class Shown:
    """What the pictures show."""

    at: datetime
    hours: tuple[Hour, ...]
    pairs: tuple[Between, ...]
    provinces: tuple[Province, ...]
    by_nodes: bool = False
    """Whether the uses are those that all nodes told last; else those in this node's own log."""

    def specification(self, picture: Picture, language: Language, paper: Paper) -> dict[str, Any] | None:
        """What is to be drawn; None while there is nothing."""
        if picture == "calls":
            return calls_over_time(self.hours, language, paper) if self.hours else None
        if picture == "graph":
            return exchange_graph(self.pairs, language, paper) if self.pairs else None
        return self.map_sheet().specification(language)

    def map_sheet(self) -> MapSheet:
        """The map of the members, with its table."""
        provinces = tuple(Row((each.name, each.code, each.members)) for each in self.provinces)
        return MapSheet(
            title=TITLES["map"],
            legend=T("Members"),
            day=self.at.astimezone(VIETNAM).date(),
            steps=(2, 5, 20, 100),
            coloured="members",
            codes=tuple(each.code for each in self.provinces),
            sheet=Sheet("thanh-vien-theo-tinh", TITLES["map"], PROVINCES, provinces, self.at),
        )


class Gallery:
    """Pictures as drawn, kept for a minute; one drawing at a time for each."""

    def __init__(self, read: Callable[[], Awaitable[Shown]], draw: Draw) -> None:
        self._read = read
        self._draw = draw
        self._drawn: dict[tuple[Picture, Language, Paper], tuple[float, asyncio.Task[str | None]]] = {}

    async def svg(self, picture: Picture, language: Language, paper: Paper) -> str | None:
        """The picture, at most a minute old; None while there is nothing to draw.  Raises the sandbox's Problems."""
        now = asyncio.get_running_loop().time()
        at, task = self._drawn.get((picture, language, paper), (0.0, None))
        failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
        if task is None or failed or now - at > KEPT_S:
            task = asyncio.create_task(self._new(picture, language, paper))
            self._drawn[picture, language, paper] = (now, task)
        return await asyncio.shield(task)

    async def _new(self, picture: Picture, language: Language, paper: Paper) -> str | None:
        wanted = (await self._read()).specification(picture, language, paper)
        return await self._draw(wanted, NUMBERS[language]) if wanted else None


def picture_pages(read: Callable[[], Awaitable[Shown]], draw: Draw, draw_file: DrawFile) -> Callable[[Shell], Pages]:
    """The page and its pictures, as a module of the portal; ``draw_file`` draws the map for those who take it away."""
    gallery = Gallery(read, draw)

    async def picture(request: Request) -> Response:
        name, language, paper = (str(request.path_params[part]) for part in ("name", "language", "paper"))
        if name not in TITLES or language not in LANGUAGES or paper not in get_args(Paper):
            raise _no_picture()
        drawn = await gallery.svg(name, language, cast("Paper", paper))
        if drawn is None:
            raise _no_picture()
        # The map's SVG carries style attributes of its own; it is shown as an image, where nothing in it can act.
        headers = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
        return Response(drawn, media_type="image/svg+xml", headers=headers | {"Cache-Control": "max-age=60"})

    async def the_map(request: Request) -> MapSheet:
        del request
        return (await read()).map_sheet()

    def join(shell: Shell) -> Pages:
        async def page(request: Request) -> Response:
            language, shown = page_language(request), await read()
            sheets = _sheets(shown)
            return shell.page(
                request,
                "pictures.html",
                title=translate(TITLE, language),
                shown=shown,
                pictures=[(name, TITLES[name], sheet, part_of(sheet, 1, 100)) for name, sheet in sheets],
                busiest=told(shown.pairs, language),
            )

        async def tables(request: Request) -> Response:
            del request
            shown = await read()
            listed = [{"name": name, "rows": rows_of(sheet)} for name, sheet in _sheets(shown)]
            body = {"at": shown.at.isoformat(), "by_nodes": shown.by_nodes, "pictures": listed}
            return JSONResponse(body, headers={"Cache-Control": "no-cache"})

        routes = (
            *both("/pictures", page),
            *map_routes("members", the_map, draw_file),
            Route("/pictures/{name}.{language}.{paper}.svg", picture, methods=["GET"]),
            Route("/v1/pictures", tables, methods=["GET"]),
        )
        return Pages(routes, (Section("/pictures", TITLE),))

    return join


def _no_picture() -> NoPicture:
    return NoPicture(T("There is no such picture, or nothing to draw in it yet."), mend=T("See the page of pictures."))


def _sheets(shown: Shown) -> Sequence[tuple[Picture, Sheet]]:
    hours = tuple(
        Row((each.at, Name(translate(WAYS[each.way], "vi"), WAYS[each.way]), each.records)) for each in shown.hours
    )
    pairs = tuple(Row((each.provider, each.consumer, each.records)) for each in shown.pairs)
    return (
        ("calls", Sheet("su-dung-theo-gio", TITLES["calls"], HOURS, hours, shown.at)),
        ("graph", Sheet("trao-doi-giua-don-vi", TITLES["graph"], PAIRS, pairs, shown.at)),
        ("map", shown.map_sheet().sheet),
    )


HOURS: Final = columns_of(("hour", T("Hour")), ("way", T("Way")), ("records", T("Records"), "figure"))
PAIRS: Final = columns_of(("provider", T("Provider")), ("consumer", T("Consumer")), ("records", T("Records"), "figure"))
PROVINCES: Final = columns_of(("name", T("Province")), ("code", T("Code"), "code"), ("members", T("Members"), "figure"))
