"""The log's files are the tiles of C2SP: same paths, same widths, same bytes however the entries came in."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lienthong.trust import merkle, tiles
from lienthong.trust.tiles import BrokenLog, TileReader
from tests.trust import textbook


def entry(n: int) -> bytes:
    return b"entry %d" % n


def grow(*batches: int) -> dict[str, bytes]:
    """The files of a log to which the batches were appended one after another."""
    files: dict[str, bytes] = {}
    size = 0
    for batch in batches:
        files.update(tiles.tiles_for(size, [entry(n) for n in range(size, size + batch)], files.get))
        size += batch
    return files


@pytest.mark.conformance
@pytest.mark.parametrize(
    ("index", "path"),
    [
        (0, "tile/0/000"),
        (999, "tile/0/999"),
        (1000, "tile/0/x001/000"),
        (1234067, "tile/0/x001/x234/067"),
        (1234567890, "tile/0/x001/x234/x567/890"),
    ],
)
def test_paths_are_written_as_the_specification_writes_them(index, path):
    assert tiles.tile_path(0, index) == path
    assert tiles.tile_path(0, index, 7) == path + ".p/7"
    assert tiles.bundle_path(index) == path.replace("tile/0/", "tile/entries/")


@pytest.mark.parametrize(("index", "width"), [(-1, 256), (0, 0), (0, 257)])
def test_there_is_no_path_for_an_impossible_tile(index, width):
    with pytest.raises(ValueError, match="no tile"):
        tiles.tile_path(0, index, width)


@pytest.mark.conformance
def test_a_log_of_70_000_has_the_tiles_of_the_specifications_example():
    files = grow(70_000)

    level = {at: [path for path in files if path.startswith(f"tile/{at}/")] for at in ("0", "1", "2", "entries")}
    assert len(level["0"]) == 274
    assert level["0"][-1] == "tile/0/273.p/112"
    assert level["1"] == ["tile/1/000", "tile/1/001.p/17"]
    assert level["2"] == ["tile/2/000.p/1"]
    assert level["entries"][-1] == "tile/entries/273.p/112"
    assert all(len(files[path]) == 8192 for path in files if ".p/" not in path and "entries" not in path)


@pytest.mark.conformance
def test_a_log_of_256_has_a_full_tile_and_a_partial_above_it():
    assert set(grow(256)) == {"tile/entries/000", "tile/0/000", "tile/1/000.p/1"}


@pytest.mark.parametrize("size", [1, 2, 3, 255, 256, 257, 511, 512, 513, 600])
def test_every_hash_in_a_tile_is_the_one_the_specification_defines(size):
    files = grow(size)
    entries = [entry(n) for n in range(size)]

    for level in (0, 1):
        span = 256**level
        hashes = b"".join(
            files[path] for path in sorted(files) if path.startswith(f"tile/{level}/")
        )  # one batch only, so no partial stands beside its full tile
        assert hashes == b"".join(textbook.mth(entries[n * span : (n + 1) * span]) for n in range(size // span))


@settings(deadline=None, max_examples=40)
@given(st.lists(st.integers(0, 300), min_size=1, max_size=8))
def test_the_same_entries_in_other_batches_give_the_same_log(batches):
    size = sum(batches)
    files, at_once = grow(*batches), grow(size)

    assert {path: files[path] for path in at_once} == at_once
    reader = TileReader(files.get, size)
    assert reader.root() == merkle.root_of(merkle.leaf_hash(entry(n)) for n in range(size))
    assert list(reader.entries()) == [entry(n) for n in range(size)]


def test_writing_the_same_batch_again_changes_nothing():
    files = grow(300)
    again = tiles.tiles_for(300, [entry(n) for n in range(300, 700)], files.get)
    files.update(again)

    assert tiles.tiles_for(300, [entry(n) for n in range(300, 700)], files.get) == again


@pytest.mark.parametrize("size", [1, 255, 256, 257, 700])
def test_proofs_read_from_tiles_hold(size):
    reader = TileReader(grow(size).get, size)
    root = reader.root()

    for index in {0, 1, size // 2, size - 1} & set(range(size)):
        leaf = merkle.leaf_hash(reader.entry(index))
        assert reader.leaf(index) == leaf
        merkle.verify_inclusion(leaf, index, size, reader.inclusion_proof(index), root)
    for old in {1, size // 2, size - 1, size} - {0}:
        old_root = (
            TileReader(grow(size).get, old).root() if old % 256 == 0 else textbook.mth([entry(n) for n in range(old)])
        )
        merkle.verify_consistency(old, size, reader.consistency_proof(old), old_root, root)


@pytest.mark.parametrize("size", [1, 200, 256, 300])
def test_a_smaller_tree_is_read_from_the_full_tiles_of_a_larger_one(size):
    files = {path: stored for path, stored in grow(1024).items() if ".p/" not in path}
    reader = TileReader(files.get, size)

    if size >= 256:
        files["tile/1/000.p/1"] = files["tile/0/000"] and merkle.root_of(
            files["tile/0/000"][at : at + 32] for at in range(0, 8192, 32)
        )
    assert reader.root() == textbook.mth([entry(n) for n in range(size)])
    assert list(reader.entries()) == [entry(n) for n in range(size)]


def test_an_empty_log_has_no_files_and_the_empty_root():
    assert tiles.tiles_for(0, [], {}.get) == {}
    assert TileReader({}.get, 0).root() == merkle.EMPTY_ROOT
    assert list(TileReader({}.get, 0).entries()) == []


@pytest.mark.parametrize("index", [-1, 3])
def test_nothing_is_read_outside_the_log(index):
    reader = TileReader(grow(3).get, 3)

    for read in (reader.leaf, reader.entry, reader.inclusion_proof):
        with pytest.raises(IndexError):
            read(index)


@pytest.mark.parametrize("path", ["tile/0/000", "tile/0/001.p/44", "tile/1/000.p/1"])
@pytest.mark.parametrize(
    "damage", [lambda tile: None, lambda tile: tile[:-1], lambda tile: tile[:-32], lambda tile: b""]
)
def test_a_missing_or_short_tile_is_named_not_passed_over(path, damage):
    files: dict[str, bytes | None] = {**grow(300)}
    files[path] = damage(files[path])
    reader = TileReader(files.get, 300)

    with pytest.raises(BrokenLog):
        [reader.inclusion_proof(index) for index in (0, 299)]


@pytest.mark.parametrize(
    "damage", [lambda b: None, lambda b: b[:-1], lambda b: b + b"\0", lambda b: b + b"\0\1", lambda b: b""]
)
def test_a_missing_or_damaged_bundle_is_refused(damage):
    files: dict[str, bytes | None] = {**grow(3)}
    files["tile/entries/000.p/3"] = damage(files["tile/entries/000.p/3"])

    with pytest.raises(BrokenLog):
        list(TileReader(files.get, 3).entries())


def test_a_log_does_not_grow_from_a_missing_end():
    with pytest.raises(BrokenLog):
        tiles.tiles_for(3, [entry(3)], {}.get)


def test_an_entry_of_any_length_up_to_two_bytes_length_fits():
    entries = [b"", b"x", b"y" * 65_535]

    assert tiles.read_bundle(tiles.write_bundle(entries)) == entries
    with pytest.raises(ValueError, match="65535"):
        tiles.write_bundle([b"z" * 65_536])


@given(st.binary(max_size=64))
def test_any_bytes_are_a_bundle_or_refused(noise):
    try:
        entries = tiles.read_bundle(noise)
    except BrokenLog:
        return
    assert tiles.write_bundle(entries) == noise
