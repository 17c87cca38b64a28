"""A node's processes end with the one that started them, also when that one is killed."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lienthong.storage.postmaster import works_in
from lienthong.storage.server import PostgresServer

pytestmark = [pytest.mark.integration, pytest.mark.faults]

PATIENCE_S = 60.0
FORKING = """
import signal, sys, time
from lienthong.node.forking import fork
child = fork(signal.pause, title="lienthong test child")
print(child.pid, flush=True)
time.sleep(600)
"""

TELLING = """
import json, os, sys, time
from pathlib import Path
from lienthong.node.forking import fork
reader, writer = os.pipe()
def tell():
    title = Path("/proc/self/cmdline").read_bytes().rstrip(b"\\0").decode()
    told = {"session": os.getsid(0) == os.getpid(), "input": os.read(0, 100).decode(), "title": title}
    os.write(writer, json.dumps(told).encode())
    return 7
child = fork(tell, title="lienthong test child")
status = child.end(time.monotonic() + 60)
print(json.dumps(json.loads(os.read(reader, 1000)) | {"status": status}))
"""


def family(pid: int) -> set[int]:
    """``pid`` and every living process below it."""
    below = subprocess.run(["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False)
    return {pid}.union(*(family(int(each)) for each in below.stdout.split()))


def lives(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def wait_until(reached: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not reached():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def wait_until_gone(processes: set[int]) -> None:
    wait_until(lambda: not any(map(lives, processes)))


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as door:
        return door.getsockname()[1]


@pytest.fixture
def country(tmp_path: Path) -> Iterator[tuple[Path, Path, PostgresServer]]:
    """A configuration file, a log file and a running database of their own; the database goes at the end."""
    server = PostgresServer(tmp_path / "postgres")
    server.start()
    ports = [free_port() for _ in range(3)]
    config = tmp_path / "node.toml"
    config.write_text(
        f'node = "nut-h24"\ndata = "node"\nmembers = ["VN/GOV/H24"]\ndatabase = "{server.dsn("postgres")}"\n'
        f'public_port = {ports[0]}\nclient_port = {ports[1]}\npeer_host = "127.0.0.1"\npeer_port = {ports[2]}\n'
        f'peer_url = "https://127.0.0.1:{ports[2]}"\n'
    )
    yield config, tmp_path / "node.log", server
    server.destroy()


def all_ports_answer(config: Path) -> bool:
    for line in config.read_text().splitlines():
        if "_port = " in line:
            with socket.socket() as door:
                if door.connect_ex(("127.0.0.1", int(line.split(" = ")[1]))):
                    return False
    return True


def test_a_forked_child_ends_when_its_parent_is_killed():
    with subprocess.Popen([sys.executable, "-c", FORKING], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline())
        assert lives(child)

        parent.kill()
        parent.wait()

    wait_until(lambda: not lives(child))


def test_a_forked_child_has_its_own_session_name_and_empty_input_and_tells_its_status():
    told = subprocess.run(
        [sys.executable, "-c", TELLING], input=b"for the parent", capture_output=True, check=True, timeout=PATIENCE_S
    )

    assert json.loads(told.stdout) == {"session": True, "input": "", "title": "lienthong test child", "status": 7}


def test_all_processes_of_a_node_end_when_the_supervisor_is_killed_and_the_next_start_serves(country):
    config, log, _ = country
    command = [sys.executable, "-m", "lienthong.cli", "serve", "--config", str(config)]
    with log.open("ab") as out:
        for killed in (True, False):
            with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as serving:
                wait_until(lambda: all_ports_answer(config))
                processes = family(serving.pid)
                assert len(processes) >= 4

                serving.send_signal(signal.SIGKILL if killed else signal.SIGTERM)
                serving.wait(PATIENCE_S)

            wait_until_gone(processes)
    assert serving.returncode == 0, log.read_text()


def gateways(pid: int) -> set[int]:
    """The gateway processes below ``pid``, by the names they give themselves."""
    return {each for each in family(pid) if lives(each) and b"lienthong.node gateway" in named(each)}


def named(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except FileNotFoundError:
        return b""


def test_of_two_gateways_each_serves_alone_and_a_killed_one_is_replaced(country):
    config, log, _ = country
    config.write_text("gateways = 2\n" + config.read_text())
    command = [sys.executable, "-m", "lienthong.cli", "serve", "--config", str(config)]
    with (
        log.open("ab") as out,
        subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out) as serving,
    ):
        wait_until(lambda: all_ports_answer(config) and len(gateways(serving.pid)) == 2)
        for killed in sorted(gateways(serving.pid)):  # one after the other: each time the rest serves
            os.kill(killed, signal.SIGKILL)
            wait_until(lambda gone=killed: not lives(gone))
            wait_until(lambda: all_ports_answer(config))
            wait_until(lambda gone=killed: len(gateways(serving.pid) - {gone}) == 2)
        wait_until(lambda: all_ports_answer(config))

        serving.send_signal(signal.SIGTERM)
        assert serving.wait(PATIENCE_S) == 0, log.read_text()


def test_nodes_and_their_database_end_when_the_one_who_asked_for_them_is_killed(country, tmp_path: Path):
    config, log, server = country
    pid = server.pid
    assert pid is not None
    cluster = Path(os.readlink(f"/proc/{pid}/cwd"))
    server._disown()  # as the killed asker's lock is gone with it
    with subprocess.Popen(
        [sys.executable, "-m", "lienthong.node.nursery", str(tmp_path / "postgres")],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE,
    ) as nursery:  # fmt: skip
        assert nursery.stdin
        nursery.stdin.write(json.dumps({"config": str(config), "log": str(log)}).encode() + b"\n")
        nursery.stdin.flush()
        wait_until(lambda: all_ports_answer(config))
        processes = family(nursery.pid)
        assert len(processes) >= 5

        nursery.stdin.close()

        assert nursery.wait(PATIENCE_S) == 0
    wait_until_gone(processes)
    assert not works_in(pid, cluster)
