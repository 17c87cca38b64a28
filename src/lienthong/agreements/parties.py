"""What both sides of a negotiation check before they act: the parties, their systems and their registered purposes."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from lienthong.agreements.models import Terms
from lienthong.agreements.signing import MemberSigner
from lienthong.directory.document import Snapshot, UnknownPurpose
from lienthong.directory.follow import require_fresh
from lienthong.directory.models import class_of
from lienthong.errors import Problem
from lienthong.i18n import T

Signers = Callable[[str], MemberSigner | None]
"""The signer for a member this node acts for, None for any other."""


class NotAParty(Problem):
    """The sender of the message, or the signer, is not the side it speaks for."""

    kind = "not-a-party"
    status = 403
    side = "caller"
    title = T("Only a party may do this")


class UnknownNegotiation(Problem):
    """No negotiation has this id, or the asker is not its other side: the two look alike."""

    kind = "unknown-negotiation"
    status = 404
    side = "caller"
    title = T("Unknown negotiation")


class NotActingFor(Problem):
    """The message is for a member this node does not act for."""

    kind = "not-acting-for-member"
    status = 404
    side = "caller"
    title = T("This node does not act for the member")


def check_terms(snapshot: Snapshot, terms: Terms, now: datetime) -> None:
    """Raise unless the directory is fresh and knows both parties, the systems and the purposes of ``terms``.

    Raises DirectoryExpired, UnknownMember, MemberClosed, UnknownSystem, UnknownPurpose.
    """
    require_fresh(snapshot, now)
    snapshot.active_member(terms.provider)
    by_class = len(terms.consumer.split("/")) == 2
    if not by_class:
        snapshot.active_member(terms.consumer)
    for rule in (*terms.permissions, *terms.prohibitions):
        for system in rule.systems:
            snapshot.active_system(system)
        for code in rule.purposes:
            if by_class:
                _check_common(snapshot, code, terms.consumer)
            else:
                snapshot.purpose_on(code, terms.consumer, now.date())


def check_sender(sender: str, party: str) -> None:
    """Raise NotAParty unless ``sender`` is ``party``."""
    if sender != party:
        raise NotAParty(T("{sender} can not speak for {party}."), sender=sender, party=party)


def signer_for(signers: Signers, member: str) -> MemberSigner:
    """The signer of a member this node acts for.  Raises NotActingFor."""
    signer = signers(member)
    if signer is None:
        raise NotActingFor(
            T("This node does not act for {member}."), mend=T("Send it to the member's own node."), member=member
        )
    return signer


def _check_common(snapshot: Snapshot, code: str, consumers: str) -> None:
    purpose = snapshot.purpose(code)
    if purpose is None or class_of(purpose.member) != consumers:
        raise UnknownPurpose(
            T("No body of {consumers} has registered the purpose {purpose}."),
            mend=T("Register the task with its legal basis, or name one that is registered."),
            consumers=consumers,
            purpose=code,
        )
