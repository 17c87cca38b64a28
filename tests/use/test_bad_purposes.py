"""What the agreement or the directory does not allow is refused on both sides, with the reason on record."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from lienthong.access.gate import AgreementEnded, PurposeNotGranted, QuotaUsedUp, Refused, TermsRefuse
from lienthong.directory.models import Purpose
from lienthong.exchange.consume import Wish
from lienthong.trust.keys import generate_es256
from tests.use.conftest import the_agreement
from tests.use.forged import BODY, CITIZEN, a_letter, deliver, tls_as
from tests.use.nodes import COUNTER, POLICE, PROVINCE, PURPOSE, TestNode, a_directory, publish

pytestmark = pytest.mark.integration

Nodes = tuple[TestNode, TestNode]


def a_wish(**changes: Any) -> Wish:
    base = Wish(
        consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY, purpose=PURPOSE
    )
    return replace(base, **changes)


def agree(nodes: Nodes, **changes: Any) -> None:
    """Both sides hold this agreement and no other."""
    for node in nodes:
        node.agreements[:] = [the_agreement(**changes)]


async def check_refused_here(nodes: Nodes, kind: type[Refused], wish: Wish) -> dict[str, Any]:
    """Our own node refuses and records ``wish``; nothing reaches the provider."""
    consumer, provider = nodes
    before = len(await provider.leaves())
    with pytest.raises(kind) as refused:
        await consumer.consumer.use(wish)
    assert refused.value.side == "caller"
    assert refused.value.mend
    last = (await consumer.leaves())[-1]
    assert (last["outcome"], last["reason"]) == ("refused", kind.kind)
    assert len(await provider.leaves()) == before
    return refused.value.as_dict()


async def check_refused_there(nodes: Nodes, kind: type[Refused], **fields: str) -> None:
    """The provider refuses a message that another node let pass, signs that, and records it."""
    consumer, provider = nodes
    answer = await deliver(a_letter(consumer, provider, **fields), tls_as(consumer), provider.listener.port)
    assert (answer.kind, answer.status) == (kind.kind, kind.status)
    assert "signature" in answer.fields
    last = (await provider.leaves())[-1]
    assert (last["outcome"], last["reason"]) == ("refused", kind.kind)
    assert last["body_digest"]


async def check_works(nodes: Nodes) -> None:
    agree(nodes)
    used = await nodes[0].consumer.use(a_wish())
    assert json.loads(used.answer.body)["rows"]


async def test_the_purpose_of_another_member_is_refused(two_nodes: Nodes, tmp_path) -> None:
    """It is registered and the agreement names it, but it is not the consumer's task."""
    locals_ = [node.local for node in two_nodes]
    contents = a_directory(locals_, datetime.now(UTC))
    theirs = Purpose("CA-01", POLICE, "Cấp căn cước", "Identity cards", "Luật Căn cước", date(2025, 1, 1), None)
    over = Purpose("HP-00", PROVINCE, "Việc cũ", "Old task", "NĐ 1/2020", date(2020, 1, 1), date(2025, 1, 1))
    publish(locals_, replace(contents, purposes=(*contents.purposes, theirs, over)), tmp_path, generate_es256(), 2)

    for code in ("CA-01", "HP-00", "HP-77"):
        agree(two_nodes, purposes=(code,))
        told = await check_refused_here(two_nodes, PurposeNotGranted, a_wish(purpose=code))
        assert told["purpose"] == code
        await check_refused_there(two_nodes, PurposeNotGranted, lienthong_purpose=code)

    await check_works(two_nodes)


async def test_a_purpose_outside_the_agreement_is_refused_on_both_sides(two_nodes: Nodes) -> None:
    for code in ("HP-99", "x" * 300):
        await check_refused_here(two_nodes, PurposeNotGranted, a_wish(purpose=code))
        await check_refused_there(two_nodes, PurposeNotGranted, lienthong_purpose=code)

    await check_works(two_nodes)


async def test_an_agreement_that_has_ended_is_refused(two_nodes: Nodes) -> None:
    now = datetime.now(UTC)
    for changes in ({"ended_at": now - timedelta(seconds=1)}, {"ends": datetime(2026, 2, 1, tzinfo=UTC)}):
        agree(two_nodes, **changes)
        told = await check_refused_here(two_nodes, AgreementEnded, a_wish())
        assert told["type"] == "urn:lienthong:problem:agreement-ended"
        await check_refused_there(two_nodes, AgreementEnded)

    await check_works(two_nodes)


async def test_the_end_takes_effect_between_two_uses(two_nodes: Nodes) -> None:
    assert (await two_nodes[0].consumer.use(a_wish())).answer.status == 200
    two_nodes[1].agreements[:] = [the_agreement(ended_at=datetime.now(UTC))]

    used = await two_nodes[0].consumer.use(a_wish())

    assert json.loads(used.answer.body)["type"] == "urn:lienthong:problem:agreement-ended"
    assert [leaf["outcome"] for leaf in await two_nodes[1].leaves()] == ["permitted", "refused"]
    await check_works(two_nodes)


async def test_a_way_that_is_not_granted_is_refused(two_nodes: Nodes) -> None:
    agree(two_nodes, ways=("query",))

    told = await check_refused_here(two_nodes, TermsRefuse, a_wish())
    assert told["way"] == "call"
    await check_refused_there(two_nodes, TermsRefuse)

    await check_works(two_nodes)


async def test_a_used_up_quota_is_refused_and_the_refusal_is_on_record(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    agree(two_nodes, quota=2)
    for _ in range(2):
        assert (await consumer.consumer.use(a_wish())).answer.status == 200

    told = await check_refused_here(two_nodes, QuotaUsedUp, a_wish())
    await check_refused_there(two_nodes, QuotaUsedUp)

    assert told["status"] == 429
    assert [leaf["reason"] for leaf in await provider.leaves()] == [None, None, "quota-used-up"]
    await check_works(two_nodes)


async def test_another_system_than_the_agreements_is_refused(two_nodes: Nodes) -> None:
    """Agreed with the province; the police's own system reads its own data without one, and nobody else does."""
    for node in two_nodes:
        node.agreements.clear()

    answer = await deliver(a_letter(*two_nodes), tls_as(two_nodes[0]), two_nodes[1].listener.port)

    assert (answer.kind, answer.status) == ("no-agreement", 403)
    await check_works(two_nodes)
