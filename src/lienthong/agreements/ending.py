"""Ending an agreement before its time: a notice signed by one side, kept by both, effective at the moment it names.

Promise: the notice acts at every gateway of a node as soon as its transaction commits; a provider's notice names its
reason and the legal provision, like any refusal to share.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from lienthong.agreements import payloads, queries
from lienthong.agreements import vocabulary as v
from lienthong.agreements.answer import RefusalIncomplete
from lienthong.agreements.document import Json, canonical, sha256_text, write_moment
from lienthong.agreements.keeping import AgreementUnknown, index_agreement
from lienthong.agreements.parties import NotAParty
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import AgreementMalformed, read_canonical, read_moment
from lienthong.agreements.records import CurrentAgreement, Notice
from lienthong.agreements.signing import CLOCK_SKEW, MemberSigner, WrongSigner, check_signature
from lienthong.directory.document import Snapshot
from lienthong.errors import Problem
from lienthong.i18n import T

NOTICE_TYPE = v.LT + "TerminationNotice"
AGREEMENT = v.LT + "agreement"
AGREEMENT_DIGEST = v.LT + "agreementDigest"
BY = v.LT + "by"
ENDS_AT = v.LT + "endsAt"
REASON = v.LT + "reason"


class NoticeBackdated(Problem):
    """A notice can not end an agreement before the notice was given."""

    kind = "notice-backdated"
    status = 422
    side = "caller"
    title = T("A notice can not act in the past")


@dataclass(frozen=True, slots=True)
class _Said:
    agreement: str
    ends: str
    by: str
    ends_at: datetime
    timestamp: datetime
    provision: str | None


async def end_agreement(
    db: Connection,
    signer: MemberSigner,
    agreement_id: str,
    *,
    reason: str,
    provision: str | None,
    ends_at: datetime,
    now: datetime,
) -> Outgoing:
    """Give notice in the name of the signer's member; the message for the other side.

    ``provision`` is the legal provision a provider must name.  Raises AgreementUnknown, NotAParty, RefusalIncomplete,
    NoticeBackdated.
    """
    current = await _current(db, agreement_id)
    said: dict[str, Json] = {
        "@context": [v.DSP_CONTEXT],
        "@type": NOTICE_TYPE,
        "@id": payloads.new_pid(),
        "profile": v.PROFILE,
        AGREEMENT: agreement_id,
        AGREEMENT_DIGEST: current.digest,
        BY: v.ID + signer.member,
        ENDS_AT: write_moment(ends_at),
        REASON: reason,
        "timestamp": write_moment(now),
    }
    if provision is not None:
        said[payloads.PROVISION] = provision
    document = canonical(said)
    signature = signer.sign(document)
    notice = await _keep(db, current, document, signature, delivered=current.mode == "rule", now=now)
    return notice_message(notice, current)


def notice_message(notice: Notice, current: CurrentAgreement) -> Outgoing:
    """The message that carries a notice to the other side; the same on every try.

    An agreement by rule has no single other side: its members learn of the end when the directory drops the rule.
    """
    other = current.consumer if notice.by_member == current.provider else current.provider
    message = payloads.message(payloads.NOTICE, notice=read_canonical(notice.document))
    return Outgoing(notice.by_member, other, message | {payloads.SIGNATURE: notice.jws})


async def receive_notice(
    db: Connection, snapshot: Snapshot, payload: Mapping[str, object], *, sender: str, now: datetime
) -> dict[str, Json]:
    """Take the other side's notice; the acknowledgement.  Taking it twice changes nothing.

    Raises AgreementUnknown, NotAParty, WrongSigner, AgreementAltered, RefusalIncomplete, NoticeBackdated.
    """
    document, _ = payloads.object_of(payload, "notice")
    signature = payloads.text_of(payload, payloads.SIGNATURE)
    said = _read(document)
    current = await _current(db, said.agreement)
    if sender != said.by:
        raise NotAParty(T("{sender} can not speak for {party}."), sender=sender, party=said.by)
    check_signature(snapshot, document, signature, said.by, said.timestamp)
    check_signature(snapshot, document, signature, said.by, now)
    if said.timestamp > now + CLOCK_SKEW:
        raise WrongSigner(T("The notice is dated {signed}, in the future."), signed=write_moment(said.timestamp))
    await _keep(db, current, document, signature, delivered=True, now=now)
    return payloads.message(payloads.NOTICE_ACK, agreement=said.agreement)


async def _keep(
    db: Connection, current: CurrentAgreement, document: bytes, signature: str, *, delivered: bool, now: datetime
) -> Notice:
    said = _read(document)
    if said.by not in (current.provider, current.consumer):
        raise NotAParty(T("{sender} is no party of this agreement."), sender=said.by)
    if said.by == current.provider and said.provision is None:
        raise RefusalIncomplete(
            T("A notice of the provider names its reason and the legal provision it rests on."), mend=T("Give both.")
        )
    if said.ends != current.digest:
        raise AgreementUnknown(
            T("The notice is about another version of {agreement} than the current one."), agreement=current.id
        )
    if said.ends_at < said.timestamp:
        raise NoticeBackdated(T("The notice would act before it was given."), mend=T("Name a moment from now on."))
    await queries.lock_agreement(db, current.id)
    notice = Notice(
        digest=sha256_text(document),
        agreement=current.id,
        ends=current.digest,
        document=document,
        jws=signature,
        by_member=said.by,
        ends_at=said.ends_at,
        stored_at=now,
        delivered=delivered,
    )
    await queries.insert_notice(db, notice)
    await index_agreement(db, current.id)
    return notice


def _read(document: bytes) -> _Said:
    body = read_canonical(document)
    named = ("@type", "profile", AGREEMENT, AGREEMENT_DIGEST, BY, ENDS_AT, REASON, "timestamp")
    texts = {name: payloads.text_of(body, name) for name in named}
    if texts["@type"] != NOTICE_TYPE or texts["profile"] != v.PROFILE:
        raise AgreementMalformed(T("The document is no notice of termination."))
    return _Said(
        agreement=texts[AGREEMENT],
        ends=texts[AGREEMENT_DIGEST],
        by=texts[BY].removeprefix(v.ID),
        ends_at=read_moment(texts[ENDS_AT], ENDS_AT),
        timestamp=read_moment(texts["timestamp"], "timestamp"),
        provision=payloads.text_of(body, payloads.PROVISION) if payloads.PROVISION in body else None,
    )


async def _current(db: Connection, agreement_id: str) -> CurrentAgreement:
    current = await queries.current_agreement(db, agreement_id)
    if current is None:
        raise AgreementUnknown(T("No agreement has the id {agreement}."), agreement=agreement_id)
    return current
