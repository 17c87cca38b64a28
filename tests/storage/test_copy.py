"""Group commit: what was acknowledged is in the table, whatever dies; what was not is told to its caller."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import cast

import psycopg
import pytest

from lienthong.storage import copy
from lienthong.storage.copy import GroupCommit, NoRecord
from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer

pytestmark = pytest.mark.integration
COLUMNS = ("hash", "leaf", "detail")
Writer = Callable[[str], GroupCommit]


def row(number: int) -> tuple[bytes, bytes, None]:
    return (number.to_bytes(4), b"leaf", None)


def stored(dsn: str) -> set[int]:
    """Numbers of the rows in the table."""
    with psycopg.connect(dsn) as connection:
        return {int.from_bytes(cast(bytes, found[0])) for found in connection.execute("SELECT hash FROM record")}


@pytest.fixture
async def writer() -> AsyncIterator[Writer]:
    """Makes group commits to the table ``record`` and closes them."""
    made: list[GroupCommit] = []

    def make(dsn: str) -> GroupCommit:
        made.append(GroupCommit(dsn, "record", COLUMNS))
        return made[-1]

    yield make
    for commit in made:
        await commit.close()


@pytest.fixture
def own_database(server: PostgresServer) -> DatabaseDsns:
    """A database on a server that this test may kill."""
    return prepare_database(server.dsn(), "node")


async def test_every_acknowledged_row_is_in_the_table(database, writer):
    commit = writer(database.log)

    await asyncio.gather(*(commit.append(row(number)) for number in range(3000)))

    assert stored(database.app) == set(range(3000))


async def test_a_row_is_visible_to_others_the_moment_it_is_acknowledged(database, writer):
    commit = writer(database.log)

    for number in range(5):
        await commit.append(row(number))
        assert number in stored(database.app)


async def test_callers_at_the_same_time_share_commits(database, writer):
    commit = writer(database.log)

    await asyncio.gather(*(commit.append(row(number)) for number in range(500)))

    with psycopg.connect(database.app) as connection:
        assert connection.execute("SELECT count(DISTINCT tx) FROM record").fetchone() < (50,)


async def test_a_batch_is_never_larger_than_its_limit(database, writer, monkeypatch):
    monkeypatch.setattr(copy, "LARGEST_BATCH", 10)
    commit = writer(database.log)

    await asyncio.gather(*(commit.append(row(number)) for number in range(95)))

    with psycopg.connect(database.app) as connection:
        largest = connection.execute("SELECT max(n) FROM (SELECT count(*) n FROM record GROUP BY tx) b").fetchone()
    assert largest == (10,)
    assert stored(database.app) == set(range(95))


async def test_a_row_the_database_refuses_is_told_and_the_next_is_taken(database, writer):
    commit = writer(database.log)

    with pytest.raises(NoRecord) as refused:
        await commit.append((None, b"leaf", None))
    await commit.append(row(1))

    assert (refused.value.kind, refused.value.status, refused.value.side) == ("no-record", 503, "node")
    assert refused.value.facts["retry_after_s"]
    assert stored(database.app) == {1}


async def test_a_row_of_the_wrong_shape_does_not_end_the_writer(database, writer):
    commit = writer(database.log)

    for wrong in ((b"too", b"short"), ("text", b"leaf", None), None):
        with pytest.raises(NoRecord):
            await commit.append(wrong)
    await commit.append(row(1))

    assert stored(database.app) == {1}


async def test_the_whole_batch_of_a_refused_row_fails(database, writer):
    commit = writer(database.log)

    answers = await asyncio.gather(
        commit.append(row(1)), commit.append((None, b"leaf", None)), commit.append(row(2)), return_exceptions=True
    )

    assert [type(answer) for answer in answers] == [NoRecord] * 3
    assert stored(database.app) == set()


async def test_without_a_database_callers_are_told_and_with_it_again_they_are_served(server, own_database, writer):
    commit = writer(own_database.log)
    await commit.append(row(1))

    server.stop()
    for _ in range(2):
        with pytest.raises(NoRecord):
            await commit.append(row(2))
    server.start()
    await commit.append(row(3))

    assert stored(own_database.app) == {1, 3}


@pytest.mark.faults
async def test_no_acknowledged_row_is_lost_when_the_database_is_killed_under_load(server, own_database, writer):
    commit = writer(own_database.log)
    acknowledged: set[int] = set()
    enough, refused = asyncio.Event(), asyncio.Event()

    async def caller(start: int) -> None:
        for number in range(start, 1_000_000, 16):
            try:
                await commit.append(row(number))
            except NoRecord:
                refused.set()
                return
            acknowledged.add(number)
            if len(acknowledged) == 500:
                enough.set()

    async def killer() -> None:
        await enough.wait()
        os.kill(cast(int, server.pid), signal.SIGKILL)

    await asyncio.gather(killer(), *(caller(start) for start in range(16)))
    await asyncio.to_thread(server.start)

    assert refused.is_set()
    assert acknowledged - stored(own_database.app) == set()
    await commit.append(row(1_000_001))  # and the same writer goes on


async def test_a_caller_that_gives_up_disturbs_nobody(database, writer):
    commit = writer(database.log)
    async with blocked(database):
        impatient = asyncio.ensure_future(commit.append(row(1)))
        patient = asyncio.ensure_future(commit.append(row(2)))
        await asyncio.sleep(0)
        impatient.cancel()
    await patient

    assert impatient.cancelled()
    assert stored(database.app) == {1, 2}


async def test_rows_beyond_the_queue_are_refused_at_once(database, writer, monkeypatch):
    monkeypatch.setattr(copy, "WAITING_LIMIT", 3)
    commit = writer(database.log)
    async with blocked(database) as until_waiting:
        first = asyncio.ensure_future(commit.append(row(0)))
        await until_waiting()
        waiting = [asyncio.ensure_future(commit.append(row(number))) for number in (1, 2, 3)]
        await asyncio.sleep(0)

        with pytest.raises(NoRecord) as refused:
            await commit.append(row(4))
    await asyncio.gather(first, *waiting)

    assert refused.value.facts["cause"] == "overloaded"
    assert stored(database.app) == {0, 1, 2, 3}


async def test_closing_writes_what_waits_and_refuses_what_comes(database, writer):
    commit = writer(database.log)
    waiting = asyncio.gather(*(commit.append(row(number)) for number in range(100)))
    await asyncio.sleep(0)

    await commit.close()
    await waiting

    assert stored(database.app) == set(range(100))
    with pytest.raises(NoRecord):
        await commit.append(row(101))


async def test_a_role_that_does_not_wait_for_the_disk_is_refused(pg_server, database, writer):
    with psycopg.connect(pg_server.dsn(), autocommit=True) as connection:
        role = database.log.split("//")[1].split(":")[0]
        connection.execute(f"ALTER ROLE {role} SET synchronous_commit = off")
    commit = writer(database.log)

    with pytest.raises(NoRecord) as refused:
        await commit.append(row(1))

    assert refused.value.facts["cause"] == "UnsafeDatabase"
    assert stored(database.app) == set()


class blocked:  # noqa: N801 - reads as a word: ``async with blocked(database)``
    """Nobody can write to the table inside the block.  Gives a callable that returns once a writer waits there."""

    def __init__(self, database: DatabaseDsns) -> None:
        self._owner = database.owner

    async def __aenter__(self) -> Callable[[], Awaitable[None]]:
        self._connection = await psycopg.AsyncConnection.connect(self._owner)
        await self._connection.execute("LOCK TABLE record IN ACCESS EXCLUSIVE MODE")
        return self._until_waiting

    async def __aexit__(self, *_: object) -> None:
        await self._connection.close()

    async def _until_waiting(self) -> None:
        question = "SELECT count(*) FROM pg_locks WHERE NOT granted AND relation = 'record'::regclass"
        while await (await self._connection.execute(question)).fetchone() == (0,):
            pass  # each question is a pause
