"""The messages of a negotiation as plain JSON objects, named as the Dataspace Protocol names them.

Pure.  An agreement travels as an object: its canonical form is the bytes that were signed, so nothing is lost, and
what does not canonicalise to the signed bytes fails its signature.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, cast

from lienthong.agreements import vocabulary as v
from lienthong.agreements.document import Json, canonical
from lienthong.agreements.reading import read_canonical
from lienthong.agreements.records import Negotiation
from lienthong.errors import Problem
from lienthong.i18n import T

REQUEST: Final = "ContractRequestMessage"
ACK: Final = "ContractNegotiation"
AGREEMENT: Final = "ContractAgreementMessage"
VERIFICATION: Final = "ContractAgreementVerificationMessage"
EVENT: Final = "ContractNegotiationEventMessage"
TERMINATION: Final = "ContractNegotiationTerminationMessage"
NOTICE: Final = v.LT + "TerminationNoticeMessage"
NOTICE_ACK: Final = v.LT + "TerminationNoticeAcknowledgement"

SIGNATURE: Final = v.LT + "signature"
NOTE: Final = v.LT + "note"
PROVISION: Final = v.LT + "legalProvision"

_PID: Final = re.compile(r"urn:uuid:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\Z")
_TEXT_LIMIT: Final = 4000


class NegotiationMessage(Problem):
    """A message without a member it must have, or of an unknown type."""

    kind = "negotiation-message"
    status = 400
    side = "caller"
    title = T("The negotiation message can not be read")


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be carried to the node that acts for ``receiver``, signed by ``sender``'s key on the way."""

    sender: str
    receiver: str
    payload: dict[str, Json]


def new_pid() -> str:
    """A fresh id for a negotiation, an offer or an agreement."""
    return f"urn:uuid:{uuid.uuid4()}"


def message(kind: str, **members: Json) -> dict[str, Json]:
    """A message of ``kind``; members with our own names are added by the caller."""
    return {"@context": [v.DSP_CONTEXT], "@type": kind, **members}


def request_message(negotiation: Negotiation) -> dict[str, Json]:
    """The consumer's request."""
    body = message(REQUEST, consumerPid=negotiation.pid, offer=read_canonical(negotiation.offer))
    extra = {NOTE: negotiation.note, v.PREDECESSOR: negotiation.predecessor or ""}
    return body | {name: text for name, text in extra.items() if text}


def acknowledgement(negotiation: Negotiation) -> dict[str, Json]:
    """The answer to a message that was taken: both ids and the state it led to."""
    return message(ACK, **_pids(negotiation), state=negotiation.state)


def agreement_message(negotiation: Negotiation) -> dict[str, Json]:
    """The provider's signed agreement."""
    document, signature = _held(negotiation.document, negotiation.provider_jws)
    body = message(AGREEMENT, **_pids(negotiation), agreement=read_canonical(document))
    return body | {SIGNATURE: signature}


def verification_message(negotiation: Negotiation) -> dict[str, Json]:
    """The consumer's countersignature."""
    _, signature = _held(negotiation.document, negotiation.consumer_jws)
    return message(VERIFICATION, **_pids(negotiation)) | {SIGNATURE: signature}


def finalized_message(negotiation: Negotiation) -> dict[str, Json]:
    """The provider's word that both signatures are stored and the agreement counts."""
    return message(EVENT, **_pids(negotiation), eventType="FINALIZED")


def termination_message(negotiation: Negotiation) -> dict[str, Json]:
    """A refusal by the provider or a withdrawal by the consumer, with its reason."""
    body = message(TERMINATION, **_pids(negotiation), reason=[negotiation.reason or ""])
    return body | ({PROVISION: negotiation.provision} if negotiation.provision else {})


def kind_of(payload: Mapping[str, object]) -> str:
    """The type of a message.  Raises NegotiationMessage."""
    return text_of(payload, "@type")


def last_message(negotiation: Negotiation) -> dict[str, Json]:
    """The message this side sent last, as it was: what is sent again while no answer has come."""
    match negotiation.side, negotiation.state:
        case _, "TERMINATED":
            return termination_message(negotiation)
        case "consumer", "VERIFIED":
            return verification_message(negotiation)
        case "consumer", _:
            return request_message(negotiation)
        case "provider", "AGREED":
            return agreement_message(negotiation)
        case _:
            return finalized_message(negotiation)


def text_of(payload: Mapping[str, object], name: str) -> str:
    """A text member of a message.  Raises NegotiationMessage."""
    value = payload.get(name)
    if not isinstance(value, str) or not value.strip() or len(value) > _TEXT_LIMIT:
        raise _missing(name)
    return value


def pid_of(payload: Mapping[str, object], name: str) -> str:
    """An id of a negotiation.  Raises NegotiationMessage."""
    pid = text_of(payload, name)
    if not _PID.match(pid):
        raise _missing(name)
    return pid


def object_of(payload: Mapping[str, object], name: str) -> tuple[bytes, Mapping[str, Json]]:
    """An object member: its canonical bytes and itself.  Raises NegotiationMessage, AgreementMalformed."""
    value = payload.get(name)
    if not isinstance(value, dict):
        raise _missing(name)
    try:
        document = canonical(cast("dict[str, Json]", value))  # read_canonical refuses what is not of this type
    except (TypeError, ValueError, RecursionError) as unwritable:
        raise _missing(name) from unwritable
    return document, read_canonical(document)


def reason_of(payload: Mapping[str, object]) -> str:
    """The reasons of a termination as one text.  Raises NegotiationMessage."""
    reasons = payload.get("reason")
    if not isinstance(reasons, list):
        raise _missing("reason")
    texts = [each for each in cast("list[object]", reasons) if isinstance(each, str) and each.strip()]
    if not texts or len("; ".join(texts)) > _TEXT_LIMIT:
        raise _missing("reason")
    return "; ".join(texts)


def _pids(negotiation: Negotiation) -> dict[str, Json]:
    own, other = negotiation.pid, negotiation.peer_pid or ""
    if negotiation.side == "consumer":
        own, other = other, own
    return {"providerPid": own, "consumerPid": other}


def _held(document: bytes | None, signature: str | None) -> tuple[bytes, str]:
    if document is None or signature is None:
        raise ValueError("the negotiation holds no signed agreement yet")
    return document, signature


def _missing(name: str) -> NegotiationMessage:
    return NegotiationMessage(T("{member} is missing from the message or has the wrong shape."), member=name)
