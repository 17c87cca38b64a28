"""What nodes tell of the directory: what is coming for their members, and whether neighbours were shown the same."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette

from lienthong.directory import register
from lienthong.directory.changes import approve_change, refuse_change, submit
from lienthong.directory.lifecycle import approve, refuse
from lienthong.node import following, nudging
from lienthong.node.versions import (
    NEIGHBOURS,
    REMEMBERED,
    DirectoryHistory,
    directories,
    directory_view,
    neighbours,
    note_version,
    versions_shown,
)
from lienthong.portal.app import create_portal
from lienthong.portal.coming import directory_pages
from lienthong.portal.shell import Shell
from lienthong.portal.versions import version_pages
from lienthong.storage.objects import ObjectStore
from lienthong.storage.server import PostgresServer
from tests.directory.build import a_node, a_snapshot
from tests.portal import sample
from tests.use.realm import Realm, RealmNode, a_realm
from tests.use.test_rotation import request_of, signing

pytestmark = pytest.mark.integration

POLICE, PROVINCE = "VN/GOV/G01", "VN/GOV/H24"


@pytest.fixture
async def realm(pg_server: PostgresServer, tmp_path: Path) -> AsyncIterator[Realm]:
    async with a_realm(pg_server, tmp_path, (f"{POLICE}/dancu", f"{PROVINCE}/motcua"), {}) as made:
        yield made


async def told_by(realm: Realm, node: RealmNode) -> dict:
    for each in realm.nodes.values():
        each.watch.refreshed = None  # as after a minute
    await realm.spread()
    async with realm.web.get(f"{node.local.settings.public_url}/v1/directory") as answer:
        return await answer.json()


async def page_of(node: RealmNode) -> str:
    """The page where the member's officers see it."""
    shell = Shell(secret=b"k" * 32)
    module = directory_pages(lambda: directory_view(node.local))
    app = Starlette(routes=create_portal(sample.SampleData(), shell, (module,)))
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portal.example") as client:
        answer = await client.get("/directory")
    assert answer.status_code == 200
    return answer.text


async def test_a_member_sees_a_change_in_its_name_coming_and_why_it_was_refused(realm: Realm):
    province, police = realm.nodes[PROVINCE], realm.nodes[POLICE]
    first, second = realm.operators
    assert (await told_by(realm, province))["coming"] == []
    async with realm.national.pool.connection() as db:
        now = datetime.now(UTC)
        change = await submit(db, request_of(province, "close", day="2027-01-01"), now)
        await approve_change(db, change.id, approve(change.id, first, now), now)

    (coming,) = (await told_by(realm, province))["coming"]
    waiting = await page_of(province)
    async with realm.national.pool.connection() as db:
        now = datetime.now(UTC)
        await refuse_change(db, change.id, refuse(change.id, "sai ngày", second, now), now)
    (refused,) = (await told_by(realm, province))["coming"]

    assert (coming["id"], coming["kind"], coming["state"], coming["approvals"]) == (
        change.id, "close", "approved-once", 1,
    )  # fmt: skip
    assert (refused["state"], refused["reason"]) == ("refused", "sai ngày")
    assert "chờ người vận hành thứ hai" in waiting
    assert "sai ngày" in await page_of(province)
    assert (await told_by(realm, police))["coming"] == []
    assert POLICE not in await page_of(police)


async def test_who_would_take_over_sees_it_coming_with_its_day(realm: Realm):
    province, police = realm.nodes[PROVINCE], realm.nodes[POLICE]
    async with realm.national.pool.connection() as db:
        change = await submit(db, request_of(province, "close", day="2027-01-01", successor=POLICE), datetime.now(UTC))

    (coming,) = (await told_by(realm, police))["coming"]
    page = await page_of(police)

    assert (coming["id"], coming["member"], coming["day"], coming["successor"]) == (
        change.id, PROVINCE, "2027-01-01", POLICE,
    )  # fmt: skip
    assert PROVINCE in page
    assert "1/1/2027" in page or "01/01/2027" in page
    assert [each["id"] for each in (await told_by(realm, province))["coming"]] == [change.id]


async def test_anybody_reads_in_the_directory_s_history_who_was_closed_and_who_took_over(realm: Realm):
    known = DirectoryHistory(realm.national)
    await realm.spread()
    before = {each.version for each in await known.published()}
    await realm.carry_out(request_of(realm.nodes[PROVINCE], "close", successor=POLICE, day="2026-07-01"))
    shell = Shell(secret=b"k" * 32)
    app = Starlette(routes=create_portal(sample.SampleData(), shell, (version_pages(known.published),)))

    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://portal.example") as client:
        page = await client.get("/directory/versions", params={"q": "H24"})
        told = (await client.get("/v1/directory/versions", params={"q": PROVINCE})).json()

    newest = (await known.published())[0]
    closed = [each for each in newest.changed if each.what == "member-closed"]
    assert newest.version not in before
    assert newest.first_issued <= newest.issued
    assert [(each.about, each.after) for each in closed] == [(PROVINCE, POLICE)]
    assert page.status_code == 200
    assert "đơn vị đã đóng" in page.text
    assert POLICE in page.text
    assert "member-closed" in str(told)


async def test_two_directories_under_one_number_are_found_by_comparing_with_a_neighbour(realm: Realm):
    province, police = realm.nodes[PROVINCE], realm.nodes[POLICE]
    told = await told_by(realm, province)
    snapshot = police.local.directory.snapshot()
    assert told["versions"][str(snapshot.version)] == snapshot.digest == told["digest"]
    assert (await directories(police.local)).state == "ok"
    other = replace(snapshot, version=snapshot.version + 1, digest="f" * 64)
    note_version(ObjectStore(province.local.settings.data), other)
    note_version(ObjectStore(police.local.settings.data), replace(other, digest="e" * 64))

    for node, named in ((police, "nut-h24"), (province, "nut-g01")):
        found = await directories(node.local)
        assert (found.state, found.word) == ("degraded", "forked")
        assert (found.facts["nodes"], found.facts["version"]) == (named, other.version)


def test_a_node_remembers_what_it_was_shown_first_and_not_for_ever(tmp_path: Path):
    store, snapshot = ObjectStore(tmp_path), a_snapshot()
    for number in range(1, REMEMBERED + 3):
        note_version(store, replace(snapshot, version=number, digest=f"{number:064x}"))
    note_version(store, replace(snapshot, version=REMEMBERED + 2, digest="f" * 64))

    shown = versions_shown(store)

    assert (min(shown), len(shown)) == (3, REMEMBERED)
    assert shown[REMEMBERED + 2] == f"{REMEMBERED + 2:064x}"


def test_every_node_is_some_neighbour_s_neighbour():
    names = [f"nut-{number:02}" for number in range(20)]
    snapshot = a_snapshot(nodes=tuple(a_node(name) for name in names))

    asked = {name: [node.id for node in neighbours(snapshot, name)] for name in names}

    assert all(len(near) == NEIGHBOURS and name not in near for name, near in asked.items())
    assert {node for near in asked.values() for node in near} == set(names)
    assert asked["nut-19"][0] == "nut-00"


async def test_a_revocation_is_pushed_to_nodes_that_would_look_much_later(
    realm: Realm, monkeypatch: pytest.MonkeyPatch
):
    province, mine = realm.nodes[PROVINCE], signing(realm.nodes[POLICE])
    monkeypatch.setattr(following, "NOTES_EVERY_S", 3600.0)
    jobs = [
        asyncio.create_task(following.follow_directory(province.local)),
        asyncio.create_task(nudging.nudge_all(realm.national)),
    ]

    def heard() -> bool:
        province.local.directory.look()
        return province.local.directory.snapshot().signing_key(mine, datetime.now(UTC)) is None

    async with asyncio.timeout(120):
        for number in itertools.count():
            async with realm.national.pool.connection() as db:
                # Again and again another one: the first may have come before the national node began to look.
                await register.revoke(db, "key", mine if number == 0 else f"khác-{number}", "bị lộ", datetime.now(UTC))
            await asyncio.sleep(0.3)
            if heard():
                break

    for job in jobs:
        job.cancel()
    await asyncio.gather(*jobs, return_exceptions=True)


async def test_a_nudge_reaches_every_node_and_is_seen_by_its_jobs(realm: Realm):
    province = realm.nodes[PROVINCE]
    before = nudging.nudged(province.local)

    assert await nudging.nudge_once(realm.national) == len(realm.nodes) - 1

    assert nudging.nudged(province.local) > before
