"""One job in its own short-lived process: reads its inputs, runs one operation, writes frames, ends.

Promises: nothing an operation reads from outside is opened after ``Job.lock``; rows, bytes, memory and time stay within
the job's limits; whatever goes wrong becomes one END frame.  Runs only in children of the zygote.
"""

from __future__ import annotations

import errno
import io
import json
import mmap
import os
import socket
from collections.abc import Callable, Mapping
from typing import Any, cast

import duckdb
import pyarrow as pa
from typing_extensions import Buffer

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.tables import frames, lockdown
from lienthong.tables.limits import (
    AnswerTooLarge,
    InputBroken,
    JobFailed,
    Limits,
    OutOfMemory,
    SqlFailed,
    TooManyRows,
    limits_from,
    problem_json,
)

ArrowReader = Any  # pyarrow ships no types
"""A ``pyarrow.RecordBatchReader``."""

Operation = Callable[["Job"], "Mapping[str, object] | None"]
"""An operation returns what travels as ``result``; rows and bytes it sends through the job."""


class Job:
    """What an operation works with: arguments, inputs, a DuckDB connection, and the way out."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        client: socket.socket,
        args: Mapping[str, object],
        limits: Limits,
    ) -> None:
        self.args = args
        self.limits = limits
        self.connection = connection
        self.inputs: dict[str, memoryview] = {}
        """Name -> bytes of an Arrow stream that the client sent."""
        self.held: lockdown.Held | None = None
        """Which walls stand, once ``fence`` was called."""
        self.rows = 0
        self._client = client
        self._bytes = 0
        self._locked = False

    @property
    def descriptor(self) -> int:
        """Of the connection to the client."""
        return self._client.fileno()

    def fence(self) -> None:
        """No new connection, program or process from here on, nor a change to a file unless the job may write some.

        Does nothing a second time.
        """
        if self.held is None:
            self.held = lockdown.fence(may_write=self.limits.file_mb > 0)

    def lock(self) -> None:
        """No file, connection or setting from here on.  Call it before any SQL that others wrote.

        Does nothing a second time.
        """
        if self._locked:
            return
        self.fence()
        lockdown.shut()
        self.connection.execute(_LOCKING)
        self._locked = True

    def arrow_input(self, name: str) -> ArrowReader:
        """The input ``name`` as record batches; raises InputBroken when it is no Arrow stream."""
        try:
            return pa.ipc.open_stream(pa.py_buffer(self.inputs[name]))
        except (pa.ArrowException, KeyError) as broken:
            raise InputBroken(T("The input {name} is not an Arrow stream."), name=name) from broken

    def load(self, name: str, select: str, reader: ArrowReader) -> None:
        """Make table ``name`` (quoted here) from ``select``, which reads ``reader`` under the name ``incoming``."""
        quoted = '"' + name.replace('"', '""') + '"'
        self.connection.register("incoming", reader)
        try:
            self.connection.execute(f"CREATE TABLE {quoted} AS {select}")
        finally:
            self.connection.unregister("incoming")

    def answer_sql(self, sql: str) -> None:
        """Run ``sql`` and send its rows as one Arrow stream, batch by batch.

        Raises SqlFailed, TooManyRows, AnswerTooLarge; no more is computed than the limits let out.
        """
        try:
            relation = self.connection.sql(sql)
            if cast("object", relation) is None:  # what the engine gives for a statement without rows
                raise SqlFailed(T("Only a statement that gives rows can be run."))
            self.answer_arrow(relation.to_arrow_reader(16_384))
        except duckdb.OutOfMemoryException:
            raise
        except duckdb.Error as refused:
            raise SqlFailed(T("The engine says: {why}"), why=str(refused).split("\n\n", 1)[0][:500]) from refused

    def answer_arrow(self, reader: ArrowReader) -> None:
        """Send ``reader`` as one Arrow stream; raises TooManyRows or AnswerTooLarge once a limit is passed."""
        with self.sink() as out, pa.ipc.new_stream(out, reader.schema) as stream:
            for batch in reader:
                self.rows += batch.num_rows
                if self.rows > self.limits.max_rows:
                    raise TooManyRows(
                        T("The answer has more than {rows} rows."),
                        mend=T("Aggregate, filter or add LIMIT; for whole tables use the table way."),
                        rows=self.limits.max_rows,
                    )
                stream.write_batch(batch)

    def sink(self) -> io.BufferedWriter:
        """A file whose content becomes the answer."""
        return io.BufferedWriter(_Out(self), frames.CHUNK_BYTES)

    def send(self, content: bytes | memoryview) -> None:
        """The next bytes of the answer; raises AnswerTooLarge."""
        self._bytes += len(content)
        if self._bytes > self.limits.max_bytes:
            raise AnswerTooLarge(
                T("The answer has more than {bytes} bytes."),
                mend=T("Ask for fewer columns or rows; for whole tables use the table way."),
                bytes=self.limits.max_bytes,
            )
        for start in range(0, len(content), frames.MAX_FRAME_BYTES):
            self._client.sendall(frames.frame(frames.OUTPUT, bytes(content[start : start + frames.MAX_FRAME_BYTES])))


_LOCKING = "; ".join(
    f"SET {setting}"
    for setting in (
        "enable_external_access = false",
        "disabled_filesystems = 'LocalFileSystem'",
        "allow_community_extensions = false",
        "autoinstall_known_extensions = false",
        "autoload_known_extensions = false",
        "python_enable_replacements = false",
        "lock_configuration = true",
    )
)


class _Out(io.RawIOBase):
    """A file that writes to the job's client."""

    def __init__(self, job: Job) -> None:
        self._job = job

    def writable(self) -> bool:
        return True

    def write(self, content: Buffer, /) -> int:
        self._job.send(memoryview(content))
        return memoryview(content).nbytes


def run_job(
    connection: duckdb.DuckDBPyConnection, client: socket.socket, operations: Mapping[str, Operation], zygote: int
) -> None:
    """The whole life of a child; the caller ends the process after it."""
    lockdown.die_with_parent(zygote)
    client.setblocking(True)
    client.sendall(frames.frame(frames.ACCEPTED))
    kind, content = _receive(client)
    try:
        if kind != frames.JOB:
            raise frames.BadFrame("a JOB was expected")
        asked = cast("dict[str, object]", json.loads(content))
        end = _finished(connection, client, operations, asked)
    except Problem as problem:
        end = {"problem": problem_json(problem)}
    except (duckdb.OutOfMemoryException, pa.ArrowMemoryError, MemoryError):
        end = {"problem": problem_json(_out_of_memory())}
    except OSError as failure:
        # A memory file may grow as large as the job's memory, no larger.
        full = failure.errno in (errno.EFBIG, errno.ENOMEM, errno.ENOSPC)
        end = {"problem": problem_json(_out_of_memory() if full else _unknown(failure))}
    except Exception as failure:  # a task's root: the client must hear of it, the process ends anyway
        end = {"problem": problem_json(_unknown(failure))}
    client.sendall(frames.frame(frames.END, json.dumps(end).encode()))


def _out_of_memory() -> OutOfMemory:
    return OutOfMemory(
        T("The question needs more memory than one may have here."),
        mend=T("Filter or aggregate earlier; a join without a condition is the usual reason."),
    )


def _unknown(failure: Exception) -> JobFailed:
    return JobFailed(T("The work failed: {error}."), error=type(failure).__name__)


def _finished(
    connection: duckdb.DuckDBPyConnection,
    client: socket.socket,
    operations: Mapping[str, Operation],
    asked: Mapping[str, object],
) -> dict[str, object]:
    limits = limits_from(cast("Mapping[str, object]", asked["limits"]))
    # Memory files count as files too; other files are fenced off unless the job may write some.
    lockdown.limit_process(
        memory_bytes=limits.memory_mb * 1024 * 1024,
        cpu_s=limits.cpu_s,
        file_bytes=max(limits.file_mb, limits.memory_mb) * 1024 * 1024,
    )
    connection.execute(f"SET threads = {limits.threads}")
    connection.execute(f"SET memory_limit = '{limits.memory_mb * 3 // 4}MiB'")
    pa.set_cpu_count(limits.threads)
    job = Job(connection, client, cast("Mapping[str, object]", asked["args"]), limits)
    job.inputs = _received_inputs(client, cast("list[str]", asked["inputs"]), limits.max_bytes)
    operation = operations.get(str(asked["op"]))
    if operation is None:
        raise JobFailed(T("The sandbox does not know the operation {error}."), error=str(asked["op"])[:60])
    result = operation(job)
    return {"result": None if result is None else dict(result), "rows": job.rows}


def _received_inputs(client: socket.socket, names: list[str], max_bytes: int) -> dict[str, memoryview]:
    """Collect the inputs outside the Python heap; they may arrive interleaved.  Raises InputBroken when too large."""
    stores = [os.fdopen(os.memfd_create("lienthong-input"), "r+b") for _ in names]
    waiting = set(range(len(names)))
    received = 0
    while waiting:
        kind, content = _receive(client)
        if kind != frames.INPUT or not content or content[0] not in waiting:
            raise frames.BadFrame("an INPUT was expected")
        received += len(content) - 1
        if received > max_bytes:
            raise InputBroken(T("The inputs of the question are larger than {bytes} bytes."), bytes=max_bytes)
        if len(content) == 1:
            waiting.discard(content[0])
        else:
            stores[content[0]].write(memoryview(content)[1:])
    return {name: _mapped(store) for name, store in zip(names, stores, strict=True)}


def _mapped(store: io.BufferedRandom) -> memoryview:
    store.flush()
    size = os.fstat(store.fileno()).st_size
    return memoryview(mmap.mmap(store.fileno(), size, prot=mmap.PROT_READ)) if size else memoryview(b"")


def _receive(client: socket.socket) -> tuple[int, bytes]:
    kind, length = frames.frame_header(_exactly(client, frames.HEADER_BYTES))
    return kind, _exactly(client, length)


def _exactly(client: socket.socket, count: int) -> bytes:
    parts: list[bytes] = []
    while count:
        part = client.recv(min(count, 1 << 20))
        if not part:
            os._exit(0)  # the client has gone: nobody waits for this job
        parts.append(part)
        count -= len(part)
    return b"".join(parts)
