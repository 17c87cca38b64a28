"""``lienthong case``: what an officer without the pages does on the node's own machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from lienthong.node.supervise import DATABASE_FILE
from lienthong.storage.provision import DatabaseDsns

SOURCE = Path(__file__).parents[2] / "src"


@pytest.fixture
def node(tmp_path: Path, database: DatabaseDsns) -> Path:
    """The configuration of a node whose database is there."""
    secrets = tmp_path / "data" / "secrets"
    secrets.mkdir(parents=True)
    (secrets / DATABASE_FILE).write_text(json.dumps(asdict(database)), "utf-8")
    config = tmp_path / "node.toml"
    config.write_text(f'node = "nut-thu"\ndata = "{tmp_path / "data"}"\nmembers = ["VN/GOV/H24"]\n', "utf-8")
    return config


def case(node: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run ``lienthong case``."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("LIENTHONG_")}
    chosen = {"PYTHONPATH": str(SOURCE), "LIENTHONG_LANG": "en", "LIENTHONG_CONFIG": str(node)}
    return subprocess.run(
        [sys.executable, "-m", "lienthong.cli", "case", *arguments],
        env=kept | chosen, cwd=node.parent, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def told(node: Path, *arguments: str) -> Any:
    """What the command answers."""
    ran = case(node, *arguments)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def test_a_case_is_opened_answered_and_refused_only_with_reason_and_provision(node: Path):
    opened = told(node, "open", "open-data-request", "Mở dữ liệu trường học", "--once", "k1")
    assert told(node, "open", "open-data-request", "Mở dữ liệu trường học", "--once", "k1")["id"] == opened["id"]
    assert (opened["owner"], opened["state"], opened["overdue"]) == ("VN/GOV/H24", "open", False)

    told(node, "answer", opened["id"], "Đã nhận")
    unfounded = case(node, "move", opened["id"], "refused", "--reason", "Dữ liệu mật")
    assert unfounded.returncode == 1
    assert "urn:lienthong:problem:refusal-unfounded" in unfounded.stderr

    told(node, "move", opened["id"], "refused", "--reason", "Dữ liệu mật", "--provision", "Luật 29/2018/QH14, Đ7")
    shown = told(node, "show", opened["id"])
    assert [each["act"] for each in shown["history"]] == ["opened", "answered", "moved"]
    assert shown["history"][-1]["provision"] == "Luật 29/2018/QH14, Đ7"
    assert [each["id"] for each in told(node, "list", "--ended")] == [opened["id"]]


def test_a_clock_is_paused_resumed_and_extended_by_command(node: Path):
    opened = told(node, "open", "feedback", "Trang khó đọc")["id"]

    assert told(node, "pause", opened, "--reason", "Chờ bổ sung")["paused"]
    assert not told(node, "resume", opened)["paused"]
    assert told(node, "extend", opened, "--reason", "Cần thêm thời gian")["extended"]
    assert told(node, "counts") == [
        {"kind": "feedback", "owner": "VN/GOV/H24", "running": 1, "overdue": 0, "ended": 0, "escalated": 0}
    ]
    assert {"breach", "rights-request"} <= {each["kind"] for each in told(node, "kinds")}
