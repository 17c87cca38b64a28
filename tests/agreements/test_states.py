"""The table of states: what DSP 2025-1 allows, and nothing else."""

from __future__ import annotations

import itertools

import pytest

from lienthong.agreements.states import FINAL, MESSAGES, PARTIES, STATES, Message, NegotiationState, Party, State, move

# Typed from the protocol's transition diagram, not from our table.
ALLOWED = {
    (None, "request", "consumer"): "REQUESTED",
    (None, "offer", "provider"): "OFFERED",
    ("REQUESTED", "offer", "provider"): "OFFERED",
    ("REQUESTED", "agreement", "provider"): "AGREED",
    ("REQUESTED", "terminate", "consumer"): "TERMINATED",
    ("REQUESTED", "terminate", "provider"): "TERMINATED",
    ("OFFERED", "request", "consumer"): "REQUESTED",
    ("OFFERED", "accept", "consumer"): "ACCEPTED",
    ("OFFERED", "terminate", "consumer"): "TERMINATED",
    ("OFFERED", "terminate", "provider"): "TERMINATED",
    ("ACCEPTED", "agreement", "provider"): "AGREED",
    ("ACCEPTED", "terminate", "consumer"): "TERMINATED",
    ("ACCEPTED", "terminate", "provider"): "TERMINATED",
    ("AGREED", "verification", "consumer"): "VERIFIED",
    ("AGREED", "terminate", "consumer"): "TERMINATED",
    ("AGREED", "terminate", "provider"): "TERMINATED",
    ("VERIFIED", "finalize", "provider"): "FINALIZED",
    ("VERIFIED", "terminate", "consumer"): "TERMINATED",
    ("VERIFIED", "terminate", "provider"): "TERMINATED",
}


@pytest.mark.parametrize(("state", "message", "sender"), list(itertools.product((None, *STATES), MESSAGES, PARTIES)))
def test_a_message_leads_where_the_protocol_says(state: State | None, message: Message, sender: Party) -> None:
    expected = ALLOWED.get((state, message, sender))

    if expected is None:
        with pytest.raises(NegotiationState):
            move(state, message, sender)
    else:
        assert move(state, message, sender) == expected


def test_final_is_final() -> None:
    assert {"FINALIZED", "TERMINATED"} == FINAL
    assert not any(state in FINAL for state, _, _ in ALLOWED)
