"""The directory in the jobs process: followed with the revocations beside it; on the national node also published.

Promises: a revocation acts at every process of this node within ``NOTES_EVERY_S`` and half a second of being told; a
refusal of what was offered is left where ``/readyz`` finds it.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

import aiohttp
import structlog

from lienthong.agreements.rules import follow_rules
from lienthong.directory.document import Snapshot
from lienthong.directory.follow import SIZE_LIMIT_BYTES, Follower, anchored_in_root
from lienthong.directory.queries import insert_revocation
from lienthong.directory.revoke import NOTES_LIMIT_BYTES, Notes, open_notes, take_notes
from lienthong.directory.tuf.download import download
from lienthong.directory.tuf.follow import TufFollower
from lienthong.directory.tuf.problems import DirectoryIncomplete
from lienthong.directory.tuf.publish import MetadataPublisher
from lienthong.directory.tuf.sign import OnlineKeys
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.local import Local
from lienthong.node.nudging import nudged
from lienthong.node.prepare import DIRECTORY_KEY, ONLINE_ROLE_KEYS
from lienthong.node.versions import follow_coming, note_version
from lienthong.storage.objects import ObjectStore
from lienthong.trust.keys import public_jwk

log = structlog.get_logger("lienthong.jobs")
FIRST_WAIT_S = 0.25
NOTES_EVERY_S = 2.0
LEAST_S = 0.2
"""However often it is nudged, a node looks at most five times a second."""
REFRESH_AFTER = timedelta(seconds=60)
PUBLISH_EVERY_S = 1.0


class Following(Protocol):
    """A follower by TUF, or of one key."""

    @property
    def snapshot(self) -> Snapshot | None:
        """The last verified version."""
        ...

    @property
    def notes_key(self) -> Mapping[str, str] | None:
        """The key whose revocations are believed."""
        ...

    async def refresh(self, now: datetime) -> Snapshot:
        """The newest version, verified."""
        ...


@dataclass(slots=True)
class Watch:
    """What one pass leaves for the next."""

    refreshed: datetime | None = None
    offered: int = 0
    """The version that the national node told of beside its revocations."""


async def follow_directory(local: Local) -> None:
    """Fetch, verify and keep the directory and the revocations; what was verified last stays when anything is wrong."""
    anchor = local.settings.directory_anchor
    while anchor is None or not anchor.exists():  # noqa: ASYNC110 - the file tells nobody when it appears
        await asyncio.sleep(FIRST_WAIT_S)
    watch = Watch()
    async with aiohttp.ClientSession() as session:
        follower = follower_of(local, session, anchor.read_bytes())
        while True:
            heard = nudged(local)
            try:
                await follow_once(local, session, follower, watch)
            except (Problem, aiohttp.ClientError, TimeoutError) as failed:
                log.warning("directory.not-refreshed", error=getattr(failed, "kind", type(failed).__name__))
                if isinstance(failed, Problem):
                    local.directory.note_refused(failed.kind)
            next_look = time.monotonic() + (FIRST_WAIT_S if follower.snapshot is None else NOTES_EVERY_S)
            await asyncio.sleep(LEAST_S)
            while time.monotonic() < next_look and nudged(local) == heard:  # noqa: ASYNC110 - the file has no event
                await asyncio.sleep(LEAST_S)


def follower_of(local: Local, session: aiohttp.ClientSession, anchor: bytes) -> Following:
    """By TUF when the node was given a root, of one key when it was given a key."""
    keep, url = ObjectStore(local.settings.data), local.settings.directory_url
    told = json.loads(anchor)
    if not anchored_in_root(told):
        return Follower(lambda: _fetch(session, url, SIZE_LIMIT_BYTES), told, keep)
    base = _beside(url, "tuf")
    return TufFollower(lambda name, limit: download(session, base, name, limit), anchor, keep)


async def follow_once(local: Local, session: aiohttp.ClientSession, follower: Following, watch: Watch) -> None:
    """Take up new revocations; and the directory when it is a minute old or there is a newer one."""
    now = datetime.now(UTC)
    failed: Problem | None = None
    if follower.snapshot is not None and follower.notes_key is not None:
        try:
            watch.offered = (await follow_notes(local, session, follower.notes_key)).directory
        except Problem as refused:  # told below: a bad list must not keep the directory from being renewed
            failed = refused
    known = follower.snapshot
    fresh = watch.refreshed is not None and now - watch.refreshed < REFRESH_AFTER
    if known is None or not fresh or known.version < watch.offered:
        snapshot = await follower.refresh(now)
        watch.refreshed = now
        note_version(ObjectStore(local.settings.data), snapshot)
        await follow_coming(local, session)
        if snapshot is not known:
            await take_up(local, snapshot)
    if failed is not None:
        raise failed
    local.directory.note_refused(None)


async def follow_notes(local: Local, session: aiohttp.ClientSession, key: Mapping[str, str]) -> Notes:
    """The revocations as the national node tells them now; new ones are kept on disk and end agreements."""
    envelope = await _fetch(session, _beside(local.settings.directory_url, "notes"), NOTES_LIMIT_BYTES)
    local.directory.look()
    known = local.directory.notes
    notes = take_notes(known, open_notes(envelope, dict(key)))
    if known is None or notes.revocations != known.revocations:
        async with local.pool.connection() as db:
            for each in notes.revocations:
                await insert_revocation(db, each)
        local.directory.keep_notes(envelope, key)
        local.directory.look()
        log.info("directory.revocations", number=notes.number)
    return notes


async def take_up(local: Local, snapshot: Snapshot) -> None:
    """Let the rules that this version of the directory lists count here, and no others."""
    async with local.pool.connection() as db:
        unusable = await follow_rules(db, snapshot, local.settings.members, now=datetime.now(UTC))
    for rule in unusable:
        log.warning("rule.not-taken", provider=rule.provider, digest=rule.digest, error=rule.problem.kind)


async def publish_versions(local: Local) -> None:
    """On the national node: sign a new version when something changed or the last one ages."""
    key = local.keyring.es256(DIRECTORY_KEY)
    online = OnlineKeys(
        **{role: local.keyring.es256(name) for role, name in ONLINE_ROLE_KEYS.items()}, notes=public_jwk(key)
    )
    publisher = MetadataPublisher(key, online)
    while True:
        async with local.pool.connection() as db:
            await publisher.publish(db, datetime.now(UTC))
        await asyncio.sleep(PUBLISH_EVERY_S)


def _beside(url: str, name: str) -> str:
    """The address of another part of the directory: ``directory_url`` ends in ``/current``."""
    return f"{url.rpartition('/')[0]}/{name}"


async def _fetch(session: aiohttp.ClientSession, url: str, limit: int) -> bytes:
    base, _, name = url.rpartition("/")
    found = await download(session, base, name, limit)
    if found is None:
        raise DirectoryIncomplete(T("The national node has no {name}."), name=name)
    return found
