"""A message of the profile and its keys, for the tests of signing and checking."""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from lienthong.trust.digest import content_digest
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from lienthong.trust.messages import Signed, Verified, sign_request, sign_response, verify_request, verify_response

NOW = 1_780_000_000
NONCE = "AAECAwQFBgcICQoLDA0ODw"
BODY = b'{"personal_number":"001099012345"}'

CONSUMER = generate_es256()
CONSUMER_ID = key_id(public_jwk(CONSUMER))
PROVIDER = generate_es256()
PROVIDER_ID = key_id(public_jwk(PROVIDER))
DIRECTORY = {CONSUMER_ID: CONSUMER.public_key(), PROVIDER_ID: PROVIDER.public_key()}


@dataclass(frozen=True)
class ARequest:
    """One request as a consumer's node sends it; ``change`` makes a variant."""

    method: str = "POST"
    target_uri: str = "https://nut-g01.example:5500/x1/VN/GOV/G01/dancu/citizen/lookup?limit=1"
    authority: str = "nut-g01.example:5500"
    headers: dict[str, str] = field(
        default_factory=lambda: {
            "content-digest": content_digest(BODY),
            "content-type": "application/json",
            "lienthong-client": "VN/GOV/H31/motcua",
            "lienthong-service": "VN/GOV/G01/dancu/citizen",
            "lienthong-purpose": "tt-ho-tich",
            "lienthong-agreement": "urn:lienthong:agreement:7",
            "lienthong-exchange": "0197f2f0-7b5e-7c1e-8c3e-6a0a54d8f001",
        }
    )

    def change(self, **changes: str) -> ARequest:
        return replace(self, **changes)

    def with_field(self, name: str, value: str | None) -> ARequest:
        headers = {key: value for key, value in self.headers.items() if key != name}
        return replace(self, headers=headers if value is None else {**headers, name: value})

    def sign(self, *, created: int = NOW, nonce: str = NONCE, expires: int | None = None) -> Signed:
        return sign_request(CONSUMER, CONSUMER_ID, **self._parts(), created=created, nonce=nonce, expires=expires)

    def signed(self, **parameters: int) -> ARequest:
        return self.carrying(self.sign(**parameters))

    def carrying(self, signed: Signed) -> ARequest:
        return replace(
            self,
            headers={**self.headers, "signature-input": signed.signature_input, "signature": signed.signature},
        )

    def verify(self, *, now: int = NOW, resolve=DIRECTORY.get) -> Verified:
        return verify_request(resolve, **self._parts(), now=now)

    def _parts(self) -> dict:
        return {
            "method": self.method,
            "target_uri": self.target_uri,
            "authority": self.authority,
            "headers": self.headers,
        }


ANSWER_FIELDS = {"content-digest": content_digest(b'{"name":"A"}'), "lienthong-record": "ab" * 32}


def answer_to(request: ARequest, *, status: int = 200, created: int = NOW, headers=ANSWER_FIELDS) -> dict[str, str]:
    """The fields of the provider's signed answer."""
    signed = sign_response(
        PROVIDER,
        PROVIDER_ID,
        status=status,
        headers=headers,
        request_signature_header=request.headers["signature"],
        nonce=request.verify(now=created).nonce,
        created=created,
    )
    return {**headers, "signature-input": signed.signature_input, "signature": signed.signature}


def check_answer(request: ARequest, headers: dict[str, str], *, status: int = 200, now: int = NOW) -> Verified:
    """What the consumer's node does with an answer to ``request``."""
    return verify_response(
        DIRECTORY.get,
        status=status,
        headers=headers,
        request_signature_header=request.headers["signature"],
        nonce=request.verify(now=now).nonce,
        now=now,
    )
