"""Admitting to the directory, against a real database."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import date, timedelta
from typing import Any

import pytest
from psycopg import AsyncConnection

from lienthong.directory import register
from lienthong.directory.contents import Contents
from lienthong.directory.document import (
    MemberClosed,
    UnknownMember,
    index_contents,
    parse_directory,
    write_directory,
)
from lienthong.directory.models import Contact, IdMalformed, MemberId, NodeId, Rule, WitnessPolicy
from lienthong.directory.queries import whole_directory
from lienthong.directory.register import AlreadyRegistered, RegistrationRefused
from lienthong.trust.keys import UnusableKey, generate_ed25519, key_id, public_jwk
from tests.directory.build import (
    CONTACT,
    COUNTER,
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
    a_system,
)

pytestmark = pytest.mark.integration
Db = AsyncConnection[Any]


async def fill(db: Db, contents: Contents) -> None:
    for member in contents.members:
        await register.add_member(db, member)
    for system in contents.systems:
        await register.add_system(db, system)
    for node in contents.nodes:
        await register.add_node(db, node)
    for purpose in contents.purposes:
        await register.add_purpose(db, purpose)
    for rule in contents.rules:
        await register.add_rule(db, rule)
    for authority in contents.authorities:
        await register.add_authority(db, authority)


async def test_what_is_registered_is_what_the_directory_says(db: Db) -> None:
    await fill(db, a_directory())
    key = a_key()

    await register.add_key(db, POLICE, key)

    contents = await whole_directory(db)
    assert contents == a_directory(
        members=(a_member(POLICE, keys=(key,)), a_member(LAND), a_member(PROVINCE, kind="province"))
    )


async def test_a_code_once_given_is_never_given_again(db: Db) -> None:
    """R-03: not even when its bearer is closed."""
    await fill(db, a_directory())
    await register.close_member(db, LAND, POLICE, date(2026, 3, 1))

    with pytest.raises(AlreadyRegistered):
        await register.add_member(db, a_member(LAND, name_vi="Cơ quan khác"))

    land = (await whole_directory(db)).members[1]
    assert (land.name_vi, land.state, land.successor, land.closed_on) == (
        f"Cơ quan {LAND}",
        "closed",
        POLICE,
        date(2026, 3, 1),
    )


async def test_nothing_new_for_a_closed_member(db: Db) -> None:
    """R-04: the old record stays readable and names who took over."""
    await fill(db, a_directory())
    await register.close_member(db, PROVINCE, LAND, date(2026, 3, 1))
    deeds: list[Callable[[], Awaitable[None]]] = [
        lambda: register.add_system(db, a_system("VN/GOV/H24/moi")),
        lambda: register.add_node(db, a_node("nut-moi", members=(PROVINCE,))),
        lambda: register.add_key(db, PROVINCE, a_key()),
        lambda: register.add_purpose(db, a_purpose("HP-02")),
        lambda: register.add_rule(db, Rule(PROVINCE, b"{}", "e30..AA")),
        lambda: register.close_member(db, PROVINCE, None, date(2026, 4, 1)),
        lambda: register.close_member(db, LAND, PROVINCE, date(2026, 4, 1)),
        lambda: register.add_member(db, a_member("VN/GOV/H24.05", parent=PROVINCE)),
    ]

    for deed in deeds:
        with pytest.raises(MemberClosed) as refused:
            await deed()
        assert refused.value.facts["successor"] == LAND


async def test_a_child_s_code_extends_its_parent_s(db: Db) -> None:
    """R-05."""
    await fill(db, a_directory())

    await register.add_member(db, a_member("VN/GOV/H24.05", parent=PROVINCE))
    with pytest.raises(RegistrationRefused) as refused:
        await register.add_member(db, a_member("VN/GOV/H24.06", parent=POLICE))
    assert refused.value.facts["field"] == "parent"
    with pytest.raises(RegistrationRefused):
        await register.add_member(db, a_member("VN/GOV/H24.06", parent=None))
    with pytest.raises(UnknownMember):
        await register.add_member(db, a_member("VN/GOV/H99.01", parent=MemberId("VN/GOV/H99")))


BAD_MEMBERS: dict[str, dict[str, Any]] = {
    "state": {"state": "closed"},
    "kind": {"kind": "kingdom"},
    "block": {"block": "opposition"},
    "security_level": {"security_level": 6},
    "name": {"name_en": " "},
}
BAD_CONTACTS = [
    Contact("", "Chuyên viên", CONTACT.phone, CONTACT.email),
    Contact("A", "", CONTACT.phone, CONTACT.email),
    Contact("A", "B", "không có", CONTACT.email),
    Contact("A", "B", CONTACT.phone, "không có"),
]


@pytest.mark.parametrize(("field", "changes"), BAD_MEMBERS.items(), ids=BAD_MEMBERS.keys())
async def test_an_incomplete_member_is_refused(db: Db, field: str, changes: dict[str, Any]) -> None:
    with pytest.raises(RegistrationRefused) as refused:
        await register.add_member(db, a_member(**changes))

    assert refused.value.facts["field"] == field


@pytest.mark.parametrize("contact", BAD_CONTACTS)
async def test_a_member_has_one_reachable_contact(db: Db, contact: Contact) -> None:
    """R-06."""
    with pytest.raises(RegistrationRefused) as refused:
        await register.add_member(db, a_member(contact=contact))

    assert refused.value.facts["field"] == "contact"


async def test_systems_and_purposes_keep_their_codes(db: Db) -> None:
    await fill(db, a_directory())

    with pytest.raises(AlreadyRegistered):
        await register.add_system(db, a_system(COUNTER, name_vi="Khác"))
    with pytest.raises(AlreadyRegistered):
        await register.add_purpose(db, a_purpose(member=POLICE))
    with pytest.raises(UnknownMember):
        await register.add_system(db, a_system("VN/GOV/G99/x"))


async def test_a_node_may_change_its_address_and_its_members(db: Db) -> None:
    await fill(db, a_directory())

    await register.add_node(db, a_node(peer_url="https://127.0.0.1:6000", members=(LAND, PROVINCE), operator=LAND))

    nodes = {node.id: node for node in (await whole_directory(db)).nodes}
    assert nodes["nut-g01"].peer_url == "https://127.0.0.1:6000"
    assert nodes["nut-g01"].members == (LAND, PROVINCE)
    assert nodes["nut-h24"].members == (PROVINCE,), "a second node of a member takes nothing from the first"


async def test_a_member_with_two_nodes_is_served_by_both_the_first_by_id(db: Db) -> None:
    await fill(db, a_directory())
    await register.add_node(db, a_node(peer_url="https://127.0.0.1:6000", members=(LAND, PROVINCE), operator=LAND))

    snapshot = index_contents(await whole_directory(db), version=1, issued=NOW, expires=NOW, digest="")

    assert [node.id for node in snapshot.nodes_of(PROVINCE)] == ["nut-g01", "nut-h24"]
    assert snapshot.serving_node(PROVINCE).id == "nut-g01"
    assert snapshot.nodes_of("VN/GOV/Z99") == ()


async def test_the_witness_policy_counts_registered_witnesses_alone(db: Db) -> None:
    await fill(db, a_directory())
    await register.add_node(db, a_node(witness_key="nut-g01+00000000+BA=="))

    for policy in (WitnessPolicy(2, (NodeId("nut-g01"),)), WitnessPolicy(1, (NodeId("nut-h24"),))):
        with pytest.raises(register.RegistrationRefused):
            await register.set_witness_policy(db, policy)
    await register.set_witness_policy(db, WitnessPolicy(1, (NodeId("nut-g01"),)))

    snapshot = parse_directory(write_directory(await whole_directory(db), version=1, issued=NOW, expires=NOW))
    node = snapshot.node("nut-g01")
    assert snapshot.witness_policy == WitnessPolicy(1, (NodeId("nut-g01"),))
    assert node is not None
    assert node.witness_key == "nut-g01+00000000+BA=="


BAD_NODES: dict[str, dict[str, Any]] = {
    "peer_url": {"peer_url": "127.0.0.1"},
    "public_url": {"public_url": "ftp://x"},
    "tls_sha256": {"tls_sha256": ("AB",)},
    "log_key": {"log_key": ""},
    "members": {"members": ()},
    "security_level": {"security_level": 0},
}


@pytest.mark.parametrize(("field", "changes"), BAD_NODES.items(), ids=BAD_NODES.keys())
async def test_an_incomplete_node_is_refused(db: Db, field: str, changes: dict[str, Any]) -> None:
    await register.add_member(db, a_member())

    with pytest.raises(RegistrationRefused) as refused:
        await register.add_node(db, a_node(**changes))

    assert refused.value.facts["field"] == field


async def test_two_nodes_never_show_one_certificate(db: Db) -> None:
    await fill(db, a_directory())

    with pytest.raises(AlreadyRegistered):
        await register.add_node(db, a_node("nut-x", tls_sha256=a_node().tls_sha256, members=(LAND,)))


async def test_a_revoked_key_keeps_its_past(db: Db) -> None:
    await fill(db, a_directory())
    key = a_key()
    await register.add_key(db, POLICE, key)

    await register.revoke_key(db, key.keyid, NOW)
    await register.revoke_key(db, key.keyid, NOW + timedelta(days=1))

    (kept,) = (await whole_directory(db)).members[0].keys
    assert (kept.valid_from, kept.valid_to) == (START, NOW)
    with pytest.raises(AlreadyRegistered):
        await register.add_key(db, POLICE, key)
    with pytest.raises(RegistrationRefused):
        await register.revoke_key(db, "unknown", NOW)


async def test_only_a_member_s_own_kind_of_key_is_taken(db: Db) -> None:
    await fill(db, a_directory())
    log_key = public_jwk(generate_ed25519())

    with pytest.raises(UnusableKey):
        await register.add_key(db, POLICE, a_key(jwk=log_key, keyid=key_id(log_key)))
    with pytest.raises(RegistrationRefused) as misnamed:
        await register.add_key(db, POLICE, a_key(keyid="x" * 43))
    assert misnamed.value.facts["field"] == "keyid"
    with pytest.raises(RegistrationRefused) as never:
        await register.add_key(db, POLICE, a_key(valid_to=START))
    assert never.value.facts["field"] == "valid_to"
    with pytest.raises(RegistrationRefused) as nowhere:
        await register.add_key(db, POLICE, a_key("nut-x"))
    assert nowhere.value.facts["field"] == "node"


async def test_a_purpose_ends(db: Db) -> None:
    await fill(db, a_directory())

    await register.end_purpose(db, "HP-01", date(2026, 9, 1))

    assert (await whole_directory(db)).purposes[0].valid_to == date(2026, 9, 1)
    with pytest.raises(RegistrationRefused):
        await register.end_purpose(db, "HP-99", date(2026, 9, 1))
    with pytest.raises(IdMalformed):
        await register.add_purpose(db, a_purpose("mục đích"))
    for field, changes in {
        "legal_basis": {"legal_basis": ""},
        "title": {"title_vi": ""},
        "valid_to": {"valid_to": date(2026, 1, 1)},
    }.items():
        with pytest.raises(RegistrationRefused) as refused:
            await register.add_purpose(db, a_purpose("HP-03", **changes))
        assert refused.value.facts["field"] == field


async def test_a_rule_is_published_once_and_can_be_taken_back(db: Db) -> None:
    await fill(db, a_directory())
    (rule,) = a_directory().rules

    await register.add_rule(db, rule)
    assert (await whole_directory(db)).rules == (rule,)
    await register.withdraw_rule(db, rule.document)

    assert (await whole_directory(db)).rules == ()
    with pytest.raises(RegistrationRefused):
        await register.withdraw_rule(db, rule.document)


async def test_an_authority_is_a_certificate(db: Db) -> None:
    with pytest.raises(RegistrationRefused):
        await register.add_authority(db, "not a certificate")
