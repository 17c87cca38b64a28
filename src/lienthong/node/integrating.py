"""What the integrator's pages do on this node: systems and agreements of a member, requests sent, own uses read."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final

from lienthong.access.queries import recent_entries
from lienthong.agreements import queries
from lienthong.agreements.models import Permission, Terms
from lienthong.agreements.records import CurrentAgreement
from lienthong.directory.models import MemberId, member_of
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.node.desk import open_desk
from lienthong.node.gathered import Gathered
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.portal.integrator import Asking, Connecting, OwnCall, OwnSystem, Usable
from lienthong.portal.models import Name
from lienthong.portal.words import VIETNAM
from lienthong.storage.pool import reading

SHOWN: Final = 100
LOOKED_THROUGH: Final = 1_000
"""Entries of the log that are looked through for the member's own, from where one asks on."""


class NodeIntegratorDesk:
    """See ``portal.integrator.IntegratorDesk``."""

    def __init__(self, local: Local, pages: NodePages) -> None:
        self._local = local
        self._pages = pages

    async def connecting(self, member: str) -> Connecting:
        """The member's systems at the client listener, its purposes, and what it may use."""
        settings, gathered, now = self._local.settings, await self._pages.gathered(), datetime.now(UTC)
        snapshot = self._local.directory.snapshot()
        day = now.astimezone(VIETNAM).date()
        async with reading(self._local.pool) as db:
            current = await queries.current_agreements(db)
        counts = [
            each for each in current
            if each.consumer == member and ((end := each.ended_at or each.ends) is None or end > now)
        ]  # fmt: skip
        usable = [_usable(gathered, each) for each in counts]
        return Connecting(
            listener=f"http://{settings.client_host}:{settings.client_port}",
            systems=tuple(
                OwnSystem(each.system, each.auth == "token", each.default_purpose)
                for each in settings.clients
                if each.system.startswith(f"{member}/")
            ),
            purposes=tuple(
                (each.code, Name(each.title_vi, each.title_en))
                for each in snapshot.contents.purposes
                if each.named_by(member) and each.valid_on(day)
            ),
            usable=tuple(usable),
        )

    async def ask(self, actor: Actor, asking: Asking) -> str:
        """Ask the provider's node; the act is put down."""
        now = datetime.now(UTC).replace(microsecond=0)
        permission = Permission(
            purposes=asking.purposes, ground=asking.ground, starts=now, ends=now + timedelta(days=asking.days),
            fields=asking.fields or None,
        )  # fmt: skip
        terms = Terms(
            provider=member_of(asking.target), consumer=MemberId(str(actor.member)), target=asking.target,
            mode="request", legal_basis=asking.legal_basis, permissions=(permission,),
        )  # fmt: skip
        async with open_desk(self._local.settings, self._local.dsns.app) as desk:
            pid = await desk.request(terms, asking.note)
        async with self._local.pool.connection() as db:
            await put_down(db, actor, "request.made", pid, {"target": asking.target}, now=now)
        return pid

    async def calls(self, member: str, before: int | None) -> Sequence[OwnCall]:
        """The member's own uses among the newest entries."""
        async with reading(self._local.pool) as db:
            entries = await recent_entries(db, LOOKED_THROUGH, before)
        own = [each for each in entries if each.side == "consumer" and each.consumer.startswith(f"{member}/")]
        return [
            OwnCall(each.idx, each.hash.hex(), each.at, each.consumer, each.resource, each.way, each.purpose or "",
                    each.outcome, each.reason or "")
            for each in own[:SHOWN]
        ]  # fmt: skip


def _usable(gathered: Gathered, agreement: CurrentAgreement) -> Usable:
    id_ = agreement.target.replace("/ds/", "/")
    service = gathered.services.get(id_)
    asked = dict.fromkeys(service.lookup, "...") if service and service.personal else {"limit": 5}
    return Usable(
        id_,
        gathered.title(agreement.target),
        service is not None and service.synthetic,
        agreement.ended_at or agreement.ends,
        json.dumps(asked) if service and service.kind == "table" else "{}",
    )
