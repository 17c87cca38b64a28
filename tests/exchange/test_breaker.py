"""A side that failed repeatedly is left alone, then tried by one call, then trusted again."""

from __future__ import annotations

import asyncio

import pytest

from lienthong.errors import Problem
from lienthong.exchange.answer import PeerTimeout, PeerUnreachable
from lienthong.exchange.breaker import FAILURES, FIRST_PAUSE_S, LONGEST_PAUSE_S, Breaker, LeftAlone


class Clock:
    now = 100.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker(clock=clock)


def call(breaker: Breaker, failure: BaseException | None = None, key: str = "peer") -> None:
    with breaker.watching(key, key):
        if failure is not None:
            raise failure


def fail(breaker: Breaker, times: int, key: str = "peer") -> None:
    for turn in range(times):
        with pytest.raises(Problem, match="away"):
            call(breaker, (PeerTimeout if turn % 2 else PeerUnreachable)("away"), key)


def test_after_so_many_failures_in_a_row_nobody_is_sent_there_and_all_are_told_when_to_come(breaker, clock):
    fail(breaker, FAILURES)

    with pytest.raises(LeftAlone) as refused:
        call(breaker)

    assert (refused.value.kind, refused.value.status) == ("left-alone", 503)
    assert refused.value.facts["retry_after_s"] == FIRST_PAUSE_S
    call(breaker, key="another peer")


def test_a_success_or_any_answer_between_forgives_the_failures(breaker):
    fail(breaker, FAILURES - 1)
    with pytest.raises(Problem, match="not found"):
        call(breaker, Problem("not found"))
    fail(breaker, FAILURES - 1)
    call(breaker)
    fail(breaker, FAILURES - 1)

    call(breaker)


def test_one_call_tries_and_the_others_wait_for_what_it_finds(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += FIRST_PAUSE_S

    with breaker.watching("peer", "peer"):
        assert breaker.is_open("peer")
        with pytest.raises(LeftAlone):
            call(breaker)

    assert not breaker.is_open("peer")
    call(breaker)


def test_each_failed_try_doubles_the_pause_up_to_a_minute(breaker, clock):
    fail(breaker, FAILURES)
    pauses = []
    for _ in range(7):
        with pytest.raises(LeftAlone) as refused:
            call(breaker)
        pauses.append(refused.value.facts["retry_after_s"])
        clock.now += pauses[-1]
        fail(breaker, 1)

    assert pauses == [2, 4, 8, 16, 32, LONGEST_PAUSE_S, LONGEST_PAUSE_S]


def test_a_caller_that_gives_up_a_try_leaves_it_to_the_next(breaker, clock):
    fail(breaker, FAILURES)
    clock.now += FIRST_PAUSE_S
    with pytest.raises(asyncio.CancelledError):
        call(breaker, asyncio.CancelledError())

    call(breaker)

    assert not breaker.is_open("peer")
