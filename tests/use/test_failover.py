"""Two nodes serve one member: what one can not take goes to the other, and a dead one is left alone."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest

from lienthong.directory.document import Contents
from lienthong.exchange.answer import PeerUnreachable
from lienthong.exchange.breaker import FAILURES, LeftAlone
from lienthong.node.local import Local, open_local
from lienthong.node.supervise import write_dsns
from lienthong.storage.keyring import Keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.use.conftest import PEOPLE, the_agreement, the_service
from tests.use.databases import databases
from tests.use.nodes import POLICE, PROVINCE, TestNode, a_directory, free_port, publish, settings_of, start_node
from tests.use.test_use import a_wish

pytestmark = pytest.mark.integration


def one_member_each(contents: Contents) -> Contents:
    """``contents`` in which a member of several nodes stands once, with a key for each."""
    members = {}
    for member in contents.members:
        known = members.get(member.id)
        members[member.id] = replace(known, keys=(*known.keys, *member.keys)) if known else member
    return replace(contents, members=tuple(members.values()))


@pytest.fixture
async def three_nodes(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[tuple[TestNode, ...]]:
    """The consumer, and two nodes of the police."""
    with databases(pg_server, 3) as dsns:
        locals_: list[Local] = []
        for each, (node, member) in zip(
            dsns, (("nut-h24", PROVINCE), ("nut-g01-a", POLICE), ("nut-g01-b", POLICE)), strict=True
        ):
            settings = settings_of(node, member, tmp_path, free_port())
            Keyring(settings.data)
            write_dsns(settings, each)
            locals_.append(await open_local(settings))
        publish(locals_, one_member_each(a_directory(locals_, datetime.now(UTC))), tmp_path, generate_es256())
        nodes = [await start_node(local) for local in locals_]
        for node in nodes:
            node.agreements.append(the_agreement())
        for node in nodes[1:]:
            with psycopg.connect(node.local.dsns.owner, autocommit=True) as source:
                source.execute(PEOPLE)
            async with node.local.pool.connection() as db:
                service = await the_service(db, node.local.dsns.owner)
            node.services[service.id] = service
        yield tuple(nodes)
        for node in nodes:
            await node.stop()


async def test_when_one_node_is_down_the_members_other_node_answers_in_its_own_name(three_nodes):
    consumer, first, second = three_nodes
    assert (await consumer.consumer.use(a_wish())).answer.status == 200
    assert (len(await first.leaves()), len(await second.leaves())) == (1, 0)

    await first.listener.stop(1.0)
    used = [await consumer.consumer.use(a_wish()) for _ in range(FAILURES + 2)]

    assert {each.answer.status for each in used} == {200}
    assert len(await second.leaves()) == FAILURES + 2
    assert {leaf["outcome"] for leaf in await consumer.leaves()} == {"permitted"}
    receipt = await second.receipt(used[-1].peer_record)
    assert receipt["node"] == "nut-g01-b"


async def test_when_all_nodes_are_down_callers_are_told_at_once_and_when_to_come_again(three_nodes):
    consumer, *providers = three_nodes
    for node in providers:
        await node.listener.stop(1.0)
    for _ in range(FAILURES):
        with pytest.raises(PeerUnreachable):
            await consumer.consumer.use(a_wish())

    with pytest.raises(LeftAlone) as refused:
        await consumer.consumer.use(a_wish())

    assert refused.value.facts["retry_after_s"] > 0
    assert [leaf["reason"] for leaf in await consumer.leaves()] == ["peer-unreachable"] * FAILURES + ["left-alone"]
