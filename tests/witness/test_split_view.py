"""A log that shows two witnesses different heads is found by the first who compares, and then everybody knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest
from starlette.applications import Starlette

from lienthong.access.http import log_routes
from lienthong.access.recovery import recovery_state
from lienthong.access.witness import queries
from lienthong.access.witness.forks import Doubt, verify_fork
from lienthong.access.witness.http import witness_routes
from lienthong.access.witness.policy import log_key
from lienthong.config import Settings
from lienthong.directory.models import NodeId, WitnessPolicy
from lienthong.exchange.listen import Listener, serve_app
from lienthong.node.local import Local, open_local
from lienthong.node.prepare import LOG_KEY, identity_of
from lienthong.node.sequencing import stop_if_contradicted
from lienthong.node.supervise import write_dsns
from lienthong.node.witnesschecks import forks, recovery, witnesses
from lienthong.node.witnessing import compare_once, own_heads, own_policy, witness_of
from lienthong.storage.keyring import Keyring
from lienthong.storage.server import PostgresServer
from lienthong.trust.keys import generate_es256
from tests.access.growing import GrowingLog
from tests.use.databases import databases
from tests.use.nodes import a_directory, free_port, publish

OLD_CHECKPOINT = "INSERT INTO checkpoint (size, root, note, at) VALUES (3, %s, %s, now() - interval '1 minute')"
MEMBERS = ("VN/GOV/G01", "VN/GOV/G06", "VN/GOV/H24")


@dataclass
class Site:
    """One node: its database, its witness, its public listener."""

    local: Local
    listener: Listener | None = None

    @property
    def name(self) -> str:
        return self.local.settings.node

    async def listen(self) -> None:
        local = self.local
        routes = [
            *log_routes(local.pool, local.files, local.receipts),
            *witness_routes(local.pool, witness_of(local)),
        ]
        self.listener = await serve_app(Starlette(routes=routes), "127.0.0.1", local.settings.public_port)

    async def close(self) -> None:
        if self.listener:
            await self.listener.stop(1.0)
        await self.local.pool.close()


class LyingLog(GrowingLog):
    """The log of a real node, in the hands of an operator who lies."""

    def __init__(self, local: Local, word: str = "") -> None:
        super().__init__(local.keyring.ed25519(LOG_KEY), word)
        self.origin = local.files.origin
        self.local = local

    def note(self, size: int, origin: str = "") -> bytes:
        return super().note(size, origin or self.origin)

    def publish(self, size: int) -> None:
        for path, content in self.files(size).items():
            self.local.files.store.put(path, content)
        self.local.files.store.put("checkpoint", self.note(size))

    def fork(self, at: int, word: str) -> LyingLog:
        other = LyingLog(self.local, word)
        other.entries = self.entries[:at]
        return other


@pytest.fixture
async def sites(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[list[Site]]:
    """Three nodes that the directory lists as witnesses, two of three wanted; the third's operator lies."""
    async with AsyncExitStack() as stack:
        found: list[Site] = []
        for member, dsns in zip(MEMBERS, stack.enter_context(databases(pg_server, 3)), strict=True):
            port = free_port()
            node = "nut-" + member[-3:].lower()
            settings = Settings(
                node=node, data=tmp_path / node, members=(member,), public_port=port,
                public_url=f"http://127.0.0.1:{port}", directory_anchor=tmp_path / "anchor.json",
            )  # fmt: skip
            Keyring(settings.data)
            write_dsns(settings, dsns)
            site = Site(await open_local(settings))
            stack.push_async_callback(site.close)
            found.append(site)
        locals_ = [site.local for site in found]
        contents = a_directory(locals_, datetime.now(UTC))
        keys = {site.name: identity_of(site.local.settings, site.local.keyring).witness_key for site in found}
        contents = replace(
            contents,
            nodes=tuple(replace(node, witness_key=keys[node.id]) for node in contents.nodes),
            witness_policy=WitnessPolicy(2, tuple(NodeId(name) for name in keys)),
        )
        publish(locals_, contents, tmp_path, generate_es256())
        for site in found:
            await site.listen()
        yield found


async def compared(site: Site) -> list[object]:
    async with aiohttp.ClientSession() as session:
        return list(await compare_once(site.local, session))


async def kept(site: Site) -> list[bytes]:
    async with site.local.pool.connection() as db:
        return [bytes(one.evidence) for one in await queries.all_evidence(db)]


async def test_two_witnesses_shown_different_heads_find_it_and_the_third_hears_of_it(sites: list[Site]):
    police, finance, liar = sites
    honest = LyingLog(liar.local)
    honest.grow(40)
    forked = honest.fork(25, "another")
    assert (await witness_of(police.local).add_checkpoint(honest.submission(0, 40))).status == 200
    assert (await witness_of(finance.local).add_checkpoint(forked.submission(0, 60))).status == 200
    forked.publish(60)

    assert len(await compared(police)) == 1

    (evidence,) = await kept(police)
    snapshot = finance.local.directory.snapshot()
    heads = verify_fork(evidence, lambda origin: log_key(snapshot, origin))
    assert [(head.origin, head.size) for head in heads] == [(honest.origin, 40), (honest.origin, 60)]
    await compared(finance)
    assert await kept(finance)
    check = await forks(finance.local)
    assert (check.state, check.word) == ("degraded", "forked")
    assert honest.origin in str(check.facts)


async def test_witnesses_of_an_honest_log_find_nothing_whatever_sizes_they_hold(sites: list[Site]):
    police, finance, liar = sites
    honest = LyingLog(liar.local)
    await witness_of(police.local).add_checkpoint(honest.submission(0, 40))
    await witness_of(finance.local).add_checkpoint(honest.submission(0, 60))
    honest.publish(60)

    assert await compared(police) == []
    assert await compared(finance) == []
    assert (await forks(police.local)).state == "ok"


async def test_a_log_that_hides_what_it_showed_another_witness_is_told_of_as_doubtful(sites: list[Site]):
    police, finance, liar = sites
    honest = LyingLog(liar.local)
    honest.grow(60)
    await witness_of(police.local).add_checkpoint(honest.submission(0, 40))
    await witness_of(finance.local).add_checkpoint(honest.fork(25, "another").submission(0, 60))
    honest.publish(60)

    (found,) = await compared(police)

    assert isinstance(found, Doubt)
    assert await kept(police) == []


async def test_a_node_put_back_to_yesterday_is_stopped_by_a_witness_who_remembers(sites: list[Site]):
    police, _, restored = sites
    yesterday = LyingLog(restored.local)
    await witness_of(police.local).add_checkpoint(yesterday.submission(0, 40))
    assert (await recovery(restored.local)).state == "ok"

    async with aiohttp.ClientSession() as session:
        heads = await own_heads(restored.local, session)
    assert [name for name, _ in heads] == [police.name]
    assert await stop_if_contradicted(restored.local, heads)

    async with restored.local.pool.connection() as db:
        state = await recovery_state(db)
    assert state is not None
    assert (state.cause, state.source, state.size, state.own_size) == ("shortened", police.name, 40, 0)
    check = await recovery(restored.local)
    assert (check.state, check.word) == ("failed", "shortened")


async def test_a_witness_heard_only_later_stops_the_log_all_the_same(sites: list[Site]):
    police, _, restored = sites
    yesterday = LyingLog(restored.local)
    yesterday.grow(3)
    async with restored.local.pool.connection() as db:
        await db.execute("INSERT INTO checkpoint (size, root, note) VALUES (2, %s, %s)", (bytes(32), yesterday.note(2)))
        await db.execute("UPDATE sequenced SET size = 2")
    await witness_of(police.local).add_checkpoint(yesterday.submission(0, 3))

    await compared(restored)

    assert (await recovery(restored.local)).state == "failed"


async def test_no_node_cosigns_its_own_log_or_counts_itself(sites: list[Site]):
    police, finance, liar = sites
    own = LyingLog(liar.local)

    assert (await witness_of(liar.local).add_checkpoint(own.submission(0, 3))).status == 404
    names = own_policy(liar.local).names
    assert names == [witness_of(site.local).name for site in (police, finance)]


async def test_missing_witnesses_degrade_the_node_and_are_named(sites: list[Site]):
    police, finance, liar = sites
    own = LyingLog(liar.local)
    async with liar.local.pool.connection() as db:
        await db.execute(OLD_CHECKPOINT, (bytes(32), own.note(3)))
    check = await witnesses(liar.local)
    assert check.state == "degraded"
    line = (await witness_of(police.local).add_checkpoint(own.submission(0, 3))).body
    other = (await witness_of(finance.local).add_checkpoint(own.submission(0, 3))).body
    async with liar.local.pool.connection() as db:
        await queries.keep_cosignatures(
            db, 3, {witness_of(police.local).name: line, witness_of(finance.local).name: other}
        )
    assert (await witnesses(liar.local)).state == "ok"
