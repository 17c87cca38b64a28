"""What becomes of an agreement when a party was closed and somebody succeeded it: the terms of the new agreement.

Promises: the new one says what the old one said with the parties, their systems and the target moved to the
successors, and nothing else; it names the old one by its digest; an old one is taken over once.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from lienthong.agreements import queries
from lienthong.agreements.document import terms_digest
from lienthong.agreements.models import Agreement, Permission, Prohibition, Terms
from lienthong.agreements.queries import Connection
from lienthong.agreements.reading import parse_agreement
from lienthong.directory.document import MemberClosed, Snapshot, UnknownMember
from lienthong.directory.models import MemberId, SystemId, member_of
from lienthong.errors import Problem
from lienthong.i18n import T

PolicyRule = TypeVar("PolicyRule", Permission, Prohibition)
MEMBER_PARTS = 3


class SuccessionRefused(Problem):
    """The agreement can not be taken over: both parties go on, nobody succeeded, or it says something else."""

    kind = "succession-refused"
    status = 409
    side = "caller"
    title = T("The agreement can not be taken over")


def terms_after(snapshot: Snapshot, agreement: Agreement) -> Terms:
    """The terms of ``agreement`` between those who stand for its parties today.

    Raises SuccessionRefused when a party has no successor, or both are who they were.
    """
    old = agreement.terms
    provider = _heir(snapshot, old.provider)
    consumer = _heir(snapshot, old.consumer) if _is_member(old.consumer) else old.consumer
    if (provider, consumer) == (old.provider, old.consumer):
        raise SuccessionRefused(T("Both parties of {agreement} go on: it needs no successor."), agreement=agreement.id)
    if provider == consumer:
        raise SuccessionRefused(
            T("Both parties of {agreement} are now {member}: it needs no agreement."),
            agreement=agreement.id,
            member=provider,
        )
    return replace(
        old,
        provider=provider,
        consumer=consumer,
        target=_moved(old.target, provider),
        permissions=tuple(_with_systems(rule, consumer) for rule in old.permissions),
        prohibitions=tuple(_with_systems(rule, consumer) for rule in old.prohibitions),
        succeeds=agreement.digest,
    )


async def check_takeover(db: Connection, snapshot: Snapshot, terms: Terms, now: datetime) -> None:
    """Raise unless ``terms`` take over nothing, or exactly what they say they take over.

    Raises SuccessionRefused.
    """
    if terms.succeeds is None:
        return
    stored = await queries.stored_document(db, terms.succeeds)
    current = None if stored is None else await queries.current_agreement(db, stored.agreement)
    if stored is None or current is None or current.digest != terms.succeeds:
        raise SuccessionRefused(
            T("This node does not hold the agreement {digest} that is to be taken over."),
            mend=T("On this node: lienthong agreement take-over; it fetches the closed member's agreements."),
            digest=terms.succeeds,
        )
    if any(end is not None and end <= now for end in (current.ends, current.ended_at)):
        raise SuccessionRefused(T("{agreement} has ended: there is nothing to take over."), agreement=current.id)
    if terms_digest(terms) != terms_digest(terms_after(snapshot, parse_agreement(stored.document))):
        raise SuccessionRefused(
            T("What is asked for differs from {agreement} in more than its parties."),
            mend=T("Ask for a new agreement instead, or for the same terms."),
            agreement=current.id,
        )
    if await queries.is_succeeded(db, terms.succeeds):
        raise SuccessionRefused(T("{agreement} was taken over already."), agreement=current.id)


def _is_member(party: str) -> bool:
    return len(party.split("/")) == MEMBER_PARTS


def _heir(snapshot: Snapshot, member: str) -> MemberId:
    try:
        return snapshot.heir(member).id
    except (MemberClosed, UnknownMember) as nobody:
        raise SuccessionRefused(T("Nobody succeeded {member}."), member=member) from nobody


def _with_systems(rule: PolicyRule, consumer: str) -> PolicyRule:
    return replace(rule, systems=tuple(SystemId(_moved(system, consumer)) for system in rule.systems))


def _moved(identifier: str, member: str) -> str:
    """``identifier`` with its member replaced: the successor's system, service or dataset of the same name."""
    return member + identifier.removeprefix(member_of(identifier))
