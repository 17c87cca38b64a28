"""The index in memory and the tables behind it: found, kept current, rebuilt."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from lienthong.agreements import queries
from lienthong.agreements.answer import approve_request
from lienthong.agreements.document import canonical, sha256_text
from lienthong.agreements.ending import end_agreement
from lienthong.agreements.index import AgreementIndex, keep_current
from lienthong.agreements.keeping import keep_agreement, reindex
from lienthong.agreements.policy import decide_among
from lienthong.agreements.rules import accept_rule, follow_rules, make_rule
from lienthong.storage.provision import DatabaseDsns
from tests.agreements.build import (
    CITIZEN,
    CITIZEN_DATASET,
    COUNTER,
    NOON,
    POLICE,
    PROVINCE,
    a_request,
    an_agreement,
    some_terms,
)
from tests.agreements.country import Country, Db, TwoNodes

pytestmark = pytest.mark.integration
SECOND = "urn:uuid:00000000-0000-4000-8000-000000000002"
THIRD = "urn:uuid:00000000-0000-4000-8000-000000000003"


async def keep(db: Db, *agreements: Any) -> None:
    for agreement in agreements:
        await keep_agreement(db, agreement, provider_jws="p", consumer_jws="c", now=NOON)


async def loaded(db: Db) -> AgreementIndex:
    index = AgreementIndex()
    await index.reload(db)
    return index


async def test_found_by_consumer_and_by_service_or_dataset(db: Db) -> None:
    service, dataset = an_agreement(), an_agreement(SECOND, target=CITIZEN_DATASET, purposes=("HP-02",))
    await keep(db, service, dataset, an_agreement(THIRD, consumer="VN/GOV/H31"))
    index = await loaded(db)

    both = index.find(COUNTER, [CITIZEN, CITIZEN_DATASET])

    assert {each.id for each in both} == {service.id, dataset.id}
    assert [each.id for each in index.find(COUNTER, [CITIZEN])] == [service.id]
    assert [each.id for each in index.find(COUNTER, [CITIZEN, CITIZEN_DATASET], "HP-02")] == [dataset.id]
    assert index.find(COUNTER, ["VN/GOV/G01/dancu/other"]) == []
    found = index.get(dataset.id)
    assert found is not None
    assert found.digest == dataset.digest
    assert len(index.all()) == 3


async def test_a_reload_keeps_what_did_not_change(db: Db) -> None:
    await keep(db, an_agreement())
    index = await loaded(db)
    (before,) = index.all()
    await keep(db, an_agreement(SECOND))

    await index.reload(db)

    assert index.get(before.id) is before
    assert len(index.all()) == 2


async def test_a_document_nobody_understands_denies_by_name_and_disturbs_no_other(db: Db) -> None:
    """A node that was set back to an older release may hold terms it does not know."""
    agreement = an_agreement()
    await keep(db, agreement, an_agreement(SECOND, target=CITIZEN_DATASET))
    newer = canonical({"urn:x:fee": "1"})
    await db.execute(
        "UPDATE agreement_document SET document = %s, provider_jws = 'x' WHERE digest = %s", (newer, agreement.digest)
    )
    index = await loaded(db)

    decision = decide_among(index.find(COUNTER, [CITIZEN]), a_request())
    other = decide_among(index.find(COUNTER, [CITIZEN_DATASET]), a_request(target=CITIZEN_DATASET))

    assert (decision.permit, decision.reason, decision.facts) == (False, "term-unknown", {"term": "urn:x:fee"})
    assert other.permit
    assert await reindex(db) == 2
    assert len(await queries.current_agreements(db)) == 2


async def test_the_index_tables_are_rebuilt_from_the_documents(db: Db, other_db: Db) -> None:
    nodes = TwoNodes(Country(), consumer=other_db, provider=db)
    country = nodes.country
    for terms, replaces in (
        (some_terms(), None),
        (some_terms(target=CITIZEN_DATASET, purposes=("HP-01", "HP-02")), None),
    ):
        _, pid = await nodes.ask(terms, replaces=replaces)
        await nodes.carry(await approve_request(db, country.snapshot(), country.signer(POLICE), pid, now=NOON))
    first = next(each for each in await queries.current_agreements(db) if each.target == CITIZEN)
    _, pid = await nodes.ask(some_terms(quota=3), replaces=first.id)
    await nodes.carry(await approve_request(db, country.snapshot(), country.signer(POLICE), pid, now=NOON))
    await end_agreement(
        db, country.signer(POLICE), first.id, reason="x", provision="y", ends_at=NOON + timedelta(hours=1), now=NOON
    )
    terms = some_terms(mode="rule", consumer="VN/GOV", purposes=("CHUNG",), ends=None)
    rule = await make_rule(db, country.snapshot(), country.signer(POLICE), terms, now=NOON)
    await follow_rules(db, country.snapshot((rule,)), [POLICE], now=NOON)
    await accept_rule(db, sha256_text(rule.document), PROVINCE, exchange_id="e", at=NOON)
    await follow_rules(db, country.snapshot(), [POLICE], now=NOON)
    expected = await tables(db)
    assert len(expected[0]) == 3

    await db.execute("DELETE FROM agreement")
    await db.execute(
        """
        INSERT INTO agreement VALUES ('urn:uuid:invented', 1, 'sha-256:00', 'request', 'a', 'b', 'c', now(), null, null)
        """
    )
    count = await reindex(db)

    assert count == 3
    assert await tables(db) == expected


async def tables(db: Db) -> tuple[list[Any], list[Any]]:
    agreements = await (await db.execute("SELECT * FROM agreement ORDER BY id")).fetchall()
    targets = await (await db.execute("SELECT * FROM agreement_target ORDER BY agreement, purpose")).fetchall()
    return agreements, targets


@pytest.fixture
async def committed(database: DatabaseDsns) -> AsyncIterator[tuple[Db, Db]]:
    """A listener's connection (autocommit) and a writer's, in a database of their own."""
    listener = await AsyncConnection.connect(database.app, autocommit=True)
    writer = await AsyncConnection.connect(database.app)
    yield listener, writer
    await listener.close()
    await writer.close()


class Watched(AgreementIndex):
    """An index that says when it has reloaded."""

    def __init__(self) -> None:
        super().__init__()
        self.reloaded = asyncio.Event()

    async def reload(self, db: Db) -> None:
        await super().reload(db)
        self.reloaded.set()

    async def until(self, holds: Any) -> None:
        async with asyncio.timeout(5):
            while not holds():
                self.reloaded.clear()
                await self.reloaded.wait()


async def test_an_end_is_seen_by_another_process_when_it_commits(committed: tuple[Db, Db]) -> None:
    """The re-read behind it waits an hour here: only the notification can bring the change within the five seconds."""
    listener, writer = committed
    country = Country()
    index = Watched()
    task = asyncio.create_task(keep_current(listener, index, quiet_s=3600))
    agreement = an_agreement()

    def permit() -> bool:
        return decide_among(index.find(COUNTER, [CITIZEN]), a_request()).permit

    try:
        await index.until(lambda: True)
        await keep(writer, agreement)
        assert not permit(), "nothing counts before the commit"
        await writer.commit()
        await index.until(permit)
        await end_agreement(
            writer, country.signer(POLICE), agreement.id, reason="x", provision="y", ends_at=NOON, now=NOON
        )
        await writer.commit()
        await index.until(lambda: not permit())
    finally:
        task.cancel()
    assert [each.reason for each in [decide_among(index.find(COUNTER, [CITIZEN]), a_request())]] == ["ended"]


async def test_a_missed_notification_is_made_good_by_the_re_read(committed: tuple[Db, Db]) -> None:
    listener, writer = committed
    index = Watched()
    task = asyncio.create_task(keep_current(listener, index, quiet_s=0.05))
    try:
        await index.until(lambda: True)
        await listener.execute("UNLISTEN *")
        await keep(writer, an_agreement())
        await writer.commit()
        await index.until(lambda: len(index.all()) == 1)
    finally:
        task.cancel()
