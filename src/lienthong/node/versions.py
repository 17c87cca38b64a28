"""Which directory this node was given, told to its neighbours and compared with theirs; what is coming for its members.

A national node that shows two directories under one number is found when two nodes compare: TUF can not tell a node
what others were shown.  Promises: every node compares with the next eight in the order of ids, so that all are joined.
"""

from __future__ import annotations

import asyncio
import json
from bisect import bisect_right
from datetime import UTC, datetime
from typing import Any, Final

import aiohttp

from lienthong.directory.document import Snapshot
from lienthong.directory.models import Node
from lienthong.directory.tuf.download import download
from lienthong.directory.versions.history import Published, history, read_version
from lienthong.directory.versions.queries import newest_versions, version_at
from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.node.finding import Check, fine
from lienthong.node.local import Local
from lienthong.node.prepare import DIRECTORY_KEY
from lienthong.portal.coming import DirectoryView
from lienthong.storage.objects import ObjectStore
from lienthong.storage.pool import reading
from lienthong.trust.keys import key_id, public_jwk

HISTORY: Final = "directory/history"
COMING: Final = "directory/coming"
REMEMBERED: Final = 120
"""Versions come once a minute at least: two hours, in which neighbours with another pace have met."""
NEIGHBOURS: Final = 8
ANSWER_S: Final = 2.0
LIMIT_BYTES: Final = 256 * 1024
COMPARED: Final = 50
"""Newest versions that differ from the one before, compared for the page of changes."""


def note_version(store: ObjectStore, snapshot: Snapshot) -> None:
    """Remember what this node was shown under the version's number."""
    known = versions_shown(store)
    if known.get(snapshot.version) == snapshot.digest:
        return
    known.setdefault(snapshot.version, snapshot.digest)  # the first counts: a second one is what neighbours find
    newest = sorted(known)[-REMEMBERED:]
    store.put(HISTORY, json.dumps({number: known[number] for number in newest}).encode())


def versions_shown(store: ObjectStore) -> dict[int, str]:
    """Number to digest (SHA-256, hex) of the directories this node was shown."""
    kept = store.get(HISTORY)
    return {} if kept is None else {int(number): str(digest) for number, digest in json.loads(kept).items()}


async def follow_coming(local: Local, session: aiohttp.ClientSession) -> None:
    """Keep what waits at the national node for the members of this one; what it does not tell stays as it was."""
    base = local.settings.directory_url.rpartition("/")[0]
    told: dict[str, object] = {}
    for member in local.settings.members:
        try:
            answer = await download(session, base, f"pending?member={member}", LIMIT_BYTES)
            told |= {str(each["id"]): each for each in json.loads(answer or b"")["pending"]}
        except (Problem, aiohttp.ClientError, ValueError, KeyError, TypeError):
            return
    ObjectStore(local.settings.data).put(COMING, json.dumps([*told.values()], ensure_ascii=False).encode())


def coming_changes(store: ObjectStore) -> list[dict[str, Any]]:  # Any: as the national node tells it
    """The changes asked for in the name of this node's members that wait or were refused, as last told."""
    kept = store.get(COMING)
    return [] if kept is None else list(json.loads(kept))


def directory_facts(local: Local) -> dict[str, object]:
    """What this node says of its directory at ``/v1/directory``.  Raises NoDirectory."""
    store, snapshot = ObjectStore(local.settings.data), local.directory.snapshot()
    return {
        "version": snapshot.version,
        "digest": snapshot.digest,
        "issued": snapshot.issued.isoformat(),
        "expires": snapshot.expires.isoformat(),
        "age_s": int(snapshot.age(datetime.now(UTC)).total_seconds()),
        "versions": {str(number): digest for number, digest in versions_shown(store).items()},
        "coming": coming_changes(store),
    }


def directory_view(local: Local) -> DirectoryView:
    """The same for the page.  Raises NoDirectory."""
    local.directory.look()
    store, snapshot = ObjectStore(local.settings.data), local.directory.snapshot()
    shown, coming = len(versions_shown(store)), coming_changes(store)
    return DirectoryView(snapshot.version, snapshot.digest, snapshot.issued, snapshot.expires, shown, coming)


class DirectoryHistory:
    """The changes of the directory at the national node, read again only when a version came that differs."""

    def __init__(self, local: Local) -> None:
        self._local = local
        self._key = local.keyring.es256(DIRECTORY_KEY).public_key()
        self._keyid = key_id(public_jwk(self._key))
        self._read: tuple[tuple[str, ...], list[Published]] = ((), [])

    async def published(self) -> list[Published]:
        """The newest first.  Raises DocumentRefused when somebody changed a version in the database."""
        async with reading(self._local.pool) as db:
            versions = await newest_versions(db, COMPARED)
        said = tuple(each.content_digest for each in versions)
        if self._read[0] != said:
            told = await asyncio.to_thread(history, versions, lambda keyid: self._key if keyid == self._keyid else None)
            self._read = (said, told)
        return self._read[1]

    async def on(self, moment: datetime) -> Snapshot | None:
        """The directory in force at ``moment``; None before the first, or when an earlier key signed it."""
        async with reading(self._local.pool) as db:
            version = await version_at(db, moment)
        if version is None:
            return None
        return await asyncio.to_thread(read_version, version, lambda keyid: self._key if keyid == self._keyid else None)


def neighbours(snapshot: Snapshot, own: str) -> list[Node]:
    """The next nodes after ``own`` in the order of ids, around the end."""
    others = sorted((node for node in snapshot.contents.nodes if node.id != own), key=lambda node: node.id)
    begin = bisect_right([node.id for node in others], own)
    return (others[begin:] + others[:begin])[:NEIGHBOURS]


async def directories(local: Local) -> Check:
    """Whether the neighbours were shown the same directories under the same numbers."""
    try:
        near = neighbours(local.directory.snapshot(), local.settings.node)
    except Problem:
        return fine("directories")
    ours = versions_shown(ObjectStore(local.settings.data))
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=ANSWER_S), trust_env=False) as session:
        theirs = await asyncio.gather(*(_versions_of(session, node) for node in near))
    forked = [
        (node.id, min(number for number in ours.keys() & told.keys() if ours[number] != told[number]))
        for node, told in zip(near, theirs, strict=True)
        if any(ours[number] != told[number] for number in ours.keys() & told.keys())
    ]
    if not forked:
        return fine("directories")
    return Check(
        "directories", "degraded", "forked",
        T("{nodes} were shown another directory under the number {version} than this node: somebody shows two."),
        T("Compare both with the national node's operator by telephone; agree on nothing new until it is explained."),
        {"nodes": ", ".join(node for node, _ in forked), "version": forked[0][1]},
    )  # fmt: skip


async def _versions_of(session: aiohttp.ClientSession, node: Node) -> dict[int, str]:
    try:
        body = await download(session, node.public_url.rstrip("/") + "/v1", "directory", LIMIT_BYTES)
        told = json.loads(body or b"{}").get("versions", {})
        return {int(number): str(digest) for number, digest in told.items()}
    except (Problem, aiohttp.ClientError, TimeoutError, OSError, ValueError, AttributeError):
        return {}
