"""Ending an agreement by a signed notice, at both nodes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from lienthong.agreements import payloads, queries
from lienthong.agreements import vocabulary as v
from lienthong.agreements.answer import RefusalIncomplete, approve_request
from lienthong.agreements.document import canonical
from lienthong.agreements.ending import ENDS_AT, NoticeBackdated, end_agreement
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.keeping import AgreementUnknown
from lienthong.agreements.parties import NotAParty
from lienthong.agreements.policy import decide_among
from lienthong.agreements.signing import AgreementAltered, WrongSigner
from tests.agreements.build import CITIZEN, COUNTER, NOON, POLICE, PROVINCE, a_request, some_terms
from tests.agreements.country import OTHER, Db, TwoNodes, over_the_wire

pytestmark = pytest.mark.integration
HOUR = timedelta(hours=1)
SIGNATURE = v.LT + "signature"


async def agreed(nodes: TwoNodes) -> str:
    _, pid = await nodes.ask()
    country = nodes.country
    await nodes.carry(await approve_request(nodes.provider, country.snapshot(), country.signer(POLICE), pid, now=NOON))
    (current,) = await queries.current_agreements(nodes.provider)
    return current.id


async def notice(nodes: TwoNodes, agreement: str, by: str = POLICE, **options: Any) -> Any:
    db = nodes.provider if by == POLICE else nodes.consumer
    defaults = {"reason": "Dùng sai mục đích", "provision": "Điều 17", "ends_at": NOON, "now": NOON}
    return await end_agreement(db, nodes.country.signer(by), agreement, **defaults | options)


async def permitted(db: Db, at: datetime) -> bool:
    index = AgreementIndex()
    await index.reload(db)
    return decide_among(index.find(COUNTER, [CITIZEN]), a_request(at=at)).permit


async def test_a_notice_ends_the_agreement_at_both_nodes_at_its_moment(nodes: TwoNodes) -> None:
    agreement = await agreed(nodes)

    sent = await notice(nodes, agreement, ends_at=NOON + HOUR)
    await nodes.to_consumer(sent.payload)
    await nodes.to_consumer(sent.payload)

    for db in (nodes.provider, nodes.consumer):
        assert await permitted(db, NOON)
        assert not await permitted(db, NOON + HOUR)
        cursor = await db.execute("SELECT count(*) FROM agreement_notice")
        assert await cursor.fetchone() == (1,)


async def test_the_consumer_may_end_it_too_without_naming_a_law(nodes: TwoNodes) -> None:
    agreement = await agreed(nodes)

    sent = await notice(nodes, agreement, by=PROVINCE, reason="Không cần nữa", provision=None)
    await nodes.to_provider(sent.payload)

    assert not await permitted(nodes.provider, NOON)
    assert not await permitted(nodes.consumer, NOON)


async def test_the_earliest_notice_wins(nodes: TwoNodes) -> None:
    agreement = await agreed(nodes)

    await notice(nodes, agreement, ends_at=NOON + HOUR)
    await notice(nodes, agreement, ends_at=NOON + 2 * HOUR)

    assert not await permitted(nodes.provider, NOON + HOUR)


async def test_a_provider_s_notice_names_the_provision(nodes: TwoNodes) -> None:
    """R-36 holds for ending as for refusing."""
    agreement = await agreed(nodes)

    with pytest.raises(RefusalIncomplete):
        await notice(nodes, agreement, provision=None)
    for blank in ({"provision": " "}, {"reason": ""}):
        with pytest.raises(payloads.NegotiationMessage):
            await notice(nodes, agreement, **blank)


async def test_a_notice_can_not_act_in_the_past(nodes: TwoNodes) -> None:
    with pytest.raises(NoticeBackdated):
        await notice(nodes, await agreed(nodes), ends_at=NOON - HOUR)


async def test_only_a_party_can_end_it(nodes: TwoNodes) -> None:
    agreement = await agreed(nodes)

    with pytest.raises(NotAParty):
        await end_agreement(
            nodes.provider, nodes.country.signer(OTHER), agreement, reason="x", provision="y", ends_at=NOON, now=NOON
        )
    with pytest.raises(AgreementUnknown):
        await notice(nodes, "urn:uuid:00000000-0000-4000-8000-000000000000")


async def test_a_notice_is_taken_only_from_its_signer_and_unaltered(nodes: TwoNodes) -> None:
    sent = await notice(nodes, await agreed(nodes), ends_at=NOON + HOUR)
    altered = over_the_wire(sent.payload)
    altered["notice"][ENDS_AT] = "2026-07-01T05:30:00Z"
    foreign = over_the_wire(sent.payload)
    foreign[SIGNATURE] = nodes.country.signer(OTHER).sign(canonical(foreign["notice"]))
    early = over_the_wire(sent.payload)
    early["notice"]["timestamp"] = "2026-07-01T05:30:00Z"
    early[SIGNATURE] = nodes.country.signer(POLICE).sign(canonical(early["notice"]))

    with pytest.raises(AgreementAltered):
        await nodes.to_consumer(altered)
    with pytest.raises(WrongSigner):
        await nodes.to_consumer(foreign)
    with pytest.raises(WrongSigner):
        await nodes.to_consumer(early)
    with pytest.raises(NotAParty):
        await nodes.to_consumer(sent.payload, sender=OTHER)

    assert await permitted(nodes.consumer, NOON + HOUR)


async def test_a_notice_on_an_old_version_does_not_end_the_new_one(nodes: TwoNodes) -> None:
    agreement = await agreed(nodes)
    old = await notice(nodes, agreement)
    await nodes.provider.execute("SAVEPOINT before")
    _, pid = await nodes.ask(some_terms(quota=3), replaces=agreement)
    country = nodes.country
    await nodes.carry(await approve_request(nodes.provider, country.snapshot(), country.signer(POLICE), pid, now=NOON))

    with pytest.raises(AgreementUnknown):
        await nodes.to_consumer(old.payload)

    assert await permitted(nodes.consumer, NOON)
    assert await permitted(nodes.provider, NOON), "both sides signed anew after the notice"
