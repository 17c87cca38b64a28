"""The checks that are quick enough for every answer of ``/readyz``: what lies here, and what the directory says."""

from __future__ import annotations

import asyncio
import shutil
from datetime import UTC, datetime, timedelta
from typing import Final

from cryptography import x509

from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.monitoring import queries
from lienthong.node.certificates import fingerprint, shown
from lienthong.node.finding import Check, Look, fine
from lienthong.node.local import Local
from lienthong.node.prepare import local_keys, renew_keys
from lienthong.node.witnesschecks import forks, recovery, timestamps, witnesses

STALE_DIRECTORY: Final = timedelta(minutes=10)
SOON: Final = timedelta(days=30)
"""How long before its end a certificate or a key is told of."""
LITTLE_BYTES: Final = 1024**3
NOTHING_BYTES: Final = 64 * 1024**2
LAG: Final = timedelta(seconds=30)
CERTIFICATE_FILE: Final = "keys/node-tls.crt"
RENEW: Final = T("Make a new one and have the directory list it: lienthong directory change certificate.")
MEND_DATABASE: Final = T("See that the server runs and has free connections.")


def away(name: str, failed: BaseException) -> Check:
    """A check that could not be made."""
    if name == "database":
        return Check(
            name, "failed", type(failed).__name__,
            T("The database does not answer: see that the server runs and has free connections."), MEND_DATABASE,
        )  # fmt: skip
    return Check(
        name, "degraded", type(failed).__name__,
        T("The check {check} could not be made: {error}."), T("See the other findings first; then the node's log."),
        {"check": name, "error": type(failed).__name__},
    )  # fmt: skip


async def database(local: Local) -> Check:
    """Whether a statement is answered, by whatever is behind the app's account."""
    async with local.pool.connection(timeout=2.0) as db:
        await queries.answer(db)
    return fine("database")


async def disk(local: Local) -> Check:
    """Room where keys, log files and the embedded database lie."""
    free = (await asyncio.to_thread(shutil.disk_usage, local.settings.data)).free
    if free >= LITTLE_BYTES:
        return fine("disk")
    return Check(
        "disk",
        "failed" if free < NOTHING_BYTES else "degraded",
        "full" if free < NOTHING_BYTES else "low",
        T("Only {free_mb} MB are free under {folder}."),
        T("Make room, or give the folder a larger file system; nothing that the log holds may be deleted."),
        {"free_mb": free // 1024**2, "folder": str(local.settings.data)},
    )


async def directory(local: Local) -> Check:
    """The age of the directory as last verified."""
    try:
        local.directory.look()
        snapshot = local.directory.snapshot()
    except Problem as problem:
        return _no_directory(problem)
    now = datetime.now(UTC)
    minutes = int(snapshot.age(now).total_seconds() // 60)
    if snapshot.expired(now):
        return Check(
            "directory", "degraded", "expired",
            T("The directory has expired: uses under existing agreements go on, nothing new can be agreed."),
            T("See that the national node runs and can be reached from here."), {"minutes": minutes},
        )  # fmt: skip
    if snapshot.age(now) > STALE_DIRECTORY:
        return Check(
            "directory", "degraded", "degraded",
            T("The directory is more than ten minutes old: uses go on; see that the national node can be reached."),
            T("See that the national node runs and can be reached from here."), {"minutes": minutes},
        )  # fmt: skip
    refused = local.directory.refused()
    if refused is not None:
        return Check(
            "directory", "degraded", refused,
            T("The newest directory was refused ({state}): the last one that was verified goes on serving."),
            T("Ask the national node's operator what they publish; nothing is lost here meanwhile."),
            {"state": refused},
        )  # fmt: skip
    return fine("directory")


async def sequencer(local: Local) -> Check:
    """Whether durable records get their places in the log."""
    async with local.pool.connection(timeout=2.0) as db:
        waiting, last = await queries.unplaced_records(db)
    if waiting == 0 or (last is not None and datetime.now(UTC) - last < LAG):
        return fine("sequencer")
    return Check(
        "sequencer", "degraded", "lag",
        T("{waiting} durable records wait for their place in the log; the last checkpoint is from {since}."),
        T("See that the jobs process runs and what its lines in the log say; records are safe meanwhile."),
        {"waiting": waiting, "since": last.isoformat(timespec="seconds") if last else "-"},
    )  # fmt: skip


async def certificate(local: Local) -> Check:
    """The node's TLS certificate: its term, and whether the directory knows it."""
    pem = await asyncio.to_thread(shown(local.settings.data / "keys", _own_node(local) or ()).read_text, "ascii")
    ends = x509.load_pem_x509_certificate(pem.encode("ascii")).not_valid_after_utc
    day, now = ends.date().isoformat(), datetime.now(UTC)
    if now >= ends:
        return Check(
            "certificate", "failed", "expired", T("The node's TLS certificate ended on {day}: no peer accepts it."),
            RENEW, {"day": day},
        )  # fmt: skip
    node = _own_node(local)
    if node is not None and fingerprint(pem) not in node:
        return Check(
            "certificate", "failed", "not-listed",
            T("The directory does not list the certificate that this node shows: peers refuse it."),
            T("Send the output of lienthong node identity to the national node, or restore the certificate."),
        )  # fmt: skip
    if now + SOON >= ends:
        return Check(
            "certificate", "degraded", "ends-soon", T("The node's TLS certificate ends on {day}."),
            RENEW, {"day": day},
        )  # fmt: skip
    return fine("certificate")


async def keys(local: Local) -> Check:
    """Each member's signing key on this node, as the directory sees it."""
    snapshot = _snapshot(local)
    if snapshot is None:
        return fine("keys")
    now = datetime.now(UTC)
    signing = local_keys(local.settings, local.keyring)
    renew_keys(signing, local.settings, local.keyring, snapshot, now)
    for member in local.settings.members:
        known = snapshot.member(member)
        if known is None or known.state == "closed":
            return Check(
                "keys", "degraded", "member-not-active", T("The directory has no active member {member}."),
                T("Have the national node admit it, or take it out of members."), {"member": member},
            )  # fmt: skip
        held = signing[MemberId(member)].keyid
        found = snapshot.key(held)
        if found is None or found[1].id != member or not found[0].valid_at(now):
            return Check(
                "keys", "failed", "not-listed",
                T("The directory does not list the key with which this node signs for {member}: nobody accepts it."),
                T("Send the output of lienthong node identity to the national node, or restore the key."),
                {"member": member},
            )  # fmt: skip
        if not found[0].valid_at(now + SOON):
            return Check(
                "keys", "degraded", "ends-soon", T("The key of {member} ends on {day}."),
                T("Have the directory list its next key before that day."),
                {"member": member, "day": found[0].valid_to.date().isoformat()},
            )  # fmt: skip
    return fine("keys")


def _snapshot(local: Local) -> Snapshot | None:
    try:
        return local.directory.snapshot()
    except Problem:
        return None


def _own_node(local: Local) -> tuple[str, ...] | None:
    """Fingerprints that the directory lists for this node; None while nothing can be said."""
    snapshot = _snapshot(local)
    node = snapshot.node(local.settings.node) if snapshot else None
    return node.tls_sha256 if node else None


def _no_directory(problem: Problem) -> Check:
    if problem.kind != "no-directory":
        return Check(
            "directory", "failed", problem.kind, T("The directory that this node keeps can not be used: {state}."),
            T("Delete the kept file; the node fetches the directory again."), {"state": problem.kind},
        )  # fmt: skip
    return Check(
        "directory", "failed", "no-directory",
        T("No directory was verified yet: see that the national node runs and that directory_url and "
          "directory_anchor are right."),
        T("See that the national node runs and can be reached from here."),
    )  # fmt: skip


CHECKS: Final[tuple[Look, ...]] = (
    database, disk, directory, sequencer, certificate, keys, recovery, witnesses, forks, timestamps,
)  # fmt: skip
