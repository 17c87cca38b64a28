"""Persons, names, first links, passwords, roles."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lienthong.identity import queries
from lienthong.identity.models import Role
from lienthong.identity.passwords import WeakPassword, check_new, made_up
from lienthong.identity.persons import (
    BadPerson,
    LinkUsed,
    NoSuchPerson,
    RoleNotPossible,
    add_person,
    check_role,
    close_account,
    full_name,
    linked_person,
    make_first_link,
    person_of,
    use_first_link,
)
from lienthong.identity.sessions.keep import actor_of_session, open_session
from tests.identity.build import ELSEWHERE, HERE, NOW, PASSWORD, a_person


@pytest.mark.parametrize(
    ("typed", "kept"),
    [
        ("  Trần   Thị\u200bHoa ", "Trần ThịHoa"),
        ("Nguyễn Văn An\u202egnort", "Nguyễn Văn Angnort"),
        ("Tra\u0302\u0300n", "Trần"),
        ("H'Hen Niê", "H'Hen Niê"),
        ("Y", "Y"),
    ],
)
def test_a_name_is_one_field_without_what_nobody_sees(typed: str, kept: str):
    assert full_name(typed) == kept


@pytest.mark.parametrize("typed", ["", "\u200b\u202e", "123", "Trần Thị Hоa", "x" * 101])
def test_a_name_that_hides_or_mixes_scripts_is_refused(typed: str):
    with pytest.raises(BadPerson):
        full_name(typed)


async def test_names_stand_in_vietnamese_order_and_a_login_belongs_to_one(db):
    for login, name in (("an", "Ân Văn Tư"), ("bo", "Bùi Ba"), ("ab", "Anh Bảy"), ("dd", "Đỗ Hai"), ("du", "Dương Tư")):
        await a_person(db, login, name=name)

    assert [each.name for each in await queries.persons_of(db, HERE)] == [
        "Anh Bảy", "Ân Văn Tư", "Bùi Ba", "Dương Tư", "Đỗ Hai",
    ]  # fmt: skip
    with pytest.raises(BadPerson):
        await add_person(db, "Khác", "AN", HERE, by=None, now=NOW)
    with pytest.raises(BadPerson):
        await add_person(db, "Khác", "a b<script>", HERE, by=None, now=NOW)


async def test_another_members_person_is_as_if_there_were_none(db):
    person = await a_person(db, "hoa", member=ELSEWHERE)

    for asked in (person.id, "nobody"):
        with pytest.raises(NoSuchPerson):
            await person_of(db, asked, HERE)


async def test_a_first_link_counts_once_and_ends_sessions(db):
    person = await a_person(db, "hoa")
    secret = await make_first_link(db, person, by=None, now=NOW)
    old = (await open_session(db, person.id, 1, NOW))[0]

    assert (await linked_person(db, secret, NOW)).id == person.id
    with pytest.raises(LinkUsed):
        await linked_person(db, secret, NOW + timedelta(hours=49))
    await use_first_link(db, secret, PASSWORD, NOW)

    assert await actor_of_session(db, old, NOW) is None
    with pytest.raises(LinkUsed):
        await use_first_link(db, secret, PASSWORD, NOW)
    kept = await queries.password_of(db, person.id)
    assert kept is not None
    assert kept.startswith("$argon2id$")
    assert PASSWORD not in kept


@pytest.mark.parametrize("password", ["ngắn quá", "matkhau123456", "aaaaaaaaaaaaaaaa", "Trần Thị Hoa 1", "x" * 257])
def test_a_password_that_is_tried_first_is_refused(password: str):
    with pytest.raises(WeakPassword):
        check_new(password, own_words=("Trần Thị Hoa", "hoa"))


def test_long_and_made_up_passwords_are_taken():
    for password in (PASSWORD, made_up(), "correct horse battery"):
        check_new(password, own_words=("Trần Thị Hoa", "hoa"))
    assert made_up() != made_up()


async def test_roles_have_their_borders(db):
    officer, citizen = await a_person(db, "hoa", Role.DATA_OFFICER), await a_person(db, "", Role.CITIZEN, member=None)

    for person, role in ((officer, Role.CITIZEN), (citizen, Role.OPERATOR), (officer, Role.COORDINATOR),
                         (officer, Role.AUDITOR)):  # fmt: skip
        with pytest.raises(RoleNotPossible):
            check_role(person, role, national=False)
    check_role(officer, Role.COORDINATOR, national=True)
    check_role(officer, Role.OPERATOR, national=False)


async def test_a_closed_account_is_out_at_once(db):
    person = await a_person(db, "hoa", Role.OPERATOR, password=PASSWORD)
    secret = (await open_session(db, person.id, 1, NOW))[0]
    assert await actor_of_session(db, secret, NOW) is not None

    await close_account(db, person, by=None, now=NOW)

    assert await actor_of_session(db, secret, NOW) is None
    assert await queries.password_of(db, person.id) is None
    with pytest.raises(NoSuchPerson):
        await person_of(db, person.id, HERE)
