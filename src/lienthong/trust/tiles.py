"""The log as files: C2SP tiles of 256 hashes and entry bundles, and proofs read from them.

Source: c2sp.org/tlog-tiles.  What is written for a size never changes afterwards, so any web server or copy of the
folder can stand in for the log.  Reading goes through a callable from path to bytes: no file is opened here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

from lienthong.errors import Problem
from lienthong.i18n import T
from lienthong.trust import merkle
from lienthong.trust.merkle import HASH_BYTES

TILE_WIDTH = 256
TILE_HEIGHT = 8
MAX_ENTRY_BYTES = 0xFFFF

ReadPath: TypeAlias = Callable[[str], bytes | None]
"""From a path below the log's prefix to the stored bytes, or None where nothing is stored."""


class BrokenLog(Problem):
    """A tile or bundle that the checkpoint demands is missing or damaged."""

    kind = "broken-log"
    status = 500
    side = "node"
    title = T("The log's files are damaged")


def tile_path(level: int, index: int, width: int = TILE_WIDTH) -> str:
    """``tile/<level>/<index>``, with ``.p/<width>`` for a partial tile."""
    return f"tile/{level}/{_numbered(index, width)}"


def bundle_path(index: int, width: int = TILE_WIDTH) -> str:
    """``tile/entries/<index>``, with ``.p/<width>`` for a partial bundle."""
    return f"tile/entries/{_numbered(index, width)}"


def write_bundle(entries: Sequence[bytes]) -> bytes:
    """Entries one after another, each behind its length in two bytes; raises ValueError above 65,535 bytes."""
    if any(len(entry) > MAX_ENTRY_BYTES for entry in entries):
        raise ValueError(f"an entry has at most {MAX_ENTRY_BYTES} bytes")
    return b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries)


def read_bundle(bundle: bytes) -> list[bytes]:
    """The entries of a bundle; raises BrokenLog when its lengths do not add up."""
    entries: list[bytes] = []
    at = 0
    while at < len(bundle):
        begin = at + 2
        at = begin + int.from_bytes(bundle[at:begin], "big")
        if begin > len(bundle) or at > len(bundle):
            raise BrokenLog(T("An entry bundle ends in the middle of an entry."))
        entries.append(bundle[begin:at])
    return entries


def tiles_for(old_size: int, entries: Sequence[bytes], read: ReadPath) -> dict[str, bytes]:
    """The files to write when ``entries`` are appended to a log of ``old_size``: path to bytes, bundles first.

    ``read`` is asked only for the partial tiles of ``old_size``.  A path already stored under the same name holds the
    same bytes, so writing again after a crash is harmless.  The checkpoint is published after all of them.
    """
    if not entries:
        return {}
    files: dict[str, bytes] = {}
    old_entries = _partial(read, bundle_path, old_size)
    _cut(files, bundle_path, old_size, [*read_bundle(old_entries), *entries], write_bundle)
    level, begin, hashes = 0, old_size, [merkle.leaf_hash(entry) for entry in entries]
    while hashes:
        before = _hashes_in(_partial(read, lambda n, w, at=level: tile_path(at, n, w), begin))
        row = [*before, *hashes]
        first = begin - len(before)
        _cut(files, lambda n, w, at=level: tile_path(at, n, w), begin, row, b"".join)
        full = len(row) // TILE_WIDTH
        hashes = [merkle.root_of(row[n * TILE_WIDTH : (n + 1) * TILE_WIDTH]) for n in range(full)]
        level, begin = level + 1, first // TILE_WIDTH
    return files


class TileReader:
    """A tree of ``size`` leaves read from its tiles, each at most once.

    What it computes is only as good as the files; compare ``root()`` with a signed checkpoint, or verify the proof.
    """

    def __init__(self, read: ReadPath, size: int) -> None:
        self._read = read
        self.size = size
        self._rows: dict[tuple[int, int], list[list[bytes]]] = {}

    def root(self) -> bytes:
        """The root of the tree, from its rightmost tiles."""
        return merkle.root_at(self.node, self.size)

    def inclusion_proof(self, index: int) -> list[bytes]:
        """As ``merkle.inclusion_proof`` in this tree."""
        return merkle.inclusion_proof(self.node, index, self.size)

    def consistency_proof(self, old_size: int) -> list[bytes]:
        """As ``merkle.consistency_proof`` from ``old_size`` to this tree."""
        return merkle.consistency_proof(self.node, old_size, self.size)

    def leaf(self, index: int) -> bytes:
        """The leaf hash at ``index``."""
        if not 0 <= index < self.size:
            raise IndexError(f"no leaf {index} in a tree of {self.size}")
        return self.node(0, index)

    def entry(self, index: int) -> bytes:
        """The entry at ``index``, from its bundle."""
        if not 0 <= index < self.size:
            raise IndexError(f"no entry {index} in a log of {self.size}")
        return self._bundle(index // TILE_WIDTH)[index % TILE_WIDTH]

    def entries(self) -> Iterator[bytes]:
        """All entries in order."""
        for n in range(-(-self.size // TILE_WIDTH)):
            yield from self._bundle(n)

    def node(self, level: int, index: int) -> bytes:
        """The hash of the full subtree of ``2**level`` leaves at ``index``."""
        tile_level, height = divmod(level, TILE_HEIGHT)
        tile, offset = divmod(index << height, TILE_WIDTH)
        return self._tile(tile_level, tile)[height][offset >> height]

    def _tile(self, level: int, index: int) -> list[list[bytes]]:
        """The rows of a tile: its hashes, then the full nodes above them, up to seven levels."""
        rows = self._rows.get((level, index))
        if rows is None:
            width = min(TILE_WIDTH, (self.size >> TILE_HEIGHT * level) - index * TILE_WIDTH)
            stored = self._stored(lambda n, w: tile_path(level, n, w), index, width)
            # Where only the full tile is left of a partial one, its first hashes are the partial's.
            rows = [_hashes_in(stored)[:width]]
            if len(rows[0]) != width:
                raise BrokenLog(T("A tile of the log has the wrong length."))
            while len(rows) < TILE_HEIGHT:
                below = rows[-1]
                rows.append([merkle.node_hash(below[i], below[i + 1]) for i in range(0, len(below) - 1, 2)])
            self._rows[level, index] = rows
        return rows

    def _bundle(self, index: int) -> list[bytes]:
        width = min(TILE_WIDTH, self.size - index * TILE_WIDTH)
        entries = read_bundle(self._stored(bundle_path, index, width))[:width]
        if len(entries) != width:
            raise BrokenLog(T("An entry bundle of the log has too few entries."))
        return entries

    def _stored(self, path: Callable[[int, int], str], index: int, width: int) -> bytes:
        stored = self._read(path(index, width))
        if stored is None and width < TILE_WIDTH:
            stored = self._read(path(index, TILE_WIDTH))
        if stored is None:
            raise BrokenLog(T("The file {path} of the log is missing."), path=path(index, width))
        return stored


def _numbered(index: int, width: int) -> str:
    """Groups of three digits, all but the last behind an ``x``: 1234067 is ``x001/x234/067``."""
    if index < 0 or not 1 <= width <= TILE_WIDTH:
        raise ValueError(f"no tile {index} of width {width}")
    path = f"{index % 1000:03d}"
    while index >= 1000:
        index //= 1000
        path = f"x{index % 1000:03d}/{path}"
    return path if width == TILE_WIDTH else f"{path}.p/{width}"


def _hashes_in(tile: bytes) -> list[bytes]:
    if len(tile) % HASH_BYTES:
        raise BrokenLog(T("A tile of the log has the wrong length."))
    return [tile[at : at + HASH_BYTES] for at in range(0, len(tile), HASH_BYTES)]


def _partial(read: ReadPath, path: Callable[[int, int], str], count: int) -> bytes:
    """What is stored of the last, unfinished tile or bundle of a row of ``count``; nothing when it ends evenly."""
    index, width = divmod(count, TILE_WIDTH)
    if width == 0:
        return b""
    stored = read(path(index, width))
    if stored is None:
        raise BrokenLog(T("The file {path} of the log is missing."), path=path(index, width))
    return stored


def _cut(
    files: dict[str, bytes],
    path: Callable[[int, int], str],
    begin: int,
    row: list[bytes],
    join: Callable[[list[bytes]], bytes],
) -> None:
    """Cut ``row``, which starts with the unfinished tile of a row of ``begin``, into files."""
    first = begin // TILE_WIDTH
    for at in range(0, len(row), TILE_WIDTH):
        part = row[at : at + TILE_WIDTH]
        files[path(first + at // TILE_WIDTH, len(part))] = join(part)
