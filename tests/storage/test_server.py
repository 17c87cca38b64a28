"""The embedded server: durable, closed to strangers, and back after every kind of death."""

from __future__ import annotations

import os
import shutil
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import cast

import psycopg
import pytest

from lienthong.storage.durability import UnsafeDatabase
from lienthong.storage.placement import ROOT_FOLDER, ClusterMissing, NoServerPrograms, place, short_folder
from lienthong.storage.postmaster import PID_FILE, processes_in
from lienthong.storage.server import PostgresServer, ServerOwned, ServerWillNotStart
from tests.conftest import DEBIAN_PROGRAMS

pytestmark = pytest.mark.integration
AS_ROOT = os.geteuid() == 0


def one(server: PostgresServer, question: str) -> object:
    """The single value a superuser gets for ``question``."""
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        row = connection.execute(question).fetchone()  # pyright: ignore[reportArgumentType] - literals of this file
        return row[0] if row else None


def do(server: PostgresServer, statement: str) -> None:
    with psycopg.connect(server.dsn(), autocommit=True) as connection:
        connection.execute(statement)  # pyright: ignore[reportArgumentType] - literals of this file


def kill(server: PostgresServer) -> None:
    os.kill(cast(int, server.pid), signal.SIGKILL)


def test_data_outlives_a_stop_and_a_start(server):
    do(server, "CREATE TABLE kept AS SELECT 7 AS n")

    server.stop()
    assert server.pid is None
    server.start()

    assert one(server, "SELECT n FROM kept") == 7


def test_starting_twice_changes_nothing(server):
    before = server.pid

    server.start()

    assert server.pid == before


def test_committed_rows_survive_a_killed_server(server):
    do(server, "CREATE TABLE kept AS SELECT n FROM generate_series(1, 5000) n")

    kill(server)
    server.start()

    assert one(server, "SELECT count(*) FROM kept") == 5000


def test_a_start_waits_for_the_children_of_a_killed_server(server):
    with psycopg.connect(server.dsn()) as busy:
        stuck = busy.info.backend_pid
        os.kill(stuck, signal.SIGSTOP)
        kill(server)
        waker = subprocess.Popen(["sh", "-c", f"sleep 0.5; kill -CONT {stuck}"])

        server.start()

        assert stuck not in processes_in(place(server.data_dir).cluster)
        assert one(server, "SELECT 1") == 1
        waker.wait()


def test_a_zombie_in_the_pid_file_is_not_taken_for_a_server(server):
    server.stop()
    zombie = subprocess.Popen(["true"])
    os.waitid(os.P_PID, zombie.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and nobody has taken its status
    leave_pid_file(server, zombie.pid)

    server.start()

    assert server.pid not in (None, zombie.pid)
    zombie.wait()


def test_a_number_that_now_belongs_to_another_program_is_not_taken_for_a_server(server):
    server.stop()
    leave_pid_file(server, os.getpid())

    server.start()

    assert server.pid not in (None, os.getpid())


def leave_pid_file(server: PostgresServer, pid: int) -> None:
    """A pid file as a server that died without a word leaves it."""
    cluster = place(server.data_dir).cluster
    (cluster / PID_FILE).write_text(f"{pid}\n{cluster}\n1700000000\n5432\n\n\n 1 1\nready\n")


def test_a_server_whose_owner_died_is_taken_over(make_server, pg_engine, tmp_path, programs):
    if pg_engine == "debian" and not programs.exists():
        pytest.skip(f"no PostgreSQL 15 under {programs}")
    died = start_elsewhere(tmp_path / "data", programs, "import os; print(server.pid, flush=True); os._exit(9)")
    assert died.returncode == 9, died.stderr

    server = make_server("data")

    assert server.pid == int(died.stdout)
    assert one(server, "SELECT 1") == 1


def test_a_second_owner_is_refused_while_the_first_lives(server, programs):
    second = start_elsewhere(server.data_dir, programs, "")

    assert ServerOwned.__name__ in second.stderr
    assert one(server, "SELECT 1") == 1


def start_elsewhere(data_dir: Path, programs: Path, then: str) -> subprocess.CompletedProcess[str]:
    """Another Python process starts the server of ``data_dir`` and does ``then``."""
    code = (
        "import sys; from pathlib import Path; from lienthong.storage.server import PostgresServer\n"
        "server = PostgresServer(Path(sys.argv[1]), Path(sys.argv[2])); server.start()\n" + then
    )
    return subprocess.run(
        [sys.executable, "-c", code, str(data_dir), str(programs)], capture_output=True, text=True, check=False
    )


def test_two_servers_live_side_by_side(make_server):
    first, second = make_server("first"), make_server("second")

    do(first, "CREATE TABLE only_here ()")

    assert first.pid != second.pid
    assert one(second, "SELECT to_regclass('only_here')") is None


def test_a_half_made_cluster_is_made_again(make_server, tmp_path):
    home = place(tmp_path / "data").home
    (home / "cluster.half-made").mkdir()
    (home / "cluster.half-made" / "PG_VERSION").write_text("")

    server = make_server("data")

    assert one(server, "SELECT 1") == 1
    assert not (home / "cluster.half-made").exists()


def test_a_very_long_folder_name_is_no_obstacle(make_server):
    server = make_server("/".join(["a-folder-with-a-very-long-name"] * 6))

    assert one(server, "SELECT 1") == 1


def test_a_socket_folder_somebody_else_made_is_refused(tmp_path):
    folder = short_folder(tmp_path / "node")
    folder.chmod(0o777)
    try:
        with pytest.raises(Exception, match="not ours alone") as refused:
            short_folder(tmp_path / "node")
        assert refused.value.kind == "unsafe-folder"
    finally:
        folder.rmdir()


def test_nobody_enters_without_the_password(server):
    without = server.dsn().replace(server.dsn().split(":")[2].split("@")[0], "guess")

    with pytest.raises(psycopg.OperationalError, match="authentication failed"):
        psycopg.connect(without)


def test_every_way_in_demands_scram_and_none_is_on_the_network(server):
    assert one(server, "SELECT string_agg(DISTINCT auth_method, ',') FROM pg_hba_file_rules") == "scram-sha-256"
    assert one(server, "SHOW listen_addresses") == ""


def test_secrets_and_sockets_are_closed_to_other_accounts(server):
    placed = place(server.data_dir)

    assert stat.S_IMODE((placed.secrets / "postgres").stat().st_mode) == 0o600
    for folder in (placed.secrets, placed.sockets, placed.cluster):
        assert stat.S_IMODE(folder.stat().st_mode) & 0o077 == 0


def test_the_server_never_runs_as_root(server):
    uid = os.stat(f"/proc/{server.pid}").st_uid

    assert uid == place(server.data_dir).account.uid != 0


def test_no_parent_folder_is_opened_to_others(make_server, tmp_path):
    tmp_path.chmod(0o700)
    before = [(path, path.stat().st_mode) for path in (tmp_path, *tmp_path.parents)]

    make_server()

    assert [(path, path.stat().st_mode) for path in (tmp_path, *tmp_path.parents)] == before


def test_a_server_that_may_lose_commits_is_not_accepted(server):
    do(server, "ALTER SYSTEM SET fsync = off")
    server.stop()

    with pytest.raises(UnsafeDatabase) as refused:
        server.start()

    assert refused.value.kind == "unsafe-database"
    assert refused.value.facts["settings"] == "fsync"


def test_a_broken_configuration_is_told_with_the_servers_own_words(server):
    server.stop()
    (place(server.data_dir).cluster / "postgresql.auto.conf").write_text("shared_buffers = 'much'\n")

    with pytest.raises(ServerWillNotStart) as refused:
        server.start()

    assert refused.value.kind == "database-will-not-start"
    assert "shared_buffers" in str(refused.value.facts["why"])


def test_a_lost_password_is_told_at_once(server):
    (place(server.data_dir).secrets / "postgres").write_text("wrong\n")

    with pytest.raises(ServerWillNotStart, match="authentication failed"):
        server.start()


def test_a_folder_without_programs_is_refused(tmp_path):
    with pytest.raises(NoServerPrograms) as refused:
        PostgresServer(tmp_path / "data", tmp_path).start()

    assert refused.value.kind == "no-server-programs"
    PostgresServer(tmp_path / "data").destroy()


def test_programs_of_another_version_are_refused(server, pg_engine):
    if not (DEBIAN_PROGRAMS / "postgres").exists():
        pytest.skip(f"needs two versions, and there is no PostgreSQL 15 under {DEBIAN_PROGRAMS}")
    server.stop()

    other = PostgresServer(server.data_dir, None if pg_engine == "debian" else DEBIAN_PROGRAMS)
    with pytest.raises(ServerWillNotStart, match="made by PostgreSQL"):
        other.start()


def test_destroying_leaves_no_process_and_no_file(make_server, tmp_path):
    server = make_server("short-lived")
    placed = place(server.data_dir)

    server.destroy()

    assert not placed.home.exists()
    assert processes_in(placed.cluster) == []
    server.start()  # so that the fixture has something to destroy; also: a folder can be used again


@pytest.mark.skipif(not AS_ROOT, reason="only root has its cluster outside the data folder")
def test_a_lost_cluster_folder_is_told_and_not_silently_made_anew(make_server):
    server = make_server()
    home = place(server.data_dir).home
    server.stop()
    home.rename(home.with_suffix(".away"))

    try:
        with pytest.raises(ClusterMissing) as refused:
            PostgresServer(server.data_dir).start()
        assert refused.value.kind == "cluster-missing"
    finally:
        home.with_suffix(".away").rename(home)


@pytest.mark.skipif(not AS_ROOT, reason="only root has clusters outside the data folder")
def test_the_next_cluster_removes_those_of_temporary_folders_that_are_gone(make_server, tmp_path, programs):
    died = start_elsewhere(tmp_path / "gone", programs, "import os; print(server.pid, flush=True); os._exit(9)")
    assert died.returncode == 9, died.stderr
    gone, kept = place(tmp_path / "gone"), make_server("kept")
    shutil.rmtree(tmp_path / "gone")

    make_server("next")

    assert not gone.home.exists()
    assert processes_in(gone.cluster) == []
    assert one(kept, "SELECT 1") == 1


@pytest.mark.skipif(not AS_ROOT, reason="only root has clusters outside the data folder")
def test_a_cluster_whose_owner_lives_or_whose_folder_may_be_unmounted_is_kept(make_server, tmp_path):
    server = make_server("data")
    home = place(server.data_dir).home
    away = ROOT_FOLDER / "clusters" / "away"
    away.mkdir()
    (away / "made-for").write_text("/mnt/not-mounted-today/postgres\n")
    (home / "made-for").write_text(f"{tmp_path}/gone-while-running\n")
    kept_elsewhere = subprocess.run(
        [sys.executable, "-c", REMOVE_ORPHANS, str(home.parent)], capture_output=True, text=True, check=False
    )

    assert kept_elsewhere.returncode == 0, kept_elsewhere.stderr
    assert away.exists()
    assert one(server, "SELECT 1") == 1
    away.joinpath("made-for").unlink()
    away.rmdir()


REMOVE_ORPHANS = """
import sys; from pathlib import Path; from lienthong.storage.orphans import remove_orphans
remove_orphans(Path(sys.argv[1]), "cluster-folder")
"""


@pytest.mark.skipif(not AS_ROOT, reason="only root needs another account to reach the programs")
def test_programs_that_the_account_can_not_reach_are_copied(pg_engine, programs, tmp_path):
    if pg_engine == "debian":
        pytest.skip("the system's programs are readable by all")
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    package = programs.parents[1]
    shutil.copytree(package, closed / package.name, symlinks=True, ignore=shutil.ignore_patterns("include", "doc"))
    shutil.copytree(f"{package}.libs", closed / f"{package.name}.libs")
    server = PostgresServer(tmp_path / "data", closed / programs.relative_to(package.parent))

    try:
        server.start()
        assert Path(os.readlink(f"/proc/{server.pid}/exe")).is_relative_to(ROOT_FOLDER)
        assert stat.S_IMODE(closed.stat().st_mode) == 0o700
    finally:
        server.destroy()


@pytest.mark.skipif(not AS_ROOT, reason="every other test runs as an ordinary account already")
def test_an_ordinary_account_has_everything_in_its_data_folder(programs):
    done = subprocess.run([sys.executable, "-c", ORDINARY, str(programs)], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert done.stdout == "1 65534\n"


ORDINARY = """
import encodings.ascii, os, sys, tempfile
from pathlib import Path
import lienthong.storage.server as made, psycopg  # before the change of account: Python may lie where it can not read
with tempfile.TemporaryDirectory() as folder:
    os.chown(folder, 65534, 65534)
    os.setgroups([]); os.setgid(65534); os.setuid(65534)
    server = made.PostgresServer(Path(folder) / "data", Path(sys.argv[1]))
    server.start()
    kept = os.stat(Path(folder) / "data" / "cluster").st_uid
    with psycopg.connect(server.dsn()) as connection:
        print(connection.execute("SELECT 1").fetchone()[0], kept)
    server.destroy()
"""
