"""A closed-loop load generator: so many clients, each sending its next request when its answer is there.

    python bench/load.py --port 8081 --path /r1/... --clients 32 --seconds 3 --pid 123 --pid 456

Prints one JSON object: req/s, p50 and p99 in milliseconds, answers by status, and the CPU microseconds a call that each
given process took (user and system, all threads, from /proc).  A closed loop hides stalls from p99; compare runs of the
same kind only.  Needs no package but uvloop.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import re
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

import uvloop

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Load:
    """What one run measured."""

    clients: int
    calls: int
    seconds: float
    per_second: float
    p50_ms: float
    p99_ms: float
    statuses: dict[str, int]
    cpu_us: dict[str, float]
    """CPU microseconds a call by process name or id; ``all`` is their sum."""


@dataclass
class _Run:
    until: float
    took: list[float] = field(default_factory=list[float])
    statuses: Counter[str] = field(default_factory=Counter[str])


class _Client(asyncio.Protocol):
    """One connection: sends the same request again and again until the time is up."""

    def __init__(self, request: bytes, run: _Run, done: asyncio.Future[None]) -> None:
        self._request = request
        self._run = run
        self._done = done
        self._buffer = b""
        self._missing = -1
        self._sent = 0.0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        self._next()

    def _next(self) -> None:
        self._sent = time.perf_counter()
        if self._sent >= self._run.until:
            self._transport.close()
            return
        self._transport.write(self._request)  # type: ignore[attr-defined]

    def data_received(self, data: bytes) -> None:
        if self._missing < 0:
            self._buffer += data
            end = self._buffer.find(b"\r\n\r\n")
            if end < 0:
                return
            length = _LENGTH.search(self._buffer, 0, end)
            self._run.statuses[self._buffer[9:12].decode("latin-1")] += 1
            self._missing = (int(length[1]) if length else 0) + end + 4 - len(self._buffer)
            self._buffer = b""
        else:
            self._missing -= len(data)
        if self._missing <= 0:
            self._missing = -1
            self._run.took.append(time.perf_counter() - self._sent)
            self._next()

    def connection_lost(self, exc: Exception | None) -> None:
        if time.perf_counter() < self._run.until:
            self._run.statuses["closed"] += 1
        if not self._done.done():
            self._done.set_result(None)


def cpu_seconds(pid: int) -> float | None:
    """User and system time of a process and its threads so far; None when it has ended."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as stat:
            fields = stat.read().rpartition(b")")[2].split()
    except FileNotFoundError:
        return None
    return (int(fields[11]) + int(fields[12])) / _TICKS


async def load(
    port: int, request: bytes, *, clients: int, seconds: float, pids: dict[str, int], host: str = "127.0.0.1"
) -> Load:
    """Run ``clients`` connections for ``seconds`` and measure; CPU of ``pids`` over the same time."""
    loop = asyncio.get_running_loop()
    before = {name: spent for name, pid in pids.items() if (spent := cpu_seconds(pid)) is not None}
    begun = time.perf_counter()
    run = _Run(begun + seconds)
    ends: list[asyncio.Future[None]] = []
    for _ in range(clients):
        done = loop.create_future()
        ends.append(done)
        await loop.create_connection(lambda done=done: _Client(request, run, done), host, port)
    await asyncio.wait(ends, timeout=seconds + 30)
    lasted = time.perf_counter() - begun
    calls = len(run.took) or 1
    cpu = {
        name: (spent - before[name]) * 1e6 / calls
        for name, pid in pids.items()
        if name in before and (spent := cpu_seconds(pid)) is not None
    }
    took = sorted(run.took) or [0.0]
    return Load(
        clients=clients,
        calls=len(run.took),
        seconds=round(lasted, 3),
        per_second=round(len(run.took) / lasted, 1),
        p50_ms=round(took[len(took) // 2] * 1000, 2),
        p99_ms=round(took[min(len(took) - 1, int(len(took) * 0.99))] * 1000, 2),
        statuses=dict(run.statuses),
        cpu_us={name: round(value, 1) for name, value in {**cpu, "all": sum(cpu.values())}.items()},
    )


def request_bytes(path: str, body_bytes: int, headers: Sequence[str] = (), method: str | None = None) -> bytes:
    """A request with a JSON body of exactly ``body_bytes`` bytes (a GET when that is 0)."""
    body = b'{"fill":"%b"}' % (b"x" * max(0, body_bytes - 11)) if body_bytes else b""
    verb = method or ("POST" if body else "GET")
    lines = [f"{verb} {path} HTTP/1.1", "Host: 127.0.0.1", *headers]
    if body:
        lines += ["Content-Type: application/json", f"Content-Length: {len(body)}"]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def run_load(port: int, request: bytes, *, clients: int, seconds: float, pids: dict[str, int]) -> Load:
    """``load`` in a loop of its own."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        return runner.run(load(port, request, clients=clients, seconds=seconds, pids=pids))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--path", default="/")
    parser.add_argument("--header", action="append", default=[], help="Name: value; may be repeated")
    parser.add_argument("--body-bytes", type=int, default=2048)
    parser.add_argument("--clients", type=int, default=8)
    parser.add_argument("--seconds", type=float, default=3.0)
    parser.add_argument("--pid", action="append", type=int, default=[])
    given = parser.parse_args()
    request = request_bytes(given.path, given.body_bytes, given.header)
    pids = {str(pid): pid for pid in given.pid}
    print(json.dumps(asdict(run_load(given.port, request, clients=given.clients, seconds=given.seconds, pids=pids))))


if __name__ == "__main__":
    main()
