"""The demo's country as its users meet it: one process that was started by command, addresses, files, nothing else.

Nothing here reaches into the nodes; what stands in a register is read from the owner's own source database.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psycopg
from psycopg.rows import dict_row

from lienthong.storage.postmaster import processes_in
from lienthong.storage.server import PostgresServer
from lienthong.storage.uri import with_account

ONE_STOP_SYSTEM = "VN/GOV/H24/motcua"
ANALYSIS_SYSTEM = "VN/GOV/H24/phantich"
ONE_STOP = "HP-MOTCUA-01"
CITIZEN = "VN/GOV/G01/dancu/citizen"
HOME = "31"
SOURCE = Path(__file__).parents[2] / "src"
PATIENCE_S = 120.0
LAST_WORDS = "Ctrl-C stops all."
OURS = ("LIENTHONG_", "XDG_DATA_HOME", "PYTEST_")
"""Variables that would let the surroundings of the test run choose what the commands do."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A command that ended."""

    status: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "lienthong.cli", *arguments]


def environment(**more: str) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    return kept | {"PYTHONPATH": str(SOURCE), "LIENTHONG_LANG": "en", "COLUMNS": "200"} | more


def run(*arguments: str, **more: str) -> Ran:
    """Run a ``lienthong`` command to its end."""
    ended = subprocess.run(
        command(*arguments), env=environment(**more), capture_output=True, timeout=PATIENCE_S, check=False
    )
    return Ran(ended.returncode, ended.stdout.decode(), ended.stderr.decode())


def until(reached: Callable[[], Any], within_s: float, why: str) -> Any:
    """The first true answer of ``reached``; fails with ``why`` when there is none in time."""
    deadline = time.monotonic() + within_s
    while not (found := reached()):
        assert time.monotonic() < deadline, f"not within {within_s} s: {why}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


@dataclass
class Demo:
    """``lienthong demo`` as a process of its own."""

    folder: Path
    process: subprocess.Popen[bytes]
    said: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    _seen: set[tuple[int, str]] = field(default_factory=set)
    _readers: list[threading.Thread] = field(default_factory=list)

    def __post_init__(self) -> None:
        for stream, lines in ((self.process.stdout, self.said), (self.process.stderr, self.errors)):
            self._readers.append(threading.Thread(target=_read, args=(stream, lines), daemon=True))
            self._readers[-1].start()

    def wait_until_it_says(self, words: str) -> None:
        until(
            lambda: self.process.poll() is not None or any(words in line for line in self.said),
            PATIENCE_S,
            f"the demo never said {words!r} but {self.said} {self.errors}",
        )
        assert self.process.poll() is None, (self.said, self.errors, self.logs())

    def end(self, number: signal.Signals) -> int:
        """Signal the demo alone, as a terminal's Ctrl-C reaches only it; its exit status."""
        self.look()
        self.process.send_signal(number)
        return self.process.wait(PATIENCE_S)

    def to_its_end(self) -> Ran:
        """Wait until the demo ends by itself, looking meanwhile."""
        until(lambda: self.look() or self.process.poll() is not None, PATIENCE_S, "the demo did not end")
        self.join_readers()
        return Ran(self.process.returncode, "".join(self.said), "".join(self.errors))

    def join_readers(self) -> None:
        """Until everything it said was read; a process that outlives it may hold its output open for ever."""
        for reader in self._readers:
            reader.join(10)

    def look(self) -> None:
        """Remember every process that belongs to the demo now."""
        self._seen |= {(pid, _started(pid)) for pid in [*_family(self.process.pid), *processes_in(self.cluster)]}

    def left(self) -> list[str]:
        """Command lines of processes that once belonged to the demo and live, and of any that work in its cluster."""
        alive = [pid for pid, started in self._seen if started and _started(pid) == started]
        return [_command_line(pid) for pid in sorted({*alive, *processes_in(self.cluster)})]

    @property
    def seen(self) -> int:
        return len(self._seen)

    @property
    def cluster(self) -> Path:
        place = self.folder / "postgres"
        pointer = place / "cluster-folder"
        return (Path(pointer.read_text().strip()) if pointer.exists() else place) / "cluster"

    def logs(self) -> dict[str, str]:
        return {str(path): path.read_text()[-2000:] for path in (self.folder / "logs").glob("*.log")}


@contextmanager
def a_folder() -> Iterator[Path]:
    """A folder for one country, with a short name because sockets lie in it; its database goes with it."""
    folder = Path(tempfile.mkdtemp(prefix="lt-"))
    try:
        yield folder
    finally:
        if (folder / "postgres").exists():
            PostgresServer(folder / "postgres").destroy()
        shutil.rmtree(folder)


@contextmanager
def started_demo(folder: Path, port: int, persons: int, *more: str, **variables: str) -> Iterator[Demo]:
    """A demo that was asked to start; killed with all that belongs to it when the block leaves it running."""
    arguments = ["demo", "--persons", str(persons), "--port", str(port), "--data", str(folder), *more]
    process = subprocess.Popen(
        command(*arguments), env=environment(**variables),
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
    )  # fmt: skip
    demo = Demo(folder, process)
    try:
        yield demo
    finally:
        demo.look()
        for pid, started in demo._seen:
            if started and _started(pid) == started:
                os.kill(pid, signal.SIGKILL)
        process.wait()
        demo.join_readers()


@dataclass
class Country:
    """The running country, seen by a system, an officer and a citizen."""

    demo: Demo
    described: dict[str, Any]
    http: httpx.Client

    @property
    def folder(self) -> Path:
        return self.demo.folder

    @property
    def portal(self) -> str:
        return self.described["portal"]

    @property
    def client_url(self) -> str:
        """Hải Phòng's client listener."""
        return self.described["one_stop"]["client_url"]

    @property
    def nodes(self) -> Sequence[dict[str, Any]]:
        return self.described["nodes"]

    def node(self, code: str) -> dict[str, Any]:
        return next(node for node in self.nodes if any(member.endswith(f"/{code}") for member in node["members"]))

    def run(self, *arguments: str) -> Ran:
        """A command in a terminal that knows this demo."""
        return run(*arguments, LIENTHONG_DEMO=str(self.folder))

    def call(self, *arguments: str, system: str = ONE_STOP_SYSTEM) -> Ran:
        return self.run("call", "--node", self.client_url, "--client", system, *arguments)

    def query(self, sql: str, *arguments: str, system: str = ONE_STOP_SYSTEM) -> Ran:
        return self.run("query", sql, "--node", self.client_url, "--client", system, *arguments)

    def json(self, address: str) -> Any:
        answer = self.http.get(address)
        assert answer.status_code == 200, f"{address}: {answer.status_code} {answer.text}"
        return answer.json()

    def agreement(self, target: str) -> dict[str, Any]:
        """Hải Phòng's agreement about a service, as its node publishes it."""
        listed = self.json(f"{self.node('H24')['public_url']}/v1/agreements")["agreements"]
        return next(each for each in listed if f'"urn:lienthong:id:{target}"' in each["document"])

    def uses(self, code: str) -> list[dict[str, Any]]:
        """What the log of a member's node holds, newest first."""
        return self.json(f"{self.node(code)['public_url']}/v1/uses?limit=500")["uses"]

    def receipt(self, base: str, record: str) -> dict[str, Any]:
        """The receipt of ``record`` once the log covers it."""
        address = f"{base}/log/receipt/{record}"
        until(lambda: self.json(address)["proof"], 20, f"no checkpoint covers {record}")
        return self.json(address)

    @contextmanager
    def source(self, code: str) -> Iterator[psycopg.Connection[dict[str, Any]]]:
        """The database in which a member keeps its register."""
        settings = tomllib.loads(Path(self.node(code)["config"]).read_text())
        name = f"{settings['database_name']}_nguon"
        with psycopg.connect(database(settings["database"], name), row_factory=dict_row) as connection:
            yield connection

    def people(self) -> list[dict[str, Any]]:
        """The persons of Hải Phòng as the ministry keeps them."""
        with self.source("G01") as db:
            return db.execute("SELECT * FROM person WHERE province_code = %s ORDER BY 1", (HOME,)).fetchall()


def database(superuser: str, name: str) -> str:
    known = psycopg.conninfo.conninfo_to_dict(superuser)
    return with_account(superuser, str(known["user"]), str(known["password"]), name)


def _read(stream: Any, lines: list[str]) -> None:
    with stream:
        for line in stream:
            lines.append(line.decode())


def _family(pid: int) -> list[int]:
    """A process and everything it started that has not been orphaned."""
    parents: dict[int, int] = {}
    for name in os.listdir("/proc"):
        if name.isdigit() and (fields := _fields(int(name))):
            parents[int(name)] = int(fields[1])
    family = [pid]
    for member in family:
        family += [child for child, parent in parents.items() if parent == member]
    return family


def _started(pid: int) -> str:
    """When the process was started, in ticks: with the number it names the process for ever.  Empty once it ended."""
    fields = _fields(pid)
    return fields[19] if fields and fields[0] not in "ZX" else ""


def _fields(pid: int) -> list[str]:
    """Fields of ``/proc/PID/stat`` from the state on; empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(errors="replace").rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return []


def _command_line(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return ""
