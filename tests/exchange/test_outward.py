"""Where a node goes when somebody without power over the machine typed the address."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from ipaddress import ip_address

import pytest

from lienthong.exchange.answer import Answer, PeerUnreachable
from lienthong.exchange.client import HttpClient, Origin
from lienthong.exchange.outward import AddressNotAllowed, Outward, is_ours, read_allowed
from tests.exchange.scripted import read_request, saying, scripted

INSIDE = Outward("inside")
PUBLIC = Outward("public")
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
NEVER = [
    "127.0.0.1", "127.8.8.8", "::1", "0.0.0.0", "0.1.2.3", "::", "169.254.169.254", "169.254.1.1", "fe80::1",
    "fe80::1%lo", "100.100.100.200", "192.0.0.192", "fd00:ec2::254", "224.0.0.1", "ff02::1", "255.255.255.255",
    "240.0.0.1", "::ffff:127.0.0.1", "::ffff:10.0.0.1", "::7f00:1", "64:ff9b::7f00:1", "64:ff9b:1::1",
    "2002:7f00:1::", "2001::1",
]  # fmt: skip
PRIVATE = ["10.1.2.3", "172.16.0.9", "192.168.1.1", "fd12::7", "100.64.0.1"]
GLOBAL = ["8.8.8.8", "203.162.4.191", "2606:4700::1111"]


async def ask(client: HttpClient, origin: Origin) -> Answer:
    return await client.request(origin, "GET", b"/x", [], deadline_s=20.0, max_body=1000)


@pytest.mark.parametrize("address", NEVER)
def test_this_machine_its_links_and_metadata_are_out_of_reach(address: str) -> None:
    assert not INSIDE.allows(address, 80)
    assert not PUBLIC.allows(address, 80)


def test_a_back_end_lies_inside_and_a_webhook_on_the_public_network() -> None:
    assert all(INSIDE.allows(address, 443) for address in [*PRIVATE, *GLOBAL])
    assert all(PUBLIC.allows(address, 443) for address in GLOBAL)
    assert not any(PUBLIC.allows(address, 443) for address in PRIVATE)


@pytest.mark.parametrize(("address", "ours"), [("127.0.0.1", True), ("192.0.2.1", False), ("8.8.8.8", False)])
def test_an_address_of_this_machine_is_known_whatever_network_it_lies_in(address: str, ours: bool) -> None:
    assert is_ours(ip_address(address)) is ours


def test_the_operator_names_networks_and_single_ports() -> None:
    rule = Outward("public", read_allowed(["10.1.0.0/16", "127.0.0.1:9000", "[::1]:9000", "fd12::/32"]))
    assert rule.allows("10.1.9.9", 1)
    assert rule.allows("127.0.0.1", 9000)
    assert rule.allows("::1", 9000)
    assert rule.allows("fd12::9", 443)
    assert not rule.allows("127.0.0.1", 9001)
    assert not rule.allows("10.2.0.1", 1)


@pytest.mark.parametrize("text", ["", "host", "10.0.0.1/8", "127.0.0.1:0", "127.0.0.1:x", "127.0.0.1:99999", "[::1"])
def test_what_is_no_place_is_no_exception(text: str) -> None:
    with pytest.raises(ValueError):
        read_allowed([text])


async def test_nothing_is_sent_to_an_address_that_is_not_allowed() -> None:
    reached = asyncio.Event()

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached.set()

    client = HttpClient()
    async with scripted(script) as origin:
        for host in ("127.0.0.1", "localhost"):
            with pytest.raises(AddressNotAllowed) as refused:
                await ask(client, replace(origin, host=host, rule=INSIDE))
            assert refused.value.kind == "address-not-allowed"
            assert refused.value.facts["host"] == host
    await client.close()
    assert not reached.is_set()


async def test_a_link_made_without_the_rule_does_not_serve_with_it() -> None:
    client = HttpClient()
    async with scripted(saying(OK)) as origin:
        assert (await ask(client, origin)).status == 200
        with pytest.raises(AddressNotAllowed):
            await ask(client, replace(origin, rule=INSIDE))
    await client.close()


async def test_the_address_connected_to_is_the_one_checked_and_the_name_is_still_said() -> None:
    heard: list[bytes] = []

    async def script(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await read_request(reader))
        writer.write(OK)

    client = HttpClient()
    async with scripted(script) as origin:
        port = origin.port
        rule = Outward("inside", read_allowed([f"127.0.0.1:{port}", f"[::1]:{port}"]))
        assert await rule.addresses("127.0.0.1", port) == ["127.0.0.1"]
        assert (await ask(client, Origin("localhost", port, None, rule=rule))).body == b"ok"
    await client.close()
    assert b"host: localhost:%d\r\n" % port in heard[0]


async def test_a_name_that_stands_for_nothing_is_said_to() -> None:
    with pytest.raises(PeerUnreachable) as refused:
        await INSIDE.addresses("khong-co.invalid", 80)
    assert refused.value.kind == "peer-unreachable"
