"""Clusters that root made for folders under the temporary folder which are gone: removed when the next one is made.

A data folder elsewhere may be on a disk that is not mounted today: its cluster is never touched.
"""

from __future__ import annotations

import os
import shutil
import signal
import tempfile
from pathlib import Path

from lienthong.storage.postmaster import end_postmaster, running_postmaster

MADE_FOR = "made-for"
"""File in a cluster's home that names its data folder."""
PATIENCE_S = 5.0


def remove_orphans(clusters: Path, pointer: str) -> None:
    """Remove the homes in ``clusters`` whose data folder is gone, or names another home in its file ``pointer``.

    Only homes made for folders under the temporary folder, that no living process owns.
    """
    for home in clusters.iterdir():
        if _is_orphan(home, pointer) and (lock := take_lock(home / "lock")) is not None:
            pid = running_postmaster(home / "cluster")
            if pid is not None:
                end_postmaster(pid, signal.SIGQUIT, patience_s=PATIENCE_S)
            shutil.rmtree(home, ignore_errors=True)
            os.close(lock)


def take_lock(path: Path) -> int | None:
    """Take the record lock on ``path`` for this process, or None when another living process has it.

    The lock ends with the descriptor or with the process; unlike flock it is not inherited by what the process forks.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        os.lockf(descriptor, os.F_TLOCK, 0)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _is_orphan(home: Path, pointer: str) -> bool:
    try:
        data_dir = Path((home / MADE_FOR).read_text("utf-8").strip())
    except FileNotFoundError:
        return False  # being made at this moment
    if not data_dir.is_relative_to(tempfile.gettempdir()):
        return False
    if not data_dir.is_dir():
        return True
    try:
        return (data_dir / pointer).read_text("utf-8").strip() != str(home)
    except FileNotFoundError:
        return False  # an emptied folder, or one whose pointer is being written
