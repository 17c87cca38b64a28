"""Do both sides of a use tell the same: all matched, one half gone, the other side away, a half that is forged."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import orjson
import psycopg
import pytest

from lienthong.access.models import record_hash
from lienthong.access.reconcile import queries
from lienthong.access.reconcile.answer import HalvesMalformed, read_leaves
from lienthong.access.reconcile.compare import AGED_OUT, DELAY, Reconciler
from lienthong.access.reconcile.models import Half, Verdict, compare, read_half
from lienthong.access.reconcile.observe import Observed, read_observed, write_observed
from lienthong.errors import Problem
from lienthong.exchange.consume import Wish
from lienthong.exchange.listen import serve_app
from lienthong.exchange.peer import OwnCertificate, PeerTrust
from lienthong.exchange.peerdoor import PeerDoor
from lienthong.exchange.signed import RefusedByProvider
from lienthong.node.certificates import tls_files
from lienthong.node.halves import HalvesDesk, HalvesLink, NationalNodeUnknown, national_node
from tests.use.nodes import COUNTER, POLICE, PROVINCE, PURPOSE, TestNode

pytestmark = pytest.mark.integration
CITIZEN = "VN/GOV/G01/dancu/citizen"
PERSON = "001099012345"
SOON = DELAY + timedelta(seconds=1)


@pytest.fixture
def sides(two_nodes) -> tuple[TestNode, TestNode]:
    """Consumer and provider, each answering questions about halves."""
    for node in two_nodes:
        node.parts.notices.update(HalvesDesk(node.local).handlers())
    return two_nodes


def the_reconciler(node: TestNode, ask=None) -> Reconciler:
    ask = ask or HalvesLink(node.local, node.parts.link).ask
    return Reconciler(node.local.pool, node.local.directory.snapshot, ask)


async def use(consumer: TestNode, times: int = 1) -> None:
    for _ in range(times):
        wish = Wish(
            consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(),
            body=json.dumps({"personal_number": PERSON}).encode(), purpose=PURPOSE,
        )  # fmt: skip
        used = await consumer.consumer.use(wish)
        assert used.answer.status == 200


async def sequence(sides: tuple[TestNode, TestNode]) -> None:
    for node in sides:
        await node.sequence()


async def shares(node: TestNode) -> list[tuple[str, int, int, int, int]]:
    async with node.local.pool.connection() as db:
        return [(s.peer, s.expected, s.matched, s.missing, s.differs) for s in await queries.day_shares(db, 10)]


async def open_of(node: TestNode, member: str) -> list[tuple[str, str, str | None]]:
    async with node.local.pool.connection() as db:
        return [(h.held_by, h.finding, h.reason) for h in await queries.open_halves(db, member, 10)]


def as_owner(node: TestNode, statement: str) -> None:
    """What the owner of the database can do, and the app can not."""
    with psycopg.connect(node.local.dsns.owner, autocommit=True) as db:
        db.execute(statement)


async def test_halves_of_honest_uses_all_match_on_both_sides_and_leave_only_their_count(sides):
    consumer, provider = sides
    await use(consumer, 3)
    await sequence(sides)
    later = datetime.now(UTC) + SOON

    for node in sides:
        assert await the_reconciler(node).step(later) == 3
        assert await the_reconciler(node).step(later) == 0

    assert await shares(consumer) == [(POLICE, 3, 3, 0, 0)]
    assert await shares(provider) == [(PROVINCE, 3, 3, 0, 0)]
    assert await open_of(consumer, PROVINCE) == await open_of(provider, POLICE) == []


async def test_a_use_of_this_moment_is_not_asked_about_before_the_other_side_had_time(sides):
    consumer, _ = sides
    await use(consumer)
    await sequence(sides)

    assert await the_reconciler(consumer).step(datetime.now(UTC)) == 0
    assert await shares(consumer) == []


async def test_a_half_that_the_owner_of_the_database_deleted_is_listed_to_both_sides(sides):
    consumer, provider = sides
    await use(consumer, 2)
    await sequence(sides)
    as_owner(provider, "DELETE FROM entry WHERE idx = 0; DELETE FROM record WHERE seq = 1")
    now = datetime.now(UTC) + SOON

    await the_reconciler(consumer).step(now)

    assert await shares(consumer) == [(POLICE, 2, 1, 0, 0)]
    assert await open_of(consumer, PROVINCE) == [("us", "waiting", "not-in-its-log")]
    assert await open_of(provider, POLICE) == [("them", "missing", "not-in-our-log")]
    # Each sees only its own.
    assert await open_of(consumer, POLICE) == await open_of(provider, PROVINCE) == []

    await the_reconciler(consumer).again(now + AGED_OUT + timedelta(hours=1))
    assert await shares(consumer) == [(POLICE, 2, 1, 1, 0)]
    assert await open_of(consumer, PROVINCE) == [("us", "missing", "not-in-its-log")]


async def test_while_the_other_side_is_away_its_halves_wait_and_match_once_it_is_back(sides):
    consumer, provider = sides
    await use(consumer)
    await sequence(sides)
    now = datetime.now(UTC) + SOON
    port = provider.listener.port
    await provider.listener.stop(1.0)

    await the_reconciler(consumer).step(now)
    assert await open_of(consumer, PROVINCE) == [("us", "waiting", "peer-away")]
    assert await the_reconciler(consumer).again(now) == 0  # not due yet

    file, key, password = tls_files(provider.local.settings, provider.local.keyring)
    listed = provider.local.directory.snapshot().contents.authorities
    provider.listener = await serve_app(
        PeerDoor(provider.provider, 1 << 20), "127.0.0.1", port,
        tls=PeerTrust(OwnCertificate(file, key, password), listed).context,
    )  # fmt: skip
    assert await the_reconciler(consumer).again(now + timedelta(minutes=1)) == 1

    assert await shares(consumer) == [(POLICE, 1, 1, 0, 0)]
    assert await open_of(consumer, PROVINCE) == []


async def test_a_half_that_was_forged_does_not_pass_for_the_one_in_the_log(sides):
    consumer, provider = sides
    await use(consumer, 2)
    await sequence(sides)
    # The provider's owner rewrites what was recorded of the first use; hash and index are made to fit.
    leaf = (await provider.leaves())[0]
    forged = orjson.dumps(leaf | {"rows": 0})
    as_owner(
        provider,
        f"UPDATE record SET leaf = '\\x{forged.hex()}', hash = '\\x{record_hash(forged).hex()}' WHERE seq = 1;"
        f"UPDATE entry SET hash = '\\x{record_hash(forged).hex()}' WHERE seq = 1",
    )

    await the_reconciler(consumer).step(datetime.now(UTC) + SOON)

    assert await shares(consumer) == [(POLICE, 2, 1, 0, 1)]
    assert await open_of(consumer, PROVINCE) == [("us", "differs", "not-proven")]


async def test_halves_that_no_checkpoint_covers_yet_are_waited_for(sides):
    consumer, _ = sides
    await use(consumer)
    await sequence(sides)
    link = HalvesLink(consumer.local, consumer.parts.link)

    async def without_proof(own, peer, leaves):
        return [[type(told)(told.leaf, None) for told in each] for each in await link.ask(own, peer, leaves)]

    await the_reconciler(consumer, without_proof).step(datetime.now(UTC) + SOON)

    assert await open_of(consumer, PROVINCE) == [("us", "waiting", "not-covered")]


async def test_nobody_gets_halves_of_an_exchange_that_is_not_its_own(sides):
    consumer, provider = sides
    await use(consumer)
    leaf = orjson.dumps((await consumer.leaves())[0])
    link = HalvesLink(provider.local, provider.parts.link)

    # The provider asks in its own name with the consumer's record: it is not the provider's.
    with pytest.raises(RefusedByProvider) as refused:
        await link._send(POLICE, PROVINCE, "halves", {"leaves": [leaf.decode()]})

    assert refused.value.body["type"].endswith("halves-malformed")


@pytest.mark.parametrize("leaves", [None, ["{}"], ["no JSON"], [3], ["{}"] * 201, [json.dumps({"side": "consumer"})]])
def test_a_question_without_records_of_its_sender_is_refused(leaves):
    with pytest.raises(HalvesMalformed):
        read_leaves({"leaves": leaves}, PROVINCE, frozenset({POLICE}))


async def test_both_nodes_tell_the_national_node_of_uses_by_rule_and_nothing_is_lost_while_it_is_away(sides):
    consumer, _ = sides
    await use(consumer, 2)
    await sequence(sides)
    (digest,) = {leaf["agreement"]["digest"] for leaf in await consumer.leaves()}
    for node in sides:
        as_owner(
            node,
            "INSERT INTO agreement_document (digest, agreement, version, by_rule, document, provider_jws, stored_at)"
            f" VALUES ('{digest}', 'urn:uuid:1', 1, true, '', '', now())",
        )
    received: list[Half] = []

    async def away(member, halves):
        raise Problem("The national node is away.")

    async def national(member, halves):
        received.extend(read_observed(orjson.loads(orjson.dumps(write_observed(halves))), member))

    with pytest.raises(Problem):
        await Observed(consumer.local.pool, away).step()
    for node in sides:
        assert await Observed(node.local.pool, national).step() == 2
        assert await Observed(node.local.pool, national).step() == 0

    async with consumer.local.pool.connection() as db:
        await queries.observe(db, "nut", received)
        await queries.observe(db, "nut", received)  # told twice: to no effect
        seen = await queries.observed_shares(db, 3)
    assert [(share.own, share.peer, share.expected, share.matched) for share in seen] == [
        (POLICE, PROVINCE, 2, 2),
        (PROVINCE, POLICE, 2, 2),
    ]


async def test_the_national_node_counts_a_half_whose_counterpart_nobody_told(sides):
    consumer, _ = sides
    await use(consumer)
    ours = [read_half(orjson.dumps(leaf)) for leaf in await consumer.leaves()]

    async with consumer.local.pool.connection() as db:
        await queries.observe(db, "nut", ours)
        (share,) = await queries.observed_shares(db, 3)

    assert (share.expected, share.matched, share.share) == (1, 0, 0.0)


@pytest.mark.parametrize("told", [None, [{}], [{"hash": "zz"}], "text"])
def test_what_is_told_of_uses_must_be_read_whole_or_is_refused(told):
    with pytest.raises(HalvesMalformed):
        read_observed({"observed": told}, PROVINCE)


async def test_the_national_node_is_the_one_at_the_directory_s_address(sides):
    consumer, _ = sides
    snapshot = consumer.local.directory.snapshot()

    assert national_node(snapshot, "http://127.0.0.1:8080/directory/current").id in ("nut-h24", "nut-g01")
    with pytest.raises(NationalNodeUnknown):
        national_node(snapshot, "http://127.0.0.1:1/directory/current")


def a_half(**changes) -> Half:
    values = {
        "hash": b"\x01" * 32, "side": "consumer", "exchange_id": "e", "at": datetime(2026, 11, 1, tzinfo=UTC),
        "consumer": COUNTER, "provider": POLICE, "resource": CITIZEN, "way": "call", "outcome": "permitted",
        "reason": None, "agreement_digest": "sha-256:1", "request_signature_digest": "sha-256:2",
        "peer_record": (b"\x02" * 32).hex(),
    }  # fmt: skip
    return Half(**(values | changes))


def their_half(**changes) -> Half:
    return a_half(**({"hash": b"\x02" * 32, "side": "provider", "peer_record": None} | changes))


@pytest.mark.parametrize(
    ("ours", "theirs", "verdict"),
    [
        (a_half(), [their_half()], Verdict("matched")),
        (a_half(), [], Verdict("missing", "not-in-its-log")),
        (a_half(), [their_half(hash=b"\x03" * 32)], Verdict("differs", "another-record")),
        (a_half(), [their_half(agreement_digest="sha-256:9")], Verdict("differs", "other-agreement-digest")),
        (a_half(), [their_half(request_signature_digest="x")], Verdict("differs", "other-request-signature")),
        (their_half(), [a_half()], Verdict("matched")),
        (their_half(), [a_half(peer_record="ff")], Verdict("differs", "another-record")),
        (their_half(), [a_half(peer_record=None, outcome="failed")], Verdict("matched", "answer-lost")),
        (their_half(), [their_half()], Verdict("missing", "not-in-its-log")),
    ],
)
def test_what_two_halves_say_of_each_other(ours: Half, theirs: list[Half], verdict: Verdict):
    assert compare(ours, theirs) == verdict


def test_a_use_that_was_opened_and_closed_pairs_by_either_of_its_records():
    opened = their_half(hash=b"\x05" * 32, reason="opened")

    assert compare(opened, [a_half()], frozenset({(b"\x02" * 32).hex()})) == Verdict("matched")


@pytest.mark.parametrize(
    "alone",
    [
        {"outcome": "refused"},
        {"way": "table"},
        {"peer_record": None, "outcome": "failed"},
        {"side": "provider", "reason": "closed"},
    ],
)
def test_no_counterpart_is_asked_for_where_there_can_be_none(alone: dict[str, object]):
    assert not a_half(**alone).expected
