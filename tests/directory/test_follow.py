"""Publishing and following: what a node believes, and what it never does."""

from __future__ import annotations

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from psycopg import AsyncConnection

from lienthong.directory import register
from lienthong.directory.document import DirectoryMalformed, write_directory
from lienthong.directory.follow import (
    SIZE_LIMIT_BYTES,
    DirectoryExpired,
    DirectoryRollback,
    DirectoryTooLarge,
    Follower,
    require_fresh,
)
from lienthong.directory.publish import publish_directory
from lienthong.directory.versions.queries import latest_version, version_at
from lienthong.storage.objects import ObjectStore
from lienthong.trust.documents import DocumentRefused, sign_document
from lienthong.trust.keys import PrivateKey, generate_ed25519, generate_es256, key_id, public_jwk
from tests.directory.build import NOW, POLICE, PROVINCE, a_directory, a_member

DAY = timedelta(hours=24)


class NationalNode:
    """Signs versions of a directory and answers with whichever it is told to show, or not at all."""

    def __init__(self) -> None:
        self.key: PrivateKey = generate_ed25519()
        self.shown: bytes | None = None

    def show(self, version: int, now: Any = NOW, key: PrivateKey | None = None, **changes: Any) -> bytes:
        document = write_directory(a_directory(**changes), version=version, issued=now, expires=now + DAY)
        signer = key or self.key
        self.shown = sign_document(document, signer, key_id(public_jwk(signer)))
        return self.shown

    async def read(self) -> bytes:
        if self.shown is None:
            raise ConnectionError("away")
        return self.shown

    def follower(self, folder: Path) -> Follower:
        return Follower(self.read, public_jwk(self.key), ObjectStore(folder))


@pytest.fixture
def national() -> NationalNode:
    return NationalNode()


async def test_a_follower_takes_the_newest_version(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)
    national.show(1)
    first = await follower.refresh(NOW)
    national.show(2, members=(a_member(),))

    second = await follower.refresh(NOW)

    assert (first.version, second.version) == (1, 2)
    assert second.member(PROVINCE) is None
    assert follower.snapshot is second


async def test_the_last_good_version_survives_the_national_node_and_a_restart(
    national: NationalNode, tmp_path: Path
) -> None:
    national.show(3)
    await national.follower(tmp_path).refresh(NOW)
    national.shown = None

    restarted = national.follower(tmp_path)
    snapshot = restarted.load()

    assert snapshot is not None
    assert snapshot.version == 3
    with pytest.raises(ConnectionError):
        await restarted.refresh(NOW)
    assert restarted.snapshot is snapshot


async def test_an_older_version_is_refused_also_after_a_restart(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)
    old = national.show(4)
    await follower.refresh(NOW)
    national.show(5)
    await follower.refresh(NOW)
    national.shown = old

    for node in (follower, national.follower(tmp_path)):
        with pytest.raises(DirectoryRollback) as refused:
            await node.refresh(NOW)
        assert refused.value.facts == {"offered": 4, "known": 5}
        assert node.snapshot is not None
        assert node.snapshot.version == 5


async def test_another_document_under_the_same_number_is_refused(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)
    national.show(1)
    await follower.refresh(NOW)
    national.show(1, members=(a_member(),))

    with pytest.raises(DirectoryRollback):
        await follower.refresh(NOW)


async def test_an_expired_version_is_refused_and_the_last_one_kept(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)
    national.show(1)
    kept = await follower.refresh(NOW)
    national.show(2)

    with pytest.raises(DirectoryExpired):
        await follower.refresh(NOW + DAY)

    assert follower.snapshot is kept


async def test_an_unchanged_version_that_expires_is_said_to(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)
    national.show(1)
    kept = await follower.refresh(NOW)

    with pytest.raises(DirectoryExpired):
        await follower.refresh(NOW + DAY)

    assert follower.snapshot is kept, "uses under existing agreements go on"
    require_fresh(kept, NOW + timedelta(hours=23))
    with pytest.raises(DirectoryExpired):
        require_fresh(kept, NOW + DAY)


async def test_a_foreign_signature_is_refused(national: NationalNode, tmp_path: Path) -> None:
    follower = national.follower(tmp_path)

    for stranger in (generate_ed25519(), generate_es256()):
        national.show(1, key=stranger)
        with pytest.raises(DocumentRefused):
            await follower.refresh(NOW)

    assert follower.snapshot is None


async def test_a_signature_under_the_anchor_s_name_by_another_key_is_refused(
    national: NationalNode, tmp_path: Path
) -> None:
    document = write_directory(a_directory(), version=1, issued=NOW, expires=NOW + DAY)
    national.shown = sign_document(document, generate_ed25519(), key_id(public_jwk(national.key)))

    with pytest.raises(DocumentRefused):
        await national.follower(tmp_path).refresh(NOW)


async def test_an_altered_document_is_refused(national: NationalNode, tmp_path: Path) -> None:
    envelope = json.loads(national.show(1))
    payload = envelope["payload"]
    envelope["payload"] = payload[:40] + ("A" if payload[40] != "A" else "B") + payload[41:]
    national.shown = json.dumps(envelope).encode()

    with pytest.raises(DocumentRefused):
        await national.follower(tmp_path).refresh(NOW)


async def test_a_tampered_file_on_disk_is_not_believed(national: NationalNode, tmp_path: Path) -> None:
    national.show(1)
    await national.follower(tmp_path).refresh(NOW)
    national.show(9, key=generate_ed25519())
    assert national.shown is not None
    ObjectStore(tmp_path).put("directory/current", national.shown)

    with pytest.raises(DocumentRefused):
        national.follower(tmp_path).load()


async def test_a_signed_document_of_another_kind_is_refused(national: NationalNode, tmp_path: Path) -> None:
    national.shown = sign_document(b'{"format":"1"}', national.key, key_id(public_jwk(national.key)))

    with pytest.raises(DirectoryMalformed):
        await national.follower(tmp_path).refresh(NOW)


async def test_an_endless_document_is_refused(national: NationalNode, tmp_path: Path) -> None:
    national.shown = b" " * (SIZE_LIMIT_BYTES + 1)

    with pytest.raises(DirectoryTooLarge):
        await national.follower(tmp_path).refresh(NOW)


@pytest.mark.integration
async def test_a_new_version_is_published_when_something_changed(db: AsyncConnection[Any]) -> None:
    key = generate_ed25519()
    await register.add_member(db, a_member())
    first = await publish_directory(db, key, NOW)
    same = await publish_directory(db, key, NOW + timedelta(seconds=59))
    await register.add_member(db, a_member(PROVINCE))
    changed = await publish_directory(db, key, NOW + timedelta(seconds=59))

    assert same == first
    assert changed.version == first.version + 1


@pytest.mark.integration
async def test_a_quiet_directory_is_re_issued_and_kept_once(db: AsyncConnection[Any]) -> None:
    key = generate_ed25519()
    await register.add_member(db, a_member())
    first = await publish_directory(db, key, NOW)

    again = await publish_directory(db, key, NOW + timedelta(seconds=60))

    assert (again.version, again.issued) == (first.version + 1, NOW + timedelta(seconds=60))
    assert await latest_version(db) == again
    assert again.first_issued == first.issued
    cursor = await db.execute("SELECT count(*) FROM directory_version")
    assert await cursor.fetchone() == (1,)


@pytest.mark.integration
async def test_what_was_in_force_at_a_moment_is_found_by_when_it_was_first_signed(db: AsyncConnection[Any]) -> None:
    key = generate_ed25519()
    await register.add_member(db, a_member())
    await publish_directory(db, key, NOW)
    again = await publish_directory(db, key, NOW + timedelta(hours=1))
    await register.add_member(db, a_member(PROVINCE))
    changed = await publish_directory(db, key, NOW + timedelta(hours=2))

    assert await version_at(db, NOW - timedelta(seconds=1)) is None
    assert await version_at(db, NOW) == again
    assert await version_at(db, NOW + timedelta(minutes=119)) == again
    assert await version_at(db, NOW + timedelta(days=9)) == changed


@pytest.mark.integration
async def test_what_is_published_can_be_followed(db: AsyncConnection[Any], tmp_path: Path) -> None:
    national = NationalNode()
    await register.add_member(db, a_member())
    national.shown = (await publish_directory(db, national.key, NOW)).envelope

    snapshot = await national.follower(tmp_path).refresh(NOW)

    assert snapshot.active_member(POLICE) == a_member()
