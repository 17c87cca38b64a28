"""What arrived is pushed to the system that follows it: in order, at least once, only where that was agreed to."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from pathlib import Path

import httpx
import psycopg
import pytest
from typer.testing import CliRunner

from lienthong.cli.events import app
from lienthong.config import Client
from lienthong.directory.models import SystemId
from lienthong.errors import Problem
from lienthong.events.models import NoSuchSubscription
from lienthong.events.push import MOST_AT_ONCE, Pusher, WebhookNotAgreed
from lienthong.exchange.client import HttpClient
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.listen import Listener, read_body, serve_app
from lienthong.exchange.outward import AddressNotAllowed, Outward, read_allowed
from lienthong.node.eventdesk import EventCounter
from tests.use.nodes import COUNTER
from tests.use.streams import BINH, HAI, Stream

pytestmark = pytest.mark.integration
TOKEN = "bi-mat-cua-he-thong"


@dataclass
class Hook:
    """A system's own address that takes events, and what it got."""

    listener: Listener | None = None
    agrees: str = "nut-h24"
    status: int = 204
    fields: list[tuple[bytes, bytes]] = field(default_factory=list)
    got: list[list[dict]] = field(default_factory=list)
    heads: list[dict[bytes, bytes]] = field(default_factory=list)

    async def __call__(self, scope, receive, send) -> None:
        body = await read_body(receive, 10_000_000)
        answer = [(b"content-length", b"0")]
        if scope["method"] == "OPTIONS":
            answer.append((b"webhook-allowed-origin", self.agrees.encode()))
            status = 200
        else:
            self.heads.append(dict(scope["headers"]))
            self.got.append(json.loads(body))
            status, answer = self.status, answer + self.fields
        await send({"type": "http.response.start", "status": status, "headers": answer})
        await send({"type": "http.response.body", "body": b""})

    @property
    def url(self) -> str:
        assert self.listener is not None
        return f"http://127.0.0.1:{self.listener.port}/su-kien"

    @property
    def ids(self) -> list[str]:
        return [event["id"] for batch in self.got for event in batch]


@dataclass
class Pushed:
    stream: Stream
    hook: Hook
    pusher: Pusher

    async def due(self) -> int:
        """Push as if every pause were over."""
        with psycopg.connect(self.stream.consumer.local.dsns.owner, autocommit=True) as db:
            db.execute("UPDATE event_push SET next_at = now()")
        return await self.pusher.push_all()

    async def state(self) -> dict[str, object]:
        [known] = await self.stream.follower.listed(COUNTER)
        return (await self.stream.follower.pushed([known]))[known.id]

    def pause_s(self) -> float:
        with psycopg.connect(self.stream.consumer.local.dsns.owner) as db:
            row = db.execute("SELECT extract(epoch FROM next_at - now()) FROM event_push").fetchone()
        return float(row[0]) if row else 0.0


@pytest.fixture
async def pushed(stream: Stream) -> AsyncIterator[Pushed]:
    hook, client = Hook(), HttpClient()
    hook.listener = await serve_app(hook, "127.0.0.1", 0)
    local = stream.consumer.local
    rule = Outward("inside", read_allowed([f"127.0.0.1:{hook.listener.port}"]))
    yield Pushed(stream, hook, Pusher(local.pool, local.seal, stream.follower, client, rule, local.settings.node))
    await hook.listener.stop(1.0)
    await client.close()


async def test_what_arrives_is_pushed_once_in_order_with_the_systems_token(pushed: Pushed):
    subscription = await pushed.stream.followed()
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, TOKEN)

    assert await pushed.due() == 2
    pushed.stream.change(
        f"UPDATE person SET full_name = 'Nguyễn Thị Bình An' WHERE personal_number = '{BINH}'",
        f"DELETE FROM person WHERE personal_number = '{HAI}'",
    )
    await pushed.stream.compare()
    await pushed.stream.follower.follow_all()
    assert await pushed.due() == 2
    assert await pushed.due() == 0

    arrived = await pushed.stream.arrived(subscription)
    assert [event for batch in pushed.hook.got for event in batch] == arrived
    assert pushed.hook.got[1][0]["data"]["changed"] == {"full_name": "Nguyễn Thị Bình An"}
    assert {head[b"content-type"] for head in pushed.hook.heads} == {b"application/cloudevents-batch+json"}
    assert {head[b"authorization"] for head in pushed.hook.heads} == {b"Bearer " + TOKEN.encode()}
    with psycopg.connect(pushed.stream.consumer.local.dsns.owner) as db:
        [(sealed,)] = db.execute("SELECT token FROM event_push").fetchall()
    assert TOKEN.encode() not in bytes(sealed)


async def test_a_system_that_is_away_gets_everything_later_and_nothing_overtakes(pushed: Pushed):
    subscription = await pushed.stream.followed()
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")
    pushed.hook.status = 500
    assert await pushed.due() == 0
    first_pause = pushed.pause_s()
    assert await pushed.pusher.push_all() == 0
    assert len(pushed.hook.got) == 1, "a pause is kept"
    await pushed.due()
    assert pushed.pause_s() > first_pause > 0
    assert await pushed.state() == {
        "url": pushed.hook.url, "state": "active", "failures": 2, "problem": "status-500", "waiting": 2,
    }  # fmt: skip
    pushed.stream.change(f"DELETE FROM person WHERE personal_number = '{HAI}'")
    await pushed.stream.compare()
    await pushed.stream.follower.follow_all()

    pushed.hook.status = 202
    assert await pushed.due() == 3

    arrived = [event["id"] for event in await pushed.stream.arrived(subscription)]
    assert [event["id"] for event in pushed.hook.got[-1]] == arrived
    assert (await pushed.state())["problem"] is None
    pushed.hook.got.clear()
    assert pushed.hook.listener is not None
    await pushed.hook.listener.stop(0.1)
    pushed.stream.change("UPDATE person SET full_name = 'Đổi tên'")
    await pushed.stream.compare()
    await pushed.stream.follower.follow_all()
    assert await pushed.due() == 0
    assert (await pushed.state())["problem"] == "peer-unreachable"


async def test_a_batch_that_was_taken_but_not_noted_comes_again_with_the_same_ids(pushed: Pushed, monkeypatch):
    subscription = await pushed.stream.followed()
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")

    async def killed(*_, **__):
        raise asyncio.CancelledError

    with monkeypatch.context() as patched:
        patched.setattr("lienthong.events.push.note_push", killed)
        with pytest.raises(asyncio.CancelledError):
            await pushed.due()
    assert await pushed.pusher.push_all() == 0, "another process waits until the lease has run out"

    assert await pushed.due() == 2
    assert pushed.hook.got[0] == pushed.hook.got[1]


async def test_an_address_that_says_gone_is_left_alone_and_one_that_says_later_is_heard(pushed: Pushed):
    subscription = await pushed.stream.followed()
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")
    pushed.hook.status, pushed.hook.fields = 429, [(b"retry-after", b"600")]
    await pushed.due()
    assert pushed.pause_s() > 500
    pushed.hook.status = 410
    await pushed.due()

    assert (await pushed.state())["state"] == "ended"
    assert await pushed.due() == 0
    assert len(pushed.hook.got) == 2
    pushed.hook.status = 200
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")
    assert await pushed.due() == 2
    await pushed.pusher.end(COUNTER, subscription.id)
    assert (await pushed.state())["state"] == "ended"


async def test_many_events_leave_in_batches_one_after_the_other(pushed: Pushed):
    rows = ", ".join(f"('0319{n:08}', 'Người {n}', NULL, NULL, NULL, '31')" for n in range(2 * MOST_AT_ONCE))
    pushed.stream.change(f"INSERT INTO person VALUES {rows}")
    subscription = await pushed.stream.followed()
    await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")

    assert await pushed.due() == 2 * MOST_AT_ONCE + 2

    assert [len(batch) for batch in pushed.hook.got] == [MOST_AT_ONCE, MOST_AT_ONCE, 2]
    arrived = [event["id"] for event in await pushed.stream.arrived(subscription)]
    assert pushed.hook.ids == arrived


@pytest.mark.parametrize(
    ("url", "problem", "kind"),
    [
        ("http://127.0.0.1:1/x", AddressNotAllowed, "address-not-allowed"),
        ("http://169.254.169.254/latest", AddressNotAllowed, "address-not-allowed"),
        ("https://[::1]/x", AddressNotAllowed, "address-not-allowed"),
        ("http://10.0.0.1/x", WebhookNotAgreed, "webhook-not-agreed"),
        ("ftp://example.vn/x", Problem, "backend-address-not-valid"),
        ("https://user:word@example.vn/x", Problem, "backend-address-not-valid"),
    ],
)
async def test_addresses_that_nothing_may_be_pushed_to(pushed: Pushed, url: str, problem: type[Problem], kind: str):
    subscription = await pushed.stream.followed()

    with pytest.raises(problem) as refused:
        await pushed.pusher.begin(COUNTER, subscription.id, url, "")

    assert refused.value.kind == kind
    assert await pushed.due() == 0


async def test_an_address_that_did_not_agree_gets_nothing_and_another_systems_subscription_is_none(pushed: Pushed):
    subscription = await pushed.stream.followed()
    pushed.hook.agrees = "somebody-else"
    with pytest.raises(WebhookNotAgreed):
        await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "")
    pushed.hook.agrees = "*"
    with pytest.raises(WebhookNotAgreed):
        await pushed.pusher.begin(COUNTER, subscription.id, pushed.hook.url, "with a space")
    with pytest.raises(NoSuchSubscription):
        await pushed.pusher.begin(SystemId("VN/GOV/H24/datdai"), subscription.id, pushed.hook.url, "")

    assert await pushed.due() == 0
    assert pushed.hook.got == []


async def _unused(*_):
    raise AssertionError("not asked")


async def test_a_push_is_begun_and_ended_over_the_client_listener_and_by_command(
    pushed: Pushed, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
):
    subscription = await pushed.stream.followed()
    parts = pushed.stream.consumer.parts
    settings = replace(parts.settings, clients=(Client(COUNTER),))
    parts = replace(parts, settings=settings)
    counter = Counter(
        parts, pushed.stream.consumer.consumer, Descriptions(parts.link), _unused, _unused, _unused, _unused,
        events=EventCounter(pushed.stream.follower, pushed.pusher).answer,
    )  # fmt: skip
    listener = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
    monkeypatch.setenv("LIENTHONG_NODE", f"http://127.0.0.1:{listener.port}")
    monkeypatch.setenv("LIENTHONG_CLIENT", COUNTER)
    token = tmp_path / "token"
    token.write_text(TOKEN)

    async def run(*words: str) -> tuple[int, str]:
        done = await asyncio.to_thread(CliRunner().invoke, app, ["push", *words])
        return done.exit_code, done.output

    begun = await run(subscription.id, pushed.hook.url, "--token-file", str(token))
    taken = await pushed.due()
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{listener.port}") as door:
        wrong = await door.post(f"/events/{subscription.id}/push", json={"url": 7}, headers={"X-Road-Client": COUNTER})
        [listed] = (await door.get("/events", headers={"X-Road-Client": COUNTER})).json()["subscriptions"]
    ended = await run(subscription.id, "--stop")
    neither = await run(subscription.id)
    await listener.stop(2.0)

    assert begun[0] == 0, begun
    assert json.loads(begun[1])["push"]["state"] == "active"
    assert (taken, pushed.hook.heads[0][b"authorization"]) == (2, b"Bearer " + TOKEN.encode())
    assert (wrong.status_code, wrong.json()["type"]) == (400, "urn:lienthong:problem:bad-question")
    assert (listed["push"]["waiting"], TOKEN in json.dumps(listed)) == (0, False)
    assert json.loads(ended[1])["push"]["state"] == "ended"
    assert neither[0] == 2
