"""What gets countersigned: exactly what was asked for, signed by exactly who had to; anything else changes nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lienthong.agreements import queries
from lienthong.agreements import vocabulary as v
from lienthong.agreements.ask import AgreementDiffers
from lienthong.agreements.document import canonical, write_agreement
from lienthong.agreements.models import Obligation, Prohibition
from lienthong.agreements.payloads import NegotiationMessage
from lienthong.agreements.reading import AgreementTermUnknown
from lienthong.agreements.signing import AgreementAltered, WrongSigner
from lienthong.errors import Problem
from lienthong.trust.keys import generate_es256
from tests.agreements.build import COUNTER, NOON, POLICE, PROVINCE, START, some_terms
from tests.agreements.country import OTHER, TwoNodes, over_the_wire, the_negotiation

pytestmark = pytest.mark.integration
SIGNATURE = v.LT + "signature"

CLAUSES = {
    "the consumer": lambda b: b.update(assignee=v.ID + OTHER),
    "the provider": lambda b: b.update(assigner=v.ID + OTHER, target=v.ID + OTHER + "/a/b"),
    "the target": lambda b: b.update(target=v.ID + POLICE + "/dancu/other"),
    "the id": lambda b: b.update({"@id": "urn:uuid:00000000-0000-4000-8000-00000000dead"}),
    "the time of signing": lambda b: b.update(timestamp="2026-07-01T04:59:59Z"),
    "the legal basis": lambda b: b.update({v.LEGAL_BASIS: "khác"}),
    "a clause": lambda b: b[v.CLAUSES].update({v.LT + "deletion": "không xóa"}),
    "the quota": lambda b: set_operand(b, v.QUOTA, "100000"),
    "the purpose": lambda b: set_operand(b, v.PURPOSE, [v.PURPOSE_ID + "HP-02"]),
    "the ground": lambda b: set_operand(b, v.GROUND, "consent"),
    "the fields": lambda b: set_operand(b, v.FIELDS, ["name", "religion"]),
    "the mask": lambda b: set_operand(b, v.MASK, {v.FIELD: "name", v.VALUE: v.LT + "year"}),
    "the row filter": lambda b: set_operand(b, v.ROW_FILTER, {v.FIELD: "province", v.VALUE: "01"}),
    "the smallest group": lambda b: set_operand(b, v.MIN_GROUP, "2"),
    "the ways": lambda b: set_operand(b, v.WAYS, [v.LT + "table"]),
    "the system": lambda b: set_operand(b, v.SYSTEM, [v.ID + PROVINCE + "/datdai"]),
    "the start": lambda b: set_operand(b, v.DATE_TIME, "2025-01-01T00:00:00Z"),
    "an obligation": lambda b: b.pop("obligation"),
    "a prohibition": lambda b: b.pop("prohibition"),
    "the bundle": lambda b: b.update({v.BUNDLE: "urn:uuid:other"}),
    "a permission more": lambda b: b["permission"].append(b["permission"][0] | {"constraint": []}),
}


def set_operand(body: Any, left: str, right: Any) -> None:
    next(each for each in body["permission"][0]["constraint"] if each["leftOperand"] == left)["rightOperand"] = right


def full_terms() -> Any:
    return some_terms(
        fields=("name",),
        masks=(("name", "partial"),),
        row_filter=(("province", "eq", "31"),),
        quota=10,
        min_group=5,
        ways=("call",),
        systems=(COUNTER,),
        obligations=(Obligation("cite-source"),),
        prohibitions=(Prohibition("distribute"),),
        bundle="urn:uuid:bundle",
    )


SENSELESS = {"the consumer": "agreement-terms", "a permission more": "agreement-malformed"}
"""Alterations that leave no readable agreement at all; every other one must fail at its signature."""


@pytest.mark.parametrize("clause", CLAUSES)
async def test_an_agreement_altered_after_signing_fails_its_signature(nodes: TwoNodes, clause: str) -> None:
    _, pid = await nodes.ask(full_terms())
    payload = over_the_wire((await nodes.approve(pid)).payload)
    CLAUSES[clause](payload["agreement"])

    with pytest.raises(Problem) as refused:
        await nodes.to_consumer(payload)

    assert refused.value.kind == SENSELESS.get(clause, "agreement-altered")
    negotiation = await the_negotiation(nodes.consumer, "consumer")
    assert (negotiation.state, negotiation.consumer_jws) == ("REQUESTED", None)


@pytest.mark.parametrize("change", CLAUSES.values(), ids=CLAUSES.keys())
async def test_another_agreement_than_asked_for_is_not_countersigned_even_if_well_signed(
    nodes: TwoNodes, change: Any
) -> None:
    _, pid = await nodes.ask(full_terms())
    payload = over_the_wire((await nodes.approve(pid)).payload)
    before = canonical(payload["agreement"])
    change(payload["agreement"])
    document = canonical(payload["agreement"])
    payload[SIGNATURE] = nodes.country.signer(POLICE).sign(document)
    harmless = json.loads(before) | {"@id": "", "timestamp": ""} == json.loads(document) | {"@id": "", "timestamp": ""}

    if harmless:  # the provider chooses the id and the time of signing
        assert (await nodes.to_consumer(payload))["@type"] == "ContractAgreementVerificationMessage"
    else:
        with pytest.raises(Problem) as refused:
            await nodes.to_consumer(payload)
        assert refused.value.kind in ("agreement-differs", "agreement-terms", "agreement-malformed")


async def test_wider_terms_than_asked_for_are_named_as_different(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask(full_terms())
    payload = over_the_wire((await nodes.approve(pid)).payload)
    set_operand(payload["agreement"], v.QUOTA, "11")
    payload[SIGNATURE] = nodes.country.signer(POLICE).sign(canonical(payload["agreement"]))

    with pytest.raises(AgreementDiffers):
        await nodes.to_consumer(payload)


async def test_an_unknown_term_is_not_countersigned(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    payload = over_the_wire((await nodes.approve(pid)).payload)
    payload["agreement"]["urn:x:fee"] = "1000000"
    payload[SIGNATURE] = nodes.country.signer(POLICE).sign(canonical(payload["agreement"]))

    with pytest.raises(AgreementTermUnknown) as refused:
        await nodes.to_consumer(payload)

    assert refused.value.facts["term"] == "urn:x:fee"


async def test_the_wrong_signer_is_refused(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    payload = over_the_wire((await nodes.approve(pid)).payload)
    document = canonical(payload["agreement"])
    stranger = replace(nodes.country.signer(POLICE), key=generate_es256())
    unknown = replace(nodes.country.signer(POLICE), keyid="unknown")

    for signer, problem in (
        (nodes.country.signer(OTHER), WrongSigner),
        (nodes.country.signer(PROVINCE), WrongSigner),
        (unknown, WrongSigner),
        (stranger, AgreementAltered),
    ):
        with pytest.raises(problem):
            await nodes.to_consumer(payload | {SIGNATURE: signer.sign(document)})
    for garbage in ("", "x", "e30..AAAA", "a.b.c", "e30..AA.BB", f"{document!r}"):
        with pytest.raises((AgreementAltered, NegotiationMessage)):
            await nodes.to_consumer(payload | {SIGNATURE: garbage})


async def test_a_key_that_was_revoked_or_came_later_does_not_count(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    payload = (await nodes.approve(pid)).payload
    country = nodes.country

    for times in ({"valid_to": NOON}, {"valid_from": NOON + timedelta(seconds=1)}):
        snapshot = country.snapshot(G01=country.member(POLICE, keys=(country.member_key(POLICE, **times),)))
        with pytest.raises(WrongSigner):
            await nodes.to_consumer(payload, snapshot=snapshot)


async def test_a_revoked_key_can_not_sign_under_an_old_date(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    payload = over_the_wire((await nodes.approve(pid)).payload)
    payload["agreement"]["timestamp"] = "2026-06-30T00:00:00Z"
    payload[SIGNATURE] = nodes.country.signer(POLICE).sign(canonical(payload["agreement"]))
    revoked = nodes.country.member_key(POLICE, valid_to=NOON)

    with pytest.raises(WrongSigner):
        await nodes.to_consumer(
            payload, snapshot=nodes.country.snapshot(G01=nodes.country.member(POLICE, keys=(revoked,)))
        )


@pytest.mark.parametrize("moment", ["2026-06-01T00:00:00Z", "2026-07-02T00:00:00Z"])
async def test_an_agreement_signed_long_ago_or_in_the_future_is_refused(nodes: TwoNodes, moment: str) -> None:
    _, pid = await nodes.ask()
    payload = over_the_wire((await nodes.approve(pid)).payload)
    payload["agreement"]["timestamp"] = moment
    payload[SIGNATURE] = nodes.country.signer(POLICE).sign(canonical(payload["agreement"]))

    with pytest.raises(WrongSigner):
        await nodes.to_consumer(payload)


async def test_a_countersignature_over_other_bytes_is_refused(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    verification = await nodes.to_consumer((await nodes.approve(pid)).payload)
    other = write_agreement(some_terms(quota=1), agreement_id="urn:uuid:x", timestamp=START)

    for signature, problem in (
        (nodes.country.signer(PROVINCE).sign(other), AgreementAltered),
        (nodes.country.signer(POLICE).sign(other), WrongSigner),
    ):
        with pytest.raises(problem):
            await nodes.to_provider(verification | {SIGNATURE: signature})

    assert await queries.current_agreements(nodes.provider) == []
