"""Made-up people and the copies registers hold of them: a second draw, independent of the one the matcher grew with.

A matcher measured only on data of its author's own making looks better than it is.  This generator was written from
the published rates of slips alone (reference data on linkage, sections 2, 3 and 4.1), without a look at the matcher
or at the first generator, so that a figure that holds on both says something.  What it promises:

* ``records(seed, number)`` yields exactly ``number`` rows in the order of COLUMNS, all text, "" for unknown, and
  always the same rows for the same seed; ``record`` is unique and tells nothing, ``person`` is the label.
* About 1.3 records to a person: one clean record of the population register, and copies from land, tax and health.
* Of the **copies**: name without diacritics 20 %, with the tone placed the other way 6 % (seen only where a name has
  such a syllable), decomposed 4 %, in capitals 10 %, mistyped 6 %, reversed 3 %, behind a title 2 %; birth by year
  only 6 %, day and month swapped 3 %, missing 4 %; number missing 38.5 %, old card 15 %, one digit wrong 3 %; phone
  missing 25 %, another one 15 %, in its spelling before 2018 5 %; a former home 12 %.
* Slips of names and births come in company: 15 % of the copies are careless and hold 2.5 times as many of them.
* Of the people 55 % live with the one drawn before (same commune and street), 60 % of those bear the same family name
  and 40 % have the same phone: couples, children, twins with neighbouring numbers, grandparents, lodgers.
* Namesakes of the same year or day, names of ethnic minorities, Vũ/Võ, Hoàng/Huỳnh, y/i, households that moved as one.

Rows come mixed, not person by person.  What 4.1 leaves open (the phone's rates, the namesakes, how careless a copy is)
is an assumption made here.
"""

from __future__ import annotations

import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import accumulate, count
from random import Random
from typing import Final

from lienthong.demo.names import FAMILY_NAMES, FAMILY_WEIGHTS, GIVEN, MIDDLE
from lienthong.law.identifiers import BIRTH_PLACES
from lienthong.law.units import units_on

COLUMNS: Final = ("record", "source", "name", "birth", "gender", "number", "phone", "unit", "street", "person")

TODAY: Final = date(2026, 11, 23)
PLACES: Final = tuple(sorted(BIRTH_PLACES))
MIXED: Final = 50_000
"""How many rows are held back to be mixed."""

CARELESS, CARELESS_TIMES = 0.15, 2.5
CAREFUL_TIMES: Final = (1 - CARELESS * CARELESS_TIMES) / (1 - CARELESS)
LOST, TONE, DECOMPOSED, CAPITALS, MISTYPED, REVERSED, TITLED = 0.20, 0.06, 0.04, 0.10, 0.06, 0.03, 0.02
YEAR_ONLY, SWAPPED, NO_BIRTH = 0.06, 0.03, 0.04
NO_NUMBER, OLD_CARD, WRONG_DIGIT = 0.385, 0.15, 0.03
NO_PHONE, OTHER_PHONE, OLD_PHONE, MOVED = 0.25, 0.15, 0.05, 0.12
OTHER_SPELLING, NAMESAKES, MINORITIES, TWINS = 0.08, 0.015, 0.05, 0.06
SWAPPABLE: Final = 0.355
"""Of the births, those whose day could be a month and is not the same; the swaps of 4.1 all fall on these."""
CARD_HOLDERS: Final = 0.816
"""Of the people, those old enough to have had an old card; the old cards of 4.1 all fall on these."""

COPIES: Final = tuple(accumulate((0.76, 0.19, 0.04, 0.01)))
"""Cumulative: none, one, two, three copies; 0.3 on average."""

HOMES: Final[tuple[tuple[float, str], ...]] = (
    (0.36, "a"), (0.054, "o"),
    (0.124, "fm"), (0.040, "fc"), (0.022, "ss"), (0.034, "ll"), (0.022, "go"),
    (0.102, "fcm"), (0.01, "fcc"), (0.022, "lll"), (0.008, "gfm"),
    (0.088, "fccm"), (0.018, "gfcm"), (0.015, "fcco"), (0.01, "llll"),
    (0.024, "fcccm"), (0.026, "gfccm"),
    (0.016, "gfccmo"), (0.005, "fccccm"),
)  # fmt: skip
"""Who lives together, by share: a(dult alone), f(ather), m(other), c(hild), s(ibling), l(odger), g(randfather) and
o(ld woman), who is a grandmother where there are others."""
AGES: Final = {
    "a": (18, 80), "f": (24, 58), "s": (18, 45), "l": (18, 35), "g": (55, 92), "o": (55, 92),
}  # fmt: skip
SAME_PHONE: Final = {"m": 0.36, "c": 0.46, "s": 0.36, "l": 0.12, "f": 0.40, "o": 0.58}
"""How often one has the phone of the member named before."""

RENUMBERED: Final = {
    "032": "0162", "033": "0163", "034": "0164", "035": "0165", "036": "0166", "037": "0167", "038": "0168",
    "039": "0169", "070": "0120", "079": "0121", "077": "0122", "076": "0126", "078": "0128", "083": "0123",
    "084": "0124", "085": "0125", "081": "0127", "082": "0129", "056": "0186", "058": "0188", "059": "0199",
}  # fmt: skip
"""Prefixes of mobile phones since 2018, and what they were."""
PREFIXES: Final = (*RENUMBERED, "086", "088", "089", "090", "091", "093", "094", "096", "097", "098")

FAMILY_SPELLINGS: Final = {"Vũ": "Võ", "Võ": "Vũ", "Hoàng": "Huỳnh", "Huỳnh": "Hoàng"}
Y_AND_I: Final = dict(zip("yýỳỷỹỵ", "iíìỉĩị", strict=True))
TONES: Final = {
    a + b: c + d
    for a, b, c, d in (
        *(("oòóỏõọ"[t], "a", "o", "aàáảãạ"[t]) for t in range(1, 6)),
        *(("oòóỏõọ"[t], "e", "o", "eèéẻẽẹ"[t]) for t in range(1, 6)),
        *(("uùúủũụ"[t], "y", "u", "yỳýỷỹỵ"[t]) for t in range(1, 6)),
    )
}
"""Endings of a syllable with the tone on the first vowel, and with it on the second."""
OTHER_TONES: Final = TONES | {after: before for before, after in TONES.items()}

TITLES: Final = (("Ông", "Anh", "Ô.", "Mr.", "BS."), ("Bà", "Chị", "B.", "Ms.", "Cô"))
NEIGHBOURS: Final = {
    "a": "sqz", "b": "vn", "c": "xv", "d": "sf", "e": "wr", "g": "fh", "h": "gj", "i": "uo", "k": "jl", "l": "k",
    "m": "n", "n": "bm", "o": "ip", "p": "o", "q": "wa", "r": "et", "s": "ad", "t": "ry", "u": "yi", "v": "cb",
    "x": "zc", "y": "tu",
}  # fmt: skip
MARKS: Final = dict(zip("ảẻỉỏủãẽĩõũấầộồướờăâôơưêđ", "ãẽĩõũảẻỉỏủâấồộứớơâăơôuéd", strict=True))
"""Letters with a mark, and the letter a hasty or a dialect-speaking clerk writes instead."""

STREETS: Final = (
    "Lê Lợi", "Trần Phú", "Nguyễn Huệ", "Hai Bà Trưng", "Lý Thường Kiệt", "Quang Trung", "Hùng Vương", "Bà Triệu",
    "Nguyễn Trãi", "Điện Biên Phủ", "Lê Duẩn", "Phan Đình Phùng", "Trần Hưng Đạo", "Ngô Quyền", "Hoàng Diệu",
    "Cách Mạng Tháng Tám", "Võ Thị Sáu", "Tôn Đức Thắng", "Nguyễn Du", "Phan Chu Trinh", "Lạc Long Quân", "Âu Cơ",
)  # fmt: skip
HAMLETS: Final = ("Thôn", "Ấp", "Xóm", "Tổ dân phố", "Khu phố", "Khóm", "Bản", "Đội")
HAMLET_NAMES: Final = (
    "Đông", "Đoài", "Trung", "Thượng", "Hạ", "Bình An", "Phú Thọ", "Tân Lập", "Hòa Bình", "Mỹ Hòa", "Long Thạnh",
    "Nà Pá", "Suối Cát", "Đồng Tâm", "An Phú",
)  # fmt: skip

MINORITY_NAMES: Final[tuple[tuple[tuple[str, ...], tuple[str, ...], tuple[str, ...], tuple[str, ...]], ...]] = (
    # patterns of men and of women ({f}amily, {g}iven), families, givens
    (("Y {g} {f}",), ("H'{g} {f}",), ("Niê", "Ênuôl", "Êban", "Byă", "Mlô", "Kbuôr", "Ayun"),
     ("Hen", "Moan", "Bhiêm", "Nuên", "Loan", "Thuyên", "Krin", "Bia", "Djưn", "Sơn")),
    (("{f} A {g}", "{f} {g}"), ("{f} Thị {g}", "{f} {g}"), ("Giàng", "Vàng", "Sùng", "Thào", "Mùa", "Lý", "Hạng"),
     ("Páo", "Dế", "Sình", "Chua", "Mỷ", "Dua", "Tủa", "Pủa", "Sua", "Lử", "Mo")),
    (("A {g}",), ("Y {g}",), ("",), ("Thút", "Ban", "Len", "Hlứ", "Nghin", "Djưp", "Vui", "Xi", "Blưi", "Khang")),
    (("{g}",), ("{g}",), ("",), ("Thút", "Hyưn", "Yon", "Byơt", "Lơk", "Bơm", "Krông", "Mlơi", "Brơi", "Nhĩn")),
    (("{f} {g}",), ("{f} Thị {g}", "{f} {g}"), ("Thạch", "Sơn", "Danh", "Kim", "Châu", "Lâm"),
     ("Sô Phi", "Út", "Sa Rết", "Đa Ra", "Hoài", "Sóc Kha", "Chanh Tha", "Rít", "Thươl")),
    (("{f} {g}", "{f} Y {g}"), ("{f} H'{g}", "{f} {g}"), ("Rơ Châm", "Siu", "Ksor", "Rah Lan", "Kpă", "Nay"),
     ("Blơi", "Hyiu", "Thơn", "Nga", "Klah", "Phương", "Drim", "Mơ", "Hùng")),
    (("{f} {g}",), ("{f} Thị {g}", "{f} {g}"), ("Alăng", "Zơrâm", "Bhling", "Arất", "Pơloong"),
     ("Nhớ", "Bhuôch", "Mia", "Điêng", "Hạnh", "Ngước", "Tâm", "Blao")),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Home:
    """Where a household lives and lived before, and what it passes on to its members."""

    unit: str
    street: str
    former_unit: str
    former_street: str
    birth_place: str
    minority: int | None


@dataclass(frozen=True, slots=True)
class Person:
    """A person as the population register has them."""

    label: str
    family: str
    name: str
    born: date
    female: bool
    number: str
    old_card: str
    phone: str
    home: Home


def records(seed: int, number: int) -> Iterator[tuple[str, ...]]:
    """Exactly ``number`` rows in the order of COLUMNS, the same for the same ``seed``."""
    draw = Random(f"people again {seed}")
    held: list[tuple[str, ...]] = []
    serial = count(1)
    for _, row in zip(range(number), _rows(draw), strict=False):
        if len(held) < MIXED:
            held.append(row)
            continue
        place = int(draw.random() * MIXED)
        out, held[place] = held[place], row
        yield (f"r{next(serial):08d}", *out)
    draw.shuffle(held)
    for out in held:
        yield (f"r{next(serial):08d}", *out)


def people(draw: Random) -> Iterator[Person]:
    """People without end, household by household."""
    units = sorted(unit.code for unit in units_on("commune", TODAY))
    start = draw.randrange(1_000_000)
    shares = tuple(accumulate(share for share, _ in HOMES))
    roles = tuple(who for _, who in HOMES)
    known: deque[Person] = deque(maxlen=3_000)
    serial = count(1)
    while True:
        home = _home(draw, units)
        namesake = draw.choice(known) if known and draw.random() < NAMESAKES * 2.2 else None
        if namesake and draw.random() < 0.3:  # the nastier kind lives in the same commune
            home = _home(draw, units, namesake.home.unit)
        members: list[Person] = []
        who = draw.choices(roles, cum_weights=shares)[0]
        for place, role in enumerate(who):
            person = _member(draw, role, who[:place], members, home, start, next(serial))
            if namesake and place == 0 and role == "a":
                person = _namesake(draw, person, namesake)
            members.append(person)
        if namesake and who[0] != "a":
            members[0] = _namesake(draw, members[0], namesake)
        known.extend(members)
        yield from members


def _rows(draw: Random) -> Iterator[tuple[str, ...]]:
    for person in people(draw):
        gender = "nữ" if person.female else "nam"
        home = person.home
        yield (
            "population", person.name, person.born.isoformat(), gender, person.number, person.phone, home.unit,
            home.street, person.label,
        )  # fmt: skip
        chance = draw.random()
        for _ in range(sum(chance >= share for share in COPIES[:-1])):
            yield _copy(draw, person, gender)


def _home(draw: Random, units: list[str], unit: str = "") -> Home:
    at = units.index(unit) if unit else int(len(units) * draw.random())
    if draw.random() < 0.6:  # most people do not move far
        before = (at + draw.choice((-4, -3, -2, -1, 1, 2, 3, 4))) % len(units)
    else:
        before = (at + draw.randrange(1, len(units))) % len(units)
    minority = draw.randrange(len(MINORITY_NAMES)) if draw.random() < MINORITIES else None
    return Home(units[at], _street(draw), units[before], _street(draw), draw.choice(PLACES), minority)


def _street(draw: Random) -> str:
    kind = draw.random()
    if kind < 0.45:
        alley = f"{draw.randint(1, 60)}/" if draw.random() < 0.3 else ""
        return f"{alley}{draw.randint(1, 420)} {draw.choice(STREETS)}"
    if kind < 0.75:
        return f"{draw.choice(HAMLETS)} {draw.randint(1, 14)}"
    return f"{draw.choice(HAMLETS)} {draw.choice(HAMLET_NAMES)}"


def _member(draw: Random, role: str, before: str, members: list[Person], home: Home, start: int, serial: int) -> Person:
    """One more member of a household, in keeping with those drawn before."""
    last = members[-1] if members else None
    female = role in "mo" or (role not in "fg" and draw.random() < 0.5)
    twin = last if last and role in "cs" and before.endswith(role) and draw.random() < TWINS else None
    born = twin.born if twin else _born(draw, role, before, members)
    bloodline = next((m for m, r in zip(members, before, strict=True) if r in "gf"), None) if role in "fc" else None
    if role == "s" and last:
        bloodline = last
    family = bloodline.family if bloodline else ""
    sibling = last if last and role in "cs" and before.endswith(role) else None
    family, name = _name(draw, female, home, family, sibling)
    while any(name == m.name for m in members):  # not even careless parents name two children alike
        family, name = _name(draw, female, home, family, None)
    place = home.birth_place if draw.random() < 0.85 else draw.choice(PLACES)
    if twin:
        place = twin.number[:3]
    digits = (int(twin.number[-6:]) + 1 if twin else start + serial * 618_033) % 1_000_000
    century = 2 * (born.year // 100 - 19) + female
    phone = last.phone if last and draw.random() < SAME_PHONE.get(role, 0.0) else _phone(draw)
    return Person(
        f"p{serial:08d}", family, name, born, female,
        f"{place}{century}{born.year % 100:02d}{digits:06d}",
        f"{(start * 977 + serial * 381_966_011) % 1_000_000_000:09d}" if born.year < 2007 else "",
        phone, home,
    )  # fmt: skip


def _born(draw: Random, role: str, before: str, members: list[Person]) -> date:
    ages = {r: TODAY.year - m.born.year for r, m in zip(before, members, strict=True)}
    if role == "m":
        low, high = max(20, ages["f"] - 7), ages["f"] + 3
    elif role == "c":
        oldest = ages["f"] - 21
        low, high = max(0, oldest - 14), max(1, oldest)
    elif role == "o" and "g" in ages:
        low, high = max(48, ages["g"] - 8), ages["g"] + 2
    elif role == "f" and "g" in ages:
        low, high = max(23, ages["g"] - 36), max(24, ages["g"] - 21)
    else:
        low, high = AGES.get(role, (55, 92))
        if role == "o" and "f" in ages:
            low, high = ages["f"] + 19, ages["f"] + 34
    year = TODAY.year - draw.randint(low, high)
    if year < 1965 and draw.random() < 0.15:  # nobody remembers the day
        return date(year, 1, 1)
    return min(date(year, 1, 1) + timedelta(days=draw.randrange(365)), TODAY)


def _name(draw: Random, female: bool, home: Home, family: str, sibling: Person | None) -> tuple[str, str]:
    if home.minority is not None:
        men, women, families, givens = MINORITY_NAMES[home.minority]
        family = family or draw.choice(families)
        return family, draw.choice(women if female else men).format(f=family, g=draw.choice(givens))
    family = family or draw.choices(FAMILY_NAMES, cum_weights=FAMILY_WEIGHTS)[0]
    words = [family, draw.choice(MIDDLE[female]), draw.choice(GIVEN[female])]
    told = sibling.name.split() if sibling else []
    if sibling and sibling.female == female and len(told) >= 3 and draw.random() < 0.4:
        words[1] = told[1]  # siblings who differ in their last word only
    elif draw.random() < (0.2 if female else 0.06):
        words.insert(2, draw.choice(MIDDLE[female]))
        if words[1] == words[2]:
            del words[2]
    elif draw.random() < 0.03:
        del words[1]
    if words[-1] in words[1:-1]:
        words.remove(words[-1])
    return family, " ".join(words)


def _namesake(draw: Random, person: Person, other: Person) -> Person:
    """The person under another's name, born in the same year or, more rarely, on the same day."""
    if person.female != other.female or person.home.minority is not None or other.home.minority is not None:
        return person
    born = other.born
    if draw.random() >= 0.25:
        born = date(born.year, 1, 1) + timedelta(days=draw.randrange(365))
    born = min(born, TODAY)
    if TODAY.year - born.year < 18:
        return person
    century = 2 * (born.year // 100 - 19) + person.female
    number = f"{person.number[:3]}{century}{born.year % 100:02d}{person.number[6:]}"
    return Person(
        person.label, other.family, other.name, born, person.female, number,
        person.old_card if born.year < 2007 else "", person.phone, person.home,
    )  # fmt: skip


def _phone(draw: Random) -> str:
    return f"{draw.choice(PREFIXES)}{int(draw.random() * 10_000_000):07d}"


def _copy(draw: Random, person: Person, gender: str) -> tuple[str, ...]:
    """What land, tax or health wrote down of a person."""
    times = CARELESS_TIMES if draw.random() < CARELESS else CAREFUL_TIMES
    child = TODAY.year - person.born.year < 18
    source = "health" if child else draw.choice(("land", "tax", "health"))
    if draw.random() < MOVED:
        unit, street = person.home.former_unit, person.home.former_street
    else:
        unit, street = person.home.unit, person.home.street
    name, write = _written_name(draw, person, times)
    birth, number, phone = (
        _written_birth(draw, person, times),
        _written_number(draw, person),
        _written_phone(draw, person),
    )
    return (source, write(name), birth, gender, number, phone, unit, write(street), person.label)


def _written_name(draw: Random, person: Person, times: float) -> tuple[str, Callable[[str], str]]:
    """A copy's name before it is written, and how that register writes all its text."""
    words = person.name.split()
    if draw.random() < OTHER_SPELLING:
        words[0] = FAMILY_SPELLINGS.get(words[0], words[0])
    if draw.random() < OTHER_SPELLING:
        words = [_other_i(word) for word in words]
    if "'" in person.name and draw.random() < 0.4:
        mark = draw.choice(("’", "", " "))
        words = " ".join(words).replace("'", mark).split()
    if draw.random() < MISTYPED * times:
        words = _mistyped(draw, words)
    if len(words) > 1 and draw.random() < REVERSED * times:
        words = words[::-1] if draw.random() < 0.4 else [words[-1], *words[:-1]]
    if draw.random() < TITLED * times:
        words.insert(0, draw.choice(TITLES[person.female]))
    form, capitals = draw.random() / times, draw.random() < CAPITALS * times

    def write(text: str) -> str:
        if form < LOST:
            text = _bare(text)
        elif form < LOST + TONE:
            text = " ".join(_other_tone(word) for word in text.split(" "))
        if capitals:
            text = text.upper()
        return unicodedata.normalize("NFD", text) if LOST + TONE <= form < LOST + TONE + DECOMPOSED else text

    return " ".join(words), write


def _bare(text: str) -> str:
    plain = unicodedata.normalize("NFD", text.replace("đ", "d").replace("Đ", "D"))
    return "".join(letter for letter in plain if not unicodedata.combining(letter))


def _other_tone(word: str) -> str:
    if word[:2].lower() == "qu" and len(word) == 3:
        return word
    return word[:-2] + OTHER_TONES.get(word[-2:], word[-2:])


def _other_i(word: str) -> str:
    """Lý as Lí, Mỹ as Mĩ, Vy as Vi; a y that is half of a diphthong stays."""
    if word[-1] in Y_AND_I and len(word) > 1 and word[-2].lower() in "hklmqstuv":
        if word[-2] == "u" and word[:1].lower() != "q":
            return word
        return word[:-1] + Y_AND_I[word[-1]]
    return word


def _mistyped(draw: Random, words: list[str]) -> list[str]:
    """One slip of the hand in one word; never none."""
    at = draw.randrange(len(words))
    word = words[at]
    while word == words[at]:
        place, kind = draw.randrange(len(word)), draw.random()
        letter = word[place]
        if kind < 0.3 and letter in MARKS:
            word = word[:place] + MARKS[letter] + word[place + 1 :]
        elif kind < 0.5 and len(word) > 2:
            word = word[:place] + word[place + 1 :]
        elif kind < 0.65:
            word = word[:place] + letter + letter.lower() + word[place + 1 :]
        elif kind < 0.8 and 0 < place < len(word) - 1:
            word = word[:place] + word[place + 1] + letter + word[place + 2 :]
        elif letter.lower() in NEIGHBOURS:
            other = draw.choice(NEIGHBOURS[letter.lower()])
            word = word[:place] + (other.upper() if letter.isupper() else other) + word[place + 1 :]
    return [*words[:at], word, *words[at + 1 :]]


def _written_birth(draw: Random, person: Person, times: float) -> str:
    born, slip = person.born, draw.random() / times
    if slip < NO_BIRTH:
        return ""
    if slip < NO_BIRTH + YEAR_ONLY:
        return f"{born.year:04d}"
    swapped = born.day <= 12 and born.day != born.month
    if swapped and slip < NO_BIRTH + YEAR_ONLY + SWAPPED / SWAPPABLE:
        return f"{born.year:04d}-{born.day:02d}-{born.month:02d}"
    return born.isoformat()


def _written_number(draw: Random, person: Person) -> str:
    kind = draw.random()
    if kind < NO_NUMBER:
        return ""
    number = person.old_card if person.old_card and kind < NO_NUMBER + OLD_CARD / CARD_HOLDERS else person.number
    if draw.random() < WRONG_DIGIT / (1 - NO_NUMBER):
        place = draw.randrange(len(number))
        digit = (int(number[place]) + draw.randint(1, 9)) % 10
        number = f"{number[:place]}{digit}{number[place + 1 :]}"
    return number


def _written_phone(draw: Random, person: Person) -> str:
    kind = draw.random()
    if kind < NO_PHONE:
        return ""
    if kind < NO_PHONE + OTHER_PHONE:
        return _phone(draw)
    before = RENUMBERED.get(person.phone[:3])
    share = len(RENUMBERED) / len(PREFIXES)
    if before and kind < NO_PHONE + OTHER_PHONE + OLD_PHONE / share:
        return before + person.phone[3:]
    return person.phone
