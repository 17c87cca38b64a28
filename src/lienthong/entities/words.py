"""The matcher's reasons in words of a language."""

from __future__ import annotations

from typing import Final

from lienthong.i18n import Language, T, translate

FIELD_WORDS: Final = {
    "name": T("name"), "birth": T("birth"), "number": T("number"), "phone": T("telephone"), "place": T("place"),
    "sex": T("gender"), "accents": T("diacritics"),
}  # fmt: skip
LEVEL_WORDS: Final = {
    "unknown": T("unknown"), "other": T("other"), "family only": T("only the family name alike"),
    "given only": T("only the given name alike"), "given and family": T("given and family name alike"),
    "nearly": T("nearly the same"), "common": T("the same, a common one"), "usual": T("the same"),
    "rare": T("the same, a rare one"), "year": T("only the year alike"), "year alone": T("the same year, no day"),
    "same": T("the same"), "commune": T("the same commune"), "home": T("the same home"),
}  # fmt: skip


def reason_in_words(field: str, level: str, weight: float, language: Language) -> str:
    """``name: the same, a rare one (+5.4)``."""
    return f"{translate(FIELD_WORDS[field], language)}: {translate(LEVEL_WORDS[level], language)} ({weight:+.1f})"
