"""Names of persons and firms taken apart, so that spellings of one name meet and different names stay apart.

A Vietnamese name is written family - middle - given; about a third of all people are called Nguyễn, so the family name
says little and the given name much.  Names of minorities may have one part, or a first part that is a word of gender
(``Y``, ``H'``): nothing is ever assumed to have three.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from lienthong.law.text import fold, placed_tones, visible

_COMMON: Final = "nguyen tran le pham hoang huynh phan vu vo dang bui do ho ngo duong ly"
_OTHERS: Final = (
    "bach bien ca cai cam cao cu chau che chu chung co cung dam dan dao dau dinh doan don dong du doi ha han hua kha"
    " khuc khuong khuu kieu kim la lai lam lang lieu lo loi lu luc luong luu ma mac mai man mau mong nghiem ngac ngan"
    " nhu ninh ong pha phi pho phu phung quach quan sam song sung ta tang tao thach thai than thao thang thieu tieu to"
    " ton tong tra trac trang trieu trinh truong tu tuong uong ung van vang vi vien vuong xa giang"
)
COMMON_FAMILY_NAMES: Final = frozenset(_COMMON.split())
FAMILY_NAMES: Final = COMMON_FAMILY_NAMES | frozenset(_OTHERS.split())
"""Family names, folded: enough to see that a name stands in another order."""

_TITLE_WORDS: Final = "ong ba anh chi em co chu bac ts ths pgs gs bs ks ls cn dr mr mrs ms thay"
TITLES: Final = frozenset(_TITLE_WORDS.split())
_VARIANTS: Final[Mapping[str, str]] = {"huynh": "hoang", "vo": "vu"}
"""One family name in two dialects -> one key.  Source: usage; kept to pairs that are the same name."""
_NOT_NAME = re.compile(r"[^a-z0-9' ]+")
_Y_AT_END = re.compile(r"(?<=[bcdghklmnprstvx])y\b")


@dataclass(frozen=True, slots=True)
class PersonName:
    """A person's name as keys, all folded; ``family`` and ``middle`` are empty where there are none.

    ``key`` is the whole name with spelling variants made one; ``bag`` the same words in alphabetical order, equal for
    a name written the other way round; ``reversed`` says that it seems to be.
    """

    family: str
    middle: str
    given: str
    key: str
    bag: str
    reversed: bool


@dataclass(frozen=True, slots=True)
class FirmName:
    """A firm's name: ``form`` a code of its legal form ("" when none is written), ``core`` the folded rest."""

    form: str
    core: str
    words: tuple[str, ...]


def read_person_name(text: str) -> PersonName:
    """The name in ``text``, titles left off; all empty for a text without letters.

    >>> read_person_name("Bà HUỲNH THỊ MỸ").key
    'hoang thi mi'
    """
    words = [word for word in _NOT_NAME.sub(" ", fold(text)).split() if word != "'"]
    while len(words) > 1 and _is_title(words):
        words = words[1:]
    turned = len(words) > 1 and words[0] not in FAMILY_NAMES and words[-1] in FAMILY_NAMES
    family = len(words) - 1 if turned else 0
    keys = [_one_spelling(word, first=number == family) for number, word in enumerate(words)]
    ordered = [keys[-1], *keys[:-1]] if turned else keys
    return PersonName(
        family=ordered[0] if len(ordered) > 1 else "",
        middle=" ".join(ordered[1:-1]),
        given=ordered[-1] if ordered else "",
        key=" ".join(ordered),
        bag=" ".join(sorted(_one_spelling(word, first=word in _VARIANTS) for word in words)),
        reversed=turned,
    )


def _is_title(words: list[str]) -> bool:
    """Whether the first word is a title: ``Ông`` and ``Cô`` are family names too, unless one of the usual follows."""
    return words[0] in TITLES and (words[0] not in FAMILY_NAMES or words[1] in COMMON_FAMILY_NAMES)


def official_spelling(text: str) -> str:
    """``text`` as a register writes a name: NFC, tone marks placed as officially, capitals, single spaces."""
    words = placed_tones(visible(text)).split()
    return " ".join(word[:1].upper() + word[1:].lower() for word in words)


def _one_spelling(word: str, *, first: bool) -> str:
    """``word`` with ``y`` for ``i`` at its end made one, and the family names that are one in two dialects."""
    plain = _Y_AT_END.sub("i", word)
    return _VARIANTS.get(word, plain) if first else plain


_FORMS: Final = (
    ("cong ty trach nhiem huu han mot thanh vien", "TNHH1"),
    ("cong ty trach nhiem huu han hai thanh vien tro len", "TNHH2"),
    ("cong ty trach nhiem huu han hai thanh vien", "TNHH2"),
    ("cong ty trach nhiem huu han", "TNHH"),
    ("cong ty co phan", "CP"),
    ("cong ty hop danh", "HD"),
    ("doanh nghiep tu nhan", "DNTN"),
    ("lien hiep hop tac xa", "LHHTX"),
    ("hop tac xa", "HTX"),
    ("van phong dai dien", "VPDD"),
    ("dia diem kinh doanh", "DDKD"),
    ("chi nhanh", "CN"),
    ("tong cong ty", "TCT"),
    ("tap doan", "TD"),
    ("ho kinh doanh", "HKD"),
    ("cong ty", "CT"),
)
"""Legal forms of Luật Doanh nghiệp 2020 and Luật Hợp tác xã 2023, folded -> code; the longest first."""

_ABBREVIATIONS: Final[Mapping[str, str]] = {
    "cty": "cong ty",
    "ct": "cong ty",
    "ctcp": "cong ty co phan",
    "tnhh": "trach nhiem huu han",
    "cp": "co phan",
    "mtv": "mot thanh vien",
    "1tv": "mot thanh vien",
    "2tv": "hai thanh vien",
    "dntn": "doanh nghiep tu nhan",
    "htx": "hop tac xa",
    "cn": "chi nhanh",
    "vpdd": "van phong dai dien",
    "hkd": "ho kinh doanh",
    "tct": "tong cong ty",
    "tm": "thuong mai",
    "dv": "dich vu",
    "tmdv": "thuong mai dich vu",
    "sx": "san xuat",
    "xd": "xay dung",
    "xnk": "xuat nhap khau",
    "dt": "dau tu",
    "pt": "phat trien",
    "kt": "ky thuat",
    "vt": "van tai",
    "vlxd": "vat lieu xay dung",
    "bds": "bat dong san",
}
"""What firms' names are shortened to, folded, when written in capitals or with a full stop."""
_WORDS_OF_FIRM = re.compile(r"[a-z0-9]+")
_NOT_CORE: Final = frozenset(("va", "viet", "nam"))


def read_firm_name(text: str) -> FirmName:
    """The legal form and the core of a firm's name: ``Cty TNHH MTV ABC`` and ``Công ty TNHH Một Thành Viên ABC`` meet.

    A branch keeps the form of a branch; the form of its firm is left off too.
    """
    written: list[str] = _WORDS_OF_FIRM.findall(fold(text).replace("&", " va "))
    rest, forms = " ".join(_ABBREVIATIONS.get(word, word) for word in written), list[str]()
    while (found := _form_before(rest)) is not None:
        rest = rest[len(found[0]) :].strip()
        forms.append(found[1])
    return FirmName(forms[0] if forms else "", rest, tuple(sorted(set(rest.split()) - _NOT_CORE)))


def _form_before(name: str) -> tuple[str, str] | None:
    """The legal form that ``name`` begins with: its words and its code."""
    return next((form for form in _FORMS if f"{name} ".startswith(f"{form[0]} ")), None)
