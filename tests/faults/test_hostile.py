"""While hostile clients do their worst at the door of a node, the others are served."""

from __future__ import annotations

import asyncio
import ssl
from collections import Counter
from collections.abc import Awaitable, Callable
from contextlib import suppress

import pytest

from lienthong.errors import Problem
from tests.faults.conftest import Apart
from tests.use.forged import tls_as

pytestmark = [pytest.mark.integration, pytest.mark.faults]

USES = 40
AT_ONCE = 4
SERVED = 0.95
"""Share of the others' uses that must succeed: a ratio of successes, no time."""
PIECE = b"x" * 65_536
PAUSE_S = 0.01
"""Between two pieces of a flood: attackers and attacked share one event loop here, and without a breath the test would
measure how fast it writes its own attacks."""

Attack = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]


async def slow_head(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A letter of the head now and then."""
    for letter in b"POST /x1/anything HTTP/1.1\r\nhost: a.vn\r\nx-slow: " + b"y" * 1000:
        writer.write(bytes([letter]))
        await asyncio.sleep(0.2)


async def endless_body(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Chunks without end."""
    writer.write(b"POST /x1/query HTTP/1.1\r\nhost: a.vn\r\ntransfer-encoding: chunked\r\n\r\n")
    while True:
        writer.write(b"%x\r\n%b\r\n" % (len(PIECE), PIECE))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def flood_of_fields(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Fields without end."""
    writer.write(b"GET /x1/a HTTP/1.1\r\nhost: a.vn\r\n")
    while True:
        writer.write(b"x-more: %b\r\n" % (b"z" * 1000))
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def requests_ahead(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Requests sent and answers never read."""
    while True:
        writer.write(b"POST /x1/query HTTP/1.1\r\nhost: a.vn\r\ncontent-length: 2\r\n\r\n{}" * 20)
        await writer.drain()
        await asyncio.sleep(PAUSE_S)


async def nothing_said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """A connection held open."""
    await reader.read()


SHOWN_THE_DOOR = {"flood_of_fields", "requests_ahead"}
ATTACKS: dict[Attack, int] = {slow_head: 15, endless_body: 1, flood_of_fields: 2, requests_ahead: 1, nothing_said: 30}


async def attacker(port: int, tls: ssl.SSLContext, attack: Attack, ended: list[str]) -> None:
    """Comes again as soon as it is shown the door."""
    while True:
        with suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls)
            try:
                await attack(reader, writer)
            finally:
                writer.transport.abort()
        ended.append(attack.__name__)
        await asyncio.sleep(0.1)


async def strangers(port: int) -> None:
    """Connections that never begin TLS."""
    async with asyncio.TaskGroup() as group:
        for _ in range(50):
            group.create_task(_hold(port))


async def _hold(port: int) -> None:
    with suppress(OSError):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        try:
            await reader.read()
        finally:
            writer.transport.abort()


async def test_while_hostile_clients_do_their_worst_the_others_are_served(apart: Apart) -> None:
    port = apart.provider.local.settings.peer_port
    # The worst case: the attacker is a node of the directory, and passes TLS.
    tls = tls_as(apart.consumer)
    await apart.use()
    ended: list[str] = []
    attackers = [
        asyncio.create_task(attacker(port, tls, attack, ended))
        for attack, count in ATTACKS.items()
        for _ in range(count)
    ]
    attackers.append(asyncio.create_task(strangers(port)))
    served, heard = 0, Counter[str]()

    async def uses() -> None:
        nonlocal served
        for _ in range(USES // AT_ONCE):
            try:
                used = await apart.use(60.0)
                served += used.answer.status == 200
            except Problem as problem:
                heard[str(problem.as_dict()["type"])] += 1

    try:
        await asyncio.gather(*(uses() for _ in range(AT_ONCE)))
        for _ in range(1200):  # a fast machine has served all before the attackers sent enough
            if set(ended) >= SHOWN_THE_DOOR:
                break
            await asyncio.sleep(0.05)
    finally:
        for task in attackers:
            task.cancel()
        await asyncio.gather(*attackers, return_exceptions=True)

    assert served >= SERVED * USES, f"{served} of {USES}, {heard}"
    assert set(ended) >= SHOWN_THE_DOOR, "what is too much is shown the door"
    assert (await apart.use()).answer.status == 200
