"""Whoever is shown the evidence of a fork can check it alone; what is kept elsewhere shows a log cut short."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from lienthong import verify
from lienthong.access.witness.forks import Evidence, compare_heads
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import VerifierKey
from tests.access.growing import ORIGIN, GrowingLog
from tests.verify.receipts import Node, make_exchange
from tests.verify.test_log import busy
from tests.verify.test_receipt import broken, states

HONEST = GrowingLog(generate_ed25519())
HONEST.grow(700)
FORKED = HONEST.fork(300, "another")
FORKED.grow(700)
KEY = str(HONEST.verifier)


def evidence(small: int, large: int) -> dict:
    found = compare_heads(HONEST.verifier, HONEST.note(small), FORKED.note(large), FORKED.files(large).get)
    assert isinstance(found, Evidence)
    return json.loads(found.evidence)


@pytest.mark.parametrize(("small", "large"), [(301, 301), (301, 400), (400, 513), (512, 700), (699, 700)])
def test_evidence_of_a_fork_holds(small, large):
    report = verify.verify_fork(evidence(small, large), key=KEY)

    assert report.ok
    assert set(states(report).values()) == {True}


def test_without_a_key_the_evidence_rests_on_its_own_word():
    assert states(verify.verify_fork(evidence(400, 700))) == {"log-key": None, "checkpoint": True, "fork": True}


GOOD = evidence(400, 700)
STRANGER = GrowingLog(generate_ed25519(), "stranger")
FORGERIES = {
    "empty": {},
    "one history": GOOD | {"notes": [HONEST.note(400).decode(), HONEST.note(700).decode()]},
    "the same head twice": GOOD | {"notes": [GOOD["notes"][0]] * 2},
    "turned round": GOOD | {"notes": GOOD["notes"][::-1]},
    "three heads": GOOD | {"notes": [*GOOD["notes"], GOOD["notes"][0]]},
    "without proof": GOOD | {"proof": []},
    "longer proof": GOOD | {"proof": [*GOOD["proof"], GOOD["proof"][0]]},
    "without beginning": GOOD | {"beginning": None},
    "the honest beginning": GOOD | {"beginning": HONEST.note(400).decode().split("\n")[2]},
    "short hashes": GOOD | {"proof": ["AAAA"]},
    "another signer": GOOD | {"notes": [STRANGER.note(400).decode(), GOOD["notes"][1]]},
}


@pytest.mark.parametrize("name", FORGERIES)
def test_forged_evidence_convicts_nobody(name):
    assert broken(verify.verify_fork(FORGERIES[name], key=KEY))


def test_evidence_against_another_key_convicts_nobody():
    other = str(VerifierKey(ORIGIN, generate_ed25519().public_key()))

    assert broken(verify.verify_fork(GOOD, key=other)) >= {"checkpoint"}


def test_the_command_says_what_it_found(tmp_path: Path, capsys):
    file = tmp_path / "fork.json"
    file.write_text(json.dumps(GOOD))

    assert verify.main(["fork", str(file), "--key", KEY]) == 0
    assert "two different histories" in capsys.readouterr().out
    file.write_text(json.dumps(FORGERIES["one history"]))
    assert verify.main(["fork", str(file), "--key", KEY]) == 1


def grown(node: Node, leaves: list[bytes]) -> Node:
    other = Node(node.id, node.member, node.key, node.log_private)
    other.append(*leaves)
    return other


@pytest.fixture(scope="module")
def node() -> Node:
    return busy(300).consumer


def checked(log: Node, folder: Path, *heads: bytes, rows=None) -> verify.Report:
    return verify.verify_log(
        str(log.save(folder)), key=log.verifier_key, heads=[head.decode() for head in heads], rows=rows
    )


def test_a_log_that_goes_on_bears_out_every_head_kept_elsewhere(node, tmp_path):
    heads = [grown(node, node.leaves[:size]).files["checkpoint"] for size in (1, 255, 256, 257, 299, 300)]

    assert states(checked(node, tmp_path, *heads))["heads"] is True


def test_a_log_cut_short_or_rewritten_is_shown_by_a_head_kept_elsewhere(node, tmp_path):
    head = node.files["checkpoint"]
    early = grown(node, node.leaves[:200]).files["checkpoint"]
    leaf = make_exchange(busy(0)).consumer_leaf
    shorter = grown(node, node.leaves[:250])
    rewritten = grown(node, [*node.leaves[:100], leaf, *node.leaves[101:]])

    assert broken(checked(shorter, tmp_path / "shorter", head)) == {"heads"}
    assert broken(checked(rewritten, tmp_path / "rewritten", head)) == {"heads"}
    assert broken(checked(rewritten, tmp_path / "rewritten", early)) == {"heads"}
    assert states(checked(shorter, tmp_path / "shorter", early))["heads"] is True


def test_a_head_that_the_log_never_signed_breaks_the_check(node, tmp_path):
    stranger = Node(node.id, node.member)
    stranger.append(*node.leaves[:5])

    assert broken(checked(node, tmp_path, stranger.files["checkpoint"])) == {"heads"}
    assert broken(checked(node, tmp_path, b"no note")) == {"heads"}


def rows_of(node: Node) -> list[tuple[int, bytes, bytes]]:
    return [(index, verify._leaf_hash(leaf), leaf) for index, leaf in enumerate(node.leaves)]


def test_a_database_that_agrees_with_the_files_is_said_to(node, tmp_path):
    assert states(checked(node, tmp_path, rows=rows_of(node)))["database"] is True


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows[:-1],
        lambda rows: rows[1:],
        lambda rows: [*rows, rows[0]],
        lambda rows: [*rows[:7], (7, rows[7][1], rows[7][2] + b" "), *rows[8:]],
        lambda rows: [*rows[:7], (7, bytes(32), rows[7][2]), *rows[8:]],
        lambda rows: [*rows[:7], (8, *rows[7][1:]), *rows[8:]],
        lambda rows: [*rows[:7], rows[8], rows[7], *rows[9:]],
    ],
)
def test_a_database_edited_behind_the_log_is_found(node, tmp_path, change):
    assert broken(checked(node, tmp_path, rows=change(rows_of(node)))) == {"database"}
