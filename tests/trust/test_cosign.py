"""A witness's cosignature says when it saw which checkpoint, and nothing else passes for one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust.cosign import (
    CosignerKey,
    Submission,
    cosign,
    cosignature_times,
    cosigned,
    parse_cosigner_key,
    parse_submission,
    write_submission,
)
from lienthong.trust.keys import generate_ed25519
from lienthong.trust.note import Checkpoint, NoteRefused, open_checkpoint, read_signature_line, sign_checkpoint

ORIGIN = "vn.lienthong/nut-g01"
LOG_KEY = generate_ed25519()
CHECKPOINT = Checkpoint(ORIGIN, 7, bytes(32))
NOTE = sign_checkpoint(CHECKPOINT, LOG_KEY, ORIGIN)
WITNESS = Ed25519PrivateKey.from_private_bytes(bytes(range(32)))
NAME = "vn.lienthong/nut-g06/witness"
COSIGNER = CosignerKey(NAME, WITNESS.public_key())
AT = 1679315147
LINE = cosign(CHECKPOINT.text(), WITNESS, NAME, AT)


@pytest.mark.conformance
def test_the_cosignature_of_the_specification_has_the_layout_that_is_read_here():
    line = (
        "— witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0"
        "xUe+mbIUBkBIfZ+qnA=="
    )

    name, octets = read_signature_line(line)

    assert (name, len(octets), int.from_bytes(octets[4:12], "big")) == ("witness.example.com/w1", 76, 1679315147)


def test_what_is_signed_is_the_text_of_the_specification():
    _, octets = read_signature_line(LINE.rstrip("\n"))
    root = base64.b64encode(bytes(32)).decode()

    WITNESS.public_key().verify(octets[12:], f"cosignature/v1\ntime {AT}\n{ORIGIN}\n7\n{root}\n".encode())
    assert octets[:4] == COSIGNER.id


def test_a_cosigned_checkpoint_opens_for_the_log_and_tells_the_witness_and_its_time():
    note = cosigned(NOTE, [LINE])

    assert open_checkpoint(note, ORIGIN, LOG_KEY.public_key(), ORIGIN) == CHECKPOINT
    assert cosignature_times(note, [COSIGNER]) == {NAME: AT}
    assert note.startswith(NOTE)


def test_a_later_cosignature_takes_the_place_of_an_earlier_one_of_the_same_witness():
    later = cosign(CHECKPOINT.text(), WITNESS, NAME, AT + 9)

    note = cosigned(cosigned(NOTE, [LINE]), [later])

    assert cosignature_times(note, [COSIGNER]) == {NAME: AT + 9}
    assert len(note.splitlines()) == len(NOTE.splitlines()) + 1


def test_a_published_key_reads_back_and_every_other_text_is_refused():
    text = str(COSIGNER)

    assert parse_cosigner_key(text) == COSIGNER
    name, key_id, octets = text.split("+", 2)
    log_key = base64.b64encode(b"\x01" + WITNESS.public_key().public_bytes_raw()).decode()
    for wrong in (
        "",
        name,
        f"{name}+00000000+{octets}",
        f"{name}+{key_id}+{log_key}",
        f"{name}+{key_id}+é",
        text + "\n",
    ):
        with pytest.raises(NoteRefused):
            parse_cosigner_key(wrong)
    with pytest.raises(NoteRefused):
        CosignerKey("two words", WITNESS.public_key())


def test_a_cosignature_over_another_checkpoint_refuses_the_note():
    other = cosign(Checkpoint(ORIGIN, 8, bytes(32)).text(), WITNESS, NAME, AT)

    with pytest.raises(NoteRefused):
        cosignature_times(cosigned(NOTE, [other]), [COSIGNER])


def test_a_cosignature_with_another_time_is_none():
    name, octets = read_signature_line(LINE.rstrip("\n"))
    moved = octets[:4] + (AT + 1).to_bytes(8, "big") + octets[12:]
    line = f"— {name} {base64.b64encode(moved).decode()}\n"

    with pytest.raises(NoteRefused):
        cosignature_times(cosigned(NOTE, [line]), [COSIGNER])


def test_cosignatures_of_strangers_are_ignored():
    stranger = generate_ed25519()
    note = cosigned(NOTE, [cosign(CHECKPOINT.text(), stranger, "stranger", AT)])

    assert cosignature_times(note, [COSIGNER]) == {}


def test_a_log_key_never_passes_for_a_witness_of_the_same_name():
    note = sign_checkpoint(CHECKPOINT, WITNESS, NAME)

    assert cosignature_times(note, [COSIGNER]) == {}


@given(st.integers(1, 10**17), st.lists(st.binary(min_size=32, max_size=32), max_size=63))
def test_a_submission_reads_back_as_it_was_written(old: int, proof: list[bytes]):
    asked = Submission(old, tuple(proof), NOTE)

    assert parse_submission(write_submission(asked)) == asked


@pytest.mark.parametrize(
    "head",
    [
        b"",
        b"old",
        b"old -1",
        b"old 01",
        b"old  1",
        b"old 1\nAA==",
        b"old 1\n" + base64.b64encode(bytes(32)).rstrip(b"="),
        b"old 0\n" + base64.b64encode(bytes(32)),
        b"old 1\n" + b"\n".join([base64.b64encode(bytes(32))] * 64),
        "old 1é".encode(),
        b"size 1",
    ],
)
def test_every_other_shape_of_a_submission_is_refused(head: bytes):
    with pytest.raises(NoteRefused):
        parse_submission(head + b"\n\n" + NOTE)
    with pytest.raises(NoteRefused):
        parse_submission(head)
