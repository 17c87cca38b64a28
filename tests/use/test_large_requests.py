"""Requests too large to hold pass through both nodes: bounded memory, nothing left or readable on a disk, no half."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import json
import os
import resource
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lienthong.catalog.models import Field, HttpSource, Service, TableSource
from lienthong.config import Client
from lienthong.directory.models import MemberId, ServiceId
from lienthong.exchange.answer import Spill
from lienthong.exchange.backend import Backend
from lienthong.exchange.client import HttpClient, Origin
from lienthong.exchange.clientdoor import ClientDoor, Counter
from lienthong.exchange.consume import Wish
from lienthong.exchange.describe import Descriptions
from lienthong.exchange.guard import RequestLimits
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.signed import RefusedByProvider
from lienthong.exchange.spool import PIECE_BYTES, RequestNotKept, Spool, Spools
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from lienthong.verify import verify_receipt
from tests.agreements.build import compiled
from tests.use.databases import databases
from tests.use.nodes import COUNTER, POLICE, PURPOSE, TestNode, a_directory, publish, start_node, two_locals

pytestmark = pytest.mark.integration

MAPS = ServiceId("VN/GOV/G01/dancu/maps")
LAND = ServiceId("VN/GOV/G01/dancu/land")
PIECE = bytes(range(256)) * 256
MEGABYTE = 1024 * 1024


async def _unused(*_) -> Any:
    raise AssertionError("not asked")


@dataclass
class Seen:
    """What the back end got."""

    sizes: list[int] = field(default_factory=list)
    digests: list[bytes] = field(default_factory=list)
    fields: dict[bytes, bytes] = field(default_factory=dict)
    early: bool = False
    """Answer without reading the body."""


@dataclass
class Pair:
    consumer: TestNode
    provider: TestNode
    client: HttpClient
    door: Listener
    seen: Seen
    folders: tuple[Path, Path]

    def wish(self, large: Spool) -> Wish:
        return Wish(consumer=COUNTER, service=MAPS, way="call", target=b"/x1/" + MAPS.encode(), purpose=PURPOSE,
                    large=large, deadline_s=60)  # fmt: skip

    async def post(self, pieces: int, service: ServiceId = MAPS, *, length: bool = True, who: str = COUNTER) -> tuple:
        headers = [(b"x-road-client", who.encode()), (b"lienthong-purpose", PURPOSE.encode())]
        origin = Origin("127.0.0.1", self.door.port)

        async def body() -> AsyncIterator[bytes]:
            for _ in range(pieces):
                yield PIECE

        async with self.client.stream(
            origin, "POST", b"/r1/" + service.encode(), headers, body(),
            length=pieces * len(PIECE) if length else None, deadline_s=60,
        ) as answer:  # fmt: skip
            return answer.status, dict(answer.headers), b"".join([piece async for piece in answer])


@pytest.fixture
async def pair(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Pair]:
    seen = Seen()

    async def back_end(scope, receive, send) -> None:
        digest, size, more = hashlib.sha256(), 0, not seen.early
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            digest.update(message["body"])
            size, more = size + len(message["body"]), message["more_body"]
        seen.fields = dict(scope["headers"])
        seen.sizes.append(size)
        seen.digests.append(digest.digest())
        said = json.dumps({"bytes": size}).encode()
        fields = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(said))]
        await send({"type": "http.response.start", "status": 413 if seen.early else 201, "headers": fields})
        await send({"type": "http.response.body", "body": said})

    folders = tmp_path / "a-spool", tmp_path / "b-spool"
    with databases(pg_server, 2) as dsns:
        locals_ = await two_locals(dsns, tmp_path)
        publish(locals_, a_directory(locals_, datetime.now(UTC)), tmp_path, generate_es256())
        client = HttpClient()
        back = Backend(client, 2 * MEGABYTE, Spill(MEGABYTE, max_body=1 << 30))
        behind = await serve_app(back_end, "127.0.0.1", 0, limits=RequestLimits(max_body=None))
        consumer = await start_node(locals_[0], spools=Spools(folders[0], 400 * MEGABYTE))
        provider = await start_node(locals_[1], call_backend=back.call, spools=Spools(folders[1], 400 * MEGABYTE))
        provider.services[MAPS] = Service(
            id=MAPS, kind="http", title_vi="Bản đồ", title_en="Maps", sharing="shared", fields=(),
            source=HttpSource(f"http://127.0.0.1:{behind.port}/"),
        )  # fmt: skip
        for node in (consumer, provider):
            node.agreements[:] = [compiled(target=MAPS, purposes=(PURPOSE,))]
        settings = replace(consumer.parts.settings, clients=(Client(COUNTER),), max_request_bytes=200 * MEGABYTE)
        parts = replace(consumer.parts, settings=settings)
        counter = Counter(parts, consumer.consumer, Descriptions(parts.link), _unused, _unused, _unused, _unused)
        door = await serve_app(ClientDoor(counter), "127.0.0.1", 0, limits=RequestLimits(max_body=None))
        yield Pair(consumer, provider, client, door, seen, folders)
        for listener in (door, behind):
            await listener.stop(1.0)
        for node in (consumer, provider):
            await node.stop()
        await client.close()


def repeated(pieces: int, made: Any) -> bytes:
    for _ in range(pieces):
        made.update(PIECE)
    return made.digest()


async def a_spool(folder: Path, pieces: int) -> Spool:
    spool = Spool(folder)
    for _ in range(pieces):
        await spool.write(PIECE)
    await spool.end()
    return spool


async def test_a_hundred_megabytes_arrive_whole_and_memory_grows_by_less_than_sixteen(pair: Pair) -> None:
    assert (await pair.post(30))[0] == 201
    pieces = 100 * MEGABYTE // len(PIECE)
    before_kb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss

    status, fields, body = await pair.post(pieces)

    # Consumer, provider, client and back end are all in this one process.
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kb <= 16 * 1024
    assert (status, json.loads(body)) == (201, {"bytes": 100 * MEGABYTE})
    assert pair.seen.digests[1] == repeated(pieces, hashlib.sha256())
    assert pair.seen.fields[b"content-length"] == b"%d" % (100 * MEGABYTE)
    for folder in pair.folders:
        assert list(folder.iterdir()) == []
    record = fields[b"lienthong-record"].decode()
    for node in (pair.consumer, pair.provider):
        leaf = (await node.leaves())[-1]
        assert (leaf["outcome"], leaf["reason"]) == ("permitted", None)
    report = verify_receipt(await pair.consumer.receipt(record, to_owner=True))
    assert report.ok, report


async def test_a_body_without_a_length_is_taken_too_and_has_x_roads_hash(pair: Pair) -> None:
    _, chunked, _ = await pair.post(40, length=False)

    assert pair.seen.sizes == [40 * len(PIECE)]
    assert len(base64.b64decode(chunked[b"x-road-request-hash"])) == 64


async def test_who_may_not_send_is_refused_before_anything_is_sent(pair: Pair) -> None:
    """A client that asks first (Expect: 100-continue, as curl does above a megabyte) gets the refusal instead."""
    reader, writer = await asyncio.open_connection("127.0.0.1", pair.door.port)
    writer.write(
        b"POST /r1/%b HTTP/1.1\r\nhost: x\r\nx-road-client: VN/GOV/H24/nobody\r\ncontent-length: 5000000\r\n"
        b"expect: 100-continue\r\n\r\n" % MAPS.encode()
    )
    first, head = await reader.readline(), await reader.readuntil(b"\r\n\r\n")
    told = json.loads(await reader.read(int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])))
    writer.close()

    assert not first.startswith(b"HTTP/1.1 100"), first
    assert "VN/GOV/H24/nobody" in told["message"]
    assert not any(folder.exists() for folder in pair.folders)


async def test_a_peer_that_signs_nothing_writes_nothing_on_the_disk(pair: Pair) -> None:
    """It holds a certificate of the directory, or TLS would have ended the talk."""
    consumer, settings = pair.consumer, pair.provider.local.settings
    node = consumer.local.directory.snapshot().serving_node(MemberId(POLICE))
    origin = consumer.parts.link._origins.origin(settings.peer_url, node.tls_sha256)

    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield PIECE

    target, fields = b"/x1/" + MAPS.encode(), [(b"lienthong-service", MAPS.encode())]
    async with pair.client.stream(origin, "POST", target, fields, endless(), deadline_s=60) as answer:
        told = json.loads(b"".join([piece async for piece in answer]))

    assert answer.status == 401, told
    assert pair.seen.sizes == []
    assert not pair.folders[1].exists()


async def test_a_message_whose_body_is_not_the_signed_one_reaches_no_back_end(pair: Pair) -> None:
    class Blind:
        """A body that says of itself what is not so, and does not look at what it sends."""

        size_bytes = 40 * len(PIECE)
        sha256 = hashlib.sha256(b"another body").digest()

        async def __aiter__(self) -> AsyncIterator[bytes]:
            for _ in range(40):
                yield PIECE

    with pytest.raises(RefusedByProvider) as refused:
        await pair.consumer.consumer.use(pair.wish(Blind()))  # type: ignore[arg-type]

    assert refused.value.body["type"] == "urn:lienthong:problem:digest-mismatch"
    assert pair.seen.sizes == []
    assert list(pair.folders[1].iterdir()) == []


async def test_a_copy_that_came_to_harm_on_the_disk_is_not_passed_on(pair: Pair, tmp_path: Path) -> None:
    spool = await a_spool(tmp_path, 40)
    os.pwrite(spool._file.fileno(), b"harm", 1_000_000)

    with pytest.raises(RequestNotKept) as harmed:
        await pair.consumer.consumer.use(pair.wish(spool))

    assert harmed.value.kind == "request-not-kept"
    assert pair.seen.sizes == []
    assert (await pair.consumer.leaves())[-1]["reason"] == "request-not-kept"
    spool.close()


async def test_what_lies_on_the_disk_can_not_be_read_and_has_no_name(tmp_path: Path) -> None:
    spool = Spool(tmp_path)
    secret = b"So dinh danh 001099012345. " * 60_000
    await spool.write(secret)
    await spool.end()

    assert os.listdir(tmp_path) == []
    lying = os.pread(spool._file.fileno(), len(secret), 0)
    assert len(lying) == len(secret) > PIECE_BYTES
    assert b"001099012345" not in lying
    assert b"".join([piece async for piece in spool]) == secret
    assert b"".join([piece async for piece in spool]) == secret
    spool.close()


async def test_a_disk_that_takes_nothing_and_one_that_is_full_of_requests_say_so(pair: Pair, tmp_path: Path) -> None:
    (tmp_path / "a-spool").write_bytes(b"a file where the folder should be")

    status, fields, body = await pair.post(40)

    assert status >= 500
    assert int(fields[b"retry-after"]) > 0
    assert "Not a directory" in json.loads(body)["message"] or "File exists" in json.loads(body)["message"]
    (tmp_path / "a-spool").unlink()
    small = Spools(tmp_path / "a-spool", 2 * MEGABYTE)
    room = small.room()
    told: list[bytes] = [PIECE] * 40

    async def receive() -> dict:
        piece = told.pop()
        return {"type": "http.request", "body": piece, "more_body": bool(told)}

    with pytest.raises(Exception) as spent, room:
        await room.take(receive, announced=0, most_bytes=1 << 30, hold=lambda _: None, expect=lambda: None)
    assert spent.value.kind == "memory-budget-spent"
    with small.room() as later:
        told[:] = [PIECE] * 20
        await later.take(receive, announced=0, most_bytes=1 << 30, hold=lambda _: None, expect=lambda: None)
        assert later.large is not None
        assert later.large.size_bytes == 20 * len(PIECE)


async def test_more_than_the_node_takes_is_refused_by_its_length_and_without_one(pair: Pair) -> None:
    for length in (True, False):
        status, _, body = await pair.post(200 * MEGABYTE // len(PIECE) + 1, length=length)
        assert status >= 400
        assert str(200 * MEGABYTE) in json.loads(body)["message"]
    assert pair.seen.sizes == []


async def test_a_table_takes_no_large_request(pair: Pair) -> None:
    pair.provider.services[LAND] = Service(
        id=LAND, kind="table", title_vi="Đất", title_en="Land", sharing="shared",
        fields=(Field("parcel", "string", "Thửa đất"),),
        source=TableSource("postgres", dsn="", relation="public.land"),
    )  # fmt: skip
    for node in (pair.consumer, pair.provider):
        node.agreements[:] = [compiled(target=LAND, purposes=(PURPOSE,))]

    status, _, body = await pair.post(300, LAND)

    assert status >= 400
    assert "16777216" in json.loads(body)["message"]
    assert not pair.folders[1].exists()


async def test_a_back_end_that_answers_early_is_heard_and_its_link_not_used_again(pair: Pair) -> None:
    pair.seen.early = True
    status, _, body = await pair.post(200)

    assert (status, json.loads(body)) == (413, {"bytes": 0})
    pair.seen.early = False
    assert (await pair.post(30))[0] == 201
    assert pair.seen.sizes == [0, 30 * len(PIECE)]
