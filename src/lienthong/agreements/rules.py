"""Agreements by rule: one signature of the provider, a listing in the directory, acceptance by the first use.

What the law shares by default or by duty needs no request: the provider signs once, the national node lists the
document, and a member's first use of it is recorded as its acceptance.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from lienthong.agreements import payloads, queries
from lienthong.agreements.document import sha256_text, write_agreement
from lienthong.agreements.keeping import AgreementUnknown, PredecessorMismatch, check_succession, index_agreement
from lienthong.agreements.models import Agreement, Terms, TermsRefused
from lienthong.agreements.parties import check_sender, check_terms
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.signing import MemberSigner, check_signature
from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, Rule, class_of
from lienthong.errors import Problem
from lienthong.i18n import T


@dataclass(frozen=True, slots=True)
class UnusableRule:
    """A listed rule that does not hold, and why; it is left out and the others are taken."""

    provider: MemberId
    digest: str
    problem: Problem


async def make_rule(
    db: Connection,
    snapshot: Snapshot,
    signer: MemberSigner,
    terms: Terms,
    *,
    now: datetime,
    replaces: str | None = None,
) -> Rule:
    """Sign and store an agreement by rule; it counts once the directory lists the result.

    ``replaces`` is the id of the agreement by rule whose next version this is.
    """
    if terms.mode != "rule":
        raise TermsRefused(T("{term}: only an agreement by rule is made by one side."), term="mode")
    check_sender(signer.member, terms.provider)
    check_terms(snapshot, terms, now)
    before = None
    if replaces is not None:
        versions = await queries.document_versions(db, replaces)
        if not versions:
            raise AgreementUnknown(T("No agreement has the id {agreement}."), agreement=replaces)
        before = versions[0]
    document = write_agreement(
        terms,
        agreement_id=payloads.new_pid() if before is None else before.agreement,
        timestamp=now,
        version=1 if before is None else before.version + 1,
        predecessor=None if before is None else before.digest,
    )
    signature = signer.sign(document)
    check_signature(snapshot, document, signature, terms.provider, now)
    agreement = parse_agreement(document)
    await check_succession(db, agreement)
    await queries.insert_document(db, agreement, signature, None, now)
    return Rule(terms.provider, document, signature)


async def follow_rules(
    db: Connection, snapshot: Snapshot, members: Collection[str], *, now: datetime
) -> list[UnusableRule]:
    """Take up the rules a directory lists that concern ``members``, and let go of those it no longer lists.

    Runs after each new version of the directory.  Returns the rules left out, for the log.
    """
    listed: list[str] = []
    unusable: list[UnusableRule] = []
    for rule in snapshot.rules:
        digest = sha256_text(rule.document)
        try:
            if await queries.stored_document(db, digest) is None:
                agreement = parse_agreement(rule.document)
                if not _concerns(agreement, members):
                    continue
                await _take_up(db, snapshot, rule, agreement, now)
            listed.append(digest)
        except Problem as problem:
            unusable.append(UnusableRule(rule.provider, digest, problem))
    for agreement_id in sorted(set(await queries.publish_rules(db, listed))):
        await queries.lock_agreement(db, agreement_id)
        await index_agreement(db, agreement_id)
    return unusable


async def accept_rule(db: Connection, digest: str, member: str, *, exchange_id: str, at: datetime) -> bool:
    """Record that ``member``'s use ``exchange_id`` accepts the agreement by rule; False when it had before."""
    stored = await queries.stored_document(db, digest)
    if stored is None or not stored.by_rule:
        raise AgreementUnknown(T("No agreement by rule has the digest {digest}."), digest=digest)
    first = await queries.insert_acceptance(db, digest, member, exchange_id, at)
    if first:
        await queries.tell_change(db, stored.agreement)
    return first


def _concerns(agreement: Agreement, members: Collection[str]) -> bool:
    terms = agreement.terms
    return any(terms.provider == member or terms.consumer in (member, class_of(member)) for member in members)


async def _take_up(db: Connection, snapshot: Snapshot, rule: Rule, agreement: Agreement, now: datetime) -> None:
    if agreement.terms.mode != "rule" or agreement.terms.provider != rule.provider:
        raise TermsRefused(T("{term}: the listed document is no agreement by rule of its provider."), term="mode")
    check_signature(snapshot, rule.document, rule.provider_jws, rule.provider, agreement.timestamp)
    snapshot.active_member(rule.provider)
    known = await queries.document_versions(db, agreement.id)
    # A node that joins late has no earlier version to compare with; one that has must see the chain unbroken.
    if known:
        if not known[0].by_rule:
            raise PredecessorMismatch(T("{agreement} is not an agreement by rule."), agreement=agreement.id)
        await check_succession(db, agreement)
    await queries.insert_document(db, agreement, rule.provider_jws, None, now)
