"""Answers too large to hold pass through both nodes in frames: bounded memory, two records a side, no half as whole."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import resource
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from lienthong.catalog.models import HttpSource, Service
from lienthong.config import Client
from lienthong.directory.models import ServiceId
from lienthong.errors import Problem
from lienthong.exchange.answer import Spill
from lienthong.exchange.backend import Backend
from lienthong.exchange.client import HttpClient, Origin
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.consume import Wish
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.listen import Listener, serve_app
from lienthong.node.unclosed import close_unclosed
from lienthong.storage.pool import DatabaseFailed
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from lienthong.verify import verify_receipt
from tests.agreements.build import compiled
from tests.exchange.scripted import read_request, scripted
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration

MAPS = ServiceId("VN/GOV/G01/dancu/maps")
PIECE = bytes(range(256)) * 256
MEGABYTE = 1024 * 1024
Answers = Callable[[asyncio.StreamWriter], Any]


async def _unused(*_) -> Any:
    raise AssertionError("not asked")


@dataclass
class Pair:
    consumer: TestNode
    provider: TestNode
    client: HttpClient
    door: Listener
    answers: Answers
    sent: list[int] = field(default_factory=list)

    def wish(self, **changes: Any) -> Wish:
        wish = Wish(consumer=COUNTER, service=MAPS, way="call", target=b"/x1/" + MAPS.encode(), purpose=PURPOSE)
        return replace(wish, **changes)

    async def cut(self) -> tuple[Any, int]:
        """How a call ends that does not come to its end, and the bytes got till then."""
        got = 0
        try:
            async with self.call() as answer:
                async for piece in answer:
                    got += len(piece)
        except Problem as cut:
            return cut, got
        raise AssertionError("the answer looked whole")

    @asynccontextmanager
    async def call(self):
        headers = [(b"x-road-client", COUNTER.encode()), (b"lienthong-purpose", PURPOSE.encode())]
        origin = Origin("127.0.0.1", self.door.port)
        async with self.client.stream(origin, "GET", b"/r1/" + MAPS.encode(), headers, deadline_s=60) as answer:
            yield answer

    async def ends(self, count: int) -> list[list[dict]]:
        """The leaves of both nodes once each has ``count``."""
        async with asyncio.timeout(20):
            while True:
                leaves = [await node.leaves() for node in (self.consumer, self.provider)]
                if all(len(found) >= count for found in leaves):
                    return leaves
                await asyncio.sleep(0.05)


@pytest.fixture
async def pair(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Pair]:
    made: list[Pair] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await read_request(reader):
            await made[0].answers(writer)

    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        client = HttpClient()
        back = Backend(client, 2 * MEGABYTE, Spill(MEGABYTE, max_body=1 << 30))
        async with scripted(script) as origin:
            consumer = await start_node(locals_[0])
            provider = await start_node(locals_[1], call_backend=back.call)
            provider.services[MAPS] = Service(
                id=MAPS, kind="http", title_vi="Bản đồ", title_en="Maps", sharing="shared", fields=(),
                source=HttpSource(f"http://127.0.0.1:{origin.port}/"),
            )  # fmt: skip
            for node in (consumer, provider):
                node.agreements[:] = [compiled(target=MAPS, purposes=(PURPOSE,))]
            parts = replace(consumer.parts, settings=replace(consumer.parts.settings, clients=(Client(COUNTER),)))
            counter = Counter(parts, consumer.consumer, Descriptions(parts.link), _unused, _unused, _unused, _unused)
            door = await serve_app(ClientDoor(counter), "127.0.0.1", 0)
            made.append(Pair(consumer, provider, client, door, many(1)))
            yield made[0]
            await door.stop(1.0)
            for node in (consumer, provider):
                await node.stop()
            await client.close()


def many(pieces: int, *, cut_after: int | None = None) -> Answers:
    """Answers with so many pieces, chunked; the link is cut after ``cut_after``."""

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: image/tiff\r\nx-map: 7\r\ntransfer-encoding: chunked\r\n\r\n")
        for sent in range(pieces):
            if sent == cut_after:
                writer.transport.abort()
                return
            writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
            await writer.drain()
        writer.write(b"0\r\n\r\n")

    return answer


async def test_a_hundred_megabytes_pass_whole_and_memory_grows_by_less_than_sixteen(pair: Pair) -> None:
    pieces = 100 * MEGABYTE // len(PIECE)
    pair.answers = many(30)
    async with pair.call() as warm:
        assert len(b"".join([piece async for piece in warm])) == 30 * len(PIECE)
    pair.answers = many(pieces)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    digest, size = hashlib.sha256(), 0

    async with pair.call() as answer:
        async for piece in answer:
            digest.update(piece)
            size += len(piece)

    # Consumer, provider, client and back end are all in this one process.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb <= 16 * 1024
    assert size == pieces * len(PIECE)
    whole = hashlib.sha256()
    for _ in range(pieces):
        whole.update(PIECE)
    assert digest.digest() == whole.digest()
    assert answer.status == 200
    assert (b"content-type", b"image/tiff") in answer.headers
    assert (b"x-map", b"7") in answer.headers
    for leaves in await pair.ends(4):
        assert [leaf["reason"] for leaf in leaves] == ["opened", "closed"] * 2
        assert leaves[3]["bytes"] == size
        assert leaves[3]["body_digest"] == f"sha-256:{digest.hexdigest()}"


async def test_both_records_of_both_sides_have_receipts_that_verify_and_name_each_other(pair: Pair) -> None:
    pair.answers = many(40)
    async with pair.call() as answer:
        assert len(b"".join([piece async for piece in answer])) == 40 * len(PIECE)
        opened = dict(answer.headers)[b"lienthong-record"].decode()

    ours, theirs = await pair.ends(2)
    assert json.loads((await pair.consumer.receipt(opened))["record"]) == ours[0]
    for mine, other in zip(ours, theirs, strict=True):
        receipt = await pair.provider.receipt(mine["peer_record"], to_owner=True)
        assert json.loads(receipt["record"]) == other
        report = verify_receipt(receipt)
        assert report.ok, report
        assert mine["exchange_id"] == other["exchange_id"]
    hashes = [row["hash"] for row in await entries(pair.consumer)]
    for named in hashes:
        report = verify_receipt(await pair.consumer.receipt(named, to_owner=True))
        assert report.ok, report
        assert all(check.ok for check in report.checks if "signature" in check.name)


async def entries(node: TestNode) -> list[dict]:
    await node.sequence()
    async with node.local.pool.connection() as db:
        cursor = await db.execute("SELECT encode(hash, 'hex') FROM entry ORDER BY idx")
        return [{"hash": row[0]} for row in await cursor.fetchall()]


async def test_a_back_end_that_breaks_off_cuts_the_caller_and_is_on_record_as_failed_with_the_bytes(pair: Pair) -> None:
    pair.answers = many(100, cut_after=50)

    cut, got = await pair.cut()

    assert cut.kind == "bad-answer"
    ours, theirs = await pair.ends(2)
    assert [(leaf["outcome"], leaf["reason"]) for leaf in theirs] == [
        ("permitted", "opened"), ("failed", "closed;bad-answer"),
    ]  # fmt: skip
    assert (ours[1]["outcome"], ours[1]["peer_record"]) == ("failed", None)
    assert got <= ours[1]["bytes"] <= theirs[1]["bytes"] <= 50 * len(PIECE)
    for node, leaves in ((pair.consumer, ours), (pair.provider, theirs)):
        for row in await entries(node):
            assert verify_receipt(await node.receipt(row["hash"], to_owner=True)).ok
        assert leaves[1]["body_digest"]


async def test_a_caller_that_leaves_ends_the_stream_on_both_sides_and_on_record(pair: Pair) -> None:
    pair.answers = many(2_000)

    async with pair.call() as answer:
        async for _ in answer:
            break

    for leaves in await pair.ends(2):
        assert (leaves[1]["outcome"], leaves[1]["reason"]) == ("failed", "closed;caller-gone")
        assert leaves[1]["bytes"] < 2_000 * len(PIECE)


async def test_a_node_that_stops_in_the_middle_of_a_stream_has_its_end_on_record(pair: Pair) -> None:
    never = asyncio.Event()

    async def answer(writer: asyncio.StreamWriter) -> None:
        await many(40, cut_after=None)(Unfinished(writer))
        await never.wait()

    pair.answers = answer
    async with pair.call() as under_way:
        pieces = aiter(under_way)
        await anext(pieces)
        await pair.provider.listener.stop(0.1)
        with pytest.raises(Problem):
            await read_on(pieces)

    ours, theirs = await pair.ends(2)
    assert (theirs[1]["outcome"], theirs[1]["reason"]) == ("failed", "closed;stopped")
    assert (ours[1]["outcome"], ours[1]["reason"]) == ("failed", "closed;bad-answer")


async def test_an_end_that_could_not_be_recorded_is_told_later_and_its_receipt_verifies(pair: Pair) -> None:
    pair.answers = many(40)
    writer = pair.provider.parts.writer
    append_leaf = writer.append_leaf

    async def no_ends(leaf: bytes, *rest: Any) -> None:
        if b'"reason":"closed' in leaf:
            raise DatabaseFailed("the database is away")
        await append_leaf(leaf, *rest)

    writer.append_leaf = no_ends
    await pair.cut()
    writer.append_leaf = append_leaf
    local = pair.provider.local
    await pair.provider.sequence()
    later = datetime.now(UTC) + timedelta(hours=2)
    assert await close_unclosed(local.pool, local.seal, writer, timedelta(hours=1), later) == 1

    opening, end = await pair.provider.leaves()
    assert (opening["reason"], end["reason"], end["bytes"]) == ("opened", "closed;lost", None)
    assert end["request_signature_digest"] == opening["request_signature_digest"]
    named = (await entries(pair.provider))[1]["hash"]
    report = verify_receipt(await pair.provider.receipt(named, to_owner=True))
    assert report.ok, report


async def read_on(pieces: AsyncIterator[bytes]) -> None:
    async for _ in pieces:
        pass


class Unfinished:
    """A writer whose last chunk is held back."""

    def __init__(self, writer: asyncio.StreamWriter) -> None:
        self._writer = writer
        self.drain = writer.drain

    def write(self, piece: bytes) -> None:
        if piece != b"0\r\n\r\n":
            self._writer.write(piece)


async def test_a_limited_or_personal_answer_is_never_streamed(pair: Pair) -> None:
    body = json.dumps({"rows": [{"name": "x" * 700_000}, {"name": "y" * 700_000, "phone": "0912345678"}]}).encode()

    async def answer(writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % len(body))
        writer.write(body)

    pair.answers = answer
    for node in (pair.consumer, pair.provider):
        node.agreements[:] = [compiled(target=MAPS, purposes=(PURPOSE,), fields=("$.rows[*].name",))]

    used = await pair.consumer.consumer.use(pair.wish(streams=True))

    assert used.pour is None
    assert b"0912345678" not in used.answer.body
    assert len(used.answer.body) > MEGABYTE
    pair.answers = many(100)
    refused = await pair.consumer.consumer.use(pair.wish(streams=True))
    assert json.loads(refused.answer.body)["type"] == "urn:lienthong:problem:service-answer-too-large"


async def test_a_node_that_does_not_know_frames_gets_a_whole_answer(pair: Pair) -> None:
    pair.answers = many(20)

    used = await pair.consumer.consumer.use(pair.wish(streams=False))

    assert used.pour is None
    assert used.answer.body == PIECE * 20


@pytest.mark.parametrize("lie", ["changed", "shortened", "unsigned end", "another's end", "no end", "more behind"])
async def test_a_stream_whose_end_does_not_prove_it_is_cut(pair: Pair, lie: str) -> None:
    """A provider's node that signs one thing and sends another."""
    pair.answers = many(30)
    honest = pair.provider.provider.answer

    async def lying(request):
        answer = await honest(request)
        if answer.pour is None:
            return answer
        true_pour, seen = answer.pour, []

        async def pour(send):
            async def altered(piece: bytes) -> None:
                seen.append(piece)
                kind, content = piece[:1], piece[5:]
                if lie == "changed" and kind == b"D" and len(seen) == 9:
                    piece = piece[:-1] + bytes([piece[-1] ^ 1])
                if lie == "shortened" and kind == b"D" and len(seen) == 9:
                    return
                if kind == b"C" and lie == "no end":
                    return
                if kind == b"C" and lie in ("unsigned end", "another's end"):
                    told = json.loads(content)
                    other = json.loads(seen[0][5:])["sealing"]["signature"]
                    forged = "lt=:" + base64.b64encode(b"\0" * 64).decode() + ":"
                    told["sealing"]["signature"] = forged if lie == "unsigned end" else other
                    content = json.dumps(told).encode()
                    piece = b"C" + len(content).to_bytes(4, "big") + content
                await send(piece)
                if kind == b"C" and lie == "more behind":
                    await send(b"D\0\0\0\1x")

            await true_pour(altered)

        return replace(answer, pour=pour)

    pair.provider.provider.answer = lying

    cut, _ = await pair.cut()

    assert cut.kind == "bad-answer"
    leaves, _ = await pair.ends(2)
    kind = "stream-broken" if lie in ("no end", "more behind") else "answer-not-proven"
    assert (leaves[1]["outcome"], leaves[1]["reason"]) == ("failed", f"closed;{kind}")
