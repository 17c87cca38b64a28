"""Asking the source of a copy to correct rows: one signed message between nodes, one case at the source for each row.

Promises: only a member with an agreement in force about the table may ask; the same row in the same fields asked again
is the same case; which row it is stands in the case's text alone, seen by the two sides.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any, ClassVar, Final, cast

import orjson

from lienthong.access.gate import targets_of
from lienthong.agreements.policy import Compiled
from lienthong.cases.opening import Wish, open_case
from lienthong.catalog.models import Service
from lienthong.directory.models import MemberId, SystemId, member_of
from lienthong.errors import Problem, Side
from lienthong.exchange.parts import PeerNotice
from lienthong.exchange.signed import Incoming, Message, PeerLink, RefusedByProvider, body_object
from lienthong.i18n import T, translate
from lienthong.identity.models import Actor, Assurance, Role
from lienthong.node.desk import DESK
from lienthong.storage.pool import Pool

NOTICE: Final = "corrections"
KIND: Final = "correction"
MOST_ROWS: Final = 100
LONGEST_REASON: Final = 2_000
LONGEST_KEY: Final = 200
DEADLINE_S: Final = 20.0
MAX_ANSWER: Final = 256 * 1024
TITLE: Final = T("A member's copy of {service} differs: {fields}")
TITLE_ABSENT: Final = T("A member's copy of {service} holds a row that the source lacks")
TEXT: Final = T("Row {key} ({column}). Fields that differ: {fields}. The member says: {reason}")


class CorrectionMalformed(Problem):
    """A message that asks for corrections can not be read."""

    kind: ClassVar[str] = "correction-malformed"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The request for corrections can not be read")


class CorrectionNotOurs(Problem):
    """Corrections are asked of a table that is not here, or by a member without an agreement about it."""

    kind: ClassVar[str] = "correction-not-ours"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("This node takes no corrections of that table from this member")


@dataclass(frozen=True, slots=True)
class WrongRow:
    """One row, as the member with the copy names it."""

    key: str
    fields: tuple[str, ...]
    """Fields that differ; none: the source has no such row."""


@dataclass(frozen=True, slots=True)
class CorrectionDesk:
    """The source's side."""

    pool: Pool
    service: Callable[[str], Service | None]
    find: Callable[[SystemId, Sequence[str]], Sequence[Compiled]]

    def handlers(self) -> dict[str, PeerNotice]:
        """Path below ``/x1/`` to handler."""
        return {NOTICE: self.receive}

    async def receive(self, _: str, incoming: Incoming) -> dict[str, object]:
        """Open a case for each row; ``cases`` in the order asked.  Raises CorrectionMalformed, CorrectionNotOurs."""
        now, sender = datetime.now(UTC), member_of(incoming.consumer)
        told = body_object(incoming.body)
        identifier, column, reason = (str(told.get(name, "")) for name in ("service", "key", "reason"))
        rows = _rows(told)
        service = self.service(identifier)
        known = {each.name for each in service.fields} if service else set[str]()
        agreed = any(
            each.ended_at is None or now < each.ended_at
            for each in self.find(incoming.consumer, targets_of(identifier) if service else ())
        )
        if service is None or not agreed:
            raise CorrectionNotOurs(T("No agreement in force about such a table binds this member and ours."))
        if column not in known or not reason.strip() or len(reason) > LONGEST_REASON:
            raise _malformed()
        if not all(set(row.fields) <= known for row in rows):
            raise _malformed()
        cases: list[str] = []
        async with self.pool.connection() as db:
            for row in rows:
                cases.append(await self._opened(db, service, column, row, reason, sender, now))
        return {"cases": cases}

    async def _opened(
        self, db: Any, service: Service, column: str, row: WrongRow, reason: str, sender: MemberId, now: datetime
    ) -> str:  # Any: a connection, passed on
        fields = ", ".join(row.fields)
        title = translate(TITLE if row.fields else TITLE_ABSENT, "vi", service=service.title_vi, fields=fields)
        text = translate(TEXT, "vi", key=row.key, column=column, fields=fields or "-", reason=reason)
        wish = Wish(KIND, service.member, title[:200], text, facts={"service": service.id, "member": sender})
        once = hashlib.sha256("\0".join((sender, service.id, row.key, *row.fields, reason)).encode()).hexdigest()
        asking = Actor(None, "", sender, frozenset({Role.CASE_OFFICER}), Assurance.TWO_FACTORS, None)
        return (await open_case(db, wish, by=asking, now=now, once=once)).id


async def ask_for_corrections(
    link: PeerLink, system: str, service: str, *, column: str, rows: Sequence[WrongRow], reason: str
) -> list[str]:
    """Ask the source's node; the ids of its cases, in the order of ``rows``.

    Raises RefusedByProvider and what keeps a message from arriving.
    """
    body = {"service": service, "key": column, "reason": reason, "rows": [asdict(row) for row in rows]}
    source = member_of(service)
    exchanged = await link.send(
        Message(
            consumer=SystemId(f"{member_of(system)}/{DESK}"),
            service=f"{source}/{DESK}/{NOTICE}",
            target=f"/x1/{NOTICE}".encode(),
            exchange_id=str(uuid.uuid4()),
            purpose=None,
            agreement=None,
            body=orjson.dumps(body),
        ),
        source,
        deadline_s=DEADLINE_S,
        max_body=MAX_ANSWER,
    )
    answer = cast("dict[str, object]", orjson.loads(exchanged.answer.body))
    if exchanged.answer.status >= 400:
        raise RefusedByProvider(answer, exchanged.answer.status)
    return [str(each) for each in cast("list[object]", answer.get("cases", []))]


def _rows(told: Mapping[str, object]) -> list[WrongRow]:
    listed = told.get("rows")
    if not isinstance(listed, list) or not 1 <= len(cast("list[object]", listed)) <= MOST_ROWS:
        raise _malformed()
    rows: list[WrongRow] = []
    for each in cast("list[object]", listed):
        row = cast("dict[str, object]", each) if isinstance(each, dict) else {}
        key, fields = row.get("key"), row.get("fields")
        if not isinstance(key, str) or not 0 < len(key) <= LONGEST_KEY or not isinstance(fields, list):
            raise _malformed()
        rows.append(WrongRow(key, tuple(str(name) for name in cast("list[object]", fields))))
    return rows


def _malformed() -> CorrectionMalformed:
    return CorrectionMalformed(
        T("The message must name a table, its key, a reason and 1 to {most} rows with their fields."),
        mend=T("Both nodes need compatible versions; compare them."),
        most=MOST_ROWS,
    )
