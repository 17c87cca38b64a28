"""Facts about a server's processes, read from its pid file and ``/proc``: never from a library's memory of them.

A killed postmaster may stay as a zombie that still answers ``kill(pid, 0)``; its children live on for a moment and
share its memory.  Both are looked at here, so that a start neither trusts a dead server nor runs beside a living one.
"""

from __future__ import annotations

import os
import select
import signal
from pathlib import Path

PID_FILE = "postmaster.pid"


def running_postmaster(cluster: Path) -> int | None:
    """Process id of the living server of ``cluster``, or None.

    Living: named by the pid file, no zombie, and at work in this very folder (a number may be reused after a reboot).
    """
    try:
        pid = int((cluster / PID_FILE).read_text("ascii").split("\n", 1)[0])
    except (FileNotFoundError, ValueError):
        return None
    return pid if works_in(pid, cluster) else None


def processes_in(cluster: Path) -> list[int]:
    """Every living process whose working folder is ``cluster``: the postmaster and whatever it left behind."""
    return [int(name) for name in os.listdir("/proc") if name.isdigit() and works_in(int(name), cluster)]


def works_in(pid: int, cluster: Path) -> bool:
    """Whether process ``pid`` lives (is no zombie) with ``cluster`` as its working folder."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii", errors="replace").rpartition(")")[2].split()[0]
        return state not in "ZX" and os.readlink(f"/proc/{pid}/cwd") == str(cluster)
    except (FileNotFoundError, ProcessLookupError, PermissionError, IndexError):
        return False


def forget_dead_postmaster(cluster: Path, sockets: Path) -> bool:
    """Remove the pid file and the socket of a server that is gone; False when any process still works in the folder.

    PostgreSQL itself refuses to start over the pid file, or the socket's lock file, of a zombie; and removing them
    while a child of the dead server lives would let two servers write one cluster: so they go when nobody is left.
    """
    if processes_in(cluster):
        return False
    for left in ((cluster / PID_FILE), *sockets.glob(".s.PGSQL.*")):
        left.unlink(missing_ok=True)
    return True


def end_postmaster(pid: int, first: signal.Signals, *, patience_s: float) -> None:
    """End server ``pid``, returns when it is gone.

    ``first`` is SIGINT (fast: checkpoint and end) or SIGQUIT (immediate); each ``patience_s`` without success brings
    the next stronger signal.
    """
    try:
        watch = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    try:
        for request in (first, signal.SIGQUIT, signal.SIGKILL):
            signal.pidfd_send_signal(watch, request)
            if _ended(watch, patience_s):
                return
    except ProcessLookupError:
        return
    finally:
        os.close(watch)


def _ended(watch: int, patience_s: float) -> bool:
    poller = select.poll()
    poller.register(watch, select.POLLIN)
    return bool(poller.poll(patience_s * 1000))
