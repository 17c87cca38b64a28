"""Messages get lost: what had no answer is sent again until both sides stand at the same end."""

from __future__ import annotations

from typing import Any

import pytest

from lienthong.agreements import queries
from lienthong.agreements.answer import Refusal, approve_request, refuse_request
from lienthong.agreements.ask import request_agreement, withdraw_request
from lienthong.agreements.ending import end_agreement
from lienthong.agreements.negotiate import receive_answer, unanswered
from lienthong.agreements.payloads import NegotiationMessage
from tests.agreements.build import NOON, POLICE, PROVINCE, some_terms
from tests.agreements.country import TwoNodes

pytestmark = pytest.mark.integration


async def asked(nodes: TwoNodes) -> Any:
    return await request_agreement(nodes.consumer, nodes.country.snapshot(), some_terms(), note="x", now=NOON)


async def approve(nodes: TwoNodes) -> Any:
    (request,) = await queries.negotiations_in(nodes.provider, "provider", ("REQUESTED",))
    country = nodes.country
    return await approve_request(nodes.provider, country.snapshot(), country.signer(POLICE), request.pid, now=NOON)


async def deliver_all(nodes: TwoNodes) -> int:
    """Carry whatever has no answer yet, from both sides, with all that follows; how many messages went out."""
    carried = 0
    for db, carry in ((nodes.consumer, nodes.to_provider), (nodes.provider, nodes.to_consumer)):
        for sent in await unanswered(db):
            following: Any = sent
            while following is not None:
                carried += 1
                answer = await carry(following.payload, sender=following.sender)
                following = await receive_answer(db, nodes.country.snapshot(), following, answer, now=NOON)
    return carried


async def states(nodes: TwoNodes) -> set[str]:
    found: set[str] = set()
    for db, side in ((nodes.consumer, "consumer"), (nodes.provider, "provider")):
        every: Any = ("REQUESTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED")
        found |= {each.state for each in await queries.negotiations_in(db, side, every)}  # type: ignore[arg-type]
    return found


async def test_a_lost_request(nodes: TwoNodes) -> None:
    await asked(nodes)

    assert await deliver_all(nodes) == 1
    assert await deliver_all(nodes) == 0

    assert len(await queries.negotiations_in(nodes.provider, "provider", ("REQUESTED",))) == 1


async def test_a_lost_acknowledgement(nodes: TwoNodes) -> None:
    await nodes.to_provider((await asked(nodes)).payload)

    await deliver_all(nodes)

    assert await unanswered(nodes.consumer) == []
    assert len(await queries.negotiations_in(nodes.provider, "provider", ("REQUESTED",))) == 1


@pytest.mark.parametrize("lost_after", ["approval", "verification", "final word", "acknowledgement of it"])
async def test_a_message_lost_on_the_way_to_an_agreement(nodes: TwoNodes, lost_after: str) -> None:
    await nodes.ask()
    agreement = await approve(nodes)
    if lost_after != "approval":
        verification = await nodes.to_consumer(agreement.payload)
        if lost_after != "verification":
            final = await nodes.to_provider(verification)
            if lost_after == "acknowledgement of it":
                await nodes.to_consumer(final)

    await deliver_all(nodes)

    assert await deliver_all(nodes) == 0
    assert await states(nodes) == {"FINALIZED"}
    assert await queries.current_agreements(nodes.consumer) == await queries.current_agreements(nodes.provider)


async def test_a_lost_refusal(nodes: TwoNodes) -> None:
    _, pid = await nodes.ask()
    await refuse_request(nodes.provider, pid, Refusal("vì", "Điều 17"), now=NOON)

    assert await deliver_all(nodes) == 1

    assert await deliver_all(nodes) == 0
    assert await states(nodes) == {"TERMINATED"}


async def test_a_lost_withdrawal(nodes: TwoNodes) -> None:
    sent, _ = await nodes.ask()
    await withdraw_request(nodes.consumer, str(sent.payload["consumerPid"]), reason="x", now=NOON)

    assert await deliver_all(nodes) == 1

    assert await deliver_all(nodes) == 0
    assert await states(nodes) == {"TERMINATED"}


@pytest.mark.parametrize("by", [POLICE, PROVINCE])
async def test_a_lost_notice(nodes: TwoNodes, by: str) -> None:
    await nodes.ask()
    await nodes.carry(await approve(nodes))
    await deliver_all(nodes)
    db = nodes.provider if by == POLICE else nodes.consumer
    (current,) = await queries.current_agreements(db)
    await end_agreement(db, nodes.country.signer(by), current.id, reason="x", provision="y", ends_at=NOON, now=NOON)

    assert await deliver_all(nodes) == 1

    assert await deliver_all(nodes) == 0
    for each in (nodes.consumer, nodes.provider):
        assert [found.ended_at for found in await queries.current_agreements(each)] == [NOON]


async def test_an_answer_that_does_not_fit_is_refused(nodes: TwoNodes) -> None:
    sent = await asked(nodes)

    with pytest.raises(NegotiationMessage):
        await receive_answer(
            nodes.consumer, nodes.country.snapshot(), sent, {"@type": "ContractNegotiationEventMessage"}, now=NOON
        )
