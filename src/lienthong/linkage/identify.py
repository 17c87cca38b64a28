"""What a code is (a person's, a firm's, a parcel's, a dossier's, a telephone, a plate), its parts, whether it holds.

Shapes overlap (12 digits may be a person's number or a person's tax code, 10 a firm or a telephone), so every reading
that fits the shape is answered, the valid ones first.  Nothing of the code enters an error or a log.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from lienthong.errors import Problem
from lienthong.i18n import Language, T
from lienthong.law import agencies, identifiers
from lienthong.law.units import LAST_OLD_DAY, UnitUnknown, level_of, readings, unit_on

Kind = Literal[
    "personal-number",
    "old-identity-card",
    "enterprise-code",
    "parcel",
    "procedure",
    "dossier",
    "agency",
    "unit",
    "phone",
    "plate",
]
Verdict = Literal["valid", "doubtful", "invalid"]
_RANK: Final[Mapping[Verdict, int]] = {"valid": 0, "doubtful": 1, "invalid": 2}

MOBILE_OF_2018: Final[Mapping[str, str]] = {
    "0120": "070",
    "0121": "079",
    "0122": "077",
    "0126": "076",
    "0128": "078",
    "0123": "083",
    "0124": "084",
    "0125": "085",
    "0127": "081",
    "0129": "082",
    **{f"016{last}": f"03{last}" for last in "23456789"},
    "0186": "056",
    "0188": "058",
    "0199": "059",
}
"""Prefixes of eleven-digit mobile numbers -> what replaced them.  Source: the plan of 2018 (text not read)."""

_MOBILE = re.compile(r"0(?:3[2-9]|5[25689]|7[06-9]|8[1-9]|9[0-9])[0-9]{7}")
_FIXED = re.compile(r"02[0-9]{8,9}")
_PHONE = re.compile(r"(?:\+84|0084|0)[0-9]{8,10}")
_CMND = re.compile(r"[0-9]{9}")
_PROCEDURE = re.compile(r"([1-9]\.[0-9]{6})(?:\.([0-9]{2}))?(?:\.([0-9A-Z.]+[A-Z][0-9]{2}))?")
_DOSSIER = re.compile(r"([0-9A-Z.]+)-([0-9]{2})([0-9]{2})([0-9]{2})-([0-9]{4,})")
_AGENCY = re.compile(r"[A-Z][0-9]{2}(?:\.[0-9A-Z]+)*|(?:[0-9]{2,3}\.){2,3}[A-Z][0-9]{2}")
_PLATE_PARTED = re.compile(r"([0-9]{2})[ -]?([A-Z][0-9A-Z]?)[ -]([0-9]{3}[. ]?[0-9]{2}|[0-9]{4})")
_PLATE = re.compile(r"([0-9]{2})([A-Z]{1,2})([0-9]{5}|[0-9]{4})|([0-9]{2})([A-Z][0-9])([0-9]{5})")
_PLATES: Final = (
    "29:01 30:01 31:01 32:01 33:01 40:01 23:02 11:04 97:06 22:08 24:10 27:11 25:12 26:14 21:15 28:17 20:19 12:20 14:22"
    " 98:24 19:25 88:26 99:27 34:30 15:31 16:31 89:33 17:34 90:35 18:36 35:37 36:38 37:40 38:42 73:44 74:45 75:46 43:48"
    " 92:49 76:51 77:52 78:54 79:56 85:58 86:60 82:62 81:64 47:66 48:67 49:68 93:70 70:72 61:74 39:75 60:75 72:77 41:79"
    " 50:79 51:79 52:79 53:79 54:79 55:79 56:79 57:79 58:79 59:79 62:80 63:82 71:83 84:84 64:86 66:87 67:89 68:91 65:92"
    " 95:93 83:94 94:95 69:96"
)
PLATE_PROVINCES: Final[Mapping[str, str]] = {pair[:2]: pair[3:] for pair in _PLATES.split()}
"""Series of a plate -> old province code (of 63; 2025 changed no plate).  13 was Hà Bắc's, before 1997."""


@dataclass(frozen=True, slots=True)
class Identified:
    """One reading of a code: ``parts`` as data, ``because`` why it does not hold or what is odd about it."""

    kind: Kind
    verdict: Verdict
    parts: Mapping[str, str] = field(default_factory=dict[str, str])
    because: Problem | None = None

    def reason(self, language: Language) -> str:
        """Why it does not hold or what is odd, in words; empty when there is nothing to say."""
        return self.because.detail(language) if self.because else ""


def identify(
    text: str, *, today: date, born: date | None = None, female: bool | None = None, as_of: date | None = None
) -> tuple[Identified, ...]:
    """Every reading of ``text``, valid ones first; none when it has the shape of nothing known here.

    ``born`` and ``female`` are checked against a personal number; ``as_of`` is the day an administrative code is meant
    for, without which an ambiguous one is doubtful.
    """
    code = text.strip()
    found = [read(code, today, born, female, as_of) for read in _READERS]
    return tuple(sorted((each for each in found if each is not None), key=lambda each: _RANK[each.verdict]))


def _personal(code: str, today: date, born: date | None, female: bool | None, _: date | None) -> Identified | None:
    if not (code.isascii() and code.isdigit() and len(code) == 12):
        return None
    try:
        number = identifiers.check_personal_number(code, today=today, born=born, female=female)
    except Problem as wrong:
        return Identified("personal-number", "invalid", because=wrong)
    parts = {"birth_place": number.birth_place, "birth_year": str(number.birth_year)}
    parts["gender"] = "female" if number.female else "male"
    if number.warnings:
        return Identified(
            "personal-number", "doubtful", parts, _odd(T("The birth place is none of the 63 provinces' codes."))
        )
    place = unit_on(number.birth_place[1:], "province", LAST_OLD_DAY)
    return Identified("personal-number", "valid", parts | ({"birth_place_name": place.full_name} if place else {}))


def _old_card(code: str, *_: object) -> Identified | None:
    if not _CMND.fullmatch(code):
        return None
    return Identified(
        "old-identity-card", "doubtful", because=_odd(T("Nine digits carry no check: compare with its bearer."))
    )


def _enterprise(code: str, *_: object) -> Identified | None:
    digits = code.replace("-", "")
    if not (digits.isascii() and digits.isdigit() and len(digits) in (10, 13)):
        return None
    try:
        firm = identifiers.check_enterprise_code(code)
    except Problem as wrong:
        return Identified("enterprise-code", "invalid", because=wrong)
    return Identified(
        "enterprise-code", "valid", {"code": firm.code} | ({"branch": firm.branch} if firm.branch else {})
    )


def _parcel(code: str, *_: object) -> Identified | None:
    if len(code) != 12 or not code.isascii() or not code.isalnum() or code.isdigit():
        return None
    try:
        place = identifiers.check_parcel_id(code)
    except Problem as wrong:
        return Identified("parcel", "invalid", because=wrong)
    return Identified("parcel", "valid", {"lat": f"{place.lat:.7f}", "lon": f"{place.lon:.7f}"})


def _procedure(code: str, *_: object) -> Identified | None:
    shape = _PROCEDURE.fullmatch(code)
    if shape is None:
        return None
    number, service, agency = shape.groups()
    parts = {"procedure": number} | ({"service": service} if service else {}) | ({"agency": agency} if agency else {})
    unknown = _unknown_agency(agency) if agency else None
    return Identified("procedure", "invalid" if unknown else "valid", parts, unknown)


def _dossier(code: str, today: date, *_: object) -> Identified | None:
    shape = _DOSSIER.fullmatch(code)
    if shape is None:
        return None
    agency, year, month, day, sequence = shape.groups()
    parts = {"agency": agency, "sequence": sequence}
    try:
        received = date(2000 + int(year), int(month), int(day))
    except ValueError:
        return Identified("dossier", "invalid", parts, _odd(T("The dossier names a day that does not exist.")))
    parts["date"] = received.isoformat()
    if received > today:
        return Identified("dossier", "invalid", parts, _odd(T("The dossier names a day that has not come.")))
    unknown = _unknown_agency(agency)
    return Identified("dossier", "doubtful" if unknown else "valid", parts, unknown)


def _agency(code: str, today: date, *_: object) -> Identified | None:
    if not _AGENCY.fullmatch(code):
        return None
    try:
        standing = agencies.look_up(agencies.code_of(code), today)
    except Problem as unknown:
        return Identified("agency", "invalid", because=unknown)
    agency = standing.agency
    parts = {"code": agency.code, "name": agency.name_vi, "state": standing.state}
    if standing.successor:
        parts["successor"] = standing.successor
    if not agency.verified:
        return Identified("agency", "doubtful", parts, _odd(T("The code is not verified against the official list.")))
    return Identified("agency", "valid", parts)


def _unit(code: str, _: date, __: date | None, ___: bool | None, as_of: date | None) -> Identified | None:
    try:
        level = level_of(code)
    except UnitUnknown:
        return None
    known = readings(code, level)
    if not known:
        return None
    try:
        unit = unit_on(code, level, as_of)
    except Problem:
        names = "; ".join(dict.fromkeys(unit.full_name for unit in known))
        return Identified(
            "unit", "doubtful", {"readings": names}, _odd(T("The code has meant several units: say for which day."))
        )
    if unit is None:
        return Identified("unit", "invalid", because=_odd(T("No unit bore this code on that day.")))
    return Identified("unit", "valid", {"level": level, "name": unit.full_name, "legal_basis": unit.legal_basis})


def _phone(code: str, *_: object) -> Identified | None:
    bare = re.sub(r"[ .()-]", "", code)
    if not _PHONE.fullmatch(bare):
        return None
    number = re.sub(r"^(?:\+84|0084)", "0", bare)
    renewed = MOBILE_OF_2018.get(number[:4])
    if renewed is not None and len(number) == 11:
        parts = {"number": renewed + number[4:], "type": "mobile", "was": number}
        return Identified("phone", "valid", parts, _odd(T("The number was renewed in 2018.")))
    if _MOBILE.fullmatch(number):
        return Identified("phone", "valid", {"number": number, "type": "mobile"})
    if _FIXED.fullmatch(number):
        return Identified("phone", "valid", {"number": number, "type": "fixed"})
    return Identified("phone", "invalid", because=_odd(T("No network has numbers that begin so.")))


def _plate(code: str, *_: object) -> Identified | None:
    written = code.upper()
    shape = _PLATE_PARTED.fullmatch(written) or _PLATE.fullmatch(re.sub(r"[ .-]", "", written))
    if shape is None:
        return None
    series, letters, number = (re.sub(r"[. ]", "", part) for part in shape.groups() if part)
    parts = {"series": series, "letters": letters, "number": number}
    province = PLATE_PROVINCES.get(series)
    if province is None:
        return Identified("plate", "invalid", parts, _odd(T("No province bears this series.")))
    unit = unit_on(province, "province", LAST_OLD_DAY)
    return Identified("plate", "valid", parts | {"province": unit.full_name if unit else province})


def _unknown_agency(code: str) -> Problem | None:
    """Why neither ``code`` nor the agency it stands under is known; None when it is.  Both forms are read (R-02)."""
    groups = code.split(".")
    try:
        agencies.look_up(groups[-1] if agencies.is_legacy_code(code) else groups[0], date.max)
    except Problem as unknown:
        return unknown
    return None


def _odd(message: str) -> Problem:
    return identifiers.IdentifierRefused(message)


_Reader = Callable[[str, date, date | None, bool | None, date | None], Identified | None]
_READERS: Final[tuple[_Reader, ...]] = (
    _personal,
    _enterprise,
    _parcel,
    _procedure,
    _dossier,
    _agency,
    _unit,
    _phone,
    _plate,
    _old_card,
)
