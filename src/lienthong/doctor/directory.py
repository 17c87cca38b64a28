"""The directory: the anchor, the kept version, and what the national node offers at this moment."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp

from lienthong.directory.follow import KEPT, DirectoryExpired, DirectoryRollback, Follower
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.checks import STALE_DIRECTORY
from lienthong.storage.objects import ObjectStore

NATIONAL_DOWN = T("See whether the national node is reached from elsewhere; if so, open the way to it in the firewall.")


async def directory(patient: Patient) -> list[Fault]:
    """Everything about the directory that this node follows."""
    anchor = patient.settings.directory_anchor
    if anchor is None or not anchor.is_file():
        return [
            Fault(
                "anchor-missing",
                T("The anchor of the directory is missing ({file}): this node can believe nobody."),
                T(
                    "Get the file from the national node's operator, compare its digest by telephone, and name it in "
                    "directory_anchor."
                ),
                {"file": str(anchor or "directory_anchor")},
            )
        ]
    return [*_kept(patient), *await _offered(patient, anchor)]


def _kept(patient: Patient) -> list[Fault]:
    snapshot = patient.snapshot
    if snapshot is None:
        return [
            Fault(
                "directory-missing",
                T("This node has verified no directory yet: it knows nobody."),
                T("See that directory_url and directory_anchor are right and that the national node runs."),
            )
        ]
    faults: list[Fault] = []
    if snapshot.expired(patient.now):
        faults.append(
            Fault(
                "directory-expired",
                T("The directory kept here expired at {expires}: nothing new can be agreed."),
                NATIONAL_DOWN,
                {"expires": snapshot.expires.isoformat(timespec="seconds")},
            )
        )
    elif patient.running and snapshot.age(patient.now) > STALE_DIRECTORY:
        faults.append(
            Fault(
                "directory-old",
                T("The directory kept here is {minutes} minutes old."),
                NATIONAL_DOWN,
                {"minutes": int(snapshot.age(patient.now).total_seconds() // 60)},
                grave=False,
            )
        )
    node = snapshot.node(patient.settings.node)
    if node is None:
        return [
            *faults,
            Fault(
                "node-not-listed",
                T("The directory does not list the node {node}."),
                T("Send the output of lienthong node identity to the national node; correct node if it is misspelt."),
                {"node": patient.settings.node},
            ),
        ]
    if node.peer_url.rstrip("/") != patient.settings.peer_url.rstrip("/"):
        faults.append(
            Fault(
                "address-differs",
                T("The directory lists {listed} as this node's address, the configuration {own}."),
                T(
                    "Correct peer_url, or have the directory list the new address: others call the listed one and "
                    "signatures name it."
                ),
                {"listed": node.peer_url, "own": patient.settings.peer_url},
            )
        )
    for client in patient.settings.clients:
        if snapshot.system(client.system) is None:
            faults.append(
                Fault(
                    "client-not-listed",
                    T("The directory does not list the system {system}, which may call here."),
                    T("Have the national node register the system, or correct clients."),
                    {"system": client.system},
                    grave=False,
                )
            )
    return faults


async def _offered(patient: Patient, anchor: Path) -> list[Fault]:
    """What the national node gives out now, held against what is kept; in a copy, so nothing is changed."""
    url = patient.settings.directory_url
    host = urlsplit(url).hostname or ""
    facts: dict[str, object] = {"url": url, "host": host}
    if not url:
        return []
    try:
        socket.getaddrinfo(host, None)
    except OSError:
        return [
            Fault(
                "name-unknown",
                T("The name {host} (directory_url) has no address."),
                T("Correct the name, or the machine's name server (/etc/resolv.conf)."),
                facts,
            )
        ]
    timeout = aiohttp.ClientTimeout(total=4 * patient.patience_s)
    try:
        async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session, session.get(url) as answer:
            status, envelope = answer.status, await answer.read()
    except (aiohttp.ClientError, TimeoutError, OSError):
        return [Fault("national-down", T("The national node does not answer at {url}."), NATIONAL_DOWN, facts)]
    if status != 200:
        return [
            Fault(
                "directory-not-served",
                T("The national node answered {status} at {url}."),
                T("Correct directory_url; a proxy between may need to let the address through."),
                facts | {"status": status},
            )
        ]
    return await _judged(patient, anchor, envelope)


async def _judged(patient: Patient, anchor: Path, envelope: bytes) -> list[Fault]:
    key = json.loads(await asyncio.to_thread(anchor.read_text, "utf-8"))
    if "kty" not in key:
        return []  # a chain of trust: the follower itself says what is wrong with it, the kept one was looked at

    async def offered() -> bytes:
        return envelope

    with tempfile.TemporaryDirectory() as folder:
        copy = ObjectStore(Path(folder))
        kept = ObjectStore(patient.settings.data).get(KEPT)
        if kept is not None:
            copy.put(KEPT, kept)
        try:
            await Follower(offered, key, copy).refresh(patient.now)
        except DirectoryRollback as rollback:
            return [Fault("directory-rollback", rollback.message, rollback.mend, rollback.facts)]
        except DirectoryExpired as expired:
            return [Fault("directory-offered-expired", expired.message, expired.mend, expired.facts)]
        except Problem as refused:
            return [
                Fault(
                    "directory-not-verified",
                    T("What the national node offers is not signed by the anchor ({problem})."),
                    T("Compare the anchor with the national node's operator; until then the kept directory counts."),
                    {"problem": refused.kind},
                )
            ]
    return []
