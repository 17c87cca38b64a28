"""What is sealed opens only with its key and in its place."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust.seal import Seal, SealBroken, commitment, new_salt

SEAL = Seal(b"k" * 32)
PLACE = b"the record's hash"


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_sealed_detail_opens_in_its_place(plain, place):
    assert SEAL.decrypt(SEAL.encrypt(plain, place), place) == plain


def test_the_same_detail_is_sealed_differently_each_time():
    assert SEAL.encrypt(b"detail") != SEAL.encrypt(b"detail")


@given(st.integers(0, 8 * (1 + 12 + 6 + 16) - 1))
def test_any_flipped_bit_breaks_the_seal(bit):
    sealed = bytearray(SEAL.encrypt(b"detail", PLACE))
    sealed[bit // 8] ^= 1 << bit % 8

    with pytest.raises(SealBroken):
        SEAL.decrypt(bytes(sealed), PLACE)


def test_detail_moved_to_another_record_does_not_open():
    with pytest.raises(SealBroken):
        SEAL.decrypt(SEAL.encrypt(b"detail", PLACE), b"another record")


@pytest.mark.parametrize("length", range(30))
def test_cut_detail_does_not_open(length):
    with pytest.raises(SealBroken):
        SEAL.decrypt(SEAL.encrypt(b"x", PLACE)[:length], PLACE)


def test_a_new_key_takes_over_while_the_old_one_still_opens():
    old = Seal(b"o" * 32, key_id=1)
    new = Seal(b"n" * 32, key_id=2, older={1: b"o" * 32})
    before, after = old.encrypt(b"detail"), new.encrypt(b"detail")

    assert new.decrypt(before) == new.decrypt(after) == b"detail"
    with pytest.raises(SealBroken):
        old.decrypt(after)


@pytest.mark.parametrize("keys", [{"key": b"short"}, {"key": b"k" * 32, "key_id": 256}])
def test_a_key_of_the_wrong_size_is_not_taken(keys):
    with pytest.raises(ValueError, match="32 bytes"):
        Seal(**keys)


def test_a_commitment_needs_its_salt():
    salt = new_salt()

    assert commitment(salt, "/đích") == hashlib.sha256(salt + "/đích".encode()).digest()
    assert commitment(salt, "/đích") != commitment(new_salt(), "/đích")
    with pytest.raises(ValueError, match="16 bytes"):
        commitment(b"", "/đích")
