"""Text from before Unicode: TCVN3 (ABC), VNI and VISCII, read as Latin-1, recognised by what it becomes.

A conversion is taken only when the words it gives are Vietnamese syllables and the given ones were not; the original is
kept by whoever asks.  TCVN3's capitals live in another font and come out as small letters.  Where two encodings give
equally good words, TCVN3, the former national standard, is taken before VNI, and VNI before VISCII.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal

Encoding = Literal["tcvn3", "vni", "viscii"]

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

_VISCII: Final[Mapping[str, str]] = dict(
    zip(
        "\x02\x05\x06\x14\x19\x1e" + "".join(map(chr, range(0x80, 0x100))),
        "ẲẴẪỶỸỴ"
        "ẠẮẰẶẤẦẨẬẼẸẾỀỂỄỆỐ" "ỒỔỖỘỢỚỜỞỊỎỌỈỦŨỤỲ" "Õắằặấầẩậẽẹếềểễệố" "ồổỗỠƠộờởịỰỨỪỬơớƯ"
        "ÀÁÂÃẢĂẳẵÈÉÊẺÌÍĨỳ" "ĐứÒÓÔạỷừửÙÚỹỵÝỡư" "àáâãảăữẫèéêẻìíĩỉ" "đựòóôõỏọụùúũủýợỮ",
        strict=True,
    )
)  # fmt: skip
"""The table of RFC 1456, by rows of sixteen from 0x80; six letters stand in place of control characters."""

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
    """``text`` in NFC Unicode when it is TCVN3, VNI or VISCII read as Latin-1, else unchanged."""
    if text.isascii() or _UNICODE_VIETNAMESE.search(text):
        return Converted(text, None)
    as_it_is = _share_of_syllables(text)
    made = [
        Converted(read(text), encoding)
        for encoding, read, letters in _READERS
        if all(letter.isascii() or not letter.isalpha() or letter in letters for letter in text)
    ]
    share, best = max(
        ((_share_of_syllables(each.text), each) for each in made),
        key=lambda pair: pair[0],
        default=(0.0, Converted(text, None)),
    )
    return best if share >= _ENOUGH and share > as_it_is else Converted(text, None)


def from_tcvn3(text: str) -> str:
    """TCVN3 bytes read as Latin-1, as Unicode."""
    return text.translate(str.maketrans(dict(_TCVN3)))


def from_vni(text: str) -> str:
    """VNI (Windows) text read as Latin-1, as Unicode NFC."""
    return unicodedata.normalize("NFC", _VNI_PAIR.sub(lambda pair: _VNI[pair.group()], text))


def from_viscii(text: str) -> str:
    """VISCII bytes read as Latin-1, as Unicode.  Source: RFC 1456."""
    return text.translate(str.maketrans(dict(_VISCII)))


_READERS: Final[tuple[tuple[Encoding, Callable[[str], str], frozenset[str]], ...]] = (
    ("tcvn3", from_tcvn3, frozenset(_TCVN3)),
    ("vni", from_vni, frozenset("".join(_VNI))),
    ("viscii", from_viscii, frozenset(_VISCII)),
)
"""Each encoding with the letters outside ASCII that it knows: another one says that it is not this encoding."""


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
