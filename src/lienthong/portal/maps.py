"""The map of the provinces coloured by a figure, as a Vega-Lite specification: no I/O, drawn by whoever renders it.

Hoàng Sa (thành phố Đà Nẵng) and Trường Sa (tỉnh Khánh Hòa) have a labelled inset each on every map, in both
languages, also where a filter leaves their province out: then they are drawn like a province without a figure.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from itertools import pairwise
from typing import Any, Final

from lienthong.i18n import Language, T, translate
from lienthong.law.shapes import Feature, archipelagos, map_of_provinces
from lienthong.law.units import unit_on

COLOURS: Final = ("#d7e6f1", "#9fc3df", "#5f9ac6", "#2b6da5", "#123f6d")
"""From least to most: one hue, told apart by lightness, so that they can be told apart in grey as well."""
NO_FIGURE: Final = "#efece4"
BORDER: Final = "#5b6470"
INK: Final = "#1c2430"
COAST_EAST: Final = 110.5
"""Degrees east: surfaces beyond are islands of the archipelagos, which the insets show."""
MIDDLE: Final = 107.0
"""Degrees east in the middle of the country's map."""
WIDTH, HEIGHT = 380, 620
INSET_WIDTH: Final = 190
INSET_HEIGHT: Final = 190
MARGIN: Final = 0.25
"""Degrees between an inset's islands and its edge."""
FONT: Final = "DejaVu Sans, Liberation Sans, Arial, sans-serif"


def map_specification(
    figures: Mapping[str, float],
    day: date,
    *,
    title: str,
    legend: str,
    language: Language,
    steps: Sequence[float] = (1, 2, 3, 4),
    only: Collection[str] | None = None,
    none: str = "",
) -> dict[str, Any]:
    """A Vega-Lite 5 specification of the map as of ``day``.

    ``figures``: a number by code of province (those of after 1 July 2025); a province without one is drawn pale.
    ``steps``: where the next colour begins, four rising numbers.  ``only``: draw these provinces alone.
    ``none``: what having no figure means, as the legend says it; else that there is none.
    """
    classes = Classes(tuple(steps), language, none)
    shown = {code: figure for code, figure in figures.items() if only is None or code in only}
    land = [_land(each) for each in map_of_provinces(day, only)["features"] if each["properties"]["kind"] == "province"]
    country = _view(
        [_told(each, each["properties"]["name"], shown.get(each["properties"]["id"]), classes) for each in land],
        MIDDLE,
        {"width": WIDTH, "height": HEIGHT},
        _fill(classes, legend),
    )
    insets = [_inset(each, day, shown.get(each["properties"]["province"]), classes) for each in archipelagos()]
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "title": {"text": title, "anchor": "start", "color": INK},
        "background": "white",
        "hconcat": [country, {"vconcat": insets, "spacing": 18}],
        "spacing": 8,
        "config": {
            "font": FONT,
            "view": {"stroke": None},
            "legend": {
                "labelColor": INK,
                "titleColor": INK,
                "labelFontSize": 12,
                "titleFontSize": 12,
                "titleLimit": 240,
            },
            "title": {"fontSize": 16, "font": FONT, "subtitleFont": FONT},
        },
    }


class Classes:
    """The figures' classes: a label and a colour each; provinces without a figure are a class of their own."""

    def __init__(self, steps: tuple[float, ...], language: Language, none: str = "") -> None:
        if len(steps) != len(COLOURS) - 1 or list(steps) != sorted(set(steps)):
            raise ValueError(f"{len(COLOURS)} colours need {len(COLOURS) - 1} rising steps, not {steps}")
        self.steps = steps
        self.language: Language = language
        self.none = none or translate(T("no figure"), language)
        ends = [written(step, language) for step in steps]
        self.labels = (f"< {ends[0]}", *(f"{low} – < {high}" for low, high in pairwise(ends)), f"≥ {ends[-1]}")

    def of(self, figure: float | None) -> str:
        """The label of the class that ``figure`` falls into."""
        return self.none if figure is None else self.labels[bisect_right(self.steps, figure)]


def written(figure: float, language: Language) -> str:
    """A number as it is written in ``language``: 1.234,5 or 1,234.5."""
    number = f"{figure:,.0f}" if figure == int(figure) else f"{figure:,.1f}"
    return number.translate({ord(","): ".", ord("."): ","}) if language == "vi" else number


def archipelago_label(archipelago: Feature, day: date, language: Language) -> tuple[str, str]:
    """The name of an inset and of the province that it belongs to."""
    about = archipelago["properties"]
    unit = unit_on(about["province"], "province", day)
    province = unit.full_name if unit else about["province"]
    return about["name"] if language == "vi" else about["name_en"], province


def _fill(classes: Classes, legend: str | None) -> dict[str, Any]:
    """How surfaces are coloured; the legend stands in the empty west of the country's map, in that map alone."""
    return {
        "field": "properties.class",
        "type": "nominal",
        "scale": {"domain": [*classes.labels, classes.none], "range": [*COLOURS, NO_FIGURE]},
        "legend": legend
        and {"title": legend, "orient": "none", "legendX": 0, "legendY": HEIGHT // 2, "symbolType": "square"},
    }


def _land(province: Feature) -> Feature:
    surfaces = [each for each in province["geometry"]["coordinates"] if min(east for east, _ in each[0]) < COAST_EAST]
    return province | {"geometry": {"type": "MultiPolygon", "coordinates": _as_d3_reads_them(surfaces)}}


def _as_d3_reads_them(surfaces: list[Any]) -> list[Any]:
    """Rings the other way round: Vega's projections take RFC 7946's for the rest of the globe."""
    return [[ring[::-1] for ring in surface] for surface in surfaces]


def _told(feature: Feature, name: str, figure: float | None, classes: Classes) -> Feature:
    figure_said = classes.none if figure is None else written(figure, classes.language)
    return feature | {"properties": {"class": classes.of(figure), "told": f"{name}: {figure_said}"}}


def _view(features: list[Feature], middle: float, size: dict[str, Any], fill: dict[str, Any]) -> dict[str, Any]:
    said = {"field": "properties.told", "type": "nominal"}
    return {
        **size,
        # Views side by side share one projection unless theirs differ.
        "projection": {"type": "mercator", "rotate": [-middle, 0, 0]},
        "layer": [
            {
                "data": {"values": features},
                "mark": {"type": "geoshape", "stroke": BORDER, "strokeWidth": 0.6},
                "encoding": {"fill": fill, "tooltip": said, "description": said},
            }
        ],
    }


def _inset(archipelago: Feature, day: date, figure: float | None, classes: Classes) -> dict[str, Any]:
    name, province = archipelago_label(archipelago, day, classes.language)
    surfaces = archipelago["geometry"]["coordinates"]
    drawn = archipelago | {"geometry": {"type": "MultiPolygon", "coordinates": _as_d3_reads_them(surfaces)}}
    places = [each["at"] for each in archipelago["properties"]["islands"]]
    size = {
        "width": INSET_WIDTH,
        "height": INSET_HEIGHT,
        "title": {"text": name, "subtitle": f"({province})", "fontSize": 13, "color": INK, "subtitleColor": INK},
    }
    inset = _view([_told(drawn, f"{name} ({province})", figure, classes)], places[0][0], size, _fill(classes, None))
    inset["layer"].insert(0, _edge(places))
    return inset


def _edge(places: Sequence[Sequence[float]]) -> dict[str, Any]:
    """The line around an inset, a little outside of its islands."""
    west, east = min(place[0] for place in places) - MARGIN, max(place[0] for place in places) + MARGIN
    south, north = min(place[1] for place in places) - MARGIN, max(place[1] for place in places) + MARGIN
    corners = [[west, south], [west, north], [east, north], [east, south], [west, south]]
    return {
        "data": {"values": [{"type": "Feature", "geometry": {"type": "LineString", "coordinates": corners}}]},
        "mark": {"type": "geoshape", "filled": False, "stroke": BORDER},
    }
