"""Two heads of one log that no single history can have are found, and the file that says so convinces anybody."""

from __future__ import annotations

import json

import pytest

from lienthong.access.witness.forks import Doubt, NotAFork, compare_heads, verify_fork
from lienthong.access.witness.queries import Evidence
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import NoteRefused, VerifierKey
from tests.access.growing import ORIGIN, GrowingLog

HONEST = GrowingLog(generate_ed25519())
HONEST.grow(700)
FORKED = HONEST.fork(300, "another")
FORKED.grow(700)
KEYS = {ORIGIN: HONEST.verifier}


def compare(one: bytes, other: bytes, shown: GrowingLog) -> Evidence | Doubt | None:
    return compare_heads(HONEST.verifier, one, other, shown.files(700).get)


@pytest.mark.parametrize(("one", "other"), [(300, 300), (300, 700), (700, 512), (1, 2), (0, 5)])
def test_heads_of_one_history_are_no_fork(one: int, other: int):
    assert compare(HONEST.note(one), HONEST.note(other), HONEST) is None


def test_a_fork_after_both_heads_is_none_of_theirs():
    assert compare(HONEST.note(300), FORKED.note(300), HONEST) is None


@pytest.mark.parametrize(("small", "large"), [(301, 301), (301, 400), (400, 513), (512, 700), (699, 700)])
def test_heads_of_two_histories_are_proof_whichever_side_has_the_larger(small: int, large: int):
    for one, other in ((HONEST, FORKED), (FORKED, HONEST)):
        found = compare(one.note(small), other.note(large), other if large == 700 else _of(other, large))

        assert isinstance(found, Evidence)
        heads = verify_fork(found.evidence, KEYS.get)
        assert [head.size for head in heads] == [small, large]


def _of(log: GrowingLog, size: int) -> GrowingLog:
    """The log as its files stand at ``size``: it grew no further."""
    shown = log.fork(size, log.word)
    shown.files = lambda _: GrowingLog.files(shown, size)  # type: ignore[method-assign]
    return shown


def test_a_log_that_hides_the_files_of_the_head_it_signed_is_in_doubt():
    found = compare_heads(HONEST.verifier, HONEST.note(400), FORKED.note(700), HONEST.files(700).get)
    nothing = compare_heads(HONEST.verifier, HONEST.note(400), FORKED.note(700), {}.get)

    assert isinstance(found, Doubt)
    assert isinstance(nothing, Doubt)
    assert (found.origin, found.sizes) == (ORIGIN, (400, 700))


def test_a_head_somebody_else_signed_is_no_evidence():
    stranger = GrowingLog(generate_ed25519(), "stranger")

    with pytest.raises(NoteRefused):
        compare(HONEST.note(5), stranger.note(5), HONEST)


def _changed(evidence: bytes, **changes: object) -> bytes:
    return json.dumps(json.loads(evidence) | changes).encode()


def test_forged_evidence_against_an_honest_log_is_refused():
    found = compare(HONEST.note(400), FORKED.note(700), FORKED)
    assert isinstance(found, Evidence)
    good = found.evidence
    same = [HONEST.note(400).decode(), HONEST.note(700).decode()]
    stranger = GrowingLog(generate_ed25519(), "stranger")
    forgeries = [
        b"",
        b"[]",
        b"{}",
        _changed(good, format=2),
        _changed(good, origin="vn.lienthong/nobody"),
        _changed(good, notes=same),
        _changed(good, notes=[same[0], same[0]]),
        _changed(good, notes=json.loads(good)["notes"][::-1]),
        _changed(good, proof=[]),
        _changed(good, beginning=None),
        _changed(good, beginning="AAAA"),
        _changed(good, notes=[stranger.note(400).decode(), stranger.note(400).decode()]),
    ]

    for forged in forgeries:
        with pytest.raises(NotAFork):
            verify_fork(forged, KEYS.get)
    with pytest.raises(NotAFork):
        verify_fork(good, {ORIGIN: VerifierKey(ORIGIN, generate_ed25519().public_key())}.get)
