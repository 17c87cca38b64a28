"""What a stranger, a liar or a confused node sends to the peer listener is refused and leaves nothing."""

from __future__ import annotations

import json
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from lienthong.access.seen import SeenMessages
from lienthong.exchange.consume import Wish
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.peer import OwnCertificate, PeerTrust
from lienthong.exchange.peerdoor import PeerDoor
from lienthong.exchange.provide import Provider
from lienthong.exchange.signed import AnswerNotProven, RefusedByProvider
from lienthong.node.certificates import tls_files
from lienthong.node.prepare import local_keys
from lienthong.trust.keys import generate_es256
from lienthong.trust.messages import FIELDS_COVERED_WHEN_PRESENT, REQUEST_FIELDS
from lienthong.verify import verify_receipt
from tests.exchange.scripted import make_certificate
from tests.use.forged import BODY, CITIZEN, Letter, Told, a_letter, deliver, tls_as
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish

pytestmark = pytest.mark.integration

Nodes = tuple[TestNode, TestNode]


def a_wish() -> Wish:
    return Wish(
        consumer=COUNTER, service=CITIZEN, way="call", target=b"/x1/" + CITIZEN.encode(), body=BODY, purpose=PURPOSE
    )


async def told(nodes: Nodes, letter: Letter | bytes, shown: TestNode | None = None) -> Told:
    """What the provider says to ``letter`` on a link of the consumer's node, or of the node ``shown``."""
    consumer, provider = nodes
    return await deliver(letter, tls_as(shown or consumer), provider.listener.port)


async def check_refused(nodes: Nodes, answer: Told, kind: str, status: int, *, side: str = "consumer") -> None:
    """``answer`` is the problem ``kind``, says whose it is, is signed by nobody, and left no record anywhere."""
    assert (answer.kind, answer.status) == (kind, status)
    assert answer.problem["side"] == side
    assert "signature" not in answer.fields
    assert b"B\xc3\xacnh" not in answer.body
    assert [await node.leaves() for node in nodes] == [[], []]


async def check_works(nodes: Nodes) -> None:
    """The next good use is answered and on record on both sides."""
    before = [len(await node.leaves()) for node in nodes]
    used = await nodes[0].consumer.use(a_wish())
    assert used.answer.status == 200
    assert [len(await node.leaves()) for node in nodes] == [count + 1 for count in before]


async def test_a_message_made_by_hand_is_answered_when_everything_is_right(two_nodes: Nodes) -> None:
    answer = await told(two_nodes, a_letter(*two_nodes))

    assert (answer.status, answer.kind) == (200, "ok")
    assert json.loads(answer.body)["rows"][0]["full_name"] == "Nguyễn Thị Bình"
    assert "signature" in answer.fields


async def test_an_unsigned_message_is_refused(two_nodes: Nodes) -> None:
    for missing in (("signature",), ("signature-input",), ("signature", "signature-input")):
        answer = await told(two_nodes, a_letter(*two_nodes).without(*missing))
        await check_refused(two_nodes, answer, "unsigned-message", 401)
        assert answer.problem["mend"]

    await check_works(two_nodes)


async def test_each_signed_field_protects_the_message(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    extra = {name.replace("-", "_"): "here" for name in FIELDS_COVERED_WHEN_PRESENT}
    whole = a_letter(consumer, provider, **extra)
    assert (await told(two_nodes, whole)).status == 200
    count = len(await provider.leaves())

    kinds = {}
    for name in (*REQUEST_FIELDS, *FIELDS_COVERED_WHEN_PRESENT):
        kinds[name] = (await told(two_nodes, a_letter(consumer, provider, **extra).altered(name, "another"))).kind

    assert kinds == dict.fromkeys(kinds, "bad-signature")
    assert len(kinds) == 15
    assert len(await provider.leaves()) == count
    await check_works(two_nodes)


async def test_a_field_taken_away_or_added_is_refused(two_nodes: Nodes) -> None:
    for name in REQUEST_FIELDS:
        answer = await told(two_nodes, a_letter(*two_nodes).without(name))
        await check_refused(two_nodes, answer, "uncovered-component", 401)
    added = a_letter(*two_nodes).altered("x-road-userid", "VN0123")
    await check_refused(two_nodes, await told(two_nodes, added), "uncovered-component", 401)

    await check_works(two_nodes)


async def test_a_field_sent_twice_is_refused(two_nodes: Nodes) -> None:
    wire = a_letter(*two_nodes).wire()
    doubled = wire.replace(b"lienthong-purpose: HP-01", b"lienthong-purpose: HP-01\r\nlienthong-purpose: HP-02")

    answer = await told(two_nodes, doubled)

    assert answer.status in (400, 401)
    assert answer.kind in ("malformed-request", "bad-signature")
    assert await two_nodes[1].leaves() == []
    await check_works(two_nodes)


async def test_another_body_than_the_signed_one_is_refused(two_nodes: Nodes) -> None:
    for body in (BODY.replace(b"001099012345", b"031085000777"), BODY + b" ", b""):
        answer = await told(two_nodes, replace(a_letter(*two_nodes), body=body))
        await check_refused(two_nodes, answer, "digest-mismatch", 400, side="caller")

    await check_works(two_nodes)


async def test_a_message_is_good_for_its_own_address_alone(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    right = a_letter(consumer, provider)

    elsewhere = [
        replace(right, target=right.target + "?all=1"),
        replace(right, target="/x1/query"),
        replace(right, target=right.target.replace("citizen", "c%69tizen")),
        replace(right, authority="127.0.0.1:1"),
        replace(right, authority="nut-g01.example.vn"),
        a_letter(consumer, provider, peer_url=consumer.local.settings.peer_url),
        replace(a_letter(consumer, provider, peer_url=consumer.local.settings.peer_url), authority=right.authority),
    ]

    for letter in elsewhere:
        await check_refused(two_nodes, await told(two_nodes, letter), "bad-signature", 401)
    await check_works(two_nodes)


async def test_a_message_of_another_time_is_refused(two_nodes: Nodes) -> None:
    now = int(time.time())
    for created in (now - 120, now + 60):
        answer = await told(two_nodes, a_letter(*two_nodes, created=created))
        await check_refused(two_nodes, answer, "stale-message", 401)

    await check_works(two_nodes)


async def test_a_message_is_answered_once(two_nodes: Nodes) -> None:
    letter = a_letter(*two_nodes)
    assert (await told(two_nodes, letter)).status == 200

    again = await told(two_nodes, letter)

    assert (again.kind, again.status, again.problem["side"]) == ("replayed-message", 401, "consumer")
    assert len(await two_nodes[1].leaves()) == 1
    await check_works(two_nodes)


async def test_a_message_is_answered_once_by_all_gateways_of_a_node(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    letter = a_letter(consumer, provider)
    assert (await told(two_nodes, letter)).status == 200
    seen = SeenMessages(provider.local.dsns.app)
    await seen.start()

    async with another_gateway(provider, Provider(replace(provider.parts, seen=seen))) as gateway:
        again = await deliver(letter, tls_as(consumer), gateway.port)
        fresh = await deliver(a_letter(consumer, provider), tls_as(consumer), gateway.port)
    await seen.stop()

    assert (again.kind, again.status) == ("replayed-message", 401)
    assert fresh.status == 200
    assert len(await provider.leaves()) == 2


@asynccontextmanager
async def another_gateway(node: TestNode, provider: Provider, most_bytes: int | None = None) -> AsyncIterator[Listener]:
    limit = most_bytes or node.local.settings.max_body_bytes
    listener = await serve_app(
        PeerDoor(provider, limit), "127.0.0.1", 0, tls=server_tls(node), limits=RequestLimits(max_body=most_bytes)
    )
    try:
        yield listener
    finally:
        await listener.stop(1)


def server_tls(node: TestNode) -> ssl.SSLContext:
    listed = node.local.directory.snapshot().contents.authorities
    return PeerTrust(OwnCertificate(*tls_files(node.local.settings, node.local.keyring)), listed).context


async def test_a_key_that_the_directory_does_not_hold_is_refused(two_nodes: Nodes) -> None:
    consumer, _ = two_nodes
    (own,) = local_keys(consumer.local.settings, consumer.local.keyring).values()

    unlisted = a_letter(*two_nodes, key=replace(own, key=generate_es256(), keyid="nobody"))
    forged = a_letter(*two_nodes, key=replace(own, key=generate_es256()))

    await check_refused(two_nodes, await told(two_nodes, unlisted), "unknown-key", 401)
    await check_refused(two_nodes, await told(two_nodes, forged), "bad-signature", 401)
    await check_works(two_nodes)


async def test_a_member_can_not_speak_for_the_system_of_another(two_nodes: Nodes) -> None:
    answer = await told(two_nodes, a_letter(*two_nodes, lienthong_client="VN/GOV/G01/dancu"))

    await check_refused(two_nodes, answer, "unknown-peer", 403)
    assert answer.problem["client"] == "VN/GOV/G01/dancu"
    await check_works(two_nodes)


async def test_a_client_that_is_no_system_at_all_is_refused(two_nodes: Nodes) -> None:
    for client in ("-", "VN/GOV/H24", "VN/GOV/H24/motcua/../x", "'; DROP TABLE record; --"):
        answer = await told(two_nodes, a_letter(*two_nodes, lienthong_client=client))
        await check_refused(two_nodes, answer, "id-malformed", 400, side="caller")

    await check_works(two_nodes)


async def test_a_message_is_good_on_a_link_of_its_own_node_alone(two_nodes: Nodes) -> None:
    """The signature is a real one, but another member's node shows its certificate."""
    answer = await told(two_nodes, a_letter(*two_nodes), shown=two_nodes[1])

    await check_refused(two_nodes, answer, "unknown-key", 401)
    await check_works(two_nodes)


async def test_who_shows_no_listed_certificate_gets_no_link(two_nodes: Nodes, tmp_path) -> None:
    consumer, provider = two_nodes
    made = make_certificate(tmp_path, "nut-la")
    strange = tls_as(None)
    strange.load_cert_chain(made.certificate, made.key)

    for context in (tls_as(None), strange):
        with pytest.raises((ssl.SSLError, ConnectionError)):
            await deliver(a_letter(consumer, provider), context, provider.listener.port)

    assert await provider.leaves() == []
    await check_works(two_nodes)


async def test_a_certificate_taken_out_of_the_directory_is_refused_at_once(two_nodes: Nodes, tmp_path) -> None:
    """The TLS layer still trusts it: what the directory says now is asked with every message."""
    locals_ = [node.local for node in two_nodes]
    contents = a_directory(locals_, datetime.now(UTC))
    ours, theirs = contents.nodes
    publish(locals_, replace(contents, nodes=(replace(ours, tls_sha256=("0" * 64,)), theirs)), tmp_path,
            generate_es256(), version=2)  # fmt: skip

    answer = await told(two_nodes, a_letter(*two_nodes))

    await check_refused(two_nodes, answer, "unknown-peer", 403)
    publish(locals_, contents, tmp_path, generate_es256(), version=3)
    await check_works(two_nodes)


async def test_a_body_over_the_limit_is_refused_before_it_is_read(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    big = a_letter(consumer, provider, body=b'{"personal_number": "' + b"0" * 2_000 + b'"}')

    async with another_gateway(provider, provider.provider, 1_000) as gateway:
        answer = await deliver(big, tls_as(consumer), gateway.port)
        head_only = big.wire().replace(b"content-length: 2023", b"content-length: 99999999999")
        endless = await deliver(head_only.partition(b"\r\n\r\n")[0] + b"\r\n\r\n", tls_as(consumer), gateway.port)

    for refused in (answer, endless):
        await check_refused(two_nodes, refused, "body-too-large", 413, side="caller")
    await check_works(two_nodes)


async def test_an_address_that_the_peer_listener_does_not_have_is_refused(two_nodes: Nodes) -> None:
    for target in (
        "/",
        "/x1",
        "/x1/",
        "/x2/" + CITIZEN,
        "/x1/VN/GOV/G01/dancu/other",
        "/x1/" + CITIZEN + "s",
        "/metrics",
    ):
        answer = await told(two_nodes, a_letter(*two_nodes, target=target))
        await check_refused(two_nodes, answer, "unknown-peer-path", 404)

    await check_works(two_nodes)


async def test_a_system_that_is_who_it_says_has_its_refusal_on_record(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    other = "VN/GOV/G01/dancu/nothing"

    answer = await told(two_nodes, a_letter(consumer, provider, target="/x1/" + other, lienthong_service=other))

    assert (answer.kind, answer.status) == ("unknown-service", 404)
    (theirs,) = await provider.leaves()
    assert (theirs["outcome"], theirs["reason"], theirs["resource"]) == ("refused", "unknown-service", other)
    assert answer.fields["lienthong-record"]
    await check_works(two_nodes)


async def test_a_message_to_a_member_that_the_node_does_not_act_for_is_refused_on_record(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    typed = "VN/GOV/G07/001099012345/citizen"
    letter = a_letter(consumer, provider, target=f"/x1/{typed}", lienthong_service=typed)

    answer = await told(two_nodes, letter)

    assert (answer.kind, answer.status) == ("unknown-service", 404)
    assert "signature" not in answer.fields
    (theirs,) = await provider.leaves()
    assert (theirs["outcome"], theirs["reason"], theirs["consumer"]) == ("refused", "unknown-service", COUNTER)
    assert "001099012345" not in json.dumps(theirs)
    report = verify_receipt(await provider.receipt(answer.fields["lienthong-record"], to_owner=True))
    assert report.ok, report
    await check_works(two_nodes)


# --- answers that are not what they seem -----------------------------------------------------------------------------

Messages = list[dict[str, Any]]
Lie = Callable[[Messages, Messages], Messages]
"""From the honest answer and one to another request: what is sent."""


@dataclass
class LyingDoor:
    """Stands before the honest door with the provider's own certificate, and changes what it says."""

    honest: PeerDoor
    lie: Lie
    earlier: Messages | None = None

    async def __call__(self, scope: Any, receive: Any, send: Callable[[Any], Awaitable[None]]) -> None:
        said: Messages = []

        async def keep(message: dict[str, Any]) -> None:
            said.append(message)

        await self.honest(scope, receive, keep)
        if self.earlier is None:
            self.earlier = said
        else:
            said = self.lie(said, self.earlier)
        for message in said:
            await send(message)


def changed(messages: Messages, *, body: bytes | None = None, status: int | None = None, **fields: str | None):
    """``messages`` with another body, status or fields (None: taken away)."""
    start, last = dict(messages[0]), dict(messages[1])
    named = {name.replace("_", "-").encode(): value for name, value in fields.items()}
    if body is not None:
        last["body"] = body
        named[b"content-length"] = str(len(body))
    start["headers"] = [(n, v) for n, v in start["headers"] if n not in named]
    start["headers"] += [(n, v.encode()) for n, v in named.items() if v is not None]
    start["status"] = status or start["status"]
    return [start, last]


def field_of(messages: Messages, name: bytes) -> str:
    return dict(messages[0]["headers"])[name].decode()


LIES: dict[str, Lie] = {
    "another request's answer": lambda ours, other: other,
    "another request's signature": lambda ours, other: changed(
        ours, signature=field_of(other, b"signature"), signature_input=field_of(other, b"signature-input")
    ),
    "another request's record": lambda ours, other: changed(
        ours, lienthong_record=field_of(other, b"lienthong-record")
    ),
    "another body": lambda ours, _: changed(ours, body=ours[1]["body"].replace("Bình".encode(), "Bính".encode())),
    "another status": lambda ours, _: changed(ours, status=201),
    "no signature": lambda ours, _: changed(ours, signature=None, signature_input=None),
    "half a signature": lambda ours, _: changed(ours, signature_input=None),
    "no digest": lambda ours, _: changed(ours, content_digest=None),
    "no record": lambda ours, _: changed(ours, lienthong_record=None),
    "unsigned list": lambda ours, _: changed(ours, body=b"[]", status=403, signature=None, signature_input=None),
    "unsigned text": lambda ours, _: changed(ours, body=b"no", status=500, signature=None, signature_input=None),
}


@asynccontextmanager
async def lying(provider: TestNode, lie: Lie) -> AsyncIterator[None]:
    """Put a liar at the provider's address; the honest listener is back afterwards."""
    honest = PeerDoor(provider.provider, provider.local.settings.max_body_bytes)
    await provider.listener.stop(1)
    port = provider.local.settings.peer_port
    provider.listener = await serve_app(LyingDoor(honest, lie), "127.0.0.1", port, tls=server_tls(provider))
    try:
        yield
    finally:
        await provider.listener.stop(1)
        provider.listener = await serve_app(honest, "127.0.0.1", port, tls=server_tls(provider))


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES.keys())
async def test_an_answer_that_can_not_be_proven_is_withheld(two_nodes: Nodes, lie: Lie) -> None:
    consumer, provider = two_nodes

    async with lying(provider, lie):
        assert (await consumer.consumer.use(a_wish())).answer.status == 200
        with pytest.raises(AnswerNotProven) as withheld:
            await consumer.consumer.use(a_wish())

    assert withheld.value.as_dict()["type"] == "urn:lienthong:problem:answer-not-proven"
    assert (withheld.value.side, bool(withheld.value.mend)) == ("provider", True)
    assert "Bình" not in str(withheld.value.as_dict())
    last = (await consumer.leaves())[-1]
    assert (last["outcome"], last["reason"], last["body_digest"]) == ("failed", "answer-not-proven", None)
    await check_works(two_nodes)


async def test_an_unsigned_refusal_is_told_as_the_providers_and_its_status_is_the_real_one(two_nodes: Nodes) -> None:
    consumer, provider = two_nodes
    said = orjson.dumps({"type": "urn:lienthong:problem:unknown-peer", "status": "nonsense", "detail": 7, "side": []})

    async with lying(
        provider,
        lambda ours, _: changed(ours, body=said, status=403, signature=None, signature_input=None),
    ):
        await consumer.consumer.use(a_wish())
        with pytest.raises(RefusedByProvider) as refused:
            await consumer.consumer.use(a_wish())

    told_on = refused.value.as_dict()
    assert (told_on["type"], told_on["status"]) == ("urn:lienthong:problem:unknown-peer", 403)
    assert (await consumer.leaves())[-1]["reason"] == "refused-by-provider"
    await check_works(two_nodes)


async def test_a_provider_whose_certificate_is_not_the_listed_one_is_sent_nothing(two_nodes: Nodes, tmp_path) -> None:
    """Another node of the directory stands at the provider's address."""
    consumer, provider = two_nodes
    reached: list[object] = []

    async def door(scope: Any, receive: Any, send: Any) -> None:
        reached.append(scope)

    await provider.listener.stop(1)
    port = provider.local.settings.peer_port
    provider.listener = await serve_app(door, "127.0.0.1", port, tls=server_tls(consumer))
    with pytest.raises(Exception) as failed:
        await consumer.consumer.use(a_wish())

    assert failed.value.as_dict()["type"] == "urn:lienthong:problem:peer-certificate"
    assert reached == []
    await provider.listener.stop(1)
    provider.listener = await serve_app(
        PeerDoor(provider.provider, 1_000_000), "127.0.0.1", port, tls=server_tls(provider)
    )
    await check_works(two_nodes)
