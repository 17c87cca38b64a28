"""What every command does before any node is asked: version, help, wrong usage, and a node nobody named."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from lienthong import __version__
from lienthong.cli.app import COMMANDS

SOURCE = Path(__file__).parents[2] / "src"


def lienthong(folder: Path, *arguments: str, language: str = "en") -> subprocess.CompletedProcess[str]:
    """Run a command on a machine that has no node and no demo."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    chosen = {"PYTHONPATH": str(SOURCE), "LIENTHONG_LANG": language, "LIENTHONG_DEMO": str(folder)}
    return subprocess.run(
        [sys.executable, "-m", "lienthong.cli", *arguments],
        env=kept | chosen, cwd=folder, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


def test_the_version_is_one_line(tmp_path: Path):
    ran = lienthong(tmp_path, "--version")

    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"lienthong {__version__}\n", "")


def test_help_names_every_command(tmp_path: Path):
    ran = lienthong(tmp_path, "--help")

    assert ran.returncode == 0
    for name in COMMANDS:
        assert f" {name} " in ran.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ("nonsense",),
        ("call",),
        ("call", "--node", "http://127.0.0.1:1", "VN/GOV/G01/dancu/citizen"),
        ("query",),
        ("share", "profile", "--out", "x"),
        ("demo", "--persons", "99"),
        ("demo", "--persons", "many"),
        ("serve", "--nonsense"),
        ("publish", "x.csv"),
    ],
    ids=" ".join,
)
def test_wrong_usage_is_status_2_and_says_what_is_wrong(tmp_path: Path, arguments: tuple[str, ...]):
    ran = lienthong(tmp_path, *arguments)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "Error" in ran.stderr


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", "SELECT 1"),
        ("share", "profile", "--agreement", "urn:uuid:1", "--out", "x.share"),
        ("agreement", "list"),
    ],
    ids=lambda arguments: arguments[0],
)
def test_where_no_node_is_known_the_command_says_how_to_name_one(tmp_path: Path, arguments: tuple[str, ...]):
    ran = lienthong(tmp_path, *arguments)

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "urn:lienthong:problem:which-node" in ran.stderr
    assert "what to do: " in ran.stderr


def test_a_problem_is_told_in_the_readers_language(tmp_path: Path):
    english, vietnamese = (lienthong(tmp_path, "query", "SELECT 1", language=spoken) for spoken in ("en", "vi"))

    assert "Which node?" in english.stderr
    assert "Which node?" not in vietnamese.stderr
    assert (english.returncode, vietnamese.returncode) == (2, 2)


def test_a_configuration_that_is_not_there_is_status_2(tmp_path: Path):
    ran = lienthong(tmp_path, "serve", "--config", str(tmp_path / "none.toml"))

    assert ran.returncode == 2
    assert "none.toml" in ran.stderr


def test_a_node_that_was_never_started_is_status_2(tmp_path: Path):
    config = tmp_path / "lienthong.toml"
    config.write_text(f'node = "nut-h24"\ndata = "{tmp_path}/data"\nmembers = ["VN/GOV/H24"]\n')

    ran = lienthong(tmp_path, "agreement", "list", "--config", str(config))

    assert (ran.returncode, ran.stdout) == (2, "")
    assert "urn:lienthong:problem:database-unavailable" in ran.stderr
