"""The words people read: plain English message ids, Vietnamese first.

Catalogues are ordinary gettext ``.po`` files under ``locale/``; they are read once a language is first asked for,
so a process that never shows a word (the gateway) never pays for them.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Literal

Language = Literal["vi", "en"]
LANGUAGES: tuple[Language, ...] = ("vi", "en")
DEFAULT_LANGUAGE: Language = "vi"
LOCALE_FOLDER = Path(__file__).parent / "locale"


def T(message: str) -> str:  # noqa: N802 - the short marker that extraction looks for
    """Mark ``message`` as text for people; returned unchanged and translated where it is shown."""
    return message


def translate(message: str, language: Language, **facts: object) -> str:
    """``message`` in ``language``, placeholders filled from ``facts``; the id itself where there is no translation."""
    text = _catalogue(language).get(message, message)
    try:
        return text.format(**facts) if facts else text
    except (KeyError, IndexError, ValueError):
        return text


def by_preference(header: str) -> list[str]:
    """The values of an ``Accept``-like header, lower-case, best first; values with ``q=0`` are left out."""
    weighed: list[tuple[float, int, str]] = []
    for position, part in enumerate(header.lower().split(",")):
        value, *parameters = (piece.strip() for piece in part.split(";"))
        weight = next((_weight(piece[2:]) for piece in parameters if piece.startswith("q=")), 1.0)
        if value and weight > 0:
            weighed.append((-weight, position, value))
    return [value for _, _, value in sorted(weighed)]


def accepted_language(header: str) -> Language:
    """The language that an ``Accept-Language`` header likes best of those there are; Vietnamese when it likes none."""
    for tag in by_preference(header):
        primary = tag.split("-", 1)[0]
        if primary in LANGUAGES:
            return primary
    return DEFAULT_LANGUAGE


def _weight(text: str) -> float:
    try:
        return min(max(float(text), 0.0), 1.0)
    except ValueError:
        return 0.0


@cache
def _catalogue(language: Language) -> dict[str, str]:
    from babel.messages.pofile import read_po  # heavy and rarely needed: only where words are shown

    path = LOCALE_FOLDER / language / "LC_MESSAGES" / "lienthong.po"
    if not path.exists():
        return {}
    with path.open("rb") as source:
        entries = read_po(source, locale=language)
    return {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string}
