"""Share profiles between nodes: the consumer's node asks in its system's name, the provider's node makes the profile.

A profile is bound to one agreement, system and purpose, and ends with the agreement or after its own days.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final, cast

import orjson

from lienthong.access.gate import NoAgreement, refusal
from lienthong.access.models import Use
from lienthong.agreements.index import AgreementIndex
from lienthong.agreements.policy import Request
from lienthong.catalog.models import Service
from lienthong.config import Settings
from lienthong.directory.models import MemberId, SystemId, member_of, read_service_id
from lienthong.exchange.signed import Incoming, Message, PeerLink, RefusedByProvider, body_object
from lienthong.i18n import T
from lienthong.storage.pool import Pool
from lienthong.tables.share import OPEN, make_profile, table_name

NOTICE: Final = "profiles"
PROFILE_DAYS: Final = 30
DEADLINE_S: Final = 15.0
MAX_ANSWER: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class ProfileOffice:
    """The provider's side: makes profiles under agreements of this node's members."""

    settings: Settings
    pool: Pool
    index: AgreementIndex
    services: Callable[[], list[Service]]

    async def issue(self, _: str, incoming: Incoming) -> dict[str, object]:
        """The profile's content and the table's name; raises the gate's refusals."""
        agreement = str(body_object(incoming.body).get("agreement", ""))
        use = Use(
            way="table",
            exchange_id=incoming.exchange_id,
            consumer=incoming.consumer,
            provider=incoming.service.rsplit("/", 2)[0],
            resource=agreement,
            purpose=incoming.purpose,
            at=datetime.now(UTC),
        )
        if agreement.startswith(OPEN):
            return await self._issue_open(agreement, incoming, use.at)
        compiled = self.index.get(agreement)
        service = self._service_of(compiled.target) if compiled else None
        if compiled is None or service is None:
            raise NoAgreement(
                T("No agreement {agreement} about a table counts here."),
                mend=T("List your agreements and name one that counts: lienthong agreement list"),
                agreement=agreement[:100],
            )
        decision = compiled.decide(
            Request(
                consumer=incoming.consumer,
                target=compiled.target,
                way="table",
                purpose=incoming.purpose,
                at=use.at,
            )
        )
        if not decision.permit:
            raise refusal(decision, use)
        last = use.at + timedelta(days=PROFILE_DAYS)
        async with self.pool.connection() as db:
            profile = await make_profile(
                db,
                agreement=compiled.id,
                system=incoming.consumer,
                purpose=decision.purpose,
                expires=min(last, decision.valid_to) if decision.valid_to else last,
                endpoint=f"{self.settings.public_url}/delta/",
            )
        name = table_name(service)
        return {"profile": profile, "table": f"{name.share}.{name.schema}.{name.table}", "agreement": compiled.id}

    async def _issue_open(self, agreement: str, incoming: Incoming, at: datetime) -> dict[str, object]:
        """A profile for one open table: any member's system gets one, so that its readings are on record."""
        service = next((s for s in self.services() if s.id == agreement.removeprefix(OPEN) and s.is_open_table), None)
        if service is None:
            raise NoAgreement(
                T("{service} is not open data here."),
                mend=T("Ask the provider for an agreement: lienthong agreement request --target {service}"),
                service=agreement.removeprefix(OPEN)[:100],
            )
        async with self.pool.connection() as db:
            profile = await make_profile(
                db,
                agreement=agreement,
                system=incoming.consumer,
                purpose=None,
                expires=at + timedelta(days=PROFILE_DAYS),
                endpoint=f"{self.settings.public_url}/delta/",
            )
        name = table_name(service)
        return {"profile": profile, "table": f"{name.share}.{name.schema}.{name.table}", "agreement": None}

    def _service_of(self, target: str) -> Service | None:
        return next((s for s in self.services() if target in (s.id, s.dataset) and s.kind == "table"), None)


async def ask_profile(
    link: PeerLink, index: AgreementIndex, consumer: SystemId, agreement: str, purpose: str | None
) -> dict[str, object]:
    """The consumer's side: a profile for ``consumer`` under ``agreement``, from the provider's node.

    Raises NoAgreement, and the provider's refusal as it was signed.
    """
    compiled = index.get(agreement)
    if agreement.startswith(OPEN):
        provider, named = member_of(read_service_id(agreement.removeprefix(OPEN))), None
    elif compiled is not None:
        provider, named = compiled.provider, f"{compiled.id};{compiled.version}"
    else:
        raise NoAgreement(
            T("No agreement {agreement} counts here."),
            mend=T("List your agreements and name one that counts: lienthong agreement list"),
            agreement=agreement[:100],
        )
    exchanged = await link.send(
        Message(
            consumer=consumer,
            service=f"{provider}/nut/{NOTICE}",
            target=f"/x1/{NOTICE}".encode(),
            exchange_id=str(uuid.uuid4()),
            purpose=purpose,
            agreement=named,
            body=orjson.dumps({"agreement": agreement}),
        ),
        MemberId(provider),
        deadline_s=DEADLINE_S,
        max_body=MAX_ANSWER,
    )
    body = cast("dict[str, object]", orjson.loads(exchanged.answer.body))
    if exchanged.answer.status >= 400:
        raise RefusedByProvider(body, exchanged.answer.status)
    return body
