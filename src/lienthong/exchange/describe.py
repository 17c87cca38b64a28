"""What services another member offers: asked of its node by a signed message, kept for a minute.

Descriptions are metadata: no agreement is needed to read them, and reading them is not a use of data.  A private
service is described only to those who already have an agreement about it.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, cast

import orjson

from lienthong.access.gate import FindAgreements, targets_of
from lienthong.catalog.models import Service, service_from_public
from lienthong.directory.models import MemberId, SystemId, member_of, system_of
from lienthong.exchange.signed import Incoming, Message, PeerLink, RefusedByProvider

NOTICE: Final = "describe"
KEPT_S: Final = 60.0
MISSED_S: Final = 2.0
"""A service that a kept description does not name may be newer: the description is then fetched again, this often."""
DEADLINE_S: Final = 10.0
MAX_DESCRIPTION: Final = 4 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Describer:
    """The provider's side: describes this node's services to other nodes."""

    services: Callable[[], Sequence[Service]]
    find: FindAgreements

    async def answer(self, _: str, incoming: Incoming) -> dict[str, object]:
        """The services of the system asked about that the asking system may know of."""
        asked = incoming.service.rsplit("/", 1)[0]
        shown = [s for s in self.services() if s.system == asked and self._may_know(s, incoming.consumer)]
        return {"services": [service.public() for service in shown]}

    def _may_know(self, service: Service, consumer: SystemId) -> bool:
        return (
            service.sharing != "private"
            or member_of(consumer) == service.member
            or bool(self.find(consumer, targets_of(service.id)))
        )


@dataclass(slots=True)
class Descriptions:
    """The consumer's side: descriptions of other members' services, fetched when first needed."""

    link: PeerLink
    _kept: dict[tuple[str, str], tuple[float, tuple[Service, ...]]] = field(
        default_factory=dict[tuple[str, str], tuple[float, tuple[Service, ...]]]
    )

    async def of_system(self, consumer: SystemId, system: str, *, max_age_s: float = KEPT_S) -> tuple[Service, ...]:
        """The services of ``system`` as its node describes them to ``consumer``, at most ``max_age_s`` ago.

        Raises the problems of an unknown member and of an unreachable or refusing node.
        """
        key = (consumer, system)
        kept = self._kept.get(key)
        if kept and time.monotonic() - kept[0] < max_age_s:
            return kept[1]
        exchanged = await self.link.send(
            Message(
                consumer=consumer,
                service=f"{system}/{NOTICE}",
                target=f"/x1/{NOTICE}".encode(),
                exchange_id=str(uuid.uuid4()),
                purpose=None,
                agreement=None,
            ),
            MemberId(member_of(system)),
            deadline_s=DEADLINE_S,
            max_body=MAX_DESCRIPTION,
        )
        body = cast("dict[str, object]", orjson.loads(exchanged.answer.body))
        if exchanged.answer.status >= 400:
            raise RefusedByProvider(body, exchanged.answer.status)
        listed = cast("list[dict[str, object]]", body["services"])
        services = tuple(service_from_public(described) for described in listed)
        self._kept[key] = (time.monotonic(), services)
        return services

    def at_hand(self, identifier: str) -> Service | None:
        """The service as it was last described to any of our systems, without asking; None when it was not."""
        system = system_of(identifier)
        return next(
            (
                service
                for (_, described), (_, services) in self._kept.items()
                if described == system
                for service in services
                if service.id == identifier
            ),
            None,
        )

    async def service(self, consumer: SystemId, identifier: str) -> Service | None:
        """One service by id, or None when its system does not offer it (to this consumer)."""
        for max_age_s in (KEPT_S, MISSED_S):
            for service in await self.of_system(consumer, system_of(identifier), max_age_s=max_age_s):
                if service.id == identifier:
                    return service
        return None
