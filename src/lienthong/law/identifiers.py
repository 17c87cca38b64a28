"""Numbers the State gives to persons, firms and parcels: checked, taken apart, and made for synthetic data.

A check returns what the number says or raises ``IdentifierRefused``; neither the number nor anything read from it ever
enters an error's facts.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from datetime import date
from typing import Final, Literal

from lienthong.errors import Problem
from lienthong.i18n import T

Oddity = Literal["unknown-birth-place"]
"""What is odd about a number without making it wrong."""

_BIRTH_PLACES: Final = (
    "001 002 004 006 008 010 011 012 014 015 017 019 020 022 024 025 026 027 030 031 033 034 035 036 037 038 040 042"
    " 044 045 046 048 049 051 052 054 056 058 060 062 064 066 067 068 070 072 074 075 077 079 080 082 083 084 086 087"
    " 089 091 092 093 094 095 096"
)
BIRTH_PLACES: Final = frozenset(_BIRTH_PLACES.split())
"""The 63 birth-place codes of TT 07/2016/TT-BCA.  Numbers are never reissued, so mergers of provinces change none."""

_PERSONAL = re.compile(r"[0-9]{12}")
_ENTERPRISE = re.compile(r"([0-9]{9})([0-9])(?:-?([0-9]{3}))?")
_PARCEL = re.compile(r"[0-9b-hjkmnp-z]{12}")
_ENTERPRISE_WEIGHTS: Final = (31, 29, 23, 19, 17, 13, 7, 5, 3)
_GEOHASH_ALPHABET: Final = "0123456789bcdefghjkmnpqrstuvwxyz"


class IdentifierRefused(Problem):
    """An identifier is not shaped as the law says, or contradicts what is known about its bearer."""

    kind = "identifier-invalid"
    status = 422
    side = "caller"
    title = T("The identifier is not valid")


@dataclass(frozen=True, slots=True)
class PersonalNumber:
    """What a personal identification number (số định danh cá nhân) says about its bearer.  ``repr`` leaves it out."""

    number: str = field(repr=False)
    birth_place: str
    birth_year: int
    female: bool
    warnings: tuple[Oddity, ...]


@dataclass(frozen=True, slots=True)
class EnterpriseCode:
    """An enterprise code (mã số doanh nghiệp = mã số thuế); ``branch`` is the suffix of a dependent unit."""

    code: str
    branch: str | None


@dataclass(frozen=True, slots=True)
class Place:
    """A point in degrees, WGS84."""

    lat: float
    lon: float


def check_personal_number(
    number: str, *, today: date, born: date | None = None, female: bool | None = None
) -> PersonalNumber:
    """The reading of a 12-digit personal number, checked against birth date and gender where these are known.

    Layout: birth place (3), century and gender (1), last two digits of the birth year (2), random (6); it has no check
    digit.  An unknown birth place is a warning, not an error: the bearer may be born abroad.
    Source: NĐ 137/2015 Đ13, TT 07/2016/TT-BCA.
    """
    if not _PERSONAL.fullmatch(number):
        raise IdentifierRefused(T("A personal number has 12 digits."), mend=T("Write it with its leading zeros."))
    century_gender = int(number[3])
    year = 1900 + 100 * (century_gender // 2) + int(number[4:6])
    is_female = century_gender % 2 == 1
    if year > today.year:
        raise IdentifierRefused(T("The personal number names a birth year that has not come."))
    if born is not None and born.year != year:
        raise IdentifierRefused(T("The personal number does not agree with the birth date."))
    if female is not None and female != is_female:
        raise IdentifierRefused(T("The personal number does not agree with the gender."))
    warnings: tuple[Oddity, ...] = () if number[:3] in BIRTH_PLACES else ("unknown-birth-place",)
    return PersonalNumber(number, number[:3], year, is_female, warnings)


def personal_number(birth_place: str, born: date, female: bool, serial: int) -> str:
    """A well-formed personal number for synthetic data.

    ``birth_place`` is one of BIRTH_PLACES or an old 2-digit province code ("31"); ``serial`` is 0..999999.
    Raises IdentifierRefused when a part does not fit.
    """
    place = birth_place.zfill(3)
    if place not in BIRTH_PLACES or not 1900 <= born.year < 2400 or not 0 <= serial <= 999_999:
        raise IdentifierRefused(T("No personal number can be made of these parts."))
    century_gender = 2 * ((born.year - 1900) // 100) + int(female)
    return f"{place}{century_gender}{born.year % 100:02d}{serial:06d}"


def masked_number(number: str) -> str:
    """The number as a person may be shown it: the first three and the last two characters, ``001*******56``."""
    if len(number) <= 5:
        return "*" * len(number)
    return f"{number[:3]}{'*' * (len(number) - 5)}{number[-2:]}"


def check_enterprise_code(code: str) -> EnterpriseCode:
    """The reading of an enterprise code: 10 digits, or 13 (``0314409058-002``, hyphen optional) for a branch.

    Refused: a wrong check digit, digits 3-9 all zero, branch 000.  Source: the published rule of mã số doanh nghiệp.
    """
    shape = _ENTERPRISE.fullmatch(code)
    if shape is None:
        raise IdentifierRefused(T("An enterprise code has 10 digits, or 13 for a branch."))
    stem, last, branch = shape.groups()
    expected = enterprise_check_digit(stem)
    if stem[2:] == "0000000" or expected is None or str(expected) != last:
        raise IdentifierRefused(T("The check digit of the enterprise code is wrong."))
    if branch == "000":
        raise IdentifierRefused(T("The branch number 000 is not in use."))
    return EnterpriseCode(stem + last, branch)


def enterprise_check_digit(stem: str) -> int | None:
    """The tenth digit over the nine digits of ``stem``, or None where the formula gives 10 and no such code exists."""
    if not re.fullmatch(r"[0-9]{9}", stem):
        raise IdentifierRefused(T("An enterprise code has 10 digits, or 13 for a branch."))
    remainder = sum(int(digit) * weight for digit, weight in zip(stem, _ENTERPRISE_WEIGHTS, strict=True)) % 11
    return None if remainder == 0 else 10 - remainder


def check_tax_code(code: str, *, today: date) -> EnterpriseCode | PersonalNumber:
    """The reading of a tax code: an enterprise code, or since 1 Jul 2025 a person's 12-digit number.

    Source: TT 86/2024/TT-BTC (not yet read in full).
    """
    if _PERSONAL.fullmatch(code):
        return check_personal_number(code, today=today)
    return check_enterprise_code(code)


def check_parcel_id(code: str) -> Place:
    """The centre of the cell that a parcel id names: a GeoHash of 12 characters inside Việt Nam.

    Raises IdentifierRefused for other characters (a, i, l, o, capitals) and for points outside.
    Source: TT 09/2024/TT-BTNMT; guide of Cục Quản lý đất đai, 9/2025.
    """
    if not _PARCEL.fullmatch(code):
        raise IdentifierRefused(T("A parcel id is a GeoHash of 12 characters (digits and letters without a, i, l, o)."))
    place = geohash_centre(code)
    if not in_vietnam(place.lat, place.lon):
        raise IdentifierRefused(T("The parcel id lies outside Việt Nam."))
    return place


def geohash(lat: float, lon: float, length: int = 12) -> str:
    """The GeoHash cell of ``length`` characters that holds the point (degrees, WGS84).

    Twelve characters are a cell of about 3.7 x 1.9 cm at the equator.  Raises IdentifierRefused outside the globe.
    """
    if not (-90 <= lat <= 90 and -180 <= lon <= 180):
        raise IdentifierRefused(T("A point lies within 90 degrees of latitude and 180 degrees of longitude."))
    bits = 5 * length
    lon_bits, lat_bits = (bits + 1) // 2, bits // 2
    column = min(int((lon + 180) / 360 * (1 << lon_bits)), (1 << lon_bits) - 1)
    row = min(int((lat + 90) / 180 * (1 << lat_bits)), (1 << lat_bits) - 1)
    cell = 0
    for position in range(bits):  # bits alternate, longitude first
        axis, axis_bits = (column, lon_bits) if position % 2 == 0 else (row, lat_bits)
        cell = cell << 1 | axis >> (axis_bits - 1 - position // 2) & 1
    return "".join(_GEOHASH_ALPHABET[cell >> 5 * (length - 1 - i) & 31] for i in range(length))


def geohash_centre(code: str) -> Place:
    """The centre of a GeoHash cell, degrees WGS84; ValueError for a character outside the alphabet."""
    lat_low, lat_high, lon_low, lon_high = -90.0, 90.0, -180.0, 180.0
    longitude = True
    for character in code:
        value = _GEOHASH_ALPHABET.index(character)
        for shift in range(4, -1, -1):
            upper = value >> shift & 1
            if longitude:
                middle = (lon_low + lon_high) / 2
                lon_low, lon_high = (middle, lon_high) if upper else (lon_low, middle)
            else:
                middle = (lat_low + lat_high) / 2
                lat_low, lat_high = (middle, lat_high) if upper else (lat_low, middle)
            longitude = not longitude
    return Place((lat_low + lat_high) / 2, (lon_low + lon_high) / 2)


def in_vietnam(lat: float, lon: float) -> bool:
    """Whether a point lies in Việt Nam, coarsely: half-degree bands around all communes, and the two archipelagos.

    A band reaches at least 0.2 degrees beyond the outermost commune centre: land is never refused, a strip of the
    neighbouring countries is accepted.
    """
    if any(south <= lat <= north and west <= lon <= east for south, north, west, east in _ARCHIPELAGOS):
        return True
    band = _BANDS.get(int(lat * 2)) if lat > 0 else None
    return band is not None and band[0] <= lon <= band[1]


_ARCHIPELAGOS: Final = ((15.5, 17.3, 111.0, 113.0), (6.5, 12.1, 109.3, 117.9))
"""Hoàng Sa and Trường Sa (with the southern shelf): south, north, west, east."""

_BANDS: Final[dict[int, tuple[float, float]]] = {
    16: (104.3, 107.0), 17: (104.3, 107.0), 18: (103.2, 107.0), 19: (102.6, 107.0), 20: (103.6, 107.7),
    21: (104.3, 109.2), 22: (105.4, 109.3), 23: (105.6, 109.5), 24: (106.4, 109.6), 25: (107.2, 109.7),
    26: (107.2, 109.7), 27: (107.1, 109.6), 28: (107.1, 109.5), 29: (107.2, 109.3), 30: (107.1, 109.4),
    31: (106.9, 108.9), 32: (106.4, 108.6), 33: (106.2, 108.0), 34: (105.8, 107.7), 35: (105.4, 106.9),
    36: (104.9, 106.7), 37: (104.3, 106.2), 38: (103.6, 106.2), 39: (103.8, 106.4), 40: (104.1, 108.0),
    41: (102.8, 108.1), 42: (102.5, 108.3), 43: (102.2, 108.3), 44: (101.9, 107.0), 45: (102.1, 107.0),
    46: (104.5, 106.3),
}  # fmt: skip
"""Half-degree of latitude (times two) -> western and eastern longitude."""
