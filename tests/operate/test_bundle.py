"""The bundle for a site without internet installs where there is no network, and not when a byte of it changed."""

from __future__ import annotations

import subprocess
import tarfile
from pathlib import Path

import pytest

from lienthong import __version__
from tools.bundle import build, check

ALONE = subprocess.run(["unshare", "--net", "true"], capture_output=True, check=False).returncode == 0


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Our own wheel and installer; the wheels of others are many megabytes and fetched by ``make bundle`` alone."""
    folder = tmp_path_factory.mktemp("bundle")
    (folder / "none.lock").write_text("")
    build(folder / "lienthong.tar", folder / "none.lock")
    return folder / "lienthong.tar"


@pytest.mark.skipif(not ALONE, reason="this account may make no network name space")
def test_it_installs_and_answers_with_the_network_down(bundle: Path):
    said = check(bundle, ("bin/python", "-c", "'import lienthong; print(lienthong.__version__, lienthong.__file__)'"))

    assert said.splitlines()[-1].startswith(f"{__version__} ")
    assert "/installed/lib/" in said.splitlines()[-1]


@pytest.mark.skipif(not ALONE, reason="this account may make no network name space")
def test_a_damaged_bundle_is_refused_before_anything_is_installed(bundle: Path, tmp_path: Path):
    with tarfile.open(bundle) as tar:
        tar.extractall(tmp_path, filter="data")
    (tmp_path / "lienthong-bundle" / "requirements.lock").write_text("# changed\n")

    ran = subprocess.run(
        [tmp_path / "lienthong-bundle" / "install.sh", tmp_path / "to"], capture_output=True, text=True, check=False
    )

    assert ran.returncode == 1
    assert "damaged" in ran.stdout
    assert not (tmp_path / "to").exists()
