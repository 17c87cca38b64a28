"""Revocations beside the directory: believed under one key, acting at once, never forgotten."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from lienthong.directory.document import MemberClosed
from lienthong.directory.revoke import (
    Notes,
    Revocation,
    RevocationsMalformed,
    RevocationsRollback,
    open_notes,
    revoked,
    sign_notes,
    take_notes,
)
from lienthong.trust.documents import DocumentRefused, sign_document
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.directory.build import NOW, POLICE, a_key, a_member, a_node, a_snapshot

HOUR = timedelta(hours=1)


def notes(*revocations: Revocation, number: int = 1, issued: Any = NOW) -> Notes:
    return Notes(number, 7, issued, revocations)


def test_a_revoked_key_signs_nothing_more_but_its_past_verifies():
    key = a_key()
    snapshot = a_snapshot(members=(a_member(keys=(key,)),))

    left = revoked(snapshot, notes(Revocation("key", key.keyid, NOW, "stolen")))

    assert snapshot.signing_key(key.keyid, NOW) is not None
    assert left.signing_key(key.keyid, NOW) is None
    assert left.signing_key(key.keyid, NOW - HOUR) is not None
    assert left.public_key(key.keyid) is not None
    assert (left.version, left.digest) == (snapshot.version, snapshot.digest)


def test_a_revoked_certificate_is_nobody_s():
    node = a_node(tls_sha256=("a" * 64, "b" * 64))
    snapshot = a_snapshot(nodes=(node,))

    left = revoked(snapshot, notes(Revocation("certificate", "a" * 64, NOW, "stolen")))

    assert left.node_by_certificate("a" * 64) is None
    assert left.node_by_certificate("b" * 64) is not None


def test_a_revoked_member_is_closed():
    key = a_key()
    left = revoked(a_snapshot(members=(a_member(keys=(key,)),)), notes(Revocation("member", POLICE, NOW, "taken over")))

    with pytest.raises(MemberClosed):
        left.active_member(POLICE)
    assert left.signing_key(key.keyid, NOW - HOUR) is None


def test_an_agreement_s_revocation_leaves_the_directory_alone():
    snapshot = a_snapshot()

    assert revoked(snapshot, notes(Revocation("agreement", "urn:uuid:1", NOW, "unlawful"))) is snapshot


def test_notes_are_believed_under_the_directory_s_key_alone():
    key, stranger = generate_es256(), generate_es256()
    told = notes(Revocation("key", "k", NOW, "lộ khóa"))

    assert open_notes(sign_notes(told, key), public_jwk(key)) == told
    with pytest.raises(DocumentRefused):
        open_notes(sign_notes(told, stranger), public_jwk(key))


@pytest.mark.parametrize(
    "document",
    [
        b"[]",
        b'{"format":"2","type":"revocations"}',
        b'{"format":"1","type":"directory"}',
        b'{"format":"1","type":"revocations","number":1,"directory":1,"issued":"2026-01-01T00:00:00+00:00",'
        b'"revocations":[{"kind":"planet","subject":"x","at":"2026-01-01T00:00:00+00:00","reason":""}]}',
    ],
)
def test_what_is_no_list_of_revocations_is_refused(document: bytes):
    key = generate_es256()

    with pytest.raises(RevocationsMalformed):
        open_notes(sign_document(document, key, key_id(public_jwk(key))), public_jwk(key))


def test_a_list_that_forgets_is_refused():
    first = notes(Revocation("key", "k", NOW, "stolen"))
    more = notes(*first.revocations, Revocation("member", POLICE, NOW, "x"), number=2, issued=NOW + HOUR)

    assert take_notes(None, first) is first
    assert take_notes(first, more) is more
    for forgetful in (
        first,
        replace(more, revocations=first.revocations),
        replace(more, issued=NOW),
    ):
        with pytest.raises(RevocationsRollback):
            take_notes(more, forgetful)
