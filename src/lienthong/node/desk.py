"""Carrying agreements between nodes: a verb's message goes out signed, its answer comes back, until nothing is left.

The verbs of ``agreements`` decide; here only their messages travel, each step in a transaction of its own so that
what one side signed is never lost because the other did not answer.
"""

from __future__ import annotations

import uuid
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import ClassVar, Final, cast

import orjson
import structlog

from lienthong.agreements import queries
from lienthong.agreements.answer import Refusal, approve_request, refuse_request
from lienthong.agreements.ask import request_agreement
from lienthong.agreements.ending import end_agreement
from lienthong.agreements.models import Terms
from lienthong.agreements.negotiate import receive_answer, receive_message, unanswered
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.signing import MemberSigner
from lienthong.config import Settings
from lienthong.directory.models import MemberId, SystemId
from lienthong.errors import Problem, Side
from lienthong.exchange.client import HttpClient
from lienthong.exchange.peer import PeerOrigins
from lienthong.exchange.signed import Incoming, LocalKey, Message, PeerLink, RefusedByProvider, body_object
from lienthong.i18n import T
from lienthong.node.certificates import CertificateChoice
from lienthong.node.local import KeptDirectory
from lienthong.node.prepare import local_keys, renew_keys
from lienthong.storage.keyring import open_keyring
from lienthong.storage.pool import Pool, open_pool

log = structlog.get_logger("lienthong.jobs")
NOTICE: Final = "agreements"
"""Name of the path ``/x1/agreements`` on the peer listener."""
DESK: Final = "nut"
"""System part under which a node speaks for a member itself rather than for one of its systems."""
MEMBER_PARTS: Final = 3
DEADLINE_S: Final = 20.0
MAX_ANSWER: Final = 4 * 1024 * 1024


class NotOurMember(Problem):
    """The deed needs the key of a member that this node does not act for."""

    kind: ClassVar[str] = "not-our-member"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("This node does not act for that member")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where a node's officers and other nodes make agreements."""

    pool: Pool
    directory: KeptDirectory
    keys: Mapping[MemberId, LocalKey]
    link: PeerLink

    async def request(self, terms: Terms, note: str, replaces: str | None = None) -> str:
        """Ask the provider for ``terms``; returns our id of the negotiation.

        ``replaces``: id of the current agreement whose next version is asked for.
        """
        async with self.pool.connection() as db:
            sent = await request_agreement(
                db, self.directory.snapshot(), terms, note=note, now=datetime.now(UTC), replaces=replaces
            )
        await self.carry(sent)
        return str(sent.payload["consumerPid"])

    async def requests(self) -> list[str]:
        """Our ids of the requests that wait for this node's approval."""
        async with self.pool.connection() as db:
            return [n.pid for n in await queries.negotiations_in(db, "provider", ("REQUESTED",))]

    async def has_agreement(self, target: str, consumer: str) -> bool:
        """Whether an agreement between these two counts here, or a request for one waits."""
        async with self.pool.connection() as db:
            current = await queries.current_agreements(db)
            return any(row.target == target and row.consumer == consumer for row in current)

    async def approve(self, pid: str, member: str) -> None:
        """Sign what was asked for; the other side countersigns before this returns."""
        async with self.pool.connection() as db:
            sent = await approve_request(db, self.directory.snapshot(), self.signer(member), pid, now=datetime.now(UTC))
        await self.carry(sent)

    async def refuse(self, pid: str, reason: str, provision: str) -> None:
        """Refuse a request with its reason and the legal provision."""
        async with self.pool.connection() as db:
            sent = await refuse_request(db, pid, Refusal(reason, provision), now=datetime.now(UTC))
        await self.carry(sent)

    async def end(self, agreement: str, member: str, *, reason: str, provision: str | None, ends_at: datetime) -> None:
        """Give notice: the agreement ends at ``ends_at``; the other side is told, if there is one to tell."""
        async with self.pool.connection() as db:
            sent = await end_agreement(
                db,
                self.signer(member),
                agreement,
                reason=reason,
                provision=provision,
                ends_at=ends_at,
                now=datetime.now(UTC),
            )
        if len(sent.receiver.split("/")) == MEMBER_PARTS and not self._is_closed(sent.receiver):
            await self.carry(sent)

    async def send_again(self) -> int:
        """Carry the messages that were never answered; how many there were.

        One that is refused, or whose receiver is away, does not keep the others from being sent.
        """
        async with self.pool.connection() as db:
            waiting = [sent for sent in await unanswered(db) if not self._is_closed(sent.receiver)]
        for sent in waiting:
            try:
                await self.carry(sent)
            except Problem as failed:
                log.warning("agreement.not-sent", receiver=sent.receiver, error=failed.kind)
        return len(waiting)

    async def receive(self, _: str, incoming: Incoming) -> dict[str, object]:
        """A message of another node about an agreement, as the peer listener's handler."""
        sender = "/".join(incoming.consumer.split("/")[:3])
        async with self.pool.connection() as db:
            answer = await receive_message(
                db,
                self.directory.snapshot(),
                body_object(incoming.body),
                sender=sender,
                signers=self.signer_of,
                now=datetime.now(UTC),
            )
        return dict(answer)

    def signer(self, member: str) -> MemberSigner:
        """The signer of ``member``; raises NotOurMember."""
        found = self.signer_of(member)
        if found is None:
            raise NotOurMember(
                T("This node holds no key of {member}."), mend=T("Do it on the member's own node."), member=member
            )
        return found

    def signer_of(self, member: str) -> MemberSigner | None:
        """The signer of ``member``, or None when this node does not act for it."""
        local = self.keys.get(MemberId(member))
        return MemberSigner(member, local.keyid, local.key) if local else None

    def _is_closed(self, member: str) -> bool:
        known = self.directory.snapshot().member(member)
        return known is not None and known.state == "closed"

    async def carry(self, sent: Outgoing | None) -> None:
        """Take a message to its receiver, and what its answer leads to, until nothing is left to say."""
        while sent is not None:
            exchanged = await self.link.send(
                Message(
                    consumer=SystemId(f"{sent.sender}/{DESK}"),
                    service=f"{sent.receiver}/{DESK}/{NOTICE}",
                    target=f"/x1/{NOTICE}".encode(),
                    exchange_id=str(uuid.uuid4()),
                    purpose=None,
                    agreement=None,
                    body=orjson.dumps(sent.payload),
                ),
                MemberId(sent.receiver),
                deadline_s=DEADLINE_S,
                max_body=MAX_ANSWER,
            )
            answer = cast("dict[str, object]", orjson.loads(exchanged.answer.body))
            if exchanged.answer.status >= 400:
                raise RefusedByProvider(answer, exchanged.answer.status)
            async with self.pool.connection() as db:
                sent = await receive_answer(db, self.directory.snapshot(), sent, answer, now=datetime.now(UTC))


@asynccontextmanager
async def open_desk(settings: Settings, dsn: str) -> AsyncGenerator[Desk]:
    """The desk of a node for one command: ``dsn`` is an account of the node's database."""
    keyring = open_keyring(settings)
    directory = KeptDirectory(settings)
    own = CertificateChoice(settings, keyring).own(directory.snapshot())
    keys = local_keys(settings, keyring)
    renew_keys(keys, settings, keyring, directory.snapshot(), datetime.now(UTC))
    client = HttpClient()
    pool = await open_pool(dsn, min_size=1, max_size=2)
    try:
        origins = PeerOrigins(own, directory.snapshot().contents.authorities)
        yield Desk(pool, directory, keys, PeerLink(client, directory.snapshot, keys, origins))
    finally:
        await pool.close()
        await client.close()
