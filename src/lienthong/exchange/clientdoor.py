"""The client listener's door: ``/r1`` for X-Road clients, ``/sql``, ``/share/profile``, receipts and health.

Who calls is one of the owner's systems, named in X-Road-Client and listed in the configuration.  Under ``/r1`` every
error has X-Road's shape; everywhere else problems follow RFC 9457.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, ClassVar, Final, cast

import orjson
import structlog

from lienthong.access.gate import NoAgreement
from lienthong.config import Client
from lienthong.directory.models import MemberId, SystemId, member_of, read_service_id
from lienthong.errors import Problem, Side
from lienthong.exchange.answer import Headers
from lienthong.exchange.budget import Share
from lienthong.exchange.consume import Consumer, Used, Wish
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.listen import read_body
from lienthong.exchange.metaservices import Metaservices
from lienthong.exchange.parts import Parts
from lienthong.exchange.peerdoor import send_answer, stream_answer
from lienthong.exchange.pour import Pour
from lienthong.exchange.provide import UnknownService, retry_after
from lienthong.exchange.signed import JSON_TYPE, PROBLEM_FIELD, PROBLEM_TYPE
from lienthong.exchange.spool import Spool, announced_bytes
from lienthong.exchange.xroad import (
    XRoadCall,
    XRoadClientMissing,
    answer_headers,
    asked_instance,
    check_security_server,
    read_call,
)
from lienthong.exchange.xroad import request_hash as hash_of
from lienthong.exchange.xroad_errors import WAIT_S, XRoadError, plain_error, told_message, xroad_error, xroad_type
from lienthong.i18n import T, accepted_language

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, HTTPScope, Scope

log = structlog.get_logger("lienthong.client")
SMALL_BODY: Final = 256 * 1024
DEADLINE_S: Final = 60.0
ABOUT_TIME: Final = frozenset({b"retry-after", b"ratelimit", b"ratelimit-policy"})
"""Fields of a provider's problem that are passed on with it."""


class CallerUnknown(Problem):
    """The system is not one of this node's owner."""

    kind: ClassVar[str] = "unknown-client"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The calling system is not known here")


class CallerNotAuthenticated(Problem):
    """The system's token is missing or wrong."""

    kind: ClassVar[str] = "caller-not-authenticated"
    status: ClassVar[int] = 401
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The calling system did not prove who it is")


class NoSuchClientPath(Problem):
    """An address that the client listener does not have."""

    kind: ClassVar[str] = "unknown-client-path"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("No such address on the client listener")


class BadQuestion(Problem):
    """The JSON body of a question or of a profile request does not have its shape."""

    kind: ClassVar[str] = "bad-question"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The body is not as described")


Ask = Callable[[SystemId, str, str | None, str | None], Awaitable[bytes]]
"""System, SQL, purpose, default purpose -> the answer's JSON."""
GetProfile = Callable[[SystemId, str, str | None], Awaitable[Mapping[str, object]]]
"""System, agreement, purpose -> profile and table."""
GetReceipt = Callable[[str, MemberId | None], Awaitable[Mapping[str, object]]]
"""Record's hash, member of the system that asks (None: the listener asks no system who it is) -> the receipt."""
GetReadiness = Callable[[], Awaitable[tuple[bool, Mapping[str, str]]]]
OwnPage = Callable[[SystemId | None, bytes], Awaitable[tuple[int, Headers, bytes]]]
"""The calling system (None: the page asks for none) and the query of the address -> status, fields, body."""


OwnEvents = Callable[[SystemId, str, bytes, bytes, Mapping[str, object]], Awaitable[Mapping[str, object]]]
"""The calling system, method, path, query and body -> JSON values."""


@dataclass(frozen=True, slots=True)
class Counter:
    """What stands behind the door besides calls."""

    parts: Parts
    consumer: Consumer
    descriptions: Descriptions
    ask: Ask
    profile: GetProfile
    receipt: GetReceipt
    readiness: GetReadiness
    pages: Mapping[bytes, OwnPage] = field(default_factory=dict[bytes, OwnPage])
    """What the owner's systems may read of the node itself, by path."""
    open_pages: Mapping[bytes, OwnPage] = field(default_factory=dict[bytes, OwnPage])
    """The same for whoever reaches the listener: nothing in it belongs to one system."""
    events: OwnEvents | None = None
    """What stands behind ``/events``: subscriptions and what arrived for them."""


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request on the client listener; field names are lower-case, in the order of the wire."""

    method: str
    target: bytes
    headers: Headers
    body: bytes = b""
    large: Spool | None = None
    """The body, where it is too large to hold; ``body`` is then empty."""

    @property
    def sha512(self) -> bytes | None:
        """Digest of the body, None where there is none."""
        if self.large is not None:
            return self.large.sha512
        return hashlib.sha512(self.body).digest() if self.body else None

    def values(self, name: bytes) -> list[bytes]:
        """Every value of a field."""
        return [value for known, value in self.headers if known == name]

    def last(self, name: bytes) -> str | None:
        """The last value of a field: X-Road lets the last one win."""
        values = self.values(name)
        return values[-1].decode("latin-1").strip() if values else None


Reply = tuple[int, Headers, bytes | Pour]


class ClientDoor:
    """An ASGI application over one Counter."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._parts = counter.parts
        self._clients = {client.system: client for client in counter.parts.settings.clients}
        self._meta = Metaservices(counter.parts, counter.descriptions)

    async def __call__(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        with self._parts.budget.share() as held, contextlib.ExitStack() as kept:
            await self._serve(scope, receive, send, held, kept)

    async def _serve(
        self,
        scope: Scope,
        receive: ASGIReceiveCallable,
        send: ASGISendCallable,
        held: Share,
        kept: contextlib.ExitStack,
    ) -> None:
        http = cast("HTTPScope", scope)
        target = cast("bytes", cast("dict[str, object]", http.get("state", {}))["target"])
        headers = [(bytes(name), bytes(value)) for name, value in http["headers"]]
        xroad = target.startswith(b"/r") and target[2:3].isdigit()
        try:
            arriving = Arrived(http["method"], target, headers)
            if xroad:
                status, fields, body = await self._r1(await self._whole(arriving, receive, held, kept))
            else:
                small = await read_body(receive, SMALL_BODY, held.grow)
                status, fields, body = await self._other(replace(arriving, body=small))
        except Exception as failure:  # the one place where anything of this listener becomes an answer
            status, fields, body = self._failed(failure, headers, xroad=xroad)
        if isinstance(body, bytes):
            await send_answer(send, status, fields, body)
        else:
            gone = cast("Callable[[], bool]", cast("dict[str, object]", http.get("state", {}))["gone"])
            await stream_answer(send, status, fields, body, gone)

    async def _whole(
        self, arriving: Arrived, receive: ASGIReceiveCallable, held: Share, kept: contextlib.ExitStack
    ) -> Arrived:
        """``arriving`` with its body; a large one is written down only for a client of ours."""
        settings, spools = self._parts.settings, self._parts.spools
        if spools is None:
            return replace(arriving, body=await read_body(receive, settings.max_body_bytes, held.grow))
        room = kept.enter_context(spools.room(also_sha512=True))
        body = await room.take(
            receive,
            announced=announced_bytes(arriving.last(b"content-length")),
            most_bytes=settings.max_request_bytes,
            hold=held.grow,
            expect=lambda: self._caller(arriving),
        )
        return replace(arriving, body=body, large=room.large)

    def _caller(self, arrived: Arrived) -> tuple[XRoadCall, Client]:
        """What is called, and by which system of ours."""
        call = read_call(arrived.method, arrived.target, arrived.headers, instance=self._parts.settings.instance)
        return call, self._client(call.client, arrived)

    async def _r1(self, arrived: Arrived) -> Reply:
        call, client = self._caller(arrived)
        if call.metaservice:
            kind, body = await self._meta.answer(call, SystemId(client.system))
            return 200, answer_headers([(b"content-type", kind.encode())], call, hash_of(call, arrived.sha512)), body
        read_service_id(call.service)
        used = await self._use(call, client, arrived)
        answer = used.answer
        if answer.header(PROBLEM_FIELD) is not None:
            failed = self._provider_problem(answer.body, arrived.values(b"accept"))
            if failed is not None:
                told = _when(failed.status, [field for field in answer.headers if field[0] in ABOUT_TIME])
                return failed.status, [*failed.headers, *told, (b"lienthong-record", used.record.encode())], failed.body
        fields = answer_headers(answer.headers, call, hash_of(call, arrived.sha512))
        return answer.status, [*fields, (b"lienthong-record", used.record.encode())], used.pour or answer.body

    async def _use(self, call: XRoadCall, client: Client, arrived: Arrived) -> Used:
        if call.security_server is not None:
            serving = self._parts.snapshot().serving_node(member_of(call.service))
            check_security_server(call, serving.operator, serving.id)
        extra = call.extra
        content_type = extra.pop("content-type", JSON_TYPE)
        wish = Wish(
            consumer=SystemId(client.system),
            service=call.service,
            way="call",
            target=b"/x1/" + call.service.encode("ascii") + call.rest,
            body=arrived.body,
            large=arrived.large,
            content_type=content_type,
            method=call.method,
            purpose=arrived.last(b"lienthong-purpose"),
            default_purpose=self._default_purpose(client),
            extra=extra,
            deadline_s=DEADLINE_S,
            max_body=self._parts.settings.max_body_bytes,
            streams=True,
        )
        if not self._parts.gate.knows(wish.consumer, call.service):
            with contextlib.suppress(Problem):  # it may be open data; a node that does not answer is told of below
                await self._counter.descriptions.service(wish.consumer, call.service)
        try:
            return await self._counter.consumer.use(wish)
        except NoAgreement as refused:
            if await self._counter.descriptions.service(wish.consumer, call.service) is None:
                unknown = UnknownService(
                    T("There is no service {resource}."),
                    mend=T("List what there is with listMethods, or ask the provider's focal contact."),
                    resource=call.service,
                )
                unknown.record = refused.record
                raise unknown from None
            raise

    async def _other(self, arrived: Arrived) -> Reply:
        path = arrived.target.partition(b"?")[0]
        match arrived.method, path:
            case "GET", b"/listClients":
                kind, body = self._meta.clients(asked_instance(arrived.target), arrived.values(b"accept"))
                return 200, [(b"content-type", kind.encode())], body
            case "POST", b"/sql":
                asked, client = self._question(arrived), self._client(arrived.last(b"x-road-client"), arrived)
                return _json(
                    await self._counter.ask(
                        SystemId(client.system), str(asked.get("sql", "")), _text(asked.get("purpose")),
                        self._default_purpose(client),
                    )
                )  # fmt: skip
            case "POST", b"/share/profile":
                asked, client = self._question(arrived), self._client(arrived.last(b"x-road-client"), arrived)
                purpose = _text(asked.get("purpose")) or self._default_purpose(client)
                return _json(
                    await self._counter.profile(SystemId(client.system), str(asked.get("agreement", "")), purpose)
                )
            case ("GET" | "POST") as method, _ if self._counter.events and (path + b"/").startswith(b"/events/"):
                client = self._client(arrived.last(b"x-road-client"), arrived)
                asked = self._question(arrived) if method == "POST" else {}
                query = arrived.target.partition(b"?")[2]
                return _json(await self._counter.events(SystemId(client.system), method, path, query, asked))
            case "GET", b"/livez":
                return _json({"status": "ok"})
            case "GET", b"/readyz":
                ready, parts = await self._counter.readiness()
                return (200 if ready else 503), *_json({"status": "ok" if ready else "not-ready", "parts": parts})[1:]
            case "GET", _ if path in self._counter.open_pages:
                return await self._counter.open_pages[path](None, arrived.target.partition(b"?")[2])
            case "GET", _ if path in self._counter.pages:
                client = self._client(arrived.last(b"x-road-client"), arrived)
                return await self._counter.pages[path](SystemId(client.system), arrived.target.partition(b"?")[2])
            case "GET", _ if path.startswith(b"/log/receipt/"):
                record = path.removeprefix(b"/log/receipt/").decode("ascii", "replace")
                return _json(await self._counter.receipt(record, self._member(arrived)))
            case _:
                raise NoSuchClientPath(
                    T("The client listener has no such address."),
                    mend=T("Call services under /r1, ask under /sql, get profiles under /share/profile."),
                )

    def _client(self, named: str | None, arrived: Arrived) -> Client:
        """The owner's system that calls; raises CallerUnknown, CallerNotAuthenticated."""
        if named is None:
            raise XRoadClientMissing(
                T("The field X-Road-Client is missing."),
                mend=T("Name the calling system: X-Road-Client: instance/class/member/subsystem."),
            )
        client = self._clients.get(named)
        if client is None:
            raise CallerUnknown(
                T("Client '{client}' not found: it is not a system of this node's owner."),
                mend=T("Register the system in the node's configuration, or correct X-Road-Client."),
                client=named[:100],
            )
        if client.auth == "token":
            shown = hashlib.sha256((arrived.last(b"lienthong-token") or "").encode()).hexdigest()
            if not hmac.compare_digest(shown, client.token_sha256.lower()):
                raise CallerNotAuthenticated(
                    T("The token of {client} is missing or wrong."),
                    mend=T("Send the system's token in the field Lienthong-Token."),
                    client=client.system,
                )
        return client

    def _member(self, arrived: Arrived) -> MemberId | None:
        """Whose system asks; None where no system has a token and none is named."""
        named = arrived.last(b"x-road-client")
        if named is None and all(client.auth == "none" for client in self._clients.values()):
            return None
        return MemberId(member_of(self._client(named, arrived).system))

    def _default_purpose(self, client: Client) -> str | None:
        if client.default_purpose:
            return client.default_purpose
        system = self._parts.snapshot().system(client.system)
        return system.default_purpose if system else None

    def _question(self, arrived: Arrived) -> Mapping[str, object]:
        try:
            asked: object = orjson.loads(arrived.body)
        except orjson.JSONDecodeError:
            asked = None
        if not isinstance(asked, dict):
            raise BadQuestion(T("The body must be a JSON object."), mend=T("Send for example {example}."),
                              example='{"sql": "SELECT ..."}')  # fmt: skip
        return cast("Mapping[str, object]", asked)

    def _provider_problem(self, body: bytes, accept: list[bytes]) -> XRoadError | None:
        """A problem of the provider's node in X-Road's shape; None when it is the service's own."""
        try:
            read: object = orjson.loads(body)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(read, dict):
            return None
        told = cast("Mapping[str, object]", read)
        kind = str(told.get("type", ""))
        if not kind.startswith("urn:lienthong:problem:"):
            return None
        status = told.get("status")
        return plain_error(
            xroad_type(kind.removeprefix("urn:lienthong:problem:"), str(told.get("side", "provider"))),
            told_message(told),
            accept,
            reference=str(uuid.uuid4()),
            style=self._parts.settings.error_style,
            status=status if isinstance(status, int) else None,
        )

    def _failed(self, failure: Exception, headers: Headers, *, xroad: bool) -> Reply:
        reference = str(uuid.uuid4())
        if isinstance(failure, Problem):
            problem = failure
            log.info("client.refused", kind=problem.kind, status=problem.status, reference=reference)
        else:
            log.error("client.failed", error=type(failure).__name__, reference=reference, exc_info=failure)
            problem = Problem(T("The node met an error that it does not know."),
                              mend=T("Give the operator the reference {reference}."), reference=reference)  # fmt: skip
        recorded = retry_after(problem)
        if problem.record:
            recorded.append((b"lienthong-record", problem.record.encode("ascii")))
        if xroad:
            accept = [value for name, value in headers if name == b"accept"]
            error = xroad_error(problem, accept, reference=reference, style=self._parts.settings.error_style)
            return error.status, [*error.headers, *_when(error.status, recorded)], error.body
        accepted = b",".join(value for name, value in headers if name == b"accept-language").decode("latin-1")
        body = problem.as_dict(accepted_language(accepted))
        status = cast("int", body.get("status", problem.status))
        fields: Headers = [(b"content-type", PROBLEM_TYPE.encode()), *_when(status, recorded)]
        return status, fields, orjson.dumps(body | {"reference": reference}, default=str)


def _when(status: int, fields: Headers) -> Headers:
    """``fields``, with a time to wait where there must be one and none is told."""
    told = status != 503 or any(name == b"retry-after" for name, _ in fields)
    return fields if told else [*fields, (b"retry-after", str(WAIT_S).encode("ascii"))]


def _json(value: object) -> Reply:
    body = value if isinstance(value, bytes) else orjson.dumps(value)
    return 200, [(b"content-type", JSON_TYPE.encode())], body


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None
