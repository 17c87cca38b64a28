"""The folder of objects: whole or absent, durable, and nothing outside it."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.storage.objects import BadObjectKey, ObjectStore


def test_what_was_put_is_got_by_another_store_of_the_same_folder(tmp_path):
    ObjectStore(tmp_path / "o").put("tile/0/x001/234.p/5", b"\x00\xff")

    assert ObjectStore(tmp_path / "o").get("tile/0/x001/234.p/5") == b"\x00\xff"


@pytest.mark.parametrize("key", ["nothing", "a/b/c", "folder", "file/below"])
def test_what_is_not_there_is_none(tmp_path, key):
    store = ObjectStore(tmp_path)
    store.put("folder/x", b"")
    store.put("file", b"")

    assert store.get(key) is None


@pytest.mark.parametrize(
    "key",
    [
        "",
        "/",
        "/etc/passwd",
        "..",
        "a/../b",
        "a/..",
        "./a",
        "a//b",
        "a/",
        ".hidden",
        "a\x00b",
        "a\\b",
        "a\n",
        "á",
        "x" * 201,
    ],
)
def test_a_key_that_is_no_plain_path_is_refused(tmp_path, key):
    store = ObjectStore(tmp_path / "inside")

    for use in (store.get, store.path, lambda key: store.put(key, b"x")):
        with pytest.raises(BadObjectKey) as refused:
            use(key)
        assert refused.value.kind == "bad-object-key"
    assert sorted(tmp_path.rglob("*")) == [tmp_path / "inside"]


@given(st.text(max_size=30))
def test_no_key_leaves_the_folder(key):
    folder = Path("/srv/objects")
    store = object.__new__(ObjectStore)
    store._folder = folder
    try:
        path = store.path(key)
    except BadObjectKey:
        return
    assert path.resolve().is_relative_to(folder)
    assert path != folder


def test_a_put_that_fails_leaves_the_old_object_and_no_litter(tmp_path):
    store = ObjectStore(tmp_path)
    store.put("checkpoint", b"old")

    with pytest.raises(TypeError):
        store.put("checkpoint", "no bytes")  # pyright: ignore[reportArgumentType] - the failure wanted here

    assert store.get("checkpoint") == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["checkpoint"]


def test_a_reader_never_sees_half_an_object(tmp_path):
    store = ObjectStore(tmp_path)
    whole = (b"a" * 300_000, b"b" * 300_000)
    store.put("checkpoint", whole[0])
    seen: set[bytes] = set()
    done = threading.Event()

    def read() -> None:
        while not done.is_set():
            seen.add(store.get("checkpoint") or b"")

    reader = threading.Thread(target=read)
    reader.start()
    for number in range(200):
        store.put("checkpoint", whole[number % 2])
    done.set()
    reader.join()

    assert seen <= set(whole)
