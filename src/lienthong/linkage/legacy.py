"""Text from before Unicode: TCVN3 (ABC) and VNI fonts, read as Latin-1, recognised by what it becomes.

A conversion is taken only when the words it gives are Vietnamese syllables and the given ones were not; the original is
kept by whoever asks.  TCVN3's capitals live in another font and come out as small letters.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["tcvn3", "vni"]

_TCVN3: Final[Mapping[str, str]] = dict(
    zip(
        "µ¶·¸¹¨»¼½¾Æ©ÇÈÉÊË®ÌÎÏÐÑªÒÓÔÕÖ×ØÜÝÞßáâãä«åæçèé¬êëìíîïñòóô\u00adõö÷øùúûüýþ¡¢§£¤¥¦",
        "àảãáạăằẳẵắặâầẩẫấậđèẻẽéẹêềểễếệìỉĩíịòỏõóọôồổỗốộơờởỡớợùủũúụưừửữứựỳỷỹýỵĂÂĐÊÔƠƯ",
        strict=True,
    )
)

_TONES_OF_VNI: Final = {"ù": "\u0301", "ø": "\u0300", "û": "\u0309", "õ": "\u0303", "ï": "\u0323"}
_PLAIN: Final = {vowel + mark: vowel + tone for vowel in "aeouy" for mark, tone in _TONES_OF_VNI.items()}
_ROOFED: Final = {
    vowel + mark: vowel + "\u0302" + tone
    for vowel in "aeo"
    for mark, tone in {"â": "", "á": "\u0301", "à": "\u0300", "å": "\u0309", "ã": "\u0303", "ä": "\u0323"}.items()
}
_BREVE: Final = {
    "a" + mark: "a\u0306" + tone
    for mark, tone in {"ê": "", "é": "\u0301", "è": "\u0300", "ú": "\u0309", "ü": "\u0303", "ë": "\u0323"}.items()
}
_HORNED: Final = {
    base + mark: vowel + "\u031b" + tone
    for base, vowel in {"ô": "o", "ö": "u"}.items()
    for mark, tone in {"": "", **_TONES_OF_VNI}.items()
}
_SINGLE: Final = dict(zip("íìæóòîñ", "íìỉĩịỵđ", strict=True))
_SMALL: Final = _PLAIN | _ROOFED | _BREVE | _HORNED | _SINGLE
_VNI: Final[Mapping[str, str]] = _SMALL | {
    "".join(pair): new.upper() for old, new in _SMALL.items() for pair in {(old.upper(),), (old[0].upper(), old[1:])}
}
_VNI_PAIR = re.compile("|".join(sorted(map(re.escape, _VNI), key=len, reverse=True)))

_UNICODE_VIETNAMESE = re.compile(r"[\u1ea0-\u1ef9ăđơưĂĐƠƯ]|[a-z][\u0300-\u0323]")
_NUCLEI: Final = (
    "a ă â e ê i o ô ơ u ư y ia iê yê ua uô ưa ươ oa oă oe uâ uê uy uơ uyê uya ai ay ây ao au âu eo êu iu oi ôi ơi ui"
    " ưi ưu iêu yêu oai oay uôi ươi ươu uây oao oeo uyu uao"
)
_ONSET: Final = "b|ch?|d|đ|gh?|gi|h|kh?|l|m|ngh?|nh?|ph?|qu|r|s|th?|tr|v|x"
_SYLLABLE = re.compile(rf"(?:{_ONSET})?(?:{_NUCLEI.replace(' ', '|')})(?:ch?|m|ng|nh?|p|t)?")
_TONES = re.compile("[\u0300\u0301\u0303\u0309\u0323]")
_WORDS = re.compile(r"\S+")
_ENOUGH: Final = 0.8
"""Share of syllables that shows an encoding; names and foreign words make up the rest."""
_AROUND = ".,;:!?()\"'-/0123456789"


@dataclass(frozen=True, slots=True)
class Converted:
    """``text`` in Unicode; ``encoding`` None when it was left as it came."""

    text: str
    encoding: Encoding | None


def convert_legacy(text: str) -> Converted:
    """``text`` in NFC Unicode when it is TCVN3 or VNI read as Latin-1, else unchanged."""
    if text.isascii() or _UNICODE_VIETNAMESE.search(text):
        return Converted(text, None)
    as_it_is = _share_of_syllables(text)
    made = (Converted(from_tcvn3(text), "tcvn3"), Converted(from_vni(text), "vni"))
    share, best = max(((_share_of_syllables(each.text), each) for each in made), key=lambda pair: pair[0])
    return best if share >= _ENOUGH and share > as_it_is else Converted(text, None)


def from_tcvn3(text: str) -> str:
    """TCVN3 bytes read as Latin-1, as Unicode."""
    return text.translate(str.maketrans(dict(_TCVN3)))


def from_vni(text: str) -> str:
    """VNI (Windows) text read as Latin-1, as Unicode NFC."""
    return unicodedata.normalize("NFC", _VNI_PAIR.sub(lambda pair: _VNI[pair.group()], text))


def _share_of_syllables(text: str) -> float:
    """How many of the words with marks are Vietnamese syllables, 0..1."""
    words = [word.strip(_AROUND) for word in _WORDS.findall(text)]
    marked = [word for word in words if word and not word.isascii()]
    if not marked:
        return 0.0
    return sum(_is_syllable(word) for word in marked) / len(marked)


def _is_syllable(word: str) -> bool:
    """Whether ``word`` is a possible syllable: known vowels between known consonants, with one tone at most."""
    bare, tones = _TONES.subn("", unicodedata.normalize("NFD", word.lower()))
    return tones <= 1 and _SYLLABLE.fullmatch(unicodedata.normalize("NFC", bare)) is not None
