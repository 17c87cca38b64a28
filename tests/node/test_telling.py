"""A log line that can not be written fails nobody: the job that tells of a full disk goes on."""

from __future__ import annotations

from pathlib import Path

import pytest
import structlog

from lienthong.node.roles import NeverFails, configure_log


def test_a_line_to_a_full_disk_or_a_closed_stream_is_lost_and_nothing_else(monkeypatch, tmp_path: Path):
    before = structlog.get_config()
    try:
        full = Path("/dev/full").open("w")  # noqa: SIM115 - closing it fails: there is no room for what it holds
        monkeypatch.setattr("sys.stderr", full)
        configure_log("nut-thu", "jobs")
        structlog.get_logger("lienthong.jobs").error("job.failed", error="OSError")
        NeverFails(full).flush()
        with pytest.raises(OSError, match="No space left"):
            full.close()
        closed = (tmp_path / "log").open("w")
        closed.close()
        assert NeverFails(closed).write("x") == 1
        NeverFails(closed).flush()
    finally:
        structlog.contextvars.clear_contextvars()
        structlog.configure(**before)
