"""A log that was put back, cut short or rewritten signs nothing until an outside checkpoint shows where it stands."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.log import LogFiles
from lienthong.access.recovery import (
    Contradiction,
    NotRecovered,
    Recovery,
    RecoveryWatch,
    enter_recovery,
    examine,
    lift_recovery,
    recovery_state,
)
from lienthong.access.sequence import Sequencer, SequencerReplaced
from lienthong.access.write import RecordWriter
from lienthong.storage.objects import ObjectStore
from lienthong.storage.provision import DatabaseDsns
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import Checkpoint, NoteRefused, sign_checkpoint
from lienthong.trust.seal import Seal
from tests.access.growing import GrowingLog
from tests.access.test_log import ORIGIN, a_record
from tests.access.witnesses import AskingLog, database  # noqa: F401 - a fixture

EMPTY = "DELETE FROM {table} WHERE {column} >= %s"


@pytest.fixture
async def log(database: DatabaseDsns, tmp_path: Path) -> AsyncIterator[AskingLog]:  # noqa: F811 - the fixture
    log = AskingLog(database, tmp_path)
    yield log
    await log.close()


async def put_back(log: AskingLog, size: int) -> None:
    """What restoring a backup of when the log had ``size`` records does to the database."""
    async with await AsyncConnection.connect(log.dsns.owner) as db:
        await db.execute("DELETE FROM record WHERE seq IN (SELECT seq FROM entry WHERE idx >= %s)", (size,))
        await db.execute("DELETE FROM entry WHERE idx >= %s", (size,))
        await db.execute("DELETE FROM checkpoint WHERE size > %s", (size,))
        await db.execute(
            """
            UPDATE sequenced SET size = %(size)s,
                (tx, seq) = (SELECT r.tx, r.seq FROM record r JOIN entry e USING (seq) WHERE idx = %(size)s - 1)
            """,
            {"size": size},
        )


async def examined(log: AskingLog, *heads: tuple[str, bytes]) -> Contradiction | None:
    async with await AsyncConnection.connect(log.dsns.app) as db:
        return await examine(db, log.files, heads)


async def test_a_log_in_good_order_contradicts_nothing(log: AskingLog):
    assert await examined(log) is None
    await log.grow(3)
    first = log.published()
    await log.grow(300)

    assert await examined(log, ("witness", first), ("witness", log.published())) is None


async def test_a_database_put_back_alone_is_found_by_the_files(log: AskingLog):
    await log.grow(3)
    await log.grow(2)
    await put_back(log, 3)

    assert await examined(log) == Contradiction("shortened", "published", 5, 3)


async def test_a_database_put_back_with_the_logs_folder_is_found_by_what_was_signed_last(
    log: AskingLog, tmp_path: Path
):
    await log.grow(3)
    shutil.copytree(tmp_path / "log", tmp_path / "backup")
    await log.grow(2)
    await put_back(log, 3)
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "backup").rename(tmp_path / "log")

    assert await examined(log) == Contradiction("shortened", "kept", 5, 3)


async def test_a_whole_node_put_back_is_found_by_a_witnesss_head(log: AskingLog, tmp_path: Path):
    await log.grow(3)
    shutil.copytree(tmp_path / "log", tmp_path / "backup")
    kept = (tmp_path / "signed-checkpoint").read_bytes()
    await log.grow(2)
    head = log.published()
    await put_back(log, 3)
    shutil.rmtree(tmp_path / "log")
    (tmp_path / "backup").rename(tmp_path / "log")
    (tmp_path / "signed-checkpoint").write_bytes(kept)

    assert await examined(log) is None
    assert await examined(log, ("nut-chung", head)) == Contradiction("shortened", "nut-chung", 5, 3)


async def test_another_history_of_the_same_length_is_found(log: AskingLog):
    await log.grow(3)
    forged = sign_checkpoint(Checkpoint(ORIGIN, 2, bytes(32)), log.key, ORIGIN)

    assert await examined(log, ("nut-chung", forged)) == Contradiction("forked", "nut-chung", 2, 3)


async def test_a_head_somebody_else_signed_stops_nobody(log: AskingLog):
    await log.grow(3)

    assert await examined(log, ("nut-chung", GrowingLog(generate_ed25519()).note(9)), ("liar", b"nothing")) is None


async def test_missing_files_are_found(log: AskingLog, tmp_path: Path):
    await log.grow(3)
    shutil.rmtree(tmp_path / "log" / "tile")

    found = await examined(log)
    assert found is not None
    assert found.cause == "files"


async def test_in_recovery_nothing_is_signed_and_a_sequencer_that_was_at_work_stops_too(log: AskingLog):
    await log.grow(3)
    async with await AsyncConnection.connect(log.dsns.app) as db:
        await enter_recovery(db, Contradiction("shortened", "nut-chung", 9, 3))
    await log.grow(2)

    assert log.files.opened(log.published()).size == 3
    assert await log.newest() == 3


async def test_recovery_is_lifted_only_by_an_outside_checkpoint_that_the_log_bears_out(log: AskingLog):
    await log.grow(3)
    small = log.published()
    await log.grow(2)
    large = log.published()
    found = Contradiction("shortened", "nut-chung", 5, 3)
    stranger = GrowingLog(generate_ed25519()).note(9)
    ahead = sign_checkpoint(Checkpoint(ORIGIN, 9, bytes(32)), log.key, ORIGIN)
    async with await AsyncConnection.connect(log.dsns.app) as db:
        await enter_recovery(db, found)
        with pytest.raises(NoteRefused):
            await lift_recovery(db, log.files, stranger)
        for outside in (small, ahead):
            with pytest.raises(NotRecovered):
                await lift_recovery(db, log.files, outside)
        with pytest.raises(NotRecovered):
            await lift_recovery(db, log.files, large, [("nut-chung", ahead)])
        state = await recovery_state(db)
        assert state is not None
        assert (state.cause, state.source, state.size, state.own_size) == ("shortened", "nut-chung", 5, 3)

        assert await lift_recovery(db, log.files, large) == 5
        assert await recovery_state(db) is None
    await log.grow(1)
    assert await log.newest() == 6


async def test_the_first_cause_of_a_recovery_is_the_one_that_is_told(log: AskingLog):
    async with await AsyncConnection.connect(log.dsns.app) as db:
        await enter_recovery(db, Contradiction("shortened", "nut-chung", 5, 3))
        await enter_recovery(db, Contradiction("forked", "published", 2, 3))
        state = await recovery_state(db)
    assert state is not None
    assert state.cause == "shortened"


async def test_a_gateway_hears_of_recovery_and_of_its_end_and_records_nothing_between(log: AskingLog):
    await log.grow(3)
    watch = RecoveryWatch(log.dsns.app)
    await watch.start()
    writer = RecordWriter(log.commit, Seal(bytes(32)), refuse=watch.refuse)
    try:
        await writer.append(a_record(50))
        async with await AsyncConnection.connect(log.dsns.app) as db:
            await enter_recovery(db, Contradiction("shortened", "nut-chung", 9, 3))
        async with asyncio.timeout(5):
            await watch.changed.wait()
        with pytest.raises(Recovery) as refused:
            await writer.append(a_record(51))
        assert refused.value.facts["retry_after_s"] == 300
        watch.changed.clear()
        async with await AsyncConnection.connect(log.dsns.app) as db:
            await queries.clear_recovery(db)
        async with asyncio.timeout(5):
            await watch.changed.wait()
        await writer.append(a_record(52))
    finally:
        await watch.stop()


async def test_of_two_sequencers_on_one_database_only_the_later_signs(log: AskingLog, tmp_path: Path):
    """The first lost its lock with its connection and does not know it yet."""
    async with (
        await AsyncConnection.connect(log.dsns.app) as first,
        await AsyncConnection.connect(log.dsns.app) as second,
    ):
        epochs: list[int] = []
        for db in (first, second):
            epochs.append(await queries.raise_epoch(db))
            await db.commit()
        other = LogFiles(tmp_path / "log", ORIGIN, log.key.public_key(), ObjectStore(tmp_path))
        old, new = (
            replace(Sequencer(files, log.key), epoch=epoch)
            for files, epoch in zip((log.files, other), epochs, strict=True)
        )
        await log.writer.append(a_record(1))

        with pytest.raises(SequencerReplaced):
            await old.step(first)
        assert log.files.store.get("checkpoint") is None
        assert await new.step(second) == 1
        with pytest.raises(SequencerReplaced):
            await old.step(first)
    assert await log.newest() == 1


async def test_two_sequencers_at_once_never_place_a_record_twice(log: AskingLog):
    """Both hold what they believe is the lock; the row of the head lets one after the other through."""
    for n in range(40):
        await log.writer.append(a_record(n))
    async with (
        await AsyncConnection.connect(log.dsns.app) as first,
        await AsyncConnection.connect(log.dsns.app) as second,
    ):
        epoch = await queries.raise_epoch(first)
        await first.commit()
        one = replace(log.sequencer, epoch=epoch)
        placed = await asyncio.gather(one.step(first), one.step(second))

    assert sorted(placed) == [0, 40]
    assert await log.newest() == 40
