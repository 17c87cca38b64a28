"""One tar for a site without internet: every wheel of the lock, our own, an installer; ``make bundle``.

python tools/bundle.py OUT.tar            fetch the wheels (checked against the lock's hashes) and pack
python tools/bundle.py OUT.tar --check    also install it into an empty folder with the network down, and run it
"""

from __future__ import annotations

import argparse
import hashlib
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
LOCK = ROOT / "requirements.lock"
INSTALLER = """\
#!/bin/sh
# Installs the node below DIR (default /opt/lienthong) from this folder alone; needs Python 3.11 or newer, no network.
#   ./install.sh [DIR]        then, as root: DIR/bin/lienthong install
set -eu
here="$(cd "$(dirname "$0")" && pwd)"
to="${1:-/opt/lienthong}"
python="${PYTHON:-python3}"
"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
  echo "Can Python 3.11 tro len / Python 3.11 or newer is needed: PYTHON=/path/to/python3.11 $0"; exit 1; }
(cd "$here" && sha256sum --quiet --check SHA256SUMS) || {
  echo "Goi cai dat bi hong / The bundle is damaged: copy it again"; exit 1; }
"$python" -m venv "$to"
pip() { "$to/bin/python" -m pip --disable-pip-version-check --no-input -q "$@"; }
pip install --no-index --find-links "$here/wheels" --require-hashes -r "$here/requirements.lock"
pip install --no-index --no-deps --force-reinstall "$here"/lienthong-*.whl
"$to/bin/python" -c 'import lienthong; print("lienthong", lienthong.__version__)'
echo "Tiep theo / Next, as root: $to/bin/lienthong install"
"""


def build(out: Path, lock: Path = LOCK) -> None:
    """Write the bundle to ``out``; raises CalledProcessError when a wheel is missing or has another hash."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder) / "lienthong-bundle"
        wheels = place / "wheels"
        wheels.mkdir(parents=True)
        pip("download", "--require-hashes", "--only-binary", ":all:", "--dest", wheels, "-r", lock)
        pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", place, ROOT)
        shutil.copy(lock, place / "requirements.lock")
        for name in ("README.md", "LICENSE", "docs/operating.md"):
            shutil.copy(ROOT / name, place / Path(name).name)
        shutil.copy(ROOT / "src" / "lienthong" / "verify.py", place / "verify.py")
        installer = place / "install.sh"
        installer.write_text(INSTALLER, "utf-8")
        installer.chmod(0o755)
        files = sorted(each for each in place.rglob("*") if each.is_file())
        sums = [f"{hashlib.sha256(each.read_bytes()).hexdigest()}  {each.relative_to(place)}\n" for each in files]
        (place / "SHA256SUMS").write_text("".join(sums), "utf-8")
        out.parent.mkdir(parents=True, exist_ok=True)
        with tarfile.open(out, "w") as tar:  # wheels are compressed already
            tar.add(place, arcname=place.name, filter=_nobodys)


def check(bundle: Path, command: tuple[str, ...] = ("bin/lienthong", "--help")) -> str:
    """Install ``bundle`` where no network is, run ``command`` of it there; what was printed.

    Raises CalledProcessError.
    """
    with tempfile.TemporaryDirectory() as folder:
        with tarfile.open(bundle) as tar:
            tar.extractall(folder, filter="data")
        target = Path(folder) / "installed"
        script = (
            "set -e; ! getent ahostsv4 pypi.org >/dev/null; "
            f"PYTHON={sys.executable} ./lienthong-bundle/install.sh {target}; "
            f"{target / command[0]} {' '.join(command[1:])}"
        )
        # A name space of its own whose only interface is a loopback that is down.
        alone = ["unshare", "--net", *([] if os.geteuid() == 0 else ["--map-root-user"]), "sh", "-c", script]
        clean = {"PATH": os.environ["PATH"], "HOME": folder, "LC_ALL": "C.UTF-8"}
        done = subprocess.run(alone, cwd=folder, env=clean, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"offline installation failed:\n{done.stdout}{done.stderr}")
        return done.stdout


def pip(*arguments: object) -> None:
    """Run this environment's pip."""
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", "-q", *map(str, arguments)], check=True)


def _nobodys(entry: tarfile.TarInfo) -> tarfile.TarInfo:
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = 0
    return entry


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("--check", action="store_true")
    chosen = parser.parse_args()
    build(chosen.out)
    print(f"{chosen.out}: {chosen.out.stat().st_size >> 20} MB")
    if chosen.check:
        print(check(chosen.out))
