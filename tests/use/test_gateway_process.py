"""A node's real processes: hostile bytes at all three doors, a gateway's end under way, two gateways on one port."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import ssl
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from lienthong.catalog.models import HttpSource, Service
from lienthong.catalog.queries import store_service
from lienthong.config import load_settings
from lienthong.directory.models import ServiceId
from lienthong.node.certificates import tls_files
from lienthong.node.local import Local, open_local
from lienthong.node.supervise import write_dsns
from lienthong.storage.keyring import Keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.exchange.listening import exchange, statuses
from tests.exchange.scripted import read_request, scripted
from tests.use.databases import databases
from tests.use.nodes import COUNTER, PROVINCE, a_directory, free_port, publish

pytestmark = pytest.mark.integration

HELD = ServiceId(f"{COUNTER}/held")
RUN = (
    "import sys; from pathlib import Path; from lienthong.config import load_settings;"
    "from lienthong.node.roles import run_role; sys.exit(run_role(sys.argv[1], load_settings(Path(sys.argv[2]))))"
)
CALL = f"POST /r1/{HELD} HTTP/1.1\r\nHost: a\r\nX-Road-Client: {COUNTER}\r\nContent-Length: 2\r\n\r\n{{}}".encode()
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 4\r\n\r\ndone"


@dataclass
class Processes:
    """One node with its own service, whose back end answers when the test lets it."""

    local: Local
    config: Path
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    answer: asyncio.Event = field(default_factory=asyncio.Event)

    @asynccontextmanager
    async def running(self, role: str, port: int) -> AsyncIterator[asyncio.subprocess.Process]:
        """The process of ``role`` once it listens on ``port``."""
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-c", RUN, role, str(self.config), env={**os.environ, "PYTHONPATH": "src"}
        )
        try:
            await until(lambda: can_connect(port, process))
            yield process
        finally:
            if process.returncode is None:
                process.kill()
            await process.wait()


async def until(holds: Callable[[], Any]) -> None:
    async with asyncio.timeout(60):
        while not await holds():  # noqa: ASYNC110 - another process: no event here tells of it
            await asyncio.sleep(0.02)


async def can_connect(port: int, process: asyncio.subprocess.Process | None = None) -> bool:
    assert process is None or process.returncode is None, "the process ended before it served"
    with suppress(OSError):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.close()
        return True
    return False


@pytest.fixture
async def processes(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Processes]:
    with databases(pg_server, 1) as dsns:
        peer = free_port()
        config = tmp_path / "node.toml"
        config.write_text(
            f'node = "nut-h24"\ndata = "nut-h24"\nmembers = ["{PROVINCE}"]\ndirectory_anchor = "anchor.json"\n'
            f"client_port = {free_port()}\npublic_port = {free_port()}\npeer_port = {peer}\ngateways = 2\n"
            f'peer_url = "https://127.0.0.1:{peer}"\n\n[[clients]]\nsystem = "{COUNTER}"\n'
        )
        settings = load_settings(config)
        Keyring(settings.data)
        write_dsns(settings, dsns[0])
        local = await open_local(settings)
        publish([local], a_directory([local], datetime.now(UTC)), tmp_path, generate_es256())
        node = Processes(local, config)

        async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while await read_request(reader):
                node.asked.set()
                await node.answer.wait()
                writer.write(ANSWER)

        async with scripted(script) as back_end:
            async with local.pool.connection() as db:
                await store_service(
                    db,
                    Service(
                        id=HELD, kind="http", title_vi="Chờ", title_en="Held", sharing="shared", fields=(),
                        source=HttpSource(f"http://127.0.0.1:{back_end.port}/"),
                    ),
                )  # fmt: skip
            yield node
        await local.pool.close()


GET, H, END = b"GET / HTTP/1.1\r\n", b"Host: a\r\n", b"\r\n"
POST = b"POST / HTTP/1.1\r\n" + H
TABLE = {
    "Content-Length and Transfer-Encoding": (
        POST + b"Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400,
    ),
    "differing Content-Length": (POST + b"Content-Length: 1\r\nContent-Length: 2\r\n\r\nab", 400),
    "Content-Length +1": (POST + b"Content-Length: +1\r\n\r\na", 400),
    "xchunked": (POST + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n", 400),
    "space before the colon": (GET + H + b"X : 1\r\n\r\n", 400),
    "NUL": (GET + H + b"X: a\0b\r\n\r\n", 400),
    "negative chunk": (POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n", 400),
    "obs-fold": (GET + H + b"X: 1\r\n 2\r\n\r\n", 400),
    "bare LF": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "duplicate Host": (GET + H + H + END, 400),
    "missing Host": (GET + END, 400),
    "70 kB header": (GET + H + b"X: " + b"a" * 70_000 + b"\r\n\r\n", 431),
    "20,000 headers": (GET + H + b"X: 1\r\n" * 20_000 + END, 431),
    "100 kB chunk extension": (
        POST + b"Transfer-Encoding: chunked\r\n\r\n1;" + b"x" * 100_000 + b"\r\na\r\n0\r\n\r\n", 400,
    ),
}  # fmt: skip


async def test_every_door_of_a_running_node_refuses_what_parsers_read_differently(processes: Processes) -> None:
    settings = processes.local.settings
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.load_cert_chain(*tls_files(settings, processes.local.keyring))
    doors = {
        "client": (settings.client_port, None),
        "peer": (settings.peer_port, tls),
        "public": (settings.public_port, None),
    }
    found = {}
    async with (
        processes.running("gateway", settings.client_port),
        processes.running("web", settings.public_port),
    ):
        for door, (port, context) in doors.items():
            for name, (sent, _) in TABLE.items():
                answer = await exchange(port, sent, tls=context)
                found[door, name] = statuses(answer)
                assert json.loads(answer.partition(b"\r\n\r\n")[2])["type"].startswith("urn:lienthong:problem:")
            lawful = await exchange(port, GET + H + b"Connection: close\r\n\r\n", tls=context)
            assert statuses(lawful)[0] in (200, 303, 307, 404, 401, 400), lawful
            assert b"malformed-request" not in lawful

    assert found == {(door, name): [status] for door in doors for name, (_, status) in TABLE.items()}


async def test_a_gateway_that_is_told_to_end_finishes_the_call_under_way_and_takes_no_new_one(
    processes: Processes,
) -> None:
    port = processes.local.settings.client_port
    async with processes.running("gateway", port) as gateway:
        under_way = asyncio.create_task(exchange(port, CALL, answers=1))
        await processes.asked.wait()

        gateway.send_signal(signal.SIGTERM)

        async def refused() -> bool:
            return not await can_connect(port)

        await until(refused)
        assert not under_way.done()
        assert gateway.returncode is None
        processes.answer.set()
        answer = await under_way
        assert await gateway.wait() == 0

    assert statuses(answer) == [200]
    assert answer.endswith(b"done")
    async with processes.local.pool.connection() as db:
        cursor = await db.execute("SELECT leaf FROM record ORDER BY seq")
        leaves = [json.loads(bytes(row[0])) for row in await cursor.fetchall()]
    assert [(leaf["side"], leaf["outcome"]) for leaf in leaves] == [
        ("provider", "permitted"), ("consumer", "permitted"),
    ]  # fmt: skip


async def test_two_gateways_share_the_ports_and_one_of_them_may_end(processes: Processes) -> None:
    port = processes.local.settings.client_port
    processes.answer.set()
    async with processes.running("gateway", port) as first, processes.running("gateway", port) as second:

        async def both_serve() -> bool:
            return len(servers_of(port, first, second)) == 2

        await until(both_serve)
        answers = await asyncio.gather(*(exchange(port, CALL, answers=1) for _ in range(20)))
        assert Counter(map(tuple, map(statuses, answers))) == {(200,): 20}
        second.send_signal(signal.SIGTERM)
        assert await second.wait() == 0

        answers = await asyncio.gather(*(exchange(port, CALL, answers=1) for _ in range(10)))

    assert Counter(map(tuple, map(statuses, answers))) == {(200,): 10}
    async with processes.local.pool.connection() as db:
        cursor = await db.execute("SELECT count(*), count(DISTINCT hash) FROM record")
        assert await cursor.fetchone() == (60, 60)


def servers_of(port: int, *processes: asyncio.subprocess.Process) -> set[int]:
    """Which of ``processes`` listen on ``port``: by the sockets that the kernel tells."""
    listening = {
        line.split()[9]
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]
        if line.split()[1].endswith(f":{port:04X}") and line.split()[3] == "0A"
    }
    found = set()
    for process in processes:
        for descriptor in Path(f"/proc/{process.pid}/fd").iterdir():
            with suppress(OSError):
                if os.readlink(descriptor).removeprefix("socket:[").removesuffix("]") in listening:
                    found.add(process.pid)
    return found
