"""A map of the provinces as files: SVG and PNG to look at, GeoJSON to build on, figures as xlsx, CSV and JSON.

Promises: Hoàng Sa and Trường Sa are in every file, in both languages, also when a search leaves their province out;
however many people ask, a picture is drawn once a minute, two at a time at most.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import date
from typing import Any, ClassVar, Final, Literal, get_args

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from lienthong.errors import Problem, Side
from lienthong.i18n import LANGUAGES, Language, T, translate
from lienthong.law.shapes import FIRST_DAY, Feature, map_of_provinces
from lienthong.law.units import unit_on
from lienthong.portal.charts import NUMBERS
from lienthong.portal.finding import Wanted, wanted
from lienthong.portal.maps import map_specification
from lienthong.portal.models import Name
from lienthong.portal.sheet import Sheet, as_csv, as_json, as_workbook, part_of
from lienthong.web import page_language

KEPT_S: Final = 60.0
MOST_KEPT: Final = 64
AT_ONCE: Final = 2
Ending = Literal["svg", "png"]
Draw = Callable[[Mapping[str, Any], Mapping[str, object], Ending], Awaitable[bytes]]
"""A Vega-Lite specification drawn as SVG or PNG, numbers written as given."""
MEDIA: Final[Mapping[Ending, str]] = {"svg": "image/svg+xml", "png": "image/png"}
GEOJSON: Final = "application/geo+json"
"""RFC 7946, section 12."""
DRAWN: Final = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'"}
"""The map's SVG carries style attributes of its own; it is shown as an image, where nothing in it can act."""


class NoPicture(Problem):
    """There is no picture with that name, or nothing to draw in it yet."""

    kind: ClassVar[str] = "no-picture"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such picture")


@dataclass(frozen=True, slots=True)
class MapSheet:
    """A map on a day and the table behind it, one row a province."""

    title: str
    """A message marked with ``T``."""
    legend: str
    """A message marked with ``T``: what the colours count."""
    day: date
    steps: tuple[float, ...]
    coloured: str
    """Key of the column whose figures colour the map; 0 is drawn like no figure."""
    codes: tuple[str, ...]
    """Code of the province of each row."""
    sheet: Sheet
    none: str = T("no figure")
    """A message marked with ``T``: what the palest colour stands for."""

    def matching(self, looked: Wanted) -> MapSheet:
        """Only the provinces that ``looked`` finds."""
        kept = [place for place, row in enumerate(self.sheet.rows) if row.found_by(looked)]
        rows = tuple(self.sheet.rows[place] for place in kept)
        return replace(self, codes=tuple(self.codes[place] for place in kept), sheet=replace(self.sheet, rows=rows))

    def figures(self) -> Mapping[str, float]:
        """The figure of each province that has one."""
        place = [column.key for column in self.sheet.columns].index(self.coloured)
        told = {code: row.cells[place] for code, row in zip(self.codes, self.sheet.rows, strict=True)}
        return {code: float(figure) for code, figure in told.items() if isinstance(figure, int) and figure}

    def specification(self, language: Language) -> dict[str, Any]:
        """The drawing.  Raises NoPicture for a day before the map holds."""
        _map_holds(self.day)
        return map_specification(
            self.figures(), self.day, title=translate(self.title, language), legend=translate(self.legend, language),
            language=language, steps=self.steps, only=self.codes, none=translate(self.none, language),
        )  # fmt: skip

    def geojson(self, language: Language) -> dict[str, Any]:
        """An RFC 7946 FeatureCollection: WGS 84, the provinces with their figures, then both archipelagos.

        Raises NoPicture for a day before the map holds.
        """
        _map_holds(self.day)
        rows = dict(zip(self.codes, self.sheet.rows, strict=True))
        keys = [column.key for column in self.sheet.columns]

        def told(code: str) -> dict[str, object]:
            pairs = zip(keys, rows[code].cells, strict=True) if code in rows else ()
            return {key: cell for key, cell in pairs if isinstance(cell, int)}

        features = [_feature(each, self.day, told) for each in map_of_provinces(self.day, self.codes)["features"]]
        return {
            "type": "FeatureCollection",
            "title": translate(self.title, language),
            "day": self.day.isoformat(),
            "at": self.sheet.at.isoformat(),
            "source": "Natural Earth (public domain); Nghị quyết 202/2025/QH15",
            "features": features,
        }


Read = Callable[[Request], Awaitable[MapSheet]]


class Drawings:
    """Pictures as drawn, kept for a minute, the newest ``MOST_KEPT`` of them."""

    def __init__(self, draw: Draw) -> None:
        self._draw = draw
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._kept: dict[tuple[object, ...], tuple[float, asyncio.Task[bytes]]] = {}

    async def picture(
        self, key: tuple[object, ...], wish: Callable[[], Mapping[str, Any]], language: Language, ending: Ending
    ) -> bytes:
        """The picture under ``key``, drawn as ``wish`` says unless it is at hand.  Raises the sandbox's Problems."""
        now, whole = asyncio.get_running_loop().time(), (*key, language, ending)
        at, task = self._kept.pop(whole, (0.0, None))
        failed = task is not None and task.done() and (task.cancelled() or task.exception() is not None)
        if task is None or failed or now - at > KEPT_S:
            at, task = now, asyncio.create_task(self._new(wish(), language, ending))
        self._kept[whole] = (at, task)
        while len(self._kept) > MOST_KEPT:
            self._kept.pop(next(iter(self._kept)))
        return await asyncio.shield(task)

    async def _new(self, specification: Mapping[str, Any], language: Language, ending: Ending) -> bytes:
        async with self._turn:
            return await self._draw(specification, NUMBERS[language], ending)


def map_routes(name: str, read: Read, draw: Draw, *, table: bool = True) -> tuple[BaseRoute, ...]:
    """``/maps/<name>.<language>.svg|png|geojson``; with ``table`` also the figures at ``/v1/maps/<name>``.

    ``q`` leaves provinces out, as on the page; ``read`` understands what else stands in the address.
    """
    drawings = Drawings(draw)

    def as_picture(language: Language, ending: Ending) -> BaseRoute:
        async def answer(request: Request) -> Response:
            shown = await _asked(request, read)
            key = (shown.day, shown.codes, tuple(shown.figures().items()))
            drawn = await drawings.picture(key, lambda: shown.specification(language), language, ending)
            return Response(drawn, media_type=MEDIA[ending], headers=DRAWN | _named(f"{name}.{ending}", inline=True))

        return Route(f"/maps/{name}.{language}.{ending}", answer, methods=["GET"])

    def as_geojson(language: Language) -> BaseRoute:
        async def answer(request: Request) -> Response:
            body = orjson.dumps((await _asked(request, read)).geojson(language))
            return Response(body, media_type=GEOJSON, headers=_named(f"{name}.geojson"))

        return Route(f"/maps/{name}.{language}.geojson", answer, methods=["GET"])

    async def told(request: Request) -> Response:
        sheet = (await _asked(request, read)).sheet
        return as_json(sheet, part_of(sheet, 1, max(1, len(sheet.rows))))

    async def workbook(request: Request) -> Response:
        return as_workbook((await _asked(request, read)).sheet, page_language(request))

    async def text(request: Request) -> Response:
        return as_csv((await _asked(request, read)).sheet, page_language(request))

    figures = (("", told), (".xlsx", workbook), (".csv", text)) if table else ()
    return (
        *(as_picture(language, ending) for language in LANGUAGES for ending in get_args(Ending)),
        *(as_geojson(language) for language in LANGUAGES),
        *(Route(f"/v1/maps/{name}{ending}", answer, methods=["GET"]) for ending, answer in figures),
    )


def province_name(code: str, day: date) -> Name:
    """What a province is called on ``day``: ``Tỉnh Khánh Hòa``, ``Khánh Hòa Province``; its code where none stood."""
    unit = unit_on(code, "province", day)
    if unit is None:
        return Name(code, code)
    return Name(unit.full_name, f"{unit.name} {'City' if unit.kind == 'thành phố' else 'Province'}")


async def _asked(request: Request, read: Read) -> MapSheet:
    return (await read(request)).matching(wanted(request.query_params.get("q", "")))


def _map_holds(day: date) -> None:
    if day < FIRST_DAY:
        raise NoPicture(
            T("The map shows the 34 provinces since {first}; there is none for {day}."),
            mend=T("Ask for a later day; the table tells every day."),
            first=FIRST_DAY.isoformat(),
            day=day.isoformat(),
        )


def _named(name: str, *, inline: bool = False) -> dict[str, str]:
    kind = "inline" if inline else "attachment"
    return {"Content-Disposition": f'{kind}; filename="{name}"', "Cache-Control": "max-age=60"}


def _feature(feature: Feature, day: date, told: Callable[[str], dict[str, object]]) -> Feature:
    """A feature for others: code, names in both languages, figures."""
    about = feature["properties"]
    if about["kind"] == "province":
        name = province_name(about["id"], day)
        properties = {"kind": "province", "code": about["id"], "name_vi": name.vi, "name_en": name.en}
        properties |= told(about["id"])
    else:
        province = province_name(about["province"], day)
        properties = {
            "kind": "archipelago", "code": about["unit"], "name_vi": about["name"], "name_en": about["name_en"],
            "province": about["province"], "province_vi": province.vi, "province_en": province.en,
            **told(about["province"]),
        }  # fmt: skip
    return {
        "type": "Feature", "id": about["id"], "properties": properties, "geometry": feature["geometry"],
    }  # fmt: skip
