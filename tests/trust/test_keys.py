"""Keys keep their name, their password and their kind."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from joserfc.jwk import ECKey, OKPKey

from lienthong.trust import es256, keys


@pytest.fixture(params=[keys.generate_es256, keys.generate_ed25519])
def key(request):
    return request.param()


def test_a_key_survives_the_disk_only_with_its_password(key):
    pem = keys.private_to_pem(key, b"a password")

    assert pem.startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert keys.public_jwk(keys.private_from_pem(pem, b"a password")) == keys.public_jwk(key)
    with pytest.raises(keys.UnusableKey):
        keys.private_from_pem(pem, b"another")


def test_a_key_is_never_written_in_clear_nor_read_from_clear(key):
    clear = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )

    with pytest.raises(keys.UnusableKey):
        keys.private_to_pem(key, b"")
    with pytest.raises(keys.UnusableKey):
        keys.private_from_pem(clear, b"a password")


@pytest.mark.parametrize(
    "other",
    [
        lambda: ec.generate_private_key(ec.SECP384R1()),
        lambda: rsa.generate_private_key(65537, 2048),
    ],
)
def test_a_key_of_another_kind_is_not_read(other):
    pem = other().private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"a password"),
    )

    with pytest.raises(keys.UnusableKey):
        keys.private_from_pem(pem, b"a password")


def test_a_public_key_goes_through_its_jwk_and_back(key):
    jwk = keys.public_jwk(key)

    assert keys.public_from_jwk(jwk) == key.public_key()
    assert keys.public_jwk(keys.public_from_jwk({**jwk, "kid": "x", "use": "sig"})) == jwk


def test_the_thumbprint_of_rfc_8037_is_ours_too():
    # RFC 8037, appendix A.3.
    jwk = {"crv": "Ed25519", "kty": "OKP", "x": "11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo"}

    assert keys.key_id(jwk) == "kPrK_qmxVWaYVA9wwBF6Iuo3vVzz7TxHCTwXBygrS4k"


@pytest.mark.conformance
def test_the_thumbprint_is_the_one_joserfc_computes(key):
    jwk = keys.public_jwk(key)
    foreign = (ECKey if jwk["kty"] == "EC" else OKPKey).import_key(jwk)

    assert keys.key_id(jwk) == foreign.thumbprint()
    assert keys.key_id({**jwk, "kid": "other", "alg": "ES256"}) == foreign.thumbprint()


EC = keys.public_jwk(keys.generate_es256())
OKP = keys.public_jwk(keys.generate_ed25519())


@pytest.mark.parametrize(
    ("case", "jwk"),
    [
        ("private member", {**EC, "d": "AAAA"}),
        ("off the curve", {**EC, "x": EC["y"], "y": EC["x"]}),
        ("coordinates of nought", {**EC, "x": "A" * 43, "y": "A" * 43}),
        ("short coordinate", {**EC, "x": EC["x"][:-4]}),
        ("padded coordinate", {**EC, "x": EC["x"] + "="}),
        ("foreign characters", {**EC, "x": EC["x"][:20] + "!\n" + EC["x"][20:]}),
        ("loose bits at the end", {**OKP, "x": OKP["x"][:-1] + "-"}),
        ("other curve", {**EC, "crv": "P-384"}),
        ("other kind", {**EC, "kty": "RSA"}),
        ("no y", {"kty": "EC", "crv": "P-256", "x": EC["x"]}),
        ("number for a coordinate", {**EC, "x": 7}),
        ("short Ed25519", {**OKP, "x": "AAAA"}),
        ("empty", {}),
    ],
)
def test_a_key_document_of_another_form_is_refused(case, jwk):
    with pytest.raises(keys.UnusableKey):
        keys.public_from_jwk(jwk)


def test_a_thumbprint_needs_the_required_members():
    with pytest.raises(keys.UnusableKey):
        keys.key_id({"kty": "EC", "crv": "P-256"})


def test_only_a_p256_key_signs_messages():
    assert keys.es256_from_jwk(EC) == keys.public_from_jwk(EC)
    with pytest.raises(keys.UnusableKey):
        keys.es256_from_jwk(OKP)


def test_a_signature_is_64_bytes_and_fits_one_key_and_one_message():
    key, other = keys.generate_es256(), keys.generate_es256()
    signature = es256.sign(key, b"message")

    assert len(signature) == 64
    assert es256.is_valid(key.public_key(), signature, b"message")
    assert not es256.is_valid(key.public_key(), signature, b"messagf")
    assert not es256.is_valid(other.public_key(), signature, b"message")
    assert not es256.is_valid(key.public_key(), signature + b"\0", b"message")
    assert not es256.is_valid(key.public_key(), b"", b"message")


@pytest.mark.parametrize("text", ["A", "AB=", "A B", "AB", "++++", "____\n"])
def test_only_canonical_base64url_is_read(text):
    with pytest.raises(ValueError, match="base64url"):
        keys.from_base64url(text)
