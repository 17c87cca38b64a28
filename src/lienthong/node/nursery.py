"""``python -m lienthong.node.nursery FOLDER``: several nodes of one machine, forked from one process.

For the demo: twenty processes import their modules once instead of twenty times.  Each line on standard input is a
JSON object: ``{"config": FILE, "log": FILE}`` starts a node.  Each line on standard output tells of a node that ended.
At the end of its input it ends the nodes in order; an input that ends without ``{"done": true}`` means that the asker
was killed: then the embedded PostgreSQL in FOLDER, which nobody needs any more, is stopped too.
"""

from __future__ import annotations

import json
import os
import select
import signal
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, cast

from lienthong.config import load_settings
from lienthong.node.forking import Child, fork, preload
from lienthong.node.roles import ROLES
from lienthong.node.supervise import DRAIN_S, Supervisor
from lienthong.storage.server import PostgresServer

LOOK_S: Final = 0.2
LONGEST_ORDER: Final = 64 * 1024


class Nursery:
    """Starts nodes as it is told, tells which ended, and ends the rest with its input."""

    def __init__(self, postgres: Path) -> None:
        self._postgres = postgres
        self._nodes: dict[str, Child] = {}
        self._told: set[str] = set()
        self._done = False

    def run(self) -> None:
        """Until the input ends."""
        unread = b""
        while True:
            ready, _, _ = select.select([0], [], [], LOOK_S)
            if ready:
                more = os.read(0, LONGEST_ORDER)
                if not more:
                    break
                *lines, unread = (unread + more).split(b"\n")
                for line in lines:
                    self._follow(cast("Mapping[str, object]", json.loads(line)))
            self._tell_ended()
        self._end()

    def _follow(self, order: Mapping[str, object]) -> None:
        if order.get("done"):
            self._done = True
            return
        config = Path(str(order["config"]))
        self._nodes[str(config)] = fork(
            lambda: Supervisor(load_settings(config), config).run(),
            title=f"lienthong serve --config {config}",
            output=Path(str(order["log"])),
        )

    def _tell_ended(self) -> None:
        for config, node in self._nodes.items():
            if config not in self._told and node.poll() is not None:
                self._told.add(config)
                print(json.dumps({"ended": config, "status": node.status}), flush=True)

    def _end(self) -> None:
        until = time.monotonic() + DRAIN_S + 5.0
        for node in self._nodes.values():
            node.send(signal.SIGTERM)
        for node in self._nodes.values():
            node.end(until)
        if not self._done:
            server = PostgresServer(self._postgres)
            server.start()  # takes over what the killed asker left
            server.stop()


def main() -> None:
    """Import once, then serve orders."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)  # the end of the input is the only order to end
    nursery = Nursery(Path(sys.argv[1]))
    preload(list(ROLES.values()))
    nursery.run()


if __name__ == "__main__":
    main()
