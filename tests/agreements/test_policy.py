"""What an agreement permits: a table of golden decisions, the properties every decision keeps, and the digest."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.agreements.models import Obligation, Permission, Prohibition
from lienthong.agreements.policy import (
    Compiled,
    Decision,
    Request,
    compile_unreadable,
    decide_among,
    decision_text,
)
from lienthong.agreements.reading import AgreementTermUnknown
from lienthong.directory.models import SystemId
from tests.agreements.build import (
    AGREEMENT_ID,
    CITIZEN,
    CITIZEN_DATASET,
    COUNTER,
    END,
    LAND_OFFICE,
    NOON,
    START,
    a_permission,
    a_request,
    compiled,
)

SECOND = timedelta(seconds=1)
BEFORE, LAST, LATER = START - SECOND, END - SECOND, END + SECOND
PRIVATE = "VN/GOV/G01/dancu/private"
OTHER_SYSTEM = SystemId("VN/GOV/H2/motcua")
LONGER_NAME = SystemId("VN/GOV/H24.05/motcua")
ENTERPRISE = SystemId("VN/COM/0100109106/app")
TWO = {"permissions": (a_permission(purposes=("HP-01",)), a_permission(purposes=("HP-02",), ways=("query",)))}
RULE = {"consumer": "VN/GOV", "mode": "rule", "ends": None}
FIELDS = {"fields": ("name", "born", "address")}
MASKED = {**FIELDS, "masks": (("name", "partial"), ("address", "drop"))}
BAN = Prohibition("use")


def some(*names: str) -> frozenset[str]:
    return frozenset(names)


# Terms of the agreement, the request, and the reason of the decision.
GOLDEN: dict[str, tuple[dict[str, Any], dict[str, Any], str]] = {
    # who and what
    "the consumer's system calls": ({}, {}, "permitted"),
    "another system of the consumer calls": ({}, {"consumer": LAND_OFFICE}, "permitted"),
    "another member calls": ({}, {"consumer": SystemId("VN/GOV/H31/motcua")}, "wrong-consumer"),
    "a member whose code is a beginning of the consumer's": ({}, {"consumer": OTHER_SYSTEM}, "wrong-consumer"),
    "a child body of the consumer is another member": ({}, {"consumer": LONGER_NAME}, "wrong-consumer"),
    "the provider itself": ({}, {"consumer": SystemId("VN/GOV/G01/dancu")}, "wrong-consumer"),
    "an enterprise": ({}, {"consumer": ENTERPRISE}, "wrong-consumer"),
    "another service": ({}, {"target": PRIVATE}, "wrong-target"),
    "a service whose name begins alike": ({}, {"target": CITIZEN + "s"}, "wrong-target"),
    "a service of the agreed dataset": ({"target": CITIZEN_DATASET}, {"dataset": CITIZEN_DATASET}, "permitted"),
    "the agreed dataset itself": ({"target": CITIZEN_DATASET}, {"target": CITIZEN_DATASET}, "permitted"),
    "a service of another dataset": ({"target": CITIZEN_DATASET}, {"dataset": "VN/GOV/G01/dancu/ds/x"}, "wrong-target"),
    "the dataset when only the service is agreed": ({}, {"target": CITIZEN_DATASET}, "wrong-target"),
    "a named system": ({"systems": (COUNTER,)}, {}, "permitted"),
    "a system not named": ({"systems": (COUNTER,)}, {"consumer": LAND_OFFICE}, "system-not-granted"),
    "the second of two named systems": ({"systems": (COUNTER, LAND_OFFICE)}, {"consumer": LAND_OFFICE}, "permitted"),
    # by rule for a class of members
    "any body of the class": (RULE, {"consumer": SystemId("VN/GOV/H31/motcua")}, "permitted"),
    "an enterprise is not a body": (RULE, {"consumer": ENTERPRISE}, "wrong-consumer"),
    "a body of another country": (RULE, {"consumer": SystemId("LA/GOV/A01/x")}, "wrong-consumer"),
    "an open end": (RULE, {"at": LATER.replace(year=2090)}, "permitted"),
    "an open end has a start": (RULE, {"at": BEFORE}, "not-started"),
    # purpose
    "no purpose, and the agreement has one": ({}, {"purpose": None}, "permitted"),
    "no purpose, and the agreement has two": ({"purposes": ("A", "B")}, {"purpose": None}, "purpose-needed"),
    "no purpose, two of them, the default is one": (
        {"purposes": ("A", "B")},
        {"purpose": None, "default_purpose": "B"},
        "permitted",
    ),
    "no purpose, two of them, the default is neither": (
        {"purposes": ("A", "B")},
        {"purpose": None, "default_purpose": "C"},
        "purpose-needed",
    ),
    "one purpose beats a default elsewhere": ({}, {"purpose": None, "default_purpose": "C"}, "permitted"),
    "another purpose": ({}, {"purpose": "HP-09"}, "purpose-not-granted"),
    "an empty purpose is another purpose": ({}, {"purpose": ""}, "purpose-not-granted"),
    "a purpose in other letters": ({}, {"purpose": "hp-01"}, "purpose-not-granted"),
    "a named purpose is not replaced by the default": (
        {"purposes": ("A", "B")},
        {"purpose": "C", "default_purpose": "A"},
        "purpose-not-granted",
    ),
    "the second of two purposes": ({"purposes": ("A", "B")}, {"purpose": "B"}, "permitted"),
    # ways
    "call, all ways": ({}, {"way": "call"}, "permitted"),
    "table, all ways": ({}, {"way": "table"}, "permitted"),
    "query, all ways": ({}, {"way": "query"}, "permitted"),
    "call, only call": ({"ways": ("call",)}, {}, "permitted"),
    "table, only call": ({"ways": ("call",)}, {"way": "table"}, "way-not-granted"),
    "query, only call and table": ({"ways": ("call", "table")}, {"way": "query"}, "way-not-granted"),
    "a way another purpose has": (TWO, {"purpose": "HP-02"}, "way-not-granted"),
    "the way that purpose has": (TWO, {"purpose": "HP-02", "way": "query"}, "permitted"),
    # time
    "the second before the start": ({}, {"at": BEFORE}, "not-started"),
    "the start": ({}, {"at": START}, "permitted"),
    "the last second": ({}, {"at": LAST}, "permitted"),
    "the end": ({}, {"at": END}, "ended"),
    "after the end": ({}, {"at": LATER}, "ended"),
    "between two periods": (
        {"permissions": (a_permission(ends=START + SECOND), a_permission(starts=LAST))},
        {},
        "ended",
    ),
    "in the second period": (
        {"permissions": (a_permission(ends=START + SECOND), a_permission(starts=LAST))},
        {"at": LAST},
        "permitted",
    ),
    # fields
    "every field": ({}, {"fields": some("name", "born")}, "permitted"),
    "some granted fields": (FIELDS, {"fields": some("name")}, "permitted"),
    "all granted fields": (FIELDS, {"fields": some("name", "born", "address")}, "permitted"),
    "no field at all": (FIELDS, {"fields": some()}, "permitted"),
    "a field not granted": (FIELDS, {"fields": some("religion")}, "field-not-granted"),
    "one granted and one not": (FIELDS, {"fields": some("name", "religion")}, "field-not-granted"),
    "a field in other letters": (FIELDS, {"fields": some("Name")}, "field-not-granted"),
    "a masked field": (MASKED, {"fields": some("name")}, "permitted"),
    "a dropped field": (MASKED, {"fields": some("address")}, "field-not-granted"),
    "a dropped field among all": ({"masks": (("address", "drop"),)}, {"fields": some("address")}, "field-not-granted"),
    "fields of two permissions are not added up": (
        {"permissions": (a_permission(fields=("name",)), a_permission(fields=("born",)))},
        {"fields": some("name", "born")},
        "field-not-granted",
    ),
    "the permission that has the field": (
        {"permissions": (a_permission(fields=("name",)), a_permission(fields=("born",)))},
        {"fields": some("born")},
        "permitted",
    ),
    # quota
    "below the quota": ({"quota": 3}, {"uses": 2}, "permitted"),
    "the quota used up": ({"quota": 3}, {"uses": 3}, "quota-used-up"),
    "beyond the quota": ({"quota": 3}, {"uses": 4}, "quota-used-up"),
    "no quota": ({}, {"uses": 10**9}, "permitted"),
    "a quota of one, unused": ({"quota": 1}, {}, "permitted"),
    # prohibitions
    "everything prohibited": ({"prohibitions": (BAN,)}, {}, "prohibited"),
    "this purpose prohibited": ({"prohibitions": (replace(BAN, purposes=("HP-01",)),)}, {}, "prohibited"),
    "another purpose prohibited": ({"prohibitions": (replace(BAN, purposes=("HP-02",)),)}, {}, "permitted"),
    "this way prohibited": ({"prohibitions": (replace(BAN, ways=("call",)),)}, {}, "prohibited"),
    "another way prohibited": ({"prohibitions": (replace(BAN, ways=("table",)),)}, {}, "permitted"),
    "this system prohibited": ({"prohibitions": (replace(BAN, systems=(COUNTER,)),)}, {}, "prohibited"),
    "another system prohibited": ({"prohibitions": (replace(BAN, systems=(LAND_OFFICE,)),)}, {}, "permitted"),
    "prohibited from later on": ({"prohibitions": (replace(BAN, starts=LAST),)}, {}, "permitted"),
    "prohibited from now on": ({"prohibitions": (replace(BAN, starts=NOON),)}, {}, "prohibited"),
    "prohibited until now": ({"prohibitions": (replace(BAN, ends=NOON),)}, {}, "permitted"),
    "purpose matches, way does not": (
        {"prohibitions": (replace(BAN, purposes=("HP-01",), ways=("table",)),)},
        {},
        "permitted",
    ),
    "a silent request for the prohibited purpose": (
        {"prohibitions": (replace(BAN, purposes=("HP-01",)),)},
        {"purpose": None},
        "prohibited",
    ),
    "passing on is prohibited, using is not": ({"prohibitions": (Prohibition("distribute"),)}, {}, "permitted"),
    "obligations do not stand in the way": ({"obligations": (Obligation("delete-after", "P30D"),)}, {}, "permitted"),
    # notice
    "before a notice takes effect": ({"ended_at": LAST}, {}, "permitted"),
    "when a notice takes effect": ({"ended_at": NOON}, {}, "ended"),
}


@pytest.mark.parametrize(("terms", "request_", "reason"), GOLDEN.values(), ids=GOLDEN.keys())
def test_golden_decision(terms: dict[str, Any], request_: dict[str, Any], reason: str) -> None:
    wanted = dict(request_)
    uses = wanted.pop("uses", 0)

    decision = compiled(**terms).decide(a_request(**wanted), uses)

    assert decision.reason == reason
    assert decision.permit == (reason == "permitted")
    assert decision.agreement_id == AGREEMENT_ID
    assert decision.digest == compiled(**terms).digest


def test_there_are_at_least_sixty_golden_decisions() -> None:
    assert len(GOLDEN) >= 60


def test_a_permitted_use_tells_its_limits() -> None:
    terms = {
        **MASKED,
        "row_filter": (("province", "eq", "31"),),
        "quota": 10,
        "min_group": 5,
        "obligations": (Obligation("delete-after", "P30D"), Obligation("cite-source")),
    }

    decision = compiled(**terms).decide(a_request())

    assert decision.fields == ("born", "name")
    assert decision.masks == {"name": "partial", "address": "drop"}
    assert decision.row_filter == (("province", "eq", "31"),)
    assert (decision.quota, decision.min_group) == (10, 5)
    assert decision.ground == "law:278/2025"
    assert decision.obligations == ("cite-source", "delete-after:P30D")
    assert decision.valid_to == END
    assert (decision.version, decision.purpose, decision.way) == (1, "HP-01", "call")


def test_fewer_fields_wanted_are_fewer_fields_given() -> None:
    decision = compiled(**MASKED).decide(a_request(fields=some("born")))

    assert decision.fields == ("born",)
    assert decision.masks == {}


def test_a_refusal_names_what_is_missing() -> None:
    asked = compiled(purposes=("B", "A")).decide(a_request(purpose=None))
    field = compiled(**FIELDS).decide(a_request(fields=some("religion", "name", "blood")))
    purpose = compiled().decide(a_request(purpose="HP-09"))

    assert asked.facts == {"purposes": "A, B"}
    assert field.facts == {"fields": "blood, religion"}
    assert purpose.facts == {"purposes": "HP-01"}


def test_a_notice_shortens_what_a_decision_is_good_for() -> None:
    assert compiled(ended_at=LAST).decide(a_request()).valid_to == LAST


def test_a_document_nobody_understands_denies_by_the_name_of_the_term() -> None:
    why = AgreementTermUnknown("", term="urn:x:price", place="agreement")
    entry = compile_unreadable(AGREEMENT_ID, 1, "sha-256:00", ("VN/GOV/G01", "VN/GOV/H24", CITIZEN), why)

    decision = entry.decide(a_request())

    assert (decision.permit, decision.reason, decision.facts) == (False, "term-unknown", {"term": "urn:x:price"})


def test_no_agreement_at_all() -> None:
    decision = decide_among([], a_request())

    assert (decision.permit, decision.reason, decision.agreement_id) == (False, "no-agreement", None)


def test_several_agreements_and_no_purpose_need_a_choice() -> None:
    world = [compiled(purposes=("B",)), compiled(AGREEMENT_ID[:-1] + "2", purposes=("A",))]

    silent = decide_among(world, a_request(purpose=None))
    registered = decide_among(world, a_request(purpose=None, default_purpose="A"))
    alike = decide_among([world[0], world[0]], a_request(purpose=None))

    assert (silent.reason, silent.agreement_id, silent.facts) == ("purpose-needed", None, {"purposes": "A, B"})
    assert (registered.permit, registered.purpose) == (True, "A")
    assert (alike.permit, alike.purpose) == (True, "B")


@pytest.mark.parametrize(
    "narrower",
    [
        {"fields": ("name", "born")},
        {"row_filter": (("province", "eq", "31"),)},
        {"masks": (("name", "null"),)},
        {"min_group": 5},
        {"quota": 1000},
    ],
)
def test_the_widest_of_several_permissions_counts(narrower: dict[str, Any]) -> None:
    wide, narrow = compiled(), compiled(AGREEMENT_ID[:-1] + "2", **narrower)

    for world in ([wide, narrow], [narrow, wide]):
        assert decide_among(world, a_request()).agreement_id == wide.id
    both = compiled(permissions=(a_permission(**narrower), a_permission())).decide(a_request())
    assert limits(both) == limits(wide.decide(a_request()))


def limits(decision: Decision) -> Any:
    return decision.fields, decision.row_filter, decision.masks, decision.min_group, decision.quota


def test_more_granted_fields_are_wider_than_fewer() -> None:
    few, more = compiled(fields=("name",)), compiled(AGREEMENT_ID[:-1] + "2", fields=("name", "born"))

    assert decide_among([few, more], a_request()).fields == ("born", "name")


def test_a_quota_is_counted_for_each_agreement_alone() -> None:
    used_up, fresh = compiled(quota=5), compiled(AGREEMENT_ID[:-1] + "2", quota=5, min_group=5)

    decision = decide_among([used_up, fresh], a_request(), {used_up.id: 5, fresh.id: 4}.__getitem__)

    assert (decision.permit, decision.agreement_id) == (True, fresh.id)
    assert decide_among([used_up], a_request(), lambda _: 5).reason == "quota-used-up"


def test_the_nearest_refusal_is_told() -> None:
    world = [compiled(ways=("table",)), compiled(AGREEMENT_ID[:-1] + "2", quota=5)]

    for candidates in (world, world[::-1]):
        assert decide_among(candidates, a_request(), lambda _: 9).reason == "quota-used-up"


def test_the_digest_is_that_of_the_canonical_text_and_changes_with_the_limits() -> None:
    first = compiled().decide(a_request())
    again = compiled().decide(a_request())
    narrower = compiled(quota=5).decide(a_request())

    assert first.decision_digest == again.decision_digest
    assert first.decision_digest != narrower.decision_digest
    assert json.loads(decision_text(first)) == {
        "v": "1",
        "effect": "permit",
        "reason": "permitted",
        "purpose": "HP-01",
        "way": "call",
        "agreement": AGREEMENT_ID,
        "version": "1",
        "digest": first.digest,
        "ground": "law:278/2025",
        "validTo": "2027-01-01T00:00:00Z",
    }


def test_many_different_wishes_do_not_fill_the_memory() -> None:
    agreement = compiled()

    for number in range(600):
        assert agreement.decide(a_request(fields=some(f"f{number}"))).fields == (f"f{number}",)

    grants = agreement.grants["HP-01", "call"]
    assert len(grants[0].narrowed) <= 256

    for number in range(600):
        assert agreement.decide(a_request(purpose=f"p{number}")).purpose == f"p{number}"

    assert len(agreement.refusals) <= 256


# Properties over small worlds, where every combination of agreements and requests meets.

PURPOSES, NAMES = ("A", "B"), ("x", "y", "z")
SYSTEMS = (COUNTER, LAND_OFFICE)
TIMES = (START, NOON, LAST)


def subsets(values: tuple[Any, ...], least: int = 0) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(st.sampled_from(values), min_size=least, unique=True).map(tuple)


permissions = st.builds(
    a_permission,
    purposes=subsets(PURPOSES, 1),
    ways=subsets(("call", "table", "query"), 1),
    systems=subsets(SYSTEMS),
    fields=st.none() | subsets(NAMES, 1),
    starts=st.just(START) | st.just(NOON),
    ends=st.just(END) | st.just(LAST),
    quota=st.none() | st.just(1),
    min_group=st.none() | st.just(5),
    row_filter=subsets((("x", "eq", "1"),)),
)
prohibitions = st.builds(
    Prohibition,
    action=st.just("use"),
    purposes=subsets(PURPOSES),
    ways=subsets(("call", "table")),
    systems=subsets(SYSTEMS),
)
terms = st.fixed_dictionaries(
    {
        "permissions": st.lists(permissions, min_size=1, max_size=3).map(tuple),
        "prohibitions": st.lists(prohibitions, max_size=1).map(tuple),
        "ended_at": st.none() | st.just(NOON),
        "target": st.sampled_from((CITIZEN, CITIZEN_DATASET)),
        "consumer": st.sampled_from(("VN/GOV/H24", "VN/GOV/H31")),
    }
)
requests = st.builds(
    a_request,
    consumer=st.sampled_from(SYSTEMS),
    way=st.sampled_from(("call", "table", "query")),
    purpose=st.sampled_from((*PURPOSES, None)),
    dataset=st.sampled_from((CITIZEN_DATASET, None)),
    at=st.sampled_from(TIMES),
    fields=st.none() | subsets(NAMES).map(frozenset),
)


def numbered(number: int, wanted: dict[str, Any]) -> Compiled:
    allowed = dict(wanted)
    if allowed["consumer"] != "VN/GOV/H24":
        allowed["permissions"] = tuple(replace(each, systems=()) for each in allowed["permissions"])
        allowed["prohibitions"] = tuple(replace(each, systems=()) for each in allowed["prohibitions"])
    return compiled(f"urn:uuid:00000000-0000-4000-8000-{number:012}", **allowed)


worlds = st.lists(terms, max_size=3).map(lambda found: [numbered(at, each) for at, each in enumerate(found)])


def named(world: list[Compiled], request: Request) -> Request:
    """The request with the purpose it means spelled out; ambiguity is not what these properties are about."""
    decision = decide_among(world, request)
    return replace(request, purpose=decision.purpose or "A")


@given(worlds, terms, requests)
def test_adding_an_agreement_takes_nothing_away(world: list[Compiled], more: dict[str, Any], request: Request) -> None:
    request = named(world, request)

    if decide_among(world, request).permit:
        assert decide_among([*world, numbered(9, more)], request).permit


@given(worlds, requests, st.data())
def test_ending_an_agreement_gives_nothing(world: list[Compiled], request: Request, data: st.DataObject) -> None:
    request = named(world, request)
    left = data.draw(st.sampled_from([[each for each in world if each is not gone] for gone in world])) if world else []

    if decide_among(left, request).permit:
        assert decide_among(world, request).permit


@given(worlds, requests, st.randoms(use_true_random=False))
def test_order_does_not_matter(world: list[Compiled], request: Request, random: Any) -> None:
    mixed = list(world)
    random.shuffle(mixed)

    assert decide_among(mixed, request) == decide_among(world, request)


@given(terms, requests, st.randoms(use_true_random=False))
def test_the_order_of_permissions_does_not_matter(wanted: dict[str, Any], request: Request, random: Any) -> None:
    mixed = list(wanted["permissions"])
    random.shuffle(mixed)
    first, second = numbered(1, wanted), numbered(1, {**wanted, "permissions": tuple(mixed)})

    assert first.decide(request) == second.decide(request)


@given(terms, requests)
def test_a_prohibition_beats_every_permission(wanted: dict[str, Any], request: Request) -> None:
    banned = numbered(1, {**wanted, "prohibitions": (*wanted["prohibitions"], Prohibition("use"))})

    assert not banned.decide(request).permit


@given(terms, requests)
def test_a_prohibition_never_gives_access(wanted: dict[str, Any], request: Request) -> None:
    if numbered(1, wanted).decide(request).permit:
        assert numbered(1, {**wanted, "prohibitions": ()}).decide(request).permit


@given(worlds, requests)
def test_a_silent_request_gets_only_what_naming_the_purpose_would_get(world: list[Compiled], request: Request) -> None:
    silent = decide_among(world, replace(request, purpose=None))

    if silent.permit:
        assert decide_among(world, replace(request, purpose=silent.purpose)).permit


@given(terms, requests)
def test_no_decision_gives_more_than_some_permission_says(wanted: dict[str, Any], request: Request) -> None:
    decision: Decision = numbered(1, wanted).decide(request)

    def covers(permission: Permission) -> bool:
        granted = permission.fields is None or set(decision.fields or ()) <= set(permission.fields)
        return (
            decision.purpose in permission.purposes
            and decision.way in permission.ways
            and (not permission.systems or request.consumer in permission.systems)
            and permission.starts <= request.at
            and request.at < (permission.ends or request.at + SECOND)
            and granted
            and decision.min_group == permission.min_group
            and decision.row_filter == permission.row_filter
        )

    if decision.permit:
        assert any(covers(each) for each in wanted["permissions"])
