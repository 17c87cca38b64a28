"""What changed from one version of the directory to the next is told, all of it, and nothing that did not."""

from __future__ import annotations

from dataclasses import fields, replace
from datetime import date, timedelta
from typing import get_args

import pytest

from lienthong.directory.contents import Contents
from lienthong.directory.document import write_directory
from lienthong.directory.models import Member, MemberKey, Node, NodeId, Purpose, Rule, System, WitnessPolicy
from lienthong.directory.versions.differences import Difference, What, differences
from lienthong.directory.versions.history import history
from lienthong.directory.versions.queries import DirectoryVersion
from lienthong.portal.versions import WORDS
from lienthong.trust.documents import DocumentRefused, sign_document
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.directory.build import END, LAND, NOW, POLICE, PROVINCE, START, a_key, a_member, a_node, a_purpose, a_system

KEY = a_key()
MEMBER, NODE, SYSTEM, PURPOSE = a_member(keys=(KEY,)), a_node(), a_system(), a_purpose()
RULE = Rule(POLICE, b"{}", "a..b")
WHOLE = Contents((MEMBER,), (SYSTEM,), (NODE,), (PURPOSE,), (RULE,), ("PEM",))
CLOSED = replace(MEMBER, state="closed", successor=LAND, closed_on=date(2026, 7, 1))
SHORTER, LONGER = replace(KEY, valid_to=END - timedelta(1)), replace(KEY, valid_to=END + timedelta(1))
CHANGES: dict[What, tuple[dict, dict]] = {
    "member-joined": ({"members": ()}, {"members": (replace(MEMBER, keys=()),)}),
    "member-left": ({"members": (replace(MEMBER, keys=()),)}, {"members": ()}),
    "member-changed": ({}, {"members": (replace(MEMBER, name_en="Police"),)}),
    "member-closed": ({}, {"members": (CLOSED,)}),
    "member-reopened": ({"members": (CLOSED,)}, {}),
    "key-added": ({"members": (replace(MEMBER, keys=()),)}, {}),
    "key-left": ({}, {"members": (replace(MEMBER, keys=()),)}),
    "key-ended": ({}, {"members": (replace(MEMBER, keys=(SHORTER,)),)}),
    "key-changed": ({}, {"members": (replace(MEMBER, keys=(LONGER,)),)}),
    "system-added": ({"systems": ()}, {}),
    "system-changed": ({}, {"systems": (replace(SYSTEM, default_purpose="HP-01"),)}),
    "system-left": ({}, {"systems": ()}),
    "node-joined": ({"nodes": ()}, {}),
    "node-changed": ({}, {"nodes": (replace(NODE, peer_url="https://127.0.0.1:5501"),)}),
    "node-closed": ({}, {"nodes": ()}),
    "certificate-changed": ({}, {"nodes": (replace(NODE, tls_sha256=("0" * 64,)),)}),
    "host-changed": ({}, {"nodes": (replace(NODE, members=(POLICE, LAND)),)}),
    "purpose-added": ({"purposes": ()}, {}),
    "purpose-changed": ({}, {"purposes": (replace(PURPOSE, valid_to=date(2027, 1, 1)),)}),
    "purpose-left": ({}, {"purposes": ()}),
    "rule-added": ({"rules": ()}, {}),
    "rule-left": ({}, {"rules": ()}),
    "authority-added": ({"authorities": ()}, {}),
    "authority-left": ({}, {"authorities": ()}),
    "witnesses-changed": ({}, {"witness_policy": WitnessPolicy(1, (NodeId("nut-g01"),))}),
}


@pytest.mark.parametrize("what", get_args(What))
def test_each_change_is_told_once_by_its_own_name_and_has_words(what: What):
    before, after = CHANGES[what]
    told = differences(replace(WHOLE, **before), replace(WHOLE, **after))

    assert [each.what for each in told] == [what]
    assert WORDS[what].code == what
    assert set(told[0].public()) == {"what", "about", "member", "before", "after"}


def test_what_did_not_change_is_not_told_and_a_closed_member_names_its_successor():
    assert differences(WHOLE, WHOLE) == ()
    assert differences(WHOLE, replace(WHOLE, members=(CLOSED,))) == (
        Difference("member-closed", POLICE, POLICE, "", LAND),
    )


OTHER = {
    "members": (LAND,), "keys": (LONGER,), "jwk": {"kty": "EC"}, "tls_sha256": ("0" * 64,), "capabilities": ("x",),
    "closed_on": date(2026, 8, 1), "successor": LAND, "parent": LAND, "operator": LAND, "member": LAND,
    "verified": False, "common": True, "security_level": 5, "valid_from": START + timedelta(1),
    "valid_to": END - timedelta(2), "document": b"[]", "contact": replace(MEMBER.contact, name="B"),
}  # fmt: skip
SAMPLES = {"members": MEMBER, "keys": KEY, "systems": SYSTEM, "nodes": NODE, "purposes": PURPOSE, "rules": RULE}


@pytest.mark.parametrize(
    ("sample", "name", "where"),
    [(sample, field.name, where) for where, sample in SAMPLES.items() for field in fields(sample)],
)
def test_no_field_of_the_directory_changes_untold(
    sample: Member | MemberKey | System | Node | Purpose | Rule, name: str, where: str
):
    changed = replace(sample, **{name: OTHER.get(name, f"{getattr(sample, name)}x")})
    where, listed = ("members", replace(MEMBER, keys=(changed,))) if where == "keys" else (where, changed)
    after = replace(WHOLE, **{where: (listed,)})

    assert differences(WHOLE, after), f"{where}.{name}"


def test_versions_are_compared_pair_by_pair_and_only_under_the_directory_s_own_signature():
    own, former = generate_es256(), generate_es256()
    keyid = key_id(public_jwk(own))

    def version(number: int, contents: Contents, key=own) -> DirectoryVersion:
        issued = NOW + timedelta(minutes=number)
        document = write_directory(contents, version=number, issued=issued, expires=issued + timedelta(1))
        envelope = sign_document(document, key, key_id(public_jwk(key)))
        return DirectoryVersion(number, str(number), issued, issued + timedelta(1), envelope, issued - timedelta(1))

    def resolve(asked: str):
        return own.public_key() if asked == keyid else None

    joined = replace(WHOLE, members=(MEMBER, a_member(PROVINCE)))
    kept = [version(9, joined), version(7, WHOLE), version(5, joined, former), version(3, Contents())]

    told = history(kept, resolve)

    assert [(each.version, each.before) for each in told] == [(9, 7), (7, 3)]
    assert [each.what for each in told[0].changed] == ["member-joined"]
    assert [each.issued - each.first_issued for each in told] == [timedelta(1)] * 2
    forged = replace(kept[0], envelope=kept[0].envelope.replace(b'"sig":"', b'"sig":"AAAA'))
    with pytest.raises(DocumentRefused):
        history([forged, *kept[1:]], resolve)
