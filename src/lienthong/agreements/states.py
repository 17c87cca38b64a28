"""The states of a negotiation as one table: which message may be sent by whom in which state, and where it leads.

Pure.  The Dataspace Protocol's states and messages; termination is taken from either side in every state that is not
final (its diagram and its prose disagree, its prose allows it).  Source: DSP 2025-1, contract negotiation protocol.
"""

from __future__ import annotations

from typing import Final, Literal, get_args

from lienthong.errors import Problem
from lienthong.i18n import T

State = Literal["REQUESTED", "OFFERED", "ACCEPTED", "AGREED", "VERIFIED", "FINALIZED", "TERMINATED"]
Message = Literal["request", "offer", "accept", "agreement", "verification", "finalize", "terminate"]
Party = Literal["consumer", "provider"]

STATES: Final[tuple[State, ...]] = get_args(State)
MESSAGES: Final[tuple[Message, ...]] = get_args(Message)
PARTIES: Final[tuple[Party, ...]] = get_args(Party)

FINAL: Final[frozenset[State]] = frozenset({"FINALIZED", "TERMINATED"})

_OPEN: Final[tuple[State, ...]] = tuple(state for state in STATES if state not in FINAL)
_Move = tuple[State | None, Message, Party]
_TERMINATIONS: Final[dict[_Move, State]] = {
    (state, "terminate", party): "TERMINATED" for state in _OPEN for party in PARTIES
}
_MOVES: Final[dict[_Move, State]] = {
    (None, "request", "consumer"): "REQUESTED",
    (None, "offer", "provider"): "OFFERED",
    ("REQUESTED", "offer", "provider"): "OFFERED",
    ("REQUESTED", "agreement", "provider"): "AGREED",
    ("OFFERED", "request", "consumer"): "REQUESTED",
    ("OFFERED", "accept", "consumer"): "ACCEPTED",
    ("ACCEPTED", "agreement", "provider"): "AGREED",
    ("AGREED", "verification", "consumer"): "VERIFIED",
    ("VERIFIED", "finalize", "provider"): "FINALIZED",
    **_TERMINATIONS,
}


class NegotiationState(Problem):
    """The message may not be sent in this state, or not by this side."""

    kind = "negotiation-state"
    status = 400
    side = "caller"
    title = T("Not possible in this state of the negotiation")


def move(state: State | None, message: Message, sender: Party) -> State:
    """The state after ``sender`` sent ``message`` in ``state`` (None before the first).  Raises NegotiationState."""
    after = _MOVES.get((state, message, sender))
    if after is None:
        raise NegotiationState(
            T("In state {state}, the {sender} can not send {sent}."), state=state or "-", sender=sender, sent=message
        )
    return after
