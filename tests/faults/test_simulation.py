"""The exchange under a simulated clock, network, disk and crashes: a thousand seeds, and each planted mistake is found.

A seed that fails is printed; ``LIENTHONG_SEED=<n>`` plays it alone, ``LIENTHONG_SEEDS=<n>`` plays more of them.
"""

from __future__ import annotations

import os
from collections import Counter

import pytest

from tests.faults.simulated.planted import PLANTED, planted
from tests.faults.simulated.run import play

pytestmark = pytest.mark.faults

SEEDS = int(os.environ.get("LIENTHONG_SEEDS", "1000"))
ALONE = os.environ.get("LIENTHONG_SEED")
WITHIN = 200
"""Seeds within which a planted mistake must show."""


def test_no_seed_breaks_a_promise_of_the_exchange() -> None:
    """Durable before released, nothing acknowledged lost, each nonce once, one growing log, records that match."""
    acknowledged, refused = 0, Counter[str]()
    for seed in [int(ALONE)] if ALONE else range(SEEDS):
        history = play(seed)
        assert not history.broken, f"LIENTHONG_SEED={seed}: {history.broken}"
        acknowledged += len(history.acknowledged)
        refused.update(history.refused)
    if not ALONE:
        # The weather is bad enough to meet every way out, and good enough that most uses come through.
        assert acknowledged > SEEDS * 3
        assert {"no-record", "replay-check-down", "maybe-replayed", "peer-timeout", "answer-not-proven"} <= set(refused)


@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_mistake_is_found(name: str) -> None:
    with planted(name):
        assert any(play(seed).broken for seed in range(WITHIN)), f"{name}: not found within {WITHIN} seeds"


def test_a_seed_plays_the_same_each_time() -> None:
    first, second = play(7), play(7)

    assert len(first.acknowledged) == len(second.acknowledged)
    assert first.refused == second.refused
