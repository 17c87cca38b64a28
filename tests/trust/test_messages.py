"""The message profile: a message arrives unchanged, fresh and bound to its request, or is refused with the reason."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust import messages
from lienthong.trust.keys import generate_ed25519, generate_es256
from tests.trust.messages_profile import (
    ANSWER_FIELDS,
    CONSUMER,
    CONSUMER_ID,
    DIRECTORY,
    NONCE,
    NOW,
    PROVIDER,
    PROVIDER_ID,
    ARequest,
    answer_to,
    check_answer,
)

OPTIONAL = messages.FIELDS_COVERED_WHEN_PRESENT


def test_a_signed_request_is_taken_with_the_words_it_was_signed_with():
    signed = ARequest().sign()

    verified = ARequest().carrying(signed).verify()

    assert verified.keyid == CONSUMER_ID
    assert (verified.nonce, verified.created, verified.expires) == (NONCE, NOW, NOW + 60)
    assert (verified.base, verified.raw) == (signed.base, signed.raw)
    assert len(verified.raw) == 64


def test_the_base_is_the_text_that_rfc_9421_prescribes():
    signed = ARequest().with_field("x-road-issue", "HS-17").sign()

    lines = signed.base.decode("ascii").split("\n")

    assert lines[:3] == [
        '"@method": POST',
        '"@target-uri": https://nut-g01.example:5500/x1/VN/GOV/G01/dancu/citizen/lookup?limit=1',
        '"@authority": nut-g01.example:5500',
    ]
    assert lines[-2] == '"x-road-issue": HS-17'
    assert lines[-1] == (
        '"@signature-params": ("@method" "@target-uri" "@authority" "content-digest" "content-type"'
        ' "lienthong-client" "lienthong-service" "lienthong-purpose" "lienthong-agreement" "lienthong-exchange"'
        f' "x-road-issue");created={NOW};expires={NOW + 60};nonce="{NONCE}";keyid="{CONSUMER_ID}";tag="lienthong-1"'
    )
    assert signed.signature_input == "lt=" + lines[-1].removeprefix('"@signature-params": ')


@given(present=st.sets(st.sampled_from(OPTIONAL)))
def test_every_optional_field_that_is_present_is_covered_in_the_fixed_order(present):
    request = ARequest()
    for name in present:
        request = request.with_field(name, "GOV/" + name)

    covered = request.sign().signature_input

    assert [name for name in OPTIONAL if f'"{name}"' in covered] == [name for name in OPTIONAL if name in present]
    assert request.signed().verify().keyid == CONSUMER_ID


@pytest.mark.parametrize(
    "changes",
    [
        {"method": "PUT"},
        {"target_uri": "https://nut-g01.example:5500/x1/VN/GOV/G01/dancu/address"},
        {"authority": "nut-g02.example:5500"},
    ],
)
def test_a_request_sent_elsewhere_than_signed_is_refused(changes):
    with pytest.raises(messages.BadSignature):
        ARequest().signed().change(**changes).verify()


@pytest.mark.parametrize("name", messages.REQUEST_FIELDS)
def test_a_changed_field_is_refused(name):
    request = ARequest().signed()

    with pytest.raises(messages.BadSignature):
        request.with_field(name, request.headers[name] + "x").verify()


@pytest.mark.parametrize("name", messages.REQUEST_FIELDS)
def test_a_missing_field_is_refused_by_name(name):
    with pytest.raises(messages.UncoveredComponent) as refused:
        ARequest().signed().with_field(name, None).verify()

    assert refused.value.facts["field"] == name


@pytest.mark.parametrize("name", OPTIONAL)
def test_a_field_added_or_taken_away_after_signing_is_refused(name):
    with pytest.raises(messages.UncoveredComponent):
        ARequest().signed().with_field(name, "VN/GOV/G99").verify()
    with pytest.raises(messages.UncoveredComponent):
        ARequest().with_field(name, "VN/GOV/G99").signed().with_field(name, None).verify()


@pytest.mark.parametrize("field", ["signature", "signature-input"])
def test_an_unsigned_request_is_refused(field):
    with pytest.raises(messages.UnsignedMessage):
        ARequest().signed().with_field(field, None).verify()


def _with_input(change) -> ARequest:
    request = ARequest().signed()
    return request.with_field("signature-input", change(request.headers["signature-input"]))


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("part dropped", lambda text: text.replace('"content-digest" ', "")),
        ("order changed", lambda text: text.replace('"@method" "@target-uri"', '"@target-uri" "@method"')),
        ("part twice", lambda text: text.replace('"@method"', '"@method" "@method"')),
        ("part added", lambda text: text.replace('"@method"', '"@method" "date"')),
        ("component parameter", lambda text: text.replace('"content-type"', '"content-type";bs')),
        ("two spaces", lambda text: text.replace('"@method" ', '"@method"  ')),
        ("empty list", lambda text: "lt=()" + text.split(")", 1)[1]),
    ],
)
def test_another_covered_list_is_refused(case, change):
    with pytest.raises(messages.UncoveredComponent):
        _with_input(change).verify()


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("another label", lambda text: "sig1" + text.removeprefix("lt")),
        ("two signatures", lambda text: text + ", " + text.replace("lt=", "sig1=")),
        ("the same label twice", lambda text: text + ", " + text),
        ("another tag", lambda text: text.replace("lienthong-1", "lienthong-2")),
        ("no tag", lambda text: text.replace(';tag="lienthong-1"', "")),
        ("tag twice", lambda text: text + ';tag="lienthong-1"'),
        ("tag as a number", lambda text: text.replace('tag="lienthong-1"', "tag=1")),
        ("no nonce", lambda text: text.replace(f';nonce="{NONCE}"', "")),
        ("short nonce", lambda text: text.replace(NONCE, NONCE[:-2])),
        ("long nonce", lambda text: text.replace(NONCE, NONCE + "AA")),
        ("nonce with other letters", lambda text: text.replace(NONCE, NONCE[:-1] + "+")),
        ("no keyid", lambda text: text.replace(f';keyid="{CONSUMER_ID}"', "")),
        ("no created", lambda text: text.replace(f";created={NOW}", "")),
        ("no expires", lambda text: text.replace(f";expires={NOW + 60}", "")),
        ("created as text", lambda text: text.replace(f"created={NOW}", f'created="{NOW}"')),
        ("created with a point", lambda text: text.replace(f"created={NOW}", f"created={NOW}.0")),
        ("created below nought", lambda text: text.replace(f"created={NOW}", f"created=-{NOW}")),
        ("created with a leading nought", lambda text: text.replace(f"created={NOW}", f"created=0{NOW}")),
        ("created of many digits", lambda text: text.replace(f"created={NOW}", "created=" + "9" * 400)),
        ("created twice", lambda text: text.replace(";created=", f";created={NOW};created=")),
        ("an unknown parameter", lambda text: text + ';alg2="x"'),
        ("alg in the message", lambda text: text + ';alg="ecdsa-p256-sha256"'),
        ("a bare parameter", lambda text: text + ";tag"),
        ("space after semicolon", lambda text: text.replace(";created", "; created")),
        ("space at the end", lambda text: text + " "),
        ("line break", lambda text: text.replace(";expires", "\n;expires")),
        ("no closing bracket", lambda text: text.replace(")", "")),
        ("quote in the key id", lambda text: text.replace(CONSUMER_ID, CONSUMER_ID[:-1] + '\\"')),
        ("empty", lambda text: ""),
    ],
)
def test_a_signature_input_of_another_form_is_refused(case, change):
    with pytest.raises(messages.MessageRefused) as refused:
        _with_input(change).verify()

    # A text without a closing bracket has no list to speak of: then the list is what is refused.
    assert refused.value.kind in ("malformed-message", "uncovered-component")


def _respell(signature: str) -> str:
    """The same 64 bytes in another base64 spelling: the bits that carry nothing are set."""
    letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    last = signature.index("==:") - 1
    other = signature[:last] + letters[letters.index(signature[last]) + 1] + signature[last + 1 :]
    assert base64.b64decode(other[4:-1]) == base64.b64decode(signature[4:-1])
    return other


@pytest.mark.parametrize(
    ("case", "change"),
    [
        ("another label", lambda text: "sig1" + text.removeprefix("lt")),
        ("two signatures", lambda text: text + ", " + text.replace("lt=", "sig1=")),
        ("the same label twice", lambda text: text + ", " + text),
        ("a parameter", lambda text: text + ";a=1"),
        ("too short", lambda text: text[:20] + text[24:]),
        ("DER instead of r || s", lambda text: "lt=:" + base64.b64encode(b"0" * 71).decode() + ":"),
        ("without colons", lambda text: text.replace(":", "")),
        ("url alphabet", lambda text: text[:10] + "_" + text[11:]),
        ("another spelling of the same bytes", _respell),
        ("space in front", lambda text: " " + text),
        ("empty", lambda text: ""),
    ],
)
def test_a_signature_field_of_another_form_is_refused(case, change):
    request = ARequest().signed()

    with pytest.raises(messages.MessageRefused) as refused:
        request.with_field("signature", change(request.headers["signature"])).verify()

    assert refused.value.kind == "malformed-message"


@given(bit=st.integers(0, 511))
def test_any_flipped_bit_of_the_signature_is_refused(bit):
    signed = ARequest().sign()
    raw = bytearray(signed.raw)
    raw[bit // 8] ^= 1 << bit % 8
    forged = f"lt=:{base64.b64encode(raw).decode()}:"

    with pytest.raises(messages.BadSignature):
        ARequest().carrying(signed).with_field("signature", forged).verify()


@pytest.mark.parametrize("raw", [bytes(64), b"\xff" * 64, bytes(31) + b"\x01" + bytes(31) + b"\x01"])
def test_a_signature_of_degenerate_numbers_is_refused(raw):
    request = ARequest().signed().with_field("signature", f"lt=:{base64.b64encode(raw).decode()}:")

    with pytest.raises(messages.BadSignature):
        request.verify()


@pytest.mark.parametrize("now", [NOW - 5, NOW, NOW + 60, NOW + 65])
def test_a_request_is_fresh_for_its_minute_and_the_skew(now):
    assert ARequest().signed().verify(now=now).created == NOW


@pytest.mark.parametrize("now", [NOW - 6, NOW + 66, NOW + 86_400])
def test_a_request_from_another_time_is_refused(now):
    with pytest.raises(messages.StaleMessage):
        ARequest().signed().verify(now=now)


def test_a_signature_may_not_be_made_for_longer_than_a_minute():
    with pytest.raises(messages.MessageRefused):
        ARequest().sign(expires=NOW + 61)
    with pytest.raises(messages.StaleMessage):
        _with_input(lambda text: text.replace(f"expires={NOW + 60}", f"expires={NOW + 61}")).verify()
    with pytest.raises(messages.StaleMessage):
        _with_input(lambda text: text.replace(f"expires={NOW + 60}", f"expires={NOW}")).verify()


def test_a_key_the_directory_does_not_hold_is_refused_by_its_id():
    with pytest.raises(messages.UnknownKey) as refused:
        ARequest().signed().verify(resolve=lambda _: None)

    assert refused.value.facts["keyid"] == CONSUMER_ID


def test_the_kind_of_key_comes_from_the_directory():
    with pytest.raises(messages.UnknownKey):
        ARequest().signed().verify(resolve=lambda _: generate_ed25519().public_key())


def test_another_members_key_does_not_fit():
    with pytest.raises(messages.BadSignature):
        ARequest().signed().verify(resolve=lambda _: generate_es256().public_key())


BAD_VALUES = [
    ("line feed", "a\nb"),
    ("carriage return", "a\rb"),
    ("line break and another component", 'a\n"@method": GET'),
    ("tab", "a\tb"),
    ("space in front", " a"),
    ("space behind", "a "),
    ("nul", "a\0b"),
    ("delete", "a\x7fb"),
    ("Vietnamese letters", "Hải Phòng"),
    ("no-break space", "a\u00a0"),
    ("next line", "a\x85b"),
    ("empty", ""),
]


@pytest.mark.parametrize(("case", "value"), BAD_VALUES)
def test_odd_characters_are_neither_signed_nor_taken(case, value):
    request = ARequest().signed().with_field("lienthong-purpose", value)

    with pytest.raises(messages.MessageRefused) as refused:
        request.verify()
    with pytest.raises(messages.MessageRefused):
        request.sign()

    assert refused.value.kind == "malformed-message"


@pytest.mark.parametrize("nonce", ["", NONCE[:-1], NONCE + "A", NONCE[:-1] + '"'])
def test_signing_refuses_a_nonce_that_is_not_128_bits(nonce):
    with pytest.raises(messages.MessageRefused):
        ARequest().sign(nonce=nonce)


def test_an_answer_is_bound_to_its_request_and_record():
    request = ARequest().signed()
    headers = answer_to(request)

    verified = check_answer(request, headers)

    assert verified.keyid == PROVIDER_ID
    lines = verified.base.decode().split("\n")
    assert lines[0] == '"@status": 200'
    assert lines[2] == '"lienthong-record": ' + "ab" * 32
    assert lines[3] == '"signature";req: ' + request.headers["signature"]


def test_two_answers_swapped_between_equal_requests_are_refused():
    mine, other = ARequest().signed(), ARequest().carrying(ARequest().sign(nonce=NONCE[::-1]))

    with pytest.raises(messages.BadSignature):
        check_answer(mine, answer_to(other))


def test_an_answer_to_a_request_with_the_same_nonce_but_another_signature_is_refused():
    mine, other = ARequest().signed(), ARequest().with_field("lienthong-purpose", "other").signed()

    with pytest.raises(messages.BadSignature):
        check_answer(mine, answer_to(other))


def test_an_answer_must_repeat_the_nonce_of_its_request():
    request = ARequest().signed()
    signed = messages.sign_response(
        PROVIDER,
        PROVIDER_ID,
        status=200,
        headers=ANSWER_FIELDS,
        request_signature_header=request.headers["signature"],
        nonce=NONCE[::-1],
        created=NOW,
    )
    headers = {**ANSWER_FIELDS, "signature-input": signed.signature_input, "signature": signed.signature}

    with pytest.raises(messages.BadSignature):
        check_answer(request, headers)


@pytest.mark.parametrize("name", messages.RESPONSE_FIELDS)
def test_a_changed_answer_is_refused(name):
    request = ARequest().signed()
    headers = answer_to(request)

    with pytest.raises(messages.BadSignature):
        check_answer(request, {**headers, name: headers[name] + "0"})
    with pytest.raises(messages.UncoveredComponent):
        check_answer(request, {key: value for key, value in headers.items() if key != name})


def test_an_answer_with_another_status_is_refused():
    request = ARequest().signed()

    with pytest.raises(messages.BadSignature):
        check_answer(request, answer_to(request, status=500), status=200)


def test_an_unsigned_or_stale_answer_is_refused():
    request = ARequest().signed()

    with pytest.raises(messages.UnsignedMessage):
        check_answer(request, ANSWER_FIELDS)
    with pytest.raises(messages.StaleMessage):
        check_answer(request, answer_to(request, created=NOW - 66 + 1), now=NOW + 5)


def test_a_request_can_not_pass_as_an_answer():
    request = ARequest().signed()
    posing = {**ANSWER_FIELDS, **{name: request.headers[name] for name in ("signature-input", "signature")}}

    with pytest.raises(messages.UncoveredComponent):
        check_answer(request, posing)


@given(st.text(max_size=400), st.text(max_size=200))
def test_no_text_in_the_signature_fields_does_more_than_be_refused(signature_input, signature):
    request = ARequest().with_field("signature-input", signature_input).with_field("signature", signature)

    with pytest.raises(messages.MessageRefused):
        request.verify()


@given(st.text(alphabet=st.characters(codec="ascii"), max_size=80))
def test_any_value_is_either_refused_or_signed_as_one_line(value):
    request = ARequest().with_field("lienthong-purpose", value)

    try:
        base = request.sign().base
    except messages.MessageRefused:
        return

    assert base.split(b"\n")[7] == b'"lienthong-purpose": ' + value.encode()
    assert request.signed().verify(resolve=DIRECTORY.get).keyid == CONSUMER_ID


def test_the_same_request_signed_twice_has_two_signatures_and_one_base():
    # ECDSA draws a random number for each signature; the base is what both sides can rebuild.
    first, second = ARequest().sign(), ARequest().sign()

    assert first.base == second.base
    assert CONSUMER.public_key() == DIRECTORY[CONSUMER_ID]
