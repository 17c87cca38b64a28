"""A static copy of a log: its files as they are, fetched once each, and never one that contradicts the copy at hand.

A copy is as good as the log for every reader, needs no program to be served, and remembers what the log once signed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import ClassVar

from lienthong.access.log import CHECKPOINT_FILE, KEY_FILE
from lienthong.access.shards import next_shard, shard_name, write_link
from lienthong.access.witness.forks import compare_heads
from lienthong.access.witness.queries import Evidence
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.storage.objects import ObjectStore
from lienthong.trust.merkle import leaf_hash
from lienthong.trust.note import Checkpoint, VerifierKey, open_checkpoint, parse_verifier_key
from lienthong.trust.tiles import TILE_HEIGHT, TILE_WIDTH, BrokenLog, ReadPath, TileReader, bundle_path, tile_path

FORK_FILE = "fork.json"


class MirrorRefused(Problem):
    """What the log shows contradicts the copy at hand, or itself: the copy stays as it was."""

    kind: ClassVar[str] = "mirror-refused"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The copy was not continued")


@dataclass(frozen=True, slots=True)
class Mirrored:
    """What a copy holds now."""

    origin: str
    size: int
    fetched: int
    """Files fetched this time."""


def mirror(fetch: ReadPath, store: ObjectStore, key: str | None = None) -> Mirrored:
    """Bring the copy in ``store`` up to the log that ``fetch`` reads, shard after shard.

    ``key`` is the log's verifier key as the owner of the copy knows it; without it the copy's own, then the log's word.
    Raises MirrorRefused (a fork leaves its evidence in ``fork.json``), NoteRefused, BrokenLog.
    """
    note, told = fetch(CHECKPOINT_FILE), fetch(KEY_FILE)
    own = store.get(KEY_FILE) or told
    if note is None or (key is None and own is None):
        raise MirrorRefused(T("There is no log at this address."))
    log = parse_verifier_key(key or (own or b"").decode("utf-8", "replace").strip())
    last, fetched = _copy(fetch, store, log, note)
    size, before = last.size, {log.name}
    while (following := next_shard(last)) is not None:
        link, folder = write_link(following, last), _folder(log, following)
        note = fetch(folder + CHECKPOINT_FILE)
        if note is None:
            break
        if following in before:
            raise MirrorRefused(T("The shards of the log do not follow each other."))
        before.add(following)
        verifier = VerifierKey(following, log.public_key)
        last, more = _copy(_below(fetch, folder), Below(store, folder), verifier, note)
        if TileReader(_below(store.get, folder), last.size).entry(0) != link:
            raise MirrorRefused(T("The shards of the log do not follow each other."))
        size, fetched = size + last.size, fetched + more
    return Mirrored(log.name, size, fetched)


@dataclass(frozen=True, slots=True)
class Below:
    """The part of ``store`` whose names begin with ``folder``."""

    store: ObjectStore
    folder: str

    def get(self, path: str) -> bytes | None:
        """As of the store."""
        return self.store.get(self.folder + path)

    def put(self, path: str, content: bytes) -> None:
        """As of the store."""
        self.store.put(self.folder + path, content)


def _below(read: ReadPath, folder: str) -> ReadPath:
    return lambda path: read(folder + path)


def _folder(log: VerifierKey, shard: str) -> str:
    name = shard_name(log.name, shard)
    if not name:
        raise MirrorRefused(T("The shards of the log do not follow each other."))
    return f"{name}/"


def _copy(fetch: ReadPath, store: ObjectStore | Below, verifier: VerifierKey, note: bytes) -> tuple[Checkpoint, int]:
    """Bring the copy of one shard up to its checkpoint ``note``; that checkpoint, and how many files were fetched."""
    new = _opened(verifier, note)
    _refuse_contradiction(verifier, fetch, store, new, note)
    fetched = sum(_take(fetch, store, path) for path in files_of(new.size))
    reader = TileReader(store.get, new.size)
    if reader.root() != new.root:
        raise MirrorRefused(T("The files of the log do not lead to the root that it signed."))
    for index, entry in enumerate(reader.entries()):
        if leaf_hash(entry) != reader.leaf(index):
            raise MirrorRefused(T("Entry {index} is not the one that the log's hashes stand for."), index=index)
    store.put(KEY_FILE, (str(verifier) + "\n").encode())
    store.put(CHECKPOINT_FILE, note)
    return new, fetched


def files_of(size: int) -> Iterator[str]:
    """Paths of all bundles and tiles of a log of ``size`` entries, each once (c2sp.org/tlog-tiles)."""
    for index in range(-(-size // TILE_WIDTH)):
        yield bundle_path(index, min(TILE_WIDTH, size - index * TILE_WIDTH))
    level, count = 0, size
    while count:
        for index in range(-(-count // TILE_WIDTH)):
            yield tile_path(level, index, min(TILE_WIDTH, count - index * TILE_WIDTH))
        level, count = level + 1, count >> TILE_HEIGHT


def _take(fetch: ReadPath, store: ObjectStore | Below, path: str) -> bool:
    """Fetch a file that is not here; of a partial one the full one that replaced it will do."""
    full = path.partition(".p/")[0]
    if store.get(path) is not None or store.get(full) is not None:
        return False
    for wanted in (path, full):
        content = fetch(wanted)
        if content is not None:
            store.put(wanted, content)
            return True
    raise BrokenLog(T("The file {path} of the log is missing."), path=path)


def _refuse_contradiction(
    key: VerifierKey, fetch: ReadPath, store: ObjectStore | Below, new: Checkpoint, note: bytes
) -> None:
    before = store.get(CHECKPOINT_FILE)
    if before is None:
        return
    old = _opened(key, before)
    known = store.get if new.size <= old.size else fetch
    found = compare_heads(key, before, note, known)
    if isinstance(found, Evidence):
        store.put(FORK_FILE, found.evidence)
        raise MirrorRefused(
            T("The log shows another history than the one copied here; both are signed."),
            mend=T("Give fork.json in the folder of the copy to everybody: lienthong verify fork fork.json"),
        )
    if found is not None:
        raise MirrorRefused(T("The log does not show that it continues the copy: {why}"), why=found.why)
    if new.size < old.size or (next_shard(old) and next_shard(new) != next_shard(old)):
        raise MirrorRefused(
            T("The log shows {size} entries, the copy holds {known}, signed by the log."),
            size=new.size,
            known=old.size,
        )


def _opened(key: VerifierKey, note: bytes) -> Checkpoint:
    return open_checkpoint(note, key.name, key.public_key, key.name)
