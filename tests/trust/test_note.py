"""Notes and checkpoints are those of C2SP, and only a good signature of the right key opens one."""

from __future__ import annotations

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust import note
from lienthong.trust.keys import generate_ed25519, generate_es256
from lienthong.trust.note import Checkpoint, NoteRefused, VerifierKey

ORIGIN = "nut-g01.example/log"
KEY = generate_ed25519()
VERIFIER = VerifierKey(ORIGIN, KEY.public_key())
CHECKPOINT = Checkpoint(ORIGIN, 20852163, bytes(range(32)))
SIGNED = note.sign_checkpoint(CHECKPOINT, KEY, ORIGIN)
OTHER = generate_ed25519()


def line_by(name: str, key: Ed25519PrivateKey, text: bytes) -> bytes:
    """One more signature line over ``text``."""
    return note.sign_note(text.decode(), key, name)[len(text) + 1 :]


def opened(signed: bytes) -> Checkpoint:
    return note.open_checkpoint(signed, ORIGIN, KEY.public_key(), ORIGIN)


@pytest.mark.conformance
def test_the_example_of_gos_note_package_opens_and_comes_out_again():
    # golang.org/x/mod/sumdb/note, package example: Ed25519 is deterministic, so signing is a vector as well.
    text = "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
    signed = (
        f"{text}\n— PeterNeumann"
        " x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
    ).encode()
    verifier = note.parse_verifier_key("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW")
    seed = base64.b64decode("AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz")[1:]

    assert note.open_note(signed, verifier) == text
    assert note.sign_note(text, Ed25519PrivateKey.from_private_bytes(seed), "PeterNeumann") == signed


@pytest.mark.conformance
def test_the_published_key_of_gos_checksum_database_has_the_id_it_says():
    text = "sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8"

    assert str(note.parse_verifier_key(text)) == text


@pytest.mark.conformance
def test_the_checkpoint_of_the_specification_has_the_text_shown_there():
    checkpoint = Checkpoint(
        "example.com/behind-the-sofa", 20852163, base64.b64decode("CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=")
    )
    text = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"

    assert checkpoint.text() == text
    assert note.parse_checkpoint(text) == checkpoint


def test_a_signed_checkpoint_opens_with_its_key_and_origin():
    assert opened(SIGNED) == CHECKPOINT
    assert SIGNED.decode().split("\n")[-2].startswith(f"— {ORIGIN} ")


def test_a_verifier_key_survives_being_written():
    text = note.verifier_key(ORIGIN, KEY.public_key())

    assert note.parse_verifier_key(text) == VERIFIER
    assert text == str(VERIFIER)


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("another id", lambda text: text.replace(VERIFIER.id.hex(), "00000000")),
        ("another name", lambda text: "x" + text),
        ("no name", lambda text: text[text.index("+") :]),
        ("space in the name", lambda text: "a b" + text[text.index("+") :]),
        ("no key", lambda text: text.rsplit("+", 1)[0]),
        ("damaged base64", lambda text: text + "!"),
        ("another type", lambda text: text.rsplit("+", 1)[0] + "+" + base64.b64encode(b"\x04" + bytes(32)).decode()),
        ("too short", lambda text: text.rsplit("+", 1)[0] + "+" + base64.b64encode(b"\x01" + bytes(31)).decode()),
        ("empty", lambda text: ""),
    ],
)
def test_a_verifier_key_of_another_form_is_refused(case, change):
    with pytest.raises(NoteRefused):
        note.parse_verifier_key(change(str(VERIFIER)))


def test_signatures_of_others_are_ignored():
    text = CHECKPOINT.text().encode()
    witnessed = SIGNED + b"".join(line_by(f"witness{n}.example", generate_ed25519(), text) for n in range(16))
    same_name_other_key = SIGNED + line_by(ORIGIN, OTHER, text)
    post_quantum = SIGNED + f"— witness.example {base64.b64encode(bytes(2500)).decode()}\n".encode()

    assert opened(witnessed) == opened(same_name_other_key) == opened(post_quantum) == CHECKPOINT


def test_one_bad_signature_of_the_known_key_refuses_the_note():
    wrong = base64.b64encode(VERIFIER.id + bytes(64)).decode()

    with pytest.raises(NoteRefused):
        opened(SIGNED + f"— {ORIGIN} {wrong}\n".encode())


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("size", lambda signed: signed.replace(b"20852163", b"20852164")),
        ("origin", lambda signed: signed.replace(b"nut-g01.example/log\n", b"nut-g02.example/log\n", 1)),
        ("an added line", lambda signed: signed.replace(b"20852163\n", b"20852163\nx\n")),
        ("an extension line", lambda signed: signed.replace(b"\n\n", b"\nextension\n\n")),
        ("another name in the signature", lambda signed: signed.replace(b"\xe2\x80\x94 nut", b"\xe2\x80\x94 not")),
        ("hyphen for dash", lambda signed: signed.replace(b"\xe2\x80\x94", b"-")),
        ("no signature", lambda signed: signed.split(b"\xe2\x80\x94")[0]),
        ("no empty line", lambda signed: signed.replace(b"\n\n", b"\n")),
        ("no last newline", lambda signed: signed[:-1]),
        ("text behind", lambda signed: signed + b"x\n"),
        ("empty line behind", lambda signed: signed + b"\n"),
        ("windows newlines", lambda signed: signed.replace(b"\n", b"\r\n")),
        ("tab", lambda signed: signed.replace(b"nut", b"nut\t", 1)),
        ("not UTF-8", lambda signed: signed.replace(b"nut", b"\xff\xfe", 1)),
        ("endless", lambda signed: b"x" * note.MAX_NOTE_BYTES + signed),
        ("empty", lambda signed: b""),
    ],
)
def test_an_altered_note_is_refused(case, change):
    with pytest.raises(NoteRefused):
        opened(change(SIGNED))


@pytest.mark.parametrize("spell", [lambda line: line[:-1], lambda line: line + "=", lambda line: " " + line])
def test_a_signature_spelt_otherwise_is_refused(spell):
    text, _, line = SIGNED.decode().rstrip("\n").rpartition(" ")

    with pytest.raises(NoteRefused):
        opened(f"{text} {spell(line)}\n".encode())


def test_bits_that_carry_nothing_must_be_nought():
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    text = SIGNED.decode()
    last = text[-3]  # 68 bytes in base64: 91 letters, of which the last carries four bits, one sign of padding
    other = text[:-3] + letters[letters.index(last) + 1] + text[-2:]
    assert base64.b64decode(other.split(" ")[-1]) == base64.b64decode(text.split(" ")[-1])

    with pytest.raises(NoteRefused):
        opened(other.encode())


def test_a_good_checkpoint_of_another_log_is_refused():
    other = note.sign_checkpoint(Checkpoint("other.example/log", 1, bytes(32)), KEY, ORIGIN)

    with pytest.raises(NoteRefused) as refused:
        opened(other)

    assert refused.value.facts["origin"] == "other.example/log"
    with pytest.raises(NoteRefused):
        note.open_checkpoint(SIGNED, ORIGIN, OTHER.public_key(), ORIGIN)


@pytest.mark.parametrize("size", ["007", "-1", "+1", "1.0", "0x1", "", " 1", "1 ", "١", "9" * 30])
def test_a_size_is_plain_decimal(size):
    with pytest.raises(NoteRefused):
        note.parse_checkpoint(f"{ORIGIN}\n{size}\n{base64.b64encode(bytes(32)).decode()}\n")


@pytest.mark.parametrize("root", [b"", bytes(31), bytes(33)])
def test_a_root_has_32_bytes(root):
    with pytest.raises(NoteRefused):
        note.parse_checkpoint(f"{ORIGIN}\n1\n{base64.b64encode(root).decode()}\n")


def test_extension_lines_are_kept_and_may_not_be_empty():
    checkpoint = Checkpoint(ORIGIN, 1, bytes(32), ("one", "two"))

    assert opened(note.sign_checkpoint(checkpoint, KEY, ORIGIN)) == checkpoint
    with pytest.raises(NoteRefused):
        Checkpoint(ORIGIN, 1, bytes(32), ("",))
    with pytest.raises(NoteRefused):
        Checkpoint("two\nlines", 1, bytes(32))


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\u00a0b", "a\nb"])
def test_a_key_name_that_would_break_the_line_is_refused(name):
    with pytest.raises(NoteRefused):
        note.sign_note("text\n", KEY, name)


@pytest.mark.parametrize("text", ["", "no newline", "tab\t\n", "nul\0\n"])
def test_a_text_that_is_no_note_is_not_signed(text):
    with pytest.raises(NoteRefused):
        note.sign_note(text, KEY, ORIGIN)


@given(st.text(st.characters(codec="utf-8", min_codepoint=32), max_size=60), st.integers(0, 10**17))
def test_any_text_that_can_be_signed_opens_again(text, size):
    signed = note.sign_note(text + "\n\n" + text + "\n", KEY, ORIGIN)

    assert note.open_note(signed, VERIFIER) == text + "\n\n" + text + "\n"


@given(st.binary(max_size=300))
def test_no_bytes_do_more_than_be_refused(noise):
    with pytest.raises(NoteRefused):
        opened(noise)
    with pytest.raises(NoteRefused):
        opened(CHECKPOINT.text().encode() + b"\n" + noise)


@given(st.integers(0, len(SIGNED) - 1), st.integers(0, 7))
def test_any_flipped_bit_refuses_the_checkpoint(at, bit):
    flipped = bytearray(SIGNED)
    flipped[at] ^= 1 << bit

    with pytest.raises(NoteRefused):
        opened(bytes(flipped))


def test_an_es256_key_makes_no_note():
    with pytest.raises((AttributeError, TypeError)):
        note.sign_note("text\n", generate_es256(), ORIGIN)
