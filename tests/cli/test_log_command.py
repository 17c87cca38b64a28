"""`lienthong log mirror`: a copy by command, from an address or a folder, checked by `lienthong verify log`."""

from __future__ import annotations

import http.server
import threading
from functools import partial
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.log import app
from lienthong.cli.verify import app as verify_app
from tests.verify.test_log import busy


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        """Nothing."""


@pytest.mark.parametrize("served", [True, False])
def test_a_log_is_copied_and_the_copy_verified(tmp_path: Path, served: bool):
    node = busy(300).consumer
    source = str(node.save(tmp_path / "log"))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=source))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        address = f"http://127.0.0.1:{server.server_port}" if served else source
        done = CliRunner().invoke(app, ["mirror", address, str(tmp_path / "copy"), "--key", node.verifier_key])
    finally:
        server.shutdown()
        server.server_close()

    assert done.exit_code == 0, done.output
    assert "300" in done.output
    checked = CliRunner().invoke(verify_app, ["log", str(tmp_path / "copy"), "--key", node.verifier_key])
    assert checked.exit_code == 0
