"""One door for every message of a negotiation that another member's node sends: by its type, to the side it is for.

The carrier has authenticated ``sender``, the member in whose name the message was signed; nothing in a message can
speak for anybody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime

from lienthong.agreements import answer, ask, ending, payloads, queries
from lienthong.agreements.document import Json, sha256_text
from lienthong.agreements.parties import Signers, UnknownNegotiation, signer_for
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_offer
from lienthong.agreements.records import Negotiation
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
    answered = payloads.kind_of(payload)
    match payloads.kind_of(sent.payload), answered:
        case payloads.REQUEST, payloads.ACK:
            await ask.receive_acknowledgement(db, payload, sender=sent.receiver, now=now)
        case payloads.AGREEMENT, payloads.VERIFICATION:
            return await answer.receive_verification(db, snapshot, payload, sender=sent.receiver, now=now)
        case payloads.VERIFICATION, payloads.EVENT:
            await ask.receive_finalized(db, payload, sender=sent.receiver, now=now)
        case (payloads.EVENT, payloads.ACK) | (payloads.TERMINATION, payloads.ACK):
            await _mark_delivered(db, sent)
        case payloads.NOTICE, payloads.NOTICE_ACK:
            await queries.mark_notice_delivered(db, sha256_text(payloads.object_of(sent.payload, "notice")[0]))
        case _:
            raise payloads.NegotiationMessage(T("No message of a negotiation is called {type}."), type=answered[:100])
    return None


async def unanswered(db: Connection) -> list[Outgoing]:
    """Messages of ours that found no answer yet, to be carried again; every receiver takes a repeat as the same."""
    waiting = [
        Outgoing(*_from_to(negotiation), payloads.last_message(negotiation))
        for negotiation in await queries.undelivered_negotiations(db)
    ]
    for notice in await queries.undelivered_notices(db):
        current = await queries.current_agreement(db, notice.agreement)
        if current is not None and current.digest == notice.ends:
            waiting.append(ending.notice_message(notice, current))
    return waiting


def _from_to(negotiation: Negotiation) -> tuple[str, str]:
    if negotiation.side == "consumer":
        return negotiation.consumer, negotiation.provider
    return negotiation.provider, negotiation.consumer


async def _mark_delivered(db: Connection, sent: Outgoing) -> None:
    for name in ("consumerPid", "providerPid"):
        negotiation = await queries.negotiation_for_update(db, str(sent.payload.get(name)))
        if negotiation is not None and _from_to(negotiation) == (sent.sender, sent.receiver):
            await queries.mark_delivered(db, negotiation.pid)


async def _receive_termination(
    db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime
) -> dict[str, Json]:
    """A refusal when we asked, a withdrawal when we were asked: told apart by whose negotiation it is."""
    pid = payloads.pid_of(payload, "consumerPid")
    ours = await queries.negotiation_for_update(db, pid)
    if ours is not None and ours.side == "consumer" and ours.provider == sender:
        return await ask.receive_refusal(db, payload, sender=sender, now=now)
    if await queries.negotiation_by_peer(db, "provider", pid) is not None:
        return await answer.receive_withdrawal(db, payload, sender=sender, now=now)
    raise UnknownNegotiation(T("There is no negotiation {pid} with you."), pid=pid)
