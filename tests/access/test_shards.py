"""A log is a chain of half-year shards: who has one end of it can check the whole, and what is closed stays closed."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from lienthong import verify
from lienthong.access import queries
from lienthong.access.log import LogFiles
from lienthong.access.mirror import MirrorRefused, mirror
from lienthong.access.queries import kept_notes, placed_records
from lienthong.access.recovery import contradiction, examine
from lienthong.access.shards import final_checkpoint, half_year, next_shard, shard_key, write_link
from lienthong.storage.objects import ObjectStore
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.merkle import leaf_hash
from lienthong.trust.note import (
    Checkpoint,
    NoteRefused,
    VerifierKey,
    open_checkpoint,
    parse_verifier_key,
    sign_checkpoint,
)
from lienthong.trust.proof import parse_proof, verify_proof
from lienthong.trust.tiles import tiles_for
from tests.access.test_log import ORIGIN, Log, a_record

NEXT = datetime(2077, 1, 1, tzinfo=UTC)
"""The first moment of a half-year that comes after the one in which the test's database was made."""
NAME = f"{ORIGIN}/2077h1"


@pytest.fixture
async def log(database: DatabaseDsns, tmp_path: Path):
    log = Log(database, tmp_path / "log")
    yield log
    await log.commit.close()


async def put(log: Log, *numbers: int) -> list[bytes]:
    """Records with a place in the log."""
    named = [await log.writer.append(a_record(n)) for n in numbers]
    while not await log.sequence():
        pass
    return named


async def two_shards(log: Log) -> list[bytes]:
    """Three records before the half-year ended, two after."""
    named = await put(log, 0, 1, 2)
    log.sequencer = replace(log.sequencer, clock=lambda: NEXT)
    return named + await put(log, 3, 4)


async def receipt_of(log: Log, named: bytes) -> dict[str, object]:
    async with await AsyncConnection.connect(log.dsns.app) as db:
        return await log.receipts.receipt(db, named.hex())


def test_a_half_year_ends_at_midnight_in_viet_nam():
    assert half_year(datetime(2026, 6, 30, 16, 59, 59, tzinfo=UTC)) == "2026h1"
    assert half_year(datetime(2026, 6, 30, 17, tzinfo=UTC)) == "2026h2"
    assert half_year(datetime.fromisoformat("2026-12-31T23:59:59+07:00")) == "2026h2"
    assert half_year(datetime.fromisoformat("2027-01-01T00:00:00+07:00")) == "2027h1"


async def test_at_the_half_year_the_shard_is_frozen_and_its_root_opens_the_next(log: Log):
    await two_shards(log)
    frozen, open_ = log.files.published(), log.files.shard("2077h1").published()
    assert frozen is not None
    assert open_ is not None
    assert (frozen.size, next_shard(frozen)) == (3, NAME)
    assert (open_.origin, open_.size, next_shard(open_)) == (NAME, 3, None)
    link = json.loads((log.files.shard("2077h1").store.get("tile/entries/000.p/3") or b"")[2:].split(b"}")[0] + b"}")
    assert link == {"link": 1, "shard": NAME, "previous": ORIGIN, "size": 3, "root": frozen.root.hex()}


async def test_a_half_year_without_records_freezes_the_shard_too_and_an_empty_log_has_nothing_to_freeze(log: Log):
    log.sequencer = replace(log.sequencer, clock=lambda: NEXT)
    assert await log.sequence() == 0
    async with await AsyncConnection.connect(log.dsns.app) as db:
        assert [(shard.name, shard.half) for shard in await queries.shards(db)] == [("", "2077h1")]
    await put(log, 0)
    log.sequencer = replace(log.sequencer, clock=lambda: NEXT.replace(month=7))
    assert await log.sequence() == 0
    later = log.files.shard("2077h2").published()
    assert later is not None
    assert later.size == 1


async def test_receipts_of_both_shards_hold_by_the_one_key_that_the_directory_knows(log: Log):
    named = await two_shards(log)
    key = parse_verifier_key(log.files.verifier_key)
    for hash_, origin in [(named[0], ORIGIN), (named[2], ORIGIN), (named[3], NAME), (named[4], NAME)]:
        receipt = await receipt_of(log, hash_)
        of_shard = shard_key(key, origin)
        assert of_shard is not None
        assert receipt["log"] == {"origin": origin, "key": str(of_shard)}
        assert verify_proof(parse_proof(str(receipt["proof"])), hash_, origin, of_shard).origin == origin
        report = verify.verify_receipt(receipt, log_key=log.files.verifier_key)
        assert {check.name: check.ok for check in report.checks}["log-key"] is True
        assert report.ok


async def test_a_receipt_that_names_another_logs_shard_is_refused(log: Log):
    named = await two_shards(log)
    other = VerifierKey("vn.lienthong/nut-khac", log.key.public_key())
    report = verify.verify_receipt(await receipt_of(log, named[3]), log_key=str(other))
    assert {check.name: check.ok for check in report.checks}["log-key"] is False


async def test_the_separate_verifier_checks_all_shards_and_every_row(log: Log, tmp_path: Path):
    await two_shards(log)
    heads = [note.decode() for note in kept_notes(log.dsns.app)]
    report = verify.verify_log(
        str(tmp_path / "log"), key=log.files.verifier_key, heads=heads, rows=placed_records(log.dsns.app)
    )
    assert report.ok, verify.render(report)
    states = {check.name: check.ok for check in report.checks}
    assert states["shards"] is states["heads"] is states["database"] is True
    assert report.facts["scan"].size == 5


async def test_the_separate_verifier_sees_a_shard_that_follows_another_history(log: Log, tmp_path: Path):
    await two_shards(log)
    frozen = log.files.published()
    assert frozen is not None
    # The owner signs another shard to follow the first, whose first entry names another root.
    forged = log.files.shard("2077h2")
    link = write_link(forged.origin, replace(frozen, root=bytes(32)))
    for path, content in tiles_for(0, [link], forged.store.get).items():
        forged.store.put(path, content)
    opening = Checkpoint(forged.origin, 1, leaf_hash(link))
    forged.store.put("checkpoint", sign_checkpoint(opening, log.key, forged.origin))
    other = final_checkpoint(frozen, forged.origin)
    log.files.store.put("checkpoint", sign_checkpoint(other, log.key, ORIGIN))
    report = verify.verify_log(str(tmp_path / "log"), key=log.files.verifier_key)
    assert {check.name: check.ok for check in report.checks}["shards"] is False


async def test_a_copy_follows_the_shards_and_refuses_one_that_goes_on_after_its_end(log: Log, tmp_path: Path):
    await two_shards(log)
    copy = ObjectStore(tmp_path / "copy")
    done = mirror(log.files.store.get, copy, log.files.verifier_key)
    assert (done.origin, done.size) == (ORIGIN, 6)
    assert verify.verify_log(str(tmp_path / "copy"), key=log.files.verifier_key).ok
    frozen = log.files.published()
    assert frozen is not None
    log.files.store.put("checkpoint", sign_checkpoint(replace(frozen, extensions=()), log.key, ORIGIN))
    with pytest.raises(MirrorRefused):
        mirror(log.files.store.get, copy)


async def test_a_node_put_back_before_the_half_year_ended_signs_nothing(log: Log):
    await two_shards(log)
    final = log.files.store.get("checkpoint") or b""
    newest = log.files.shard("2077h1").store.get("checkpoint") or b""
    async with await AsyncConnection.connect(log.dsns.app) as db:
        assert await examine(db, log.files, [("witness", final), ("witness", newest)]) is None
        before = (await queries.shards(db))[:1]
    before = (replace(before[0], end=None),)
    for note in (final, newest):
        found = contradiction(log.files, before, 3, "witness", note)
        assert found is not None
        assert found.cause == "shortened"
    async with await AsyncConnection.connect(log.dsns.app) as db:
        assert contradiction(log.files, await queries.shards(db), 7, "witness", final) is None


async def test_a_crash_after_the_files_of_the_new_shard_were_written_is_repaired_by_doing_it_again(
    log: Log, monkeypatch: pytest.MonkeyPatch
):
    await put(log, 0)
    log.sequencer = replace(log.sequencer, clock=lambda: NEXT)

    async def cut_off(*_: object) -> None:
        raise ConnectionError

    with monkeypatch.context() as cut:
        cut.setattr(queries, "open_shard", cut_off)
        with pytest.raises(ConnectionError):
            await log.sequence()
    assert log.files.published_size() == 1
    await put(log, 1)
    assert log.files.shard("2077h1").published_size() == 2


def test_a_checkpoint_of_another_logs_shard_is_no_checkpoint_of_this_one(tmp_path: Path):
    key = generate_ed25519()
    files = LogFiles(tmp_path, ORIGIN, key.public_key())
    for origin in ("vn.lienthong/khac/2077h1", f"{ORIGIN}/2077h3", f"{ORIGIN}/witness"):
        note = sign_checkpoint(Checkpoint(origin, 1, bytes(32)), key, origin)
        assert open_checkpoint(note, origin, key.public_key(), origin).size == 1
        with pytest.raises(NoteRefused):
            files.opened(note)
