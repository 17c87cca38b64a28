"""The client listener besides /r1: who may ask, what is refused in which words, health and receipts."""

from __future__ import annotations

import hashlib
import json
from collections.abc import AsyncIterator
from dataclasses import replace

import httpx
import pytest

from lienthong.config import Client
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.listen import serve_app
from lienthong.node.ownpages import own_receipt
from tests.use.nodes import COUNTER, TestNode

TOKEN = "a token of the land office"
LAND_OFFICE = "VN/GOV/H24/datdai"
CLIENTS = (
    Client(COUNTER),
    Client(LAND_OFFICE, auth="token", token_sha256=hashlib.sha256(TOKEN.encode()).hexdigest()),
)


AS_COUNTER = {"X-Road-Client": COUNTER}


async def _answer_nothing(*_) -> bytes:
    return b'{"columns": [], "rows": []}'


@pytest.fixture
async def door(two_nodes: tuple[TestNode, TestNode]) -> AsyncIterator[httpx.AsyncClient]:
    """The consumer's client listener."""
    consumer, _ = two_nodes
    parts = replace(consumer.parts, settings=replace(consumer.parts.settings, clients=CLIENTS))

    async def receipt(record: str, member: str | None):
        async with consumer.local.pool.connection() as db:
            return await own_receipt(db, consumer.local, record, member)

    async def ready():
        return False, {"directory": "no-directory"}

    counter = Counter(
        parts, consumer.consumer, Descriptions(parts.link), _answer_nothing, _answer_nothing, receipt, ready
    )
    listener = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as client:
        yield client
    await listener.stop(2.0)


async def test_a_call_through_the_door_is_answered_with_its_record_whose_receipt_the_owner_gets(door, two_nodes):
    answer = await door.post(
        "/r1/VN/GOV/G01/dancu/citizen",
        json={"personal_number": "001099012345"},
        headers={"X-Road-Client": COUNTER, "Lienthong-Purpose": "HP-01"},
    )

    assert answer.status_code == 200, answer.text
    assert answer.json()["rows"][0]["full_name"] == "Nguyễn Thị Bình"
    receipt = (await door.get(f"/log/receipt/{answer.headers['lienthong-record']}", headers=AS_COUNTER)).json()
    assert json.loads(receipt["record"])["side"] == "consumer"
    assert receipt["messages"]["response"]


@pytest.mark.parametrize("headers", [{}, {"X-Road-Client": LAND_OFFICE}], ids=["nobody", "a wrong token"])
async def test_where_systems_have_tokens_a_stranger_gets_no_whole_receipt(door, headers):
    answer = await door.post(
        "/r1/VN/GOV/G01/dancu/citizen",
        json={"personal_number": "001099012345"},
        headers=AS_COUNTER | {"Lienthong-Purpose": "HP-01"},
    )

    refused = await door.get(f"/log/receipt/{answer.headers['lienthong-record']}", headers=headers)

    assert refused.status_code in (400, 401)
    assert "record_hash" not in refused.text


async def test_a_receipt_of_a_call_with_something_in_its_address_is_whole_for_the_owner_only(door, two_nodes):
    answer = await door.get(
        "/r1/VN/GOV/G01/dancu/citizen?personal_number=001099012345",
        headers={"X-Road-Client": COUNTER, "Lienthong-Purpose": "HP-01"},
    )
    record = answer.headers["lienthong-record"]

    public = await two_nodes[0].receipt(record)

    assert (await door.get(f"/log/receipt/{record}", headers=AS_COUNTER)).json()["messages"] is not None
    assert public["messages"] is None
    assert public["withheld"] == "messages"
    assert "001099012345" not in json.dumps(public)


async def test_a_call_that_our_own_node_refuses_names_the_record_of_the_refusal(door, two_nodes):
    answer = await door.post(
        "/r1/VN/GOV/G01/dancu/citizen", json={}, headers={"X-Road-Client": COUNTER, "Lienthong-Purpose": "HP-99"}
    )

    assert "X-Road-Error" in answer.headers
    receipt = (await door.get(f"/log/receipt/{answer.headers['lienthong-record']}", headers=AS_COUNTER)).json()
    assert json.loads(receipt["record"])["reason"] == "purpose-not-granted"
    assert await two_nodes[1].leaves() == []


@pytest.mark.parametrize("body", [b"[]", b'"no"', b"7", b"null", b"{", b'{"type": 7}'])
async def test_a_problem_that_is_none_is_passed_on_as_the_answer_it_is(door, two_nodes, body):
    """A provider's node that marks as its problem what has not the shape of one."""
    _, provider = two_nodes
    honest = provider.provider._recorded

    def marking(use, incoming, local, decision, done, *rest):
        done.status, done.body, done.headers = 409, body, [(b"lienthong-problem", b"odd")]
        return honest(use, incoming, local, decision, done, *rest)

    provider.provider._recorded = marking

    answer = await door.post(
        "/r1/VN/GOV/G01/dancu/citizen",
        json={"personal_number": "001099012345"},
        headers={"X-Road-Client": COUNTER, "Lienthong-Purpose": "HP-01"},
    )

    assert (answer.status_code, answer.content) == (409, body)


@pytest.mark.parametrize(
    ("path", "body", "headers", "kind"),
    [
        ("/sql", b'{"sql": "SELECT 1"}', {"X-Road-Client": "VN/GOV/H24/nobody"}, "unknown-client"),
        ("/sql", b"not json", {"X-Road-Client": COUNTER}, "bad-question"),
        ("/sql", b'["SELECT 1"]', {"X-Road-Client": COUNTER}, "bad-question"),
        ("/sql", b'{"sql": "SELECT 1"}', {}, "xroad-client"),
        ("/sql", b'{"sql": "SELECT 1"}', {"X-Road-Client": LAND_OFFICE}, "caller-not-authenticated"),
        (
            "/share/profile",
            b"{}",
            {"X-Road-Client": LAND_OFFICE, "Lienthong-Token": "another"},
            "caller-not-authenticated",
        ),
        ("/nothing", b"{}", {"X-Road-Client": COUNTER}, "unknown-client-path"),
    ],
)
async def test_a_question_of_nobody_or_about_nothing_is_refused_with_side_and_mend(door, path, body, headers, kind):
    answer = await door.post(path, content=body, headers=headers)

    told = answer.json()
    assert told["type"] == f"urn:lienthong:problem:{kind}"
    assert answer.status_code == told["status"] >= 400
    assert told["side"] == "caller"
    assert told["mend"]


async def test_a_system_with_its_token_may_ask(door):
    answer = await door.post(
        "/sql", json={"sql": "SELECT 1"}, headers={"X-Road-Client": LAND_OFFICE, "Lienthong-Token": TOKEN}
    )

    assert answer.status_code == 200


async def test_health_tells_what_is_missing(door):
    assert (await door.get("/livez")).status_code == 200
    answer = await door.get("/readyz")
    assert answer.status_code == 503
    assert answer.json()["parts"] == {"directory": "no-directory"}
