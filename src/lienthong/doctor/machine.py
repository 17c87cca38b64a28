"""The machine and the folder: rights, room, ports, limits, words."""

from __future__ import annotations

import asyncio
import os
import resource
import shutil
import socket
import stat
from typing import Final

from lienthong.config import Settings
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.errors import Problem
from lienthong.i18n import LOCALE_FOLDER, T
from lienthong.node.checks import LITTLE_BYTES
from lienthong.node.supervise import sandbox_socket
from lienthong.tables.sandbox import Sandbox

FEW_FILES: Final = 4_096


async def folder(patient: Patient) -> list[Fault]:
    """The data folder: ours, and its secrets closed to others."""
    data = patient.settings.data
    faults: list[Fault] = []
    for path in (data, patient.keys, data / "secrets"):
        if not path.exists():
            continue
        found = path.stat()
        if found.st_uid != os.geteuid() or not found.st_mode & stat.S_IWUSR:
            faults.append(
                Fault(
                    "folder-not-writable",
                    T("{folder} belongs to somebody else or can not be written by its owner."),
                    T("Run the node under the folder's owner, or: chown -R ACCOUNT {folder}; chmod u+rwx {folder}"),
                    {"folder": str(path)},
                )
            )
        if path != data and found.st_mode & (stat.S_IRWXG | stat.S_IRWXO):
            faults.append(
                Fault(
                    "secrets-open",
                    T("Others on this machine can look into {folder}, where keys and passwords lie."),
                    T("chmod 700 {folder}; if others had access, have the directory list new keys."),
                    {"folder": str(path)},
                )
            )
    return faults


async def room(patient: Patient) -> list[Fault]:
    """Free room of the data folder's file system."""
    free = shutil.disk_usage(patient.settings.data).free
    if free >= LITTLE_BYTES:
        return []
    return [
        Fault(
            "disk-full",
            T("Only {free_mb} MB are free under {folder}."),
            T("Make room, or give the folder a larger file system; nothing that the log holds may be deleted."),
            {"free_mb": free // 1024**2, "folder": str(patient.settings.data)},
        )
    ]


async def ports(patient: Patient) -> list[Fault]:
    """The three ports: ours when the node runs, free when it does not."""
    faults: list[Fault] = []
    for name, host, port in _listeners(patient.settings):
        reached = await _reached(host, port, patient.patience_s)
        if patient.running and not reached:
            faults.append(
                Fault(
                    "port-not-served",
                    T("The node runs, but nobody listens at {host}:{port} ({name})."),
                    T("Look for the lines of the role in the node's log: it may be starting, or ended at once."),
                    {"name": name, "host": host, "port": port},
                )
            )
        if not patient.running and (reached or not _free(host, port)):
            faults.append(
                Fault(
                    "port-taken",
                    T("Another program holds {host}:{port}, which is this node's {name}."),
                    T("End that program (ss -ltnp 'sport = :{port}' names it), or set another {name}."),
                    {"name": name, "host": host, "port": port},
                )
            )
    return faults


async def limits(_: Patient) -> list[Fault]:
    """What the account may open."""
    most, _hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most >= FEW_FILES:
        return []
    return [
        Fault(
            "few-open-files",
            T("A process of this account may open {most} files; each connection is one."),
            T("Raise the limit to {wanted}: LimitNOFILE in the service, or ulimit -n."),
            {"most": most, "wanted": FEW_FILES},
            grave=False,
        )
    ]


async def words(_: Patient) -> list[Fault]:
    """The catalogues of both languages."""
    missing = [
        language
        for language in ("vi", "en")
        if not (LOCALE_FOLDER / language / "LC_MESSAGES" / "lienthong.po").is_file()
    ]
    if not missing:
        return []
    return [
        Fault(
            "words-missing",
            T("The catalogue of words is missing: {languages}. Pages and problems come in English."),
            T("Install the program again; a file of the package was lost."),
            {"languages": ", ".join(missing)},
            grave=False,
        )
    ]


async def sandbox(patient: Patient) -> list[Fault]:
    """One small job, as queries and files need them; only while the node runs."""
    if not patient.running:
        return []
    try:
        async with asyncio.timeout(4 * patient.patience_s):
            # A file that is not there: the answer is a problem of the job, which shows that jobs are taken.
            await Sandbox(sandbox_socket(patient.settings)).run("inspect", {"path": "/nonexistent", "kind": "csv"})
    except Problem as told:
        if told.kind not in ("sandbox-busy", "job-failed", "out-of-time"):
            return []
    except (OSError, TimeoutError):
        pass
    except (TypeError, ValueError, KeyError):
        return []
    return [
        Fault(
            "sandbox-down",
            T("The sandbox takes no jobs: queries, files and shared tables can not be answered."),
            T("See the sandbox's lines in the node's log: it needs user namespaces or its limits, and memory."),
        )
    ]


def _listeners(settings: Settings) -> tuple[tuple[str, str, int], ...]:
    return (
        ("public_port", settings.public_host, settings.public_port),
        ("client_port", settings.client_host, settings.client_port),
        ("peer_port", settings.peer_host, settings.peer_port),
    )


async def _reached(host: str, port: int, patience_s: float) -> bool:
    if not port:
        return True  # the system chooses one at the start
    try:
        async with asyncio.timeout(patience_s):
            _, writer = await asyncio.open_connection("127.0.0.1" if host in ("0.0.0.0", "") else host, port)  # noqa: S104 - compared, not bound
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


def _free(host: str, port: int) -> bool:
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError:
            return False
    return True
