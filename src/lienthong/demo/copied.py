"""The city's copy of its residents, grown old: most rows as the source has them, some not, by the seed alone.

Promise: what differs is drawn, so that the comparison with the source has something to find: moved people, misspelt
names, people the source no longer has, and people who came since.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import date
from random import Random
from typing import Final

from lienthong.demo.population import FIRST_PERSON, Person
from lienthong.law.identifiers import personal_number

MOVED: Final = 0.02
MISSPELT: Final = 0.005
NOT_YET_COPIED: Final = 0.01
GONE_SINCE: Final = 3
"""Rows whose persons the source does not have."""
GONE_SERIAL: Final = 999_995
"""Serials from here on belong to nobody of the population, whose drawn ones end before."""


@dataclass(frozen=True, slots=True)
class Resident:
    """A row of the copy."""

    personal_number: str
    full_name: str
    birth_date: date
    gender: str
    commune_code: str
    address: str
    synthetic: bool = True


def copied_residents(people: Iterable[Person], *, province: str, seed: int) -> Iterator[Resident]:
    """The copy of those of ``people`` who live in ``province``."""
    rng = Random(f"copied {seed}")  # noqa: S311 - synthetic data, not a secret
    last: Person | None = None
    for person in people:
        if person.province_code != province:
            continue
        chance, last = rng.random(), person
        if person.personal_number != FIRST_PERSON and chance < NOT_YET_COPIED:
            continue
        name, address = person.full_name, person.address
        if NOT_YET_COPIED <= chance < NOT_YET_COPIED + MOVED:
            address = f"Số {rng.randint(1, 400)}, " + address.split(", ", 1)[-1]
        elif NOT_YET_COPIED + MOVED <= chance < NOT_YET_COPIED + MOVED + MISSPELT:
            name = f"{name} "[:-2] + ("h" if not name.endswith("h") else "n")
        yield Resident(
            person.personal_number, name, person.birth_date, person.gender, person.commune_code, address
        )  # fmt: skip
    for number in range(GONE_SINCE if last else 0):
        assert last is not None  # noqa: S101 - the range is empty otherwise
        born = date(1931 + number, 5, 19)
        gone = personal_number("031", born, female=False, serial=GONE_SERIAL + number)
        yield Resident(gone, f"Phạm Văn Mẫu {number + 1}", born, "nam", last.commune_code, last.address)
