"""A proof is the text of C2SP's tlog-proof, and holds only for its entry, its log and its key."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust import merkle, note, proof
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.merkle import WrongProof
from lienthong.trust.note import Checkpoint, NoteRefused, VerifierKey
from lienthong.trust.tiles import TileReader, tiles_for

ORIGIN = "nut-g01.example/log"
KEY = generate_ed25519()
VERIFIER = VerifierKey(ORIGIN, KEY.public_key())
SIZE, INDEX = 11, 6
ENTRIES = [b"entry %d" % n for n in range(SIZE)]
READER = TileReader(tiles_for(0, ENTRIES, {}.get).get, SIZE)
LEAF = merkle.leaf_hash(ENTRIES[INDEX])
PATH = READER.inclusion_proof(INDEX)
NOTE = note.sign_checkpoint(Checkpoint(ORIGIN, SIZE, READER.root()), KEY, ORIGIN)
TEXT = proof.write_proof(INDEX, PATH, NOTE)


def verified(text: str, leaf: bytes = LEAF) -> Checkpoint:
    return proof.verify_proof(proof.parse_proof(text), leaf, ORIGIN, VERIFIER)


def test_a_proof_is_written_line_by_line_as_specified():
    lines = TEXT.split("\n")

    assert lines[:2] == ["c2sp.org/tlog-proof@v1", "index 6"]
    assert [base64.b64decode(line) for line in lines[2 : 2 + len(PATH)]] == PATH
    assert lines[2 + len(PATH)] == ""
    assert "\n".join(lines[3 + len(PATH) :]).encode() == NOTE


def test_a_proof_leads_to_its_checkpoint():
    assert verified(TEXT) == Checkpoint(ORIGIN, SIZE, READER.root())


@pytest.mark.parametrize("extra", [b"", b"age-v1.2.1", bytes(300)])
def test_extra_data_travels_and_counts_for_nothing(extra):
    text = proof.write_proof(INDEX, PATH, NOTE, extra)

    assert proof.parse_proof(text).extra == extra
    assert verified(text).size == SIZE


def test_the_only_entry_of_a_log_needs_no_hashes():
    alone = note.sign_checkpoint(Checkpoint(ORIGIN, 1, LEAF), KEY, ORIGIN)
    text = proof.write_proof(0, [], alone)

    assert text.startswith("c2sp.org/tlog-proof@v1\nindex 0\n\n" + ORIGIN)
    assert verified(text).size == 1


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("another version", lambda text: text.replace("@v1", "@v2")),
        ("no header", lambda text: text.split("\n", 1)[1]),
        ("no index", lambda text: text.replace("index 6\n", "")),
        ("leading nought", lambda text: text.replace("index 6", "index 06")),
        ("index below nought", lambda text: text.replace("index 6", "index -6")),
        ("index with a sign", lambda text: text.replace("index 6", "index +6")),
        ("two indexes", lambda text: text.replace("index 6", "index 6\nindex 6")),
        ("another index", lambda text: text.replace("index 6", "index 7")),
        ("index at the size", lambda text: text.replace("index 6", "index 11")),
        ("index of many digits", lambda text: text.replace("index 6", "index " + "6" * 40)),
        ("extra behind the index", lambda text: text.replace("index 6", "index 6\nextra AA==")),
        ("extra twice", lambda text: text.replace("index 6", "extra AA==\nextra AA==\nindex 6")),
        ("damaged extra", lambda text: text.replace("index 6", "extra !\nindex 6")),
        ("a hash dropped", lambda text: text.replace(text.split("\n")[2] + "\n", "")),
        (
            "a hash twice",
            lambda text: text.replace(text.split("\n")[2], text.split("\n")[2] + "\n" + text.split("\n")[2]),
        ),
        ("a hash too long", lambda text: text.replace(text.split("\n")[2], base64.b64encode(bytes(33)).decode())),
        ("a hash of another", lambda text: text.replace(text.split("\n")[2], base64.b64encode(bytes(32)).decode())),
        ("damaged base64", lambda text: text.replace(text.split("\n")[2], "*" + text.split("\n")[2][1:])),
        (
            "65 hashes",
            lambda text: text.replace("index 6", "index 6" + ("\n" + base64.b64encode(bytes(32)).decode()) * 65),
        ),
        ("no checkpoint", lambda text: text.split("\n\n")[0]),
        ("nothing behind the empty line", lambda text: text.split("\n\n")[0] + "\n\n"),
        ("windows newlines", lambda text: text.replace("\n", "\r\n")),
        ("empty", lambda text: ""),
    ],
)
def test_a_proof_of_another_form_or_place_is_refused(case, change):
    with pytest.raises((WrongProof, NoteRefused)):
        verified(change(TEXT))


def test_a_path_longer_than_any_tree_is_high_is_not_even_read():
    longest, longer = (proof.write_proof(0, [bytes(32)] * count, NOTE) for count in (64, 65))

    assert len(proof.parse_proof(longest).path) == 64
    with pytest.raises(WrongProof):
        proof.parse_proof(longer)


def test_a_proof_does_not_hold_for_another_entry_log_or_key():
    with pytest.raises(WrongProof):
        verified(TEXT, merkle.leaf_hash(b"entry 5"))
    with pytest.raises(NoteRefused):
        proof.verify_proof(proof.parse_proof(TEXT), LEAF, "other.example/log", VERIFIER)
    with pytest.raises(NoteRefused):
        proof.verify_proof(proof.parse_proof(TEXT), LEAF, ORIGIN, VerifierKey(ORIGIN, generate_ed25519().public_key()))


def test_a_proof_against_a_checkpoint_the_log_did_not_sign_is_refused():
    forged = NOTE.replace(b"\n11\n", b"\n12\n")

    with pytest.raises(NoteRefused):
        verified(proof.write_proof(INDEX, PATH, forged))


@given(st.integers(0, len(TEXT.encode()) - 1), st.integers(0, 7))
def test_any_flipped_bit_refuses_the_proof(at, bit):
    flipped = bytearray(TEXT.encode())
    flipped[at] ^= 1 << bit

    with pytest.raises((WrongProof, NoteRefused)):
        verified(flipped.decode("utf-8", "replace"))


@given(st.text(max_size=200))
def test_no_text_does_more_than_be_refused(text):
    with pytest.raises((WrongProof, NoteRefused)):
        verified(text)
