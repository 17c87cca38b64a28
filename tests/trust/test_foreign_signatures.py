"""A foreign implementation of RFC 9421 (http-message-signatures) reads what we sign, and we read what it signs."""

from __future__ import annotations

import base64
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

import pytest
from http_message_signatures import HTTPMessageSigner, HTTPMessageVerifier, algorithms
from http_message_signatures.exceptions import InvalidSignature
from http_message_signatures.resolvers import MappingKeyResolver
from hypothesis import given
from hypothesis import strategies as st

from lienthong.trust import messages
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

pytestmark = pytest.mark.conformance

KEYS = MappingKeyResolver(public_keys=DIRECTORY, private_keys={CONSUMER_ID: CONSUMER, PROVIDER_ID: PROVIDER})
COVERED = ("@method", "@target-uri", "@authority", *messages.REQUEST_FIELDS)


@dataclass
class ForeignRequest:
    """The message object the library asks for."""

    method: str
    url: str
    headers: dict[str, str]


@dataclass
class ForeignResponse:
    status_code: int
    headers: dict[str, str]
    request: ForeignRequest | None = field(default=None)


def foreign(request: ARequest) -> ForeignRequest:
    return ForeignRequest(request.method, request.target_uri, dict(request.headers))


class Patient(HTTPMessageVerifier):
    """The library's verifier at our fixed moment: the examples are signed in another year than the clock shows."""

    def validate_created_and_expires(self, sig_input, max_age=None):
        return None


def foreign_verify(message, expect_tag: str = messages.TAG):
    verifier = Patient(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=KEYS)
    return verifier.verify(message, expect_tag=expect_tag)


def foreign_sign(message, keyid: str, covered, *, nonce: str = NONCE, include_alg: bool = False) -> None:
    HTTPMessageSigner(signature_algorithm=algorithms.ECDSA_P256_SHA256, key_resolver=KEYS).sign(
        message,
        key_id=keyid,
        created=datetime.fromtimestamp(NOW, UTC),
        expires=datetime.fromtimestamp(NOW + 60, UTC),
        nonce=nonce,
        label=messages.LABEL,
        tag=messages.TAG,
        include_alg=include_alg,
        covered_component_ids=covered,
        use_existing_digest=True,
    )


def taken_over(request: ARequest, message: ForeignRequest) -> ARequest:
    """Our request with the signature fields the library wrote."""
    lower = {name.lower(): value for name, value in message.headers.items()}
    return replace(request, headers=lower)


@given(st.sets(st.sampled_from(messages.FIELDS_COVERED_WHEN_PRESENT)))
def test_the_foreign_verifier_takes_our_requests(present):
    request = ARequest()
    for name in present:
        request = request.with_field(name, "VN/GOV/H31")

    (result,) = foreign_verify(foreign(request.signed()))

    assert result.parameters["keyid"] == CONSUMER_ID
    assert set(result.covered_components) >= {f'"{name}"' for name in (*COVERED, *present)}


def test_the_foreign_verifier_refuses_our_request_once_it_is_changed():
    with pytest.raises(InvalidSignature):
        foreign_verify(foreign(ARequest().signed().with_field("lienthong-purpose", "other")))


@given(st.sets(st.sampled_from(messages.FIELDS_COVERED_WHEN_PRESENT)))
def test_we_take_requests_the_foreign_signer_signed(present):
    request = ARequest()
    for name in present:
        request = request.with_field(name, "VN/GOV/H31")
    optional = [name for name in messages.FIELDS_COVERED_WHEN_PRESENT if name in present]
    message = foreign(request)

    foreign_sign(message, CONSUMER_ID, [*COVERED, *optional])

    verified = taken_over(request, message).verify()
    # The library writes its parameters in another order than we do: what was signed is what was sent.
    assert ";keyid=" in verified.base.decode().rsplit("\n", 1)[1].split(";expires=")[0]
    assert (verified.keyid, verified.nonce) == (CONSUMER_ID, NONCE)


@pytest.mark.parametrize(
    ("case", "covered", "options", "kind"),
    [
        ("a part left out", COVERED[:-1], {}, "uncovered-component"),
        ("another order", COVERED[::-1], {}, "uncovered-component"),
        ("alg in the message", COVERED, {"include_alg": True}, "malformed-message"),
        ("a short nonce", COVERED, {"nonce": "abc"}, "malformed-message"),
    ],
)
def test_we_refuse_good_foreign_signatures_outside_the_profile(case, covered, options, kind):
    message = foreign(ARequest())
    foreign_sign(message, CONSUMER_ID, covered, **options)

    with pytest.raises(messages.MessageRefused) as refused:
        taken_over(ARequest(), message).verify()

    assert refused.value.kind == kind


def test_the_foreign_verifier_takes_our_answers():
    request = ARequest().signed()
    message = ForeignResponse(200, answer_to(request), foreign(request))

    (result,) = foreign_verify(message)

    assert result.parameters["keyid"] == PROVIDER_ID
    assert '"signature";req' in result.covered_components


def test_the_foreign_verifier_refuses_our_answer_to_another_request():
    request, other = ARequest().signed(), ARequest().carrying(ARequest().sign(nonce=NONCE[::-1]))

    with pytest.raises(InvalidSignature):
        foreign_verify(ForeignResponse(200, answer_to(request), foreign(other)))


def test_we_take_answers_the_foreign_signer_signed():
    request = ARequest().signed()
    message = ForeignResponse(200, dict(ANSWER_FIELDS), foreign(request))

    foreign_sign(message, PROVIDER_ID, ["@status", "content-digest", "lienthong-record", '"signature";req'])

    verified = check_answer(request, {name.lower(): value for name, value in message.headers.items()})
    assert verified.keyid == PROVIDER_ID
    assert base64.b64encode(request.verify().raw).decode() in verified.base.decode()
