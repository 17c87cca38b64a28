"""Signed messages between nodes: one envelope for calls, sub-queries, agreements and descriptions.

A message names client, service, purpose, agreement and exchange in signed header fields; its answer is bound to it
and to the provider's record.  Nothing here decides whether a use is allowed.
"""

from __future__ import annotations

import base64
import os
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import ClassVar, Final, cast, get_args

import orjson
from cryptography.hazmat.primitives.asymmetric import ec

from lienthong.directory.document import Snapshot
from lienthong.directory.models import MemberId, Node, SystemId, member_of, read_system_id
from lienthong.errors import Problem, Side
from lienthong.exchange.answer import (
    Answer,
    Headers,
    PeerCertificate,
    PeerUnreachable,
    Spill,
)
from lienthong.exchange.breaker import Breaker, LeftAlone
from lienthong.exchange.client import Flow, HttpClient
from lienthong.exchange.frames import FRAMES_FIELD, FRAMES_TYPE
from lienthong.exchange.peer import PeerOrigins
from lienthong.exchange.spool import Spool
from lienthong.exchange.stream import AnswerStream, open_stream
from lienthong.i18n import T
from lienthong.trust.digest import check_content_digest, content_digest, content_digest_field
from lienthong.trust.keys import PublicKey
from lienthong.trust.messages import (
    ABSENT,
    Signed,
    Verified,
    sign_request,
    sign_response,
    verify_request,
    verify_response,
)

JSON_TYPE = "application/json"
PROBLEM_TYPE = "application/problem+json"
PROBLEM_FIELD = b"lienthong-problem"
"""Set by a node on its own problems alone: a back end's fields of this family are dropped: it can not imitate one."""


NOTHING_SENT: Final = (PeerUnreachable, PeerCertificate, LeftAlone)
"""After these the message was certainly not acted on, and may go to another node of the same member."""


class StrangerRefused(Problem):
    """Somebody who is not a node of the directory, or who speaks for a member that is not theirs."""

    kind: ClassVar[str] = "unknown-peer"
    status: ClassVar[int] = 403
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The other node is not known here")


class AnswerNotProven(Problem):
    """The answer came without a signature of the provider or does not fit the request: it is withheld."""

    kind: ClassVar[str] = "answer-not-proven"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The answer can not be proven to come from the provider")


class RefusedByProvider(Problem):
    """The provider's node refused or failed; its own kind, status, side and mend are passed on."""

    kind: ClassVar[str] = "refused-by-provider"
    status: ClassVar[int] = 502
    side: ClassVar[Side] = "provider"
    title: ClassVar[str] = T("The provider refused")

    def __init__(self, body: Mapping[str, object], status: int) -> None:
        super().__init__(str(body.get("detail", "")), mend=str(body.get("mend", "")))
        side = body.get("side")
        # The body may be unsigned: what decides how it is passed on does not come from it unread.
        self.body = dict(body) | {"status": status, "side": side if side in get_args(Side) else self.side}
        self.answer_status = status

    def as_dict(self, language: object = None) -> dict[str, object]:
        """The provider's problem as it was signed."""
        return self.body


class BodyNotObject(Problem):
    """The body of a message that must be a JSON object is none."""

    kind: ClassVar[str] = "body-not-object"
    status: ClassVar[int] = 400
    side: ClassVar[Side] = "consumer"
    title: ClassVar[str] = T("The message's body is not a JSON object")


_MOST_DIGITS = 5
"""Of the seconds that an unsigned refusal may tell callers to wait: a day and a bit."""
_VARIANT = dict(zip("0123456789abcdef", "89ab" * 4, strict=True))
"""The digit of an RFC 9562 UUID that holds its variant: its two low bits are random."""


@dataclass(frozen=True, slots=True)
class LocalKey:
    """A member's signing key that this node holds."""

    member: MemberId
    key: ec.EllipticCurvePrivateKey
    keyid: str
    jwk: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Message:
    """What is to be sent: everything the signature covers."""

    consumer: SystemId
    service: str
    target: bytes
    """Path and query on the peer listener, as on the wire."""
    exchange_id: str
    purpose: str | None
    agreement: str | None
    body: bytes = b""
    large: Spool | None = None
    """The body, where it is too large to hold; ``body`` is then empty."""
    content_type: str = JSON_TYPE
    method: str = "POST"
    """The method of the call itself; the message is always a POST."""
    extra: Mapping[str, str] | None = None
    """Further fields of the call (X-Road's and the caller's own), lower-case names."""
    streams: bool = False
    """Whether the asking side takes a large answer in frames."""


@dataclass(frozen=True, slots=True)
class Exchanged:
    """A request and its verified answer."""

    request: Signed
    request_keyid: str
    answer: Answer
    response: Verified
    record: str
    """Hash of the provider's record, hexadecimal."""
    stream: AnswerStream | None = None
    """The body, where it comes in frames: ``answer`` is then without one, and ``record`` that of the opening."""


@dataclass(frozen=True, slots=True)
class Incoming:
    """A request whose sender, signature, freshness and body digest hold."""

    node: Node
    consumer: SystemId
    service: str
    purpose: str | None
    agreement: str | None
    exchange_id: str
    method: str
    target: bytes
    headers: Mapping[str, str]
    body: bytes
    verified: Verified
    large: Spool | None = None
    """The body, where it is too large to hold; ``body`` is then empty."""


def new_id() -> str:
    """A random UUID (RFC 9562, version 4); the class of the standard library takes five times as long to make one."""
    made = os.urandom(16).hex()
    return f"{made[:8]}-{made[8:12]}-4{made[13:16]}-{_VARIANT[made[16]]}{made[17:20]}-{made[20:]}"


def body_object(body: bytes) -> dict[str, object]:
    """``body`` as a JSON object; raises BodyNotObject."""
    try:
        value: object = orjson.loads(body)
    except orjson.JSONDecodeError:
        value = None
    if not isinstance(value, dict):
        raise BodyNotObject(
            T("The body must be a JSON object."), mend=T("Both nodes need compatible versions; compare them.")
        )
    return cast("dict[str, object]", value)


class PeerLink:
    """Sends signed messages to other nodes and proves their answers."""

    def __init__(
        self,
        client: HttpClient,
        snapshot: Callable[[], Snapshot],
        keys: Mapping[MemberId, LocalKey],
        origins: PeerOrigins,
        stream: Spill | None = None,
        breaker: Breaker | None = None,
    ) -> None:
        """``stream``: limits of an answer in frames."""
        self._breaker = breaker or Breaker()
        self._under_way: Counter[str] = Counter()
        self._spill = replace(stream or Spill(), after_bytes=None, kind=FRAMES_TYPE.encode("ascii"))
        self._client = client
        self._snapshot = snapshot
        self._keys = keys
        self._origins = origins

    async def send(self, message: Message, provider: MemberId, *, deadline_s: float, max_body: int) -> Exchanged:
        """Send ``message`` to a node of ``provider`` and return the proven answer, whatever its status.

        Of several nodes that serve the member, the one with the least under way is asked; the next when nothing reached
        it.  Raises the directory's problems of an unknown or closed member, AnswerNotProven, LeftAlone, or the client's
        problems of an unreachable or misbehaving node.
        """
        snapshot = self._snapshot()
        nodes = snapshot.nodes_of(provider)
        if len(nodes) < 2:
            nodes = (snapshot.serving_node(provider),)
        else:
            snapshot.serving_node(provider)
            nodes = tuple(sorted(nodes, key=lambda node: (self._breaker.is_open(node.id), self._under_way[node.id])))
        for node in nodes:
            self._under_way[node.id] += 1
            try:
                with self._breaker.watching(node.id, node.id):
                    return await self._send(message, provider, node, snapshot, deadline_s, max_body)
            except NOTHING_SENT:
                if node is nodes[-1]:
                    raise
            finally:
                self._under_way[node.id] -= 1
        raise AssertionError("a member without nodes was not refused")

    async def _send(
        self, message: Message, provider: MemberId, node: Node, snapshot: Snapshot, deadline_s: float, max_body: int
    ) -> Exchanged:
        """Send ``message`` to one node."""
        local = self._keys[member_of(message.consumer)]
        sent: list[tuple[Signed, str]] = []

        def signed_headers() -> Headers:
            headers, signed, nonce = sealed_headers(message, node.peer_url, local)
            sent.append((signed, nonce))
            return headers

        answer = await self._client.fetch(
            self._origins.origin(node.peer_url, node.tls_sha256),
            "POST",
            message.target,
            signed_headers,
            message.large or message.body,
            deadline_s=deadline_s,
            max_body=max_body,
            spill=self._spill if message.streams else None,
        )
        signed, nonce = sent[-1]

        def prove(status: int, fields: Mapping[str, str], body_digest: str) -> Verified:
            # By the directory as it is now: the provider may have changed its key since the message left.
            return proven_fields(status, fields, body_digest, signed, nonce, provider, self._snapshot())

        if isinstance(answer, Flow):
            try:
                opened = await open_stream(answer, prove)
                first = Answer(answer.status, opened.headers, b"")
                return Exchanged(signed, local.keyid, first, opened.response, opened.record, opened.stream)
            except BaseException:
                answer.close()
                raise
        if answer.header(b"signature") is None:
            raise _unsigned(answer)
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in answer.headers}
        verified = prove(answer.status, headers, content_digest(answer.body))
        return Exchanged(signed, local.keyid, answer, verified, headers["lienthong-record"])


def sealed_headers(message: Message, peer_url: str, local: LocalKey) -> tuple[Headers, Signed, str]:
    """Header fields of ``message`` with a fresh nonce and signature."""
    authority = peer_url.split("://", 1)[1]
    fields = {
        "content-digest": digest_of(message.body, message.large),
        "content-type": message.content_type,
        "lienthong-client": message.consumer,
        "lienthong-service": message.service,
        "lienthong-purpose": message.purpose or ABSENT,
        "lienthong-agreement": message.agreement or ABSENT,
        "lienthong-exchange": message.exchange_id,
        "lienthong-method": message.method,
    }
    if message.extra:
        fields |= message.extra
    if message.streams:
        fields[FRAMES_FIELD] = "1"
    nonce = base64.urlsafe_b64encode(os.urandom(16))[:22].decode("ascii")
    signed = sign_request(
        local.key,
        local.keyid,
        method="POST",
        target_uri=peer_url + message.target.decode("ascii"),
        authority=authority,
        headers=fields,
        created=int(time.time()),
        nonce=nonce,
    )
    fields["signature-input"] = signed.signature_input
    fields["signature"] = signed.signature
    return [(name.encode("latin-1"), value.encode("latin-1")) for name, value in fields.items()], signed, nonce


def digest_of(body: bytes, large: Spool | None) -> str:
    """Content-Digest of a body that is held or written down."""
    return content_digest(body) if large is None else content_digest_field(large.sha256)


def proven_fields(
    status: int,
    headers: Mapping[str, str],
    body_digest: str,
    request: Signed,
    nonce: str,
    provider: MemberId,
    snapshot: Snapshot,
) -> Verified:
    """Check that a signed answer is the provider's, over a body with ``body_digest``, and made for ``request``."""
    try:
        verified = verify_response(
            lambda keyid: _member_key(snapshot, keyid, provider),
            status=status,
            headers=headers,
            request_signature_header=request.signature,
            nonce=nonce,
            now=int(time.time()),
        )
        check_content_digest(headers["content-digest"], body_digest)
    except Problem as wrong:
        raise AnswerNotProven(
            T("The answer of {member} was withheld: {why}"),
            mend=T("Tell the provider's operator; nothing of the answer was passed on."),
            member=provider,
            why=str(wrong),
        ) from wrong
    return verified


def authenticate(
    *,
    target: bytes,
    authority: str,
    peer_url: str,
    headers: Mapping[str, str],
    body: bytes | None,
    certificate: str | None,
    snapshot: Snapshot,
    large: Spool | None = None,
) -> Incoming:
    """Who sent this request: certificate, signature, freshness, body digest, and the member's node must agree.

    ``certificate`` is the SHA-256 (hexadecimal) of the peer certificate.  ``body`` None: it is still to come, and its
    digest is not looked at.  Replay is the caller's next question.  Raises StrangerRefused or a MessageRefused.
    """
    node = snapshot.node_by_certificate(certificate) if certificate else None
    if node is None:
        raise StrangerRefused(
            T("The certificate shown is not in the directory."),
            mend=T("Register the node's certificate with the national node, or wait for the directory to refresh."),
        )
    verified = verify_request(
        lambda keyid: _node_key(snapshot, keyid, node),
        method="POST",
        target_uri=peer_url + target.decode("latin-1"),
        authority=authority,
        headers=headers,
        now=int(time.time()),
    )
    if body is not None:
        check_content_digest(headers["content-digest"], digest_of(body, large))
    consumer = read_system_id(headers["lienthong-client"])
    owner = snapshot.key(verified.keyid)
    if owner is None or owner[1].id != member_of(consumer):
        raise StrangerRefused(
            T("The message speaks for {client} but is signed by another member."),
            mend=T("A system's messages are signed with the key of the member it belongs to."),
            client=consumer,
        )
    return Incoming(
        node=node,
        consumer=consumer,
        service=headers["lienthong-service"],
        purpose=_given(headers["lienthong-purpose"]),
        agreement=_given(headers["lienthong-agreement"]),
        exchange_id=headers["lienthong-exchange"],
        method=headers.get("lienthong-method", "POST"),
        target=target,
        headers=headers,
        body=body or b"",
        verified=verified,
        large=large,
    )


def sealed_answer(
    status: int, body_digest: str, record: str, request: Incoming, local: LocalKey
) -> tuple[Signed, dict[str, str]]:
    """Sign an answer to ``request`` whose body has ``body_digest`` (Content-Digest); with the four fields it adds."""
    fields = {"content-digest": body_digest, "lienthong-record": record}
    signed = sign_response(
        local.key,
        local.keyid,
        status=status,
        headers=fields,
        request_signature_header=request.headers["signature"],
        nonce=request.verified.nonce,
        created=int(time.time()),
    )
    fields["signature-input"] = signed.signature_input
    fields["signature"] = signed.signature
    return signed, fields


def _unsigned(answer: Answer) -> Problem:
    """What an unsigned answer means: a node that refused us as strangers, or no node of ours at all."""
    try:
        said: object = orjson.loads(answer.body)
    except orjson.JSONDecodeError:
        said = None
    body = cast("dict[str, object]", said) if isinstance(said, dict) else {}
    if str(body.get("type", "")).startswith("urn:lienthong:problem:") and answer.status >= 400:
        refused = RefusedByProvider(body, answer.status)
        again = answer.header(b"retry-after") or b""
        if again.isdigit() and len(again) <= _MOST_DIGITS:
            refused.facts["retry_after_s"] = int(again)
        return refused
    return AnswerNotProven(
        T("The answer carries no signature (status {status})."),
        mend=T("Check that the address in the directory is a node's peer listener."),
        status=answer.status,
    )


def _given(value: str) -> str | None:
    return None if value == ABSENT else value


def _member_key(snapshot: Snapshot, keyid: str, member: MemberId) -> PublicKey | None:
    found = snapshot.key(keyid)
    return snapshot.signing_key(keyid, datetime.now(UTC)) if found and found[1].id == member else None


def _node_key(snapshot: Snapshot, keyid: str, node: Node) -> PublicKey | None:
    found = snapshot.key(keyid)
    return snapshot.signing_key(keyid, datetime.now(UTC)) if found and found[0].node == node.id else None
