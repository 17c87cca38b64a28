"""Work on other people's SQL and files happens in processes that can do nothing else, and never for long."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pyarrow as pa
import pytest

from lienthong.errors import Problem
from lienthong.tables.limits import InputBroken, JobFailed, Limits, OutOfMemory, OutOfTime, SandboxBusy, TooManyRows
from lienthong.tables.sandbox import OPERATIONS, Keeper, Sandbox
from lienthong.tables.zygote import MAX_CHILDREN
from tests.tables.conftest import FROM_TESTS

SMALL = Limits(memory_mb=256, wall_s=120.0, cpu_s=60)
"""Memory is what ends these jobs, however slow the machine is."""


def table_of(body: bytes) -> pa.Table:
    return pa.ipc.open_stream(body).read_all()


async def ask(sandbox: Sandbox, sql: str, limits: Limits = SMALL) -> pa.Table:
    return table_of((await sandbox.run("merge", {"sql": sql}, limits=limits)).body)


async def test_sql_over_streamed_inputs_answers_with_one_arrow_stream(sandbox: Sandbox) -> None:
    left, right = pa.table({"k": [1, 2, 3], "a": ["x", "y", "z"]}), pa.table({"k": [2, 3, 4], "b": [20, 30, 40]})

    outcome = await sandbox.run(
        "merge",
        {"sql": 'SELECT a, b FROM "left" JOIN "right" USING (k) ORDER BY a'},
        inputs={"left": stream_of(left), "right": stream_of(right)},
    )

    assert table_of(outcome.body).to_pylist() == [{"a": "y", "b": 20}, {"a": "z", "b": 30}]
    assert outcome.rows == 2


async def test_a_locked_job_reaches_no_file_network_or_process(sandbox: Sandbox, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("kept")
    outside.chmod(0o666)

    outcome = await sandbox.run("escape", {"file": str(outside)})

    result = dict(outcome.result)
    assert result.pop("uid") != 0
    assert set(result.values()) == {"PermissionError"}, result
    assert outside.read_text() == "kept"


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT * FROM read_csv('/etc/passwd')",
        "SELECT * FROM read_text('/etc/passwd')",
        "SELECT * FROM '/etc/passwd'",
        "SELECT * FROM glob('/etc/*')",
        "COPY (SELECT 1) TO '/tmp/lienthong-escaped.csv'",
        "ATTACH '/tmp/lienthong-escaped.db'",
        "INSTALL httpfs",
        "LOAD httpfs",
        "SET enable_external_access = true",
        "SET lock_configuration = false",
        "SET temp_directory = '/tmp'",
        "PRAGMA database_list; EXPORT DATABASE '/tmp/lienthong-escaped'",
        "SELECT getenv('HOME')",
        "SELECT * FROM operations",
    ],
)
async def test_sql_can_not_leave_the_sandbox(sandbox: Sandbox, sql: str) -> None:
    with pytest.raises(Problem) as refused:
        await ask(sandbox, sql)

    assert refused.value.kind == "sql-failed"
    assert not [name for name in os.listdir("/tmp") if name.startswith("lienthong-escaped")]


async def test_a_join_of_a_billion_rows_is_ended_in_time_and_the_next_job_is_fine(sandbox: Sandbox) -> None:
    endless = "SELECT count(*) FROM range(100000) a, range(100000) b, range(1000) c WHERE hash(a.range, b.range) = 1"

    with pytest.raises(OutOfTime):
        await ask(sandbox, endless, Limits(memory_mb=256, wall_s=0.5, cpu_s=60))

    assert (await ask(sandbox, "SELECT 42 AS n")).to_pylist() == [{"n": 42}]


async def test_processor_time_is_limited_as_well_as_the_wall_clock(sandbox: Sandbox) -> None:
    with pytest.raises(OutOfTime):
        await sandbox.run("spin", {}, limits=Limits(cpu_s=1, wall_s=60.0))


async def test_a_job_that_wants_too_much_memory_is_told_so(sandbox: Sandbox) -> None:
    with pytest.raises(OutOfMemory) as refused:
        await ask(
            sandbox, "SELECT list(range) FROM (SELECT range, md5(range::VARCHAR) m FROM range(50000000)) GROUP BY m",
            SMALL,
        )  # fmt: skip

    assert refused.value.kind == "sandbox-memory"


async def test_memory_outside_the_engine_is_limited_too(sandbox: Sandbox) -> None:
    with pytest.raises(OutOfMemory):
        await sandbox.run("eat", {}, limits=SMALL)


async def test_more_rows_or_bytes_than_allowed_are_not_sent(sandbox: Sandbox) -> None:
    with pytest.raises(TooManyRows) as rows:
        await ask(sandbox, "SELECT * FROM range(1000000000000)", Limits(max_rows=1000))
    with pytest.raises(Problem) as large:
        await ask(sandbox, "SELECT repeat('x', 1000000) FROM range(100)", Limits(max_bytes=10_000_000))

    assert rows.value.facts["rows"] == 1000
    assert large.value.kind == "answer-too-large"


@pytest.mark.parametrize("operation", ["crash", "half"])
async def test_a_child_that_dies_is_one_defined_problem(sandbox: Sandbox, operation: str) -> None:
    with pytest.raises(JobFailed) as failed:
        await sandbox.run(operation, {})

    assert failed.value.kind == "sandbox-failed"


async def test_an_unknown_operation_is_refused(sandbox: Sandbox) -> None:
    with pytest.raises(JobFailed):
        await sandbox.run("no-such", {})


async def test_an_input_that_breaks_is_told_with_its_own_reason(sandbox: Sandbox) -> None:
    class PeerGone(Problem):
        kind = "peer-gone-in-test"

    async def broken() -> AsyncIterator[bytes]:
        yield b"half of a stream"
        raise PeerGone("The peer went away.")

    with pytest.raises(PeerGone):
        await sandbox.run("echo", {}, inputs={"a": broken()})


async def test_an_input_that_is_no_arrow_stream_is_the_providers_problem(sandbox: Sandbox) -> None:
    with pytest.raises(InputBroken) as refused:
        await sandbox.run("merge", {"sql": "SELECT 1"}, inputs={"a": bytes_of(b"not arrow")})

    assert refused.value.side == "provider"


async def test_inputs_over_the_limit_are_refused_before_they_fill_the_memory(sandbox: Sandbox) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield bytes(1 << 20)

    with pytest.raises(InputBroken):
        await sandbox.run("echo", {}, limits=Limits(max_bytes=5 << 20), inputs={"a": endless()})


async def test_large_inputs_come_back_whole(sandbox: Sandbox) -> None:
    first, second = os.urandom(3_000_001), os.urandom(1_234_567)

    outcome = await sandbox.run("echo", {}, inputs={"a": bytes_of(first), "b": bytes_of(second), "c": bytes_of(b"")})

    assert outcome.body == first + second
    assert outcome.result["sizes"] == [len(first), len(second), 0]


async def test_jobs_beyond_the_places_wait_and_all_are_answered(sandbox: Sandbox) -> None:
    answers = await asyncio.gather(*(ask(sandbox, f"SELECT {n} AS n") for n in range(12)))

    assert [answer.to_pylist() for answer in answers] == [[{"n": n}] for n in range(12)]


async def test_a_client_that_leaves_ends_its_job(sandbox: Sandbox) -> None:
    async with AsyncExitStack() as leaving:
        for _ in range(MAX_CHILDREN):
            await leaving.enter_async_context(sandbox.stream("wait", {}, limits=Limits(wall_s=50.0)))

    # All places were taken for a minute: an answer within the queue's time shows that they were freed.
    assert (await ask(sandbox, "SELECT 1 AS n")).num_rows == 1


async def test_a_killed_sandbox_is_started_again_and_jobs_wait_for_it(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "s.sock", {**OPERATIONS, **FROM_TESTS})
    await keeper.start()
    sandbox = Sandbox(tmp_path / "s.sock")
    try:
        assert (await ask(sandbox, "SELECT 1 AS n")).num_rows == 1
        first = keeper.pid
        assert first is not None
        os.kill(first, signal.SIGKILL)

        assert (await ask(sandbox, "SELECT 2 AS n")).num_rows == 1
        assert keeper.pid not in (None, first)
    finally:
        await keeper.close()


async def test_an_idle_sandbox_gives_its_memory_back_until_the_next_job(tmp_path: Path) -> None:
    keeper = Keeper(tmp_path / "s.sock", FROM_TESTS, idle_exit_s=0.0)
    await keeper.start()
    sandbox = Sandbox(tmp_path / "s.sock")
    try:
        await ask(sandbox, "SELECT 1 AS n")
        if (pid := keeper.pid) is not None:
            await end_of(pid)

        assert (await ask(sandbox, "SELECT 2 AS n")).num_rows == 1
    finally:
        await keeper.close()


async def test_the_sandbox_does_not_know_our_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIENTHONG_DATABASE", "postgresql://secret")
    keeper = Keeper(tmp_path / "s.sock", FROM_TESTS)
    await keeper.start(warm=True)
    try:
        await ask(Sandbox(tmp_path / "s.sock"), "SELECT 1")
        assert b"secret" not in environment_of(keeper.pid)
        assert (tmp_path / "s.sock").stat().st_mode & 0o777 == 0o600
    finally:
        await keeper.close()


async def test_without_a_sandbox_the_node_says_it_is_busy(tmp_path: Path) -> None:
    with pytest.raises(SandboxBusy) as refused:
        await Sandbox(tmp_path / "nothing.sock").run("echo", {})

    assert refused.value.status == 503


def environment_of(pid: int | None) -> bytes:
    return Path(f"/proc/{pid}/environ").read_bytes()


async def end_of(pid: int) -> None:
    try:
        descriptor, ended = os.pidfd_open(pid), asyncio.Event()
    except ProcessLookupError:  # it has ended before we looked
        return
    asyncio.get_running_loop().add_reader(descriptor, ended.set)
    await ended.wait()
    asyncio.get_running_loop().remove_reader(descriptor)
    os.close(descriptor)


async def stream_of(table: pa.Table) -> AsyncIterator[bytes]:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    yield sink.getvalue().to_pybytes()


async def bytes_of(content: bytes) -> AsyncIterator[bytes]:
    if content:
        yield content
