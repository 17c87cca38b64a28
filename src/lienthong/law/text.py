"""Vietnamese text as keys: folded for matching, ordered by the dictionary, with tone marks in one place.

PostgreSQL may be built without ICU, so text is never ordered in SQL: ``sort_key`` is computed here and stored as bytes.
"""

from __future__ import annotations

import re
import unicodedata
from typing import Final

_SPACES = re.compile(r"\s+")
_LETTERS: Final = "aăâbcdđeêfghijklmnoôơpqrstuưvwxyz"
_LETTER_MARKS: Final = frozenset("\u0306\u0302\u031b")
"""Breve, circumflex and horn make another letter; every other mark is a tone or foreign."""
_TONES: Final = {"\u0300": 2, "\u0309": 3, "\u0303": 4, "\u0301": 5, "\u0323": 6}
"""Huyền, hỏi, ngã, sắc, nặng after ngang (1): the order of Vietnamese dictionaries."""
_NO_TONE: Final = 1
_FOREIGN_MARK: Final = 7

_SPACE_WEIGHT: Final = 0x02
_SYMBOL_WEIGHT: Final = 0x03
_DIGIT_WEIGHT: Final = 0x10
_LETTER_WEIGHTS: Final = {letter: 0x20 + 2 * place for place, letter in enumerate(_LETTERS)}
_OTHER_WEIGHT: Final = 0xF0

_PLAIN: Final = "aeiouyăâêôơư"
_TONED: Final = {unicodedata.normalize("NFC", letter + mark): (letter, mark) for letter in _PLAIN for mark in _TONES}
_OPEN_PAIR = re.compile(r"(?<![qQ])([oOuU])([aàảãáạeèẻẽéẹyỳỷỹýỵAÀẢÃÁẠEÈẺẼÉẸYỲỶỸÝỴ])(?!\w)")


def visible(text: str) -> str:
    """``text`` in NFC without characters nobody sees (zero width, direction marks, controls); white space kept."""
    shown = (
        " " if character.isspace() else character
        for character in unicodedata.normalize("NFC", text)
        if character.isspace() or unicodedata.category(character) not in ("Cc", "Cf")
    )
    return unicodedata.normalize("NFC", "".join(shown))


def fold(text: str) -> str:
    """The matching key of ``text``: lower case, no diacritics, ``đ`` as ``d``, single spaces, nothing invisible.

    Two spellings of one name that differ in case, tone, tone placement, composition or hidden characters fold alike.
    ``fold(fold(x)) == fold(x)``.
    """
    decomposed = unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", visible(text)).casefold())
    kept = (
        character for character in decomposed if unicodedata.category(character) not in ("Mn", "Me", "Cf", "Cc", "Cn")
    )
    return _SPACES.sub(" ", "".join(kept).replace("đ", "d").replace("Đ", "d")).strip()


def latin(text: str) -> str:
    """``text`` in plain Latin letters with its case kept, for names in English: ``Đắk Lắk`` becomes ``Dak Lak``."""
    kept = (mark for mark in unicodedata.normalize("NFD", visible(text)) if unicodedata.category(mark) != "Mn")
    return "".join(kept).replace("đ", "d").replace("Đ", "D")


def sort_key(text: str) -> bytes:
    """Bytes whose order is the Vietnamese order of ``text``: letters first, then tones, then lower before upper case.

    Letters: a ă â b c d đ e ê ... o ô ơ ... u ư ...; tones: ngang, huyền, hỏi, ngã, sắc, nặng; spaces, signs and
    digits before letters; other scripts last.  As in CLDR's ``vi`` collation a tone decides only between texts whose
    letters are all equal.  Composition (NFC, NFD) and invisible characters make no difference.
    """
    letters, tones, cases = bytearray(), bytearray(), bytearray()
    for character in _SPACES.sub(" ", visible(text)).strip():
        weight, tone = _weigh(character)
        letters += weight
        tones.append(tone)
        cases.append(2 if character != character.lower() else 1)
    return bytes(letters) + b"\x00" + bytes(tones).rstrip(b"\x01") + b"\x00" + bytes(cases).rstrip(b"\x01")


def placed_tones(text: str) -> str:
    """``text`` in NFC with the tone of open ``oa``, ``oe``, ``uy`` on the first vowel: ``hoà`` becomes ``hòa``.

    ``quý`` and closed syllables (``hoàn``, ``thuyền``) stay as they are.  This is the spelling of the official lists.
    """

    def moved(pair: re.Match[str]) -> str:
        first, second = pair.groups()
        toned = _TONED.get(second.lower())
        if toned is None:
            return pair.group()
        plain, mark = toned
        return unicodedata.normalize("NFC", first + mark) + (plain.upper() if second.isupper() else plain)

    return _OPEN_PAIR.sub(moved, unicodedata.normalize("NFC", text))


def _weigh(character: str) -> tuple[bytes, int]:
    """Primary weight and tone of one NFC character."""
    base, *marks = unicodedata.normalize("NFD", character.lower())
    letter = unicodedata.normalize("NFC", base + "".join(mark for mark in marks if mark in _LETTER_MARKS))
    tone = next((_TONES.get(mark, _FOREIGN_MARK) for mark in marks if mark not in _LETTER_MARKS), _NO_TONE)
    if letter in _LETTER_WEIGHTS:
        return bytes((_LETTER_WEIGHTS[letter],)), tone
    if base in _LETTER_WEIGHTS:
        return bytes((_LETTER_WEIGHTS[base],)), _FOREIGN_MARK
    if character == " ":
        return bytes((_SPACE_WEIGHT,)), _NO_TONE
    digit = unicodedata.digit(character, None)
    if digit is not None:
        return bytes((_DIGIT_WEIGHT + digit,)), _NO_TONE
    kind = _OTHER_WEIGHT if unicodedata.category(character)[0] in "LM" else _SYMBOL_WEIGHT
    point = ord(character)
    return bytes((kind, 0x80 | point >> 14, 0x80 | point >> 7 & 0x7F, 0x80 | point & 0x7F)), _NO_TONE
