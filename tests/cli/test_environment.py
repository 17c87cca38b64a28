"""What a command says when its surroundings are not as they should be: status 2, whose side, what to do."""

from __future__ import annotations

import socket
import subprocess
import sys
from pathlib import Path

import pytest

from lienthong.cli.terminal import NodeUnreachable, ask, show_problem
from lienthong.cli.where import WhichNode, asker, settings_for
from lienthong.demo.run import Demo, DemoFailed


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No configuration, no demo, Vietnamese."""
    for name in ("LIENTHONG_CONFIG", "LIENTHONG_NODE", "LIENTHONG_CLIENT", "LC_ALL", "LANG", "LIENTHONG_LANG"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("LIENTHONG_DEMO", str(tmp_path))


@pytest.fixture
def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_node_that_does_not_run_is_named_with_what_to_do(closed_port: int, capsys: pytest.CaptureFixture[str]):
    with pytest.raises(NodeUnreachable) as away:
        ask(f"http://127.0.0.1:{closed_port}", "GET", "/livez")

    assert show_problem(away.value) == 2
    told = capsys.readouterr().err
    assert str(closed_port) in told
    assert "việc cần làm" in told


def test_a_question_without_a_node_asks_which_one():
    with pytest.raises(WhichNode):
        asker(None, None)
    with pytest.raises(WhichNode):
        settings_for("G01")


def test_a_busy_port_is_told_before_anything_is_started(tmp_path: Path):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        demo = Demo(tmp_path / "country", 100, taken.getsockname()[1], "vi", lambda _: True, quiet=True)

        with pytest.raises(DemoFailed) as refused:
            demo.start()

    assert refused.value.facts["port"] == demo.port
    assert not (tmp_path / "country").exists()


@pytest.mark.parametrize(
    ("arguments", "status"),
    [
        (["--version"], 0),
        (["--help"], 0),
        (["no-such-command"], 2),
        (["call", "VN/GOV/G01/dancu/citizen"], 2),
        (["query", "SELECT 1"], 2),
        (["verify", "receipt", "/nowhere/receipt.json"], 2),
        (["serve", "--config", "/nowhere/lienthong.toml"], 2),
    ],
)
def test_wrong_usage_and_surroundings_have_status_2(arguments: list[str], status: int):
    done = subprocess.run([sys.executable, "-m", "lienthong.cli", *arguments], capture_output=True, check=False)

    assert done.returncode == status, done.stderr.decode()
    assert done.stdout or done.stderr


def test_the_help_of_every_command_shows_a_line_to_copy():
    from lienthong.cli.app import COMMANDS  # the table itself is what is tested

    for name in COMMANDS:
        done = subprocess.run([sys.executable, "-m", "lienthong.cli", name, "--help"], capture_output=True, check=True)
        assert b"lienthong" in done.stdout or b"Commands" in done.stdout, name
