"""Synthetic people in households: valid numbers, family names handed down, addresses in real communes.

The same seed and day give the same people.  Nobody here exists: names and dates are drawn, serials begin with
SERIAL_MARK and telephone numbers with PHONE_MARK so that a made-up person can be told at sight.  A well-formed personal
number has no check digit, so a real person may by chance bear one of these; the column ``synthetic`` says which it is.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from random import Random
from typing import Final

from lienthong.demo.names import FAMILY_NAMES, FAMILY_WEIGHTS, GIVEN, MIDDLE
from lienthong.demo.places import HOME_PROVINCE, Atlas, Place, atlas
from lienthong.law.identifiers import BIRTH_PLACES, personal_number

SERIAL_MARK: Final = 990_000
"""First of the ten thousand serials (the last six digits of a personal number) used for synthetic people."""
FIRST_PERSON: Final = "031099990001"
"""Who is there in every population, in Hải Phòng, with a house and a firm: the one to try things with."""
PHONE_MARK: Final = "050"
"""No mobile network has numbers beginning so: a synthetic number rings nowhere."""
_SERIALS: Final = 9_990
"""Serials drawn; the ten before them are given by hand."""
_ELSEWHERE: Final = tuple(sorted(BIRTH_PLACES))


@dataclass(frozen=True, slots=True)
class Person:
    """A row of the register ``person``."""

    personal_number: str
    full_name: str
    birth_date: date
    gender: str
    """``nam`` or ``nữ``."""
    household_id: str
    commune_code: str
    province_code: str
    address: str
    phone: str | None
    updated_at: datetime
    synthetic: bool = True


@dataclass(frozen=True, slots=True)
class Household:
    """People who live together; the first one is its head, an adult."""

    id: str
    place: Place
    people: tuple[Person, ...]

    @property
    def head(self) -> Person:
        """The head of the household."""
        return self.people[0]


@dataclass(frozen=True, slots=True)
class Population:
    """All households of the small country as of ``day``."""

    day: date
    households: tuple[Household, ...]

    @property
    def people(self) -> Iterator[Person]:
        """Everybody, household by household."""
        return (person for household in self.households for person in household.people)


def make_population(count: int, *, seed: int, day: date) -> Population:
    """Exactly ``count`` people in households as of ``day``; ``seed`` alone decides who follows FIRST_PERSON.

    Raises ValueError for a count below 1, or when the marked serials of one birth place, year and gender are used up
    (above about two million people).
    """
    if count < 1:
        raise ValueError("a population has at least one person")
    town_hall = _TownHall(Random(f"population {seed}"), day, atlas(day))  # noqa: S311 - synthetic data, not a secret
    households = [town_hall.first_household()]
    left = count - 1
    while left:
        household = town_hall.move_in(len(households) + 1, left)
        households.append(household)
        left -= len(household.people)
    return Population(day, tuple(households))


@dataclass(slots=True)
class _TownHall:
    """Draws one household after the other and remembers which serials are taken."""

    rng: Random
    day: date
    atlas: Atlas
    taken: dict[tuple[str, int, bool], int] = field(default_factory=dict[tuple[str, int, bool], int])

    def first_household(self) -> Household:
        """The home of FIRST_PERSON, who lives alone; nothing about it is drawn."""
        place = next(place for place in self.atlas.places if place.province == HOME_PROVINCE and place.urban)
        household_id = _household_id(1)
        midnight = datetime(self.day.year, self.day.month, self.day.day, tzinfo=UTC)
        return Household(
            household_id,
            place,
            (
                Person(
                    personal_number=FIRST_PERSON,
                    full_name="Nguyễn Văn Mẫu",
                    birth_date=date(1999, 9, 9),
                    gender="nam",
                    household_id=household_id,
                    commune_code=place.code,
                    province_code=place.province,
                    address=f"Số 1, tổ dân phố số 1, {place.name}, {place.province_name}",
                    phone=f"{PHONE_MARK}0000001",
                    updated_at=midnight - timedelta(days=1),
                ),
            ),
        )

    def move_in(self, number: int, at_most: int) -> Household:
        rng = self.rng
        place = rng.choices(self.atlas.places, cum_weights=self.atlas.cumulative_weights)[0]
        home = f"Số {rng.randint(1, 320)}, {_quarter(place, rng)}, {place.name}, {place.province_name}"
        shared_phone = self._phone() if rng.random() < 0.25 else None
        people = [
            Person(
                personal_number=self._number(place, born, female),
                full_name=name,
                birth_date=born,
                gender="nữ" if female else "nam",
                household_id=_household_id(number),
                commune_code=place.code,
                province_code=place.province,
                address=home,
                phone=self._phone_of(born, shared_phone),
                updated_at=self._moment_since(born),
            )
            for name, born, female in self._members()[:at_most]
        ]
        return Household(_household_id(number), place, tuple(people))

    def _members(self) -> list[tuple[str, date, bool]]:
        """Name, birth date and gender of the members: head, partner, children, sometimes a grandparent."""
        rng = self.rng
        kind = rng.choices(("family", "couple", "alone", "one parent"), (52, 20, 17, 11))[0]
        head_female = rng.random() < (0.75 if kind == "one parent" else 0.27)
        age = rng.randint(26, 52) if kind in ("family", "one parent") else rng.randint(22, 80)
        head_family = self._family_name()
        members = [self._person(head_family, age, head_female)]
        youngest_parent = age
        father_family = head_family
        if kind in ("family", "couple"):
            partner_age = max(20, age + rng.randint(-5, 4))
            partner_family = self._family_name()
            members.append(self._person(partner_family, partner_age, not head_female))
            youngest_parent = min(age, partner_age)
            father_family = partner_family if head_female else head_family
        if kind in ("family", "one parent"):
            members += self._children(father_family, youngest_parent)
            if rng.random() < 0.14:
                members.append(self._person(head_family, age + rng.randint(22, 34), rng.random() < 0.6))
        return members

    def _children(self, family_name: str, parent_age: int) -> list[tuple[str, date, bool]]:
        """One to four children, none born before its younger parent was 19; adult ones have often moved out."""
        rng = self.rng
        wanted = rng.choices((1, 2, 3, 4), (30, 50, 16, 4))[0]
        ages = sorted((rng.randint(0, max(0, parent_age - 19)) for _ in range(wanted)), reverse=True)
        return [self._person(family_name, age, rng.random() < 0.48) for age in ages if age < 24 or rng.random() < 0.3]

    def _person(self, family_name: str, age: int, female: bool) -> tuple[str, date, bool]:
        rng = self.rng
        gender = int(female)
        middle = rng.choice(MIDDLE[gender])
        given = rng.choice(GIVEN[gender])
        name = f"{family_name} {middle} {given}" if middle != given else f"{family_name} {given}"
        return name, self.day - timedelta(days=int(age * 365.2425) + rng.randint(1, 364)), female

    def _family_name(self) -> str:
        return self.rng.choices(FAMILY_NAMES, cum_weights=FAMILY_WEIGHTS)[0]

    def _number(self, place: Place, born: date, female: bool) -> str:
        rng = self.rng
        birth_place = rng.choice(place.birth_places) if rng.random() < 0.9 else rng.choice(_ELSEWHERE)
        birth_place = birth_place.zfill(3)
        drawn = self.taken.get((birth_place, born.year, female), 0)
        if drawn >= _SERIALS:
            raise ValueError(f"no marked serial is left for people born in {born.year} at {birth_place}")
        self.taken[birth_place, born.year, female] = drawn + 1
        # 7919 has no factor in common with 9,990: each serial comes once, in an order that does not tell the age.
        serial = SERIAL_MARK + 10 + (drawn * 7919 + born.year * 613) % _SERIALS
        return personal_number(birth_place, born, female, serial)

    def _phone_of(self, born: date, shared: str | None) -> str | None:
        age = (self.day - born).days // 365
        if age < 14 or self.rng.random() < 0.08:
            return None
        return shared or self._phone()

    def _phone(self) -> str:
        return f"{PHONE_MARK}{self.rng.randrange(10_000_000):07d}"

    def _moment_since(self, born: date) -> datetime:
        """Some second of the last three years, after ``born``."""
        first = max(born, self.day - timedelta(days=3 * 365))
        midnight = datetime(first.year, first.month, first.day, tzinfo=UTC)
        return midnight + timedelta(seconds=self.rng.randrange((self.day - first).days * 86_400))


def _household_id(number: int) -> str:
    return f"HK-TH-{number:07d}"


def _quarter(place: Place, rng: Random) -> str:
    return f"tổ dân phố số {rng.randint(1, 18)}" if place.urban else f"thôn {rng.randint(1, 12)}"
