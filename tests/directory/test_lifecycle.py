"""A change is asked for, approved by two different operators, then in the directory; nothing else brings it there."""

from __future__ import annotations

from dataclasses import asdict, replace
from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest

from lienthong.directory import queries, register
from lienthong.directory.changes import KEY_AHEAD, approve_change, refuse_change, submit
from lienthong.directory.lifecycle import (
    NEXT,
    ChangeRefused,
    Deed,
    SameOperator,
    State,
    approve,
    read_request,
    refuse,
    request_change,
    take_approval,
    take_refusal,
)
from lienthong.directory.queries import whole_directory
from lienthong.trust.keys import PrivateKey, generate_ed25519, generate_es256, key_id, public_jwk
from tests.directory.build import LAND, NOW, POLICE, PROVINCE, a_directory, a_key, a_member, a_node
from tests.directory.test_register import Db, fill

HOA, NAM, STRANGER = (generate_ed25519() for _ in range(3))
OPERATORS = {key_id(public_jwk(key)): public_jwk(key) for key in (HOA, NAM)}


def a_request(kind: Any = "close", key: PrivateKey | None = None, **wanted: Any) -> bytes:
    return request_change(kind, PROVINCE, wanted or {"day": "2026-07-01"}, key or generate_es256(), NOW)


@pytest.mark.parametrize("state", get_args(State))
@pytest.mark.parametrize("deed", get_args(Deed))
def test_a_change_takes_the_steps_of_the_table_and_no_other(state: Any, deed: Any):
    change = replace(read_request(a_request(), NOW)[0], state=state)

    def act() -> Any:
        return (
            take_refusal(change, refuse(change.id, "thiếu hồ sơ", HOA, NOW), OPERATORS, NOW)[0]
            if deed == "refuse"
            else take_approval(change, approve(change.id, HOA, NOW), OPERATORS, NOW)
        )

    if (state, deed) in NEXT:
        assert act().state == NEXT[state, deed]
    else:
        with pytest.raises(ChangeRefused):
            act()


def test_two_different_operators_must_approve():
    change, _ = read_request(a_request(), NOW)
    once = take_approval(change, approve(change.id, HOA, NOW), OPERATORS, NOW)

    with pytest.raises(SameOperator):
        take_approval(once, approve(change.id, HOA, NOW), OPERATORS, NOW)
    with pytest.raises(ChangeRefused):
        take_approval(once, approve(change.id, STRANGER, NOW), OPERATORS, NOW)
    with pytest.raises(ChangeRefused):
        take_approval(once, approve("0" * 64, NAM, NOW), OPERATORS, NOW)
    assert take_approval(once, approve(change.id, NAM, NOW), OPERATORS, NOW).state == "active"


@pytest.mark.parametrize("spoil", [lambda e: e[:-10], lambda _: b"[]", lambda e: e.replace(b'"sig":"', b'"sig":"AAAA')])
def test_a_request_that_its_own_key_did_not_sign_is_refused(spoil: Any):
    with pytest.raises(ChangeRefused):
        read_request(spoil(a_request()), NOW)


async def operators_of(db: Db) -> None:
    for keyid, jwk in OPERATORS.items():
        await queries.insert_operator(db, keyid, "người vận hành", jwk, NOW)


async def test_a_node_joins_at_the_second_approval_and_is_seen_coming(db: Db):
    await register.add_member(db, a_member(PROVINCE, kind="province"))
    await operators_of(db)
    key = generate_es256()
    identity = asdict(a_node("nut-h24")) | {
        "node": "nut-h24", "members": {PROVINCE: public_jwk(key)}, "tls_sha256": "a" * 64,
        "certificate_pem": "-----BEGIN CERTIFICATE-----",
    }  # fmt: skip
    change = await submit(db, request_change("join", PROVINCE, {"identity": identity}, key, NOW), NOW)

    await approve_change(db, change.id, approve(change.id, HOA, NOW), NOW)
    assert (await whole_directory(db)).nodes == ()
    (coming,) = await queries.pending_changes(db, PROVINCE)
    assert (coming.public()["state"], coming.public()["approvals"]) == ("approved-once", 1)
    with pytest.raises(SameOperator):
        await approve_change(db, change.id, approve(change.id, HOA, NOW), NOW)
    await approve_change(db, change.id, approve(change.id, NAM, NOW), NOW)

    contents = await whole_directory(db)
    assert [node.id for node in contents.nodes] == ["nut-h24"]
    assert contents.members[0].keys[0].keyid == key_id(public_jwk(key))
    assert await queries.pending_changes(db) == []


async def test_a_key_is_changed_with_an_overlap_and_a_member_closes_with_its_successor(db: Db):
    await fill(db, a_directory())
    await operators_of(db)
    old, new = generate_es256(), generate_es256()
    await register.add_key(db, PROVINCE, a_key("nut-h24", old))
    wanted = {"jwk": public_jwk(new), "node": "nut-h24"}

    with pytest.raises(ChangeRefused):
        await submit(db, request_change("key", PROVINCE, wanted, new, NOW), NOW)
    for kind, what in (("key", wanted), ("close", {"day": "2026-07-01", "successor": LAND})):
        change = await submit(db, request_change(kind, PROVINCE, what, old, NOW), NOW)
        for operator in (HOA, NAM):
            await approve_change(db, change.id, approve(change.id, operator, NOW), NOW)

    member = next(each for each in (await whole_directory(db)).members if each.id == PROVINCE)
    first, second = sorted(member.keys, key=lambda key: key.valid_from)
    assert second.valid_from == NOW + KEY_AHEAD
    assert first.valid_to > second.valid_from + timedelta(days=1), "both count for a while"
    assert (member.state, member.successor) == ("closed", LAND)
    assert member.id != POLICE


async def test_a_refusal_is_kept_as_it_was_signed_and_shown_with_its_reason(db: Db):
    await fill(db, a_directory())
    await operators_of(db)
    key = generate_es256()
    await register.add_key(db, PROVINCE, a_key("nut-h24", key))
    now = datetime.now(UTC)
    change = await submit(db, request_change("close", PROVINCE, {"day": "2026-07-01"}, key, NOW), NOW)
    await approve_change(db, change.id, approve(change.id, HOA, now), now)

    for spoiled in (
        refuse(change.id, "thiếu hồ sơ", STRANGER, now),
        refuse("0" * 64, "thiếu hồ sơ", NAM, now),
        refuse(change.id, "  ", NAM, now),
        refuse(change.id, "x" * 501, NAM, now),
        approve(change.id, NAM, now),
    ):
        with pytest.raises(ChangeRefused):
            await refuse_change(db, change.id, spoiled, now)
    await refuse_change(db, change.id, refuse(change.id, "thiếu hồ sơ", NAM, now), now)

    (shown,) = await queries.pending_changes(db, PROVINCE)
    assert (shown.public()["state"], shown.public()["reason"]) == ("refused", "thiếu hồ sơ")
    with pytest.raises(ChangeRefused):
        await approve_change(db, change.id, approve(change.id, NAM, now), now)
    with pytest.raises(ChangeRefused):
        await refuse_change(db, change.id, refuse(change.id, "lần nữa", NAM, now), now)
    contents = await whole_directory(db)
    assert next(member for member in contents.members if member.id == PROVINCE).state == "active"


async def test_a_closing_waits_for_its_day_and_is_seen_coming_until_then(db: Db):
    await fill(db, a_directory())
    await operators_of(db)
    key = generate_es256()
    await register.add_key(db, PROVINCE, a_key("nut-h24", key))
    wanted = {"day": (NOW + timedelta(days=30)).date().isoformat(), "successor": LAND}
    change = await submit(db, request_change("close", PROVINCE, wanted, key, NOW), NOW)
    await approve_change(db, change.id, approve(change.id, HOA, NOW), NOW)

    with pytest.raises(ChangeRefused):
        await approve_change(db, change.id, approve(change.id, NAM, NOW), NOW + timedelta(days=29))
    (coming,) = await queries.pending_changes(db, PROVINCE)
    assert coming.state == "approved-once"
    await approve_change(db, change.id, approve(change.id, NAM, NOW), NOW + timedelta(days=30))

    member = next(each for each in (await whole_directory(db)).members if each.id == PROVINCE)
    assert (member.state, member.successor) == ("closed", LAND)
