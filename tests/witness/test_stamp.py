"""Checkpoints carry timestamps that OpenSSL verifies too; an authority that is away or lies changes nothing else."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import aiohttp
import pytest

from lienthong.access.stamp import StampRefused, read_roots, stamp, verify_stamp
from lienthong.access.witness.queries import keep_stamp, newest_stamp
from lienthong.node.local import Local
from lienthong.node.stamping import stamp_newest
from lienthong.node.witnesschecks import timestamps
from lienthong.trust.keys import generate_ed25519
from tests.access.growing import GrowingLog
from tests.witness.authority import Authority
from tests.witness.test_split_view import LyingLog, Site, sites  # noqa: F401 - a fixture

NOTE = GrowingLog(generate_ed25519()).note(7)


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Authority]:
    made = Authority(tmp_path_factory.mktemp("tsa") / "one")
    yield made
    made.close()


async def stamped(authority: Authority, now: datetime | None = None, note: bytes = NOTE):
    async def send(query: bytes) -> bytes:
        return authority.reply(query)

    return await stamp(note, read_roots(authority.root.read_bytes()), send, now or datetime.now(UTC))


async def test_a_stamp_holds_for_us_and_for_openssl_and_for_nothing_else(authority: Authority):
    made = await stamped(authority)
    roots = read_roots(authority.root.read_bytes())

    assert abs(made.at - datetime.now(UTC)) < timedelta(minutes=1)
    assert verify_stamp(made.token, NOTE, roots) == made.at
    assert authority.verifies(made.token, NOTE)
    with pytest.raises(StampRefused):
        verify_stamp(made.token, NOTE + b"x", roots)
    assert not authority.verifies(made.token, NOTE + b"x")


async def test_altered_replies_are_refused(authority: Authority):
    made = await stamped(authority)
    roots = read_roots(authority.root.read_bytes())

    for at in range(0, len(made.token), 97):
        altered = made.token[:at] + bytes([made.token[at] ^ 1]) + made.token[at + 1 :]
        try:
            assert verify_stamp(altered, NOTE, roots) == made.at  # a byte outside what is signed
        except StampRefused:
            continue
    for token in (b"", b"nothing", made.token[:-1], made.token[: len(made.token) // 2], made.token + b"\0"):
        with pytest.raises(StampRefused):
            verify_stamp(token, NOTE, roots)


async def test_a_reply_to_another_query_is_refused(authority: Authority):
    earlier = await stamped(authority)

    async def replay(_: bytes) -> bytes:
        return earlier.token

    with pytest.raises(StampRefused):
        await stamp(NOTE, read_roots(authority.root.read_bytes()), replay, datetime.now(UTC))


async def test_an_authority_nobody_trusts_is_refused(authority: Authority, tmp_path: Path):
    other = Authority(tmp_path / "other")
    try:
        made = await stamped(other)
    finally:
        other.close()

    with pytest.raises(StampRefused):
        verify_stamp(made.token, NOTE, read_roots(authority.root.read_bytes()))
    with pytest.raises(StampRefused):
        read_roots(b"")


async def test_an_authority_with_another_time_is_refused(authority: Authority):
    with pytest.raises(StampRefused):
        await stamped(authority, datetime.now(UTC) + timedelta(hours=2))


def with_authority(local: Local, url: str, roots: Path) -> Local:
    return replace(local, settings=replace(local.settings, tsa_url=url, tsa_roots=roots, tsa_every_s=1.0))


async def test_the_job_stamps_each_newest_checkpoint_once_and_serves_what_openssl_takes(
    authority: Authority,
    sites: list[Site],  # noqa: F811 - the fixture
):
    local = with_authority(sites[0].local, authority.url, authority.root)
    note = LyingLog(local).note(3)
    async with local.pool.connection() as db:
        await db.execute("INSERT INTO checkpoint (size, root, note) VALUES (3, %s, %s)", (bytes(32), note))
    async with aiohttp.ClientSession() as session:
        assert await stamp_newest(local, session) is not None
        assert await stamp_newest(local, session) is None

        base = local.settings.public_url
        async with session.get(f"{base}/log/stamps") as answer:
            assert [one["size"] for one in (await answer.json())["stamps"]] == [3]
        async with session.get(f"{base}/log/stamp/3") as answer:
            token = await answer.read()
            assert answer.headers["Content-Type"] == "application/timestamp-reply"
        async with session.get(f"{base}/log/stamp/3/checkpoint") as answer:
            assert await answer.read() == note
    assert authority.verifies(token, note)
    assert (await timestamps(local)).state == "ok"


async def test_a_missing_authority_is_told_of_and_stops_nothing(sites: list[Site], tmp_path: Path):  # noqa: F811
    (tmp_path / "roots.pem").write_bytes(b"")
    local = with_authority(sites[0].local, "http://127.0.0.1:9/", tmp_path / "roots.pem")
    async with local.pool.connection() as db:
        await db.execute(
            "INSERT INTO checkpoint (size, root, note, at) VALUES (3, %s, %s, now() - interval '1 hour')",
            (bytes(32), LyingLog(local).note(3)),
        )
    async with aiohttp.ClientSession() as session:
        with pytest.raises((StampRefused, OSError)):
            await stamp_newest(local, session)
    async with local.pool.connection() as db:
        assert await newest_stamp(db) is None
    check = await timestamps(local)
    assert (check.state, check.word) == ("degraded", "missing")


async def test_a_log_that_goes_on_growing_is_told_of_as_well(sites: list[Site], tmp_path: Path):  # noqa: F811
    """The newest checkpoint is always young then: what counts is how long the oldest unstamped one has waited."""
    local = with_authority(sites[0].local, "http://127.0.0.1:9/", tmp_path / "roots.pem")
    add = "INSERT INTO checkpoint (size, root, note, at) VALUES (%s, %s, %s, now() - %s * interval '1 second')"
    async with local.pool.connection() as db:
        for size, age_s in ((1, 200), (2, 100), (3, 1)):
            await db.execute(add, (size, bytes(32), LyingLog(local).note(3), age_s))
        await keep_stamp(db, 1, b"a stamp", datetime.now(UTC))
    assert (await timestamps(local)).state == "degraded"

    async with local.pool.connection() as db:
        await keep_stamp(db, 2, b"a stamp", datetime.now(UTC))
    assert (await timestamps(local)).state == "ok"
