"""Drills: what is taken away comes back whatever happens, and the rehearsed restore tells the truth and signs it."""

from __future__ import annotations

import asyncio
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import psycopg
import pytest

from lienthong.access.stamp import Stamp, read_roots, stamp
from lienthong.config import Settings
from lienthong.demo.authority import ROOT_FILE, make_authority
from lienthong.node.prepare import LOG_KEY
from lienthong.operate import queries
from lienthong.operate.drill import DrillReport, Probe, Sample, as_markdown, read_country, summary
from lienthong.operate.losses import AUTHORITY, LOSSES, Country, NodeHere, NothingToLose, frozen, processes
from lienthong.operate.rehearse import last_published, rehearse, signed
from lienthong.storage.server import PostgresServer
from lienthong.trust.documents import open_document
from lienthong.trust.note import Checkpoint, sign_checkpoint
from lienthong.verify import verify_log
from tests.conftest import drop_database
from tests.operate.living import NOW, Living, a_node
from tests.use.nodes import free_port

PATIENCE_S = 20.0
LATER = datetime(2077, 1, 1, tzinfo=UTC)
TITLED = "import setproctitle, sys, time; setproctitle.setproctitle(sys.argv[1]); print(1, flush=True); time.sleep(600)"
_numbers = itertools.count(1)


@pytest.fixture
def node(pg_server: PostgresServer, tmp_path: Path) -> Iterator[Living]:
    name = f"drill_{os.getpid()}_{next(_numbers)}"
    yield a_node(tmp_path, pg_server.dsn(), name)
    drop_database(pg_server.dsn(), name)


def a_place(living: Living) -> NodeHere:
    return NodeHere(
        "nut-thu", ("VN/GOV/G01",), living.config, "http://127.0.0.1:9", "http://127.0.0.1:9", living.settings
    )


def state(pid: int) -> str:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]


def until(pid: int, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while state(pid) not in wanted:
        assert time.monotonic() < deadline
        time.sleep(0.01)


def while_frozen(here: NodeHere, ours: int, theirs: int) -> None:
    with frozen(processes(here)):
        until(ours, "T")
        assert state(theirs) != "T"
        raise KeyError("in between")


def test_only_processes_of_the_named_node_are_frozen_and_they_live_again(tmp_path: Path):
    mine, other = tmp_path / "mine.toml", tmp_path / "other.toml"
    command = [sys.executable, "-c", TITLED]
    with (
        subprocess.Popen([*command, f"lienthong.node web --config {mine}"], stdout=subprocess.PIPE) as ours,
        subprocess.Popen([*command, f"lienthong.node web --config {other}"], stdout=subprocess.PIPE) as theirs,
    ):
        for each in (ours, theirs):
            assert each.stdout
            each.stdout.readline()
        settings = Settings(node="nut-thu", data=tmp_path, members=("VN/GOV/G01",))
        here = NodeHere("nut-thu", (), mine, "", "", settings)

        assert processes(here) == [ours.pid]
        with pytest.raises(KeyError):
            while_frozen(here, ours.pid, theirs.pid)
        until(ours.pid, "SR")
        for each in (ours, theirs):
            each.send_signal(signal.SIGKILL)
    with pytest.raises(NothingToLose) as gone, frozen(processes(here)):
        pass
    assert gone.value.kind == "nothing-to-lose"


@pytest.mark.integration
def test_a_lost_database_lets_nobody_in_and_then_everybody(node: Living):
    country = Country(a_place(node), a_place(node), a_place(node), ())
    with psycopg.connect(node.dsns.app, autocommit=True) as inside, LOSSES["db"](country):
        with pytest.raises(psycopg.OperationalError):
            inside.execute("SELECT 1")
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(node.dsns.app)
    with queries.snapshot(node.dsns.app) as db:
        assert queries.size_bytes(db) > 0


@pytest.mark.integration
async def test_a_rehearsed_restore_passes_and_its_result_is_signed(node: Living):
    await node.record(20)
    await node.sequence()
    shown = node.checkpoint
    await node.record(1)  # the node goes on between the look from outside and the backup
    await node.sequence()

    found = await in_thread(node, shown)
    envelope = signed(found, node.settings)

    key = node.keyring.es256("VN/GOV/G01").public_key()
    told = json.loads(open_document(envelope, lambda keyid: key))
    assert found.passed, found
    assert (told["passed"], told["checkpoint_size"], told["restored_size"]) == (True, 20, 21)


@pytest.mark.integration
async def test_a_rehearsed_restore_follows_the_log_over_the_end_of_a_half_year(node: Living):
    await node.record(3)
    await node.sequence()
    first = node.checkpoint
    await node.record(2)
    while not await node.sequence(LATER):
        pass
    log = node.settings.data / "log"

    shown = last_published(lambda path: (log / path).read_bytes() if (log / path).exists() else None)
    assert shown is not None
    assert (shown.partition(b"\n")[0], last_published(lambda _: None)) == (f"{node.files.origin}/2077h1".encode(), None)
    assert last_published({"checkpoint": first}.get) == first
    found = await in_thread(node, shown)

    assert found.passed, found
    assert found.checkpoint.startswith(f"{node.files.origin}/2077h1\n")


@pytest.mark.integration
async def test_a_rehearsed_restore_fails_over_a_checkpoint_the_backup_can_not_bear_out(
    node: Living, pg_server: PostgresServer, tmp_path: Path
):
    name = f"drill_{os.getpid()}_{next(_numbers)}"
    (tmp_path / "other").mkdir()
    other = a_node(tmp_path / "other", pg_server.dsn(), name)
    for each in (node, other):
        await each.record(2)
        await each.sequence()

    found = await in_thread(node, other.checkpoint)

    drop_database(pg_server.dsn(), name)
    assert not found.passed
    assert (found.log_verified, found.confirmed) == (True, False)
    assert found.problem


@pytest.mark.integration
async def test_a_rehearsed_restore_fails_when_the_backup_lacks_what_was_shown(node: Living):
    await node.record(2)
    await node.sequence()
    files, key = node.files, node.keyring.ed25519(LOG_KEY)
    longer = sign_checkpoint(Checkpoint(files.origin, 9, bytes(32)), key, files.origin)

    found = await in_thread(node, longer)

    assert (found.passed, found.problem) == (False, "not-recovered")


async def in_thread(node: Living, note: bytes):
    return await asyncio.to_thread(
        lambda: rehearse(node.settings, node.config, note, lambda folder, key: verify_log(folder, key=key).ok, now=NOW)
    )


def test_trouble_is_told_from_its_first_moment_to_the_first_good_one_after_the_loss():
    probe = Probe("call", lambda: Sample(0, good=True, word="answered"))
    words = ["answered", "answered", "503 no-record", "503 no-record", "503 no-record", "answered"]
    probe.samples = [Sample(float(at), good=word == "answered", word=word) for at, word in enumerate(words)]

    seen = summary(probe, begin=1.5, end=3.5)
    page = as_markdown(DrillReport("db", 2.0, (seen,), {}))

    assert (seen.during, seen.first_trouble_s, seen.well_after_s) == ({"503 no-record": 2}, 0.5, 1.5)
    assert "| call | answered | 503 no-record x 2 | 0.5 s | 1.5 s |" in page
    assert "no use was answered" in page


def test_a_probe_that_is_never_well_again_fails_the_drill():
    probe = Probe("call", lambda: Sample(0, good=True, word="answered"))
    probe.samples = [Sample(0, good=True, word="answered"), Sample(2, good=False, word="no answer")]

    seen = summary(probe, begin=1.0, end=1.5)

    assert seen.well_after_s is None
    assert not DrillReport("peer", 1.0, (seen,), {}).recovered
    with pytest.raises(NothingToLose):
        read_country({"nodes": []})


def test_a_lost_time_stamping_authority_answers_nobody_and_then_everybody(tmp_path: Path):
    make_authority(tmp_path / "tsa")
    port = free_port()
    settings = Settings(node="nut-thu", data=tmp_path, members=("VN/GOV/G01",), tsa_roots=tmp_path / "tsa" / ROOT_FILE)
    here = NodeHere("nut-thu", (), tmp_path / "node.toml", "", "", settings)
    country = Country(here, here, here, ())

    async def send(query: bytes) -> bytes:
        async with httpx.AsyncClient(timeout=2.0) as client:
            return (await client.post(f"http://127.0.0.1:{port}/", content=query)).content

    def stamped() -> Stamp:
        roots = read_roots((tmp_path / "tsa" / ROOT_FILE).read_bytes())
        return asyncio.run(stamp(b"a note", roots, send, datetime.now(UTC)))

    command = [sys.executable, "-m", AUTHORITY, str(tmp_path / "tsa"), str(port)]
    with subprocess.Popen(command) as authority:
        deadline = time.monotonic() + PATIENCE_S
        while not answers(port):
            assert time.monotonic() < deadline, "the authority does not listen"
            time.sleep(0.05)
        assert stamped().token
        with LOSSES["tsa"](country), pytest.raises(httpx.ReadTimeout):
            stamped()
        until(authority.pid, "SR")
        assert stamped().token
        authority.kill()
    with pytest.raises(NothingToLose):
        LOSSES["tsa"](replace(country, home=replace(here, settings=replace(settings, tsa_roots=None))))


def answers(port: int) -> bool:
    with socket.socket() as link:
        return link.connect_ex(("127.0.0.1", port)) == 0
