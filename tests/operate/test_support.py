"""What goes to those who help holds nothing about a person and no secret, whatever the logs and settings hold."""

from __future__ import annotations

import json
import tarfile
from dataclasses import fields
from pathlib import Path

import pytest

from lienthong.config import Client, Settings
from lienthong.operate.support import KEPT_FIELDS, SHOWN, reduced_line, support_bundle
from lienthong.storage.keyring import Keyring
from lienthong.storage.provision import DatabaseDsns
from tests.operate.living import NAME, NOW, PERSON

HIDDEN = (PERSON, NAME, "geheim", "0912345678", "citizen?personal", "cán bộ", "VN/GOV/H24/motcua")
LINES = [
    {"event": "call.refused", "level": "warning", "kind": "no-agreement", "status": 403, "path": f"/r1/x?n={PERSON}"},
    {"event": "call.done", "outcome": "permitted", "duration_ms": 12.5, "user": NAME, "error": f"no {NAME}"},
    {"event": f"person {PERSON}", "level": "info"},
    {"event": "phone", "status": 912345678, "error": "0912345678"},
]


def bundle(settings: Settings, folder: Path) -> dict[str, str]:
    log = folder / "node.log"
    log.write_text("\n".join([*(json.dumps(line, ensure_ascii=False) for line in LINES), f"Traceback {PERSON}"]))
    out = folder / "support.tar.gz"
    support_bundle(settings, out, logs=[log], now=NOW)
    assert (out.stat().st_mode & 0o777) == 0o600
    with tarfile.open(out) as tar:
        return {each.name: tar.extractfile(each).read().decode() for each in tar}


@pytest.mark.integration
def test_nothing_of_a_person_and_no_secret_is_in_the_bundle(database: DatabaseDsns, tmp_path: Path):
    settings = Settings(
        node="nut-thu", data=tmp_path / "data", members=("VN/GOV/G01",), database="postgresql://a:geheim@nowhere/b",
        clients=(Client("VN/GOV/H24/motcua", "token", "geheim"),), extra={"contact": "cán bộ 0912345678"},
    )  # fmt: skip
    secret = Keyring(settings.data).secret("key-password").hex()
    (settings.data / "secrets" / "database.json").write_text(
        json.dumps({"owner": database.owner, "app": database.app, "log": database.log})
    )

    found = bundle(settings, tmp_path)

    everything = "\n".join(found.values())
    assert set(found) == {"about.json", "settings.json", "database.json", "files.json", "log/node.log"}
    for hidden in (*HIDDEN, secret, database.owner):
        assert hidden not in everything
    assert json.loads(found["database.json"])["log_size"] == 0
    assert json.loads(found["settings.json"])["clients"] == "set"
    assert [json.loads(line)["event"] for line in found["log/node.log"].splitlines()] == [
        "call.refused", "call.done", "phone"
    ]  # fmt: skip


def test_a_bundle_is_made_also_when_the_database_is_away(tmp_path: Path):
    settings = Settings(
        node="nut-thu", data=tmp_path / "data", members=("VN/GOV/G01",), database="postgresql://nowhere"
    )

    assert json.loads(bundle(settings, tmp_path)["database.json"]) == {"error": "database-unavailable"}


def test_every_setting_is_either_known_to_be_harmless_or_shown_only_as_set():
    named = {each.name for each in fields(Settings)}

    assert named >= SHOWN
    assert not SHOWN & {"database", "clients", "extra", "directory_anchor", "members", "data"}


def test_a_line_keeps_only_words_of_the_program():
    line = reduced_line(json.dumps({"event": "x", "error": "two words", "status": 200, "path": "/a"}).encode())

    assert line == b'{"event": "x", "status": 200}\n'
    assert "path" not in KEPT_FIELDS
    assert reduced_line(b"[1]") is None
    assert reduced_line(b"\xff{") is None
