"""Two members with keys, a directory that knows them, and their nodes talking in plain function calls."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from psycopg import AsyncConnection

from lienthong.agreements import queries
from lienthong.agreements.answer import approve_request
from lienthong.agreements.ask import request_agreement
from lienthong.agreements.models import Terms
from lienthong.agreements.negotiate import receive_answer, receive_message
from lienthong.agreements.payloads import Outgoing
from lienthong.agreements.records import Negotiation, StoredDocument
from lienthong.agreements.signing import MemberSigner
from lienthong.agreements.states import STATES, Party
from lienthong.directory.document import Snapshot
from lienthong.directory.models import Member, MemberKey, NodeId, Rule
from lienthong.trust.keys import generate_es256, key_id, public_jwk
from tests.agreements.build import COUNTER, LAND_OFFICE, NOON, POLICE, PROVINCE, some_terms
from tests.directory.build import END, START, a_member, a_purpose, a_snapshot, a_system

Db = AsyncConnection[Any]
OTHER = "VN/GOV/H31"


@dataclass
class Country:
    """The keys of each member, and the directory that lists them."""

    keys: dict[str, EllipticCurvePrivateKey] = field(
        default_factory=lambda: {member: generate_es256() for member in (POLICE, PROVINCE, OTHER)}
    )

    def signer(self, member: str) -> MemberSigner:
        key = self.keys[member]
        return MemberSigner(member, key_id(public_jwk(key)), key)

    def signers(self, *members: str) -> Any:
        return lambda member: self.signer(member) if member in members else None

    def member_key(self, member: str, **changes: Any) -> MemberKey:
        jwk = public_jwk(self.keys[member])
        return MemberKey(
            **{
                "keyid": key_id(jwk),
                "jwk": jwk,
                "node": NodeId("nut-x"),
                "valid_from": START,
                "valid_to": END,
                **changes,
            }
        )

    def member(self, member: str, **changes: Any) -> Member:
        return a_member(member, **{"keys": (self.member_key(member),), **changes})

    def snapshot(self, rules: tuple[Rule, ...] = (), expires: datetime = END, **changed: Member) -> Snapshot:
        """The directory; keywords replace members by the last part of their id."""
        return a_snapshot(
            issued=NOON,
            expires=expires,
            members=tuple(
                changed.get(member.rsplit("/", 1)[-1], self.member(member)) for member in (POLICE, PROVINCE, OTHER)
            ),
            systems=(a_system(COUNTER), a_system(LAND_OFFICE)),
            purposes=(a_purpose("HP-01"), a_purpose("HP-02"), a_purpose("CHUNG", common=True)),
            rules=rules,
        )


@dataclass
class TwoNodes:
    """A consumer's and a provider's node, each with its own database; messages travel as JSON text."""

    country: Country
    consumer: Db
    provider: Db
    now: datetime = NOON

    async def ask(self, terms: Terms | None = None, **options: Any) -> tuple[Outgoing, str]:
        """A request the provider has acknowledged; the request and the provider's id of it."""
        snapshot = self.country.snapshot()
        sent = await request_agreement(
            self.consumer, snapshot, terms or some_terms(), **{"note": "Một cửa", "now": self.now, **options}
        )
        answer = await self.to_provider(sent.payload)
        await receive_answer(self.consumer, snapshot, sent, answer, now=self.now)
        return sent, str(answer["providerPid"])

    async def to_provider(self, payload: Any, sender: str = PROVINCE) -> dict[str, Any]:
        return await receive_message(
            self.provider,
            self.country.snapshot(),
            over_the_wire(payload),
            sender=sender,
            signers=self.country.signers(POLICE),
            now=self.now,
        )

    async def to_consumer(self, payload: Any, sender: str = POLICE, snapshot: Snapshot | None = None) -> dict[str, Any]:
        return await receive_message(
            self.consumer,
            snapshot or self.country.snapshot(),
            over_the_wire(payload),
            sender=sender,
            signers=self.country.signers(PROVINCE),
            now=self.now,
        )

    async def approve(self, pid: str) -> Outgoing:
        """The provider's signed answer to a request."""
        signer = self.country.signer(POLICE)
        return await approve_request(self.provider, self.country.snapshot(), signer, pid, now=self.now)

    async def agree(self, **terms: Any) -> StoredDocument:
        """A finalised agreement, as the provider stored it."""
        _, pid = await self.ask(some_terms(**terms))
        await self.carry(await self.approve(pid))
        (current,) = await queries.current_agreements(self.provider)
        stored = await queries.stored_document(self.provider, current.digest)
        assert stored is not None
        return stored

    async def carry(self, sent: Outgoing | None) -> None:
        """Carry a message of the provider, and what follows from its answer, to the end."""
        while sent is not None:
            answer = await self.to_consumer(sent.payload)
            sent = await receive_answer(self.provider, self.country.snapshot(), sent, answer, now=self.now)


async def the_negotiation(db: Db, side: Party) -> Negotiation:
    """The only negotiation of a side."""
    (negotiation,) = await queries.negotiations_in(db, side, STATES)
    return negotiation


def over_the_wire(payload: Any) -> dict[str, Any]:
    return json.loads(json.dumps(payload))
