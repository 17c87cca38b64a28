"""The embedded PostgreSQL: one server in a folder, for trial, demonstration and tests.

``PostgresServer(folder).start()`` returns only when a connection has been made and the server is durable, whatever a
former life left behind: a killed server, a half-made cluster, a server still running after its owner died.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import time
from pathlib import Path
from typing import ClassVar
from urllib.parse import quote

import psycopg

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.durability import check_durability
from lienthong.storage.orphans import take_lock
from lienthong.storage.placement import (
    POINTER,
    Placement,
    embedded_programs,
    place,
    private_file,
    run_as,
    runnable_programs,
)
from lienthong.storage.postmaster import end_postmaster, forget_dead_postmaster, running_postmaster

SUPERUSER = "postgres"
PORT = 5432
START_TIMEOUT_S = 300.0
"""Crash recovery of a large write-ahead log takes minutes; giving up on it would help nobody."""
STOP_PATIENCE_S = 20.0
POLL_S = 0.02

CONFIGURATION = """\
# Written by Liên Thông at every start; the embedded server listens on its Unix socket alone.
listen_addresses = ''
unix_socket_directories = '{sockets}'
unix_socket_permissions = 0700
port = {port}
password_encryption = 'scram-sha-256'
max_connections = 200
shared_buffers = '64MB'
fsync = on
full_page_writes = on
synchronous_commit = on
timezone = 'UTC'
log_timezone = 'UTC'
lc_messages = 'C'
log_min_messages = 'warning'
# Statements may name persons: they stay out of the server's log, failing ones too.
log_min_error_statement = 'panic'
log_parameter_max_length_on_error = 0
"""
ACCESS = "# Nobody is trusted: passwords on the socket, nothing on the network.\nlocal all all scram-sha-256\n"


class ServerWillNotStart(Problem):
    """The embedded server did not come up; the facts hold the end of its log."""

    kind: ClassVar[str] = "database-will-not-start"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The embedded PostgreSQL did not start")


class ServerOwned(Problem):
    """Another living process started the server of this folder and will stop it."""

    kind: ClassVar[str] = "database-owned"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The embedded PostgreSQL belongs to another process")


class PostgresServer:
    """The server of one folder.  One process owns it, from ``start()`` to ``stop()`` or its own end.

    When the owner dies the server lives on and the next ``start()`` takes it over.  Safe to ``start()`` twice.
    """

    def __init__(self, data_dir: Path, bin_dir: Path | None = None) -> None:
        """``bin_dir`` holds initdb and pg_ctl, such as ``/usr/lib/postgresql/15/bin``; None: the embedded package."""
        self.data_dir = data_dir
        self._bin_dir = bin_dir
        self._placement: Placement | None = None
        self._lock: int | None = None

    @property
    def pid(self) -> int | None:
        """Process id of the running server, or None."""
        return running_postmaster(self._placed().cluster)

    def dsn(self, dbname: str = SUPERUSER) -> str:
        """URI of the superuser's connection to ``dbname``; holds the password.  The server must have been made."""
        placed = self._placed()
        password = (placed.secrets / SUPERUSER).read_text("ascii").strip()
        return (
            f"postgresql://{SUPERUSER}:{password}@/{quote(dbname, safe='')}"
            f"?host={quote(str(placed.sockets), safe='')}&port={PORT}"
        )

    def start(self, timeout_s: float = START_TIMEOUT_S) -> None:
        """Bring the server up and connect to it.

        Raises ServerOwned, ServerWillNotStart, NoServerPrograms, UnsafeFolder or UnsafeDatabase.
        """
        placed = self._placed()
        self._own(placed)
        programs = runnable_programs(self._bin_dir or embedded_programs(), placed.account)
        if not (placed.cluster / "PG_VERSION").exists():
            self._make_cluster(placed, programs)
        self._check_version(placed, programs)
        deadline = time.monotonic() + timeout_s
        if self._answers(placed, deadline):
            return
        self._launch(placed, programs, deadline)
        if not self._answers(placed, deadline):
            raise self._failed(placed)

    def stop(self) -> None:
        """End the server, by its process id, and give up its ownership.  No harm when it does not run."""
        self._end(signal.SIGINT)

    def destroy(self) -> None:
        """Stop the server and remove its cluster, its sockets and its passwords for ever."""
        placed = self._placed()
        self._end(signal.SIGQUIT)  # no farewell checkpoint: the data goes anyway
        shutil.rmtree(placed.sockets, ignore_errors=True)
        shutil.rmtree(placed.home)
        (self.data_dir / POINTER).unlink(missing_ok=True)
        self._placement = None

    def _end(self, first: signal.Signals) -> None:
        pid = self.pid
        if pid is not None:
            end_postmaster(pid, first, patience_s=STOP_PATIENCE_S)
        self._disown()

    def _placed(self) -> Placement:
        if self._placement is None:
            self._placement = place(self.data_dir)
        return self._placement

    def _own(self, placed: Placement) -> None:
        if self._lock is not None:
            return
        self._lock = take_lock(placed.lock)
        if self._lock is None:
            raise ServerOwned(
                T("Another process runs the embedded PostgreSQL of {folder}."),
                mend=T("Stop that process first, or name another data folder."),
                folder=str(self.data_dir),
            )

    def _disown(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make_cluster(self, placed: Placement, programs: Path) -> None:
        """initdb beside the final place, then a rename: a half-made cluster is never taken for a whole one."""
        half = placed.home / "cluster.half-made"
        shutil.rmtree(half, ignore_errors=True)
        half.mkdir(mode=0o700)
        password = secrets.token_urlsafe(24)
        private_file(placed.secrets / SUPERUSER, password + "\n")
        handed_over = placed.sockets / "initial-password"
        private_file(handed_over, password + "\n", placed.account)
        if placed.account.switch:
            os.chown(half, placed.account.uid, placed.account.gid)
        arguments = [str(programs / "initdb"), "-D", str(half), "-U", SUPERUSER, "--pwfile", str(handed_over)]
        arguments += ["--auth=scram-sha-256", "--encoding=UTF8", "--locale=C.UTF-8", "--data-checksums"]
        made = run_as(placed.account, arguments, home=placed.home, timeout_s=300)
        handed_over.unlink()
        if made.returncode != 0:
            raise ServerWillNotStart(
                T("initdb failed: {why}"),
                mend=T("Look for a full disk or a missing locale C.UTF-8."),
                why=made.stderr.strip()[-2000:],
            )
        with (half / "postgresql.conf").open("a", encoding="utf-8") as configuration:
            configuration.write("\ninclude 'lienthong.conf'\n")
        half.rename(placed.cluster)

    def _check_version(self, placed: Placement, programs: Path) -> None:
        cluster = (placed.cluster / "PG_VERSION").read_text("ascii").strip()
        shown = run_as(placed.account, [str(programs / "postgres"), "--version"], home=placed.home, timeout_s=30).stdout
        program = shown.split()[2].split(".")[0]
        if cluster != program:
            raise ServerWillNotStart(
                T("The cluster was made by PostgreSQL {cluster}, the programs are PostgreSQL {program}."),
                mend=T("Run the programs of the cluster's version, or dump and load the data."),
                cluster=cluster,
                program=program,
            )

    def _launch(self, placed: Placement, programs: Path, deadline: float) -> None:
        """Start a server unless one lives; returns when it was asked to, not when it answers."""
        while not forget_dead_postmaster(placed.cluster, placed.sockets):
            if running_postmaster(placed.cluster) is not None:
                return  # it is starting up or recovering: wait for it
            if time.monotonic() > deadline:
                raise self._failed(placed)
            time.sleep(POLL_S)  # children of a killed server are on their way out
        self._configure(placed)
        # pg_ctl detaches the server from us; -W because its own wait gives up long before recovery may end.
        arguments = [str(programs / "pg_ctl"), "start", "-W", "-s", "-D", str(placed.cluster), "-l", str(placed.log)]
        asked = run_as(placed.account, arguments, home=placed.home, timeout_s=60)
        if asked.returncode != 0:
            raise self._failed(placed, asked.stderr)
        while running_postmaster(placed.cluster) is None:
            if time.monotonic() > deadline or self._gave_up(placed):
                raise self._failed(placed)
            time.sleep(POLL_S)

    def _configure(self, placed: Placement) -> None:
        quoted = str(placed.sockets).replace("'", "''")
        for name, text in (
            ("lienthong.conf", CONFIGURATION.format(sockets=quoted, port=PORT)),
            ("pg_hba.conf", ACCESS),
        ):
            private_file(placed.cluster / name, text, placed.account)
        placed.log.unlink(missing_ok=True)

    def _gave_up(self, placed: Placement) -> bool:
        return placed.log.exists() and "FATAL" in placed.log.read_text("utf-8", errors="replace")

    def _answers(self, placed: Placement, deadline: float) -> bool:
        """Whether the server took a connection; waits while a living server is on its way up."""
        while (pid := running_postmaster(placed.cluster)) is not None:
            try:
                with psycopg.connect(self.dsn(), connect_timeout=10, autocommit=True) as connection:
                    check_durability(connection)
                    return True
            except psycopg.OperationalError as refused:
                if time.monotonic() > deadline or "authentication failed" in str(refused):
                    raise self._failed(placed, str(refused)) from refused
            if running_postmaster(placed.cluster) == pid:
                time.sleep(POLL_S)
        return False

    def _failed(self, placed: Placement, why: str = "") -> ServerWillNotStart:
        if placed.log.exists():
            why = "\n".join(part for part in (why, placed.log.read_text("utf-8", errors="replace")[-2000:]) if part)
        return ServerWillNotStart(
            T("The embedded PostgreSQL did not start: {why}"),
            mend=T("Read its log {log}; the data is untouched."),
            why=why.strip(),
            log=str(placed.log),
        )
