"""Operations that only tests register in the sandbox: they try what a job must not be able to do."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path

from lienthong.tables.job import Job


def escape(job: Job) -> Mapping[str, object]:
    """What still works once the job is locked; each name maps to "done" or the error."""
    job.lock()
    outside = str(job.args["file"])
    return {
        "socket": _outcome(lambda: socket.socket(socket.AF_INET)),
        "unix": _outcome(lambda: socket.socket(socket.AF_UNIX)),
        "read": _outcome(lambda: Path("/etc/passwd").read_bytes()),
        "write": _outcome(lambda: Path(outside).write_text("escaped")),
        "unlink": _outcome(lambda: os.unlink(outside)),
        "fork": _outcome(os.fork),
        "exec": _outcome(lambda: os.execv("/bin/true", ["true"])),
        "kill": _outcome(lambda: os.kill(os.getppid(), 0)),
        "uid": os.getuid(),
        "thread": _thread(),
    }


def wait(job: Job) -> None:
    """Do nothing for a long time."""
    time.sleep(60)


def spin(job: Job) -> None:
    """Burn the processor."""
    while True:
        pass


def eat(job: Job) -> None:
    """Take more memory than allowed, outside the engine."""
    taken = [bytearray(32 << 20) for _ in range(1000)]
    raise AssertionError(len(taken))


def crash(job: Job) -> None:
    """End without a word."""
    os._exit(7)


def half(job: Job) -> None:
    """End in the middle of a frame."""
    job.send(b"begun")
    os.write(job.descriptor, b"O\x00\x00\xff\xffhalf")
    os._exit(7)


def echo(job: Job) -> Mapping[str, object]:
    """Send every input back."""
    for content in job.inputs.values():
        job.send(content)
    return {"sizes": [len(content) for content in job.inputs.values()]}


def merge(job: Job) -> None:
    """Run the SQL ``sql`` over the inputs as tables of the same names."""
    for name in job.inputs:
        job.load(name, "SELECT * FROM incoming", job.arrow_input(name))
    job.lock()
    job.answer_sql(str(job.args["sql"]))


def _outcome(attempt: Callable[[], object]) -> str:
    try:
        attempt()
    except OSError as refused:
        return type(refused).__name__
    return "done"


def _thread() -> str:
    seen: list[str] = []
    thread = threading.Thread(target=lambda: seen.append(_outcome(lambda: Path("/etc/passwd").read_bytes())))
    thread.start()
    thread.join()
    return seen[0]
