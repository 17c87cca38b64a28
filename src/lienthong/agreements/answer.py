"""The provider's side of a negotiation: receive a request, approve or refuse it, take the countersignature.

Promise: a refusal without a reason and the legal provision it rests on can not be expressed (R-36), neither here nor
in the database.  Verbs take the caller's transaction, as in ``ask``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from lienthong.agreements import payloads, queries
from lienthong.agreements.document import Json, write_agreement
from lienthong.agreements.keeping import PredecessorMismatch, keep_agreement
from lienthong.agreements.models import Terms, TermsRefused
from lienthong.agreements.parties import UnknownNegotiation, check_sender, check_terms
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement, parse_offer, read_canonical
from lienthong.agreements.records import CurrentAgreement, Negotiation
from lienthong.agreements.signing import MemberSigner, check_signature
from lienthong.agreements.states import NegotiationState, move
from lienthong.agreements.succession import check_takeover
from lienthong.directory.document import Snapshot
from lienthong.errors import Problem
from lienthong.i18n import T


class RefusalIncomplete(Problem):
    """A refusal needs both the reason and the legal provision that restricts sharing."""

    kind = "refusal-incomplete"
    status = 422
    side = "caller"
    title = T("A refusal needs its reason and the legal provision")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is refused: the reason in words, and the provision of law that restricts sharing (R-36)."""

    reason: str
    provision: str

    def __post_init__(self) -> None:
        if not self.reason.strip() or not self.provision.strip():
            raise RefusalIncomplete(
                T("A refusal names its reason and the legal provision it rests on."),
                mend=T("Give both, or approve the request."),
            )


async def receive_request(
    db: Connection, snapshot: Snapshot, payload: Mapping[str, object], *, sender: str, now: datetime
) -> dict[str, Json]:
    """Take a request of ``sender`` (the authenticated member) for one of our targets; the acknowledgement.

    Raises NotAParty, NegotiationMessage, TermsRefused, PredecessorMismatch, what reading an offer and ``check_terms``
    raise.  The caller has seen that this node acts for the provider.
    """
    consumer_pid = payloads.pid_of(payload, "consumerPid")
    offer_bytes, offer = payloads.object_of(payload, "offer")
    terms = parse_offer(offer)
    check_sender(sender, terms.consumer)
    known = await queries.negotiation_by_peer(db, "provider", consumer_pid)
    if known is not None:
        if known.consumer != sender or known.offer != offer_bytes:
            raise NegotiationState(T("The id {pid} already stands for another request."), pid=consumer_pid)
        return payloads.acknowledgement(known)
    _check_requested(terms, now)
    check_terms(snapshot, terms, now)
    await check_takeover(db, snapshot, terms, now)
    predecessor = None
    if payloads.v.PREDECESSOR in payload:
        predecessor = payloads.text_of(payload, payloads.v.PREDECESSOR)
        await _replaced(db, terms, predecessor)
    negotiation = Negotiation(
        pid=payloads.new_pid(),
        peer_pid=consumer_pid,
        side="provider",
        state=move(None, "request", "consumer"),
        provider=terms.provider,
        consumer=terms.consumer,
        target=terms.target,
        offer=offer_bytes,
        predecessor=predecessor,
        note=payloads.text_of(payload, payloads.NOTE) if payloads.NOTE in payload else "",
        requested_at=now,
        changed_at=now,
        delivered=True,
    )
    await queries.insert_negotiation(db, negotiation)
    return payloads.acknowledgement(negotiation)


async def approve_request(db: Connection, snapshot: Snapshot, signer: MemberSigner, pid: str, *, now: datetime
                          ) -> Outgoing:  # fmt: skip
    """Sign what was asked for; its answer goes to ``receive_verification``.  Approving twice sends the same again."""
    negotiation = await _own(db, pid)
    check_sender(signer.member, negotiation.provider)
    if negotiation.state == "AGREED":
        return Outgoing(negotiation.provider, negotiation.consumer, payloads.agreement_message(negotiation))
    state = move(negotiation.state, "agreement", "provider")
    terms = parse_offer(read_canonical(negotiation.offer))
    _check_requested(terms, now)
    check_terms(snapshot, terms, now)
    await check_takeover(db, snapshot, terms, now)
    replaced = None if negotiation.predecessor is None else await _replaced(db, terms, negotiation.predecessor)
    document = write_agreement(
        terms,
        agreement_id=payloads.new_pid() if replaced is None else replaced.id,
        timestamp=now,
        version=1 if replaced is None else replaced.version + 1,
        predecessor=negotiation.predecessor,
    )
    signature = signer.sign(document)
    check_signature(snapshot, document, signature, negotiation.provider, now)
    agreed = replace(
        negotiation, state=state, document=document, provider_jws=signature, changed_at=now, delivered=False
    )
    await queries.update_negotiation(db, agreed)
    return Outgoing(negotiation.provider, negotiation.consumer, payloads.agreement_message(agreed))


async def refuse_request(db: Connection, pid: str, refusal: Refusal, *, now: datetime) -> Outgoing:
    """Refuse a request, with the reason and the legal provision."""
    negotiation = await _own(db, pid)
    refused = replace(
        negotiation,
        state=move(negotiation.state, "terminate", "provider"),
        ended_by="provider",
        reason=refusal.reason,
        provision=refusal.provision,
        changed_at=now,
        delivered=False,
    )
    await queries.update_negotiation(db, refused)
    return Outgoing(negotiation.provider, negotiation.consumer, payloads.termination_message(refused))


async def receive_verification(
    db: Connection, snapshot: Snapshot, payload: Mapping[str, object], *, sender: str, now: datetime
) -> Outgoing:
    """Check the consumer's countersignature and let the agreement count; the word to send to the consumer.

    Raises AgreementAltered, WrongSigner, NegotiationState, PredecessorMismatch.
    """
    negotiation = await _theirs(db, payload, sender)
    signature = payloads.text_of(payload, payloads.SIGNATURE)
    if negotiation.state != "FINALIZED":
        verified = move(negotiation.state, "verification", "consumer")
        state = move(verified, "finalize", "provider")
        final = replace(negotiation, state=state, consumer_jws=signature, changed_at=now, delivered=False)
        if final.document is None or final.provider_jws is None:
            raise _unknown(negotiation.pid)
        check_signature(snapshot, final.document, signature, final.consumer, now)
        agreement = parse_agreement(final.document)
        await keep_agreement(db, agreement, provider_jws=final.provider_jws, consumer_jws=signature, now=now)
        await queries.update_negotiation(db, final)
        negotiation = final
    return Outgoing(negotiation.provider, negotiation.consumer, payloads.finalized_message(negotiation))


async def receive_withdrawal(db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime
                             ) -> dict[str, Json]:  # fmt: skip
    """The consumer took its request back; the acknowledgement."""
    negotiation = await _theirs(db, payload, sender)
    if negotiation.state == "TERMINATED":
        return payloads.acknowledgement(negotiation)
    withdrawn = replace(
        negotiation,
        state=move(negotiation.state, "terminate", "consumer"),
        ended_by="consumer",
        reason=payloads.reason_of(payload),
        changed_at=now,
        delivered=True,
    )
    await queries.update_negotiation(db, withdrawn)
    return payloads.acknowledgement(withdrawn)


def _check_requested(terms: Terms, now: datetime) -> None:
    if terms.mode != "request":
        raise TermsRefused(T("{term}: only an agreement on request can be asked for."), term="mode")
    if all(permission.ends is not None and permission.ends <= now for permission in terms.permissions):
        raise TermsRefused(T("{term}: it is over before it begins."), term="dateTime")


async def _replaced(db: Connection, terms: Terms, predecessor: str) -> CurrentAgreement:
    """The current agreement with the digest ``predecessor``, between the same parties on the same target."""
    stored = await queries.stored_document(db, predecessor)
    current = None if stored is None else await queries.current_agreement(db, stored.agreement)
    parties = (terms.provider, terms.consumer, terms.target)
    if current is None or (current.provider, current.consumer, current.target, current.digest) != (
        *parties,
        predecessor,
    ):
        raise PredecessorMismatch(
            T("{predecessor} is no current agreement between these parties on this target."), predecessor=predecessor
        )
    return current


async def _own(db: Connection, pid: str) -> Negotiation:
    negotiation = await queries.negotiation_for_update(db, pid)
    if negotiation is None or negotiation.side != "provider":
        raise _unknown(pid)
    return negotiation


async def _theirs(db: Connection, payload: Mapping[str, object], sender: str) -> Negotiation:
    """The provider's negotiation a message from the consumer is about."""
    consumer_pid = payloads.pid_of(payload, "consumerPid")
    negotiation = await queries.negotiation_by_peer(db, "provider", consumer_pid)
    # A withdrawal may come before the acknowledgement arrived, hence without our id.
    pid = payload.get("providerPid")
    if negotiation is None or negotiation.consumer != sender or pid not in (negotiation.pid, ""):
        raise _unknown(consumer_pid)
    return negotiation


def _unknown(pid: str) -> UnknownNegotiation:
    return UnknownNegotiation(T("There is no negotiation {pid} with you."), pid=pid)
