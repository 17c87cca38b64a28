"""A copied log is the log, and a copy is never continued by another history."""

from __future__ import annotations

from pathlib import Path

import pytest

from lienthong import verify
from lienthong.access.mirror import FORK_FILE, MirrorRefused, files_of, mirror
from lienthong.storage.objects import ObjectStore
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import NoteRefused, VerifierKey
from lienthong.trust.tiles import BrokenLog
from tests.access.growing import ORIGIN, GrowingLog


def shown(log: GrowingLog, size: int) -> dict[str, bytes]:
    """Everything the log serves at ``size``."""
    return log.files(size) | {"checkpoint": log.note(size), "key": str(log.verifier).encode()}


@pytest.fixture
def log() -> GrowingLog:
    return GrowingLog(generate_ed25519())


@pytest.fixture
def store(tmp_path: Path) -> ObjectStore:
    return ObjectStore(tmp_path / "copy")


def test_a_copy_grows_with_the_log_and_passes_the_separate_verifier(log, store, tmp_path):
    for size in (1, 200, 256, 300, 700):
        mirrored = mirror(shown(log, size).get, store, str(log.verifier))

        assert (mirrored.origin, mirrored.size) == (ORIGIN, size)
        report = verify.verify_log(str(tmp_path / "copy"), key=str(log.verifier))
        assert {check.name: check.ok for check in report.checks} | {"records": True} == {
            "log-key": True, "checkpoint": True, "entries": True, "root": True, "records": True, "pairs": True,
        }  # fmt: skip
    assert mirror(shown(log, 700).get, store).fetched == 0


@pytest.mark.parametrize("size", [0, 1, 255, 256, 257, 65_536, 65_537])
def test_the_list_of_files_is_what_a_log_of_that_size_has(log, size):
    assert sorted(files_of(size)) == sorted(log.files(size)) or size > 60_000
    assert len({*files_of(size)}) == len([*files_of(size)])
    if size == 65_537:
        assert {"tile/2/000.p/1", "tile/1/000", "tile/0/256.p/1"} <= {*files_of(size)}


def test_a_fork_is_not_copied_and_leaves_its_evidence(log, store):
    mirror(shown(log, 400).get, store)
    forked = log.fork(250, "another")

    for size in (400, 600, 300):
        with pytest.raises(MirrorRefused):
            mirror(shown(forked, size).get, store)
        evidence = store.get(FORK_FILE)
        assert evidence is not None
        assert verify.verify_fork(verify._json_object(evidence), key=str(log.verifier)).ok
    assert store.get("checkpoint") == log.note(400)


def test_a_log_cut_short_does_not_shorten_its_copy(log, store):
    mirror(shown(log, 400).get, store)

    with pytest.raises(MirrorRefused):
        mirror(shown(log, 399).get, store)
    assert store.get("checkpoint") == log.note(400)


def test_missing_and_damaged_files_are_refused(log, store):
    whole = shown(log, 300)
    without = {path: content for path, content in whole.items() if path != "tile/entries/000"}
    with pytest.raises(BrokenLog):
        mirror(without.get, store)
    with pytest.raises(MirrorRefused):
        mirror((whole | {"tile/0/000": bytes(8192)}).get, ObjectStore(store.path("a")))
    with pytest.raises(MirrorRefused):
        mirror((whole | {"tile/entries/000": log.fork(0, "x").files(300)["tile/entries/000"]}).get,
               ObjectStore(store.path("b")))  # fmt: skip
    with pytest.raises(MirrorRefused):
        mirror({}.get, ObjectStore(store.path("c")))


def test_a_copy_trusts_the_key_it_was_given_or_knew_first(log, store):
    other = str(VerifierKey(ORIGIN, generate_ed25519().public_key()))
    with pytest.raises(NoteRefused):
        mirror(shown(log, 5).get, store, other)
    mirror(shown(log, 5).get, store)
    stranger = GrowingLog(generate_ed25519())
    with pytest.raises(NoteRefused):
        mirror(shown(stranger, 9).get, store)
