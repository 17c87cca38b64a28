"""``lienthong serve``: one parent that starts a node's processes, watches them and ends them in order.

Order of start: database, schema, then gateway, web and jobs side by side, forked from here; the jobs keep the sandbox.
They end with this process, even a killed one; an embedded database then lives on until the next start takes it over.
On SIGTERM or SIGINT the gateway and the web stop taking new work and drain; the database, when it is ours, goes last.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import FrameType
from typing import ClassVar

from lienthong.config import CONFIG_VARIABLE, Settings
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.node.forking import Child, fork, preload
from lienthong.node.roles import ROLES, NeverFails, run_role
from lienthong.storage.placement import short_folder
from lienthong.storage.provision import DatabaseDsns, DatabaseUnavailable, prepare_database
from lienthong.storage.server import PostgresServer

DRAIN_S = 30.0
RESTART_WAIT_S = 1.0
DATABASE_FILE = "database.json"


class AlreadyServing(Problem):
    """Another process serves this data folder."""

    kind: ClassVar[str] = "already-serving"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("The node runs already")


@dataclass(slots=True)
class Supervisor:
    """The running node of one configuration file."""

    settings: Settings
    config: Path
    _children: dict[str, Child] = field(default_factory=dict[str, Child])
    _postgres: PostgresServer | None = None
    _stopping: bool = False

    def run(self) -> int:
        """Serve until told to stop; returns the exit status."""
        signal.signal(signal.SIGTERM, self._stop)
        signal.signal(signal.SIGINT, self._stop)
        lock = lock_folder(self.settings.data)
        os.environ[CONFIG_VARIABLE] = str(self.config)  # for the commands that the node's processes run
        try:
            self._start_database()
            # What every role needs, imported once; the web and the jobs import the rest for themselves.
            preload([ROLES["gateway"]])
            for name in self._names():
                self._start(name)
            self._watch()
        finally:
            self._end_children()
            if self._postgres:
                self._postgres.stop()
            os.close(lock)
        return 0

    def _start_database(self) -> None:
        superuser = self.settings.database
        if superuser is None:
            self._postgres = PostgresServer(self.settings.data / "postgres")
            self._postgres.start()
            superuser = self._postgres.dsn("postgres")
        write_dsns(self.settings, prepare_database(superuser, self.settings.database_name))

    def _names(self) -> list[str]:
        """The processes by name: a role, and a number behind it from the second of its kind on."""
        more = [f"gateway-{number}" for number in range(2, self.settings.gateways + 1)]
        return [*ROLES, *more]

    def _start(self, name: str) -> None:
        role = name.partition("-")[0]
        title = f"lienthong.node {name} --config {self.config}"
        self._children[name] = fork(lambda: run_role(role, self.settings), title=title)

    def _watch(self) -> None:
        while not self._stopping:
            time.sleep(0.2)
            for role, child in list(self._children.items()):
                if not self._stopping and (status := child.poll()) is not None:
                    print(
                        json.dumps({"event": "child.ended", "role": role, "status": status}),
                        file=NeverFails(sys.stderr),
                        flush=True,
                    )
                    time.sleep(RESTART_WAIT_S)
                    self._start(role)

    def _end_children(self) -> None:
        until = time.monotonic() + DRAIN_S
        for name in reversed(self._names()):
            if name in self._children:
                self._children[name].send(signal.SIGTERM)
        for child in self._children.values():
            child.end(until)

    def _stop(self, _signal: int, _frame: FrameType | None) -> None:
        self._stopping = True


def lock_folder(folder: Path) -> int:
    """Take the data folder for this process; raises AlreadyServing.  The lock ends with the descriptor returned."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder / "serving.lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.lockf(descriptor, os.F_TLOCK, 0)
    except OSError:
        os.close(descriptor)
        raise AlreadyServing(
            T("Another process serves the folder {folder}."),
            mend=T("Stop it first, or name another data folder."),
            folder=str(folder),
        ) from None
    return descriptor


def write_dsns(settings: Settings, dsns: DatabaseDsns) -> None:
    """Keep the three DSNs where only this account can read them."""
    folder = settings.data / "secrets"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    path = folder / DATABASE_FILE
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(dsns), file)


def read_dsns(settings: Settings) -> DatabaseDsns:
    """The DSNs the supervisor wrote.  Raises DatabaseUnavailable when the node was never started on this machine."""
    path = settings.data / "secrets" / DATABASE_FILE
    if not path.exists():
        raise DatabaseUnavailable(
            T("The node's database does not answer."), mend=T("See that the server runs and has free connections.")
        )
    return DatabaseDsns(**json.loads(path.read_text("utf-8")))


def sandbox_socket(settings: Settings) -> Path:
    """Where the sandbox of this node listens; short enough for a Unix socket."""
    return short_folder(settings.data) / "sandbox.sock"
