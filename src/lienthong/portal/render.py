"""Templates to HTML: one Jinja environment a language, everything escaped, an unknown name is an error."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import date, datetime
from functools import cache
from pathlib import Path
from typing import TypeVar, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lienthong.i18n import Language, translate
from lienthong.portal import words
from lienthong.portal.models import Name

V = TypeVar("V")

TEMPLATES = Path(__file__).parent / "templates"
STYLE = Path(__file__).parent / "static" / "portal.css"


def render(template: str, language: Language, **values: object) -> str:
    """The page; ``shell.Shell.page`` gives ``frame`` and ``title``, which ``base.html`` needs."""
    return _environment(language).get_template(template).render(**values)


@cache
def style_version() -> str:
    """Changes with the look of the pages, so that a browser keeps no older one."""
    return hashlib.sha256(STYLE.read_bytes()).hexdigest()[:12]


@cache
def _environment(language: Language) -> Environment:
    environment = Environment(
        loader=FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )

    def t(message: str, **facts: object) -> str:
        return translate(message, language, **facts)

    def say(name: Name) -> str:
        return name.say(language)

    def word(key: str, table: Mapping[str, str]) -> str:
        return words.word(table, key, language)

    names: dict[str, object] = {
        "t": t,
        "language": language,
        "prefix": "/en" if language == "en" else "",
        "style_version": style_version(),
        "words": words,
    }
    filters: dict[str, Callable[..., object]] = {
        "say": say,
        "word": word,
        "phrase": t,
        "moment": _bound(words.moment, language),
        "day": _bound(words.day, language),
        "period": _bound(words.period, language),
        "number": _bound(words.number, language),
        "size": _bound(words.size, language),
        "condition": _bound(words.condition, language),
        "page": _bound(words.page_link, language),
        "short": words.short,
        "kind_of": kind_of,
        "link": words.safe_link,
    }
    # Jinja's own annotation admits only the kinds of value it ships with.
    cast("dict[str, object]", environment.globals).update(names)
    cast("dict[str, object]", environment.filters).update(filters)
    return environment


def kind_of(value: object) -> str:
    """What a table's cell holds, for the macro that shows it."""
    if isinstance(value, Name):
        return "name"
    if isinstance(value, datetime):
        return "moment"
    if isinstance(value, date):
        return "day"
    if isinstance(value, int):
        return "number"
    return "none" if value is None else "text" if isinstance(value, str) else "mark"


def _bound(show: Callable[[V, Language], str], language: Language) -> Callable[[V], str]:
    return lambda value: show(value, language)
