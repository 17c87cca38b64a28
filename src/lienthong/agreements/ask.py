"""The consumer's side of a negotiation: ask, check what comes back against what was asked, countersign, keep.

Every verb takes the caller's transaction; a verb that raises has changed nothing once the caller rolls back, and a
message that arrives twice is answered the same way twice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from lienthong.agreements import payloads, queries
from lienthong.agreements.document import Json, canonical, terms_digest, write_offer
from lienthong.agreements.keeping import PredecessorMismatch, check_succession, keep_agreement
from lienthong.agreements.models import Agreement, Terms
from lienthong.agreements.parties import Signers, UnknownNegotiation, check_terms, signer_for
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement, parse_offer, read_canonical
from lienthong.agreements.records import Negotiation
from lienthong.agreements.signing import CLOCK_SKEW, WrongSigner, check_signature
from lienthong.agreements.states import move
from lienthong.agreements.succession import check_takeover
from lienthong.directory.document import Snapshot
from lienthong.errors import Problem
from lienthong.i18n import T

SIGNED_WITHIN: Final = timedelta(days=7)
"""How long after its provider signed it an agreement may still be countersigned."""


class AgreementDiffers(Problem):
    """What the provider signed is not what the consumer asked for."""

    kind = "agreement-differs"
    status = 409
    side = "caller"
    title = T("The agreement is not the one asked for")


async def request_agreement(
    db: Connection, snapshot: Snapshot, terms: Terms, *, note: str, now: datetime, replaces: str | None = None
) -> Outgoing:
    """Ask the provider for ``terms``; the answer to the message goes to ``receive_acknowledgement``.

    ``note`` says in words why; ``replaces`` is the id of a current agreement whose next version is asked for.
    Raises what ``check_terms`` raises, and PredecessorMismatch.
    """
    check_terms(snapshot, terms, now)
    await check_takeover(db, snapshot, terms, now)
    predecessor = await _predecessor(db, terms, replaces)
    offer = write_offer(terms, offer_id=payloads.new_pid())
    negotiation = Negotiation(
        pid=payloads.new_pid(),
        peer_pid=None,
        side="consumer",
        state=move(None, "request", "consumer"),
        provider=terms.provider,
        consumer=terms.consumer,
        target=terms.target,
        offer=canonical(offer),
        predecessor=predecessor,
        note=note,
        requested_at=now,
        changed_at=now,
        delivered=False,
    )
    await queries.insert_negotiation(db, negotiation)
    return Outgoing(negotiation.consumer, negotiation.provider, payloads.request_message(negotiation))


async def receive_acknowledgement(db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime) -> None:
    """Note the id the provider gave to the negotiation."""
    negotiation = await _own(db, payload, sender)
    peer_pid = payloads.pid_of(payload, "providerPid")
    if negotiation.peer_pid is None:
        known = replace(negotiation, peer_pid=peer_pid, changed_at=now, delivered=True)
        await queries.update_negotiation(db, known)


async def receive_agreement(
    db: Connection, snapshot: Snapshot, payload: Mapping[str, object], *, sender: str, signers: Signers, now: datetime
) -> dict[str, Json]:
    """Check the provider's signed agreement against the request and countersign it; the verification to answer with.

    Raises AgreementDiffers, AgreementAltered, WrongSigner, PredecessorMismatch, NegotiationState and what reading an
    agreement raises; nothing is signed then.
    """
    negotiation = await _own(db, payload, sender)
    document, _ = payloads.object_of(payload, "agreement")
    provider_jws = payloads.text_of(payload, payloads.SIGNATURE)
    if negotiation.document == document and negotiation.consumer_jws is not None:
        return payloads.verification_message(negotiation)
    agreed = move(negotiation.state, "agreement", "provider")
    agreement = parse_agreement(document)
    await _check_answer(db, snapshot, negotiation, agreement, provider_jws, now)
    signer = signer_for(signers, negotiation.consumer)
    signed = replace(
        negotiation,
        peer_pid=payloads.pid_of(payload, "providerPid"),
        state=move(agreed, "verification", "consumer"),
        document=document,
        provider_jws=provider_jws,
        consumer_jws=signer.sign(document),
        changed_at=now,
        delivered=False,
    )
    await queries.update_negotiation(db, signed)
    return payloads.verification_message(signed)


async def receive_finalized(db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime
                            ) -> dict[str, Json]:  # fmt: skip
    """The provider stored both signatures: the agreement counts from now on; the acknowledgement to answer with."""
    negotiation = await _own(db, payload, sender)
    if payloads.text_of(payload, "eventType") != "FINALIZED":
        raise payloads.NegotiationMessage(
            T("{member} is missing from the message or has the wrong shape."), member="eventType"
        )
    if negotiation.state == "FINALIZED":
        return payloads.acknowledgement(negotiation)
    state = move(negotiation.state, "finalize", "provider")
    final = replace(negotiation, state=state, changed_at=now, delivered=True)
    if final.document is None or final.provider_jws is None or final.consumer_jws is None:
        raise UnknownNegotiation(T("The negotiation holds no signed agreement."))
    await keep_agreement(
        db,
        parse_agreement(final.document),
        provider_jws=final.provider_jws,
        consumer_jws=final.consumer_jws,
        now=now,
    )
    await queries.update_negotiation(db, final)
    return payloads.acknowledgement(final)


async def receive_refusal(db: Connection, payload: Mapping[str, object], *, sender: str, now: datetime
                          ) -> dict[str, Json]:  # fmt: skip
    """The provider refused; its reason and legal provision are kept.  A refusal without both is itself refused."""
    negotiation = await _own(db, payload, sender)
    if negotiation.state == "TERMINATED":
        return payloads.acknowledgement(negotiation)
    refused = replace(
        negotiation,
        state=move(negotiation.state, "terminate", "provider"),
        ended_by="provider",
        reason=payloads.reason_of(payload),
        provision=payloads.text_of(payload, payloads.PROVISION),
        changed_at=now,
        delivered=True,
    )
    await queries.update_negotiation(db, refused)
    return payloads.acknowledgement(refused)


async def withdraw_request(db: Connection, pid: str, *, reason: str, now: datetime) -> Outgoing:
    """Take a request back before an agreement came of it."""
    negotiation = await queries.negotiation_for_update(db, pid)
    if negotiation is None or negotiation.side != "consumer":
        raise _unknown(pid)
    withdrawn = replace(
        negotiation,
        state=move(negotiation.state, "terminate", "consumer"),
        ended_by="consumer",
        reason=reason.strip() or "-",
        changed_at=now,
        # A provider that never acknowledged the request may not know it: it is told once and not again.
        delivered=negotiation.peer_pid is None,
    )
    await queries.update_negotiation(db, withdrawn)
    return Outgoing(negotiation.consumer, negotiation.provider, payloads.termination_message(withdrawn))


async def _check_answer(
    db: Connection,
    snapshot: Snapshot,
    negotiation: Negotiation,
    agreement: Agreement,
    provider_jws: str,
    now: datetime,
) -> None:
    wanted = parse_offer(read_canonical(negotiation.offer))
    check_signature(snapshot, agreement.document, provider_jws, negotiation.provider, agreement.timestamp)
    # A key revoked since then could sign today under an old date: it must also still be valid.
    check_signature(snapshot, agreement.document, provider_jws, negotiation.provider, now)
    if not now - SIGNED_WITHIN <= agreement.timestamp <= now + CLOCK_SKEW:
        raise WrongSigner(T("The agreement was signed at {signed}, too far from now."), signed=str(agreement.timestamp))
    if terms_digest(agreement.terms) != terms_digest(wanted) or agreement.predecessor != negotiation.predecessor:
        raise AgreementDiffers(
            T("What {provider} signed is not what was asked for; nothing was countersigned."),
            mend=T("Ask the provider to refuse with its reason, and ask again for what it can give."),
            provider=negotiation.provider,
        )
    check_terms(snapshot, agreement.terms, now)
    await check_takeover(db, snapshot, agreement.terms, now)
    await check_succession(db, agreement)


async def _predecessor(db: Connection, terms: Terms, replaces: str | None) -> str | None:
    if replaces is None:
        return None
    current = await queries.current_agreement(db, replaces)
    parties = (terms.provider, terms.consumer, terms.target)
    if current is None or (current.provider, current.consumer, current.target) != parties:
        raise PredecessorMismatch(
            T("{agreement} is no current agreement between these parties on this target."), agreement=replaces
        )
    return current.digest


async def _own(db: Connection, payload: Mapping[str, object], sender: str) -> Negotiation:
    """The consumer's negotiation a message from the provider is about."""
    pid = payloads.pid_of(payload, "consumerPid")
    negotiation = await queries.negotiation_for_update(db, pid)
    if negotiation is None or negotiation.side != "consumer" or negotiation.provider != sender:
        raise _unknown(pid)
    if negotiation.peer_pid not in (None, payloads.pid_of(payload, "providerPid")):
        raise _unknown(pid)
    return negotiation


def _unknown(pid: str) -> UnknownNegotiation:
    return UnknownNegotiation(T("There is no negotiation {pid} with you."), pid=pid)
