"""The demo's nodes as its parent sees them: started through one nursery process, watched, ended together."""

from __future__ import annotations

import json
import select
import subprocess
import sys
from pathlib import Path
from typing import IO, Final

END_S: Final = 40.0


class Nodes:
    """Starts nodes by their configuration; they end when asked, and also when this process is killed."""

    def __init__(self, postgres: Path) -> None:
        """``postgres`` is the folder of the embedded server to stop if this process should be killed."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "lienthong.node.nursery", str(postgres)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def start(self, config: Path, log: Path) -> None:
        """Start the node of ``config``; what it prints is appended to ``log``."""
        self._order({"config": str(config), "log": str(log)})

    def ended(self) -> str | None:
        """The configuration file of a node that has ended since the last look, the nursery's word when it is gone."""
        heard = _pipe(self._process.stdout)
        ready, _, _ = select.select([heard], [], [], 0)
        if not ready:
            return None
        line = heard.readline()
        return str(json.loads(line)["ended"]) if line else "nursery"

    def end(self) -> None:
        """End every node in order, then the process that started them."""
        if self._process.poll() is None:
            self._order({"done": True})
        _pipe(self._process.stdin).close()
        try:
            self._process.wait(END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _pipe(self._process.stdout).close()

    def _order(self, order: dict[str, object]) -> None:
        out = _pipe(self._process.stdin)
        try:
            out.write(json.dumps(order).encode() + b"\n")
            out.flush()
        except BrokenPipeError:
            pass  # it has ended: ``ended`` says so


def _pipe(stream: IO[bytes] | None) -> IO[bytes]:
    if stream is None:
        raise ValueError("both pipes were asked for")
    return stream
