"""Synthetic enterprises: codes with a right check digit, represented by adults of the synthetic population.

A code begins with CODE_MARK, which no tax office bears, and the name holds the word "Mẫu" (sample) and a number:
neither can belong to a real firm.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import count
from random import Random
from typing import Final

from lienthong.demo.names import FIRM_TRADES, FIRM_WORDS
from lienthong.demo.population import Household, Person, Population
from lienthong.law.identifiers import enterprise_check_digit

CODE_MARK: Final = "99"
PEOPLE_PER_FIRM: Final = 40
LEGAL_FORMS: Final = (
    ("Công ty TNHH một thành viên", "Công ty TNHH MTV"),
    ("Công ty TNHH hai thành viên trở lên", "Công ty TNHH"),
    ("Công ty cổ phần", "Công ty Cổ phần"),
    ("Doanh nghiệp tư nhân", "DNTN"),
)
"""Legal form and how it stands in a name."""
_FORM_WEIGHTS: Final = (38, 27, 28, 7)
STATUSES: Final = ("đang hoạt động", "tạm ngừng", "đã giải thể")
_STATUS_WEIGHTS: Final = (82, 11, 7)


@dataclass(frozen=True, slots=True)
class Firm:
    """A row of the register ``firm``."""

    enterprise_code: str
    name: str
    legal_form: str
    founded_on: date
    commune_code: str
    province_code: str
    representative_number: str
    charter_capital: int
    """Đồng."""
    status: str
    synthetic: bool = True


def make_firms(population: Population, *, seed: int) -> tuple[Firm, ...]:
    """One firm for every PEOPLE_PER_FIRM people (at least one), each where its representative lives.

    The first one is FIRST_PERSON's.
    """
    rng = Random(f"firms {seed}")  # noqa: S311 - synthetic data, not a secret
    wanted = max(1, sum(1 for _ in population.people) // PEOPLE_PER_FIRM)
    codes = _codes()
    homes = (population.households[0], *(rng.choice(population.households) for _ in range(wanted - 1)))
    return tuple(_firm(next(codes), number, home, population.day, rng) for number, home in enumerate(homes, start=1))


def _firm(code: str, number: int, household: Household, day: date, rng: Random) -> Firm:
    form, short_form = rng.choices(LEGAL_FORMS, _FORM_WEIGHTS)[0]
    representative = rng.choice([person for person in household.people if _is_adult(person, day)])
    came_of_age = _years_after(representative.birth_date, 18)
    return Firm(
        enterprise_code=code,
        name=f"{short_form} {rng.choice(FIRM_TRADES)} {rng.choice(FIRM_WORDS)} Mẫu {number:05d}",
        legal_form=form,
        founded_on=came_of_age + timedelta(days=rng.randint(0, (day - came_of_age).days)),
        commune_code=household.place.code,
        province_code=household.place.province,
        representative_number=representative.personal_number,
        charter_capital=rng.choice((100, 300, 500, 1_000, 2_000, 5_000, 20_000, 100_000)) * 1_000_000,
        status=rng.choices(STATUSES, _STATUS_WEIGHTS)[0],
    )


def _codes() -> Iterator[str]:
    for serial in count(1):
        stem = f"{CODE_MARK}{serial:07d}"
        digit = enterprise_check_digit(stem)
        if digit is not None:  # where the formula gives 10 no such code exists
            yield f"{stem}{digit}"


def _is_adult(person: Person, day: date) -> bool:
    return _years_after(person.birth_date, 18) <= day


def _years_after(day: date, years: int) -> date:
    try:
        return day.replace(year=day.year + years)
    except ValueError:  # 29 February
        return day.replace(year=day.year + years, day=28)
