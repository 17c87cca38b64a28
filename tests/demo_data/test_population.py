"""The synthetic people: valid, recognisable as made up, living in plausible households, the same for the same seed."""

from __future__ import annotations

from collections import Counter
from datetime import date, timedelta

import pytest

from lienthong.demo.places import HOME_PROVINCE, atlas
from lienthong.demo.population import FIRST_PERSON, PHONE_MARK, SERIAL_MARK, Population, make_population
from lienthong.law.identifiers import check_personal_number
from lienthong.law.text import fold
from lienthong.law.units import unit_on

DAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(3_000, seed=7, day=DAY)


@pytest.mark.parametrize("count", [1, 2, 17, 500])
def test_the_one_to_try_things_with_is_always_there(count: int):
    first = next(make_population(count, seed=count, day=DAY).people)

    assert first.personal_number == FIRST_PERSON
    assert first.province_code == HOME_PROVINCE


@pytest.mark.parametrize("count", [1, 2, 17, 500])
def test_exactly_as_many_people_as_asked_for_are_made(count: int):
    assert sum(1 for _ in make_population(count, seed=1, day=DAY).people) == count


def test_the_same_seed_and_day_make_the_same_people_and_another_seed_others():
    first, again, other = (make_population(200, seed=seed, day=DAY) for seed in (3, 3, 4))

    assert first == again
    assert set(first.people) & set(other.people) == set(first.households[0].people)


def test_every_number_is_valid_for_its_bearer_unique_and_marked(population: Population):
    for person in population.people:
        read = check_personal_number(
            person.personal_number, today=DAY, born=person.birth_date, female=person.gender == "nữ"
        )
        assert not read.warnings
        assert int(person.personal_number[6:]) >= SERIAL_MARK
        assert person.synthetic
    numbers = [person.personal_number for person in population.people]
    assert len(set(numbers)) == len(numbers)


def test_most_people_were_registered_at_birth_where_their_province_lies(population: Population):
    births = {place.province: place.birth_places for place in atlas(DAY).places}
    local = Counter(person.personal_number[1:3] in births[person.province_code] for person in population.people)

    assert local[True] / local.total() > 0.8


def test_everybody_lives_in_a_commune_of_today_that_the_address_names(population: Population):
    for household in population.households:
        commune = unit_on(household.place.code, "commune", DAY)
        assert commune is not None
        for person in household.people:
            assert (person.commune_code, person.province_code) == (commune.code, commune.parent)
            assert commune.full_name in person.address


def test_hai_phong_is_where_most_of_them_live_and_every_province_has_somebody(population: Population):
    by_province = Counter(person.province_code for person in population.people)

    assert 0.5 < by_province[HOME_PROVINCE] / by_province.total() < 0.7
    assert len(by_province) == 34


def test_a_household_shares_its_address_and_its_head_is_grown_up(population: Population):
    for household in population.households:
        assert len({person.address for person in household.people}) == 1
        assert {person.household_id for person in household.people} == {household.id}
        assert household.head.birth_date <= DAY - timedelta(days=18 * 365)
    sizes = Counter(len(household.people) for household in population.households)
    assert sizes[1]
    assert sizes[4]


def test_children_bear_the_family_name_of_a_parent_and_are_younger_by_a_generation(population: Population):
    children = 0
    for household in population.households:
        grown = [person for person in household.people if person.birth_date <= DAY - timedelta(days=19 * 365)]
        for child in set(household.people) - set(grown):
            parents = [parent for parent in grown if parent.full_name.split()[0] == child.full_name.split()[0]]
            assert any((child.birth_date - parent.birth_date).days > 18 * 365 for parent in parents)
            children += 1
    assert children > 500


def test_nobody_is_born_or_updated_after_the_day_of_the_data_or_before_birth(population: Population):
    for person in population.people:
        assert person.birth_date <= person.updated_at.date() <= DAY


def test_telephones_ring_nowhere_and_children_have_none(population: Population):
    for person in population.people:
        assert person.phone is None or (person.phone.startswith(PHONE_MARK) and len(person.phone) == 10)
        assert person.phone is None or person.birth_date <= DAY - timedelta(days=13 * 365)
    assert any(person.phone for person in population.people)


def test_names_look_vietnamese_about_a_third_nguyen(population: Population):
    names = [person.full_name for person in population.people]

    assert all(2 <= len(name.split()) <= 4 and name == " ".join(name.split()) for name in names)
    assert 0.25 < sum(name.startswith("Nguyễn ") for name in names) / len(names) < 0.4
    assert any(fold(name) != name.lower() for name in names)


def test_no_population_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        make_population(0, seed=1, day=DAY)
