"""The key ceremony by its commands: files alone, passwords from files, and a protocol to sign on paper."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.directory import app
from lienthong.directory.tuf.chain import first_root
from lienthong.errors import Problem
from lienthong.trust.keys import generate_es256, public_jwk

KEEPERS = ("hoa", "nam", "lan")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(app, ["ceremony", *arguments], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_three_keepers_make_a_root_that_two_must_sign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("LIENTHONG_LANG", "en")
    Path("password").write_text("một mật khẩu dài\n")
    for name in KEEPERS:
        run("key", f"{name}.pem", f"{name}.json", "--password-file", "password")
        assert "ENCRYPTED" in Path(f"{name}.pem").read_text()
        assert Path(f"{name}.pem").stat().st_mode & 0o077 == 0
    online = {role: public_jwk(generate_es256()) for role in ("timestamp", "snapshot", "targets")}
    Path("online.json").write_text(json.dumps(online))
    keys = [argument for name in KEEPERS for argument in ("--key", f"{name}.json")]
    run("start", "draft.json", *keys, "--online", "online.json")
    for name in KEEPERS[:2]:
        signing = ("--signer", name, "--out", f"signed-{name}.json", "--password-file", "password")
        run("sign", "draft.json", f"{name}.pem", *signing)

    with pytest.raises(Problem):
        run("finish", "signed-hoa.json", "--out", "1.root.json")
    protocol = run("finish", "signed-hoa.json", "signed-nam.json", "--out", "1.root.json")

    assert first_root(Path("1.root.json").read_bytes()).root_version == 1
    assert all(name in protocol for name in KEEPERS[:2])
    assert "một mật khẩu" not in protocol
