"""The figures of the front page: each leads to the view it stands on, the question that gives it, and its moment."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from types import MappingProxyType
from typing import ClassVar, Final

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from lienthong.errors import Problem, Side
from lienthong.i18n import T, translate
from lienthong.portal.queries import FIGURES, ViewRows
from lienthong.portal.shell import Pages, Shell, both
from lienthong.web import page_language

TITLES: Final[Mapping[str, str]] = MappingProxyType(
    {
        "members": T("members of the data space"),
        "nodes": T("nodes in the directory"),
        "records": T("uses of data on record at this node"),
        "refused": T("of them refused"),
        "agreements": T("agreements in force"),
        "services": T("services published here"),
        "open-uses": T("anonymous uses of open data"),
    }
)


class FigureNotHere(Problem):
    """No figure of the portal has the name asked for."""

    kind: ClassVar[str] = "figure-not-here"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such figure")


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure as it was at a moment."""

    key: str
    value: int
    at: datetime

    @property
    def title(self) -> str:
        """What it counts, a message."""
        return TITLES[self.key]

    @property
    def sql(self) -> str:
        """The question that gives it."""
        return FIGURES[self.key][1]

    @property
    def view(self) -> str:
        """The view it stands on."""
        return FIGURES[self.key][0]


def figure_pages(
    read: Callable[[], Awaitable[tuple[Figure, ...]]], look: Callable[[str], Awaitable[ViewRows]]
) -> Callable[[Shell], Pages]:
    """The pages, as a module of the portal; ``look`` gives what a view says now."""

    async def found(request: Request) -> Figure:
        key = str(request.path_params["key"])
        figure = next((each for each in await read() if each.key == key), None)
        if figure is None:
            raise FigureNotHere(T("The portal shows no figure with that name."), mend=T("Start from the front page."))
        return figure

    async def told(request: Request) -> Response:
        del request
        return JSONResponse({"figures": [_json(each) for each in await read()]}, headers={"Cache-Control": "no-cache"})

    async def told_one(request: Request) -> Response:
        figure = await found(request)
        behind = await look(figure.view)
        body = _json(figure) | {"view_sql": behind.sql, "columns": behind.columns, "rows": behind.rows}
        headers = {"Cache-Control": "no-cache"}
        return Response(orjson.dumps(body, default=str), media_type="application/json", headers=headers)

    def join(shell: Shell) -> Pages:
        async def one(request: Request) -> Response:
            figure = await found(request)
            title = translate(figure.title, page_language(request))
            return shell.page(request, "figure.html", title=title, figure=figure, behind=await look(figure.view))

        return Pages(
            (
                *both("/figures/{key}", one),
                Route("/v1/figures", told, methods=["GET"]),
                Route("/v1/figures/{key}", told_one, methods=["GET"]),
            )
        )

    return join


def _json(figure: Figure) -> dict[str, object]:
    return {
        "key": figure.key,
        "value": figure.value,
        "at": figure.at.isoformat(),
        "view": figure.view,
        "sql": figure.sql,
    }
