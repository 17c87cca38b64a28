"""What another node publishes is believed only about itself, and only in the shape it should have."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from lienthong.agreements.signing import MemberSigner
from lienthong.catalog.models import Field, Service, Subject
from lienthong.directory.models import ServiceId
from lienthong.node.published import NotAsPublished, read_agreements, read_head, read_services, read_uses
from lienthong.trust.keys import generate_ed25519, generate_es256, key_id, public_jwk
from lienthong.trust.note import Checkpoint, VerifierKey, sign_checkpoint
from tests.agreements.build import an_agreement
from tests.directory.build import POLICE, PROVINCE, a_key, a_member, a_node, a_snapshot

NOW = datetime(2026, 11, 22, 7, 0, tzinfo=UTC)
NODE = a_node()
KEYS = {POLICE: generate_es256(), PROVINCE: generate_es256()}
SNAPSHOT = a_snapshot(
    members=tuple(a_member(member, keys=(a_key(private=key),)) for member, key in KEYS.items()),
    systems=(),
    purposes=(),
)
AGREEMENT = an_agreement()
PERSONAL = {
    "personal": True,
    "subjects": (Subject("response", "personal_number", "personal_number"),),
    "required_lookup": True,
}
CITIZEN = Service(
    id=ServiceId("VN/GOV/G01/dancu/citizen"), kind="table", title_vi="Công dân", title_en="Citizens",
    sharing="shared", fields=(Field("personal_number", "string"),), lookup=("personal_number",), **PERSONAL,
)  # fmt: skip
RECORD: Mapping[str, Any] = {
    "idx": 0, "hash": "ab" * 32, "at": "2026-11-22T06:59:59.120Z", "side": "provider", "exchange_id": "x",
    "consumer": "VN/GOV/H24/motcua", "provider": POLICE, "resource": "VN/GOV/G01/dancu/citizen", "way": "call",
    "purpose": "HP-01", "agreement": AGREEMENT.id, "agreement_digest": AGREEMENT.digest, "outcome": "permitted",
    "reason": None, "rows": 1, "bytes": 167,
}  # fmt: skip
COUNT = {"side": "provider", "way": "call", "outcome": "permitted", "count": 3}


def signed(member: str) -> str:
    key = KEYS[member]
    return MemberSigner(member, key_id(public_jwk(key)), key).sign(AGREEMENT.document)


STORED: Mapping[str, Any] = {
    "digest": AGREEMENT.digest, "id": AGREEMENT.id, "version": 1, "by_rule": False, "ended_at": None, "accepted": False,
    "document": AGREEMENT.document.decode(), "provider_jws": signed(POLICE), "consumer_jws": signed(PROVINCE),
}  # fmt: skip


def uses(node=NODE, **changed: Any):
    body = json.dumps({"uses": [RECORD | changed], "counts": [COUNT | changed]}).encode()
    return read_uses(body, node, NOW)


def services(**changed: Any):
    return read_services(json.dumps({"services": [CITIZEN.public() | changed]}).encode(), NODE)


def agreements(node=NODE, **changed: Any):
    return read_agreements(json.dumps({"agreements": [STORED | changed]}).encode(), node, SNAPSHOT, {})


def test_a_nodes_own_record_service_and_agreement_are_believed():
    (entry,), (count,) = uses()
    assert (entry.hash.hex(), entry.rows, entry.outcome) == ("ab" * 32, 1, "permitted")
    assert count == ("provider", "call", "permitted", 3)
    assert services() == (CITIZEN,)
    assert [each.agreement for each in agreements()] == [AGREEMENT]


@pytest.mark.parametrize(
    "changed",
    [
        {"provider": PROVINCE},
        {"provider": "VN/GOV/G99"},
        {"side": "consumer"},
        {"side": "witness"},
        {"way": "theft"},
        {"outcome": "<b>"},
        {"consumer": "javascript:alert(1)"},
        {"hash": "../" * 21 + "x"},
        {"hash": None},
        {"at": "now"},
        {"at": "2026-11-22T00:00:00"},
        {"at": (NOW + timedelta(minutes=6)).isoformat()},
        {"rows": -1},
        {"rows": True},
        {"bytes": 10**30},
        {"agreement_digest": "sha-256:0"},
        {"exchange_id": 7},
        {"resource": "a" * 1000},
        {"resource": "\u202efdp.exe"},
    ],
)
def test_a_record_that_is_not_the_nodes_own_or_misshapen_is_left_out(changed):
    assert uses(**changed)[0] == ()


@pytest.mark.parametrize("changed", [{"count": "3"}, {"count": -1}, {"way": ""}, {"side": None}, {"outcome": "all"}])
def test_a_misshapen_count_is_left_out(changed):
    assert uses(**changed)[1] == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"id": f"{PROVINCE}/motcua/citizen"},
        {"id": "citizen"},
        {"sharing": "private"},
        {"fields": "all"},
        {"subjects": []},
        {"title_vi": 5},
    ],
)
def test_a_service_that_is_not_the_nodes_own_or_misshapen_is_left_out(changed):
    assert services(**changed) == ()


@pytest.mark.parametrize(
    "changed",
    [
        {"document": an_agreement(fields=("religion",)).document.decode()},
        {"document": "{}"},
        {"document": None},
        {"provider_jws": "e30..AAAA"},
        {"provider_jws": signed(PROVINCE)},
        {"consumer_jws": "e30..AAAA"},
        {"consumer_jws": signed(POLICE)},
        {"consumer_jws": None},
        {"digest": "sha-256:" + "0" * 64},
        {"ended_at": "soon"},
    ],
)
def test_an_agreement_without_both_good_signatures_is_left_out(changed):
    assert agreements(**changed) == ()


def test_an_agreement_is_not_believed_from_a_node_that_is_no_party():
    assert agreements(node=a_node("nut-g12", members=("VN/GOV/G12",))) == ()
    assert agreements(node=a_node("nut-h24", members=(PROVINCE,))) != ()


def test_a_known_agreement_is_not_believed_under_another_signature():
    known = {each.agreement.digest: each for each in agreements()}
    body = json.dumps({"agreements": [STORED | {"consumer_jws": "e30..AAAA"}]}).encode()

    assert read_agreements(body, NODE, SNAPSHOT, known) == ()


@pytest.mark.parametrize(
    "body",
    [
        b"", b"[]", b"{", b'{"uses": 1, "counts": []}', b"[" * 100_000, b"\x00\xff", b'{"uses": []}', b"null",
    ],
)  # fmt: skip
def test_an_answer_of_another_shape_is_not_read(body):
    with pytest.raises(NotAsPublished):
        read_uses(body, NODE, NOW)


def test_what_is_no_object_in_a_list_is_left_out():
    body = json.dumps({"uses": [1, None, [], "x", RECORD], "counts": [1, COUNT]}).encode()

    entries, counts = read_uses(body, NODE, NOW)

    assert (len(entries), len(counts)) == (1, 1)


def test_a_checkpoint_counts_only_under_the_key_the_directory_names():
    key, other = generate_ed25519(), generate_ed25519()
    node = a_node(log_key=str(VerifierKey(NODE.log_origin, key.public_key())))

    def note(signer, origin=node.log_origin):
        return sign_checkpoint(Checkpoint(origin, 7, bytes(32)), signer, origin)

    head = read_head(note(key), node)
    assert head is not None
    assert head.size == 7
    assert read_head(note(other), node) is None
    assert read_head(note(key, "another.log"), node) is None
    assert read_head(b"not a note", node) is None
    assert read_head(note(key), NODE) is None  # the directory's own entry can not be read
