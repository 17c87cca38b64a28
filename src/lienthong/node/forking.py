"""Processes forked from one that has imported what they need, and tied to its life.

Promises: a child ends when its parent does, however the parent ended; it has its own session, so that Ctrl-C at a
terminal reaches the parent alone; nothing of the parent's signal handling or input is left in it.
"""

from __future__ import annotations

import ctypes
import gc
import importlib
import json
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import setproctitle

from lienthong.errors import Problem

PR_SET_PDEATHSIG: Final = 1
"""prctl(2): the signal this process gets when the thread that made it ends."""
POLL_S: Final = 0.02
KILLED_BY: Final = 128


@dataclass(slots=True)
class Child:
    """A process this one has forked; its number is its own until ``poll`` or ``wait`` has seen its end."""

    pid: int
    status: int | None = None
    """Exit status, 128 and more when a signal ended it; None while it lives."""

    def poll(self) -> int | None:
        """The exit status, or None while it lives."""
        if self.status is None:
            ended, raw = os.waitpid(self.pid, os.WNOHANG)
            if ended:
                code = os.waitstatus_to_exitcode(raw)
                self.status = code if code >= 0 else KILLED_BY - code
        return self.status

    def send(self, number: signal.Signals) -> None:
        """Signal the process, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    def end(self, until: float) -> int:
        """Wait for its end until ``until`` (monotonic seconds), then kill it; returns its exit status."""
        while (status := self.poll()) is None:
            if time.monotonic() > until:
                self.send(signal.SIGKILL)
            time.sleep(POLL_S)  # the end of several children is awaited in turn; each is told already
        return status


def fork(work: Callable[[], int], *, title: str, output: Path | None = None) -> Child:
    """Run ``work`` in a new process that ends with this one; its exit status is what ``work`` returns.

    To be called from the main thread of a process without other threads.  ``output`` takes what it prints.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    parent = os.getpid()
    pid = os.fork()
    if pid:
        return Child(pid)
    status = 1
    try:
        _become_child(parent, title, output)
        status = work()
    except SystemExit as asked:
        status = asked.code if isinstance(asked.code, int) else 1
    except Problem as problem:
        told = {"event": "not-started", "error": problem.kind, "detail": str(problem), "mend": problem.mend}
        print(json.dumps(told), file=sys.stderr)
    except BaseException:  # a process's root: what is not told here nobody hears
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


def end_with_parent(parent: int, number: signal.Signals = signal.SIGTERM) -> None:
    """Have this process signalled when process ``parent`` ends, also by kill -9; at once if it is gone already."""
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, int(number), 0, 0, 0)
    if os.getppid() != parent:
        os.kill(os.getpid(), number)


def preload(modules: Sequence[str]) -> None:
    """Import what children will need, and keep the collector from touching (and so copying) it in each of them."""
    for name in modules:
        importlib.import_module(name)
    gc.collect()
    gc.freeze()


def _become_child(parent: int, title: str, output: Path | None) -> None:
    os.setsid()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        signal.signal(number, signal.SIG_DFL)
    end_with_parent(parent)
    with open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
    if output is not None:
        descriptor = os.open(output, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        os.close(descriptor)
    setproctitle.setproctitle(title)
