"""The other nodes: reached or not, behind a proxy or not, and how far our clock is from theirs."""

from __future__ import annotations

import asyncio
import hashlib
import socket
import ssl
import statistics
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp

from lienthong.directory.models import Node
from lienthong.doctor.models import Fault
from lienthong.doctor.patient import Patient
from lienthong.i18n import T
from lienthong.node.jobchecks import SKEW_S

AT_ONCE = 20


async def peers(patient: Patient) -> list[Fault]:
    """Every other node's peer listener: its name, its port, the certificate it shows."""
    turn = asyncio.Semaphore(AT_ONCE)
    told = await asyncio.gather(*(_peer(patient, node, turn) for node in _others(patient)))
    own = await _own(patient)
    return [fault for fault in (*told, own) if fault is not None]


async def clock(patient: Patient) -> list[Fault]:
    """Our clock against the other nodes' (the middle one), by the Date of their answers."""
    timeout = aiohttp.ClientTimeout(total=patient.patience_s)
    async with aiohttp.ClientSession(timeout=timeout, trust_env=False) as session:
        told = await asyncio.gather(*(_ahead(session, node.public_url, patient) for node in _others(patient)))
    known = [seconds for seconds in told if seconds is not None]
    apart = statistics.median(known) if known else 0.0
    if abs(apart) <= SKEW_S + 1:
        return []
    return [
        Fault(
            "clock-skew",
            T("This machine's clock differs by {seconds} s from the other nodes' (middle one of {count})."),
            T("Set the clock by a time server (timedatectl set-ntp true): messages more than 5 s apart are refused."),
            {"seconds": round(apart), "count": len(known)},
        )
    ]


def _others(patient: Patient) -> list[Node]:
    if patient.snapshot is None:
        return []
    return [node for node in patient.snapshot.contents.nodes if node.id != patient.settings.node]


async def _peer(patient: Patient, node: Node, turn: asyncio.Semaphore) -> Fault | None:
    parts = urlsplit(node.peer_url)
    facts = {"node": node.id, "url": node.peer_url, "host": parts.hostname or ""}
    async with turn:
        try:
            await asyncio.get_running_loop().getaddrinfo(parts.hostname, parts.port or 443)
        except socket.gaierror:
            return Fault(
                "peer-name-unknown",
                T("The name {host} of the node {node} has no address."),
                T("Correct this machine's name server (/etc/resolv.conf), or tell that node's operator."),
                facts,
            )
        try:
            shown = await _certificate(parts.hostname or "", parts.port or 443, patient.patience_s)
        except (OSError, TimeoutError, ssl.SSLError):
            return Fault(
                "peer-unreachable",
                T("The node {node} does not answer at {url}."),
                T("See whether it answers from elsewhere; if so, open the way to its peer port in the firewall."),
                facts,
            )
    if shown in node.tls_sha256:
        return None
    return Fault(
        "peer-certificate-other",
        T(
            "At {url} somebody else answers for the node {node}: the certificate is not "
            "the one that the directory lists."
        ),
        T("A proxy between may end TLS: it must pass the connection through. Else tell that node's operator."),
        facts,
    )


async def _own(patient: Patient) -> Fault | None:
    """Our own listener, as others are told to reach it."""
    node = patient.snapshot.node(patient.settings.node) if patient.snapshot else None
    if not patient.running or node is None:
        return None
    parts = urlsplit(node.peer_url)
    try:
        shown = await _certificate(parts.hostname or "", parts.port or 443, patient.patience_s)
    except (OSError, TimeoutError, ssl.SSLError):
        return None  # many networks do not let a machine reach itself from outside
    if shown in node.tls_sha256:
        return None
    return Fault(
        "tls-terminated",
        T("Something between ends TLS before this node: at {url} another certificate is shown."),
        T("Let the proxy pass TCP through (layer 4): nodes know each other by their certificates."),
        {"url": node.peer_url},
    )


async def _certificate(host: str, port: int, patience_s: float) -> str:
    """SHA-256 of the certificate shown there; it proves nothing here, it is compared."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    async with asyncio.timeout(patience_s):
        _, writer = await asyncio.open_connection(host, port, ssl=context)
    shown = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
    writer.transport.abort()
    return hashlib.sha256(shown or b"").hexdigest()


async def _ahead(session: aiohttp.ClientSession, url: str, patient: Patient) -> float | None:
    """Seconds that our clock is ahead of the node's; None when it does not say."""
    try:
        async with session.get(url.rstrip("/") + "/livez", allow_redirects=False) as answer:
            told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    return (patient.now - told).total_seconds() - 0.5
