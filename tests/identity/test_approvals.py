"""Changes of trust need two different persons; the audit cannot be changed."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import psycopg
import pytest
from psycopg import AsyncConnection

from lienthong.identity import queries
from lienthong.identity.approvals import (
    WAITS,
    NoSuchProposal,
    NotOpen,
    ReasonMissing,
    SamePerson,
    StrongerSignInNeeded,
    expire,
)
from lienthong.identity.audit import ACTS
from lienthong.identity.models import Assurance, Role
from lienthong.identity.persons import RoleNotPossible, close_account, person_of
from lienthong.identity.rights import NotAllowed
from lienthong.identity.roles import GIVE_ROLE
from tests.identity.build import ELSEWHERE, HERE, NOW, a_person, acting, approvals


async def _proposed(db, role: Role = Role.DATA_OFFICER):
    first, second, third = (
        await a_person(db, "mot", Role.OPERATOR),
        await a_person(db, "hai", Role.OPERATOR),
        await a_person(db, "ba"),
    )
    proposal = await approvals().propose(
        db, acting(first), GIVE_ROLE, HERE, {"person": third.id, "role": role.value}, "người mới", NOW
    )
    return proposal, first, second, third


async def test_a_second_operator_approves_and_the_role_is_given(db):
    proposal, _, second, third = await _proposed(db)

    await approvals().approve(db, acting(second), proposal.id, NOW)

    assert (await person_of(db, third.id, HERE)).roles == {Role.DATA_OFFICER}
    with pytest.raises(NotOpen):
        await approvals().approve(db, acting(second), proposal.id, NOW)


async def test_nobody_approves_what_they_proposed(db):
    proposal, first, _, third = await _proposed(db)

    with pytest.raises(SamePerson):
        await approvals().approve(db, acting(first), proposal.id, NOW)
    with pytest.raises(psycopg.errors.CheckViolation):  # nor would the database have it
        await queries.decide_proposal(db, proposal.id, "approved", first.id, "", NOW)
    await db.rollback()
    assert await queries.person_by_id(db, third.id) is None


async def test_two_roles_of_one_person_are_still_one_person_and_others_may_not_decide(db):
    proposal, _, _, third = await _proposed(db)
    officer = await a_person(db, "bon", Role.DATA_OFFICER)
    stranger = await a_person(db, "nam", Role.OPERATOR, member=ELSEWHERE)

    with pytest.raises(NotAllowed):
        await approvals().approve(db, acting(officer), proposal.id, NOW)
    for asked in (proposal.id, "khong-co"):
        with pytest.raises(NoSuchProposal):
            await approvals().approve(db, acting(stranger), asked, NOW)
    with pytest.raises(NotAllowed):
        await approvals().propose(db, acting(officer), GIVE_ROLE, HERE, {"person": third.id}, "", NOW)


async def test_a_password_alone_changes_no_trust(db):
    proposal, first, second, third = await _proposed(db)

    with pytest.raises(StrongerSignInNeeded):
        await approvals().approve(db, acting(second, Assurance.ONE_FACTOR), proposal.id, NOW)
    with pytest.raises(StrongerSignInNeeded):
        await approvals().propose(
            db, acting(first, Assurance.ONE_FACTOR), GIVE_ROLE, HERE, {"person": third.id}, "", NOW
        )


async def test_a_refusal_has_a_reason_and_the_proposer_withdraws_without(db):
    proposal, first, second, _ = await _proposed(db)

    with pytest.raises(ReasonMissing):
        await approvals().refuse(db, acting(second), proposal.id, "  ", NOW)
    await approvals().refuse(db, acting(first), proposal.id, "", NOW)

    assert [each.state for each in await queries.proposals_of(db, HERE, 9)] == ["withdrawn"]


async def test_a_proposal_nobody_decides_runs_out(db):
    proposal, _, second, _ = await _proposed(db)

    with pytest.raises(NotOpen):
        await approvals().approve(db, acting(second), proposal.id, NOW + WAITS)
    assert await expire(db, NOW + WAITS - timedelta(seconds=1)) == 0
    assert await expire(db, NOW + WAITS) == 1
    assert [each.state for each in await queries.proposals_of(db, HERE, 9)] == ["expired"]


async def test_what_has_become_impossible_is_not_carried_out_and_stays_open(db):
    proposal, _, second, third = await _proposed(db, Role.COORDINATOR)

    with pytest.raises(RoleNotPossible):
        await approvals().approve(db, acting(second), proposal.id, NOW)
    assert (await queries.proposal_by_id(db, proposal.id)).state == "open"
    await close_account(db, third, by=None, now=NOW)


async def test_two_who_decide_at_once_do_not_both_count(database):
    async with await AsyncConnection.connect(database.app) as db:
        proposal, _, second, third = await _proposed(db)
        other = await a_person(db, "khac", Role.OPERATOR)

    async def approve(person):
        async with await AsyncConnection.connect(database.app) as connection:
            await approvals().approve(connection, acting(person), proposal.id, NOW)

    told = await asyncio.gather(approve(second), approve(other), return_exceptions=True)

    assert sorted(type(each) for each in told if each is not None) == [NotOpen]
    assert told.count(None) == 1
    async with await AsyncConnection.connect(database.app) as db:
        given = [each for each in await queries.acts_of(db, HERE, None, 99) if each.act == "role.given"]
        assert [each.object for each in given].count(third.id) == 1


async def test_every_act_is_put_down_without_names_and_cannot_be_changed(db):
    proposal, _, second, third = await _proposed(db)
    await approvals().approve(db, acting(second), proposal.id, NOW)

    acts = await queries.acts_of(db, HERE, None, 99)

    assert {each.act for each in acts} >= {"person.added", "proposal.made", "proposal.approved", "role.given"}
    assert {each.act for each in acts} <= set(ACTS)
    assert third.name not in str(acts)
    assert acts == sorted(acts, key=lambda act: -act.number)
    for change in ("UPDATE admin_act SET act = 'x'", "DELETE FROM admin_act", "TRUNCATE admin_act"):
        async with await AsyncConnection.connect(db.info.dsn, password=db.info.password) as other:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                await other.execute(change)


async def test_another_members_acts_are_not_shown(db):
    await a_person(db, "hoa", Role.OPERATOR, member=ELSEWHERE)

    assert await queries.acts_of(db, HERE, None, 99) == []
