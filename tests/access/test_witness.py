"""A witness cosigns only what continues the head it knows, and never forgets that head."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from starlette.applications import Starlette

from lienthong.access.witness import queries
from lienthong.access.witness.cosign import Witness
from lienthong.access.witness.http import witness_routes
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import serve_app
from lienthong.storage.pool import Pool, open_pool
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.cosign import Submission, cosignature_times, cosigned, parse_cosigner_key, write_submission
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import Checkpoint, open_checkpoint, sign_checkpoint
from lienthong.web import install
from tests.access.growing import ORIGIN, GrowingLog
from tests.access.witnesses import database  # noqa: F401 - a fixture

NAME = "vn.lienthong/nut-chung/witness"
NOW = 1_795_000_000


@pytest.fixture
async def pool(database: DatabaseDsns) -> AsyncIterator[Pool]:  # noqa: F811 - the fixture
    pool = await open_pool(database.app, max_size=4)
    yield pool
    await pool.close()


@pytest.fixture
def log() -> GrowingLog:
    return GrowingLog(generate_ed25519())


@pytest.fixture
def witness(pool: Pool, log: GrowingLog) -> Witness:
    return Witness(pool, generate_ed25519(), NAME, {ORIGIN: log.verifier}.get, lambda: NOW)


async def test_a_log_that_grows_is_cosigned_again_and_again(witness: Witness, log: GrowingLog):
    for old, size in ((0, 5), (5, 8), (8, 8), (8, 300)):
        reply = await witness.add_checkpoint(log.submission(old, size))

        assert reply.status == 200
        note = cosigned(log.note(size), [reply.body])
        assert cosignature_times(note, [parse_cosigner_key(witness.verifier_key)]) == {NAME: NOW}
        assert open_checkpoint(note, ORIGIN, log.key.public_key(), ORIGIN).size == size


async def test_a_log_that_does_not_know_the_witnesss_state_is_told_it(witness: Witness, log: GrowingLog):
    await witness.add_checkpoint(log.submission(0, 5))

    for old in (0, 4):
        reply = await witness.add_checkpoint(log.submission(old, 9))
        assert (reply.status, reply.body, reply.media_type) == (409, "5\n", "text/x.tlog.size")


async def test_an_unknown_log_is_not_cosigned(witness: Witness, log: GrowingLog):
    note = log.note(3, "vn.lienthong/nobody")

    assert (await witness.add_checkpoint(write_submission(Submission(0, (), note)))).status == 404


async def test_a_checkpoint_signed_by_another_key_is_not_cosigned(witness: Witness):
    foreign = GrowingLog(generate_ed25519())

    assert (await witness.add_checkpoint(foreign.submission(0, 3))).status == 403


async def test_a_malformed_request_is_refused(witness: Witness, log: GrowingLog):
    for body in (b"", b"old 1\n", b"old 0\n\nno note", b"old x\n\n" + log.note(1), log.submission(9, 3)):
        assert (await witness.add_checkpoint(body)).status == 400


async def test_a_shorter_log_is_refused(witness: Witness, log: GrowingLog):
    await witness.add_checkpoint(log.submission(0, 8))

    reply = await witness.add_checkpoint(log.submission(5, 5))

    assert (reply.status, reply.body) == (409, "8\n")


async def test_a_proof_that_does_not_hold_is_refused_and_the_state_stays(witness: Witness, log: GrowingLog):
    await witness.add_checkpoint(log.submission(0, 8))
    forked = log.fork(3, "other")
    forked.grow(20)

    assert (await witness.add_checkpoint(forked.submission(8, 20))).status == 422
    assert (await witness.add_checkpoint(log.submission(8, 20))).status == 200


async def test_a_first_head_of_an_empty_log_must_be_that_of_nothing(witness: Witness, log: GrowingLog):
    lying = sign_checkpoint(Checkpoint(ORIGIN, 0, bytes(32)), log.key, ORIGIN)

    assert (await witness.add_checkpoint(write_submission(Submission(0, (), lying)))).status == 422
    assert (await witness.add_checkpoint(log.submission(0, 0))).status == 200


async def test_another_head_of_the_same_size_is_refused_and_kept_as_evidence(
    witness: Witness, pool: Pool, log: GrowingLog
):
    await witness.add_checkpoint(log.submission(0, 8))
    forked = log.fork(3, "other")

    for old in (8, 0):
        reply = await witness.add_checkpoint(forked.submission(old, 8))
        assert (reply.status, reply.body) == (409, "8\n")

    async with pool.connection() as db:
        kept = await queries.all_evidence(db)
    assert [one.origin for one in kept] == [ORIGIN]


async def test_of_two_requests_at_once_one_is_cosigned_and_the_other_told_the_new_size(
    witness: Witness, log: GrowingLog
):
    await witness.add_checkpoint(log.submission(0, 8))

    replies = await asyncio.gather(
        *(witness.add_checkpoint(log.submission(8, size)) for size in (9, 10, 11, 12, 13, 14))
    )

    assert sorted(reply.status for reply in replies) == [200, 409, 409, 409, 409, 409]
    cosigned_size = next(size for size, reply in zip(range(9, 15), replies, strict=True) if reply.status == 200)
    assert {reply.body for reply in replies if reply.status == 409} == {f"{cosigned_size}\n"}


async def test_the_head_is_durable_before_the_cosignature_leaves(witness: Witness, pool: Pool, log: GrowingLog):
    reply = await witness.add_checkpoint(log.submission(0, 8))

    async with pool.connection() as db:
        kept = await queries.seen_head(db, ORIGIN)
    assert kept is not None
    assert kept.size == 8
    assert reply.body.encode() in bytes(kept.note)


async def test_over_http_a_witness_answers_as_the_specification_says(witness: Witness, pool: Pool, log: GrowingLog):
    app = Starlette(routes=witness_routes(pool, witness))
    install(app)
    listener = await serve_app(app, "127.0.0.1", 0, limits=RequestLimits(max_body=1024 * 1024))
    base = f"http://127.0.0.1:{listener.port}/witness"
    try:
        async with aiohttp.ClientSession() as session:
            async with session.post(f"{base}/add-checkpoint", data=log.submission(0, 5)) as answer:
                assert answer.status == 200
                assert (await answer.text()).startswith(f"— {NAME} ")
            async with session.post(f"{base}/add-checkpoint", data=log.submission(0, 6)) as answer:
                assert (answer.status, await answer.text()) == (409, "5\n")
                assert answer.headers["Content-Type"] == "text/x.tlog.size"
            async with session.post(f"{base}/add-checkpoint", data=bytes(70_000)) as answer:
                assert answer.status == 413
            async with session.get(f"{base}/heads") as answer:
                told = await answer.json()
            async with session.get(f"{base}/forks") as answer:
                assert await answer.json() == {"forks": []}
    finally:
        await listener.stop(1.0)
    key = parse_cosigner_key(told["witness"])
    assert [one["origin"] for one in told["heads"]] == [ORIGIN]
    assert cosignature_times(told["heads"][0]["note"].encode(), [key]) == {NAME: NOW}
