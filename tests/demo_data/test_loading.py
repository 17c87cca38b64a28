"""The registers in PostgreSQL: as described, complete, explained by their comments, and the real units really there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import fields
from datetime import date

import pytest
from psycopg import AsyncConnection

from lienthong.demo.firms import Firm, make_firms
from lienthong.demo.land import Parcel, make_parcels
from lienthong.demo.places import UnitRow
from lienthong.demo.population import Person, make_population
from lienthong.demo.queries import load_firms, load_parcels, load_people, load_units
from lienthong.demo.registers import FIRM, PARCEL, PERSON, REGISTERS, UNIT, Register
from lienthong.storage.provision import DatabaseDsns

DAY = date(2026, 11, 1)


@pytest.fixture
async def owner(database: DatabaseDsns) -> AsyncIterator[AsyncConnection]:
    async with await AsyncConnection.connect(database.owner) as connection:
        yield connection


async def rows(db: AsyncConnection, question: str) -> list[tuple[object, ...]]:
    return await (await db.execute(question)).fetchall()  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("register", "row"), [(PERSON, Person), (PARCEL, Parcel), (FIRM, Firm), (UNIT, UnitRow)], ids=lambda x: str(x)[:12]
)
def test_a_row_has_the_registers_columns_in_their_order(register: Register, row: type):
    assert [field.name for field in fields(row)] == [column.name for column in register.columns]


@pytest.mark.parametrize("register", REGISTERS, ids=lambda register: register.table)
def test_every_column_has_titles_in_both_languages_and_synthetic_registers_say_so(register: Register):
    assert all(column.title_vi and column.title_en for column in register.columns)
    assert register.key in [column.name for column in register.columns]
    assert register.synthetic == ("synthetic" in [column.name for column in register.columns])
    assert register.synthetic == ("dữ liệu giả lập" in register.title_vi)
    assert [field.name for field in register.fields()] == [column.name for column in register.columns]


@pytest.mark.integration
async def test_people_parcels_and_firms_stand_in_the_database_as_they_were_made(owner: AsyncConnection):
    population = make_population(1_200, seed=2, day=DAY)
    firms = make_firms(population, seed=2)
    parcels = make_parcels(population, firms, seed=2)

    assert await load_people(owner, population.people) == 1_200
    assert await load_firms(owner, firms) == len(firms)
    assert await load_parcels(owner, parcels) == len(parcels)

    for table, made in (("person", population.people), ("firm", firms), ("parcel", parcels)):
        stored = await rows(owner, f"SELECT * FROM {table}")
        as_made = {tuple(getattr(row, field.name) for field in fields(row)) for row in made}
        assert set(stored) == as_made


@pytest.mark.integration
async def test_a_lookup_leads_from_a_person_to_the_firm_and_to_the_parcel(owner: AsyncConnection):
    population = make_population(2_000, seed=2, day=DAY)
    firms = make_firms(population, seed=2)
    await load_people(owner, population.people)
    await load_firms(owner, firms)
    await load_parcels(owner, make_parcels(population, firms, seed=2))

    joined = await rows(
        owner,
        """
        SELECT count(*), count(person.personal_number), count(parcel.parcel_id)
          FROM firm
          LEFT JOIN person ON person.personal_number = firm.representative_number
          LEFT JOIN parcel ON parcel.owner_code = firm.enterprise_code
        """,
    )

    found, with_person, with_parcel = joined[0]
    assert found == with_person == len(firms)
    assert 0 < with_parcel < found


@pytest.mark.integration
async def test_loading_again_replaces_instead_of_adding(owner: AsyncConnection):
    for count in (50, 20):
        await load_people(owner, make_population(count, seed=2, day=DAY).people)

    assert await rows(owner, "SELECT count(*) FROM person") == [(20,)]


@pytest.mark.integration
async def test_the_unit_register_is_the_real_one_with_its_history(owner: AsyncConnection):
    loaded = await load_units(owner, DAY)

    [(total, distinct)] = await rows(owner, "SELECT count(*), count(DISTINCT reading) FROM unit")
    assert total == distinct == loaded
    assert await rows(
        owner,
        "SELECT level, count(*) FROM unit WHERE valid_to IS NULL AND valid_from IS NOT NULL GROUP BY 1 ORDER BY 1",
    ) == [("commune", 3321), ("province", 34)]
    assert await rows(
        owner, "SELECT count(*) FROM unit WHERE level = 'province' AND valid_from IS NULL AND valid_to >= '2024-12-31'"
    ) == [(63,)]
    assert await rows(owner, "SELECT full_name FROM unit WHERE code = '15' ORDER BY valid_from NULLS FIRST") == [
        ("Tỉnh Yên Bái",),
        ("Tỉnh Lào Cai",),
    ]
    assert await rows(owner, "SELECT province_code FROM unit WHERE reading = '00070/2025-07-01'") == [("01",)]


@pytest.mark.integration
async def test_a_register_explains_itself_in_its_comments(owner: AsyncConnection):
    await load_people(owner, make_population(1, seed=2, day=DAY).people)

    [(table, column)] = await rows(
        owner, "SELECT obj_description('person'::regclass), col_description('person'::regclass, 1)"
    )
    assert table == PERSON.title_vi
    assert column == "Số định danh cá nhân"
