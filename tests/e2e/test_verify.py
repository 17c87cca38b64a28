"""``lienthong verify``: a receipt and a whole log, from the node and from a copy, good and with one byte changed."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from tests.e2e.country import CITIZEN, PATIENCE_S, Country, free_port, run, until

pytestmark = pytest.mark.e2e


@pytest.fixture
def receipt(country: Country) -> Path:
    """A receipt that the demo made of its first call."""
    return Path(country.described["uses"][0]["receipts"][0]["file"])


@pytest.fixture
def copied_log(country: Country, tmp_path: Path) -> Path:
    """The log of the ministry's node as anybody may copy it."""
    source, copy = country.folder / "nodes" / "nut-g01" / "log", tmp_path / "log"
    copy.mkdir()
    # The checkpoint first: tiles that come later do it no harm, a later checkpoint would miss some.
    shutil.copy(source / "checkpoint", copy)
    shutil.copytree(source, copy, dirs_exist_ok=True, ignore=shutil.ignore_patterns("checkpoint"))
    return copy


def test_a_receipt_file_is_accepted_without_any_node(receipt: Path):
    verified = run("verify", "receipt", str(receipt))

    assert verified.status == 0
    assert "RESULT: GOOD" in verified.out


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("record", lambda text: text.replace('"permitted"', '"refused"')),
        ("record", lambda text: text.replace(CITIZEN, "VN/GOV/G01/dancu/citizem")),
        ("record_hash", lambda text: text[:-1] + ("0" if text[-1] != "0" else "1")),
        ("proof", lambda text: text.replace("index 0", "index 1") if "index 0" in text else text + "AAAA\n"),
    ],
    ids=["outcome", "resource", "hash", "proof"],
)
def test_a_receipt_that_was_changed_is_refused_with_1(receipt: Path, tmp_path: Path, name: str, change):
    content = json.loads(receipt.read_text())
    content[name] = change(content[name])
    (tmp_path / "changed.json").write_text(json.dumps(content))

    verified = run("verify", "receipt", str(tmp_path / "changed.json"))

    assert verified.status == 1
    assert "✗" in verified.out


@pytest.mark.parametrize("arguments", [("receipt", "/nowhere/receipt.json"), ("log", "/nowhere"), ("receipt",), ()])
def test_nothing_to_check_is_status_2(arguments):
    assert run("verify", *arguments).status == 2


def test_a_log_is_checked_from_its_address(country: Country):
    verified = country.run("verify", "log", f"{country.node('G01')['public_url']}/log")

    assert verified.status == 0, verified.out
    assert "RESULT: GOOD" in verified.out
    assert country.run("verify", "log", f"http://127.0.0.1:{free_port()}/log").status == 2


def test_the_logs_of_both_sides_agree(country: Country):
    ours, theirs = (f"{country.node(code)['public_url']}/log" for code in ("H24", "G01"))

    # The two checkpoints are not of one moment: a use made just now may stand in one of them only.
    verified = until(
        lambda: (checked := country.run("verify", "log", ours, "--against", theirs)).status == 0 and checked,
        PATIENCE_S,
        "the logs agree",
    )

    assert " 0 cặp / pairs" not in verified.out


def test_a_copied_log_is_checked_without_any_node(copied_log: Path):
    verified = run("verify", "log", str(copied_log))

    assert verified.status == 0, verified.out


@pytest.mark.parametrize("kind", ["tile/entries/*", "tile/0/*", "checkpoint", "key"])
def test_one_changed_byte_in_a_copied_log_is_found(copied_log: Path, kind: str):
    changed = max(
        (path for path in copied_log.glob(kind if "/" not in kind else kind.replace("*", "**/*")) if path.is_file()),
        # Of partial tiles the one that the checkpoint stands on is the widest.
        key=lambda path: path.stat().st_size,
    )
    content = bytearray(changed.read_bytes())
    # In a checkpoint what the log itself signed: a witness whose cosignature is spoiled is only not counted.
    content[content.index(b"\n\n") - 10 if kind == "checkpoint" else len(content) // 2] ^= 0x01
    changed.write_bytes(content)

    verified = run("verify", "log", str(copied_log))

    assert verified.status == 1, (changed, verified.out)
