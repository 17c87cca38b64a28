"""The examples of RFC 9421 itself: appendix B.2.1 to B.2.6, B.3, B.4, section 2.4, and section 2.1's rules of values.

They run through the general verifier beside this file; our profile then has to agree with that verifier on its own
messages, and to refuse every one of the RFC's examples, which cover other parts.
"""

from __future__ import annotations

import base64
from dataclasses import replace

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicNumbers

from lienthong.trust import es256, messages
from lienthong.trust.keys import from_base64url, public_from_jwk
from tests.trust import rfc9421
from tests.trust.messages_profile import ANSWER_FIELDS, DIRECTORY, NOW, ARequest, answer_to, check_answer
from tests.trust.rfc9421 import Message, holds, sha512_digest, sign, signature_base

pytestmark = pytest.mark.conformance


def _number(text: str) -> int:
    return int.from_bytes(from_base64url(text), "big")


# B.1.2
RSA_PSS = RSAPublicNumbers(
    _number("AQAB"),
    _number(
        "r4tmm3r20Wd_PbqvP1s2-QEtvpuRaV8Yq40gjUR8y2Rjxa6dpG2GXHbPfvMs8ct-Lh1GH45x28Rw3Ry53mm-oAXjyQ86OnDkZ5N8lYbggD4O"
        "3w6M6pAvLkhk95AndTrifbIFPNU8PPMO7OyrFAHqgDsznjPFmTOtCEcN2Z1FpWgchwuYLPL-Wokqltd11nqqzi-bJ9cvSKADYdUAAN5WUtzd"
        "piy6LbTgSxP7ociU4Tn0g5I6aDZJ7A8Lzo0KSyZYoA485mqcO0GVAdVw9lq4aOT9v6d-nb4bnNkQVklLQ3fVAvJm-xdDOp9LCNCN48V2pnDO"
        "kFV6-U9nV5oyc6XI2w"
    ),
).public_key()
# B.1.3
ECC_P256 = public_from_jwk(
    {
        "kty": "EC",
        "crv": "P-256",
        "x": "qIVYZVLCrPZHGHjP17CTW0_-D9Lfw0EkjqF7xB4FivA",
        "y": "Mc4nN9LTDOBhfoUeg8Ye9WedFRhnZXZJA12Qp0zZ6F0",
    }
)
ECC_P256_PRIVATE = ec.derive_private_key(_number("UpuF81l-kOxbjf7T4mNSv0r5tN67Gim7rnf6EFpcYDs"), ec.SECP256R1())
# B.1.4
ED25519_PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(
    from_base64url("n4Ni-HpISpVObnQMW0wOhCKROaIKqKtW_2ZYb2p9KcU")
)
ED25519 = ED25519_PRIVATE.public_key()
# B.1.5
SHARED_SECRET = base64.b64decode(
    "uzvJfB4u3N0Jy4T7NZ75MDVcr8zSTInedJtkgcu46YW4XByzNJjxBdtjUkdJPBtbmHhIDi6pcl8jsasjlTMtDQ=="
)

DIGEST = "sha-512=:WZDPaVn/7XgHaAy8pmojAkGWoRx2UFChF41A2svX+TaPm+AbwAgBWnrIiYllu7BNNyealdVLvRwEmTHWXvJwew==:"
# B.2
REQUEST = Message(
    method="POST",
    url="https://example.com/foo?param=Value&Pet=dog",
    fields=[
        ("Host", "example.com"),
        ("Date", "Tue, 20 Apr 2021 02:07:55 GMT"),
        ("Content-Type", "application/json"),
        ("Content-Digest", DIGEST),
        ("Content-Length", "18"),
    ],
)
RESPONSE = Message(
    status=200,
    fields=[
        ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
        ("Content-Type", "application/json"),
        (
            "Content-Digest",
            "sha-512=:mEWXIS7MaLRuGgxOBdODa3xqM1XdEvxoYhvlCFJ41QJgJc4GTsPp29l5oGX69wWdXymyU0rjJuahq4l5aGgfLQ==:",
        ),
        ("Content-Length", "23"),
    ],
)

# (section, message, label, covered list with parameters, key, signature)
EXAMPLES = [
    (
        "B.2.1",
        REQUEST,
        "sig-b21",
        '();created=1618884473;keyid="test-key-rsa-pss";nonce="b3k2pp5k7z-50gnwp.yemd"',
        RSA_PSS,
        "d2pmTvmbncD3xQm8E9ZV2828BjQWGgiwAaw5bAkgibUopemLJcWDy/lkbbHAve4cRAtx31Iq786U7it++wgGxbtRxf8Udx7zFZsckzXaJMkA7"
        "ChG52eSkFxykJeNqsrWH5S+oxNFlD4dzVuwe8DhTSja8xxbR/Z2cOGdCbzR72rgFWhzx2VjBqJzsPLMIQKhO4DGezXehhWwE56YCE+O6c0mKZ"
        "sfxVrogUvA4HELjVKWmAvtl6UnCh8jYzuVG5WSb/QEVPnP5TmcAnLH1g+s++v6d4s8m0gCw1fV5/SITLq9mhho8K3+7EPYTU8IU1bLhdxO5Ny"
        "t8C8ssinQ98Xw9Q==",
    ),
    (
        "B.2.2",
        REQUEST,
        "sig-b22",
        '("@authority" "content-digest" "@query-param";name="Pet");created=1618884473;keyid="test-key-rsa-pss"'
        ';tag="header-example"',
        RSA_PSS,
        "LjbtqUbfmvjj5C5kr1Ugj4PmLYvx9wVjZvD9GsTT4F7GrcQEdJzgI9qHxICagShLRiLMlAJjtq6N4CDfKtjvuJyE5qH7KT8UCMkSowOB4+ECx"
        "CmT8rtAmj/0PIXxi0A0nxKyB09RNrCQibbUjsLS/2YyFYXEu4TRJQzRw1rLEuEfY17SARYhpTlaqwZVtR8NV7+4UKkjqpcAoFqWFQh62s7Cl+"
        "H2fjBSpqfZUJcsIk4N6wiKYd4je2U/lankenQ99PZfB4jY3I5rSV2DSBVkSFsURIjYErOs0tFTQosMTAoxk//0RoKUqiYY8Bh0aaUEb0rQl3/"
        "XaVe4bXTugEjHSw==",
    ),
    (
        "B.2.3",
        REQUEST,
        "sig-b23",
        '("date" "@method" "@path" "@query" "@authority" "content-type" "content-digest" "content-length")'
        ';created=1618884473;keyid="test-key-rsa-pss"',
        RSA_PSS,
        "bbN8oArOxYoyylQQUU6QYwrTuaxLwjAC9fbY2F6SVWvh0yBiMIRGOnMYwZ/5MR6fb0Kh1rIRASVxFkeGt683+qRpRRU5p2voTp768ZrCUb38K"
        "0fUxN0O0iC59DzYx8DFll5GmydPxSmme9v6ULbMFkl+V5B1TP/yPViV7KsLNmvKiLJH1pFkh/aYA2HXXZzNBXmIkoQoLd7YfW91kE9o/CCoC1"
        "xMy7JA1ipwvKvfrs65ldmlu9bpG6A9BmzhuzF8Eim5f8ui9eH8LZH896+QIF61ka39VBrohr9iyMUJpvRX2Zbhl5ZJzSRxpJyoEZAFL2FUo5f"
        "TIztsDZKEgM4cUA==",
    ),
    (
        "B.2.4",
        RESPONSE,
        "sig-b24",
        '("@status" "content-type" "content-digest" "content-length");created=1618884473;keyid="test-key-ecc-p256"',
        ECC_P256,
        "wNmSUAhwb5LxtOtOpNa6W5xj067m5hFrj0XQ4fvpaCLx0NKocgPquLgyahnzDnDAUy5eCdlYUEkLIj+32oiasw==",
    ),
    (
        "B.2.5",
        REQUEST,
        "sig-b25",
        '("date" "@authority" "content-type");created=1618884473;keyid="test-shared-secret"',
        SHARED_SECRET,
        "pxcQw6G3AjtMBQjwo8XzkZf/bws5LelbaMk5rGIGtE8=",
    ),
    (
        "B.2.6",
        REQUEST,
        "sig-b26",
        '("date" "@method" "@path" "@authority" "content-type" "content-length");created=1618884473'
        ';keyid="test-key-ed25519"',
        ED25519,
        "wqcAqbmYJ2ji2glfAMaRy4gruYYnx2nEFN2HN6jrnDnQCK1u02Gb04v9EDgwUPiu4A0w6vuQv5lIp5WPpBKRCw==",
    ),
    (
        "B.3",
        Message(
            method="POST",
            url="https://service.internal.example/foo?param=Value&Pet=dog",
            fields=[
                ("Host", "service.internal.example"),
                (
                    "Client-Cert",
                    ":MIIBqDCCAU6gAwIBAgIBBzAKBggqhkjOPQQDAjA6MRswGQYDVQQKDBJMZXQncyBBdXRoZW50aWNhdGUxGzAZBgNVBAMMEkxBIE"
                    "ludGVybWVkaWF0ZSBDQTAeFw0yMDAxMTQyMjU1MzNaFw0yMTAxMjMyMjU1MzNaMA0xCzAJBgNVBAMMAkJDMFkwEwYHKoZIzj0CA"
                    "QYIKoZIzj0DAQcDQgAE8YnXXfaUgmnMtOXU/IncWalRhebrXmckC8vdgJ1p5Be5F/3YC8OthxM4+k1M6aEAEFcGzkJiNy6J84y7"
                    "uzo9M6NyMHAwCQYDVR0TBAIwADAfBgNVHSMEGDAWgBRm3WjLa38lbEYCuiCPct0ZaSED2DAOBgNVHQ8BAf8EBAMCBsAwEwYDVR0"
                    "lBAwwCgYIKwYBBQUHAwIwHQYDVR0RAQH/BBMwEYEPYmRjQGV4YW1wbGUuY29tMAoGCCqGSM49BAMCA0gAMEUCIBHda/r1vaL6G3"
                    "VliL4/Di6YK0Q6bMjeSkC3dFCOOB8TAiEAx/kHSB4urmiZ0NX5r5XarmPk0wmuydBVoU4hBVZ1yhk=:",
                ),
            ],
        ),
        "ttrp",
        '("@path" "@query" "@method" "@authority" "client-cert");created=1618884473;keyid="test-key-ecc-p256"',
        ECC_P256,
        "xVMHVpawaAC/0SbHrKRs9i8I3eOs5RtTMGCWXm/9nvZzoHsIg6Mce9315T6xoklyy0yzhD9ah4JHRwMLOgmizw==",
    ),
    (
        "2.4",
        Message(
            status=503,
            request=REQUEST,
            fields=[
                ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
                ("Content-Type", "application/json"),
                ("Content-Length", "62"),
                (
                    "Content-Digest",
                    "sha-512=:0Y6iCBzGg5rZtoXS95Ijz03mslf6KAMCloESHObfwnHJDbkkWWQz6PhhU9kxsTbARtY2PTBOzq24uJFpHsMuAg==:",
                ),
            ],
        ),
        "reqres",
        '("@status" "content-digest" "content-type" "@authority";req "@method";req "@path";req "content-digest";req)'
        ';created=1618884479;keyid="test-key-ecc-p256"',
        ECC_P256,
        "dMT/A/76ehrdBTD/2Xx8QuKV6FoyzEP/I9hdzKN8LQJLNgzU4W767HK05rx1i8meNQQgQPgQp8wq2ive3tV5Ag==",
    ),
]
IDS = [example[0] for example in EXAMPLES]


@pytest.mark.parametrize(("section", "message", "label", "covered", "key", "signature"), EXAMPLES, ids=IDS)
def test_the_rfcs_signature_holds_over_the_base_we_build(section, message, label, covered, key, signature):
    assert holds(message, f"{label}={covered}", f"{label}=:{signature}:", label, key)


@pytest.mark.parametrize(("section", "message", "label", "covered", "key", "signature"), EXAMPLES[1:], ids=IDS[1:])
def test_the_rfcs_signature_fails_over_any_changed_part(section, message, label, covered, key, signature):
    other = replace(
        message,
        method="PUT",
        status=204 if message.status else None,
        url=message.url.replace("dog", "cat"),
        fields=[(name, value.replace("e", "a")) for name, value in message.fields],
    )

    assert not holds(other, f"{label}={covered}", f"{label}=:{signature}:", label, key)


@pytest.mark.parametrize(
    ("key", "covered", "expected"),
    [(SHARED_SECRET, EXAMPLES[4][3], EXAMPLES[4][5]), (ED25519_PRIVATE, EXAMPLES[5][3], EXAMPLES[5][5])],
    ids=["B.2.5", "B.2.6"],
)
def test_the_deterministic_algorithms_give_the_rfcs_very_signature(key, covered, expected):
    assert sign(REQUEST, covered, key) == expected


def test_the_digests_of_the_examples_are_those_of_their_bodies():
    assert sha512_digest(b'{"hello": "world"}') == DIGEST
    assert sha512_digest(b'{"message": "good dog"}') == dict(RESPONSE.fields)["Content-Digest"]


def test_the_es256_example_holds_with_our_own_check():
    base = signature_base(RESPONSE, f"sig-b24={EXAMPLES[3][3]}", "sig-b24").encode()
    raw = base64.b64decode(EXAMPLES[3][5])

    assert es256.is_valid(ECC_P256, raw, base)
    assert not es256.is_valid(ECC_P256, raw, base + b" ")
    assert es256.is_valid(ECC_P256, es256.sign(ECC_P256_PRIVATE, base), base)


TRANSFORM = '("@method" "@path" "@authority" "accept");created=1618884473;keyid="test-key-ed25519"'
TRANSFORM_SIGNATURE = "ZT1kooQsEHpZ0I1IjCqtQppOmIqlJPeo7DHR3SoMn0s5JZ1eRGS0A+vyYP9t/LXlh5QMFFQ6cpLt2m0pmj3NDA=="
B4 = Message(
    method="GET",
    url="https://example.org/demo?name1=Value1&Name2=value2",
    fields=[("Host", "example.org"), ("Accept", "application/json"), ("Accept", "*/*")],
)


@pytest.mark.parametrize(
    ("change", "good"),
    [
        ({}, True),
        ({"url": B4.url + "&param=added", "fields": [*B4.fields, ("Accept-Language", "en-US,en;q=0.5")]}, True),
        ({"fields": [("Referer", "https://developer.example.org/demo"), ("Accept", "application/json, */*")]}, True),
        ({"fields": [("accept", " application/json "), ("accept", "*/*"), ("Date", "x")]}, True),
        ({"method": "POST", "url": B4.url.replace(".org", ".com")}, False),
        ({"fields": [("Accept", "*/*"), ("Accept", "application/json")]}, False),
    ],
)
def test_what_may_change_on_the_way_and_what_may_not_appendix_b4(change, good):
    message = replace(B4, **change)

    assert holds(message, f"t={TRANSFORM}", f"t=:{TRANSFORM_SIGNATURE}:", "t", ED25519) is good


def test_values_are_stripped_unfolded_and_joined_as_section_2_1_shows():
    message = Message(
        method="GET",
        url="https://www.example.com/xyz",
        fields=[
            ("Date", "Tue, 20 Apr 2021 02:07:56 GMT"),
            ("X-OWS-Header", "  Leading and trailing whitespace.  "),
            ("X-Obs-Fold-Header", "Obsolete\n    line folding. "),
            ("Cache-Control", "max-age=60"),
            ("Cache-Control", "   must-revalidate"),
            ("Example-Dict", "  a=1,    b=2;x=1;y=2,   c=(a   b   c)"),
            ("X-Empty-Header", ""),
        ],
    )
    covered = (
        '("date" "x-ows-header" "x-obs-fold-header" "cache-control" "example-dict" "example-dict";sf "x-empty-header")'
    )

    assert signature_base(message, f"s={covered}", "s").split("\n")[:-1] == [
        '"date": Tue, 20 Apr 2021 02:07:56 GMT',
        '"x-ows-header": Leading and trailing whitespace.',
        '"x-obs-fold-header": Obsolete line folding.',
        '"cache-control": max-age=60, must-revalidate',
        '"example-dict": a=1,    b=2;x=1;y=2,   c=(a   b   c)',
        '"example-dict";sf: a=1, b=2;x=1;y=2, c=(a b c)',
        '"x-empty-header": ',
    ]


def _as_message(request: ARequest) -> Message:
    return Message(method=request.method, url=request.target_uri, fields=list(request.headers.items()))


def test_the_general_verifier_takes_what_our_profile_signs():
    request = ARequest().with_field("x-road-userid", "EE12345").signed()
    signature_input, signature = request.headers["signature-input"], request.headers["signature"]
    key = DIRECTORY[request.verify().keyid]

    assert signature_base(_as_message(request), signature_input, "lt").encode() == request.verify().base
    assert holds(_as_message(request), signature_input, signature, "lt", key)
    assert not holds(_as_message(request.change(method="GET")), signature_input, signature, "lt", key)


def test_the_general_verifier_takes_the_answers_our_profile_signs():
    request = ARequest().signed()
    headers = answer_to(request)
    verified = check_answer(request, headers)
    message = Message(status=200, fields=list(headers.items()), request=_as_message(request))

    assert rfc9421.signature_base(message, headers["signature-input"], "lt").encode() == verified.base
    assert holds(message, headers["signature-input"], headers["signature"], "lt", DIRECTORY[verified.keyid])


@pytest.mark.parametrize(("section", "message", "label", "covered", "key", "signature"), EXAMPLES, ids=IDS)
def test_our_profile_refuses_every_example_of_the_rfc(section, message, label, covered, key, signature):
    fields = {"signature-input": f"{label}={covered}", "signature": f"{label}=:{signature}:"}
    renamed = {"signature-input": f"lt={covered}", "signature": f"lt=:{signature}:"}

    for sent in (fields, renamed):
        if message.status is None:
            with pytest.raises(messages.MessageRefused):
                replace(ARequest(), headers={**ARequest().headers, **sent}).verify(now=NOW)
        else:
            with pytest.raises(messages.MessageRefused):
                check_answer(ARequest().signed(), {**ANSWER_FIELDS, **sent})


def test_the_keys_of_the_examples_are_of_the_kinds_they_say():
    assert isinstance(RSA_PSS, rsa.RSAPublicKey)
    assert RSA_PSS.key_size == 2048
    assert ECC_P256_PRIVATE.public_key() == ECC_P256
