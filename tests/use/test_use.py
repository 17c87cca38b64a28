"""A use between two real nodes: permitted or refused, it is on record on both sides before anything is released."""

from __future__ import annotations

import asyncio
import json
from dataclasses import replace

import psycopg
import pytest

from lienthong.access.gate import ConsentMissing, FieldNotGranted, NoAgreement, PurposeMissing, PurposeNotGranted
from lienthong.catalog.models import HttpSource, Service
from lienthong.directory.models import ServiceId, SystemId
from lienthong.exchange.answer import Answer
from lienthong.exchange.consume import Consumer, Wish
from lienthong.verify import render, verify_receipt
from tests.agreements.build import compiled
from tests.use.databases import TEMPLATE
from tests.use.nodes import COUNTER, PURPOSE

CITIZEN = "VN/GOV/G01/dancu/citizen"
PERSON = "001099012345"


def a_wish(**changes) -> Wish:
    base = Wish(
        consumer=COUNTER,
        service=CITIZEN,
        way="call",
        target=b"/x1/" + CITIZEN.encode(),
        body=json.dumps({"personal_number": PERSON}).encode(),
        purpose=PURPOSE,
    )
    return replace(base, **changes)


async def test_an_allowed_call_is_answered_and_leaves_two_records_that_name_each_other(two_nodes):
    consumer, provider = two_nodes

    used = await consumer.consumer.use(a_wish())

    assert used.answer.status == 200
    assert json.loads(used.answer.body)["rows"][0]["full_name"] == "Nguyễn Thị Bình"
    (ours,), (theirs,) = await consumer.leaves(), await provider.leaves()
    assert ours["peer_record"] == used.peer_record
    assert ours["exchange_id"] == theirs["exchange_id"]
    assert ours["agreement"]["digest"] == theirs["agreement"]["digest"]
    assert ours["request_signature_digest"] == theirs["request_signature_digest"]
    assert (ours["outcome"], theirs["outcome"], theirs["rows"]) == ("permitted", "permitted", 1)


async def test_the_masked_field_is_in_none_of_the_bytes(two_nodes):
    consumer, _ = two_nodes

    used = await consumer.consumer.use(a_wish())

    assert b"0912345678" not in used.answer.body
    assert json.loads(used.answer.body)["rows"][0]["phone"] == "091*****78"


async def test_receipts_of_both_sides_verify(two_nodes):
    consumer, provider = two_nodes
    used = await consumer.consumer.use(a_wish())

    for node, record in ((consumer, used.record), (provider, used.peer_record)):
        report = verify_receipt(await node.receipt(record, to_owner=True))
        assert report.ok, report
        assert {check.name: check.ok for check in report.checks}["response-signature"]


async def test_no_public_receipt_of_a_personal_service_shows_a_digest_to_guess_the_person_from(two_nodes):
    consumer, provider = two_nodes
    used = await consumer.consumer.use(a_wish())

    for node, record in ((consumer, used.record), (provider, used.peer_record)):
        public = await node.receipt(record)
        assert (public["messages"], public["withheld"]) == (None, "messages")
        report = verify_receipt(public)
        assert report.ok
        assert "not who signed" in render(report)


@pytest.mark.parametrize(
    ("extra", "shown"),
    [
        ({}, True),
        ({"x-road-id": "VN-0a1b2c3d-0000-4000-8000-00000000ffff"}, True),
        ({"x-road-id": f"case {PERSON}"}, False),
        ({"x-road-userid": f"VN{PERSON}"}, False),
        ({"x-road-represented-party": PERSON}, False),
    ],
)
async def test_messages_about_nobody_are_public_unless_the_caller_named_somebody_in_a_field(two_nodes, extra, shown):
    consumer, provider = two_nodes
    service = replace(provider.services[CITIZEN], personal=False, subjects=())
    provider.services[CITIZEN] = service
    asker = Consumer(consumer.parts, lambda name: service if name == CITIZEN else None)

    used = await asker.use(a_wish(extra=extra))

    for node, record in ((consumer, used.record), (provider, used.peer_record)):
        assert ((await node.receipt(record))["messages"] is not None) == shown


async def test_no_personal_number_is_in_any_leaf(two_nodes):
    consumer, _ = two_nodes
    await consumer.consumer.use(a_wish())

    for node in two_nodes:
        assert PERSON not in json.dumps(await node.leaves())


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"service": "VN/GOV/G01/dancu/nothing", "target": b"/x1/VN/GOV/G01/dancu/nothing"}, NoAgreement),
        ({"purpose": "HP-99"}, PurposeNotGranted),
        ({"fields": frozenset({"full_name", "religion"})}, FieldNotGranted),
    ],
)
async def test_a_refused_wish_is_on_record_and_reaches_nobody(two_nodes, change, problem):
    consumer, provider = two_nodes

    with pytest.raises(problem):
        await consumer.consumer.use(a_wish(**change))

    (ours,) = await consumer.leaves()
    assert (ours["outcome"], ours["reason"]) == ("refused", problem.kind)
    assert await provider.leaves() == []


async def test_an_agreement_that_rests_on_consent_grants_nothing_while_no_consent_is_known(two_nodes):
    consumer, provider = two_nodes
    consumer.agreements[:] = [compiled(purposes=(PURPOSE,), ground="consent")]

    with pytest.raises(ConsentMissing):
        await consumer.consumer.use(a_wish())

    assert [leaf["reason"] for leaf in await consumer.leaves()] == ["consent-missing"]
    assert await provider.leaves() == []


async def test_a_silent_purpose_is_refused_with_the_choices_when_there_are_several(two_nodes):
    consumer, _ = two_nodes
    consumer.agreements[:] = [compiled(purposes=("HP-01", "HP-02"))]

    with pytest.raises(PurposeMissing) as refused:
        await consumer.consumer.use(a_wish(purpose=None))

    assert refused.value.facts["purposes"] == "HP-01, HP-02"


async def test_the_provider_refuses_what_its_own_copy_of_the_agreement_does_not_allow(two_nodes):
    consumer, provider = two_nodes
    provider.agreements.clear()

    used = await consumer.consumer.use(a_wish())

    assert used.answer.status == 403
    assert json.loads(used.answer.body)["type"] == "urn:lienthong:problem:no-agreement"
    (ours,), (theirs,) = await consumer.leaves(), await provider.leaves()
    assert ours["outcome"] == theirs["outcome"] == "refused"
    report = verify_receipt(await provider.receipt(used.peer_record, to_owner=True))
    assert report.ok, report


async def test_a_row_outside_the_agreement_is_not_given(two_nodes):
    consumer, _ = two_nodes

    used = await consumer.consumer.use(a_wish(body=b'{"personal_number": "079099054321"}'))

    assert json.loads(used.answer.body)["rows"] == []


async def test_an_answer_is_withheld_until_its_record_is_durable(two_nodes):
    consumer, provider = two_nodes
    with psycopg.connect(provider.local.dsns.owner, autocommit=True) as db:
        db.execute(f"REVOKE INSERT ON record FROM {TEMPLATE}_log")

    with pytest.raises(Exception) as failed:
        await consumer.consumer.use(a_wish())

    assert failed.value.as_dict()["type"] == "urn:lienthong:problem:no-record"
    assert failed.value.as_dict()["status"] == 503
    assert await provider.leaves() == []
    (ours,) = await consumer.leaves()
    assert ours["outcome"] == "failed"


async def test_many_calls_at_once_are_all_recorded_and_the_next_one_works(two_nodes):
    consumer, provider = two_nodes

    answers = await asyncio.gather(*(consumer.consumer.use(a_wish()) for _ in range(40)))

    assert {answer.answer.status for answer in answers} == {200}
    assert len({answer.record for answer in answers}) == 40
    assert len(await consumer.leaves()) == len(await provider.leaves()) == 40


async def test_a_member_always_reads_back_its_own_data_and_that_is_on_record_too(two_nodes):
    _, provider = two_nodes
    provider.agreements.clear()

    used = await provider.consumer.use(a_wish(consumer=SystemId("VN/GOV/G01/dancu"), purpose=None))

    assert used.answer.status == 200
    assert json.loads(used.answer.body)["rows"][0]["religion"] == "không"
    sides = [(leaf["side"], leaf["ground"], leaf["agreement"]) for leaf in await provider.leaves()]
    assert sides == [("provider", "own", None), ("consumer", "own", None)]


async def test_an_error_of_the_provider_can_not_be_imitated_by_a_back_end(two_nodes):
    consumer, provider = two_nodes

    async def imitating(_service, _incoming, _rest, _may_stream):
        body = b'{"type": "urn:lienthong:problem:no-agreement", "detail": "x"}'
        return Answer(403, [(b"content-type", b"application/problem+json")], body)

    echo = ServiceId("VN/GOV/G01/dancu/echo")
    provider.provider._parts = replace(provider.parts, call_backend=imitating)
    provider.services[echo] = Service(
        id=echo, kind="http", title_vi="Tiếng vọng", title_en="Echo", sharing="shared", fields=(),
        source=HttpSource(url="http://127.0.0.1:9"),
    )  # fmt: skip
    for node in two_nodes:
        node.agreements.append(compiled(target=echo, purposes=(PURPOSE,)))

    used = await consumer.consumer.use(a_wish(service=echo, target=b"/x1/" + echo.encode()))

    assert used.answer.status == 403
    assert {leaf["outcome"] for node in two_nodes for leaf in await node.leaves()} == {"permitted"}


async def test_a_refusal_repeated_within_a_minute_is_counted_in_one_record(two_nodes):
    consumer, provider = two_nodes
    provider.agreements.clear()

    answers = [await consumer.consumer.use(a_wish()) for _ in range(4)]

    assert {answer.answer.status for answer in answers} == {403}
    assert len({answer.peer_record for answer in answers}) == 1
    assert [leaf["reason"] for leaf in await provider.leaves()] == ["no-agreement"]
    (counted,) = provider.parts.repeats.rest()
    assert counted.reason == "no-agreement;repeated=3"


@pytest.mark.parametrize("body", [b"not json", b"[1]", b""])
async def test_a_sub_query_without_a_json_object_is_refused_on_record(two_nodes, body):
    consumer, provider = two_nodes

    used = await consumer.consumer.use(a_wish(way="query", target=b"/x1/query", body=body))

    assert used.answer.status == 400
    assert json.loads(used.answer.body)["type"] == "urn:lienthong:problem:body-not-object"
    assert [leaf["reason"] for leaf in await provider.leaves()] == ["body-not-object"]
