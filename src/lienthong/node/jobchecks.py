"""The checks that look at others or take a while; the jobs process runs them and notes what they say."""

from __future__ import annotations

import asyncio
import statistics
import time
from datetime import UTC
from email.utils import parsedate_to_datetime
from typing import Final
from urllib.parse import urlsplit

import aiohttp

from lienthong.directory.models import Node
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.monitoring import queries
from lienthong.node.casedesk import notices
from lienthong.node.finding import Check, Look, fine
from lienthong.node.health import note_checks
from lienthong.node.local import Local
from lienthong.node.supervise import sandbox_socket
from lienthong.node.versions import directories

EVERY_S: Final = 10.0
REACH_S: Final = 2.0
SKEW_S: Final = 5.0
"""What message signatures allow two clocks to differ by; Date fields are whole seconds, so one more is let pass."""
MOST_NAMED: Final = 10
MANY_WAITING: Final = 1_000
AT_ONCE: Final = 50


async def peers(local: Local) -> Check:
    """Whether the peer listeners of the other nodes take connections."""
    others = _others(local)
    turn = asyncio.Semaphore(AT_ONCE)
    taken = await asyncio.gather(*(_reaches(node.peer_url, turn) for node in others))
    silent = [node.id for node, reached in zip(others, taken, strict=True) if not reached]
    if not silent:
        return fine("peers")
    return Check(
        "peers", "degraded", "unreachable", T("{count} of {all} other nodes can not be reached: {nodes}."),
        T("See whether they answer from elsewhere; if so, open the way to their peer port in the firewall."),
        {"count": len(silent), "all": len(others), "nodes": ", ".join(silent[:MOST_NAMED])},
    )  # fmt: skip


async def clock(local: Local) -> Check:
    """How far this machine's clock is from the other nodes', by the middle one of them."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REACH_S), trust_env=False) as session:
        told = await asyncio.gather(*(_difference(session, node.public_url) for node in _others(local)))
    known = [difference for difference in told if difference is not None]
    apart = statistics.median(known) if known else 0.0
    if abs(apart) <= SKEW_S + 1:
        return fine("clock")
    return Check(
        "clock", "degraded", "skew",
        T("This machine's clock differs by {seconds} s from the other nodes' (middle one of {count})."),
        T("Set the clock by a time server (timedatectl set-ntp true): messages more than 5 s apart are refused."),
        {"seconds": round(apart), "count": len(known)},
    )  # fmt: skip


async def sandbox(local: Local) -> Check:
    """Whether somebody takes the sandbox's jobs."""
    try:
        _, writer = await asyncio.open_unix_connection(sandbox_socket(local.settings))
    except OSError as failed:
        return Check(
            "sandbox", "degraded", "away",
            T("The sandbox takes no jobs ({error}): queries and files can not be answered, calls can."),
            T("Look for lines of the sandbox in the node's log; lienthong doctor tries one job."),
            {"error": type(failed).__name__},
        )  # fmt: skip
    writer.close()
    return fine("sandbox")


async def queues(local: Local) -> Check:
    """What waits for other nodes: agreements' messages, halves to compare."""
    async with local.pool.connection(timeout=2.0) as db:
        lengths = await queries.queue_lengths(db)
    if max(lengths.values()) < MANY_WAITING:
        return fine("queues")
    return Check(
        "queues", "degraded", "long",
        T("Much waits for other nodes: {halves} halves to compare, {notices} notices and {negotiations} negotiations."),
        T("See which nodes can not be reached; the queues empty themselves once they answer."), dict(lengths),
    )  # fmt: skip


async def identity_providers(local: Local) -> Check:
    """Whether the OpenID Connect providers that people sign in with describe themselves."""
    known = local.settings.identity_providers
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=REACH_S), trust_env=False) as session:
        taken = await asyncio.gather(*(_describes(session, each.issuer) for each in known))
    silent = [each.name for each, answered in zip(known, taken, strict=True) if not answered]
    if not silent:
        return fine("identity-providers")
    return Check(
        "identity-providers", "degraded", "silent",
        T("Nobody can sign in with {providers}: it does not answer. Calls go on; local accounts can sign in."),
        T("See whether the provider runs and can be reached from here; its operator can say more."),
        {"providers": ", ".join(silent[:MOST_NAMED])},
    )  # fmt: skip


CHECKS: Final[tuple[Look, ...]] = (peers, clock, sandbox, queues, directories, identity_providers, notices)


async def watch_health(local: Local) -> None:
    """Note the checks' findings, for as long as the process runs."""
    while True:
        await note_checks(local, CHECKS)
        await asyncio.sleep(EVERY_S)


def _others(local: Local) -> list[Node]:
    try:
        nodes = local.directory.snapshot().contents.nodes
    except Problem:
        return []
    return [node for node in nodes if node.id != local.settings.node]


async def _reaches(url: str, turn: asyncio.Semaphore) -> bool:
    parts = urlsplit(url)
    try:
        async with turn, asyncio.timeout(REACH_S):
            _, writer = await asyncio.open_connection(parts.hostname, parts.port or 443)
    except (OSError, TimeoutError):
        return False
    writer.close()
    return True


async def _describes(session: aiohttp.ClientSession, issuer: str) -> bool:
    """Whether the provider answers with its description (OpenID Connect Discovery 1.0, section 4)."""
    try:
        async with session.get(
            issuer.rstrip("/") + "/.well-known/openid-configuration", allow_redirects=False
        ) as answer:
            return answer.status == 200
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return False


async def _difference(session: aiohttp.ClientSession, url: str) -> float | None:
    """Seconds that our clock is ahead of the node's; None when it does not say."""
    begun, started = time.time(), time.monotonic()
    try:
        async with session.get(url.rstrip("/") + "/livez", allow_redirects=False) as answer:
            told = parsedate_to_datetime(answer.headers.get("Date", ""))
    except (aiohttp.ClientError, TimeoutError, ValueError):
        return None
    middle = begun + (time.monotonic() - started) / 2
    return middle - (told if told.tzinfo else told.replace(tzinfo=UTC)).timestamp() - 0.5
