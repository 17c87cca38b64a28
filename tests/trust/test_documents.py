"""A document opens only with the signature of a trusted key, over exactly its bytes."""

from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from joserfc import jws as joserfc_jws
from joserfc.jwk import ECKey, OctKey

from lienthong.trust import es256
from lienthong.trust.documents import DocumentRefused, detached_jws, open_document, sign_document, verify_detached_jws
from lienthong.trust.keys import base64url, generate_ed25519, generate_es256, key_id, public_jwk

ES, ED = generate_es256(), generate_ed25519()
NAMES = {key_id(public_jwk(key)): key.public_key() for key in (ES, ED)}
ES_ID, ED_ID = NAMES
PAYLOAD = b'{"version":7,"members":[]}'


@pytest.mark.parametrize(("key", "name", "alg"), [(ES, ES_ID, "ES256"), (ED, ED_ID, "EdDSA")])
def test_a_document_opens_to_the_very_bytes_that_were_signed(key, name, alg):
    envelope = sign_document(PAYLOAD, key, name, alg)

    assert open_document(envelope, NAMES.get) == PAYLOAD
    assert json.loads(envelope)["signatures"][0]["alg"] == alg
    with pytest.raises(ValueError, match="signs with"):
        sign_document(PAYLOAD, key, name, "EdDSA" if alg == "ES256" else "ES256")


def changed(**parts) -> bytes:
    envelope = json.loads(sign_document(PAYLOAD, ES, ES_ID))
    return json.dumps({**envelope, **parts}).encode()


SIGNATURE = json.loads(sign_document(PAYLOAD, ES, ES_ID))["signatures"][0]


@pytest.mark.parametrize(
    ("case", "envelope"),
    [
        ("another payload", changed(payload=base64.b64encode(b"{}").decode())),
        ("no signature", changed(signatures=[])),
        ("unknown key", changed(signatures=[{**SIGNATURE, "keyid": "stranger"}])),
        ("another trusted key's name", changed(signatures=[{**SIGNATURE, "keyid": ED_ID}])),
        ("damaged signature", changed(signatures=[{**SIGNATURE, "sig": base64.b64encode(bytes(64)).decode()}])),
        ("one good, one damaged", changed(signatures=[SIGNATURE, {**SIGNATURE, "sig": "AAAA"}])),
        ("signature is no base64", changed(signatures=[{**SIGNATURE, "sig": "*"}])),
        ("signatures is no list", changed(signatures={"0": SIGNATURE})),
        ("payload is no text", changed(payload=7)),
        ("signature is no object", changed(signatures=["x"])),
        ("no envelope", PAYLOAD),
        ("no JSON", b"\xff{"),
        ("deep", b"[" * 100_000),
        ("empty", b""),
    ],
)
def test_a_document_without_a_good_signature_is_refused(case, envelope):
    with pytest.raises(DocumentRefused):
        open_document(envelope, NAMES.get)


def test_signatures_by_strangers_are_ignored():
    stranger = {"keyid": "stranger", "alg": "XMSS", "sig": base64.b64encode(b"anything").decode()}

    assert open_document(changed(signatures=[stranger, SIGNATURE]), NAMES.get) == PAYLOAD


def test_the_algorithm_stated_in_the_document_decides_nothing():
    assert open_document(changed(signatures=[{**SIGNATURE, "alg": "none"}]), NAMES.get) == PAYLOAD


def test_a_signature_over_the_bare_bytes_is_not_one_over_a_document():
    bare = base64.b64encode(es256.sign(ES, PAYLOAD)).decode()

    with pytest.raises(DocumentRefused):
        open_document(changed(signatures=[{**SIGNATURE, "sig": bare}]), NAMES.get)


def test_a_detached_jws_holds_over_its_payload_and_says_who_signed():
    token = detached_jws(PAYLOAD, ES, ES_ID)

    assert token.split(".")[1] == ""
    assert verify_detached_jws(PAYLOAD, token, ES.public_key()) == ES_ID


@pytest.mark.conformance
def test_the_detached_jws_is_what_rfc_7515_says_byte_for_byte():
    token = detached_jws(PAYLOAD, ES, ES_ID)
    header, _, signature = token.split(".")
    raw = base64.urlsafe_b64decode(signature + "==")

    assert es256.is_valid(ES.public_key(), raw, f"{header}.{base64url(PAYLOAD)}".encode())


def jws_with(header: dict, payload: bytes = PAYLOAD, key=ES) -> str:
    head = base64url(json.dumps(header).encode())
    return f"{head}..{base64url(es256.sign(key, f'{head}.{base64url(payload)}'.encode()))}"


GOOD = {"alg": "ES256", "kid": ES_ID}


def _with_public_key_as_secret() -> str:
    # The oldest trick: HS256 keyed with the public key's own bytes.
    secret = OctKey.import_key(json.dumps(public_jwk(ES)))
    head, _, signature = joserfc_jws.serialize_compact({"alg": "HS256", "kid": ES_ID}, PAYLOAD, secret).split(".")
    return f"{head}..{signature}"


@pytest.mark.parametrize(
    ("case", "token"),
    [
        ("another payload", jws_with(GOOD, b"{}")),
        ("another key", jws_with(GOOD, key=generate_es256())),
        ("payload inside", jws_with(GOOD).replace("..", f".{base64url(PAYLOAD)}.")),
        ("alg none", base64url(b'{"alg":"none","kid":"x"}') + ".."),
        ("HS256 with the public key", _with_public_key_as_secret()),
        ("ES384", jws_with({**GOOD, "alg": "ES384"})),
        ("no kid", jws_with({"alg": "ES256"})),
        ("b64 false", jws_with({**GOOD, "b64": False, "crit": ["b64"]})),
        ("unknown crit", jws_with({**GOOD, "crit": ["x"], "x": 1})),
        ("key inside", jws_with({**GOOD, "jwk": public_jwk(ES)})),
        ("header is a list", jws_with([1])),
        ("four parts", jws_with(GOOD) + ".x"),
        ("two parts", jws_with(GOOD).replace("..", ".")),
        ("padded", jws_with(GOOD) + "=="),
        ("space", jws_with(GOOD).replace("..", " ..")),
        ("not ASCII", "é..é"),
        ("empty", ""),
        ("dots", ".."),
    ],
)
def test_a_jws_of_another_form_key_or_payload_is_refused(case, token):
    with pytest.raises(DocumentRefused):
        verify_detached_jws(PAYLOAD, token, ES.public_key())


@pytest.mark.conformance
def test_joserfc_reads_our_jws_with_the_payload_put_back():
    header, _, signature = detached_jws(PAYLOAD, ES, ES_ID).split(".")
    whole = joserfc_jws.deserialize_compact(
        f"{header}.{base64url(PAYLOAD)}.{signature}", ECKey.import_key(public_jwk(ES)), algorithms=["ES256"]
    )

    assert whole.payload == PAYLOAD
    assert whole.headers()["kid"] == ES_ID


@given(st.binary(max_size=120))
def test_no_bytes_do_more_than_be_refused(noise):
    with pytest.raises(DocumentRefused):
        open_document(noise, NAMES.get)
    with pytest.raises(DocumentRefused):
        verify_detached_jws(PAYLOAD, noise.decode("latin-1"), ES.public_key())
