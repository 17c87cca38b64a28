"""From a request to an agreement both sides signed, over two nodes with their own databases."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import psycopg
import pytest

from lienthong.agreements import queries
from lienthong.agreements import vocabulary as v
from lienthong.agreements.answer import Refusal, RefusalIncomplete, approve_request, receive_request, refuse_request
from lienthong.agreements.ask import receive_agreement, request_agreement, withdraw_request
from lienthong.agreements.document import write_agreement, write_offer
from lienthong.agreements.keeping import PredecessorMismatch
from lienthong.agreements.models import TermsRefused
from lienthong.agreements.negotiate import receive_message
from lienthong.agreements.parties import NotActingFor, NotAParty, UnknownNegotiation
from lienthong.agreements.payloads import NegotiationMessage
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.states import NegotiationState
from lienthong.directory.document import MemberClosed, UnknownMember, UnknownPurpose, UnknownSystem
from lienthong.directory.follow import DirectoryExpired
from lienthong.errors import Problem
from lienthong.trust.documents import verify_detached_jws
from tests.agreements.build import CITIZEN, NOON, POLICE, PROVINCE, START, some_terms
from tests.agreements.country import OTHER, Country, Db, TwoNodes, over_the_wire, the_negotiation

pytestmark = pytest.mark.integration
SIGNATURE = v.LT + "signature"


async def test_asked_approved_countersigned(nodes: TwoNodes) -> None:
    stored = await nodes.agree(fields=("name",), quota=10)

    theirs = await queries.stored_document(nodes.consumer, stored.digest)
    assert theirs is not None
    for each in (stored, theirs):
        assert each.document == stored.document
        verify_detached_jws(each.document, each.provider_jws, nodes.country.keys[POLICE].public_key())
        verify_detached_jws(each.document, each.consumer_jws, nodes.country.keys[PROVINCE].public_key())
    for db, side in ((nodes.consumer, "consumer"), (nodes.provider, "provider")):
        assert (await the_negotiation(db, side)).state == "FINALIZED"
    (current,) = await queries.current_agreements(nodes.consumer)
    assert (current.provider, current.consumer, current.target) == (POLICE, PROVINCE, CITIZEN)
    assert await queries.agreed_purposes(nodes.consumer, current.id) == ["HP-01"]


async def test_one_node_may_act_for_both_sides(db: Db) -> None:
    stored = await TwoNodes(Country(), consumer=db, provider=db).agree()

    assert stored.consumer_jws is not None
    assert {each.state for side in ("consumer", "provider") for each in [await the_negotiation(db, side)]} == {
        "FINALIZED"
    }


async def test_every_message_may_arrive_twice(nodes: TwoNodes) -> None:
    sent, pid = await nodes.ask()
    assert (await nodes.to_provider(sent.payload))["providerPid"] == pid
    agreement = await nodes.approve(pid)
    assert await nodes.approve(pid) == agreement
    verification = await nodes.to_consumer(agreement.payload)
    assert await nodes.to_consumer(agreement.payload) == verification
    final = await nodes.to_provider(verification)
    assert await nodes.to_provider(verification) == final
    done = await nodes.to_consumer(final)
    assert await nodes.to_consumer(final) == done
    assert done["state"] == "FINALIZED"
    assert len(await queries.current_agreements(nodes.provider)) == 1


async def test_nothing_counts_before_both_have_signed(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    agreement = await nodes.approve(pid)
    await nodes.to_consumer(agreement.payload)

    assert await queries.current_agreements(nodes.provider) == []
    assert await queries.current_agreements(nodes.consumer) == []


async def test_a_refusal_carries_its_reason_and_the_provision(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    refusal = Refusal("Dữ liệu dùng riêng", "Luật Dữ liệu, Điều 17")

    await nodes.carry(await refuse_request(nodes.provider, pid, refusal, now=NOON))

    for db, side in ((nodes.consumer, "consumer"), (nodes.provider, "provider")):
        negotiation = await the_negotiation(db, side)
        assert (negotiation.state, negotiation.ended_by) == ("TERMINATED", "provider")
        assert (negotiation.reason, negotiation.provision) == (refusal.reason, refusal.provision)


@pytest.mark.parametrize(("reason", "provision"), [("", ""), ("vì", " "), (" ", "Điều 17")])
async def test_a_refusal_without_reason_and_provision_is_impossible(
    nodes: TwoNodes, reason: str, provision: str
) -> None:
    """R-36: not by the verb, not by a message, not by the table."""
    sent, pid = await nodes.ask()
    with pytest.raises(RefusalIncomplete):
        Refusal(reason, provision)
    with pytest.raises(NegotiationMessage):
        await nodes.to_consumer(
            {
                "@type": "ContractNegotiationTerminationMessage",
                "providerPid": pid,
                "consumerPid": sent.payload["consumerPid"],
                "reason": [reason],
                v.LT + "legalProvision": provision,
            }
        )
    with pytest.raises(psycopg.errors.CheckViolation):
        await nodes.provider.execute(
            "UPDATE negotiation SET state = 'TERMINATED', ended_by = 'provider', reason = %s, provision = %s",
            (reason, provision),
        )


async def test_the_table_takes_no_refusal_without_a_provision(nodes: TwoNodes) -> None:
    await nodes.ask()

    with pytest.raises(psycopg.errors.CheckViolation):
        await nodes.provider.execute("UPDATE negotiation SET state = 'TERMINATED', ended_by = 'provider', reason = 'x'")


async def test_a_request_may_be_withdrawn(nodes: TwoNodes) -> None:
    sent, _ = await nodes.ask()
    withdrawal = await withdraw_request(
        nodes.consumer, str(sent.payload["consumerPid"]), reason="Không cần nữa", now=NOON
    )

    answer = await nodes.to_provider(withdrawal.payload)
    again = await nodes.to_provider(withdrawal.payload)

    assert answer == again
    negotiation = await the_negotiation(nodes.provider, "provider")
    assert (negotiation.state, negotiation.ended_by, negotiation.reason) == ("TERMINATED", "consumer", "Không cần nữa")
    with pytest.raises(NegotiationState):
        await nodes.approve(negotiation.pid)


async def test_what_is_final_stays(nodes: TwoNodes) -> None:
    sent, pid = await nodes.ask()
    await nodes.carry(await nodes.approve(pid))

    with pytest.raises(NegotiationState):
        await refuse_request(nodes.provider, pid, Refusal("vì", "Điều 17"), now=NOON)
    with pytest.raises(NegotiationState):
        await withdraw_request(nodes.consumer, str(sent.payload["consumerPid"]), reason="x", now=NOON)


# Who may say what to whom.


async def test_a_request_in_another_s_name_is_refused(nodes: TwoNodes) -> None:
    sent = await request_agreement(nodes.consumer, nodes.country.snapshot(), some_terms(), note="x", now=NOON)

    with pytest.raises(NotAParty):
        await nodes.to_provider(sent.payload, sender=OTHER)


async def test_a_stranger_can_not_tell_a_foreign_negotiation_from_none(nodes: TwoNodes) -> None:
    sent, pid = await nodes.ask()
    agreement = (await nodes.approve(pid)).payload
    verification = await nodes.to_consumer(agreement)
    nothing = {"providerPid": pid, "consumerPid": "urn:uuid:00000000-0000-4000-8000-000000000000"}

    for payload in (verification, verification | nothing):
        with pytest.raises(UnknownNegotiation):
            await nodes.to_provider(payload, sender=OTHER)
    for payload in (agreement, agreement | nothing):
        with pytest.raises(UnknownNegotiation):
            await nodes.to_consumer(payload, sender=OTHER)
    with pytest.raises(UnknownNegotiation):
        await withdraw_request(nodes.provider, pid, reason="x", now=NOON)
    with pytest.raises(UnknownNegotiation):
        await refuse_request(nodes.consumer, str(sent.payload["consumerPid"]), Refusal("a", "b"), now=NOON)


async def test_a_request_for_a_member_of_another_node_is_refused(nodes: TwoNodes) -> None:
    sent = await request_agreement(nodes.consumer, nodes.country.snapshot(), some_terms(), note="x", now=NOON)

    with pytest.raises(NotActingFor):
        await receive_message(
            nodes.provider,
            nodes.country.snapshot(),
            sent.payload,
            sender=PROVINCE,
            signers=nodes.country.signers(OTHER),
            now=NOON,
        )


async def test_a_request_id_stands_for_one_request(nodes: TwoNodes) -> None:
    sent, _ = await nodes.ask()
    other = await request_agreement(nodes.consumer, nodes.country.snapshot(), some_terms(quota=1), note="x", now=NOON)

    with pytest.raises(NegotiationState):
        await nodes.to_provider(other.payload | {"consumerPid": sent.payload["consumerPid"]})


async def test_only_the_provider_s_signer_may_approve(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()

    with pytest.raises(NotAParty):
        await approve_request(nodes.provider, nodes.country.snapshot(), nodes.country.signer(OTHER), pid, now=NOON)


async def test_requests_the_directory_speaks_against_are_refused_on_both_sides(nodes: TwoNodes) -> None:
    country = nodes.country
    closed = country.snapshot(G01=country.member(POLICE, state="closed", successor=OTHER, closed_on=START.date()))
    expired = country.snapshot(expires=NOON)
    unknown = some_terms(provider="VN/GOV/G99", target="VN/GOV/G99/a/b")
    cases: list[tuple[Any, Any, type[Problem]]] = [
        (some_terms(), closed, MemberClosed),
        (some_terms(), expired, DirectoryExpired),
        (unknown, country.snapshot(), UnknownMember),
        (some_terms(purposes=("HP-99",)), country.snapshot(), UnknownPurpose),
        (some_terms(systems=(f"{PROVINCE}/khac",)), country.snapshot(), UnknownSystem),
    ]

    for terms, snapshot, problem in cases:
        with pytest.raises(problem) as refused:
            await request_agreement(nodes.consumer, snapshot, terms, note="x", now=NOON)
        if problem is MemberClosed:
            assert refused.value.facts["successor"] == OTHER
        body = {"@type": "ContractRequestMessage", "consumerPid": "urn:uuid:00000000-0000-4000-8000-00000000000a"}
        offer = write_offer(terms, offer_id="urn:uuid:00000000-0000-4000-8000-00000000000b")
        with pytest.raises(problem):
            await receive_request(
                nodes.provider, snapshot, over_the_wire(body | {"offer": offer}), sender=PROVINCE, now=NOON
            )


async def test_what_is_over_before_it_begins_can_not_be_asked_for(nodes: TwoNodes) -> None:
    nodes.now = NOON
    terms = some_terms(ends=NOON - timedelta(days=1))

    with pytest.raises(TermsRefused):
        await nodes.ask(terms)


async def test_an_agreement_by_rule_can_not_be_asked_for(nodes: TwoNodes) -> None:
    with pytest.raises(TermsRefused):
        await nodes.ask(some_terms(mode="rule"))


MESSAGES: list[dict[str, Any]] = [
    {},
    {"@type": 3},
    {"@type": "Surprise"},
    {"@type": "ContractRequestMessage"},
    {"@type": "ContractRequestMessage", "consumerPid": "x", "offer": 3},
    {"@type": "ContractRequestMessage", "consumerPid": "urn:uuid:00000000-0000-4000-8000-00000000000a", "offer": []},
    {"@type": "ContractAgreementMessage", "consumerPid": "x"},
    {"@type": "ContractAgreementVerificationMessage"},
    {"@type": "ContractNegotiationEventMessage", "consumerPid": None},
    {"@type": "ContractNegotiationTerminationMessage", "consumerPid": "urn:uuid:1"},
    {"@type": v.LT + "TerminationNoticeMessage"},
    {"@type": v.LT + "TerminationNoticeMessage", "notice": "x"},
]


@pytest.mark.parametrize("payload", MESSAGES)
async def test_a_message_without_its_parts_is_refused(nodes: TwoNodes, payload: dict[str, Any]) -> None:
    with pytest.raises(NegotiationMessage):
        await nodes.to_provider(payload)


@pytest.mark.parametrize("member", [1, True, None, [1], {"a": 1.5}])
async def test_an_offer_with_numbers_is_refused(nodes: TwoNodes, member: Any) -> None:
    sent = await request_agreement(nodes.consumer, nodes.country.snapshot(), some_terms(), note="x", now=NOON)
    payload = over_the_wire(sent.payload)
    payload["offer"]["extra"] = member

    with pytest.raises(Problem) as refused:
        await nodes.to_provider(payload)

    assert refused.value.kind == "agreement-malformed"


# Versions.


async def test_a_new_version_replaces_the_last(nodes: TwoNodes) -> None:
    first = await nodes.agree()
    _, pid = await nodes.ask(some_terms(quota=5), replaces=first.agreement)
    await nodes.carry(await nodes.approve(pid))

    for db in (nodes.consumer, nodes.provider):
        (current,) = await queries.current_agreements(db)
        assert (current.id, current.version) == (first.agreement, 2)
        newest, oldest = await queries.document_versions(db, first.agreement)
        assert parse_agreement(newest.document).predecessor == oldest.digest == first.digest


async def test_a_version_follows_the_current_one_between_the_same_parties(nodes: TwoNodes) -> None:
    first = await nodes.agree()

    for terms, replaces in (
        (some_terms(target=f"{POLICE}/dancu/other"), first.agreement),
        (some_terms(), "urn:uuid:00000000-0000-4000-8000-00000000000a"),
    ):
        with pytest.raises(PredecessorMismatch):
            await nodes.ask(terms, replaces=replaces)
    sent, _ = await nodes.ask(some_terms(quota=4))
    payload = over_the_wire(sent.payload) | {
        "consumerPid": "urn:uuid:00000000-0000-4000-8000-00000000000c",
        v.PREDECESSOR: "sha-256:" + "0" * 64,
    }
    with pytest.raises(PredecessorMismatch):
        await nodes.to_provider(payload)


async def test_two_second_versions_can_not_both_stand(nodes: TwoNodes) -> None:
    first = await nodes.agree()
    _, one = await nodes.ask(some_terms(quota=5), replaces=first.agreement)
    _, two = await nodes.ask(some_terms(quota=6), replaces=first.agreement)
    both = [await nodes.approve(pid) for pid in (one, two)]
    await nodes.carry(both[0])

    with pytest.raises(PredecessorMismatch):
        await nodes.carry(both[1])

    (current,) = await queries.current_agreements(nodes.consumer)
    assert current.version == 2


async def test_a_document_signed_by_its_author_alone_is_no_agreement(nodes: TwoNodes) -> None:
    """The consumer has asked for nothing: an agreement out of the blue finds no negotiation."""
    document = write_agreement(
        some_terms(), agreement_id="urn:uuid:00000000-0000-4000-8000-00000000000d", timestamp=NOON
    )
    payload = {
        "@type": "ContractAgreementMessage",
        "providerPid": "urn:uuid:00000000-0000-4000-8000-00000000000e",
        "consumerPid": "urn:uuid:00000000-0000-4000-8000-00000000000f",
        "agreement": json.loads(document),
        SIGNATURE: nodes.country.signer(POLICE).sign(document),
    }

    with pytest.raises(UnknownNegotiation):
        await receive_agreement(
            nodes.consumer,
            nodes.country.snapshot(),
            payload,
            sender=POLICE,
            signers=nodes.country.signers(PROVINCE),
            now=NOON,
        )
