"""The whole look: configuration first, then everything that does not need what is broken."""

from __future__ import annotations

import asyncio
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import structlog

from lienthong.config import BadConfiguration, Settings, load_settings
from lienthong.directory.document import Snapshot
from lienthong.doctor import database, directory, drills, keys, machine, peers, services
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Look, Patient
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.local import KeptDirectory
from lienthong.node.supervise import read_dsns
from lienthong.storage.provision import DatabaseDsns

log = structlog.get_logger("lienthong.doctor")
LOOKS: Final[tuple[Look, ...]] = (
    machine.folder,
    machine.room,
    machine.limits,
    machine.words,
    machine.ports,
    keys.keys,
    keys.certificate,
    database.database,
    database.log,
    directory.directory,
    peers.clock,
    peers.peers,
    services.services,
    machine.sandbox,
    drills.drills,
)
"""In the order in which their faults should be mended."""


async def examine(config: Path | None, *, now: datetime | None = None, patience_s: float = 3.0) -> list[Fault]:
    """Everything that is wrong with the node of ``config``, what must be mended first first."""
    try:
        settings = load_settings(config)
    except BadConfiguration as bad:
        return [Fault("bad-configuration", bad.message, bad.mend or T("Correct the file."), bad.facts)]
    if not await asyncio.to_thread(settings.data.is_dir):
        # Nothing else is looked at: whoever opens a folder that is not there would make it.
        return [
            Fault(
                "data-missing",
                T("The data folder {folder} is not there."),
                T("Correct data in the configuration, or start the node once: lienthong serve."),
                {"folder": str(settings.data)},
            )
        ]
    patient, faults = await asyncio.to_thread(_admit, settings, now or datetime.now(UTC), patience_s)
    return [*faults, *await look_at(patient)]


async def look_at(patient: Patient) -> list[Fault]:
    """What all looks find, in their order."""
    told = await asyncio.gather(*(_looked(look, patient) for look in LOOKS))
    faults = [fault for found in told for fault in found]
    if any(fault.name in ("database-down", "database-unsafe", "schema-old") for fault in faults):
        # Without its database nothing can be said of what lies in it.
        faults = [fault for fault in faults if fault.name not in ("log-unreadable", "look-failed")]
    return faults


def _admit(settings: Settings, now: datetime, patience_s: float) -> tuple[Patient, list[Fault]]:
    running = _running(settings.data)
    faults: list[Fault] = []
    snapshot: Snapshot | None = None
    try:
        snapshot = KeptDirectory(settings).snapshot()
    except Problem as problem:
        if problem.kind != "no-directory":
            faults.append(
                Fault(
                    "directory-broken",
                    T("The directory that this node keeps can not be used: {state}."),
                    T("Delete the kept file; the node fetches the directory again."),
                    {"state": problem.kind},
                )
            )
    except (OSError, ValueError):
        pass  # the look at the directory says that the anchor can not be read
    return Patient(settings, now, running, _dsns(settings, running=running), snapshot, patience_s), faults


def _dsns(settings: Settings, *, running: bool) -> DatabaseDsns | None:
    """None for the embedded server of a node that is not running: nothing is wrong with it, and nothing to ask."""
    if settings.database is None and not running:
        return None
    try:
        return read_dsns(settings)
    except (Problem, OSError, ValueError, TypeError):
        return None


def _running(folder: Path) -> bool:
    """Whether a supervisor holds the folder; looked at without taking it."""
    try:
        descriptor = os.open(folder / "serving.lock", os.O_RDWR)
    except OSError:
        return False
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return True
    finally:
        os.close(descriptor)
    return False


async def _looked(look: Look, patient: Patient) -> list[Fault]:
    try:
        return await look(patient)
    except Exception as failed:  # a look's root: what it did not foresee must not hide the others
        log.warning("doctor.look-failed", look=look.__name__, error=type(failed).__name__)
        return [
            Fault(
                "look-failed",
                T("The look at {look} itself failed: {error}."),
                T("Mend the other faults first and look again; then tell the makers of the program."),
                {"look": look.__name__, "error": type(failed).__name__},
                grave=False,
            )
        ]
