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


@cache
def _catalogue(language: Language) -> dict[str, str]:
    from babel.messages.pofile import read_po  # heavy and rarely needed: only where words are shown

    path = LOCALE_FOLDER / language / "LC_MESSAGES" / "lienthong.po"
    if not path.exists():
        return {}
    with path.open("rb") as source:
        entries = read_po(source, locale=language)
    return {str(entry.id): str(entry.string) for entry in entries if entry.id and entry.string}
