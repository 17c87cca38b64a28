"""The provider's side of the exchange: who asks, may it, do it, record it durably, only then release it.

Everything that arrives on the peer listener comes through ``Provider.answer``; what leaves it is signed, bound to the
request, and named by a record that is already on disk.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha256
from typing import ClassVar

import orjson

from lienthong.access.gate import Refused, agreement_ref
from lienthong.access.models import Outcome, Record, Use, Way, digest, record_hash, write_record
from lienthong.access.receipt import message_evidence
from lienthong.agreements.policy import Decision
from lienthong.catalog.models import Service
from lienthong.directory.models import member_of
from lienthong.errors import Problem, Side
from lienthong.exchange.answer import Headers
from lienthong.exchange.backend import listed
from lienthong.exchange.client import Flow
from lienthong.exchange.disclosure import PREFIX, may_be_public, without_unknown_words
from lienthong.exchange.frames import FRAMES_FIELD, FRAMES_TYPE, Sealing
from lienthong.exchange.parts import Parts
from lienthong.exchange.pour import CLOSED_REASON, NOTHING_DIGEST, OPENED_REASON, Pour, Pouring
from lienthong.exchange.project import limited, parsed, selected
from lienthong.exchange.signed import (
    JSON_TYPE,
    PROBLEM_FIELD,
    PROBLEM_TYPE,
    Incoming,
    LocalKey,
    RefusedByProvider,
    authenticate,
    body_object,
    sealed_answer,
)
from lienthong.exchange.spool import Spool
from lienthong.i18n import T
from lienthong.tables.models import View
from lienthong.tables.page import page_json, wanted_from_call
from lienthong.trust.digest import content_digest, content_digest_field
from lienthong.trust.seal import commitment, new_salt

ARROW_TYPE = "application/vnd.apache.arrow.stream"
FIELDS_THAT_TELL_NOTHING = frozenset({b"content-language", b"cache-control", b"retry-after", b"allow"})
"""What passes of a back end's fields where the agreement limits its answer: others may hold what was not granted, as
Location and Set-Cookie do, and ETag as a digest of it."""


class UnknownService(Refused):
    """This node's member has no such service, or it is switched off."""

    kind: ClassVar[str] = "unknown-service"
    status: ClassVar[int] = 404
    title: ClassVar[str] = T("No such service")


class NoSuchPeerPath(Problem):
    """A path that the peer listener does not have."""

    kind: ClassVar[str] = "unknown-peer-path"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("No such address on the peer listener")


class SubjectNotFound(Problem):
    """A personal answer in which the subject selectors found nobody is withheld."""

    kind: ClassVar[str] = "subject-not-found"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The answer does not say whom it is about")


@dataclass(frozen=True, slots=True)
class PeerRequest:
    """A request as it arrived on the peer listener; field names are lower-case."""

    target: bytes
    headers: Mapping[str, str]
    body: bytes | None
    """None: it is still to come."""
    certificate: str | None
    large: Spool | None = None
    """The body, where it is too large to hold; ``body`` is then empty."""


@dataclass(frozen=True, slots=True)
class PeerAnswer:
    """What is sent back."""

    status: int
    headers: Headers
    body: bytes
    pour: Pour | None = None
    """Sends the body of an answer in frames, piece by piece; ``body`` is then empty."""


@dataclass(slots=True)
class Done:
    """The result of doing a use, before it is recorded."""

    status: int
    body: bytes
    content_type: str = JSON_TYPE
    headers: Headers = field(default_factory=list[tuple[bytes, bytes]])
    """Further fields, in the order of the wire: some, like Set-Cookie, may come more than once."""
    rows: int | None = None
    subjects: tuple[tuple[str, str], ...] = ()
    """Whom the answer is about: kind and identifier, in clear; only commitments reach the record."""
    note: str | None = None
    """What the record of a permitted use says beside it."""
    flow: Flow | None = None
    """The body, where it is too large to hold; it is closed by whoever releases it."""


Do = Callable[[Service, Decision, Incoming, bytes], Awaitable[Done]]


class Provider:
    """Answers other nodes."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    async def answer(self, request: PeerRequest) -> PeerAnswer:
        """The signed, recorded answer to ``request``.

        Raises a Problem when the sender is a stranger, the message stale or repeated, or no record could be written:
        then nothing is signed and nothing leaves but the problem.
        """
        parts = self._parts
        incoming = self.sender(request)
        verified = incoming.verified
        await parts.seen.take(verified.keyid, verified.nonce, created=verified.created, expires=verified.expires)
        path, _, query = request.target.partition(b"?")
        name = path.removeprefix(PREFIX).decode("ascii", "replace") if path.startswith(PREFIX) else ""
        if name == "query":
            return await self._use(incoming, "query", self._query, b"")
        if name == "events" and parts.answer_events is not None:
            return await self._use(incoming, "event", self._events, b"")
        if name in parts.notices:
            return await self._notice(name, incoming)
        rest = path.removeprefix(PREFIX + incoming.service.encode())
        if name.startswith(incoming.service) and rest[:1] in (b"", b"/"):
            return await self._use(incoming, "call", self._call, rest + (b"?" + query if query else b""))
        raise NoSuchPeerPath(
            T("The peer listener has no such address, or it names another service than the signed header."),
            mend=T("Both nodes need compatible versions; compare them."),
        )

    def sender(self, request: PeerRequest) -> Incoming:
        """Who sent ``request``.  Raises StrangerRefused or a MessageRefused."""
        parts = self._parts
        return authenticate(
            target=request.target,
            authority=request.headers.get("host", ""),
            peer_url=parts.settings.peer_url,
            headers=request.headers,
            body=request.body,
            certificate=request.certificate,
            snapshot=parts.snapshot(),
            large=request.large,
        )

    def passes_on(self, request: PeerRequest) -> bool:
        """Whether the body of ``request`` goes on to a back end as it is: then it may be too large to hold."""
        identifier = request.headers.get("lienthong-service", "")
        service = self._parts.service(identifier)
        return (
            service is not None
            and service.kind == "http"
            and request.target.startswith(PREFIX + identifier.encode("latin-1", "replace"))
        )

    async def _use(self, incoming: Incoming, way: Way, do: Do, rest: bytes) -> PeerAnswer:
        """Decide, do, record and release one use."""
        parts = self._parts
        parts.writer.check()  # before anything is asked for that could not be recorded
        use = Use(
            way=way,
            exchange_id=incoming.exchange_id,
            consumer=incoming.consumer,
            provider=member_of(incoming.service),
            resource=incoming.service,
            purpose=incoming.purpose,
            at=datetime.now(UTC),
        )
        local = self._parts.keys.get(member_of(incoming.service))
        if local is None:
            raise await self._not_served(use, incoming)
        decision: Decision | None = None
        outcome: Outcome = "permitted"
        reason: str | None = None
        try:
            service = self._service(incoming.service)
            decision = await parts.admit("provider", use)
            await parts.accept_rule(decision, member_of(use.consumer), use.exchange_id)
            async with parts.turns.turn(member_of(use.consumer)):
                done = await do(service, decision, incoming, rest)
            reason = done.note
        except Problem as problem:
            decision = problem.decision if isinstance(problem, Refused) and problem.decision else decision
            outcome = "refused" if isinstance(problem, Refused) or problem.status < 500 else "failed"
            reason = problem.kind
            done = problem_done(problem)
        if decision is not None and parts.leases is not None:
            done.headers += parts.leases.told("provider", decision, use.at)
        if done.flow is not None:
            return await self._opened(use, incoming, local, decision, done, done.flow)
        return await self._recorded(use, incoming, local, decision, done, outcome, reason)

    async def _recorded(
        self,
        use: Use,
        incoming: Incoming,
        local: LocalKey,
        decision: Decision | None,
        done: Done,
        outcome: Outcome,
        reason: str | None,
    ) -> PeerAnswer:
        salt = new_salt()
        hashed = sha256(done.body).digest()
        record = self._record(use, incoming, decision, done, salt, hashed, outcome, reason)
        body_digest = content_digest_field(hashed)
        headers: Headers = [(b"content-type", done.content_type.encode("latin-1")), *done.headers]
        known = self._parts.repeats.counted(record, time.monotonic())
        if known is not None:
            _, sealing = sealed_answer(done.status, body_digest, known, incoming, local)
            return PeerAnswer(done.status, headers + listed(sealing), done.body)
        leaf = write_record(record)
        named = record_hash(leaf)
        signed, sealing = sealed_answer(done.status, body_digest, named.hex(), incoming, local)
        response = message_evidence(signed.base, signed.raw, local.keyid, dict(local.jwk))
        detail = self._detail(incoming, salt) | {"subjects": done.subjects}
        detail["messages"] = {"request": self._request_evidence(incoming), "response": response}
        await self._parts.writer.append_leaf(leaf, named, detail)
        self._parts.repeats.wrote(record, named.hex(), time.monotonic())
        return PeerAnswer(done.status, headers + listed(sealing), done.body)

    async def _opened(
        self, use: Use, incoming: Incoming, local: LocalKey, decision: Decision | None, done: Done, flow: Flow
    ) -> PeerAnswer:
        """An answer in frames: its opening is on record before its first byte leaves, its end before the last frame."""

        async def record(reason: str, body_digest: bytes, size_bytes: int) -> Sealing:
            salt = new_salt()
            outcome: Outcome = "permitted" if reason in (OPENED_REASON, CLOSED_REASON) else "failed"
            written = self._record(use, incoming, decision, done, salt, body_digest, outcome, reason, size_bytes)
            leaf = write_record(written)
            named = record_hash(leaf)
            signed, sealing = sealed_answer(
                done.status, content_digest_field(body_digest), named.hex(), incoming, local
            )
            response = message_evidence(signed.base, signed.raw, local.keyid, dict(local.jwk))
            messages = {"request": self._request_evidence(incoming)}
            if outcome == "permitted":
                messages["response"] = response
            await self._parts.writer.append_leaf(leaf, named, self._detail(incoming, salt) | {"messages": messages})
            return Sealing(sealing, [])

        try:
            opening = await record(OPENED_REASON, NOTHING_DIGEST, 0)
        except BaseException:
            flow.close()
            raise
        fields: Headers = [(b"content-type", done.content_type.encode("latin-1")), *done.headers]
        pouring = Pouring(flow, replace(opening, headers=fields), record)
        return PeerAnswer(done.status, [(b"content-type", FRAMES_TYPE.encode("ascii"))], b"", pouring.pour)

    async def _not_served(self, use: Use, incoming: Incoming) -> UnknownService:
        """The problem of a message to a member that this node does not act for, once it is on record.

        It leaves unsigned: no key here may speak for that member.
        """
        refused = UnknownService(
            T("This node does not act for the member of {resource}."),
            mend=T("Refresh the directory: the member may have moved to another node."),
            resource=incoming.service,
        )
        salt = new_salt()
        # The words are the sender's own and none of ours to vouch for, so they are not kept, and neither is a signature
        # that holds over them only.
        use = without_unknown_words(use, self._parts.snapshot())
        done = problem_done(refused)
        hashed = sha256(done.body).digest()
        record = replace(
            self._record(use, incoming, None, done, salt, hashed, "refused", refused.kind),
            request_signature_digest=None,
        )
        refused.record = self._parts.repeats.counted(record, time.monotonic())
        if refused.record is None:
            refused.record = (await self._parts.writer.append(record, {"salt": salt.hex()})).hex()
            self._parts.repeats.wrote(record, refused.record, time.monotonic())
        return refused

    def _record(
        self,
        use: Use,
        incoming: Incoming,
        decision: Decision | None,
        done: Done,
        salt: bytes,
        body_sha256: bytes,
        outcome: Outcome,
        reason: str | None,
        size_bytes: int | None = None,
    ) -> Record:
        """The record of ``use``; ``size_bytes`` of a body that is not in ``done``."""
        return Record(
            side="provider",
            exchange_id=use.exchange_id,
            at=use.at,
            node=self._parts.settings.node,
            consumer=use.consumer,
            provider=use.provider,
            resource=use.resource,
            way=use.way,
            purpose=decision.purpose if decision else use.purpose,
            ground=decision.ground if decision else None,
            agreement=agreement_ref(decision),
            decision_digest=decision.decision_digest or None if decision else None,
            outcome=outcome,
            reason=reason,
            target_commitment=commitment(salt, incoming.target.decode("latin-1")).hex(),
            request_signature_digest=digest(incoming.verified.raw),
            body_digest=f"sha-256:{body_sha256.hex()}",
            bytes=len(done.body) if size_bytes is None else size_bytes,
            rows=done.rows,
            subjects=tuple([commitment(salt, f"{kind}:{code}").hex() for kind, code in done.subjects]),
        )

    def _detail(self, incoming: Incoming, salt: bytes) -> dict[str, object]:
        """What lies encrypted beside the record."""
        service = self._parts.service(incoming.service)
        public = may_be_public(
            incoming.target, incoming.service, incoming.headers, personal=service.personal if service else None
        )
        return {"salt": salt.hex(), "public": public}

    def _request_evidence(self, incoming: Incoming) -> dict[str, object]:
        owner = self._parts.snapshot().key(incoming.verified.keyid)
        verified = incoming.verified
        return message_evidence(verified.base, verified.raw, verified.keyid, dict(owner[0].jwk) if owner else {})

    async def _call(self, service: Service, decision: Decision, incoming: Incoming, rest: bytes) -> Done:
        if service.kind == "table":
            return await self._read_table(service, decision, incoming, rest)
        is_limited = decision.fields is not None or bool(decision.masks)
        may_stream = not service.personal and not is_limited and incoming.headers.get(FRAMES_FIELD) == "1"
        answer = await self._parts.call_backend(service, incoming, rest, may_stream)
        kind = (answer.header(b"content-type") or b"application/octet-stream").decode("latin-1")
        headers = [field for field in answer.headers if field[0] != b"content-type"]
        if isinstance(answer, Flow):
            return Done(answer.status, b"", kind, headers, flow=answer)
        if is_limited or (service.personal and answer.status >= 300):
            headers = [field for field in headers if field[0] in FIELDS_THAT_TELL_NOTHING]
        if answer.status >= 300:
            # An error's body has no published fields: it stays where the agreement limits any or persons are concerned.
            if service.personal or is_limited:
                return Done(answer.status, b"", JSON_TYPE, headers)
            return Done(answer.status, answer.body, kind, headers)
        persons: tuple[tuple[str, str], ...] = ()
        if service.personal:
            persons = persons_in(service, parsed(answer.body))
        body = limited(service, view_of(decision), answer.body)
        return Done(answer.status, body, JSON_TYPE if is_limited else kind, headers, subjects=persons)

    async def _read_table(self, service: Service, decision: Decision, incoming: Incoming, rest: bytes) -> Done:
        _, _, query = rest.partition(b"?")
        wanted = wanted_from_call(service, query.decode("ascii", "replace"), incoming.body)
        page = await self._parts.tables.rows(service, view_of(decision), wanted)
        if service.personal and page.rows and not page.subjects:
            raise SubjectNotFound(
                T("The answer was withheld: its rows name nobody."),
                mend=T("The provider corrects the service's subject selectors."),
            )
        return Done(200, page_json(page), JSON_TYPE, rows=len(page.rows), subjects=page.subjects)

    async def _query(self, service: Service, decision: Decision, incoming: Incoming, rest: bytes) -> Done:
        sql = str(body_object(incoming.body).get("sql", ""))
        answer = await self._parts.answer_subquery(service, sql, decision)
        return Done(200, answer.arrow, ARROW_TYPE, rows=answer.rows, subjects=answer.subjects, note=answer.note)

    async def _events(self, service: Service, decision: Decision, incoming: Incoming, rest: bytes) -> Done:
        del rest
        tell = self._parts.answer_events
        assert tell is not None  # noqa: S101 - answer() has seen it
        told = await tell(service, decision, body_object(incoming.body))
        return Done(200, told.arrow, JSON_TYPE, rows=told.rows, subjects=told.subjects, note=told.note)

    async def _notice(self, name: str, incoming: Incoming) -> PeerAnswer:
        """A message that is not a use of data: signed both ways, not recorded in the access log."""
        local = self._parts.keys.get(member_of(incoming.service))
        if local is None:
            raise UnknownService(
                T("This node does not act for the member of {resource}."),
                mend=T("Refresh the directory: the member may have moved to another node."),
                resource=incoming.service,
            )
        try:
            body, status, kind = orjson.dumps(await self._parts.notices[name](name, incoming)), 200, JSON_TYPE
        except Problem as problem:
            done = problem_done(problem)
            body, status, kind = done.body, done.status, done.content_type
        _, sealing = sealed_answer(status, content_digest(body), "-", incoming, local)
        return PeerAnswer(status, [(b"content-type", kind.encode("ascii")), *listed(sealing)], body)

    def _service(self, identifier: str) -> Service:
        service = self._parts.service(identifier)
        if service is None or not service.enabled:
            raise UnknownService(
                T("There is no service {resource}."),
                mend=T("List what there is with listMethods, or ask the provider's focal contact."),
                resource=identifier,
            )
        return service


def persons_in(service: Service, answer: object) -> tuple[tuple[str, str], ...]:
    """Whom a JSON answer is about, by the service's selectors; raises SubjectNotFound when they find nobody."""
    found = tuple(
        dict.fromkeys(
            (subject.kind, code)
            for subject in service.subjects
            if subject.where == "response"
            for code in selected(answer, subject.select)
        )
    )
    if not found:
        raise SubjectNotFound(
            T("The answer was withheld: the service's selectors find nobody in it."),
            mend=T("The provider corrects the service's subject selectors."),
        )
    return found


def view_of(decision: Decision) -> View:
    """What ``decision`` lets its holder see of a table."""
    return View(fields=decision.fields, masks=dict(decision.masks), row_filter=tuple(decision.row_filter))


def problem_done(problem: Problem) -> Done:
    """A problem as an answer's body."""
    status = problem.answer_status if isinstance(problem, RefusedByProvider) else problem.status
    headers: Headers = [(PROBLEM_FIELD, problem.kind.encode("ascii")), *retry_after(problem)]
    return Done(status, orjson.dumps(problem.as_dict()), PROBLEM_TYPE, headers)


def retry_after(problem: Problem) -> Headers:
    """When to come again, where the problem knows."""
    seconds = problem.facts.get("retry_after_s")
    return [(b"retry-after", str(seconds).encode("ascii"))] if isinstance(seconds, int) else []
