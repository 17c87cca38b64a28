"""SQL questions of this node's systems, and the parts of other members' questions that this node answers.

Here the query package meets the exchange: names become services, every table is considered under our own copy of its
agreement before anything is sent, and each sub-query is a recorded use of its own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, cast

import orjson

from lienthong.access.gate import Refused
from lienthong.access.models import Use
from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.config import Settings
from lienthong.directory.models import MemberId, ServiceId, SystemId, member_of
from lienthong.exchange.consume import Consumer, Wish
from lienthong.exchange.describe import KEPT_S, MISSED_S, Descriptions
from lienthong.exchange.parts import Parts, SubqueryAnswer
from lienthong.exchange.provide import view_of
from lienthong.exchange.signed import RefusedByProvider
from lienthong.query.ask import Asked, AskLimits, Granted, PartAnswer, ask
from lienthong.query.models import SubQuery
from lienthong.query.names import find_service, fold_name, read_name
from lienthong.query.operations import MERGE_LIMITS, PART_LIMITS, Planner, Restrictor
from lienthong.query.problems import UnknownTable
from lienthong.query.serve import answer_subquery
from lienthong.tables.queries import Sources
from lienthong.tables.sandbox import Sandbox

QUERY_TARGET: Final = b"/x1/query"
SUBJECTS_NOT_LISTED: Final = "subjects-not-listed"
"""Reason in the record of a query about more persons than one record names."""


@dataclass(frozen=True, slots=True)
class Question:
    """What one of our systems asks."""

    consumer: SystemId
    sql: str
    purpose: str | None
    default_purpose: str | None


class Questions:
    """Answers questions over tables of several members."""

    def __init__(
        self, parts: Parts, consumer: Consumer, sandbox: Sandbox, planner: Planner, descriptions: Descriptions
    ) -> None:
        self._parts = parts
        self._consumer = consumer
        self._sandbox = sandbox
        self._planner = planner
        self._descriptions = descriptions

    async def ask(self, question: Question) -> Asked:
        """The answer to ``question`` as JSON columns and rows, with the agreements and records of its parts.

        Raises a QueryRefused, the gate's refusals (recorded), the providers' problems and those of the sandbox.
        """
        settings = self._parts.settings
        limits = AskLimits(
            deadline_s=settings.query_timeout_s,
            most_rows=settings.query_max_rows,
            part_bytes=settings.max_query_bytes,
            merge=replace(MERGE_LIMITS, memory_mb=settings.query_memory_mb, wall_s=settings.query_timeout_s),
        )

        async def describe(name: str) -> Granted:
            return await self._granted(question, name)

        async def send(asked: SubQuery) -> PartAnswer:
            return await self._send(question, asked)

        return await ask(
            question.sql, planner=self._planner, sandbox=self._sandbox, describe=describe, send=send, limits=limits
        )

    async def _granted(self, question: Question, name: str) -> Granted:
        """The table that ``name`` means, as our copy of the agreement lets it be used."""
        service = await self._service(question.consumer, name)
        wish = self._wish(question, service.id)
        use = Use(
            way="query",
            exchange_id="-",
            consumer=question.consumer,
            provider=member_of(service.id),
            resource=service.id,
            purpose=question.purpose,
            at=datetime.now(UTC),
        )
        try:
            decision = self._parts.gate.consider(use, default_purpose=question.default_purpose)
        except Refused as refused:
            await self._consumer.refused(wish, refused)
            raise
        return Granted(service, view_of(decision), decision.min_group)

    async def _send(self, question: Question, asked: SubQuery) -> PartAnswer:
        wish = self._wish(question, asked.service, orjson.dumps({"sql": asked.sql}))
        used = await self._consumer.use(wish)
        answer = used.answer
        if answer.status >= 400:
            raise RefusedByProvider(cast("dict[str, object]", orjson.loads(answer.body)), answer.status)
        return PartAnswer(answer.body, used.decision.agreement_id, used.record, used.peer_record)

    def _wish(self, question: Question, service: str, body: bytes = b"") -> Wish:
        settings = self._parts.settings
        return Wish(
            consumer=question.consumer,
            service=service,
            way="query",
            target=QUERY_TARGET,
            body=body,
            purpose=question.purpose,
            default_purpose=question.default_purpose,
            deadline_s=settings.query_timeout_s,
            max_body=settings.max_query_bytes,
        )

    async def _service(self, consumer: SystemId, name: str) -> Service:
        """The service that a table's name in SQL means to ``consumer``."""
        try:
            return await self._found(consumer, name, KEPT_S)
        except UnknownTable:
            # It may have been published after the descriptions were fetched.
            return await self._found(consumer, name, MISSED_S)

    async def _found(self, consumer: SystemId, name: str, max_age_s: float) -> Service:
        parts = read_name(name)
        own = member_of(consumer)
        if len(parts) < 3:
            listed = [service for service in self._parts.services() if service.member == own]
        else:
            listed = [
                service
                for member in self._members(parts[0])
                for system in self._systems(member, parts[1])
                for service in await self._offered(consumer, system, max_age_s)
            ]
        tables = {service.id: service for service in listed if service.kind == "table"}
        return tables[ServiceId(find_service(name, tables, own))]

    async def _offered(self, consumer: SystemId, system: SystemId, max_age_s: float) -> tuple[Service, ...]:
        if MemberId(member_of(system)) in self._parts.keys and member_of(system) == member_of(consumer):
            return tuple(service for service in self._parts.services() if service.system == system)
        return await self._descriptions.of_system(consumer, system, max_age_s=max_age_s)

    def _members(self, code: str) -> list[MemberId]:
        return [
            member.id
            for member in self._parts.snapshot().contents.members
            if fold_name(member.id.rsplit("/", 1)[1]) == code and member.state == "active"
        ]

    def _systems(self, member: MemberId, name: str) -> list[SystemId]:
        return [
            system.id
            for system in self._parts.snapshot().contents.systems
            if member_of(system.id) == member and fold_name(system.id.rsplit("/", 1)[1]) == name
        ]


@dataclass(frozen=True, slots=True)
class Subqueries:
    """The provider's side: answers parts of other members' questions from this node's tables."""

    sandbox: Sandbox
    restrictor: Restrictor
    sources: Sources
    settings: Settings

    async def answer(self, service: Service, sql: str, decision: Decision) -> SubqueryAnswer:
        """An Arrow stream, its rows and subjects; raises what the query package and the sandbox raise."""
        limits = replace(
            PART_LIMITS,
            memory_mb=self.settings.query_memory_mb,
            wall_s=self.settings.query_timeout_s,
            max_bytes=self.settings.max_query_bytes,
        )
        answered = await answer_subquery(
            service, sql, decision, self.sandbox, self.restrictor, limits, sources=self.sources
        )
        note = SUBJECTS_NOT_LISTED if answered.too_many_subjects else None
        return SubqueryAnswer(answered.arrow, answered.rows, answered.subjects, note)


def answer_json(asked: Asked) -> bytes:
    """The whole answer: columns, rows, and which table was read under which agreement."""
    merged = cast("Mapping[str, object]", orjson.loads(asked.body))
    return orjson.dumps(
        {
            "columns": merged["columns"],
            "rows": merged["rows"],
            "truncated": asked.truncated,
            "sources": asked.sources(),
        }
    )
