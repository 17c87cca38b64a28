"""What the page of quotas does on this node: agreements' limits beside what the gateways took and the log recorded."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Final, Literal

from lienthong.agreements import queries as agreement_queries
from lienthong.agreements.models import Terms
from lienthong.agreements.reading import parse_agreement
from lienthong.agreements.records import CurrentAgreement
from lienthong.directory.models import class_of
from lienthong.exchange.quota import day_of, seconds_left
from lienthong.i18n import T
from lienthong.identity.audit import put_down
from lienthong.identity.models import Actor
from lienthong.node import queries
from lienthong.node.desk import open_desk
from lienthong.node.gathered import Gathered
from lienthong.node.local import Local
from lienthong.node.pages import NodePages
from lienthong.portal.quotas import OtherQuota, QuotaLine, QuotaNotAsked, QuotaPage
from lienthong.storage.pool import Connection, reading

LOOKED_THROUGH: Final = 200_000
"""Entries of the log in which the day's uses are counted."""
A_DAY: Final = timedelta(days=1)


class NodeQuotaDesk:
    """See ``portal.quotas.QuotaDesk``."""

    def __init__(self, local: Local, pages: NodePages) -> None:
        self._local = local
        self._pages = pages

    async def page(self, member: str) -> QuotaPage:
        """The limited agreements of ``member`` today, the fullest first."""
        gathered, now = await self._pages.gathered(), datetime.now(UTC)
        async with reading(self._local.pool) as db:
            kept = await _kept(db, member, now)
            taken = await queries.quotas_taken(db, day_of(now))
            counted, whole = await queries.uses_counted(db, _midnight(now), LOOKED_THROUGH)
            waiting = {each.predecessor for each in await agreement_queries.negotiations_in(db, "consumer", _WAITS)}
        uses = {(each.side, each.agreement): each for each in counted}
        lines: list[QuotaLine] = []
        for agreement, terms in kept:
            quota = _quota(terms)
            side = _side(agreement, member)
            seen = uses.get((side, agreement.id))
            if quota is not None:
                lines.append(
                    replace(
                        _line(gathered, agreement, member, quota),
                        taken=taken.get((side, agreement.id), 0), used=seen.used if seen else 0,
                        refused=seen.refused if seen else 0, waiting=agreement.digest in waiting,
                    )
                )  # fmt: skip
        lines.sort(key=lambda line: (-line.percent, -line.refused, line.target, line.agreement))
        return QuotaPage(now, tuple(lines), len(kept) - len(lines), whole)

    async def near(self, member: str) -> Sequence[QuotaLine]:
        """Those of which most is taken: only agreements that were used today are read."""
        gathered, now = await self._pages.gathered(), datetime.now(UTC)
        async with reading(self._local.pool) as db:
            taken = await queries.quotas_taken(db, day_of(now))
            kept = await _kept(db, member, now, {agreement for _, agreement in taken}) if taken else []
        lines = [
            replace(_line(gathered, each, member, quota), taken=taken.get((_side(each, member), each.id), 0))
            for each, terms in kept
            if (quota := _quota(terms)) is not None
        ]
        return [line for line in lines if line.state != "free"]

    async def ask(self, actor: Actor, wish: OtherQuota) -> str:
        """Ask the provider for the next version, the same but for its quota; the act is put down."""
        now = datetime.now(UTC).replace(microsecond=0)
        member = str(actor.member)
        async with reading(self._local.pool) as db:
            kept = await _kept(db, member, now)
        found = next(((each, terms) for each, terms in kept if each.id == wish.agreement), None)
        if found is None or _quota(found[1]) is None or found[0].consumer != member or found[0].mode == "rule":
            raise QuotaNotAsked(
                T("Only the consumer of a signed agreement with a daily quota can ask for another one."),
                mend=T("A rule is changed by whoever issued it; a provider approves what is asked for, or refuses."),
            )
        agreement, terms = found
        permissions = tuple(
            replace(each, quota=wish.quota if each.quota is not None else None) for each in terms.permissions
        )
        async with open_desk(self._local.settings, self._local.dsns.app) as desk:
            pid = await desk.request(replace(terms, permissions=permissions), wish.note, replaces=agreement.id)
        async with self._local.pool.connection() as db:
            await put_down(db, actor, "quota.asked", agreement.id, {"quota": wish.quota, "request": pid}, now=now)
        return pid


_WAITS: Final = ("REQUESTED",)


async def _kept(
    db: Connection, member: str, now: datetime, among: Collection[str] | None = None
) -> list[tuple[CurrentAgreement, Terms]]:
    """The agreements that count for ``member`` now, with their terms; ``among``: ids of the only ones looked at."""
    current = [
        each
        for each in await agreement_queries.current_agreements(db)
        if (among is None or each.id in among)
        and (each.provider == member or each.consumer in (member, class_of(member)))
        and ((end := each.ended_at or each.ends) is None or end > now)
    ]
    documents = await agreement_queries.documents(db, [each.digest for each in current])
    terms = {each.digest: parse_agreement(each.document).terms for each in documents}
    return [(each, terms[each.digest]) for each in current if each.digest in terms]


def _quota(terms: Terms) -> int | None:
    return min((each.quota for each in terms.permissions if each.quota is not None), default=None)


def _line(gathered: Gathered, agreement: CurrentAgreement, member: str, quota: int) -> QuotaLine:
    ours = _side(agreement, member)
    return QuotaLine(
        agreement=agreement.id,
        target=agreement.target,
        title=gathered.title(agreement.target),
        other=gathered.member_name(agreement.consumer if ours == "provider" else agreement.provider),
        ours=ours,
        by_rule=agreement.mode == "rule",
        quota=quota,
        taken=0,
        used=0,
        refused=0,
    )


def _side(agreement: CurrentAgreement, member: str) -> Literal["provider", "consumer"]:
    return "provider" if agreement.provider == member else "consumer"


def _midnight(now: datetime) -> datetime:
    """The moment at which Vietnam's day of ``now`` began."""
    return now.replace(microsecond=0) + timedelta(seconds=seconds_left(now.replace(microsecond=0))) - A_DAY
