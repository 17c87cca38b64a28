"""One door for every message of a negotiation that another member's node sends: by its type, to the side it is for.

The carrier has authenticated ``sender``, the member in whose name the message was signed; nothing in a message can
speak for anybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lienthong.agreements import answer, ask, ending, payloads
from lienthong.agreements.document import Json
from lienthong.agreements.parties import Signers, UnknownNegotiation, signer_for
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection, negotiation_by_peer, negotiation_for_update
from lienthong.agreements.reading import parse_offer
from lienthong.directory.document import Snapshot
from lienthong.i18n import T


async def receive_message(
    db: Connection,
    snapshot: Snapshot,
    payload: Mapping[str, object],
    *,
    sender: str,
    signers: Signers,
    now: datetime,
) -> dict[str, Json]:
    """The answer to any message of a negotiation; the caller commits when this returns and rolls back when it raises.

    Answers: to a request an acknowledgement, to an agreement its verification, to a verification the word FINALIZED,
    to a notice and to everything final an acknowledgement.
    """
    match payloads.kind_of(payload):
        case payloads.REQUEST:
            signer_for(signers, parse_offer(payloads.object_of(payload, "offer")[1]).provider)
            return await answer.receive_request(db, snapshot, payload, sender=sender, now=now)
        case payloads.AGREEMENT:
            return await ask.receive_agreement(db, snapshot, payload, sender=sender, signers=signers, now=now)
        case payloads.VERIFICATION:
            final = await answer.receive_verification(db, snapshot, payload, sender=sender, now=now)
            return final.payload
        case payloads.EVENT:
            return await ask.receive_finalized(db, payload, sender=sender, now=now)
        case payloads.TERMINATION:
            return await _receive_termination(db, payload, sender=sender, now=now)
        case payloads.NOTICE:
            return await ending.receive_notice(db, snapshot, payload, sender=sender, now=now)
        case unknown:
            raise payloads.NegotiationMessage(T("No message of a negotiation is called {type}."), type=unknown[:100])


async def receive_answer(
    db: Connection,
    snapshot: Snapshot,
    sent: Outgoing,
    payload: Mapping[str, object],
    *,
    now: datetime,
) -> Outgoing | None:
    """Take the answer the other node gave to ``sent``; the next message to carry, if there is one."""
    match payloads.kind_of(payload):
        case payloads.ACK:
            if sent.payload["@type"] == payloads.REQUEST:
                await ask.receive_acknowledgement(db, payload, sender=sent.receiver, now=now)
            return None
        case payloads.VERIFICATION:
            return await answer.receive_verification(db, snapshot, payload, sender=sent.receiver, now=now)
        case _:
            return None


async def _receive_termination(
    db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime
) -> dict[str, Json]:
    """A refusal when we asked, a withdrawal when we were asked: told apart by whose negotiation it is."""
    pid = payloads.pid_of(payload, "consumerPid")
    ours = await negotiation_for_update(db, pid)
    if ours is not None and ours.side == "consumer" and ours.provider == sender:
        return await ask.receive_refusal(db, payload, sender=sender, now=now)
    if await negotiation_by_peer(db, "provider", pid) is not None:
        return await answer.receive_withdrawal(db, payload, sender=sender, now=now)
    raise UnknownNegotiation(T("There is no negotiation {pid} with you."), pid=pid)
