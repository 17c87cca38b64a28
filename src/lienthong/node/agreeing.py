"""What the officers' pages about requests and agreements do on this node: read in words, sign, refuse, end."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime

from lienthong.agreements import queries
from lienthong.agreements.reading import parse_offer, read_canonical
from lienthong.agreements.records import CurrentAgreement, Negotiation
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.node.desk import Desk, open_desk
from lienthong.node.gathered import Gathered
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.node.sheets import permission_view
from lienthong.portal.agreeing import Asked, Kept
from lienthong.storage.pool import reading


class NodeAgreementDesk:
    """See ``portal.agreeing.AgreementDesk``."""

    def __init__(self, local: Local, pages: NodePages) -> None:
        self._local = local
        self._pages = pages

    async def requests(self, member: str) -> Sequence[Asked]:
        """The requests that wait, those to ``member`` first."""
        gathered = await self._pages.gathered()
        return [_asked(gathered, each) for each in await self._waiting(member)]

    async def asked(self, member: str, pid: str) -> Asked | None:
        """One of them with its terms in words."""
        found = next((each for each in await self._waiting(member) if each.pid == pid), None)
        return _asked(await self._pages.gathered(), found) if found else None

    async def approve(self, pid: str, actor: Actor) -> None:
        """Sign what was asked for; the other side countersigns before this returns."""
        async with self._desk() as desk:
            await desk.approve(pid, str(actor.member))
        await self._put_down(actor, "request.approved", pid)

    async def refuse(self, pid: str, actor: Actor, reason: str, provision: str) -> None:
        """Refuse with the reason and the provision."""
        async with self._desk() as desk:
            await desk.refuse(pid, reason, provision)
        await self._put_down(actor, "request.refused", pid)

    async def agreements(self, member: str) -> Sequence[Kept]:
        """The agreements of ``member`` that count and are not over."""
        gathered, now = await self._pages.gathered(), datetime.now(UTC)
        async with reading(self._local.pool) as db:
            current = await queries.current_agreements(db)
        return [
            _kept(gathered, each, member)
            for each in current
            if member in (each.provider, each.consumer) and ((end := each.ended_at or each.ends) is None or end > now)
        ]

    async def end(self, agreement: str, actor: Actor, reason: str, provision: str, ends_at: datetime) -> None:
        """Give notice; the other side is told."""
        async with self._desk() as desk:
            await desk.end(agreement, str(actor.member), reason=reason, provision=provision, ends_at=ends_at)
        await self._put_down(actor, "agreement.ended", agreement)

    @asynccontextmanager
    async def _desk(self) -> AsyncGenerator[Desk]:
        async with open_desk(self._local.settings, self._local.dsns.app) as desk:
            yield desk

    async def _waiting(self, member: str) -> list[Negotiation]:
        async with reading(self._local.pool) as db:
            to_us = await queries.negotiations_in(db, "provider", ("REQUESTED",))
            of_us = await queries.negotiations_in(db, "consumer", ("REQUESTED",))
        return [each for each in to_us if each.provider == member] + [each for each in of_us if each.consumer == member]

    async def _put_down(self, actor: Actor, act: str, what: str) -> None:
        async with self._local.pool.connection() as db:
            await put_down(db, actor, act, what, {}, now=datetime.now(UTC))


def _asked(gathered: Gathered, negotiation: Negotiation) -> Asked:
    terms = parse_offer(read_canonical(negotiation.offer))
    return Asked(
        id=negotiation.pid,
        consumer=gathered.member_name(negotiation.consumer),
        consumer_id=negotiation.consumer,
        provider=negotiation.provider,
        target=negotiation.target,
        title=gathered.title(negotiation.target),
        note=negotiation.note,
        at=negotiation.requested_at,
        ours=negotiation.side,
        legal_basis=terms.legal_basis,
        permissions=tuple(permission_view(gathered, terms.target, each) for each in terms.permissions),
    )


def _kept(gathered: Gathered, agreement: CurrentAgreement, member: str) -> Kept:
    ours = "provider" if agreement.provider == member else "consumer"
    return Kept(
        id=agreement.id,
        digest=agreement.digest.removeprefix("sha-256:"),
        title=gathered.title(agreement.target),
        other=gathered.member_name(agreement.consumer if ours == "provider" else agreement.provider),
        target=agreement.target,
        ours=ours,
        by_rule=agreement.mode == "rule",
        ends=agreement.ended_at or agreement.ends,
    )
