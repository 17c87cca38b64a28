"""A log's checkpoints are cosigned by the others' witnesses, and who is missing is left out and asked again later."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from lienthong.access.receipt import ReceiptMaker
from lienthong.access.witness.ask import Asking
from lienthong.access.witness.policy import Policy
from lienthong.storage.server import PostgresServer
from lienthong.trust.cosign import cosignature_times
from lienthong.trust.proof import parse_proof
from lienthong.trust.seal import Seal
from tests.access.test_log import ORIGIN, a_record
from tests.access.witnesses import AskingLog, RunningWitness, a_witness
from tests.use.databases import databases


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[AskingLog, list[RunningWitness]]]:
    """A log and three witnesses, each with its own database; two of them are wanted."""
    async with AsyncExitStack() as stack:
        own, *others = stack.enter_context(databases(pg_server, 4))
        log = AskingLog(own, tmp_path)
        stack.push_async_callback(log.close)
        keys = {ORIGIN: log.verifier}
        witnesses = [await a_witness(dsns, f"nut-{n}", keys.get) for n, dsns in enumerate(others)]
        for witness in witnesses:
            stack.push_async_callback(witness.close)
        log.policy = Policy(2, tuple(witness.site for witness in witnesses))
        yield log, witnesses


def cosigners(log: AskingLog, note: bytes) -> int:
    return len(cosignature_times(note, [site.key for site in log.policy.witnesses]))


async def test_each_new_checkpoint_is_cosigned_by_every_witness_and_published_so(country):
    log, _ = country
    for size in (3, 8, 300):
        await log.grow(size - log.written)

        assert await log.ask() == 3
        assert cosigners(log, log.published()) == 3
        assert log.files.opened(log.published()).size == size
    assert await log.ask() == 0


async def test_readers_keep_the_last_cosigned_checkpoint_until_the_next_is_cosigned(country):
    log, _ = country
    await log.grow(3)
    await log.ask()
    await log.grow(2)

    assert log.files.opened(log.published()).size == 3
    await log.ask()
    assert log.files.opened(log.published()).size == 5


async def test_a_missing_witness_hinders_nobody_and_is_asked_again_after_a_pause(country):
    log, witnesses = country
    await witnesses[2].silence()
    await log.grow(3)

    assert await log.ask() == 2
    assert cosigners(log, log.published()) == 2
    await witnesses[2].listen()
    log.now += 0.5
    assert await log.ask() == 0
    log.now += 1.0
    assert await log.ask() == 1
    assert cosigners(log, log.published()) == 3


async def test_with_too_few_witnesses_the_newest_checkpoint_is_published_and_receipts_count_who_cosigned(country):
    log, witnesses = country
    for witness in witnesses[1:]:
        await witness.silence()
    named = await log.writer.append(a_record(99))
    await log.grow(2)
    await log.ask()

    maker = ReceiptMaker("nut-thu", log.files, Seal(bytes(32)), synthetic=False, policy=lambda: log.policy)
    async with await AsyncConnection.connect(log.dsns.app) as db:
        receipt = await maker.receipt(db, named.hex())

    assert receipt["witnesses"] == {
        "threshold": 2,
        "witnesses": [str(site.key) for site in log.policy.witnesses],
        "cosigned": [witnesses[0].witness.name],
    }
    assert cosigners(log, parse_proof(str(receipt["proof"])).checkpoint) == 1
    assert log.files.opened(log.published()).size == 3


async def test_a_receipt_takes_the_newest_checkpoint_that_enough_cosigned(country):
    log, _ = country
    named = await log.writer.append(a_record(99))
    await log.grow(2)
    await log.ask()
    await log.grow(1)

    maker = ReceiptMaker("nut-thu", log.files, Seal(bytes(32)), synthetic=False, policy=lambda: log.policy)
    async with await AsyncConnection.connect(log.dsns.app) as db:
        receipt = await maker.receipt(db, named.hex())

    checkpoint = parse_proof(str(receipt["proof"])).checkpoint
    assert log.files.opened(checkpoint).size == 3
    assert cosigners(log, checkpoint) == 3


async def test_a_witness_known_from_before_is_asked_from_its_own_size(country):
    log, _ = country
    await log.grow(3)
    await log.ask()
    log.asking = Asking(log.files, lambda: log.policy, log.post, clock=lambda: 0.0)  # as after a restart
    await log.grow(4)

    assert await log.ask() == 3
    assert cosigners(log, log.published()) == 3


async def test_an_answer_that_is_no_cosignature_of_that_witness_counts_for_nothing(country):
    log, witnesses = country
    sound = log.post

    async def lying(url: str, body: bytes) -> tuple[int, bytes]:
        status, answer = await sound(url, body)
        return (status, answer.replace(b"A", b"B")) if url.startswith(witnesses[0].site.url) else (status, answer)

    log.asking._post = lying
    await log.grow(3)

    assert await log.ask() == 2
    assert cosigners(log, log.published()) == 2


async def test_a_witness_that_never_answers_is_given_up_in_bounded_time(country, monkeypatch):
    log, witnesses = country
    monkeypatch.setattr("lienthong.access.witness.ask.PATIENCE_S", 0.2)
    sound, never = log.post, asyncio.Event()

    async def silent(url: str, body: bytes) -> tuple[int, bytes]:
        if url.startswith(witnesses[1].site.url):
            await never.wait()
        return await sound(url, body)

    log.asking._post = silent
    await log.grow(3)

    assert await log.ask() == 2


async def test_a_witness_with_a_larger_head_than_the_log_is_to_be_looked_at(country):
    log, witnesses = country
    await log.grow(3)
    await log.ask()
    async with witnesses[0].pool.connection() as db:
        await db.execute("UPDATE witness_seen SET size = 10")
    await log.grow(1)

    assert await log.ask() == 2
    assert log.asking.contradicted == {witnesses[0].witness.name}
