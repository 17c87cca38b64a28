"""Revocations between real nodes: a national node publishes by TUF, two others follow it and call each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import psycopg
import pytest
from starlette.applications import Starlette

from lienthong.agreements.queries import current_agreements, put_current
from lienthong.agreements.records import CurrentAgreement
from lienthong.directory import register
from lienthong.directory.document import MemberClosed
from lienthong.directory.models import MemberId, MemberKey, NodeId
from lienthong.directory.tuf.publish import MetadataPublisher, take_over_root
from lienthong.directory.tuf.sign import OnlineKeys, draft_root, finish_root, sign_root
from lienthong.errors import Problem
from lienthong.exchange.listen import Listener, serve_app
from lienthong.exchange.signed import LocalKey, RefusedByProvider
from lienthong.node.following import Following, Watch, follow_once, follower_of
from lienthong.node.local import KeptDirectory, Local, open_local
from lienthong.node.prepare import (
    DIRECTORY_KEY,
    ONLINE_ROLE_KEYS,
    SETTLE,
    identity_of,
    local_keys,
    next_key,
    renew_keys,
)
from lienthong.node.public import public_routes
from lienthong.node.supervise import write_dsns
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_ed25519, key_id, public_jwk
from lienthong.web import install
from tests.use.conftest import PEOPLE, the_agreement, the_service
from tests.use.databases import databases
from tests.use.nodes import PROVINCE, TestNode, a_directory, free_port, settings_of, start_node, two_locals
from tests.use.test_use import a_wish


@dataclass
class Country:
    """The national node's side, and the two that follow it."""

    national: Local
    publisher: MetadataPublisher
    web: aiohttp.ClientSession
    listener: Listener | None = None
    nodes: list[TestNode] = field(default_factory=list)
    followers: list[tuple[Local, Following, Watch]] = field(default_factory=list)

    async def publish(self) -> None:
        async with self.national.pool.connection() as db:
            await self.publisher.publish(db, datetime.now(UTC))

    async def follow(self) -> None:
        """What each node's jobs process does every two seconds."""
        for local, follower, watch in self.followers:
            await follow_once(local, self.web, follower, watch)
            local.directory.look()

    async def revoke(self, kind: str, subject: str) -> None:
        async with self.national.pool.connection() as db:
            await register.revoke(db, kind, subject, "thử thu hồi", datetime.now(UTC))

    async def part(self) -> None:
        """Cut the national node off."""
        if self.listener is not None:
            await self.listener.stop(1.0)

    async def heal(self) -> None:
        app = Starlette(routes=public_routes(self.national))
        install(app)
        self.listener = await serve_app(app, "127.0.0.1", self.national.settings.public_port)


@pytest.fixture
async def country(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Country]:
    port = free_port()
    url, anchor = f"http://127.0.0.1:{port}/directory/current", tmp_path / "root.json"
    with databases(pg_server, 3) as dsns:
        followed = await two_locals(dsns[:2], tmp_path)
        followed = [
            replace(local, settings=replace(local.settings, directory_url=url, directory_anchor=anchor))
            for local in followed
        ]
        followed = [replace(local, directory=KeptDirectory(local.settings)) for local in followed]
        settings = replace(settings_of("nut-quoc-gia", "VN/GOV/G99", tmp_path, 1), public_port=port, national=True)
        write_dsns(settings, dsns[2])
        national = await open_local(settings)
        online = {role: national.keyring.es256(name) for role, name in ONLINE_ROLE_KEYS.items()}
        keepers, now = [generate_ed25519() for _ in range(3)], datetime.now(UTC)
        draft = draft_root(
            [key.public_key() for key in keepers], 2, {role: key.public_key() for role, key in online.items()}, now
        )
        root = finish_root([sign_root(draft, key, "", now) for key in keepers[1:]], None)
        anchor.write_bytes(root)
        key = national.keyring.es256(DIRECTORY_KEY)
        async with national.pool.connection() as db:
            await take_over_root(db, root, now)
            contents = a_directory(followed, now)
            for member in contents.members:
                await register.add_member(db, replace(member, keys=()))
            for node in contents.nodes:
                await register.add_node(db, node)
            for member in contents.members:
                for each in member.keys:
                    await register.add_key(db, member.id, each)
            for system in contents.systems:
                await register.add_system(db, system)
            for purpose in contents.purposes:
                await register.add_purpose(db, purpose)
            for certificate in contents.authorities:
                await register.add_authority(db, certificate)
        async with aiohttp.ClientSession() as web:
            made = Country(national, MetadataPublisher(key, OnlineKeys(**online, notes=public_jwk(key))), web)
            await made.publish()
            await made.heal()
            made.followers = [(local, follower_of(local, web, root), Watch()) for local in followed]
            await made.follow()
            made.nodes = [await start_node(local) for local in followed]
            provider = made.nodes[1]
            with psycopg.connect(provider.local.dsns.owner, autocommit=True) as source:
                source.execute(PEOPLE)
            async with provider.local.pool.connection() as db:
                service = await the_service(db, provider.local.dsns.owner)
            provider.services[service.id] = service
            for node in made.nodes:
                node.agreements.append(the_agreement())
            yield made
            await made.part()
            for node in made.nodes:
                await node.stop()
            await national.pool.close()


def dict_of(node: TestNode) -> dict[MemberId, LocalKey]:
    """The very keys that the node signs with."""
    keys = node.parts.keys
    assert isinstance(keys, dict)
    return keys


async def status(country: Country) -> int:
    return (await country.nodes[0].consumer.use(a_wish())).answer.status


async def test_a_revoked_key_is_refused_by_the_next_call_and_after_a_restart(country: Country):
    consumer, provider = country.nodes
    assert await status(country) == 200
    (mine,) = [key.keyid for key in local_keys(consumer.local.settings, consumer.local.keyring).values()]

    await country.revoke("key", mine)
    await country.follow()

    now = datetime.now(UTC)
    for local in (consumer.local, provider.local):
        assert local.directory.snapshot().signing_key(mine, now) is None
        restarted = KeptDirectory(local.settings)
        assert restarted.snapshot().signing_key(mine, now) is None
        assert restarted.snapshot().public_key(mine) is not None, "what it signed before still verifies"
    with pytest.raises(RefusedByProvider):
        await status(country)


async def test_a_revoked_certificate_lets_its_node_in_no_more(country: Country):
    consumer, provider = country.nodes
    mine = identity_of(consumer.local.settings, consumer.local.keyring).tls_sha256

    await country.revoke("certificate", mine)
    await country.follow()

    assert provider.local.directory.snapshot().node_by_certificate(mine) is None
    with pytest.raises(Problem):
        await status(country)


async def test_a_revoked_agreement_has_ended_at_both_nodes(country: Country):
    began = datetime.now(UTC) - timedelta(days=1)
    for node in country.nodes:
        async with node.local.pool.connection() as db:
            row = CurrentAgreement("urn:uuid:1", 1, "d", "request", "p", "c", "t", began, None, None)
            await put_current(db, row, ["HP-01"])

    await country.revoke("agreement", "urn:uuid:1")
    await country.follow()

    for node in country.nodes:
        async with node.local.pool.connection() as db:
            (current,) = await current_agreements(db)
        assert current.ended_at is not None
        assert current.ended_at <= datetime.now(UTC)


async def test_a_member_s_key_changes_while_calls_run_and_none_fails(country: Country):
    consumer, _ = country.nodes
    local, keys = consumer.local, dict_of(consumer)
    old = keys[PROVINCE].keyid
    done, answers = asyncio.Event(), list[int]()

    async def calling() -> None:
        while not done.is_set():
            answers.append(await status(country))

    running = [asyncio.create_task(calling()) for _ in range(3)]
    jwk, now = public_jwk(next_key(local.keyring, PROVINCE, local.directory.snapshot())), datetime.now(UTC)
    key = MemberKey(key_id(jwk), jwk, NodeId(local.settings.node), now - SETTLE, now + timedelta(days=1))
    async with country.national.pool.connection() as db:
        await register.add_key(db, PROVINCE, key)
    renew_keys(keys, local.settings, local.keyring, local.directory.snapshot(), datetime.now(UTC))
    assert keys[PROVINCE].keyid == old, "not before the directory lists it"
    await country.publish()
    await country.follow()
    renew_keys(keys, local.settings, local.keyring, local.directory.snapshot(), datetime.now(UTC))
    before = len(answers) + 1
    async with asyncio.timeout(60):
        while len(answers) < before:  # noqa: ASYNC110 - what is counted tells nobody
            await asyncio.sleep(0.01)
    await country.revoke("key", old)
    await country.follow()
    answers.append(await status(country))
    done.set()
    await asyncio.gather(*running)

    assert keys[PROVINCE].keyid == key.keyid != old
    assert len(answers) > before
    assert set(answers) == {200}


async def test_a_partition_delays_a_revocation_until_the_first_look_after_it(country: Country):
    provider = country.nodes[1]
    await country.part()
    await country.revoke("member", PROVINCE)
    with pytest.raises(aiohttp.ClientError):
        await country.follow()
    assert await status(country) == 200, "the last verified directory goes on serving"

    await country.heal()
    await country.follow()

    with pytest.raises(MemberClosed):
        provider.local.directory.snapshot().active_member(PROVINCE)
