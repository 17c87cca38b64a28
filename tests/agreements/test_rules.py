"""Agreements by rule: signed once, listed in the directory, accepted by the first use."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

from lienthong.agreements import queries
from lienthong.agreements import vocabulary as v
from lienthong.agreements.document import canonical, write_agreement
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.keeping import AgreementUnknown, PredecessorMismatch
from lienthong.agreements.models import TermsRefused
from lienthong.agreements.parties import NotAParty
from lienthong.agreements.policy import decide_among
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.rules import accept_rule, follow_rules, make_rule
from lienthong.directory.document import UnknownPurpose
from lienthong.directory.models import Rule, SystemId
from tests.agreements.build import AGREEMENT_ID, CITIZEN, COUNTER, NOON, POLICE, PROVINCE, a_request, some_terms
from tests.agreements.country import OTHER, Country, Db

pytestmark = pytest.mark.integration


def rule_terms(**changes: Any) -> Any:
    return some_terms(**{"mode": "rule", "consumer": "VN/GOV", "purposes": ("CHUNG",), "ends": None, **changes})


@pytest.fixture
def country() -> Country:
    return Country()


async def a_rule(db: Db, country: Country, **options: Any) -> Rule:
    terms = options.pop("terms", None) or rule_terms()
    return await make_rule(db, country.snapshot(), country.signer(POLICE), terms, now=NOON, **options)


async def loaded(db: Db) -> AgreementIndex:
    index = AgreementIndex()
    await index.reload(db)
    return index


async def test_a_rule_counts_once_the_directory_lists_it(db: Db, other_db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    assert (await loaded(db)).find(COUNTER, [CITIZEN]) == []

    for node, member in ((db, POLICE), (other_db, PROVINCE)):
        assert await follow_rules(node, country.snapshot((rule,)), [member], now=NOON) == []

    for node in (db, other_db):
        decision = decide_among((await loaded(node)).find(COUNTER, [CITIZEN]), a_request(purpose=None))
        assert (decision.permit, decision.purpose) == (True, "CHUNG")


async def test_the_first_use_accepts_and_is_recorded_so(db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    await follow_rules(db, country.snapshot((rule,)), [POLICE], now=NOON)
    index = await loaded(db)
    (found,) = index.find(COUNTER, [CITIZEN])
    assert index.awaits_acceptance(found, PROVINCE)

    first = await accept_rule(db, found.digest, PROVINCE, exchange_id="e-1", at=NOON)
    second = await accept_rule(db, found.digest, PROVINCE, exchange_id="e-2", at=NOON)

    await index.reload(db)
    assert (first, second) == (True, False)
    assert not index.awaits_acceptance(found, PROVINCE)
    assert index.awaits_acceptance(found, OTHER)
    cursor = await db.execute("SELECT member, exchange_id FROM agreement_acceptance")
    assert await cursor.fetchall() == [(PROVINCE, "e-1")]


async def test_a_withdrawn_rule_stays_for_those_who_accepted_it(db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    await follow_rules(db, country.snapshot((rule,)), [POLICE], now=NOON)
    (found,) = (await loaded(db)).find(COUNTER, [CITIZEN])
    await accept_rule(db, found.digest, PROVINCE, exchange_id="e-1", at=NOON)

    await follow_rules(db, country.snapshot(), [POLICE], now=NOON)

    index = await loaded(db)
    assert index.find(COUNTER, [CITIZEN]) == [found]
    assert index.find(SystemId(f"{OTHER}/motcua"), [CITIZEN]) == []


async def test_a_withdrawn_rule_nobody_accepted_is_gone(db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    await follow_rules(db, country.snapshot((rule,)), [POLICE], now=NOON)

    await follow_rules(db, country.snapshot(), [POLICE], now=NOON)

    assert await queries.current_agreements(db) == []


async def test_a_new_version_of_a_rule_takes_over_when_it_is_listed(db: Db, country: Country) -> None:
    first = await a_rule(db, country)
    await follow_rules(db, country.snapshot((first,)), [POLICE], now=NOON)
    agreement = parse_agreement(first.document)
    second = await a_rule(db, country, terms=rule_terms(quota=5), replaces=agreement.id)
    (before,) = await queries.current_agreements(db)

    await follow_rules(db, country.snapshot((second,)), [POLICE], now=NOON)

    (after,) = await queries.current_agreements(db)
    assert (before.version, after.version) == (1, 2)


async def test_only_rules_that_concern_the_node_are_kept(db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    await db.rollback()

    await follow_rules(db, country.snapshot((rule,)), ["VN/COM/0100109106"], now=NOON)

    assert await queries.agreement_ids(db) == []


async def test_a_listed_rule_that_does_not_hold_is_left_out_and_named(db: Db, country: Country) -> None:
    good = await a_rule(db, country)
    await db.rollback()
    altered = json.loads(good.document)
    altered[v.LEGAL_BASIS] = "khác"
    strange = json.loads(good.document) | {"urn:x:fee": "1"}
    signer = country.signer(POLICE)
    strange_rule = Rule(POLICE, canonical(strange), signer.sign(canonical(strange)))
    by_request = write_agreement(some_terms(), agreement_id=AGREEMENT_ID, timestamp=NOON)
    rules = {
        "agreement-altered": replace(good, document=canonical(altered)),
        "wrong-signer": replace(good, provider_jws=country.signer(OTHER).sign(good.document)),
        "agreement-term-unknown": strange_rule,
        "agreement-terms": Rule(POLICE, by_request, signer.sign(by_request)),
        "agreement-malformed": Rule(POLICE, b"{", "e30..AA"),
    }

    unusable = await follow_rules(db, country.snapshot((*rules.values(), good)), [PROVINCE], now=NOON)

    assert [each.problem.kind for each in unusable] == list(rules)
    assert [row.digest for row in await queries.current_agreements(db)] == [parse_agreement(good.document).digest]


async def test_a_rule_of_another_provider_is_left_out(db: Db, country: Country) -> None:
    rule = await a_rule(db, country)
    await db.rollback()

    (left,) = await follow_rules(db, country.snapshot((replace(rule, provider=OTHER),)), [PROVINCE], now=NOON)

    assert left.problem.kind == "agreement-terms"


async def test_two_rules_under_one_number_do_not_both_stand(db: Db, country: Country) -> None:
    first = await a_rule(db, country)
    agreement = parse_agreement(first.document)
    document = write_agreement(rule_terms(quota=7), agreement_id=agreement.id, timestamp=NOON)
    fork = Rule(POLICE, document, country.signer(POLICE).sign(document))

    (left,) = await follow_rules(db, country.snapshot((first, fork)), [POLICE], now=NOON)

    assert isinstance(left.problem, PredecessorMismatch)


async def test_what_can_not_be_made_a_rule(db: Db, country: Country) -> None:
    with pytest.raises(TermsRefused):
        await a_rule(db, country, terms=some_terms())
    with pytest.raises(NotAParty):
        await make_rule(db, country.snapshot(), country.signer(OTHER), rule_terms(), now=NOON)
    with pytest.raises(UnknownPurpose):
        await a_rule(db, country, terms=rule_terms(purposes=("HP-99",)))
    with pytest.raises(AgreementUnknown):
        await a_rule(db, country, replaces="urn:uuid:00000000-0000-4000-8000-000000000000")
    with pytest.raises(AgreementUnknown):
        await accept_rule(db, "sha-256:" + "0" * 64, PROVINCE, exchange_id="e", at=NOON)
