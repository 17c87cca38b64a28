"""`verify log`: every byte of a log counts, whoever signed it is said, and the two sides' records are matched."""

from __future__ import annotations

import http.server
import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lienthong import verify
from lienthong.access.models import digest
from lienthong.trust import note
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import Checkpoint
from lienthong.trust.tiles import TileReader, tiles_for, write_bundle
from tests.verify.receipts import Country, Node, make_exchange
from tests.verify.test_receipt import broken, states


def busy(uses: int, **changes) -> Country:
    """A country with ``uses`` uses in both logs."""
    country = Country()
    exchanges = [make_exchange(country, **changes) for _ in range(uses)]
    country.consumer.append(*(one.consumer_leaf for one in exchanges))
    country.provider.append(*(one.provider_leaf for one in exchanges))
    return country


@pytest.fixture(scope="module")
def country() -> Country:
    return busy(300)


@pytest.fixture
def log(country: Country, tmp_path: Path) -> Path:
    return country.consumer.save(tmp_path / "consumer")


def test_a_good_log_holds_and_is_counted(country, log, tmp_path):
    other = country.provider.save(tmp_path / "provider")
    report = verify.verify_log(str(log), directory=country.directory(), anchor=country.anchor, against=[str(other)])

    assert set(states(report).values()) == {True}
    assert report.facts["scan"].counts == {('"consumer"', '"call"', '"permitted"'): 300}
    assert report.facts["pairs"] == 300
    assert report.facts["tree"].size == 300


def test_the_other_sides_records_elsewhere_are_said_to_be_elsewhere(country, log):
    report = verify.verify_log(str(log), key=country.consumer.verifier_key)

    assert report.ok
    assert {name for name, ok in states(report).items() if ok is None} == {"pairs"}
    assert "300 bản ghi" in verify.render(report)


def test_a_log_that_only_names_its_own_key_is_good_by_its_own_word(log):
    report = verify.verify_log(str(log))

    assert report.ok
    assert states(report)["log-key"] is None
    assert "self-asserted" in verify.render(report)


def test_a_log_without_any_key_is_whole_but_unsigned_for_us(log):
    (log / "key").unlink()
    report = verify.verify_log(str(log))

    assert states(report)["checkpoint"] is states(report)["log-key"] is None
    assert states(report)["root"] is True


def test_another_key_or_directory_is_refused(country, log):
    stranger = Node("nut-h31", "VN/GOV/H31").verifier_key
    other = Country()
    without = other.directory({**other.directory_document(), "nodes": []})

    assert "checkpoint" in broken(verify.verify_log(str(log), key=stranger))
    assert "log-key" in broken(verify.verify_log(str(log), key=stranger, directory=country.directory()))
    assert "checkpoint" in broken(verify.verify_log(str(log), directory=other.directory()))
    assert "log-key" in broken(verify.verify_log(str(log), directory=without))


@pytest.mark.parametrize("size", [0, 1, 2, 255, 256, 257, 512, 513])
def test_a_log_of_any_size_holds(size, tmp_path):
    country = Country()
    exchange = make_exchange(country)
    if size:
        country.consumer.append(*[exchange.consumer_leaf] * size)
    else:
        country.consumer.publish(Checkpoint(country.consumer.origin, 0, TileReader({}.get, 0).root()))
    report = verify.verify_log(str(country.consumer.save(tmp_path)), key=country.consumer.verifier_key)

    assert report.ok
    assert report.facts["tree"].size == size


@pytest.mark.conformance
def test_a_log_with_three_levels_of_tiles_is_rebuilt_whole(tmp_path):
    node = Node("nut-h31", "VN/GOV/H31")
    node.append(*[b"no record, but short"] * 65_800)
    folder = str(node.save(tmp_path))

    found = states(verify.verify_log(folder))
    assert (found["entries"], found["root"], found["records"]) == (True, True, False)
    (tmp_path / "tile/2/000.p/1").write_bytes(bytes(32))
    assert "entries" in broken(verify.verify_log(folder))


def files_of(log: Path) -> list[str]:
    return sorted(str(file.relative_to(log)) for file in log.rglob("*") if file.is_file())


def test_every_changed_file_of_the_log_is_found(country, log):
    key = country.consumer.verifier_key
    needed = [path for path in files_of(log) if path != "key"]
    assert len(needed) == 6  # checkpoint, two bundles, two tiles below, one above

    for path in needed:
        content = (log / path).read_bytes()
        for name, changed in (
            ("first byte", bytes([content[0] ^ 1]) + content[1:]),
            ("middle byte", content[: len(content) // 2] + b"\x00" + content[len(content) // 2 + 1 :]),
            ("last byte", content[:-1] + bytes([content[-1] ^ 1])),
            ("cut", content[:-1]),
            ("longer", content + b"\0"),
            ("empty", b""),
            ("gone", None),
        ):
            if changed is None:
                (log / path).unlink()
            else:
                (log / path).write_bytes(changed)
            try:
                found = broken(verify.verify_log(str(log), key=key))
            except verify.NothingToCheck:
                found = {"no log"}
            assert found, f"{path}: {name}"
            (log / path).write_bytes(content)
    assert verify.verify_log(str(log), key=key).ok


def test_a_partial_tile_may_have_given_way_to_the_full_one(country, tmp_path):
    node = Node("nut-h31", "VN/GOV/H31")
    leaves = [make_exchange(Country(consumer=node)).consumer_leaf] * 300
    node.append(*leaves)
    grown = tiles_for(300, leaves[:212], node.files.get)
    folder = node.save(tmp_path)
    for path in ("tile/0/001", "tile/entries/001"):
        (folder / path).write_bytes(grown[path])
        (folder / f"{path}.p/44").unlink()

    assert verify.verify_log(str(folder), key=node.verifier_key).ok


def rewritten(node: Node, leaves: list[bytes], *, resign: bool) -> Node:
    """The log as its database owner would make it anew: other leaves, all tiles recomputed."""
    forged = Node(node.id, node.member, node.key, node.log_private)
    forged.append(*leaves)
    if not resign:
        forged.files["checkpoint"] = node.files["checkpoint"]
    return forged


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("edited", lambda leaves: [*leaves[:7], leaves[7].replace(b"permitted", b"refused"), *leaves[8:]]),
        ("deleted", lambda leaves: [*leaves[:7], *leaves[8:]]),
        ("truncated", lambda leaves: leaves[:-1]),
        ("grown", lambda leaves: [*leaves, leaves[0]]),
        ("reordered", lambda leaves: [leaves[1], leaves[0], *leaves[2:]]),
    ],
)
def test_a_log_rewritten_under_its_old_checkpoint_is_found(country, tmp_path, case, change):
    forged = rewritten(country.consumer, change(country.consumer.leaves), resign=False)
    report = verify.verify_log(str(forged.save(tmp_path)), key=country.consumer.verifier_key)

    assert broken(report) & {"root", "entries"}


def test_a_rewritten_and_newly_signed_log_is_found_by_the_other_side(country, tmp_path):
    leaf = country.provider.leaves[7]
    forged = rewritten(
        country.provider,
        [*country.provider.leaves[:7], leaf.replace(b"law:59", b"law:60"), *country.provider.leaves[8:]],
        resign=True,
    )
    mine = country.consumer.save(tmp_path / "mine")
    theirs = forged.save(tmp_path / "theirs")
    alone = verify.verify_log(str(theirs), key=country.provider.verifier_key)
    both = verify.verify_log(str(mine), key=country.consumer.verifier_key, against=[str(theirs)])

    assert alone.ok  # by itself nothing shows it: that is what the other side and witnesses are for
    assert states(both)["pairs"] is None
    assert both.facts["pairs"] == 299


def test_a_pair_that_names_different_requests_is_found(tmp_path):
    country = Country()
    exchange = make_exchange(country)
    record = json.loads(exchange.consumer_leaf)
    record["request_signature_digest"] = digest(b"another")
    country.consumer.append(json.dumps(record, ensure_ascii=False, separators=(",", ":")).encode())
    country.provider.append(exchange.provider_leaf)
    theirs = str(country.provider.save(tmp_path / "theirs"))
    report = verify.verify_log(str(country.consumer.save(tmp_path / "mine")), against=[theirs])

    assert broken(report) == {"pairs"}


def test_a_broken_log_to_compare_with_breaks_the_comparison(country, log, tmp_path):
    theirs = country.provider.save(tmp_path / "theirs")
    (theirs / "tile/0/000").write_bytes(bytes(8192))

    assert "pairs" in broken(verify.verify_log(str(log), against=[str(theirs)]))


def test_both_sides_in_one_log_are_matched(tmp_path):
    country = Country()
    exchange = make_exchange(country)
    country.consumer.append(exchange.provider_leaf, exchange.consumer_leaf)
    report = verify.verify_log(str(country.consumer.save(tmp_path)), key=country.consumer.verifier_key)

    assert set(states(report).values()) == {True}
    assert report.facts["pairs"] == 1


@pytest.mark.parametrize("entry", [b"", b"x", b"{}", b"\xff", b"[1]", b"7", b'{"agreement":null}', b"[" * 50_000])
def test_an_entry_that_is_no_record_is_named(entry, tmp_path):
    country = busy(2)
    country.consumer.append(entry)
    report = verify.verify_log(str(country.consumer.save(tmp_path)), key=country.consumer.verifier_key)

    assert broken(report) == {"records"}
    assert "record number 2" in verify.render(report)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "a\n1\n\n— a b\n",
        "nut-h31.example/log\n-1\n" + "A" * 44 + "\n\n— a b\n",
        "nut-h31.example/log\n007\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— a AAAAAAAA\n",
    ],
)
@pytest.mark.parametrize("own_key", [True, False])
def test_a_malformed_checkpoint_is_refused(text, own_key, country, log):
    (log / "checkpoint").write_text(text)
    if not own_key:
        (log / "key").unlink()

    assert "checkpoint" in broken(verify.verify_log(str(log)))


def test_a_claimed_size_beyond_the_files_is_refused(country, log):
    key = generate_ed25519()
    huge = note.sign_checkpoint(Checkpoint("x", 10**17, bytes(32)), key, "x")
    (log / "checkpoint").write_bytes(huge)
    report = verify.verify_log(str(log), key=note.verifier_key("x", key.public_key()))

    assert "entries" in broken(report)


def test_a_bundle_larger_than_any_can_be_is_not_read_into_memory(country, log):
    with (log / "tile/entries/000").open("r+b") as file:
        file.truncate(verify.MOST_BUNDLE_BYTES + 1)

    assert "entries" in broken(verify.verify_log(str(log)))


def test_no_log_is_nothing_to_check(tmp_path):
    with pytest.raises(verify.NothingToCheck):
        verify.verify_log(str(tmp_path))


class _Log(http.server.SimpleHTTPRequestHandler):
    broken_path = ""

    def do_GET(self) -> None:
        if self.broken_path and self.broken_path in self.path:
            self.send_error(500)
        else:
            super().do_GET()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def served(log: Path, tmp_path: Path) -> Iterator[str]:
    """The log under /log/ of a web server, as a node serves it."""
    log.rename(tmp_path / "log")

    def handler(*args: object) -> _Log:
        return _Log(*args, directory=str(tmp_path))

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()


@pytest.mark.parametrize("suffix", ["", "/", "/log", "/log/"])
def test_a_log_is_read_over_http(country, served, suffix):
    report = verify.verify_log(served + suffix, key=country.consumer.verifier_key)

    assert report.ok
    assert report.facts["tree"].size == 300


def test_a_server_that_fails_is_no_verdict_about_the_log(served, capsys, monkeypatch):
    monkeypatch.setattr(_Log, "broken_path", "tile/entries/001")

    assert verify.main(["log", served]) == 2
    assert "500" in capsys.readouterr().err


def test_an_address_where_nobody_listens_is_no_verdict(served):
    assert verify.main(["log", "http://127.0.0.1:9"]) == 2


def test_entries_that_do_not_fill_their_bundle_are_refused(tmp_path):
    country = busy(3)
    leaves = country.consumer.leaves
    folder = country.consumer.save(tmp_path)
    (folder / "tile/entries/000.p/3").write_bytes(write_bundle([*leaves, b"one more"]))

    assert "entries" in broken(verify.verify_log(str(folder)))
