"""A record that was acknowledged gets a place in the log, and its receipt proves it."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import AsyncConnection
from psycopg.pq import TransactionStatus

from lienthong.access import queries
from lienthong.access.log import LogFiles
from lienthong.access.models import Record, record_hash, write_record
from lienthong.access.receipt import NoSuchRecord, ReceiptMaker
from lienthong.access.seen import MaybeReplayed, Replayed, SeenMessages
from lienthong.access.sequence import LogShortened, Sequencer, SequencerReplaced
from lienthong.access.write import COLUMNS, RecordWriter
from lienthong.storage.copy import GroupCommit
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.merkle import root_of
from lienthong.trust.note import open_checkpoint, parse_verifier_key
from lienthong.trust.proof import parse_proof, verify_proof
from lienthong.trust.seal import Seal

LATER = {"created": 2_000_000_000, "expires": 2_000_000_060}
ORIGIN = "vn.lienthong/nut-thu"


def a_record(n: int) -> Record:
    return Record(
        side="provider",
        exchange_id=f"exchange-{n}",
        at=datetime(2026, 11, 22, 8, 0, tzinfo=UTC),
        node="nut-thu",
        consumer="VN/GOV/H24/motcua",
        provider="VN/GOV/G01",
        resource="VN/GOV/G01/dancu/citizen",
        way="call",
        purpose="HP-01",
        ground="law:test",
        agreement=None,
        decision_digest=None,
        outcome="permitted",
        rows=1,
        bytes=10,
    )


class Log:
    """A node's log over one database, as its processes see it."""

    def __init__(self, dsns: DatabaseDsns, folder: Path) -> None:
        self.key = generate_ed25519()
        self.files = LogFiles(folder, ORIGIN, self.key.public_key())
        self.seal = Seal(bytes(32))
        self.dsns = dsns
        self.commit = GroupCommit(dsns.log, "record", COLUMNS)
        self.writer = RecordWriter(self.commit, self.seal)
        self.sequencer = Sequencer(self.files, self.key)
        self.receipts = ReceiptMaker("nut-thu", self.files, self.seal, synthetic=False)

    async def sequence(self) -> int:
        async with await AsyncConnection.connect(self.dsns.app) as db:
            assert await queries.take_sequencer_lock(db)
            await db.commit()
            return await self.sequencer.step(db)


@pytest.fixture
async def log(database: DatabaseDsns, tmp_path: Path):
    log = Log(database, tmp_path / "log")
    yield log
    await log.commit.close()


async def test_every_acknowledged_record_gets_a_place_and_a_proof(log: Log):
    hashes = await asyncio.gather(*(log.writer.append(a_record(n), {"n": n}) for n in range(300)))

    assert await log.sequence() == 300

    key = parse_verifier_key(log.files.verifier_key)
    async with await AsyncConnection.connect(log.dsns.app) as db:
        for named in hashes[::37]:
            receipt = await log.receipts.receipt(db, named.hex())
            checkpoint = verify_proof(parse_proof(str(receipt["proof"])), named, ORIGIN, key)
            assert checkpoint.size == 300
            assert record_hash(str(receipt["record"]).encode()) == named


async def test_the_published_root_is_the_root_over_all_leaves_in_log_order(log: Log):
    for start in (0, 100, 355):
        await asyncio.gather(*(log.writer.append(a_record(start + n)) for n in range(255)))
        await log.sequence()

    async with await AsyncConnection.connect(log.dsns.app) as db:
        cursor = await db.execute("SELECT r.leaf FROM entry e JOIN record r USING (seq) ORDER BY e.idx")
        leaves = [bytes(row[0]) for row in await cursor.fetchall()]
    note = log.files.store.get("checkpoint")
    assert note is not None
    checkpoint = open_checkpoint(note, ORIGIN, log.key.public_key(), ORIGIN)
    assert checkpoint.size == len(leaves) == 765
    assert checkpoint.root == root_of([record_hash(leaf) for leaf in leaves])


async def test_a_record_without_a_place_has_a_receipt_without_a_proof(log: Log):
    named = await log.writer.append(a_record(1), {"messages": None})

    async with await AsyncConnection.connect(log.dsns.app) as db:
        receipt = await log.receipts.receipt(db, named.hex())

    assert receipt["proof"] is None
    assert receipt["record_hash"] == named.hex()


@pytest.mark.parametrize("named", ["", "zz", "00" * 32, "ab" * 31])
async def test_an_unknown_hash_has_no_receipt(log: Log, named: str):
    async with await AsyncConnection.connect(log.dsns.app) as db:
        with pytest.raises(NoSuchRecord):
            await log.receipts.receipt(db, named)


async def test_a_database_older_than_the_published_checkpoint_signs_nothing(log: Log, tmp_path: Path):
    await log.writer.append(a_record(1))
    await log.sequence()
    async with await AsyncConnection.connect(log.dsns.owner) as db:
        await db.execute("TRUNCATE record, entry, checkpoint")
        await db.execute("UPDATE sequenced SET tx = '0', seq = 0, size = 0")
    published = log.files.store.get("checkpoint")
    await log.writer.append(a_record(2))

    with pytest.raises(LogShortened):
        await log.sequence()

    assert log.files.store.get("checkpoint") == published


async def test_the_log_role_can_only_add_records(log: Log):
    await log.writer.append(a_record(1))
    async with await AsyncConnection.connect(log.dsns.log) as db:
        for statement in ("DELETE FROM record", "UPDATE record SET leaf = ''", "TRUNCATE record"):
            with pytest.raises(Exception, match="permission denied"):
                await db.execute(statement)
            await db.rollback()


async def test_only_one_sequencer_runs(log: Log):
    async with (
        await AsyncConnection.connect(log.dsns.app) as first,
        await AsyncConnection.connect(log.dsns.app) as second,
    ):
        assert await queries.take_sequencer_lock(first)
        assert not await queries.take_sequencer_lock(second)


async def test_a_nonce_is_taken_once_by_whichever_gateway_asks(database: DatabaseDsns):
    gateways = [SeenMessages(database.app), SeenMessages(database.app)]
    for gateway in gateways:
        await gateway.start()
    try:
        await gateways[0].take("key", "nonce-1", **LATER)
        await gateways[1].take("key", "nonce-2", **LATER)
        for gateway in gateways:
            with pytest.raises(Replayed):
                await gateway.take("key", "nonce-1", **LATER)
        await gateways[0].take("another key", "nonce-1", **LATER)
        twice = await asyncio.gather(
            *(gateways[0].take("key", "nonce-3", **LATER) for _ in range(2)), return_exceptions=True
        )
        assert [type(result) for result in twice].count(Replayed) == 1
    finally:
        for gateway in gateways:
            await gateway.stop()


async def test_after_a_crash_of_the_database_older_messages_are_refused(database: DatabaseDsns):
    async with await AsyncConnection.connect(database.owner) as db:
        await db.execute("TRUNCATE nonce")  # what crash recovery does to an UNLOGGED table
    gateway = SeenMessages(database.app)
    await gateway.start()
    try:
        with pytest.raises(MaybeReplayed):
            await gateway.take("key", "nonce-1", created=int(time.time()), expires=int(time.time()) + 60)
        await gateway.take("key", "nonce-2", **LATER)
    finally:
        await gateway.stop()


def test_a_record_keeps_the_key_order_of_format_1_and_stays_small():
    leaf = write_record(a_record(1))

    assert list(json.loads(leaf)) == [
        "v", "side", "exchange_id", "at", "node", "consumer", "provider", "resource", "way", "purpose", "ground",
        "agreement", "decision_digest", "outcome", "reason", "target_commitment", "request_signature_digest",
        "response_signature_digest", "body_digest", "bytes", "rows", "subjects", "peer_record",
    ]  # fmt: skip
    assert len(leaf) < 1024


async def test_the_look_that_finds_nothing_to_do_sees_all_that_a_step_would_do(log: Log):
    async with await AsyncConnection.connect(log.dsns.app) as db:
        sequencer = replace(log.sequencer, epoch=await queries.raise_epoch(db))
        await db.commit()
        assert await sequencer.rests(db)
        assert db.info.transaction_status == TransactionStatus.IDLE

        await log.writer.append(a_record(1))
        assert not await sequencer.rests(db)
        assert await sequencer.step(db) == 1
        assert await sequencer.rests(db)

        later = replace(sequencer, clock=lambda: datetime(2999, 1, 1, tzinfo=UTC))
        assert not await later.rests(db), "the half-year has ended"

        await queries.set_recovery(db, "shortened", "{}")
        await db.commit()
        assert not await sequencer.rests(db), "recovery"
        await queries.clear_recovery(db)
        await queries.raise_epoch(db)
        await db.commit()
        assert not await sequencer.rests(db), "another sequencer took over"
        with pytest.raises(SequencerReplaced):
            await sequencer.step(db)


async def test_a_look_does_not_see_a_record_whose_transaction_or_an_older_one_still_runs(log: Log):
    async with await AsyncConnection.connect(log.dsns.app) as db, await AsyncConnection.connect(log.dsns.app) as older:
        await older.execute("SELECT pg_current_xact_id()")
        await log.writer.append(a_record(1))
        assert await log.sequencer.rests(db)
        await older.rollback()
        async with asyncio.timeout(60):
            while await log.sequencer.rests(db):  # noqa: ASYNC110 - a transaction that ends tells nobody
                await asyncio.sleep(0.02)
