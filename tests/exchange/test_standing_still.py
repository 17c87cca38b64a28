"""A peer that stands still, and one in recovery: callers are told soon and clearly, and nothing is asked in vain."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from lienthong.access.recovery import RecoveryState
from lienthong.errors import Problem
from lienthong.exchange.answer import Limits
from lienthong.exchange.client import HttpClient, Origin
from tests.exchange.scripted import make_certificate, read_request, scripted, server_context
from tests.exchange.test_client import OK, ask, blind_context
from tests.exchange.test_xroad_node import PATH, Country, country  # noqa: F401 - a fixture

WATCHFUL = Limits(connect_s=1.0, silent_s=0.2, first_byte_s=3600)
SERVER = """
import socket, ssl, sys
tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
tls.load_cert_chain(sys.argv[1], sys.argv[2])
door = socket.create_server(("127.0.0.1", 0))
print(door.getsockname()[1], flush=True)
link, _ = door.accept()
link = tls.wrap_socket(link, server_side=True)
link.recv(65536)
print("asked", flush=True)
link.recv(65536)
"""


async def test_a_peer_whose_process_stands_still_is_given_up_long_before_the_deadline(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    server = await asyncio.create_subprocess_exec(
        sys.executable, "-c", SERVER, str(ours.certificate), str(ours.key), stdout=asyncio.subprocess.PIPE
    )
    client = HttpClient(WATCHFUL)
    try:
        assert server.stdout
        port = int(await server.stdout.readline())
        origin = Origin("127.0.0.1", port, blind_context(), frozenset({ours.fingerprint}))
        call = asyncio.create_task(ask(client, origin, deadline_s=3600))
        assert await server.stdout.readline() == b"asked\n"
        os.kill(server.pid, signal.SIGSTOP)

        with pytest.raises(Problem) as refused:
            async with asyncio.timeout(120):
                await call
    finally:
        server.kill()
        await server.wait()
        await client.close()

    assert (refused.value.kind, refused.value.status, refused.value.side) == ("peer-timeout", 504, "provider")


async def test_a_peer_that_is_only_slow_is_waited_for(tmp_path: Path) -> None:
    ours = make_certificate(tmp_path, "peer")
    links, looked = 0, asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal links
        links += 1
        if links > 2:
            looked.set()  # the caller has looked twice whether we live
        if await read_request(reader):
            await looked.wait()
            writer.write(OK)

    client = HttpClient(Limits(silent_s=0.1))
    tls = server_context(ours.certificate, ours.key)
    async with scripted(script, tls, tls=blind_context(), pins=frozenset({ours.fingerprint})) as origin:
        assert (await ask(client, origin, deadline_s=120)).body == b"ok"
    await client.close()


@pytest.mark.integration
async def test_a_provider_in_recovery_asks_no_back_end_and_says_when_to_come_again(country: Country) -> None:  # noqa: F811
    state = RecoveryState(datetime.now(UTC), "shortened", "nut-chung", 9, 3)

    def refuse() -> None:
        raise state.problem()

    country.provider.parts.writer._refuse = refuse  # as the gateway makes its writer

    answer = await country.send("GET", PATH)

    assert answer.status == 503
    assert answer.one("retry-after") == "300"
    assert country.back_end.requests == []


@pytest.mark.integration
async def test_a_consumer_in_recovery_asks_nobody(country: Country) -> None:  # noqa: F811
    state = RecoveryState(datetime.now(UTC), "shortened", "nut-chung", 9, 3)

    def refuse() -> None:
        raise state.problem()

    country.consumer.parts.writer._refuse = refuse

    answer = await country.send("GET", PATH)

    assert (answer.status, answer.one("retry-after")) == (503, "300")
    assert await country.provider.leaves() == []
    assert country.back_end.requests == []
