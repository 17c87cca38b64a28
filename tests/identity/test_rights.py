"""The matrix of roles and rights."""

from __future__ import annotations

import pytest

from lienthong.identity.models import ANONYMOUS, Actor, Assurance, Right, Role
from lienthong.identity.rights import ALONE, MATRIX, NATIONAL, LoginNeeded, NotAllowed, may, require
from lienthong.identity.tokens import NOT_BY_TOKEN
from lienthong.portal.standing import RIGHTS

HERE, ELSEWHERE = "VN/GOV/H24", "VN/GOV/H26"


def actor(*roles: Role, member: str | None = HERE, scopes: frozenset[Right] | None = None) -> Actor:
    return Actor("p1", "Trần Thị Hoa", member, frozenset(roles), Assurance.ONE_FACTOR, "s1", scopes)


def test_every_role_has_its_line_and_every_right_but_bodies_somebody():
    assert set(MATRIX) == set(Role)
    assert set(Right) - set().union(*MATRIX.values()) == {Right.SEE_BODIES}


def test_nobody_who_works_with_data_sees_bodies_or_whom_a_use_was_about():
    for role in set(Role) - {Role.AUDITOR}:
        assert not may(actor(role), Right.SEE_SUBJECTS, HERE)
    assert not any(may(actor(*Role), Right.SEE_BODIES, member) for member in (None, HERE))


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize("right", Right)
def test_a_right_ends_at_the_border_of_the_own_member(role: Role, right: Right):
    allowed = right in MATRIX[role]

    assert may(actor(role), right) == allowed
    assert may(actor(role), right, HERE) == allowed
    assert may(actor(role), right, ELSEWHERE) == (allowed and right in NATIONAL)


def test_only_the_coordinator_has_a_right_at_other_members():
    assert {role for role in Role if MATRIX[role] & NATIONAL} == {Role.COORDINATOR}


def test_an_auditor_changes_nothing():
    changing = {Right.PUBLISH, Right.DECIDE_REQUESTS, Right.MANAGE_NODE, Right.MANAGE_PERSONS, Right.APPROVE_TRUST,
                Right.MANAGE_CREDENTIALS, Right.ASK_ACCESS, Right.MANAGE_MEMBERS, Right.HANDLE_CASES}  # fmt: skip
    assert not MATRIX[Role.AUDITOR] & changing
    assert all(Role.AUDITOR in pair for pair in ALONE)


def test_a_token_carries_no_more_than_its_scopes_and_no_more_than_the_person():
    token = actor(Role.INTEGRATOR, scopes=frozenset({Right.ASK_ACCESS, Right.PUBLISH}))

    assert may(token, Right.ASK_ACCESS, HERE)
    assert not may(token, Right.SEE_CALLS, HERE)
    assert not may(token, Right.PUBLISH, HERE)


def test_nobody_is_asked_to_sign_in_and_somebody_is_refused():
    with pytest.raises(LoginNeeded) as needed:
        require(ANONYMOUS, Right.PUBLISH, HERE)
    with pytest.raises(NotAllowed) as refused:
        require(actor(Role.CITIZEN, member=None), Right.PUBLISH, HERE)

    assert (needed.value.status, refused.value.status) == (401, 403)
    assert HERE not in str(refused.value.facts)


def test_every_right_that_a_token_may_carry_has_its_words_on_the_page_of_the_account():
    assert set().union(*MATRIX.values()) - NOT_BY_TOKEN <= set(RIGHTS)
