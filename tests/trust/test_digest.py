"""Content-Digest is the SHA-256 of the body, in one spelling."""

from __future__ import annotations

import hashlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust.digest import DigestMismatch, content_digest, content_digest_field, verify_content_digest


def test_the_examples_of_rfc_9530_have_our_digest():
    # RFC 9530, appendix B.1 (the body with its newline) and B.2 (no body).
    assert content_digest(b'{"hello": "world"}\n') == "sha-256=:RK/0qy18MlBSVnWgjwz6lZEWjP/lF5HF9bvEF8FabDg=:"
    assert content_digest(b"") == "sha-256=:47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=:"


@given(st.binary(max_size=200))
def test_a_body_fits_its_own_digest_and_no_other(body):
    field = content_digest(body)

    verify_content_digest(field, body)
    assert field == content_digest_field(hashlib.sha256(body).digest())
    with pytest.raises(DigestMismatch):
        verify_content_digest(field, body + b"\0")


@pytest.mark.parametrize(
    "spell",
    [
        lambda field: field + ", " + field,
        lambda field: field.replace("sha-256", "SHA-256"),
        lambda field: field.replace("sha-256", "sha-512"),
        lambda field: field.strip(":"),
        lambda field: " " + field,
        lambda field: field + ";a",
        lambda field: "",
    ],
)
def test_another_spelling_or_algorithm_is_refused(spell):
    with pytest.raises(DigestMismatch):
        verify_content_digest(spell(content_digest(b"body")), b"body")
