"""A node as witness and as witnessed: who cosigns whom by the directory, and the jobs that ask and compare.

Nothing here can hold up a use: whoever is away is asked again later, and what is found is noted for ``/readyz``.
"""

from __future__ import annotations

import asyncio
import json
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from http.client import HTTPException

import aiohttp
import structlog

from lienthong.access.queries import shards
from lienthong.access.recovery import contradiction, enter_recovery, examine
from lienthong.access.shards import Shard, shard_name
from lienthong.access.witness import queries
from lienthong.access.witness.ask import Asking
from lienthong.access.witness.cosign import Witness
from lienthong.access.witness.forks import Doubt, NotAFork, compare_heads, evidence_of, verify_fork
from lienthong.access.witness.policy import Policy, log_key, node_of_log
from lienthong.access.witness.queries import Evidence
from lienthong.directory.document import Snapshot
from lienthong.node.local import Local, NoDirectory
from lienthong.node.prepare import WITNESS_KEY, witness_name
from lienthong.storage.pool import connect
from lienthong.trust.note import NoteRefused, VerifierKey, parse_checkpoint, split_note
from lienthong.trust.tiles import ReadPath

log = structlog.get_logger("lienthong.witness")
ASK_EVERY_S = 0.25
ASK_FOR_S = 1.5
"""How long after a new checkpoint was signed it is asked about so often; it is in the database a moment later."""
ASK_AGAIN_S = 2.0
"""How often while nothing new was signed: for those who were away."""
COMPLETE_AGAIN_S = 10.0
"""How often when nobody was away: for what another directory, or another process, may have changed."""
COMPARE_EVERY_S = 20.0
PATIENCE_S = 3.0
MOST_ANSWER_BYTES = 4 * 1024 * 1024
MOST_FILE_BYTES = 20_000_000

Head = tuple[str, bytes]
"""Who holds it, and the signed note."""


@dataclass(frozen=True, slots=True)
class Held:
    """What this node knows: its own log's size (None before the first checkpoint) and shards, the heads it cosigned."""

    size: int | None
    shards: tuple[Shard, ...]
    seen: Mapping[str, bytes]
    """Origin to signed note."""


def own_policy(local: Local) -> Policy:
    """What the directory, as last verified, asks of this node's log; no witness before the first directory."""
    return local.receipts.policy()


def witness_of(local: Local) -> Witness:
    """This node's witness: it cosigns for every log that the directory lists, its own excepted."""

    def keys(origin: str) -> VerifierKey | None:
        local.directory.look()
        try:
            own = shard_name(local.files.origin, origin) is not None
            return None if own else log_key(local.directory.snapshot(), origin)
        except NoDirectory:
            return None

    return Witness(local.pool, local.keyring.ed25519(WITNESS_KEY), witness_name(local.settings), keys)


async def ask_witnesses(local: Local) -> None:
    """Have every new checkpoint cosigned; a witness that contradicts this log is looked at closely."""
    timeout = aiohttp.ClientTimeout(total=PATIENCE_S)
    async with aiohttp.ClientSession(timeout=timeout) as session:

        async def post(url: str, body: bytes) -> tuple[int, bytes]:
            try:
                async with session.post(url, data=body) as answer:
                    return answer.status, await answer.content.read(MOST_FILE_BYTES)
            except aiohttp.ClientError as away:
                raise OSError(type(away).__name__) from away

        asking = Asking(local.files, lambda: own_policy(local), post)
        loop = asyncio.get_running_loop()
        signed, often_until, again_at = 0, 0.0, 0.0
        while True:
            now = loop.time()
            if (newest := local.files.signed_at()) != signed:
                signed, often_until = newest, now + ASK_FOR_S
            if now < often_until or now >= again_at:
                local.directory.look()
                await asking.round(local.pool)
                again_at = now + (COMPLETE_AGAIN_S if asking.complete else ASK_AGAIN_S)
                if asking.contradicted:
                    await stop_if_contradicted(local, await own_heads(local, session))
                    asking.contradicted.clear()
            await asyncio.sleep(ASK_EVERY_S)


async def own_heads(local: Local, session: aiohttp.ClientSession) -> list[Head]:
    """The heads of this node's log that the other nodes hold, from all who answer in time."""
    nodes = [node for node in local.directory.snapshot().contents.nodes if node.id != local.settings.node]
    told = await asyncio.gather(*(heads_at(session, node.public_url) for node in nodes))
    return [
        (node.id, note)
        for node, notes in zip(nodes, told, strict=True)
        for note in notes
        if shard_name(local.files.origin, _origin(note)) is not None
    ]


async def heads_at(session: aiohttp.ClientSession, public_url: str) -> list[bytes]:
    """The signed notes that a node's witness holds; empty when it does not answer."""
    told = await _json_at(session, f"{public_url.rstrip('/')}/witness/heads")
    try:
        return [str(one["note"]).encode() for one in told["heads"]] if told else []
    except (KeyError, TypeError):
        return []


async def stop_if_contradicted(local: Local, heads: list[Head]) -> bool:
    """Enter recovery when the own files or any of ``heads`` contradict the own log; whether they do."""
    async with await connect(local.dsns.app) as db:
        found = await examine(db, local.files, heads)
        if found is not None:
            await enter_recovery(db, found)
            log.error("log.recovery", cause=found.cause, source=found.source, size=found.size, own_size=found.own_size)
    return found is not None


async def compare_with_others(local: Local) -> None:
    """Again and again: compare the heads that other witnesses hold with those held here, and with the own log."""
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=PATIENCE_S)) as session:
        while True:
            await compare_once(local, session)
            await asyncio.sleep(COMPARE_EVERY_S)


async def compare_once(local: Local, session: aiohttp.ClientSession) -> list[Evidence | Doubt]:
    """Ask every other node for the heads it cosigned and the forks it knows; what was found, new evidence kept."""
    local.directory.look()
    try:
        snapshot = local.directory.snapshot()
    except NoDirectory:
        return []
    found: list[Evidence | Doubt] = []
    for node in snapshot.contents.nodes:
        if node.id == local.settings.node:
            continue
        if notes := await heads_at(session, node.public_url):
            held = await _held(local)
            told = [await _conflict(local, snapshot, node.id, note, held) for note in notes]
            found += [conflict for conflict in told if conflict is not None]
        found += await _forks_told(snapshot, session, node.public_url)
    for conflict in found:
        if isinstance(conflict, Evidence):
            async with local.pool.connection() as db:
                if await queries.keep_evidence(db, conflict):
                    log.error("log.forked", origin=conflict.origin, evidence=conflict.digest)
        else:
            log.warning("log.doubtful", origin=conflict.origin, sizes=conflict.sizes, why=conflict.why)
    return found


async def _held(local: Local) -> Held:
    """Read after the others told theirs, so that the own log can only be longer."""
    async with local.pool.connection() as db:
        newest, known = await queries.newest_with_cosignatures(db, []), await shards(db)
        seen = {head.origin: bytes(head.note) for head in await queries.seen_heads(db)}
    return Held(None if newest is None else newest.size, known, seen)


async def _conflict(local: Local, snapshot: Snapshot, witness: str, note: bytes, held: Held) -> Evidence | Doubt | None:
    """How the head ``note``, held by ``witness``, disagrees with what this node knows of that log."""
    origin = _origin(note)
    if shard_name(local.files.origin, origin) is not None:
        if held.size is not None and contradiction(local.files, held.shards, held.size, witness, note):
            await stop_if_contradicted(local, [(witness, note)])
        return None
    own = held.seen.get(origin)
    if own is None or own == note:
        return None
    key, listed = log_key(snapshot, origin), node_of_log(snapshot, origin)
    if key is None or listed is None:
        return None
    try:
        read = log_files_at(listed.public_url, shard_name(listed.log_origin, origin) or "")
        return await asyncio.to_thread(compare_heads, key, own, note, read)
    except (NoteRefused, OSError, HTTPException):
        return None  # not the log's words, or the log is away: the next round looks again


async def _forks_told(snapshot: Snapshot, session: aiohttp.ClientSession, public_url: str) -> list[Evidence]:
    """Evidence that another node keeps, verified here."""
    told = await _json_at(session, f"{public_url.rstrip('/')}/witness/forks")
    found: list[Evidence] = []
    try:
        for one in told["forks"] if told else []:
            content = str(one["evidence"]).encode()
            verify_fork(content, lambda origin: log_key(snapshot, origin))
            found.append(evidence_of(content))
    except (KeyError, TypeError, NotAFork):
        pass
    return found


async def _json_at(session: aiohttp.ClientSession, url: str) -> dict[str, list[dict[str, object]]] | None:
    try:
        async with session.get(url) as answer:
            content = await answer.content.read(MOST_ANSWER_BYTES)
            found = json.loads(content) if answer.status == 200 else None
    except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def log_files_at(public_url: str, shard: str = "") -> ReadPath:
    """The files of a shard of a node's log as anybody may read them; to be used outside the event loop."""
    folder = f"{public_url.rstrip('/')}/log/{shard and shard + '/'}"

    def read(path: str) -> bytes | None:
        address = folder + path
        try:
            with urllib.request.urlopen(address, timeout=PATIENCE_S) as answer:  # noqa: S310 - from the directory
                return answer.read(MOST_FILE_BYTES)
        except urllib.error.HTTPError as refused:
            refused.close()
            return None

    return read


def _origin(note: bytes) -> str:
    try:
        return parse_checkpoint(split_note(note)[0]).origin
    except NoteRefused:
        return ""
