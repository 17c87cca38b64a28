"""The cast: every agreement is about something offered, for a registered purpose, and gives Hải Phòng what it needs."""

from __future__ import annotations

from datetime import UTC, date, datetime

import pytest

from lienthong.agreements.models import Terms
from lienthong.catalog.models import TableSource
from lienthong.demo import country
from lienthong.directory.models import class_of, member_of, system_of
from lienthong.law.agencies import one_focal_contact
from lienthong.law.grounds import read_ground

DAY = date(2026, 11, 22)
ACTORS = country.actors(DAY)
OFFERS = {offer.service: offer for actor in ACTORS for offer in actor.offers}
AGREEMENTS = country.agreements(DAY)
ON_REQUEST = [terms for terms in AGREEMENTS if terms.mode == "request"]


def test_five_members_run_five_nodes_and_the_national_one_comes_first():
    assert [actor.member.id for actor in ACTORS] == [
        country.NATIONAL,
        country.POPULATION,
        country.LAND,
        country.ENTERPRISE,
        country.HAI_PHONG,
    ]
    assert len({actor.node for actor in ACTORS}) == 5


def test_every_system_and_service_belongs_to_the_member_that_names_it():
    for actor in ACTORS:
        systems = {system.id for system in actor.systems}
        assert {member_of(system) for system in systems} == {actor.member.id}
        assert {system_of(offer.service) for offer in actor.offers} <= systems


def test_contacts_are_complete_and_reach_nobody():
    for actor in ACTORS:
        contact = one_focal_contact([actor.member.contact])
        assert contact.email.endswith(".example")
        assert "hư cấu" in contact.position
        assert not contact.phone.strip("0 ")


def test_codes_not_read_in_a_published_list_stay_unverified():
    verified = {actor.member.id: actor.member.verified for actor in ACTORS}

    assert verified[country.POPULATION]
    assert verified[country.ENTERPRISE]
    assert not verified[country.LAND]
    assert not verified[country.HAI_PHONG]


def test_merged_ministries_are_closed_and_name_a_successor_that_is_there():
    former = country.former_members(DAY)

    members = {actor.member.id for actor in ACTORS}
    assert former
    for member in former:
        assert member.state == "closed"
        assert member.successor in members
        assert member.closed_on is not None
        assert member.closed_on < DAY


def test_before_the_reform_no_ministry_was_closed():
    assert country.former_members(date(2025, 1, 1)) == ()


@pytest.mark.parametrize("offer", OFFERS.values(), ids=lambda offer: offer.register.table)
def test_an_offer_makes_a_service_that_can_be_published(offer: country.Offer):
    service = offer.service_over(
        TableSource("postgres", dsn="postgresql:///x", relation=f"public.{offer.register.table}")
    )

    assert service.synthetic == offer.register.synthetic
    assert service.personal == any(field.personal for field in service.fields)
    assert service.dataset == offer.dataset


@pytest.mark.parametrize("terms", AGREEMENTS, ids=lambda terms: terms.target)
def test_an_agreement_is_about_something_offered_and_its_purposes_and_grounds_hold_today(terms: Terms):
    offer = OFFERS[terms.target]
    registered = {purpose.code: purpose for purpose in country.purposes()}
    for permission in terms.permissions:
        assert all(registered[code].valid_on(DAY) for code in permission.purposes)
        assert read_ground(permission.ground, DAY).rule.verified
        names = {field.name for field in offer.register.fields()}
        assert set(permission.fields or ()) <= names
        assert {field for field, _, _ in permission.row_filter} <= names
        assert (
            permission.starts
            <= datetime(2026, 11, 22, tzinfo=UTC)
            < (permission.ends or datetime.max.replace(tzinfo=UTC))
        )


@pytest.mark.parametrize("terms", ON_REQUEST, ids=lambda terms: terms.target)
def test_each_agreement_of_hai_phong_serves_all_three_ways_for_its_own_people_only(terms: Terms):
    single = terms.permissions[0]

    assert terms.consumer == country.HAI_PHONG
    assert single.ways == ("call", "table", "query")
    assert single.row_filter == (("province_code", "eq", "31"),)
    assert single.min_group is None


@pytest.mark.parametrize("terms", ON_REQUEST, ids=lambda terms: terms.target)
def test_for_statistics_there_are_only_groups_and_no_field_that_names_anybody(terms: Terms):
    figures = terms.permissions[1]

    assert figures.ways == ("query",)
    assert figures.min_group == 10
    naming = {field.name for field in OFFERS[terms.target].register.fields() if field.personal}
    masked = {field for field, _ in figures.masks}
    assert set(figures.fields or ()) & naming - masked <= {"gender"}


def test_of_citizens_the_telephone_is_masked_and_the_household_withheld():
    citizen = next(terms for terms in AGREEMENTS if terms.target == country.CITIZEN.service)

    assert citizen.permissions[0].masks == (("phone", "partial"),)
    assert "household_id" not in (citizen.permissions[0].fields or ())


def test_the_unit_register_is_shared_by_rule_with_every_state_body():
    by_rule = [terms for terms in AGREEMENTS if terms.mode == "rule"]

    assert [terms.target for terms in by_rule] == [country.UNITS.service]
    assert by_rule[0].consumer == class_of(country.HAI_PHONG)
    assert by_rule[0].permissions[0].ends is None


def test_every_state_body_may_name_a_purpose_of_the_shared_register():
    by_rule = next(terms for terms in AGREEMENTS if terms.mode == "rule")
    registered = {purpose.code: purpose for purpose in country.purposes()}

    shared = [registered[code] for code in by_rule.permissions[0].purposes if registered[code].common]
    assert [class_of(purpose.member) for purpose in shared] == [by_rule.consumer]


def test_one_purpose_covers_a_question_over_all_four_registers():
    for purpose in (country.ONE_STOP, country.STATISTICS):
        assert all(any(purpose in p.purposes and "query" in p.ways for p in terms.permissions) for terms in AGREEMENTS)


def test_each_calling_system_has_a_default_purpose_that_is_registered():
    registered = {purpose.code for purpose in country.purposes()}
    systems = [system for actor in ACTORS for system in actor.systems if actor.member.id == country.HAI_PHONG]

    assert [system.id for system in systems] == [country.ONE_STOP_SYSTEM, country.ANALYSIS_SYSTEM]
    assert {system.default_purpose for system in systems} <= registered
