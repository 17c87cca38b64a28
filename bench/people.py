"""Made-up people and the copies registers hold of them, for training the matcher and for measuring it.

``records(seed, number)`` draws entities until ``number`` records are made: one record of the population register each
and copies in land, tax and health registers with what copying does to them (rates in ``SLIPS``).  More than half of the
people live in a household with the one before: same commune and street, often the family name and the telephone, now
and then the whole name; this is what breaks matchers that take fields for independent.  The seed decides everything.
"""

from __future__ import annotations

import random
import sys
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from lienthong.demo.names import FAMILY_NAMES, FAMILY_WEIGHTS, GIVEN, MIDDLE
from lienthong.law.identifiers import BIRTH_PLACES
from lienthong.law.text import latin
from lienthong.law.units import units_on

COLUMNS = ("record", "source", "name", "birth", "gender", "number", "phone", "unit", "street", "person")
FIRST_DAY, DAYS = date(1940, 1, 1), 29_000
SLIPS = {
    "plain": 0.20, "old tones": 0.06, "NFD": 0.04, "upper": 0.10, "typo": 0.06, "reversed": 0.03, "title": 0.02,
    "year only": 0.06, "day and month swapped": 0.03, "no birth": 0.04, "wrong birth": 0.02, "old card": 0.15,
    "no number": 0.38,
    "wrong digit": 0.03, "no phone": 0.3, "other phone": 0.12, "moved": 0.12, "no gender": 0.05,
}  # fmt: skip
SOURCES = ("land", "tax", "health")
STREETS = ("Lê Lợi", "Trần Phú", "Thôn Đông", "Ấp 3", "Nguyễn Văn Cừ", "Tổ 7", "Hùng Vương", "Xóm Chùa", "Quang Trung")
_OLD_TONES = (("òa", "oà"), ("óa", "oá"), ("ỏa", "oả"), ("ọa", "oạ"), ("ủy", "uỷ"), ("úy", "uý"), ("ùy", "uỳ"))
LETTERS = "abcdeghiklmnopqrstuvxy"


@dataclass(frozen=True, slots=True)
class Someone:
    """A person as the population register knows them."""

    person: int
    family: str
    rest: str
    born: date
    female: bool
    number: str
    old_card: str
    phone: str
    unit: str
    street: str


def people(chance: random.Random) -> Iterator[Someone]:
    """People without end, household after household."""
    communes = [unit.code for unit in units_on("commune", date(2026, 11, 23))]
    places = sorted(BIRTH_PLACES)
    before: Someone | None = None
    person = 0
    while True:
        female = chance.random() < 0.5
        born = FIRST_DAY + timedelta(days=chance.randrange(DAYS))
        family = chance.choices(FAMILY_NAMES, cum_weights=FAMILY_WEIGHTS)[0]
        middle = chance.choice(MIDDLE[female])
        if chance.random() < 0.4:
            middle += " " + chance.choice(GIVEN[female])
        century = (born.year // 100 - 19) * 2 + female
        number = f"{chance.choice(places)}{century}{born.year % 100:02d}{chance.randrange(10**6):06d}"
        made = Someone(
            person, family, f"{middle} {chance.choice(GIVEN[female])}", born, female, number,
            f"{chance.randrange(10**9):09d}", f"09{chance.randrange(10**8):08d}", chance.choice(communes),
            f"{chance.randrange(1, 400)} {chance.choice(STREETS)}",
        )  # fmt: skip
        if before is not None and chance.random() < 0.55:
            made = replace(
                made, unit=before.unit, street=before.street,
                family=before.family if chance.random() < 0.6 else made.family,
                phone=before.phone if chance.random() < 0.4 else made.phone,
            )  # fmt: skip
            if chance.random() < 0.03:
                made = replace(made, family=before.family, rest=before.rest)
        before = made
        person += 1
        yield made


def records(seed: int, number: int) -> Iterator[tuple[str, ...]]:
    """``number`` rows of ``COLUMNS``, all text, "" where nothing is known."""
    chance = random.Random(seed)
    made = 0
    for someone in people(chance):
        copies = 1 + sum(chance.random() < 0.1 for _ in SOURCES)
        for copy in range(copies):
            if made == number:
                return
            source = "population" if copy == 0 else chance.choice(SOURCES)
            yield (
                f"r{made}",
                source,
                *(_clean(someone) if copy == 0 else _copied(someone, chance)),
                str(someone.person),
            )
            made += 1


def _clean(one: Someone) -> tuple[str, ...]:
    name = f"{one.family} {one.rest}"
    return (name, one.born.isoformat(), "nữ" if one.female else "nam", one.number, one.phone, one.unit, one.street)


def _copied(one: Someone, chance: random.Random) -> tuple[str, ...]:
    """What another register holds of ``one``."""

    def slip(kind: str) -> bool:
        return chance.random() < SLIPS[kind]

    name, born, number, phone = f"{one.family} {one.rest}", one.born.isoformat(), one.number, one.phone
    unit, street = one.unit, one.street
    if slip("reversed"):
        name = f"{one.rest} {one.family}"
    if slip("typo"):
        at = chance.randrange(len(name))
        name = name[:at] + chance.choice(("", chance.choice(LETTERS))) + name[at + 1 :]
    if slip("plain"):
        name = latin(name)
    if slip("old tones"):
        for new, old in _OLD_TONES:
            name = name.replace(new, old)
    if slip("upper"):
        name = name.upper()
    if slip("title"):
        name = ("Bà " if one.female else "Ông ") + name
    if slip("NFD"):
        name = unicodedata.normalize("NFD", name)
    if slip("year only"):
        born = born[:4]
    elif slip("day and month swapped"):
        born = f"{born[:4]}-{born[8:]}-{born[5:7]}" if int(born[8:]) <= 12 else born
    elif slip("wrong birth"):
        born = f"{int(born[:4]) + chance.choice((-10, -2, -1, 1, 2, 10))}{born[4:]}"
    elif slip("no birth"):
        born = ""
    if slip("no number"):
        number = ""
    elif slip("old card"):
        number = one.old_card
    elif slip("wrong digit"):
        at = chance.randrange(6, 12)
        number = number[:at] + str((int(number[at]) + chance.randrange(1, 10)) % 10) + number[at + 1 :]
    if slip("no phone"):
        phone = ""
    elif slip("other phone"):
        phone = f"03{chance.randrange(10**8):08d}"
    if slip("moved"):
        unit, street = f"{chance.randrange(4, 32248):05d}", f"{chance.randrange(1, 400)} {chance.choice(STREETS)}"
    gender = "" if slip("no gender") else ("nữ" if one.female else "nam")
    return (name, born, gender, number, phone, unit, street)


def write(path: Path, rows: Iterator[tuple[str, ...]], batch: int = 100_000) -> None:
    """Write ``rows`` as Parquet."""
    schema = pa.schema([(name, pa.string()) for name in COLUMNS])
    with parquet.ParquetWriter(path, schema) as writer:
        waiting: list[tuple[str, ...]] = []
        for row in rows:
            waiting.append(row)
            if len(waiting) == batch:
                writer.write_table(_table(waiting, schema))
                waiting = []
        writer.write_table(_table(waiting, schema))


def _table(rows: list[tuple[str, ...]], schema: pa.Schema) -> pa.Table:
    columns = list(zip(*rows, strict=True)) or [()] * len(COLUMNS)
    return pa.table([pa.array([value or None for value in column], pa.string()) for column in columns], schema)


if __name__ == "__main__":
    write(Path(sys.argv[1]), records(int(sys.argv[2]), int(sys.argv[3])))
