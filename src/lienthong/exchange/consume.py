"""The consumer's side of the exchange: find the provider, check our own copy of the agreement, ask, prove, record.

A use is recorded here too, and names the provider's record; an answer that can not be proven is withheld.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from lienthong.access.gate import Refused, agreement_ref
from lienthong.access.models import Outcome, Record, Use, Way, digest
from lienthong.access.receipt import message_evidence
from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.directory.models import SystemId, member_of
from lienthong.errors import Problem
from lienthong.exchange.answer import Answer
from lienthong.exchange.disclosure import may_be_public, without_unknown_words
from lienthong.exchange.parts import FindService, Parts
from lienthong.exchange.pour import CLOSED_REASON, OPENED_REASON, Pour, Receiving
from lienthong.exchange.signed import JSON_TYPE, PROBLEM_FIELD, Exchanged, Message, new_id
from lienthong.exchange.spool import Spool
from lienthong.exchange.stream import AnswerStream
from lienthong.trust.messages import Verified
from lienthong.trust.seal import commitment, new_salt


@dataclass(frozen=True, slots=True)
class Wish:
    """What one of our systems wants."""

    consumer: SystemId
    service: str
    way: Way
    target: bytes
    """Path and query on the provider's peer listener."""
    body: bytes = b""
    large: Spool | None = None
    """The body, where it is too large to hold; ``body`` is then empty."""
    content_type: str = JSON_TYPE
    method: str = "POST"
    purpose: str | None = None
    default_purpose: str | None = None
    fields: frozenset[str] | None = None
    extra: Mapping[str, str] | None = None
    exchange_id: str | None = None
    deadline_s: float = 60.0
    max_body: int = 16 * 1024 * 1024
    streams: bool = False
    """Whether a large answer may come as ``Used.pour``."""


@dataclass(frozen=True, slots=True)
class Used:
    """The provider's proven answer and the hash of our record of it."""

    answer: Answer
    decision: Decision
    record: str
    peer_record: str
    exchange_id: str
    pour: Pour | None = None
    """Sends the answer's body where it is too large to hold; ``answer`` is then without one, ``record`` the opening."""


@dataclass(frozen=True, slots=True)
class End:
    """How a streamed answer ended."""

    reason: str
    stream: AnswerStream


def nothing_known(identifier: str) -> Service | None:
    """No other member's service is known."""
    del identifier


class Consumer:
    """Carries out wishes of this node's own systems."""

    def __init__(self, parts: Parts, described: FindService = nothing_known) -> None:
        """``described``: other members' services as far as this node has their descriptions at hand."""
        self._parts = parts
        self._described = described

    async def use(self, wish: Wish) -> Used:
        """Carry out ``wish``; whatever happens to a known system's wish is on record before this returns.

        Raises the refusals of the gate, the problems of an unreachable or misbehaving provider, and ``no-record``.
        An answer with an error status of the provider is returned like any other.
        """
        self._parts.writer.check()  # before anybody is asked for what could not be recorded
        use = Use(
            way=wish.way,
            exchange_id=wish.exchange_id or new_id(),
            consumer=wish.consumer,
            provider=member_of(wish.service),
            resource=wish.service,
            purpose=wish.purpose,
            at=datetime.now(UTC),
        )
        decision: Decision | None = None
        try:
            self._parts.snapshot().serving_node(use.provider)
            decision = await self._parts.admit(
                "consumer", use, fields=wish.fields, default_purpose=wish.default_purpose
            )
            await self._parts.accept_rule(decision, member_of(use.consumer), use.exchange_id)
            exchanged = await self._send(wish, use, decision)
        except Problem as problem:
            if isinstance(problem, Refused) and problem.decision:
                decision = problem.decision
            problem.record = await self._record(wish, use, decision, None, problem)
            raise
        stream = exchanged.stream
        try:
            record = await self._record(wish, use, decision, exchanged, None)
        except BaseException:
            if stream is not None:
                stream.close()
            raise
        used = Used(exchanged.answer, decision, record, exchanged.record, use.exchange_id)
        if stream is None:
            return used

        async def record_end(reason: str, ended: AnswerStream) -> None:
            await self._record(wish, use, decision, exchanged, None, End(reason, ended))

        return replace(used, pour=Receiving(stream, record_end).pour)

    async def refused(self, wish: Wish, problem: Problem) -> None:
        """Record a wish that was refused before it was carried out, while its question was planned."""
        use = Use(
            way=wish.way,
            exchange_id=wish.exchange_id or new_id(),
            consumer=wish.consumer,
            provider=member_of(wish.service),
            resource=wish.service,
            purpose=wish.purpose,
            at=datetime.now(UTC),
        )
        decision = problem.decision if isinstance(problem, Refused) else None
        problem.record = await self._record(wish, use, decision, None, problem)

    async def _send(self, wish: Wish, use: Use, decision: Decision) -> Exchanged:
        agreement = f"{decision.agreement_id};{decision.version}" if decision.agreement_id else None
        message = Message(
            consumer=wish.consumer,
            service=wish.service,
            target=wish.target,
            exchange_id=use.exchange_id,
            purpose=decision.purpose,
            agreement=agreement,
            body=wish.body,
            large=wish.large,
            content_type=wish.content_type,
            method=wish.method,
            extra=wish.extra,
            streams=wish.streams,
        )
        return await self._parts.link.send(
            message, member_of(wish.service), deadline_s=wish.deadline_s, max_body=wish.max_body
        )

    async def _record(
        self,
        wish: Wish,
        use: Use,
        decision: Decision | None,
        exchanged: Exchanged | None,
        problem: Problem | None,
        end: End | None = None,
    ) -> str:
        salt = new_salt()
        outcome, reason = outcome_of(exchanged, problem)
        if exchanged is not None and exchanged.stream is not None:
            reason = end.reason if end else OPENED_REASON
            outcome = "permitted" if reason in (OPENED_REASON, CLOSED_REASON) else "failed"
        purpose = decision.purpose if decision and decision.purpose else use.purpose
        if exchanged is None:
            snapshot = self._parts.snapshot()
            purpose = purpose if purpose and snapshot.purpose(purpose) else None
            if decision is None or decision.agreement_id is None:
                use = without_unknown_words(use, snapshot)
        record = Record(
            side="consumer",
            exchange_id=use.exchange_id,
            at=use.at,
            node=self._parts.settings.node,
            consumer=use.consumer,
            provider=use.provider,
            resource=use.resource,
            way=use.way,
            purpose=purpose,
            ground=decision.ground if decision else None,
            agreement=agreement_ref(decision),
            decision_digest=decision.decision_digest or None if decision else None,
            outcome=outcome,
            reason=reason,
            target_commitment=commitment(salt, wish.target.decode("latin-1")).hex(),
            request_signature_digest=digest(exchanged.request.raw) if exchanged else None,
            response_signature_digest=digest(exchanged.response.raw) if exchanged else None,
            body_digest=digest(exchanged.answer.body) if exchanged else None,
            bytes=len(exchanged.answer.body) if exchanged else None,
            peer_record=exchanged.record if exchanged else None,
        )
        described = self._described(wish.service)
        public = may_be_public(
            wish.target,
            wish.service,
            wish.extra or {},
            personal=described.personal if described else None,
            empty=not wish.body and wish.large is None,
        )
        detail: dict[str, object] = {"salt": salt.hex(), "public": public}
        if exchanged:
            response: Verified | None = exchanged.response
            if end is not None:
                closed = end.stream.closed
                response = closed.response if closed else None
                record = replace(
                    record,
                    response_signature_digest=digest(response.raw) if response else None,
                    body_digest=f"sha-256:{end.stream.digest.hex()}",
                    bytes=end.stream.size_bytes,
                    peer_record=closed.record if closed else None,
                )
            detail["messages"] = self._evidence(wish, exchanged, response)
        known = self._parts.repeats.counted(record, time.monotonic())
        if known is not None:
            return known
        named = (await self._parts.writer.append(record, detail)).hex()
        self._parts.repeats.wrote(record, named, time.monotonic())
        return named

    def _evidence(self, wish: Wish, exchanged: Exchanged, response: Verified | None) -> dict[str, object]:
        local = self._parts.keys[member_of(wish.consumer)]
        request = exchanged.request
        messages: dict[str, object] = {
            "request": message_evidence(request.base, request.raw, local.keyid, dict(local.jwk))
        }
        if response is not None:
            owner = self._parts.snapshot().key(response.keyid)
            messages["response"] = message_evidence(
                response.base, response.raw, response.keyid, dict(owner[0].jwk) if owner else {}
            )
        return messages


def outcome_of(exchanged: Exchanged | None, problem: Problem | None) -> tuple[Outcome, str | None]:
    """Outcome and reason of a use for the record, from the provider's answer or our own problem."""
    if problem is not None:
        return ("refused" if isinstance(problem, Refused) else "failed"), problem.kind
    if exchanged is None:
        return "failed", "no-answer"
    answer = exchanged.answer
    told = answer.header(PROBLEM_FIELD)
    if told is not None:
        return ("refused" if answer.status < 500 else "failed"), told.decode("ascii", "replace")[:64]
    return "permitted", None
