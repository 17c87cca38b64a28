"""Cutting an address into folded words, fast: what follows reads them from right to left.

Every address passes here, so folding is one ``str.translate`` over a table made by ``law.text.fold``; what the table
does not hold is folded the slow way.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

from lienthong.law.text import fold

LONGEST_NAME: Final = 6
"""Words of a unit's name at most."""
LONGEST: Final = 1_000
"""Characters of one address that are read; the end of an address names its units."""

_TABLE: Final = {point: chr(point) for point in range(0x80)} | {
    point: fold(chr(point)) for point in (*range(0xC0, 0x250), *range(0x1E00, 0x1F00), *range(0x300, 0x370))
}
"""ASCII stands in it too: ``str.translate`` is several times slower on a character it does not find."""
_WORD = re.compile(r"[a-z0-9]+|[,;|\n(){}\[\]]|\s[-–](?=\s)")
_NUMBERED: Final = frozenset(("p", "f", "q", "phuong", "quan"))
"""Words of kind that stand glued to a number: ``P5``, ``Q1``."""
_STOPS: Final = frozenset(",;|\n(){}[]")
_COUNTRY: Final = (["viet", "nam"], ["vietnam"], ["vn"])
_COUNTRY_ENDS: Final = frozenset(tail[-1] for tail in _COUNTRY)


class Words:
    """The folded words of a text; for each the part (between commas) and the piece (also between dashes) it stands in.

    A name may run over a dash (``Bà Rịa - Vũng Tàu``), a word of kind and its name do not.
    """

    __slots__ = ("_windows", "parts", "pieces", "words")

    def __init__(self, words: list[str], parts: list[int], pieces: list[int]) -> None:
        self.words = words
        self.parts = parts
        self.pieces = pieces
        self._windows: dict[int, list[tuple[int, str]]] = {}

    def windows(self, end: int) -> list[tuple[int, str]]:
        """Starts and keys of the last one to six words before ``end`` inside one part, longest first."""
        found = self._windows.get(end)
        if found is None:
            parts, words = self.parts, self.words
            part, first = parts[end - 1], max(0, end - LONGEST_NAME)
            while parts[first] != part:
                first += 1
            found = self._windows[end] = [(at, "".join(words[at:end])) for at in range(first, end)]
        return found


def quick_fold(text: str) -> str:
    """``law.text.fold`` for text that is mostly Vietnamese; white space is left as it is."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFC", text).lower().translate(_TABLE)
    return folded if folded.isascii() else fold(folded.replace("\n", ","))


def words_of(text: str) -> Words:
    """The words of ``text`` without the country and a postal code at its end; numbers without leading zeros."""
    words: list[str] = []
    parts: list[int] = []
    pieces: list[int] = []
    part = piece = 0
    for word in _WORD.findall(quick_fold(text[-LONGEST:])):
        if word.isalpha():
            words.append(word)
            parts.append(part)
            pieces.append(piece)
        elif not word[-1].isalnum():
            part += word in _STOPS
            piece += 1
        else:
            for written in _numbered(word):
                words.append(written)
                parts.append(part)
                pieces.append(piece)
    end = _without_tail(words)
    return Words(words[:end], parts[:end], pieces[:end])


def _numbered(word: str) -> tuple[str, ...]:
    """A word with digits: ``05`` is ``5``, ``p05`` a word of kind and its number, ``12b`` itself."""
    letters = word.rstrip("0123456789")
    number = word[len(letters) :].lstrip("0") or "0"
    if not letters:
        return (number,)
    return (letters, number) if letters in _NUMBERED and len(letters) < len(word) else (word,)


def _without_tail(words: list[str]) -> int:
    """How many words stand before the country and a postal code of 5 or 6 digits."""
    end = len(words)
    for _ in range(2):
        if end and words[end - 1].isdigit() and len(words[end - 1]) in (5, 6):
            end -= 1
        if end > 1 and words[end - 1] in _COUNTRY_ENDS:
            end -= next((len(tail) for tail in _COUNTRY if words[max(0, end - len(tail)) : end] == tail), 0)
    return end
