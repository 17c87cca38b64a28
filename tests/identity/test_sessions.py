"""Sessions, sign-in with limits, tokens."""

from __future__ import annotations

from datetime import timedelta

import pytest

from lienthong.identity.models import Assurance, Right, Role
from lienthong.identity.passwords import digest
from lienthong.identity.rights import may
from lienthong.identity.sessions.keep import (
    IDLE,
    LONGEST,
    actor_of_session,
    actor_of_token,
    forget_the_past,
    living_sessions,
    open_session,
)
from lienthong.identity.sessions.queries import end_sessions_of
from lienthong.identity.signin import BOTH, WINDOW, SignInRefused, TooManyAttempts, check_password
from lienthong.identity.tokens import BadToken, make_token, withdraw
from tests.identity.build import ADDRESS, KEY, NOW, PASSWORD, a_person, acting


async def test_a_session_says_who_it_is_and_only_its_hash_is_kept(db):
    person = await a_person(db, "hoa", Role.OPERATOR)

    secret, session = await open_session(db, person.id, Assurance.TWO_FACTORS, NOW)
    actor = await actor_of_session(db, secret, NOW)

    assert actor is not None
    assert (actor.person, actor.member, actor.roles, actor.assurance, actor.session) == (
        person.id, person.member, {Role.OPERATOR}, Assurance.TWO_FACTORS, session.id,
    )  # fmt: skip
    rows = await (await db.execute("SELECT session::text FROM session")).fetchall()
    assert secret not in str(rows)
    assert digest(secret).hex() in str(rows)
    assert await actor_of_session(db, session.id, NOW) is None


async def test_a_session_ends_when_idle_and_at_the_latest(db):
    person = await a_person(db, "hoa")
    secret = (await open_session(db, person.id, Assurance.ONE_FACTOR, NOW))[0]
    minute = timedelta(minutes=1)

    moment = NOW
    while moment < NOW + LONGEST - IDLE:
        moment += IDLE - minute
        assert await actor_of_session(db, secret, moment), moment
    assert await actor_of_session(db, secret, NOW + LONGEST) is None
    other = (await open_session(db, person.id, Assurance.ONE_FACTOR, NOW))[0]
    assert await actor_of_session(db, other, NOW + IDLE) is None
    await forget_the_past(db, NOW + LONGEST + minute)
    assert await living_sessions(db, person.id, NOW) == []


async def test_signing_in_again_ends_the_session_the_browser_brought(db):
    person = await a_person(db, "hoa")
    first = (await open_session(db, person.id, Assurance.ONE_FACTOR, NOW))[0]

    second = (await open_session(db, person.id, Assurance.ONE_FACTOR, NOW, instead_of=first))[0]

    assert second != first
    assert await actor_of_session(db, first, NOW) is None


async def test_one_can_sign_out_everywhere_else(db):
    person = await a_person(db, "hoa")
    here, session = await open_session(db, person.id, Assurance.ONE_FACTOR, NOW)
    there = (await open_session(db, person.id, Assurance.ONE_FACTOR, NOW))[0]

    assert await end_sessions_of(db, person.id, but=session.id) == 1
    assert await actor_of_session(db, here, NOW)
    assert await actor_of_session(db, there, NOW) is None


async def _try(db, login: str, password: str, *, address: str = ADDRESS, now=NOW):
    return await check_password(db, login, password, address=address, key=KEY, now=now)


async def test_login_and_password_let_in_whatever_the_case_of_the_login(db):
    person = await a_person(db, "hoa.tran", password=PASSWORD)

    assert (await _try(db, " Hoa.TRAN ", PASSWORD)).id == person.id


async def test_a_refusal_does_not_say_what_was_wrong(db):
    await a_person(db, "hoa", password=PASSWORD)
    await a_person(db, "moi")

    told = []
    for login, password in (("hoa", "sai mật khẩu rồi"), ("khong-co", PASSWORD), ("moi", PASSWORD)):
        with pytest.raises(SignInRefused) as refused:
            await _try(db, login, password)
        told.append(refused.value.as_dict())

    assert told[0] == told[1] == told[2]


async def test_after_five_failures_even_the_right_password_waits(db):
    await a_person(db, "hoa", password=PASSWORD)
    for _ in range(BOTH):
        with pytest.raises(SignInRefused):
            await _try(db, "hoa", "sai")

    with pytest.raises(TooManyAttempts) as limited:
        await _try(db, "hoa", PASSWORD)

    assert limited.value.facts["retry_after_s"] == WINDOW.total_seconds()
    assert await _try(db, "hoa", PASSWORD, address="203.0.113.9"), "somebody elsewhere must not be locked out"
    assert await _try(db, "hoa", PASSWORD, now=NOW + WINDOW)
    kept = str(await (await db.execute("SELECT key::text FROM sign_in_failure")).fetchall())
    assert "hoa" not in kept
    assert ADDRESS not in kept


async def test_a_token_is_shown_once_and_carries_its_scopes_until_it_is_withdrawn(db):
    person = await a_person(db, "hoa", Role.INTEGRATOR)
    secret, token = await make_token(db, person, "máy của tôi", ["see-calls"], 30, by=acting(person), now=NOW)

    actor = await actor_of_token(db, secret, NOW)

    assert actor is not None
    assert may(actor, Right.SEE_CALLS, person.member)
    assert not may(actor, Right.ASK_ACCESS, person.member)
    assert actor.session is None
    assert secret not in str(await (await db.execute("SELECT api_token::text FROM api_token")).fetchall())
    assert await actor_of_token(db, secret, NOW + timedelta(days=31)) is None
    other = await a_person(db, "nam", Role.INTEGRATOR)
    assert not await withdraw(db, other.id, token.id, by=None, now=NOW)
    assert await withdraw(db, person.id, token.id, by=None, now=NOW)
    assert await actor_of_token(db, secret, NOW) is None


@pytest.mark.parametrize(("scopes", "days"), [([], 30), (["publish"], 30), (["nonsense"], 30), (["see-calls"], 400)])
async def test_a_token_beyond_the_persons_rights_is_not_made(db, scopes: list[str], days: int):
    person = await a_person(db, "hoa", Role.INTEGRATOR)

    with pytest.raises(BadToken):
        await make_token(db, person, "x", scopes, days, by=None, now=NOW)


async def test_no_token_gives_the_second_persons_word(db):
    person = await a_person(db, "hoa", Role.OPERATOR)

    with pytest.raises(BadToken):
        await make_token(db, person, "x", ["approve-trust"], 30, by=None, now=NOW)
