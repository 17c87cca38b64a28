"""Making the agreements of closed members again: on request by the consumer, by rule by the provider alone."""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime

from lienthong.agreements import queries
from lienthong.agreements.ask import request_agreement
from lienthong.agreements.document import sha256_text, terms_digest
from lienthong.agreements.keeping import index_agreement
from lienthong.agreements.models import Agreement, Terms
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.rules import make_rule
from lienthong.agreements.signing import MemberSigner, check_signature
from lienthong.agreements.succession import SuccessionRefused, terms_after
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Rule
from lienthong.errors import Problem
from lienthong.i18n import T


async def take_in(
    db: Connection, agreement: Agreement, provider_jws: str, consumer_jws: str | None, now: datetime
) -> bool:
    """Keep an agreement of a closed member, whose signatures the caller has checked; False when it was known."""
    await queries.lock_agreement(db, agreement.id)
    if await queries.document_versions(db, agreement.id):
        return False
    await queries.insert_document(db, agreement, provider_jws, consumer_jws, now)
    await index_agreement(db, agreement.id)
    return True


async def request_takeovers(
    db: Connection, snapshot: Snapshot, members: Collection[str], *, note: str, now: datetime
) -> list[Outgoing]:
    """Ask the present provider for each agreement that one of ``members``, as consumer, is now to have anew.

    What was asked for already, or taken over, is left out; so is what has ended or was made by rule.
    """
    asked: list[Outgoing] = []
    for current in await queries.current_agreements(db):
        over = any(end is not None and end <= now for end in (current.ends, current.ended_at))
        stored = await queries.stored_document(db, current.digest)
        if over or current.mode != "request" or stored is None:
            continue
        terms = terms_of_heirs(snapshot, stored.document)
        if terms is None or terms.consumer not in members:
            continue
        if await queries.is_succeeded(db, current.digest) or await queries.awaits_succession(db, current.digest):
            continue
        asked.append(await request_agreement(db, snapshot, terms, note=note, now=now))
    return asked


async def reissue_rules(
    db: Connection,
    snapshot: Snapshot,
    signer: MemberSigner,
    offers: Callable[[str], bool],
    *,
    now: datetime,
) -> list[Rule]:
    """Sign anew each listed agreement by rule whose party was succeeded, where the signer's member now provides.

    ``offers`` says whether the member publishes a target.  The result counts once the directory lists it.
    """
    succeeded = {parse_agreement(rule.document).terms.succeeds for rule in snapshot.rules}
    made: list[Rule] = []
    for rule in snapshot.rules:
        terms = terms_of_heirs(snapshot, rule.document)
        if terms is None or terms.provider != signer.member or terms.succeeds in succeeded or not offers(terms.target):
            continue
        kept = await queries.rule_succeeding(db, str(terms.succeeds))
        made.append(kept or await make_rule(db, snapshot, signer, terms, now=now))
    return made


def check_reissued(snapshot: Snapshot, rule: Rule, now: datetime) -> bytes:
    """The listed document that ``rule`` replaces.

    Raises SuccessionRefused unless it says what that one said, and what checking its provider's signature raises.
    """
    agreement = parse_agreement(rule.document)
    check_signature(snapshot, rule.document, rule.provider_jws, rule.provider, now)
    for listed in snapshot.rules:
        if sha256_text(listed.document) != agreement.terms.succeeds:
            continue
        due = terms_of_heirs(snapshot, listed.document)
        said = agreement.terms
        if due is not None and said.provider == rule.provider and terms_digest(due) == terms_digest(said):
            return listed.document
    raise SuccessionRefused(
        T("{agreement} says something else than a listed agreement by rule of a closed member said."),
        mend=T("Have it listed as a new one by the directory's operators."),
        agreement=agreement.id,
    )


def terms_of_heirs(snapshot: Snapshot, document: bytes) -> Terms | None:
    """The terms between those who stand for the parties today; None when they are the same, or nobody does."""
    try:
        return terms_after(snapshot, parse_agreement(document))
    except Problem:
        return None
