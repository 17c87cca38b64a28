"""Jobs that compare both sides' records and tell the national node of uses by rule, for as long as the node runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import Final

import structlog

from lienthong.access.reconcile.compare import Reconciler
from lienthong.access.reconcile.observe import Observed
from lienthong.directory.models import MemberId
from lienthong.errors import Problem
from lienthong.exchange.client import HttpClient
from lienthong.exchange.peer import PeerOrigins
from lienthong.exchange.signed import LocalKey, PeerLink
from lienthong.node.certificates import CertificateChoice
from lienthong.node.halves import HalvesLink
from lienthong.node.local import Local, NoDirectory
from lienthong.node.prepare import local_keys, renew_keys

log = structlog.get_logger("lienthong.jobs")
EVERY_S: Final = 5.0
"""Half of the ten seconds in which the national node is to know."""
FORGET_EVERY: Final = timedelta(minutes=10)


async def compare_halves(local: Local) -> None:
    """Ask the other sides for their halves, again and again."""
    async with _open_link(local) as link:
        reconciler = Reconciler(local.pool, local.directory.snapshot, link.ask)
        forget_at = datetime.min.replace(tzinfo=UTC)
        while True:
            now = datetime.now(UTC)
            while await reconciler.step(now):
                pass
            await reconciler.again(now)
            if now >= forget_at:
                await reconciler.forget(now)
                forget_at = now + FORGET_EVERY
            await asyncio.sleep(EVERY_S)


async def tell_national(local: Local) -> None:
    """Tell the national node of uses under agreements by rule; what it did not take is told again."""
    async with _open_link(local) as link:
        observed = Observed(local.pool, link.tell)
        while True:
            try:
                while await observed.step():
                    pass
            except Problem as away:
                log.warning("observed.not-told", error=away.kind)
            await asyncio.sleep(EVERY_S)


@asynccontextmanager
async def _open_link(local: Local) -> AsyncGenerator[HalvesLink]:
    """Signed messages to other nodes, under the certificates that the directory lists at each moment."""
    while not _has_directory(local):  # noqa: ASYNC110 - the kept file tells nobody when it appears
        await asyncio.sleep(EVERY_S / 10)
    choice = CertificateChoice(local.settings, local.keyring)
    own = choice.own(local.directory.snapshot())
    client = HttpClient()
    listed = local.directory.snapshot().contents.authorities
    origins = PeerOrigins(own, listed)
    keys = local_keys(local.settings, local.keyring)
    renewing = asyncio.create_task(_renew(local, origins, choice, keys))
    try:
        yield HalvesLink(local, PeerLink(client, local.directory.snapshot, keys, origins))
    finally:
        renewing.cancel()
        await asyncio.gather(renewing, return_exceptions=True)
        await client.close()


async def _renew(local: Local, origins: PeerOrigins, choice: CertificateChoice, keys: dict[MemberId, LocalKey]) -> None:
    last = None
    while True:
        local.directory.look()
        snapshot = local.directory.snapshot()
        renew_keys(keys, local.settings, local.keyring, snapshot, datetime.now(UTC))
        trust = (choice.own(snapshot), snapshot.contents.authorities)
        if trust != last:
            last = trust
            origins.renew(*trust)
        await asyncio.sleep(EVERY_S / 5)


def _has_directory(local: Local) -> bool:
    try:
        local.directory.snapshot()
    except NoDirectory:
        return False
    return True
