"""The service's files: accepted by systemd, well locked up, put and taken away without touching what is the owner's."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from lienthong.config import settings_from
from lienthong.operate.install import NotRoot, command_path, install, uninstall
from lienthong.operate.units import CONFIG, FIRST_CONFIG

PROGRAM = sys.executable
needs_systemd = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="no systemd-analyze")


def analyze(*arguments: str) -> str:
    ran = subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout + ran.stderr


@needs_systemd
def test_systemd_accepts_the_units_without_a_word(tmp_path: Path):
    install(tmp_path, PROGRAM)

    units = sorted(map(str, (tmp_path / "etc/systemd/system").iterdir()))

    assert len(units) == 3
    assert "lienthong" not in analyze("verify", "--man=no", *units)


@needs_systemd
@pytest.mark.parametrize("unit", ["lienthong.service", "lienthong-backup.service"])
def test_the_services_are_exposed_little_by_systemds_own_measure(tmp_path: Path, unit: str):
    install(tmp_path, PROGRAM)

    told = analyze("security", "--offline=true", "--no-pager", f"--root={tmp_path}", unit)
    exposure = re.search(r"Overall exposure level for .*: ([0-9.]+)", told)

    assert exposure
    assert float(exposure[1]) <= 2.0


def test_a_second_installation_renews_the_units_and_keeps_the_configuration(tmp_path: Path):
    first = install(tmp_path, PROGRAM)
    (tmp_path / CONFIG).write_text("node = 'mine'\n")
    unit = tmp_path / "etc/systemd/system/lienthong.service"
    unit.write_text("old")

    second = install(tmp_path, "/opt/lienthong/bin/lienthong")

    assert (len(first.kept), second.kept) == (0, (tmp_path / CONFIG,))
    assert (tmp_path / CONFIG).read_text() == "node = 'mine'\n"
    assert "ExecStart=/opt/lienthong/bin/lienthong serve --config /etc/lienthong/lienthong.toml" in unit.read_text()
    assert any("daemon-reload" in command for command in second.left_to_do), "nothing is run for a folder"


def test_uninstalling_keeps_what_is_the_owners_unless_told_by_name(tmp_path: Path):
    install(tmp_path, PROGRAM)
    keys = tmp_path / "var/lib/lienthong/data/keys"
    keys.mkdir(parents=True)

    uninstall(tmp_path)
    kept = ((tmp_path / CONFIG).exists(), keys.exists(), list((tmp_path / "etc/systemd/system").iterdir()))
    uninstall(tmp_path, with_data=True)

    assert kept == (True, True, [])
    assert not (tmp_path / CONFIG).exists()
    assert not keys.exists()


def test_the_real_machine_is_for_its_administrator_only(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(os, "geteuid", lambda: 1000)

    with pytest.raises(NotRoot) as refused:
        install(Path("/"), PROGRAM)

    assert refused.value.kind == "not-root"
    assert "--root" in refused.value.mend
    with pytest.raises(NotRoot):
        uninstall(Path("/"))


def test_the_first_configuration_is_understood_once_its_dots_are_filled():
    settings = settings_from(tomllib.loads(FIRST_CONFIG), Path("/etc/lienthong/lienthong.toml"))

    assert settings.data == Path("/var/lib/lienthong/data")
    assert Path(command_path()).is_absolute()
