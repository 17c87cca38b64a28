"""The synthetic firms and parcels: valid codes, and references that lead to somebody."""

from __future__ import annotations

from collections import Counter
from datetime import date
from math import cos, hypot, radians

import pytest

from lienthong.demo.firms import CODE_MARK, PEOPLE_PER_FIRM, Firm, make_firms
from lienthong.demo.land import KM_PER_DEGREE, LAND_USES, Parcel, make_parcels
from lienthong.demo.places import HOME_PROVINCE, atlas
from lienthong.demo.population import FIRST_PERSON, Population, make_population
from lienthong.law.identifiers import check_enterprise_code, check_parcel_id

DAY = date(2026, 11, 1)


@pytest.fixture(scope="module")
def population() -> Population:
    return make_population(4_000, seed=7, day=DAY)


@pytest.fixture(scope="module")
def firms(population: Population) -> tuple[Firm, ...]:
    return make_firms(population, seed=7)


@pytest.fixture(scope="module")
def parcels(population: Population, firms: tuple[Firm, ...]) -> tuple[Parcel, ...]:
    return make_parcels(population, firms, seed=7)


def test_there_is_a_firm_for_so_many_people_and_at_least_one(population: Population, firms: tuple[Firm, ...]):
    assert len(firms) == 4_000 // PEOPLE_PER_FIRM
    assert len(make_firms(make_population(1, seed=1, day=DAY), seed=1)) == 1


def test_enterprise_codes_are_valid_unique_and_marked(firms: tuple[Firm, ...]):
    for firm in firms:
        assert check_enterprise_code(firm.enterprise_code).branch is None
        assert firm.enterprise_code.startswith(CODE_MARK)
        assert "Mẫu" in firm.name
        assert firm.synthetic
    assert len({firm.enterprise_code for firm in firms}) == len(firms)


def test_a_firm_is_represented_by_an_adult_of_the_commune_it_stands_in(population: Population, firms: tuple[Firm, ...]):
    people = {person.personal_number: person for person in population.people}
    for firm in firms:
        representative = people[firm.representative_number]
        assert (firm.commune_code, firm.province_code) == (representative.commune_code, representative.province_code)
        assert firm.founded_on.year - representative.birth_date.year >= 18
        assert firm.founded_on <= DAY


def test_every_parcel_id_is_a_unique_point_near_the_centre_of_its_commune(parcels: tuple[Parcel, ...]):
    places = {place.code: place for place in atlas(DAY).places}
    for parcel in parcels:
        point, place = check_parcel_id(parcel.parcel_id), places[parcel.commune_code]
        north_km = (point.lat - place.lat) * KM_PER_DEGREE
        east_km = (point.lon - place.lon) * KM_PER_DEGREE * cos(radians(place.lat))
        assert hypot(north_km, east_km) <= 1.5 * place.reach_km
        assert parcel.province_code == place.province
    assert len({parcel.parcel_id for parcel in parcels}) == len(parcels)


def test_every_parcel_belongs_to_a_head_of_household_or_a_firm(
    population: Population, firms: tuple[Firm, ...], parcels: tuple[Parcel, ...]
):
    heads = {household.head.personal_number: household.head for household in population.households}
    companies = {firm.enterprise_code: firm for firm in firms}
    for parcel in parcels:
        owner = heads[parcel.owner_code] if parcel.owner_kind == "person" else companies[parcel.owner_code]
        assert owner.commune_code == parcel.commune_code
        assert parcel.issued_on <= DAY
        assert parcel.area_m2 > 0
        assert parcel.synthetic
    kinds = Counter(parcel.owner_kind for parcel in parcels)
    assert kinds["person"] > kinds["enterprise"] > 0
    assert {parcel.land_use for parcel in parcels} == set(LAND_USES)


def test_hai_phong_has_parcels_and_firms_to_ask_about(firms: tuple[Firm, ...], parcels: tuple[Parcel, ...]):
    assert any(firm.province_code == HOME_PROVINCE for firm in firms)
    assert any(parcel.province_code == HOME_PROVINCE for parcel in parcels)


def test_the_same_seed_makes_the_same_firms_and_parcels(population: Population):
    firms = make_firms(population, seed=5)

    assert firms == make_firms(population, seed=5)
    assert make_parcels(population, firms, seed=5) == make_parcels(population, firms, seed=5)
    assert make_parcels(population, firms, seed=5) != make_parcels(population, firms, seed=6)


def test_the_one_to_try_things_with_has_a_house_and_a_firm(firms: tuple[Firm, ...], parcels: tuple[Parcel, ...]):
    assert firms[0].representative_number == FIRST_PERSON
    assert parcels[0].owner_code == FIRST_PERSON
