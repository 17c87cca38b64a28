"""Equal refusals within a minute: the first is a record at once, the others are one record with their count."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from lienthong.access.models import Record, write_record
from lienthong.access.repeats import Repeats

AT = datetime(2026, 7, 1, 5, tzinfo=UTC)


def a_refusal(**changes: Any) -> Record:
    base = Record(
        side="provider", exchange_id="x-1", at=AT, node="nut-g01", consumer="VN/GOV/H24/motcua", provider="VN/GOV/G01",
        resource="VN/GOV/G01/dancu/citizen", way="call", purpose="HP-01", ground=None, agreement=None,
        decision_digest=None, outcome="refused", reason="no-agreement", target_commitment="00", body_digest="sha-256:0",
        bytes=7, peer_record="00",
    )  # fmt: skip
    return replace(base, **changes)


def refuse(repeats: Repeats, record: Record, named: str, now: float) -> str:
    """As a node does: count it, or write it."""
    known = repeats.counted(record, now)
    if known is None:
        repeats.wrote(record, named, now)
    return known or named


def test_the_first_is_written_and_equal_ones_name_it():
    repeats = Repeats()

    named = [refuse(repeats, a_refusal(exchange_id=f"x-{n}"), f"hash-{n}", now=n) for n in range(5)]

    assert named == ["hash-0"] * 5


def test_when_the_minute_ends_one_record_says_how_many_there_were():
    repeats = Repeats()
    for n in range(5):
        refuse(repeats, a_refusal(exchange_id=f"x-{n}"), f"hash-{n}", now=n)

    assert repeats.due(59.9) == []
    (count,) = repeats.due(60.0)

    assert (count.reason, count.outcome, count.exchange_id) == ("no-agreement;repeated=4", "refused", "x-4")
    assert (count.target_commitment, count.body_digest, count.bytes, count.peer_record) == (None, None, None, None)
    assert orjson.loads(write_record(count))["reason"] == "no-agreement;repeated=4"
    assert repeats.due(1_000.0) == []


def test_after_the_minute_the_next_is_written_again():
    repeats = Repeats()
    refuse(repeats, a_refusal(), "first", 0.0)
    refuse(repeats, a_refusal(), "second", 59.9)
    repeats.due(60.0)

    assert refuse(repeats, a_refusal(), "third", 60.0) == "third"
    assert refuse(repeats, a_refusal(), "fourth", 61.0) == "third"


def test_a_window_that_ended_counts_no_more_even_before_it_is_closed():
    repeats = Repeats()
    refuse(repeats, a_refusal(), "first", 0.0)

    refuse(repeats, a_refusal(), "counted", 1.0)
    assert refuse(repeats, a_refusal(), "second", 60.0) == "second"
    assert [count.reason for count in repeats.due(61.0)] == ["no-agreement;repeated=1"]


def test_a_refusal_that_did_not_repeat_leaves_no_second_record():
    repeats = Repeats()
    refuse(repeats, a_refusal(), "first", 0.0)

    assert repeats.due(60.0) == []
    assert repeats.rest() == []


@pytest.mark.parametrize(
    "change",
    [
        {"side": "consumer"},
        {"consumer": "VN/GOV/H24/datdai"},
        {"resource": "VN/GOV/G01/dancu/other"},
        {"reason": "agreement-ended"},
        {"purpose": None},
    ],
)
def test_only_equal_refusals_are_counted_together(change: dict[str, Any]):
    repeats = Repeats()
    refuse(repeats, a_refusal(), "first", 0.0)

    assert refuse(repeats, a_refusal(**change), "other", 1.0) == "other"
    assert repeats.rest() == []


@pytest.mark.parametrize("outcome", ["permitted", "failed"])
def test_what_was_not_refused_is_never_counted(outcome: Any):
    repeats = Repeats()
    for number in range(3):
        assert refuse(repeats, a_refusal(outcome=outcome), f"hash-{number}", 0.0) == f"hash-{number}"

    assert repeats.rest() == []


def test_at_the_end_what_was_counted_is_handed_over():
    repeats = Repeats()
    for _ in range(3):
        refuse(repeats, a_refusal(), "first", 0.0)

    (count,) = repeats.rest()

    assert count.reason == "no-agreement;repeated=2"
    assert repeats.rest() == []


def test_memory_stays_bounded_and_nothing_goes_unrecorded():
    repeats = Repeats(most_windows=2)
    names = [refuse(repeats, a_refusal(resource=f"r-{n}"), f"hash-{n}", 0.0) for n in range(4)]
    again = [refuse(repeats, a_refusal(resource=f"r-{n}"), f"again-{n}", 1.0) for n in range(4)]

    assert names == ["hash-0", "hash-1", "hash-2", "hash-3"]
    assert again == ["hash-0", "hash-1", "again-2", "again-3"]
