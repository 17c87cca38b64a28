"""The directory's document and the snapshot that answers from it."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import Any

import pytest

from lienthong.directory.contents import contents_digest
from lienthong.directory.document import (
    DirectoryMalformed,
    MemberClosed,
    MemberWithoutNode,
    UnknownMember,
    UnknownPurpose,
    UnknownSystem,
    parse_directory,
    write_directory,
)
from lienthong.directory.models import IdMalformed
from lienthong.trust.keys import generate_es256
from tests.directory.build import (
    COUNTER,
    END,
    LAND,
    NOW,
    POLICE,
    PROVINCE,
    START,
    a_directory,
    a_key,
    a_member,
    a_node,
    a_purpose,
    a_snapshot,
)


def test_what_is_written_is_what_is_read() -> None:
    contents = a_directory(members=(a_member(keys=(a_key(),), parent=LAND, verified=False), a_member(LAND)))

    snapshot = a_snapshot(7, members=contents.members)

    assert snapshot.contents == contents
    assert (snapshot.version, snapshot.issued, snapshot.expires) == (7, NOW, END)
    assert json.loads(json.dumps(snapshot.as_dict())) == json.loads(
        write_directory(contents, version=7, issued=NOW, expires=END)
    )


def test_a_newer_national_node_may_say_more() -> None:
    body = json.loads(write_directory(a_directory(), version=1, issued=NOW, expires=END))
    body["witnesses"] = []
    body["members"][0]["nickname"] = "x"

    assert parse_directory(json.dumps(body).encode()).member(POLICE) == a_member()


MALFORMED: dict[str, Any] = {
    "another format": lambda b: b.update(format="2"),
    "no version": lambda b: b.pop("version"),
    "a version that is no number": lambda b: b.update(version="new"),
    "members that are no list": lambda b: b.update(members=3),
    "a member without contact": lambda b: b["members"][0].pop("contact"),
    "a key without times": lambda b: b["members"][0].update(keys=[{"keyid": "x", "jwk": {}, "node": "n"}]),
    "a time without a zone": lambda b: b.update(issued="2026-01-01T00:00:00"),
    "a rule without a document": lambda b: b["rules"][0].pop("document"),
}


@pytest.mark.parametrize("change", MALFORMED.values(), ids=MALFORMED.keys())
def test_a_misshapen_directory_is_refused(change: Any) -> None:
    body = json.loads(write_directory(a_directory(), version=1, issued=NOW, expires=END))
    change(body)

    with pytest.raises(DirectoryMalformed):
        parse_directory(json.dumps(body).encode())


@pytest.mark.parametrize("document", [b"", b"[]", b"null", b"{", b"\xff", b"[" * 100_000])
def test_bytes_that_are_no_directory_are_refused(document: bytes) -> None:
    with pytest.raises(DirectoryMalformed):
        parse_directory(document)


def test_a_member_with_an_impossible_id_is_refused() -> None:
    with pytest.raises(IdMalformed):
        a_snapshot(members=(a_member("VN/GOV/g01"),))


def test_an_unknown_member_is_refused() -> None:
    with pytest.raises(UnknownMember) as refused:
        a_snapshot().active_member("VN/GOV/G99")

    assert refused.value.facts == {"member": "VN/GOV/G99"}


def test_a_closed_member_is_refused_with_its_successor() -> None:
    closed = a_member(LAND, state="closed", successor=PROVINCE, closed_on=date(2026, 3, 1))
    snapshot = a_snapshot(members=(a_member(), closed, a_member(PROVINCE)))

    with pytest.raises(MemberClosed) as refused:
        snapshot.active_system(f"{LAND}/datdai")

    assert refused.value.status == 410
    assert refused.value.facts["successor"] == PROVINCE
    assert PROVINCE in refused.value.as_dict("en")["mend"]
    assert snapshot.member(LAND) == closed


def test_a_closed_member_without_successor_is_refused_too() -> None:
    snapshot = a_snapshot(members=(a_member(state="closed", closed_on=date(2026, 3, 1)),))

    with pytest.raises(MemberClosed) as refused:
        snapshot.active_member(POLICE)

    assert refused.value.facts["successor"] == ""


def test_an_unknown_system_is_refused() -> None:
    assert a_snapshot().active_system(COUNTER).id == COUNTER
    with pytest.raises(UnknownSystem):
        a_snapshot().active_system("VN/GOV/H24/khac")


def test_the_node_that_acts_for_a_member() -> None:
    snapshot = a_snapshot()

    assert snapshot.serving_node(POLICE) == a_node()
    assert snapshot.node_of(LAND) is None
    with pytest.raises(MemberWithoutNode):
        snapshot.serving_node(LAND)


def test_a_node_is_known_by_each_of_its_certificates() -> None:
    snapshot = a_snapshot(nodes=(a_node(tls_sha256=("a" * 64, "b" * 64)),))

    assert snapshot.node_by_certificate("a" * 64) == snapshot.node_by_certificate("b" * 64) == snapshot.node("nut-g01")
    assert snapshot.node_by_certificate("c" * 64) is None


def test_a_key_signs_only_while_it_is_valid_and_its_member_open() -> None:
    private = generate_es256()
    key = a_key(private=private)
    snapshot = a_snapshot(members=(a_member(keys=(key,)),))
    closed = a_snapshot(members=(a_member(keys=(key,), state="closed", closed_on=date(2026, 3, 1)),))

    found = snapshot.signing_key(key.keyid, START)
    assert found is not None
    assert found == private.public_key()
    assert snapshot.key(key.keyid) == (key, a_member(keys=(key,)))
    assert snapshot.signing_key(key.keyid, START - timedelta(seconds=1)) is None
    assert snapshot.signing_key(key.keyid, END) is None
    assert snapshot.signing_key("unknown", NOW) is None
    assert closed.signing_key(key.keyid, NOW) is None
    assert closed.public_key(key.keyid) == private.public_key(), "old signatures still verify"


def test_a_key_that_is_no_point_is_no_key() -> None:
    key = a_key(jwk={"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"})

    assert a_snapshot(members=(a_member(keys=(key,)),)).signing_key(key.keyid, NOW) is None


def test_a_purpose_is_its_member_s_and_has_its_days() -> None:
    snapshot = a_snapshot(purposes=(a_purpose(valid_to=date(2026, 8, 1)),))

    assert snapshot.purpose_on("HP-01", PROVINCE, date(2026, 7, 31)).legal_basis == "Luật Đất đai 2024"
    for code, member, day in (
        ("HP-02", PROVINCE, date(2026, 7, 1)),
        ("HP-01", POLICE, date(2026, 7, 1)),
        ("HP-01", PROVINCE, date(2026, 8, 1)),
        ("HP-01", PROVINCE, date(2025, 12, 31)),
    ):
        with pytest.raises(UnknownPurpose):
            snapshot.purpose_on(code, member, day)


def test_a_common_purpose_may_be_named_by_every_body_of_the_class() -> None:
    snapshot = a_snapshot(purposes=(a_purpose(common=True),))

    assert snapshot.purpose_on("HP-01", POLICE, date(2026, 7, 1)).member == PROVINCE
    with pytest.raises(UnknownPurpose):
        snapshot.purpose_on("HP-01", "VN/COM/0100109106", date(2026, 7, 1))


def test_age_and_expiry() -> None:
    snapshot = a_snapshot(issued=NOW, expires=NOW + timedelta(hours=24))

    assert snapshot.age(NOW + timedelta(minutes=11)) == timedelta(minutes=11)
    assert not snapshot.expired(NOW + timedelta(hours=23, minutes=59))
    assert snapshot.expired(NOW + timedelta(hours=24))


def test_the_digest_of_the_contents_changes_with_any_part() -> None:
    digests = {
        contents_digest(a_directory()),
        contents_digest(a_directory(members=(a_member(),))),
        contents_digest(a_directory(purposes=())),
        contents_digest(a_directory(nodes=(a_node(runs_on="x"),))),
        contents_digest(a_directory(authorities=())),
    }

    assert len(digests) == 5
