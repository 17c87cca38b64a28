"""Changes of trust need two different persons: one proposes, another approves; refused, withdrawn or run out otherwise.

Generic: a package declares a ``Kind`` (who may propose and decide, how it is carried out) and whoever composes the node
hands all kinds to ``Approvals``.  The deed is carried out in the transaction of the approval: both happen or neither.
"""

from __future__ import annotations

import secrets
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.identity import queries
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor, Assurance, Proposal, Right
from lienthong.identity.rights import require

WAITS: Final = timedelta(days=7)

Connection = Any
"""A connection of any row factory, passed on."""


class SamePerson(Problem):
    """The person who proposed a change can not approve it."""

    kind: ClassVar[str] = "same-person"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("A second person is needed")


class NotOpen(Problem):
    """The proposal was decided, withdrawn or ran out of time."""

    kind: ClassVar[str] = "proposal-not-open"
    status: ClassVar[int] = 409
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The proposal is no longer open")


class NoSuchProposal(Problem):
    """This member has no such proposal."""

    kind: ClassVar[str] = "no-such-proposal"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such proposal here")


class StrongerSignInNeeded(Problem):
    """Changes of trust are proposed and approved by persons who signed in with two factors."""

    kind: ClassVar[str] = "stronger-sign-in-needed"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Please sign in with a passkey")


class ReasonMissing(Problem):
    """A refusal needs a reason."""

    kind: ClassVar[str] = "reason-missing"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("Please give a reason")


CarryOut = Callable[[Connection, Proposal, Actor, datetime], Awaitable[None]]
"""Does what was proposed; raises a Problem when it has become impossible, which leaves the proposal open."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of change that needs two persons."""

    name: str
    title: str
    """A message marked with ``T``; may hold placeholders filled from what is wanted."""
    propose: Right
    decide: Right
    carry_out: CarryOut


class Approvals:
    """All kinds of one node."""

    def __init__(self, kinds: Iterable[Kind], *, least: Assurance = Assurance.TWO_FACTORS) -> None:
        """``least``: how sure we must be of both persons; only a node of made-up data asks for less."""
        self.kinds: Mapping[str, Kind] = {each.name: each for each in kinds}
        self._least = least

    async def propose(
        self,
        db: Connection,
        actor: Actor | None,
        kind: str,
        member: str,
        wanted: Mapping[str, object],
        reason: str,
        now: datetime,
    ) -> Proposal:
        """Keep a proposal for a second person; ``actor`` None: by command.  Raises NotAllowed and the like."""
        if actor is not None:
            require(actor, self.kinds[kind].propose, member)
            self._sure(actor)
        by = actor.person if actor else None
        proposal = Proposal(secrets.token_hex(8), kind, member, wanted, reason, by, now, now + WAITS)
        await queries.insert_proposal(db, proposal)
        await put_down(db, actor, "proposal.made", proposal.id, {"kind": kind}, now=now, member=member)
        return proposal

    async def approve(self, db: Connection, actor: Actor, proposal_id: str, now: datetime) -> Proposal:
        """Approve and carry out; raises SamePerson, NotOpen, NoSuchProposal, NotAllowed, StrongerSignInNeeded."""
        proposal, kind = await self._open(db, actor, proposal_id, now)
        if proposal.proposed_by == actor.person:
            raise SamePerson(
                T("You proposed this yourself; somebody else must approve it."),
                mend=T("Ask another person of your agency who may approve."),
            )
        self._sure(actor)
        await kind.carry_out(db, proposal, actor, now)
        await queries.decide_proposal(db, proposal.id, "approved", actor.person, "", now)
        await put_down(
            db, actor, "proposal.approved", proposal.id, {"kind": kind.name}, now=now, member=proposal.member
        )
        return proposal

    async def refuse(self, db: Connection, actor: Actor, proposal_id: str, answer: str, now: datetime) -> Proposal:
        """Refuse with a reason; who proposed it withdraws by the same."""
        proposal, kind = await self._open(db, actor, proposal_id, now)
        own = proposal.proposed_by == actor.person
        if not answer.strip() and not own:
            raise ReasonMissing(T("A refusal needs a reason, for the person who proposed."))
        state = "withdrawn" if own else "refused"
        await queries.decide_proposal(db, proposal.id, state, actor.person, answer, now)
        await put_down(
            db, actor, f"proposal.{state}", proposal.id, {"kind": kind.name}, now=now, member=proposal.member
        )
        return proposal

    def may_decide(self, actor: Actor, proposal: Proposal) -> bool:
        """Whether the page should offer ``actor`` to approve it."""
        return proposal.state == "open" and proposal.proposed_by != actor.person

    async def _open(self, db: Connection, actor: Actor, proposal_id: str, now: datetime) -> tuple[Proposal, Kind]:
        proposal = await queries.proposal_by_id(db, proposal_id)
        kind = self.kinds.get(proposal.kind) if proposal else None
        if proposal is None or kind is None or proposal.member != actor.member:
            raise NoSuchProposal(T("Your agency has no proposal with this id."), mend=T("Start from the list."))
        require(actor, kind.decide, proposal.member)
        if proposal.state != "open" or proposal.ends_at <= now:
            raise NotOpen(T("It was decided meanwhile, or nobody decided in time."), mend=T("Look at the list again."))
        return proposal, kind

    def _sure(self, actor: Actor) -> None:
        if actor.assurance < self._least:
            raise StrongerSignInNeeded(
                T("A password alone is not enough for changes of trust."),
                mend=T("Add a passkey on the page of your account and sign in with it."),
            )


async def expire(db: Connection, now: datetime) -> int:
    """End the proposals nobody decided in time; returns how many."""
    ended = await queries.expire_proposals(db, now)
    for proposal in ended:
        await put_down(db, None, "proposal.expired", proposal, {}, now=now)
    return len(ended)
