"""The pictures of the exchange as Vega-Lite specifications: pure, in either language, for light and dark paper.

Promises: at most 5,000 values; colours are told apart by lightness as well as hue; no picture without its table.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any, Final, Literal

from lienthong.i18n import Language, T, translate
from lienthong.portal.models import Name
from lienthong.portal.words import VIETNAM, WAYS, number

Paper = Literal["light", "dark"]
FONT: Final = "Noto Sans, DejaVu Sans, Liberation Sans, Arial, sans-serif"
WIDTH: Final = 960
_INK: Final[Mapping[Paper, Mapping[str, str]]] = {
    "light": {"ink": "#1a2320", "soft": "#55635d", "line": "#dfddd4", "paper": "#ffffff", "accent": "#0a6a5a"},
    "dark": {"ink": "#e7edea", "soft": "#a4b2ac", "line": "#2c3733", "paper": "#171e1b", "accent": "#6cd1b8"},
}
_WAYS: Final[Mapping[Paper, tuple[str, ...]]] = {
    "light": ("#0a6a5a", "#c98a1b", "#4a6fa5", "#9b2c22"),
    "dark": ("#6cd1b8", "#f0c27a", "#9db9e6", "#f4a59b"),
}
NUMBERS: Final[Mapping[Language, Mapping[str, object]]] = {
    "vi": {"decimal": ",", "thousands": ".", "grouping": [3], "currency": ["", " ₫"]},
    "en": {"decimal": ".", "thousands": ",", "grouping": [3], "currency": ["", " VND"]},
}
"""How d3 writes numbers."""
MOST_MEMBERS: Final = 16


@dataclass(frozen=True, slots=True)
class Hour:
    """Records of one way in one hour."""

    at: datetime
    way: str
    records: int


@dataclass(frozen=True, slots=True)
class Between:
    """Records between two members."""

    consumer: Name
    provider: Name
    records: int


def calls_over_time(hours: Sequence[Hour], language: Language, paper: Paper) -> dict[str, Any]:
    """Bars by hour, one colour a way."""
    values = [
        {
            "hour": each.at.astimezone(VIETNAM).strftime("%d/%m %H:00"),
            "way": translate(WAYS[each.way], language),
            "records": each.records,
        }
        for each in hours
    ]
    ways = [translate(each, language) for each in WAYS.values()]
    return _whole(paper) | {
        "width": WIDTH - 90,
        "height": 240,
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "size": max(6, min(40, 700 // max(1, len(values))))},
        "encoding": {
            "x": {"field": "hour", "type": "ordinal", "title": None, "axis": {"labelOverlap": True, "labelAngle": 0}},
            "y": {
                "field": "records",
                "type": "quantitative",
                "title": None,
                "axis": {"tickMinStep": 1, "format": ",d"},
            },
            "color": {
                "field": "way",
                "type": "nominal",
                "title": None,
                "scale": {"domain": ways, "range": list(_WAYS[paper])},
                "legend": {"orient": "top"},
            },
        },
    }


def views_by_day(days: Sequence[tuple[date, int]], language: Language, paper: Paper) -> dict[str, Any]:
    """Bars by day, oldest first."""
    values = [
        {"day": each.strftime("%d/%m"), "views": views, "place": place} for place, (each, views) in enumerate(days)
    ]
    return _whole(paper) | {
        "width": WIDTH - 90,
        "height": 200,
        "data": {"values": values},
        "mark": {"type": "bar", "cornerRadiusEnd": 2, "color": _INK[paper]["accent"], "size": 16},
        "encoding": {
            "x": {
                "field": "day",
                "type": "ordinal",
                "title": None,
                "sort": {"field": "place"},
                "axis": {"labelOverlap": True, "labelAngle": 0},
            },
            "y": {
                "field": "views",
                "type": "quantitative",
                "title": translate(T("Times shown"), language),
                "axis": {"tickMinStep": 1, "format": ",d"},
            },
        },
    }


def exchange_graph(pairs: Sequence[Between], language: Language, paper: Paper) -> dict[str, Any]:
    """The busiest members on a circle, all others as one; a line from provider to consumer, thick for many records."""
    colours = _INK[paper]
    between = _busiest(pairs, language)
    names = sorted({name for pair in between for name in pair})
    places = {
        name: (math.cos(2 * math.pi * turn / len(names) - math.pi / 2), math.sin(
            2 * math.pi * turn / len(names) - math.pi / 2))
        for turn, name in enumerate(names)
    }  # fmt: skip
    lines = [
        {"x": places[one][0], "y": -places[one][1], "x2": places[two][0], "y2": -places[two][1], "records": records}
        for (one, two), records in between.items()
        if one != two
    ]
    dots = [{"x": x, "y": -y, "name": _lines(name), "side": "left" if x < -0.01 else "right"}
            for name, (x, y) in places.items()]  # fmt: skip
    wide: dict[str, object] = {"scale": {"domain": [-2.6, 2.6]}, "axis": None, "type": "quantitative"}
    high: dict[str, object] = {"scale": {"domain": [-1.35, 1.35]}, "axis": None, "type": "quantitative"}
    text = {"type": "text", "fontSize": 13, "color": colours["ink"], "lineHeight": 16, "baseline": "middle"}
    return _whole(paper) | {
        "width": WIDTH - 40,
        "height": 460,
        "layer": [
            {
                "data": {"values": lines},
                "mark": {"type": "rule", "color": colours["accent"], "opacity": 0.55, "strokeCap": "round"},
                "encoding": {
                    "x": {"field": "x"} | wide,
                    "y": {"field": "y"} | high,
                    "x2": {"field": "x2"},
                    "y2": {"field": "y2"},
                    "strokeWidth": {
                        "field": "records",
                        "type": "quantitative",
                        "scale": {"type": "sqrt", "range": [1.5, 9], "zero": True},
                        "legend": None,
                    },
                },
            },
            {
                "data": {"values": dots},
                "mark": {"type": "circle", "size": 190, "opacity": 1, "color": colours["accent"]},
                "encoding": {"x": {"field": "x"} | wide, "y": {"field": "y"} | high},
            },
            *(
                {
                    "data": {"values": [dot for dot in dots if dot["side"] == side]},
                    "mark": text | {"align": align, "dx": shift},
                    "encoding": {
                        "x": {"field": "x"} | wide,
                        "y": {"field": "y"} | high,
                        "text": {"field": "name", "type": "nominal"},
                    },
                }
                for side, align, shift in (("left", "right", -14), ("right", "left", 14))
            ),
        ],
    }


def _busiest(pairs: Sequence[Between], language: Language) -> Mapping[tuple[str, str], int]:
    """Records by provider and consumer; those beyond the busiest ``MOST_MEMBERS`` are one, said with their number."""
    busy: Counter[str] = Counter()
    for each in pairs:
        for name in {each.provider.say(language), each.consumer.say(language)}:
            busy[name] += each.records
    shown = {name for name, _ in sorted(busy.items(), key=lambda told: (-told[1], told[0]))[:MOST_MEMBERS]}
    others = translate(T("{count} other members"), language, count=number(len(busy) - len(shown), language))
    summed: Counter[tuple[str, str]] = Counter()
    for each in pairs:
        pair = (each.provider.say(language), each.consumer.say(language))
        one, two = (name if name in shown else others for name in pair)
        summed[one, two] += each.records
    return summed


def told(pairs: Sequence[Between], language: Language) -> str:
    """What the graph shows, for who can not see it: the busiest pair."""
    if not pairs:
        return ""
    most = max(pairs, key=lambda each: each.records)
    return f"{most.provider.say(language)} → {most.consumer.say(language)}: {number(most.records, language)}"


def _lines(name: str, width: int = 30) -> list[str]:
    """A long name in lines, broken between words."""
    lines = [""]
    for word in name.split():
        if lines[-1] and len(lines[-1]) + len(word) > width:
            lines.append(word)
        else:
            lines[-1] = f"{lines[-1]} {word}".strip()
    return lines[:3]


def _whole(paper: Paper) -> dict[str, Any]:
    colours = _INK[paper]
    axis = {
        "labelColor": colours["soft"],
        "domainColor": colours["line"],
        "tickColor": colours["line"],
        "gridColor": colours["line"],
        "labelFontSize": 12,
    }
    return {
        "$schema": "https://vega.github.io/schema/vega-lite/v5.json",
        "background": colours["paper"],
        "padding": 12,
        "config": {
            "font": FONT,
            "view": {"stroke": None},
            "axis": axis,
            "legend": {"labelColor": colours["ink"], "labelFontSize": 13, "symbolType": "square"},
        },
    }
