"""Other engines do the same job: Spark gives DuckDB's very answer, Splink its own; what is missing is said."""

from __future__ import annotations

import os
import re
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench import people_again
from bench.people import records, write
from lienthong.entities.engines.running import EngineFailed
from lienthong.entities.link import Report, match
from lienthong.entities.store import Store
from lienthong.linkage.matching.columns import Matching, MatchingRefused, read_matching

CLIENTS = Path(__file__).parents[2] / ".venv-clients" / "bin" / "python"
PATIENCE_S = 300.0


def must_have(package: str) -> None:
    """Skip, with the reason, on a machine whose foreign clients lack ``package``."""
    if not CLIENTS.exists() or subprocess.run([CLIENTS, "-c", f"import {package}"], check=False).returncode:
        pytest.skip(f"no {package} in .venv-clients: make clients")


def answer(folder: Path, job: Matching, *files: Path) -> tuple[list[Report], list[Any]]:
    """Match the files one after the other; the reports and who is whom in the end."""
    with Store(folder) as store:
        reports = [match(store, job, [file]) for file in files]
        return reports, store.all("SELECT source, record, id FROM entity JOIN norm USING (r) ORDER BY ALL")


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """2,000 records, and 200 that come later."""
    folder = tmp_path_factory.mktemp("people")
    made = list(records(3, 1_000)) + [(f"again-{row[0]}", *row[1:]) for row in people_again.records(3, 1_200)]
    for name, part in (("first", made[:2_000]), ("later", made[2_000:])):
        write(folder / f"{name}.parquet", iter(part))
    return [folder / "first.parquet", folder / "later.parquet"]


def test_splink_finds_the_pairs_and_the_rest_is_as_ever(files: list[Path], tmp_path: Path) -> None:
    must_have("splink")

    file = tmp_path / "people.parquet"
    write(file, records(3, 1_500))
    [report], held = answer(tmp_path / "out", Matching(engine="splink", python=str(CLIENTS), automatic=0.99), file)

    assert report.quality["precision"] > 0.9
    assert report.quality["recall"] > 0.8
    assert len(held) == 1_500
    assert list((tmp_path / "out").glob("engine-*")) == []


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A standalone master and two workers on the loopback address, as processes of their own."""
    must_have("pyspark")
    java = shutil.which("java")
    if java is None:
        pytest.skip("no java on this machine, which Spark needs: apt-get install openjdk-17-jre-headless")
    found = subprocess.run([CLIENTS, "-c", "import pyspark; print(pyspark.__path__[0])"], check=True,
                           capture_output=True, text=True)  # fmt: skip
    folder = tmp_path_factory.mktemp("spark")
    port, *doors = free_ports(4)
    running: list[subprocess.Popen[bytes]] = []

    def start(name: str, *words: object) -> None:
        command = [java, "-Xmx256m", "-cp", f"{found.stdout.strip()}/jars/*", *map(str, words)]
        env = {
            **os.environ,
            "SPARK_LOCAL_IP": "127.0.0.1",
            "SPARK_HOME": found.stdout.strip(),
            "SPARK_SCALA_VERSION": "2.13",
        }
        with (folder / f"{name}.log").open("wb") as said:
            running.append(subprocess.Popen(command, stdout=said, stderr=subprocess.STDOUT, env=env, cwd=folder))

    try:
        start("master", "org.apache.spark.deploy.master.Master", "--host", "127.0.0.1", "--port", port,
              "--webui-port", doors[0])  # fmt: skip
        for number, door in enumerate(doors[1:]):
            start(f"worker{number}", "org.apache.spark.deploy.worker.Worker", "--host", "127.0.0.1", "--cores", 1,
                  "--memory", "600m", "--webui-port", door, "--work-dir", folder / f"work{number}",
                  f"spark://127.0.0.1:{port}")  # fmt: skip
        until(lambda: len(re.findall("Registering worker", (folder / "master.log").read_text())) == 2, running)
        yield f"spark://127.0.0.1:{port}"
    finally:
        for process in reversed(running):
            process.terminate()
        for process in running:
            try:
                process.wait(30)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.mark.timeout(1_200)  # four Java machines on two cores that other tests keep busy: 270 s seen
def test_two_spark_workers_give_the_answer_of_one_machine(files: list[Path], cluster: str, tmp_path: Path) -> None:
    settings = {
        "spark.ui.enabled": "false", "spark.driver.host": "127.0.0.1", "spark.driver.bindAddress": "127.0.0.1",
        "spark.sql.shuffle.partitions": "2", "spark.executor.memory": "512m", "spark.driver.memory": "512m",
    }  # fmt: skip
    job = Matching(most_in_a_block=10)
    there = Matching(most_in_a_block=10, engine=cluster, python=str(CLIENTS), spark=settings)

    with Store(tmp_path / "here") as store:
        match(store, job, files[:1])
    shutil.copytree(tmp_path / "here", tmp_path / "there")  # only what comes later is matched there
    [mine], held = answer(tmp_path / "here", job, *files[1:])
    [theirs], held_there = answer(tmp_path / "there", there, *files[1:])

    assert held_there == held
    assert {**theirs.as_dict(), "seconds": None} == {**mine.as_dict(), "seconds": None}
    assert mine.new == 200
    assert mine.compared > 100
    assert list((tmp_path / "there").glob("engine-*")) == []


@pytest.mark.parametrize(
    ("job", "told"),
    [
        (Matching(engine="splink", python="/no/python"), "no interpreter"),
        (Matching(engine="splink", python=sys.executable), "has no package splink"),
        (Matching(engine="spark://127.0.0.1:1", python=sys.executable), "has no package pyspark"),
    ],
)
def test_an_engine_that_is_not_there_is_named_and_nothing_is_kept(
    files: list[Path], tmp_path: Path, job: Matching, told: str
) -> None:
    with Store(tmp_path) as store:
        with pytest.raises(EngineFailed, match=told) as failed:
            match(store, job, files[1:])
        assert store.one("SELECT count(*) FROM norm") == 0
    assert failed.value.kind == "engine-failed"


def test_an_engine_that_gives_up_leaves_its_words_in_a_file_and_not_in_the_error(
    files: list[Path], tmp_path: Path
) -> None:
    must_have("splink")
    broken = tmp_path / "python"
    broken.write_text('#!/bin/sh\ncase "$1" in -c) exit 0;; esac\necho "Nguyễn Văn A"; exit 3\n', "utf-8")
    broken.chmod(0o755)
    with Store(tmp_path / "out") as store, pytest.raises(EngineFailed, match="code 3") as failed:
        match(store, Matching(engine="splink", python=str(broken)), files[1:])

    assert "Nguyễn" not in str(failed.value.as_dict())
    assert "Nguyễn" in (tmp_path / "out" / "engine.log").read_text("utf-8")
    with pytest.raises(MatchingRefused, match="no engine abacus"):
        read_matching('engine = "abacus"\n[columns]\nrecord = "r"\nname = "n"')


def free_ports(number: int) -> list[int]:
    doors = [socket.create_server(("127.0.0.1", 0)) for _ in range(number)]
    ports = [door.getsockname()[1] for door in doors]
    for door in doors:
        door.close()
    return ports


def until(holds: Any, running: list[subprocess.Popen[bytes]]) -> None:
    """Wait until ``holds()``; fail when a process ended or patience did."""
    end = time.monotonic() + PATIENCE_S
    while not holds():
        assert all(process.poll() is None for process in running), "a part of the cluster ended"
        assert time.monotonic() < end, "the cluster did not come up"
        time.sleep(0.2)
