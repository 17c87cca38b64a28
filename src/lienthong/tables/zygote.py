"""The sandbox process: imports the engines once, then forks one child for each job and ends it when its time is over.

Started as ``python -m lienthong.tables.zygote FD KEEPER_PID JSON`` by ``sandbox.Keeper``.  Promises: it never
reads a byte of a job itself, a child that is late or whose client has gone is killed, and it ends with its keeper.
"""

from __future__ import annotations

import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import cast

import duckdb

from lienthong.tables import frames, lockdown
from lienthong.tables.job import Operation, run_job
from lienthong.tables.rehearse import rehearse

MAX_CHILDREN = 4
"""Jobs at a time; others wait in the socket's queue."""
FAILED_REHEARSAL_S = 60.0
"""How long no child is prepared after one ended without a job."""
HARD_WALL_S = 900.0
"""No job outlives this, whatever it was allowed."""


@dataclass(slots=True)
class Child:
    """A running job: its connection is kept open here to see the client leave and to say why a job was killed."""

    client: socket.socket
    deadline: float
    killed: bool = False


@dataclass(slots=True)
class Ready:
    """A child that has rehearsed and waits for its one job."""

    pid: int
    channel: socket.socket
    """The job's connection is sent over this; its end ends the child."""


class Zygote:
    """Accepts, forks, watches, kills.  One thread, no engine work of its own."""

    def __init__(self, listener: socket.socket, operations: Mapping[str, Operation], idle_exit_s: float) -> None:
        self._listener = listener
        self._operations = operations
        self._idle_exit_s = idle_exit_s
        self._children: dict[int, Child] = {}
        self._ready: Ready | None = None
        self._prepare_after = 0.0
        self._connection = warm_connection()
        self._wake_read, wake_write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        signal.set_wakeup_fd(wake_write, warn_on_full_buffer=False)
        signal.signal(signal.SIGCHLD, lambda *_: None)

    def serve(self) -> None:
        """Until SIGTERM, the keeper's end, or ``idle_exit_s`` without a job."""
        idle_since = time.monotonic()
        while True:
            poll = select.poll()
            poll.register(self._wake_read, select.POLLIN)
            if len(self._children) < MAX_CHILDREN:
                poll.register(self._listener, select.POLLIN)
            # Not POLLIN: the child reads; here only the client's leaving counts.
            watched = {child.client.fileno(): child for child in self._children.values() if not child.killed}
            for descriptor in watched:
                poll.register(descriptor, select.POLLRDHUP)
            ready = dict(poll.poll(self._wait_ms(idle_since)))
            if self._wake_read in ready:
                os.read(self._wake_read, 4096)
            for descriptor in ready:
                if descriptor in watched:
                    watched[descriptor].deadline = 0.0
            self._reap()
            self._kill_late()
            if self._listener.fileno() in ready:
                self._accept()
            if self._children:
                idle_since = time.monotonic()
            elif self._ready is None and time.monotonic() >= self._prepare_after:
                self._prepare()
            elif time.monotonic() - idle_since > self._idle_exit_s:
                return

    def _wait_ms(self, idle_since: float) -> float:
        running = [child.deadline for child in self._children.values() if not child.killed]
        if running:
            until = min(running)
        elif self._children:
            return 1000.0  # only killed ones, SIGCHLD is near
        else:
            until = idle_since + self._idle_exit_s
        return max(until - time.monotonic(), 0.0) * 1000 + 1

    def _accept(self) -> None:
        try:
            client, _ = self._listener.accept()
        except (BlockingIOError, ConnectionError):
            return
        wall_s = _announced_wall_s(client)
        if wall_s is None:
            client.close()
            return
        pid = self._given_to_ready(client)
        if pid is None:
            zygote = os.getpid()
            pid = os.fork()
            if pid == 0:
                self._be_child(client, zygote)
        self._children[pid] = Child(client, time.monotonic() + wall_s)

    def _prepare(self) -> None:
        """Fork the child that will take the next job, while there is nothing else to do."""
        ours, theirs = socket.socketpair()
        zygote = os.getpid()
        pid = os.fork()
        if pid == 0:
            ours.close()
            self._be_child(theirs, zygote, waits=True)
        theirs.close()
        self._ready = Ready(pid, ours)

    def _given_to_ready(self, client: socket.socket) -> int | None:
        """Hand ``client`` to the waiting child and return its id; None when there is none."""
        ready, self._ready = self._ready, None
        if ready is None:
            return None
        with ready.channel:
            try:
                socket.send_fds(ready.channel, [b"j"], [client.fileno()])
            except OSError:
                return None  # it has ended; SIGCHLD is near
        return ready.pid

    def _be_child(self, connected: socket.socket, zygote: int, *, waits: bool = False) -> None:
        """Never returns.  ``connected`` leads to the client, or, with ``waits``, to the zygote that will send it."""
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            self._listener.close()
            for other in self._children.values():
                other.client.close()
            if waits:
                connected = self._rehearsed(connected, zygote)
            elif self._ready is not None:
                self._ready.channel.close()
            run_job(self._connection, connected, self._operations, zygote)
        except BaseException:  # a task's root: the child must not run on as a second zygote
            os._exit(1)
        os._exit(0)

    def _rehearsed(self, channel: socket.socket, zygote: int) -> socket.socket:
        """In the child: the client of its job, after a rehearsal; ends the process when the zygote has gone."""
        lockdown.die_with_parent(zygote)
        rehearse(self._connection)
        with channel:
            _, descriptors, _, _ = socket.recv_fds(channel, 1, 1)
        if not descriptors:
            os._exit(0)
        return socket.socket(fileno=descriptors[0])

    def _reap(self) -> None:
        while self._children or self._ready is not None:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            child = self._children.pop(pid, None)
            if child is None:
                if self._ready is not None and self._ready.pid == pid:
                    self._ready.channel.close()
                    self._ready = None
                    self._prepare_after = time.monotonic() + FAILED_REHEARSAL_S
                continue
            if status != 0:
                out_of_time = child.killed or os.waitstatus_to_exitcode(status) == -signal.SIGXCPU
                _say_killed(child.client, frames.TIME if out_of_time else frames.CRASH)
            child.client.close()

    def _kill_late(self) -> None:
        now = time.monotonic()
        for pid, child in self._children.items():
            if child.deadline <= now and not child.killed:
                child.killed = True
                os.kill(pid, signal.SIGKILL)


def warm_connection() -> duckdb.DuckDBPyConnection:
    """A DuckDB connection that children inherit (opening one takes 50 ms).  One thread: nothing is lost in a fork."""
    connection = duckdb.connect(
        ":memory:", config={"threads": "1", "temp_directory": "", "max_temp_directory_size": "0KiB"}
    )
    connection.execute("SET TimeZone = 'UTC'")
    connection.execute("SET enable_progress_bar = false")
    connection.execute("SELECT g, count(*), sum(n) FROM (SELECT range AS n, range % 7 AS g FROM range(100)) GROUP BY g")
    connection.fetchall()
    return connection


def _announced_wall_s(client: socket.socket) -> float | None:
    """The wall-clock seconds that the client's first eight bytes ask for, or None when it is nobody we know."""
    client.settimeout(1.0)
    try:
        announced = client.recv(8, socket.MSG_WAITALL)
        client.setblocking(False)
        return min(float(announced), HARD_WALL_S) if len(announced) == 8 else None
    except (OSError, ValueError):
        return None


def _say_killed(client: socket.socket, reason: bytes) -> None:
    try:
        client.send(frames.killed_frame(reason), socket.MSG_DONTWAIT | socket.MSG_NOSIGNAL)
    except OSError:
        pass  # the client has gone, or reads too slowly to be told


def main() -> None:
    """Entry of the process; arguments as in the module's docstring."""
    lockdown.die_with_parent(int(sys.argv[2]))
    listener = socket.socket(fileno=int(sys.argv[1]))
    listener.setblocking(False)
    described = cast("dict[str, object]", json.loads(sys.argv[3]))
    operations: dict[str, Operation] = {}
    for name, place in cast("dict[str, str]", described["operations"]).items():
        module, _, function = place.partition(":")
        operations[name] = cast("Operation", getattr(importlib.import_module(module), function))
    zygote = Zygote(listener, operations, float(cast("float", described["idle_exit_s"])))
    signal.signal(signal.SIGTERM, lambda *_: os._exit(0))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the keeper's to answer
    gc.collect()
    gc.freeze()  # children share these pages until they write to them
    zygote.serve()


if __name__ == "__main__":
    main()
    sys.stdout.flush()
    os._exit(0)
