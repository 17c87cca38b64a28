"""``lienthong install`` and ``uninstall``: the files of the service, put in place and taken away.

Safe to run again: a configuration that exists stays; units are brought to this release.  Uninstalling keeps
configuration, data and backups unless told by name to remove them.
"""

from __future__ import annotations

import os
import pwd
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.operate.units import ACCOUNT, BACKUPS, CONFIG, DATA, placed_files

Run = Callable[[Sequence[str]], int]
"""Runs a command of the machine; its exit status."""
SYSTEMD: Final = Path("/run/systemd/system")
AFTER_INSTALL: Final = (
    ("systemd-sysusers", "/etc/sysusers.d/lienthong.conf"),
    ("systemd-tmpfiles", "--create", "/etc/tmpfiles.d/lienthong.conf"),
    ("systemctl", "daemon-reload"),
)
BEFORE_UNINSTALL: Final = (("systemctl", "disable", "--now", "lienthong.service", "lienthong-backup.timer"),)


class NotRoot(Problem):
    """Only the machine's administrator can install a service."""

    kind: ClassVar[str] = "not-root"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "node"
    title: ClassVar[str] = T("Administrator's rights are needed")


@dataclass(frozen=True, slots=True)
class Installed:
    """What was done: files written and kept, commands that failed or were left to the administrator."""

    written: tuple[Path, ...]
    kept: tuple[Path, ...]
    left_to_do: tuple[str, ...]


def install(root: Path, program: str | None = None, run: Run | None = None) -> Installed:
    """Put the files below ``root``; on the running machine (``/``) also make the account and the folders.

    Raises NotRoot.
    """
    real = root == Path("/")
    _expect_root(root)
    written: list[Path] = []
    kept: list[Path] = []
    for each in placed_files(program or command_path()):
        path = root / each.path
        if each.kept and path.exists():
            kept.append(path)
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_name(f".{path.name}.new")
        temporary.write_text(each.text, "utf-8")
        temporary.chmod(each.mode)
        temporary.replace(path)
        written.append(path)
    left = [" ".join(command) for command in AFTER_INSTALL if not real or not _succeeds(command, run)]
    if real:
        _let_account_read(root / CONFIG)
    return Installed(tuple(written), tuple(kept), tuple(left))


def uninstall(root: Path, *, with_data: bool = False, run: Run | None = None) -> tuple[Path, ...]:
    """Stop the service and take its files away; configuration, data and backups stay unless ``with_data``.

    Raises NotRoot.
    """
    _expect_root(root)
    if root == Path("/"):
        for command in BEFORE_UNINSTALL:
            _succeeds(command, run)
    removed: list[Path] = []
    for each in placed_files("/"):
        path = root / each.path
        if path.exists() and (with_data or not each.kept):
            path.unlink()
            removed.append(path)
    if with_data:
        for folder in (root / DATA, root / BACKUPS, (root / CONFIG).parent):
            if folder.exists():
                shutil.rmtree(folder)
                removed.append(folder)
    if root == Path("/"):
        _succeeds(("systemctl", "daemon-reload"), run)
    return tuple(removed)


def command_path() -> str:
    """The ``lienthong`` of the environment this process runs in."""
    return str(Path(sys.executable).absolute().parent / "lienthong")


def _expect_root(root: Path) -> None:
    if root == Path("/") and os.geteuid() != 0:
        raise NotRoot(
            T("The files of a service are the administrator's."),
            mend=T("Run it as root, or look at the files first: lienthong install --root DIR"),
        )


def _succeeds(command: Sequence[str], run: Run | None) -> bool:
    if run is not None:
        return run(command) == 0
    if shutil.which(command[0]) is None or (command[0] == "systemctl" and not SYSTEMD.exists()):
        return False
    return subprocess.run(command, check=False, stdin=subprocess.DEVNULL).returncode == 0


def _let_account_read(config: Path) -> None:
    """The configuration names the database's account: the service may read it, others may not."""
    try:
        shutil.chown(config, "root", pwd.getpwnam(ACCOUNT).pw_gid)
    except KeyError:
        pass  # the account is among the commands left to do
