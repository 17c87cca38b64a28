"""One record normalised and compared here instead of by an engine: planning a statement takes longer than the work.

The rules are those of ``normal`` and ``pairs``, from the same lists of words; a test holds both against each other on
made-up people and on hostile text.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lienthong.linkage.edits import one_edit_apart
from lienthong.linkage.identify import MOBILE_OF_2018
from lienthong.linkage.matching.normal import OLD_TONES
from lienthong.linkage.matching.pairs import FIELDS_COMPARED
from lienthong.linkage.names import COMMON_FAMILY_NAMES, FAMILY_NAMES, TITLES

_WORD_SIGNS: Final = re.compile(r"[^a-z0-9']+")
_SIGNS: Final = re.compile(r"[^a-z0-9]+")
_NO_DIGITS: Final = re.compile(r"[^0-9]")
_Y_AT_END: Final = re.compile(r"([bcdghklmnprstvx])y\b", re.ASCII)
_ISO: Final = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})(?:[ T].*)?")
_USUAL: Final = re.compile(r"(?:([0-9]{1,2})[/.-]([0-9]{1,2})[/.-])?([0-9]{4})")
_MEN: Final = frozenset(("nam", "m", "male", "1"))
_WOMEN: Final = frozenset(("nu", "f", "female", "0", "2"))
RARE, USUAL = 3, 30
"""A name borne by so many records at most is rare, usual."""


@dataclass(frozen=True, slots=True)
class Normal:
    """A record's keys, as a row of ``norm`` has them; ``marked`` are the words of ``accents``, a hash in the table."""

    name: str | None
    bag: str | None
    given: str | None
    family: str | None
    y: int | None
    m: int | None
    d: int | None
    number: str | None
    card: str | None
    phone: str | None
    unit: str | None
    street: str | None
    sex: int | None
    accents: int | None = None
    marked: tuple[str, ...] | None = None


def normal(record: Mapping[str, str | None]) -> Normal:
    """The keys of ``record`` (fields of FIELDS); what is empty or can not be read is None."""
    told = {name: _known(text) for name, text in record.items()}
    written = told.get("name")
    words, turned, marked = _named(written) if written is not None else (None, False, None)
    digits = _digits(told.get("number"))
    number = digits if len(digits) == 12 else None
    y, m, d = _born(told.get("birth"))
    century = int(number[3]) if number and number[3] < "4" else None
    if y is None and number and century is not None:
        y = 1900 + 100 * (century // 2) + int(number[4:6])
    gender = _folded(told.get("gender"))
    sex = 1 if gender in _MEN else 2 if gender in _WOMEN else None
    if sex is None and century is not None:
        sex = 1 + century % 2
    return Normal(
        name=" ".join(words) or None if words else None,
        bag=" ".join(sorted(words)) or None if words else None,
        given=(words[-2] if turned else words[-1]) or None if words else None,
        family=(words[-1] if turned else words[0]) if words and len(words) > 1 else None,
        y=y, m=m, d=d, number=number, card=digits if len(digits) == 9 else None,
        phone=_called(told.get("phone")), unit=told.get("unit"), street=_folded(told.get("street")), sex=sex,
        marked=marked,
    )  # fmt: skip


def compared(left: Normal, right: Normal, bearers: int) -> int:
    """The packed pattern of two records as ``pairs.compared`` reckons it; ``bearers``: records of the left's name."""
    levels = {
        "name": _name(left, right, bearers),
        "birth": _birth(left, right),
        "number": _number(left, right),
        "phone": _equal(left.phone, right.phone),
        "place": _place(left, right),
        "sex": _equal(left.sex, right.sex),
        "accents": _equal(left.accents, right.accents),
    }
    code, factor = 0, 1
    for name, words in FIELDS_COMPARED.items():
        code += factor * levels[name]
        factor *= len(words)
    return code


def _known(text: str | None) -> str | None:
    """Without null characters and spaces around it; a space is the category Zs, as the engine has it."""
    if text is None:
        return None
    text = text.replace("\0", "")
    start, end = 0, len(text)
    while start < end and unicodedata.category(text[start]) == "Zs":
        start += 1
    while end > start and unicodedata.category(text[end - 1]) == "Zs":
        end -= 1
    return text[start:end].encode("utf-8", "ignore").decode() or None


def _lower(text: str) -> str:
    """Small letters one by one: no letter becomes two, no sigma asks where it stands."""
    composed = unicodedata.normalize("NFC", text)
    return composed.lower() if composed.isascii() else "".join(letter.lower()[0] for letter in composed)


def _plain(text: str) -> str:
    """Without marks, ``đ`` as ``d``."""
    if text.isascii():
        return text
    apart = unicodedata.normalize("NFD", text)
    kept = "".join(sign for sign in apart if unicodedata.category(sign)[0] != "M")
    return unicodedata.normalize("NFC", kept).replace("đ", "d")


def _folded(text: str | None) -> str | None:
    return _SIGNS.sub(" ", _plain(_lower(text))).strip(" ") or None if text is not None else None


def _named(text: str) -> tuple[list[str], bool, tuple[str, ...] | None]:
    """The words of a name, whether the family name stands last, and the words with their marks when it has any."""
    written = _lower(text)
    for old, new in OLD_TONES:
        written = written.replace(old, new)
    bare = _without_title(_WORD_SIGNS.sub(" ", _plain(written)).strip(" "))
    first, last = bare.split(" ")[0], bare.split(" ")[-1]
    turned = " " in bare and first not in FAMILY_NAMES and last in FAMILY_NAMES
    spelled = re.sub(r"\bhuynh\b", "hoang", _Y_AT_END.sub(r"\1i", bare), flags=re.ASCII)
    words = re.sub(r"\bvo\b", "vu", spelled, flags=re.ASCII).split(" ")
    accented = written != unicodedata.normalize("NFC", _marks_off(written))
    return words, turned, tuple(sorted(_without_title(written).split(" "))) if accented else None


def _marks_off(text: str) -> str:
    return "".join(sign for sign in unicodedata.normalize("NFD", text) if unicodedata.category(sign)[0] != "M")


def _without_title(name: str) -> str:
    words = name.split(" ")
    if len(words) < 2 or not words[1]:
        return name
    title, follows = _plain(words[0].rstrip(".")), _plain(words[1])
    if title not in TITLES or (title in FAMILY_NAMES and follows not in COMMON_FAMILY_NAMES):
        return name
    return name[len(words[0]) + 1 :]


def _digits(text: str | None) -> str:
    return _NO_DIGITS.sub("", text or "")


def _called(text: str | None) -> str | None:
    digits = _digits(text)
    if digits.startswith("0084"):
        digits = "0" + digits[4:]
    elif digits.startswith("84"):
        digits = "0" + digits[2:]
    if len(digits) == 11 and digits.startswith("01"):
        renewed = MOBILE_OF_2018.get(digits[:4])
        return renewed + digits[4:] if renewed else None
    return digits if 9 <= len(digits) <= 11 else None


def _born(text: str | None) -> tuple[int | None, int | None, int | None]:
    if text is None:
        return None, None, None
    if found := _ISO.fullmatch(text):
        return int(found[1]), int(found[2]), int(found[3])
    if text[4:5] != "-" and (found := _USUAL.fullmatch(text)):
        return int(found[3]), int(found[2]) if found[2] else None, int(found[1]) if found[1] else None
    return None, None, None


def _equal(left: object, right: object) -> int:
    return 0 if left is None or right is None else 2 if left == right else 1


def _name(left: Normal, right: Normal, bearers: int) -> int:
    if left.bag is None or right.bag is None or left.name is None or right.name is None:
        return 0
    if left.bag == right.bag:
        return 8 if bearers <= RARE else 7 if bearers <= USUAL else 6
    if one_edit_apart(left.name, right.name) or left.name == right.name or one_edit_apart(left.bag, right.bag):
        return 5
    same_family = left.family is not None and left.family == right.family
    if left.given is not None and left.given == right.given:
        return 4 if same_family else 3
    return 2 if same_family else 1


def _birth(left: Normal, right: Normal) -> int:
    if left.y is None or right.y is None:
        return 0
    if left.m is None or right.m is None:
        return 3 if left.y == right.y else 1
    month, day = left.m == right.m, left.d == right.d
    if left.y == right.y:
        swapped = left.m == right.d and left.d == right.m
        return 5 if month and day else 4 if swapped or month or day else 2
    return 4 if month and day and abs(left.y - right.y) in (1, 2, 9, 10) else 1


def _number(left: Normal, right: Normal) -> int:
    for mine, theirs in ((left.number, right.number), (left.card, right.card)):
        if mine is not None and mine == theirs:
            return 3
    for mine, theirs in ((left.number, right.number), (left.card, right.card)):
        if mine is not None and theirs is not None:
            return 2 if one_edit_apart(mine, theirs) else 1
    return 0


def _place(left: Normal, right: Normal) -> int:
    if left.unit is None or right.unit is None:
        return 0
    if left.unit != right.unit:
        return 1
    return 3 if left.street is not None and left.street == right.street else 2
