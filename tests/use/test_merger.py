"""Two provinces merge, between real nodes: what the closed one had agreed on is made anew with its successor."""

from __future__ import annotations

import asyncio
import json
import uuid
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from lienthong.access.gate import ConsumerClosed
from lienthong.access.sequence import Sequencer
from lienthong.agreements import queries
from lienthong.agreements.document import sha256_text
from lienthong.agreements.models import Permission, Terms
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.rules import make_rule
from lienthong.agreements.succession import SuccessionRefused
from lienthong.catalog.publish import PublishRequest
from lienthong.catalog.publish import publish as publish_service
from lienthong.directory import register
from lienthong.directory.lifecycle import request_change
from lienthong.directory.models import MemberId, ServiceId, SystemId
from lienthong.exchange.signed import Message
from lienthong.node.prepare import DIRECTORY_KEY, LOG_KEY, current_key
from lienthong.node.takeover import RULES, RuleUnreadable, list_rules, request_all, take_in
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import public_jwk
from lienthong.verify import verify_receipt
from tests.use.conftest import PEOPLE
from tests.use.realm import NATIONAL, Realm, RealmNode, a_realm

pytestmark = pytest.mark.integration

POLICE, OLD, NEW = "VN/GOV/G01", "VN/GOV/H30", "VN/GOV/H31"
COUNTER, NEW_COUNTER, REGISTER = f"{OLD}/motcua", f"{NEW}/motcua", f"{POLICE}/dancu"
CITIZEN, RESIDENT = f"{REGISTER}/citizen", f"{OLD}/motcua/resident"
PURPOSES = {"HP-01": OLD, "BCA-01": POLICE}
BODY = {"personal_number": "001099012345"}


async def a_table(node: RealmNode, service: str) -> None:
    """``service`` over the people that lie in the node's own database."""
    with psycopg.connect(node.local.dsns.owner, autocommit=True) as source:
        source.execute(PEOPLE.replace("public.person", "public.people"))
    await published(node, service)


async def published(node: RealmNode, service: str) -> None:
    async with node.local.pool.connection() as db:
        await publish_service(
            db,
            PublishRequest(
                service=ServiceId(service), source=f"{node.local.dsns.owner}#public.people", title_vi="Công dân",
                title_en="Citizens", legal_basis="Luật Căn cước 2023", synthetic=True,
            ),
        )  # fmt: skip


def terms(consumer: str, target: str, purpose: str, **changes) -> Terms:
    now = datetime.now(UTC).replace(microsecond=0)
    provider = "/".join(target.split("/")[:3])
    options = {"mode": "request", "systems": ()} | changes
    return Terms(
        provider=MemberId(provider), consumer=consumer, target=target, mode=options["mode"],
        legal_basis="Nghị định 278/2025/NĐ-CP",
        permissions=(
            Permission(
                purposes=(purpose,), ground="law:278/2025", starts=now - timedelta(hours=1),
                ends=now + timedelta(days=30), fields=("personal_number", "full_name"), systems=options["systems"],
            ),
        ),
    )  # fmt: skip


async def agree(asking: RealmNode, giving: RealmNode, wanted: Terms) -> None:
    async with asking.desk() as desk:
        await desk.request(wanted, "Một cửa")
    await approve_all(giving)


async def approve_all(giving: RealmNode) -> int:
    async with giving.desk() as desk:
        waiting = await desk.requests()
        for pid in waiting:
            await desk.approve(pid, giving.member)
    return len(waiting)


async def taken_over(node: RealmNode) -> dict[str, str]:
    """What an officer's ``lienthong agreement take-over`` does."""
    async with node.desk() as desk:
        await take_in(desk, node.local.settings.members)
        return await request_all(desk, node.local.settings.members)


async def newest_receipt(node: RealmNode) -> dict:
    async with node.local.pool.connection() as db:
        await Sequencer(node.local.files, node.local.keyring.ed25519(LOG_KEY)).step(db)
        cursor = await db.execute("SELECT encode(hash, 'hex') FROM record ORDER BY seq DESC LIMIT 1")
        (record,) = await cursor.fetchone()
        return await node.local.receipts.receipt(db, record, to_owner=True)


async def the_agreement(node: RealmNode, consumer: str, target: str):
    async with node.local.pool.connection() as db:
        (row,) = [
            each for each in await queries.current_agreements(db) if (each.consumer, each.target) == (consumer, target)
        ]
        return parse_agreement((await queries.stored_document(db, row.digest)).document)


async def close(realm: Realm) -> None:
    """The old province's signed request, approved by both operators, known everywhere."""
    node = realm.nodes[OLD]
    wanted = {"day": datetime.now(UTC).date().isoformat(), "successor": NEW}
    key = current_key(node.local.settings, node.local.keyring, OLD, node.local.directory.snapshot())
    await realm.carry_out(request_change("close", MemberId(OLD), wanted, key, datetime.now(UTC)))


@pytest.fixture
async def realm(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Realm]:
    async with a_realm(pg_server, tmp_path, (REGISTER, COUNTER, NEW_COUNTER), PURPOSES) as made:
        yield made


async def called(realm: Realm, system: str, service: str = CITIZEN, purpose: str = "HP-01") -> None:
    """Until a call is answered: a gateway hears of a new agreement a moment after it was signed."""
    async with asyncio.timeout(60):
        while await status(realm, system, service, purpose) != 200:  # noqa: ASYNC110 - the notice goes to the gateway alone
            await asyncio.sleep(0.05)


async def refusal(realm: Realm, system: str, service: str = CITIZEN, purpose: str = "HP-01") -> str:
    answer = await realm.call(system, service, purpose, BODY)
    assert answer.status != 200
    return await answer.text()


async def status(realm: Realm, system: str, service: str = CITIZEN, purpose: str = "HP-01") -> int:
    return (await realm.call(system, service, purpose, BODY)).status


async def test_the_successor_goes_on_under_an_agreement_that_names_the_old_one_and_old_receipts_hold(realm: Realm):
    police, old, new = realm.nodes[POLICE], realm.nodes[OLD], realm.nodes[NEW]
    await a_table(police, CITIZEN)
    await agree(old, police, terms(OLD, CITIZEN, "HP-01", systems=(SystemId(COUNTER),)))
    await called(realm, COUNTER)
    before = await the_agreement(police, OLD, CITIZEN)
    receipts = [await newest_receipt(node) for node in (old, police)]

    await close(realm)
    assert "was closed" in await refusal(realm, COUNTER)
    assert ConsumerClosed.kind in json.dumps(await newest_receipt(old)), "the refusal is on record"
    assert "No agreement" in await refusal(realm, NEW_COUNTER), "nothing passes to the successor by itself"
    assert list((await taken_over(new)).values()) == [""]
    assert await taken_over(new) == {}, "once is enough"
    assert await approve_all(police) == 1

    await called(realm, NEW_COUNTER)
    for node in (new, police):
        after = await the_agreement(node, NEW, CITIZEN)
        assert after.terms.succeeds == before.digest
        assert after.terms.permissions[0].systems == (NEW_COUNTER,)
        assert after.terms.permissions[0].fields == before.terms.permissions[0].fields
        assert (await the_agreement(node, OLD, CITIZEN)).document == before.document, "the old one stays readable"
    async with realm.web.get(realm.national.settings.directory_url) as answer:
        directory = await answer.read()
    anchor = public_jwk(realm.national.keyring.es256(DIRECTORY_KEY))
    for receipt in receipts:
        report = verify_receipt(receipt, directory=directory, anchor=anchor)
        assert report.ok, report
    async with realm.web.get(f"{old.local.settings.public_url}/v1/agreements") as answer:
        assert before.digest in {each["digest"] for each in (await answer.json())["agreements"]}


async def test_users_of_a_closed_provider_ask_its_successor_for_the_same(realm: Realm):
    police, old, new = realm.nodes[POLICE], realm.nodes[OLD], realm.nodes[NEW]
    await a_table(old, RESIDENT)
    await agree(police, old, terms(POLICE, RESIDENT, "BCA-01"))
    await called(realm, REGISTER, RESIDENT, "BCA-01")
    await a_table(new, f"{NEW}/motcua/resident")

    await close(realm)
    async with police.desk() as desk:
        (early,) = (await request_all(desk, (POLICE,))).values()
    async with new.desk() as desk:
        taken = await take_in(desk, (NEW,))
    async with police.desk() as desk:
        await desk.send_again()
    assert await approve_all(new) == 1

    assert early == "succession-refused", "the successor did not hold the old agreement yet"
    assert (taken.agreements, taken.silent) == (1, ())
    await called(realm, REGISTER, f"{NEW}/motcua/resident", "BCA-01")
    assert f"its successor is {NEW}" in await refusal(realm, REGISTER, RESIDENT, "BCA-01")


async def test_more_than_was_agreed_can_not_be_taken_over_nor_what_has_ended(realm: Realm):
    police, old, new = realm.nodes[POLICE], realm.nodes[OLD], realm.nodes[NEW]
    await a_table(police, CITIZEN)
    await agree(old, police, terms(OLD, CITIZEN, "HP-01"))
    before = await the_agreement(police, OLD, CITIZEN)
    await close(realm)
    async with new.desk() as desk:
        await take_in(desk, (NEW,))
        other = terms(NEW, CITIZEN, "HP-01", systems=(SystemId(NEW_COUNTER),))
        for named in (before.digest, sha256_text(b"never signed")):
            with pytest.raises(SuccessionRefused):
                await desk.request(replace(other, succeeds=named), "khác thỏa thuận cũ")
    async with police.desk() as desk:
        now = datetime.now(UTC).replace(microsecond=0)
        await desk.end(before.id, POLICE, reason="hết", provision="Điều 1", ends_at=now)

    assert list((await taken_over(new)).values()) == ["succession-refused"], "the provider knows that it ended"


async def test_a_rule_for_the_closed_member_is_signed_and_listed_anew_without_anybody(realm: Realm):
    police, new = realm.nodes[POLICE], realm.nodes[NEW]
    await a_table(police, CITIZEN)
    async with police.desk() as desk, police.local.pool.connection() as db:
        given = terms(OLD, CITIZEN, "HP-01", mode="rule")
        rule = await make_rule(db, police.local.directory.snapshot(), desk.signer(POLICE), given, now=datetime.now(UTC))
    async with realm.national.pool.connection() as db:
        await register.add_rule(db, rule)
    await realm.spread()
    await called(realm, COUNTER)
    await close(realm)

    async with police.desk() as desk:
        assert await list_rules(desk, police.local) == 1
    await realm.spread()
    async with police.desk() as desk:
        assert await list_rules(desk, police.local) == 0, "once is enough"

    (listed,) = police.local.directory.snapshot().rules
    assert parse_agreement(listed.document).terms.succeeds == sha256_text(rule.document)
    await called(realm, NEW_COUNTER)
    assert new.gateway is not None


async def test_the_national_node_lists_nothing_by_itself_that_says_something_new(realm: Realm):
    police = realm.nodes[POLICE]
    await a_table(police, CITIZEN)
    async with police.desk() as desk, police.local.pool.connection() as db:
        snapshot, now = police.local.directory.snapshot(), datetime.now(UTC)
        rule = await make_rule(db, snapshot, desk.signer(POLICE), terms(OLD, CITIZEN, "HP-01", mode="rule"), now=now)
        sent = {"document": rule.document.decode(), "provider_jws": rule.provider_jws}
        for body, kind in ((sent, SuccessionRefused.kind), ({"document": 1}, RuleUnreadable.kind)):
            message = Message(
                consumer=SystemId(f"{POLICE}/nut"), service=f"{NATIONAL}/nut/{RULES}", target=f"/x1/{RULES}".encode(),
                exchange_id=str(uuid.uuid4()), purpose=None, agreement=None, body=json.dumps(body).encode(),
            )  # fmt: skip
            refused = await desk.link.send(message, MemberId(NATIONAL), deadline_s=60.0, max_body=65536)
            assert json.loads(refused.answer.body)["type"].endswith(f":{kind}")

    await realm.spread()
    assert police.local.directory.snapshot().rules == ()
