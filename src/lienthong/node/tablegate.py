"""The access gate as shared tables see it: each reading is admitted under its profile's agreement and recorded.

A reading has two records with one exchange id: ``opened``, durable before any address leaves, and ``closed`` with the
bytes that were taken.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from lienthong.access.gate import NoAgreement, agreement_ref, open_use, refusal
from lienthong.access.models import AgreementRef, Outcome, Record, Use
from lienthong.access.write import RecordWriter
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.policy import Decision, Request
from lienthong.catalog.models import Service
from lienthong.directory.models import MemberId, member_of
from lienthong.errors import Problem
from lienthong.exchange.provide import view_of
from lienthong.exchange.quota import NO_MORE, Leases
from lienthong.i18n import T
from lienthong.node.live import Live
from lienthong.tables.models import Profile, Reading, View
from lienthong.tables.share import OPEN
from lienthong.tables.take import Admitted

OPENED: Final = "opened"
CLOSED: Final = "closed"


@dataclass(frozen=True, slots=True)
class TableGate:
    """Implements ``tables.take.Gate``."""

    node: str
    member: str
    """The member that answers for a profile whose agreement is gone: the node's first."""
    live: Live
    writer: RecordWriter
    leases: Leases
    """Quotas, shared with the node's gateways; each reading that is opened counts as one use."""

    async def offered(self, profile: Profile) -> Sequence[Service]:
        """The tables that the profile's agreement is about, or the one open table that it is for."""
        if profile.agreement.startswith(OPEN):
            return self._open(profile)
        compiled = self._index.get(profile.agreement)
        if compiled is None:
            raise await self._gone(profile)
        return [
            service
            for service in self.live.services()
            if service.kind == "table" and compiled.target in (service.id, service.dataset)
        ]

    async def admit(self, profile: Profile, service: Service, *, opens: bool) -> Admitted:
        """Decide now, under the profile's agreement alone; a refusal is recorded."""
        at = datetime.now(UTC)
        use = Use(
            way="table",
            exchange_id=profile.id,
            consumer=profile.system,
            provider=member_of(service.id),
            resource=service.id,
            purpose=profile.purpose,
            at=at,
        )
        if profile.agreement.startswith(OPEN):
            if service not in self._open(profile):
                raise await self._gone(profile)
            return Admitted(View(), note_of(open_use(use)))
        compiled = self._index.get(profile.agreement)
        if compiled is None:
            raise await self._gone(profile)
        request = Request(
            consumer=profile.system,
            target=service.id,
            way="table",
            purpose=profile.purpose,
            at=at,
            dataset=service.dataset,
        )
        decision = compiled.decide(request)
        limited = opens and decision.permit and decision.quota is not None
        if limited and not await self.leases.take("provider", decision, at):
            decision = compiled.decide(request, NO_MORE)
        if not decision.permit:
            problem: Problem = refusal(decision, use)
            await self._record(use, decision, "refused", problem.kind)
            raise problem
        return Admitted(view_of(decision), note_of(decision))

    def _open(self, profile: Profile) -> list[Service]:
        named = profile.agreement.removeprefix(OPEN)
        return [service for service in self.live.services() if service.id == named and service.is_open_table]

    async def _gone(self, profile: Profile) -> NoAgreement:
        """The recorded refusal of a profile whose agreement no longer counts."""
        use = Use(
            way="table",
            exchange_id=profile.id,
            consumer=profile.system,
            provider=MemberId(self.member),
            resource=f"{self.member}/-/-",
            purpose=profile.purpose,
            at=datetime.now(UTC),
        )
        gone = NoAgreement(
            T("The agreement of this profile no longer counts."),
            mend=T("Ask for a new profile under an agreement that does."),
            agreement=profile.agreement,
        )
        await self._record(use, None, "refused", gone.kind)
        return gone

    async def opened(self, reading: Reading) -> None:
        """The record that a reading began; durable when this returns."""
        await self._record_reading(reading, OPENED, reading.opened_at, None)

    async def closed(self, reading: Reading) -> None:
        """The record that a reading ended, with the bytes taken."""
        await self._record_reading(reading, CLOSED, datetime.now(UTC), reading.bytes_taken)

    @property
    def _index(self) -> AgreementIndex:
        return self.live.index

    async def _record_reading(self, reading: Reading, reason: str, at: datetime, taken: int | None) -> None:
        note = json.loads(reading.note)
        agreement = AgreementRef(note["agreement"], note["version"], note["digest"]) if note["agreement"] else None
        await self.writer.append(
            Record(
                side="provider",
                exchange_id=reading.id,
                at=at,
                node=self.node,
                consumer=reading.profile.system,
                provider=member_of(reading.service),
                resource=reading.service,
                way="table",
                purpose=reading.profile.purpose,
                ground=note["ground"],
                agreement=agreement,
                decision_digest=note["decision"],
                outcome="permitted",
                reason=reason,
                bytes=taken,
                rows=reading.rows,
            )
        )

    async def _record(self, use: Use, decision: Decision | None, outcome: Outcome, reason: str) -> None:
        await self.writer.append(
            Record(
                side="provider",
                exchange_id=use.exchange_id,
                at=use.at,
                node=self.node,
                consumer=use.consumer,
                provider=use.provider,
                resource=use.resource,
                way="table",
                purpose=use.purpose,
                ground=decision.ground if decision else None,
                agreement=agreement_ref(decision),
                decision_digest=decision.decision_digest if decision else None,
                outcome=outcome,
                reason=reason,
            )
        )


def note_of(decision: Decision) -> str:
    """What the records of a reading repeat of the decision that opened it."""
    return json.dumps(
        {
            "agreement": decision.agreement_id,
            "version": str(decision.version),
            "digest": decision.digest,
            "ground": decision.ground,
            "decision": decision.decision_digest,
        }
    )
