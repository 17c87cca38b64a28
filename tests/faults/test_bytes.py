"""Bytes from outside: every parser reads them or refuses them with a Problem of its own, whatever they are.

Made by hypothesis from what is valid and then spoilt.  ``LIENTHONG_FUZZ=<examples>`` (``make fuzz``) does more of it.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from lienthong.agreements.document import write_agreement
from lienthong.agreements.reading import parse_agreement
from lienthong.directory.document import parse_directory, write_directory
from lienthong.directory.revoke import open_notes
from lienthong.directory.tuf.chain import first_root
from lienthong.errors import Problem
from lienthong.exchange.frames import CLOSED, OPENED, FrameReader, Sealing, content_frames, read_sealing
from lienthong.exchange.guard import RequestLimits, check_head
from lienthong.exchange.paths import decoded_path, path_matches
from lienthong.exchange.xroad import read_call
from lienthong.storage.objects import ObjectStore
from lienthong.trust.cosign import Submission, parse_submission, write_submission
from lienthong.trust.digest import content_digest, verify_content_digest
from lienthong.trust.documents import open_document, sign_document, verify_detached_jws
from lienthong.trust.keys import generate_ed25519, generate_es256, public_jwk
from lienthong.trust.merkle import EMPTY_ROOT
from lienthong.trust.messages import ABSENT, sign_request, verify_request
from lienthong.trust.note import Checkpoint, open_checkpoint, parse_verifier_key, sign_checkpoint, verifier_key
from lienthong.trust.proof import parse_proof, write_proof
from lienthong.trust.tiles import read_bundle, write_bundle
from tests.agreements.build import START, some_terms
from tests.directory.build import END, NOW, a_directory

EXAMPLES = int(os.environ.get("LIENTHONG_FUZZ", "150"))
KEY, LOG_KEY = generate_es256(), generate_ed25519()
ORIGIN = "example.vn/log"
NOTE = sign_checkpoint(Checkpoint(ORIGIN, 3, EMPTY_ROOT), LOG_KEY, ORIGIN)
FIELDS = {
    "content-digest": content_digest(b"{}"), "content-type": "application/json",
    "lienthong-client": "VN/GOV/H24/motcua", "lienthong-service": "VN/GOV/G01/dancu/citizen",
    "lienthong-purpose": "HP-01", "lienthong-agreement": ABSENT,
    "lienthong-exchange": "e", "lienthong-method": "POST",
}  # fmt: skip
SIGNED = sign_request(
    KEY, "k", method="POST", target_uri="https://a.vn/x1/s", authority="a.vn", headers=FIELDS, created=1_780_000_000,
    nonce="A" * 22,
)  # fmt: skip
SEALING = Sealing({"content-digest": "x", "signature": "y"}, [(b"content-type", b"text/plain")])
STORE = ObjectStore(Path(tempfile.mkdtemp(prefix="lt-fuzz-")))

Parser = Callable[[bytes], object]


def signature_input(spoilt: bytes) -> object:
    headers = FIELDS | {"signature-input": spoilt.decode("latin-1"), "signature": SIGNED.signature}
    return verify_request(
        lambda _: KEY.public_key(), method="POST", target_uri="https://a.vn/x1/s", authority="a.vn", headers=headers,
        now=1_780_000_001,
    )  # fmt: skip


def signature(spoilt: bytes) -> object:
    headers = FIELDS | {"signature-input": SIGNED.signature_input, "signature": spoilt.decode("latin-1")}
    return verify_request(
        lambda _: KEY.public_key(), method="POST", target_uri="https://a.vn/x1/s", authority="a.vn", headers=headers,
        now=1_780_000_001,
    )  # fmt: skip


def frames(spoilt: bytes) -> object:
    reader = FrameReader()
    middle = len(spoilt) // 2
    for part in (spoilt[:middle], spoilt[middle:]):
        for kind, content in reader.feed(part):
            if kind in (OPENED, CLOSED):
                read_sealing(content)
    return reader.closed


def head(spoilt: bytes) -> object:
    """Request line and fields as the HTTP parser would hand them on, whatever is in them."""
    first, *lines = spoilt.split(b"\r\n")
    method, _, rest = first.partition(b" ")
    target, _, version = rest.partition(b" ")
    fields = [(name.lower(), value.strip()) for name, _, value in (line.partition(b":") for line in lines)]
    refused = check_head(method, target, version.decode("latin-1"), fields, RequestLimits())
    if refused is not None:
        raise refused
    return None


def xroad(spoilt: bytes) -> object:
    target, _, client = spoilt.partition(b"\n")
    return read_call("GET", target, [(b"x-road-client", client)], instance="VN")


def tile(spoilt: bytes) -> object:
    return STORE.get("tile/" + spoilt.decode("latin-1"))


def path(spoilt: bytes) -> object:
    return path_matches("/{a}/b/*", spoilt), decoded_path(spoilt)


PARSERS: dict[str, tuple[Parser, bytes]] = {
    "request head": (head, b"GET /r1/VN HTTP/1.1\r\nhost: a.vn\r\ncontent-length: 3\r\naccept: */*"),
    "signature input": (signature_input, SIGNED.signature_input.encode()),
    "signature": (signature, SIGNED.signature.encode()),
    "content digest": (lambda b: verify_content_digest(b.decode("latin-1"), b"{}"), content_digest(b"{}").encode()),
    "checkpoint": (lambda b: open_checkpoint(b, ORIGIN, LOG_KEY.public_key(), ORIGIN), NOTE),
    "verifier key": (
        lambda b: parse_verifier_key(b.decode("latin-1")), verifier_key(ORIGIN, LOG_KEY.public_key()).encode(),
    ),
    "witness submission": (parse_submission, write_submission(Submission(1, (bytes(32),), NOTE))),
    "log proof": (lambda b: parse_proof(b.decode("latin-1")), write_proof(0, [bytes(32)] * 2, NOTE).encode()),
    "entry bundle": (read_bundle, write_bundle([b"{}", b"{}"])),
    "frames": (frames, b"".join([SEALING.frame(OPENED), *content_frames(b"abc"), SEALING.frame(CLOSED)])),
    "agreement": (parse_agreement, write_agreement(some_terms(), agreement_id="urn:uuid:" + "0" * 8 + "-0000-4000-8000-"
                                                   + "0" * 12, timestamp=START)),
    "directory": (parse_directory, write_directory(a_directory(), version=1, issued=NOW, expires=END)),
    "signed document": (lambda b: open_document(b, lambda _: KEY.public_key()), sign_document(b"{}", KEY, "k")),
    "detached signature": (
        lambda b: verify_detached_jws(b"{}", b.decode("latin-1"), KEY.public_key()),
        b"eyJhbGciOiJFUzI1NiIsImtpZCI6ImsifQ..AA",
    ),
    "revocation notes": (
        lambda b: open_notes(b, public_jwk(KEY)), sign_document(b'{"version":1,"notes":[]}', KEY, "k"),
    ),
    "root of the directory": (first_root, json.dumps({"signatures": [], "signed": {"_type": "root"}}).encode()),
    "tile path": (tile, b"0/x001/234.p/12"),
    "path of a call": (path, b"/a%20b/b/c"),
    "call of X-Road": (xroad, b"/r1/VN/GOV/G01/dancu/citizen/x?y=1\nVN/GOV/H24/motcua"),
}  # fmt: skip


@st.composite
def spoilt(draw: st.DrawFn, valid: bytes) -> bytes:
    """``valid`` with some pieces cut out, doubled or replaced; now and then something else altogether."""
    if draw(st.integers(0, 9)) == 0:
        return draw(st.binary(max_size=200))
    made = bytearray(valid)
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(made)))
        length = draw(st.sampled_from((0, 1, 1, 2, 8, 64)))
        piece = draw(
            st.one_of(
                st.binary(max_size=4),
                st.sampled_from((b"\0", b"\n", b"\r\n", b"%2e", b"/../", b'"', b"\\", b"{}", b"[]", b"null", b"-1",
                                 b"9" * 25, b"\xff\xfe", "ệ".encode(), b"1e999", bytes(made[at : at + 40]))),
            )
        )  # fmt: skip
        made[at : at + length] = piece
    return bytes(made)


@pytest.mark.parametrize("name", PARSERS)
def test_whatever_bytes_come_a_parser_reads_or_refuses_them(name: str) -> None:
    parser, valid = PARSERS[name]
    with suppress(Problem):
        parser(valid)  # what is whole must at least not break it

    @settings(
        max_examples=EXAMPLES, deadline=None, database=None, suppress_health_check=list(HealthCheck),
        derandomize=EXAMPLES <= 1000,
    )  # fmt: skip
    @given(spoilt(valid))
    def refuses(octets: bytes) -> None:
        with suppress(Problem):
            parser(octets)

    refuses()


@pytest.mark.parametrize("name", ["agreement", "directory", "signed document", "revocation notes"])
def test_a_million_brackets_are_refused_and_the_next_document_is_read(name: str) -> None:
    parser, valid = PARSERS[name]
    with pytest.raises(Problem):
        parser(b"[" * 1_000_000)
    with suppress(Problem):
        parser(valid)
