"""The sandbox from outside: a client that runs one job, and the keeper that holds the socket and restarts the process.

Promises: the client never imports an engine; a job ends with its answer or one defined Problem; jobs sent while the
sandbox process is down wait for it, because the keeper and not that process owns the listening socket.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
import time
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Generator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType
from typing import cast

import structlog

from lienthong.i18n import T
from lienthong.tables import frames
from lienthong.tables.limits import JobFailed, Limits, OutOfTime, SandboxBusy, problem_from

log = structlog.get_logger("lienthong.sandbox")

OPERATIONS: Mapping[str, str] = MappingProxyType(
    {
        "scan": "lienthong.tables.scan:scan",
        "rows": "lienthong.tables.scan:rows",
        "inspect": "lienthong.tables.inspect_file:inspect",
        "write": "lienthong.tables.write_files:write",
        "csv": "lienthong.tables.write_files:csv",
    }
)
"""Operation -> ``module:function`` taking a ``job.Job``; the composition root adds those of other packages."""

QUEUE_S = 20.0
"""How long a job may wait for a free place."""
GRACE_S = 5.0
"""How much longer than its wall clock a client waits for the sandbox to say that time is up."""
IDLE_EXIT_S = 600.0
"""An unused sandbox process ends after this, and gives its memory back."""
_BACKLOG = 128
_LONGEST_ADDRESS = 100
_STEADY_S = 5.0
_UNPARALLEL = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
"""A thread pool would be lost in the fork."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a job gave: its bytes (an Arrow stream, or none) and its JSON result."""

    body: bytes
    result: Mapping[str, object]
    rows: int


class Answer:
    """A job's bytes as they come; ``result`` and ``rows`` are there once the bytes are at their end."""

    def __init__(self, reader: asyncio.StreamReader, wall_s: float) -> None:
        self._reader = reader
        self._wall_s = wall_s
        self.result: Mapping[str, object] = {}
        self.rows = 0

    async def __aiter__(self) -> AsyncIterator[bytes]:
        """The bytes; raises the job's Problem instead of ending when it has one."""
        kind, _ = await _frame(self._reader, QUEUE_S, starting=True)
        deadline = time.monotonic() + self._wall_s + GRACE_S
        if kind != frames.ACCEPTED:
            raise _failed()
        while True:
            kind, content = await _frame(self._reader, deadline - time.monotonic())
            if kind != frames.OUTPUT:
                break
            yield content
        if kind != frames.END:
            raise _failed()
        end = cast("dict[str, object]", json.loads(content))
        if "problem" in end:
            raise problem_from(cast("Mapping[str, object]", end["problem"]))
        self.result = cast("Mapping[str, object]", end.get("result") or {})
        self.rows = int(cast("int", end.get("rows", 0)))


class Sandbox:
    """Runs jobs in the sandbox whose socket lies at ``path``.  Cheap: holds no connection between jobs."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def run(
        self,
        op: str,
        args: Mapping[str, object],
        *,
        limits: Limits | None = None,
        inputs: Mapping[str, AsyncIterable[bytes]] | None = None,
    ) -> Outcome:
        """Run one job and collect its answer.

        ``args`` are JSON values; ``inputs`` are byte streams, sent side by side.  Raises the operation's own Problems
        and those of ``limits``.
        """
        async with self.stream(op, args, limits=limits, inputs=inputs) as answer:
            body = b"".join([part async for part in answer])
        return Outcome(body, answer.result, answer.rows)

    @contextlib.asynccontextmanager
    async def stream(
        self,
        op: str,
        args: Mapping[str, object],
        *,
        limits: Limits | None = None,
        inputs: Mapping[str, AsyncIterable[bytes]] | None = None,
    ) -> AsyncGenerator[Answer]:
        """As ``run``, but the bytes come as they are made; leaving the block early ends the job."""
        allowed = limits or Limits()
        named = dict(inputs or {})
        reader, writer = await self._connect()
        header = {"op": op, "args": dict(args), "limits": asdict(allowed), "inputs": list(named)}
        writer.write(f"{min(allowed.wall_s, 99999.0):08.2f}".encode())
        writer.write(frames.frame(frames.JOB, json.dumps(header).encode()))
        feeding = asyncio.create_task(_feed(writer, list(named.values())))
        try:
            yield Answer(reader, allowed.wall_s)
        except JobFailed as broken:
            if feeding.done() and not feeding.cancelled() and (failure := feeding.exception()) is not None:
                raise failure from broken  # the inputs broke first: that is the reason to tell
            raise
        finally:
            feeding.cancel()
            with contextlib.suppress(asyncio.CancelledError, Exception):  # told above, or of no interest any more
                await feeding
            writer.transport.abort()  # nothing is owed to a child any more; one still running is ended by this
            with contextlib.suppress(OSError):
                await writer.wait_closed()

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        try:
            async with asyncio.timeout(QUEUE_S):
                with _reachable(self._path) as path:
                    return await asyncio.open_unix_connection(path, limit=2 * frames.MAX_FRAME_BYTES)
        except (OSError, TimeoutError) as away:
            raise _busy() from away


class Keeper:
    """Owns the sandbox's listening socket; starts the process when the first job comes, and again whenever it ended."""

    def __init__(
        self, path: Path, operations: Mapping[str, str] = OPERATIONS, *, idle_exit_s: float = IDLE_EXIT_S
    ) -> None:
        self._path = path
        self._operations = dict(operations)
        self._idle_exit_s = idle_exit_s
        self._listener: socket.socket | None = None
        self._running: asyncio.Task[None] | None = None
        self._spawned = asyncio.Event()
        self.pid: int | None = None
        """Of the sandbox process while it runs."""

    async def start(self, *, warm: bool = False) -> None:
        """Open the socket (mode 0600); with ``warm`` the process runs when this returns, else with the first job."""
        self._path.parent.mkdir(parents=True, exist_ok=True)
        self._path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        with _reachable(self._path) as path:
            self._listener.bind(path)
        self._path.chmod(0o600)
        self._listener.listen(_BACKLOG)
        if warm:
            self._begin()
            await self._spawned.wait()
        else:
            self._wait_for_job()

    async def close(self) -> None:
        """End the process and remove the socket."""
        if self._listener is None:
            return
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        if self._running is not None:
            self._running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._running
        self._listener.close()
        self._listener = None
        self._path.unlink(missing_ok=True)

    def _wait_for_job(self) -> None:
        assert self._listener is not None  # noqa: S101 - start() made it, close() cancels who calls this
        asyncio.get_running_loop().add_reader(self._listener.fileno(), self._begin)

    def _begin(self) -> None:
        assert self._listener is not None  # noqa: S101 - as above
        asyncio.get_running_loop().remove_reader(self._listener.fileno())
        self._running = asyncio.create_task(self._run(self._listener.fileno()))

    async def _run(self, listener: int) -> None:
        described = json.dumps({"operations": self._operations, "idle_exit_s": self._idle_exit_s})
        started = time.monotonic()
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "lienthong.tables.zygote", str(listener), str(os.getpid()), described,
            pass_fds=(listener,), stdin=asyncio.subprocess.DEVNULL, env=_environment(),
        )  # fmt: skip
        self.pid = process.pid
        self._spawned.set()
        try:
            status = await process.wait()
        except asyncio.CancelledError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
            raise
        finally:
            self.pid = None
        if status != 0:
            log.warning("sandbox.ended", status=status)
        if time.monotonic() - started < _STEADY_S and status != 0:
            await asyncio.sleep(1.0)  # it does not even start: do not spin
        self._wait_for_job()


async def _frame(reader: asyncio.StreamReader, timeout_s: float, *, starting: bool = False) -> tuple[int, bytes]:
    try:
        async with asyncio.timeout(max(timeout_s, 0.0)):
            kind, length = frames.frame_header(await reader.readexactly(frames.HEADER_BYTES))
            content = await reader.readexactly(length)
    except TimeoutError as late:
        raise (_busy() if starting else _late()) from late
    except asyncio.IncompleteReadError as ended:
        reason = frames.reason_in(ended.partial)
        raise (_late() if reason == frames.TIME else _failed()) from ended
    except (ConnectionError, frames.BadFrame) as broken:
        raise _failed() from broken
    if kind == frames.KILLED:
        raise _late() if frames.reason_in(content) == frames.TIME else _failed()
    return kind, content


async def _feed(writer: asyncio.StreamWriter, inputs: list[AsyncIterable[bytes]]) -> None:
    """Send every input to the child; a child that has ended early says why in its own END frame."""
    try:
        async with asyncio.TaskGroup() as group:
            for index, parts in enumerate(inputs):
                group.create_task(_feed_one(writer, bytes([index]), parts))
    except ExceptionGroup as failed:
        first = failed.exceptions[0]
        if isinstance(first, ConnectionError):
            return
        writer.transport.abort()
        raise first from failed


async def _feed_one(writer: asyncio.StreamWriter, index: bytes, parts: AsyncIterable[bytes]) -> None:
    async for part in parts:
        for start in range(0, len(part), frames.CHUNK_BYTES):
            writer.write(frames.frame(frames.INPUT, index + part[start : start + frames.CHUNK_BYTES]))
            await writer.drain()
    writer.write(frames.frame(frames.INPUT, index))
    await writer.drain()


def _environment() -> dict[str, str]:
    """What the sandbox process may know of our environment: where Python finds its modules, and no secret."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | _UNPARALLEL | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}


@contextlib.contextmanager
def _reachable(path: Path) -> Generator[str]:
    """``path`` in a form the kernel takes for a socket's address, which holds 107 bytes only."""
    if len(os.fsencode(path)) < _LONGEST_ADDRESS:
        yield str(path)
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{folder}/{path.name}"
    finally:
        os.close(folder)


def _busy() -> SandboxBusy:
    return SandboxBusy(T("The node works on other questions."), mend=T("Try again in a moment."), retry_after_s=2)


def _late() -> OutOfTime:
    return OutOfTime(
        T("The question was ended because it takes too long."),
        mend=T("Filter or aggregate earlier; a join without a condition is the usual reason."),
    )


def _failed() -> JobFailed:
    return JobFailed(
        T("The work failed: {error}."),
        mend=T("Ask for less at once; if it fails again, tell the operator."),
        error="the process ended",
    )
