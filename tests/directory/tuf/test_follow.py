"""What a node believes of the directory's metadata: every attack of TUF's list is refused, and the last set stays."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from lienthong.directory.document import DirectoryMalformed
from lienthong.directory.follow import DirectoryExpired, DirectoryRollback, DirectoryTooLarge
from lienthong.directory.tuf.follow import MOST_ROTATIONS, ROLE_LIMIT_BYTES, TufFollower
from lienthong.directory.tuf.problems import (
    DirectoryForked,
    DirectoryIncomplete,
    DirectoryMixed,
    DirectoryUnsigned,
)
from lienthong.directory.tuf.sign import LIFETIME, CeremonyIncomplete, draft_root, finish_root, sign_root, signings
from lienthong.errors import Problem
from lienthong.storage.objects import ObjectStore
from lienthong.trust.keys import generate_ed25519
from tests.directory.build import NOW, PROVINCE, a_member
from tests.directory.tuf.national import National

HOUR = timedelta(hours=1)


@pytest.fixture
def national() -> National:
    return National()


async def test_a_follower_takes_the_newest_version_and_keeps_it_over_a_restart(national: National, tmp_path: Path):
    national.publish(1)
    follower = national.follower(tmp_path)
    await follower.refresh(NOW)
    national.publish(2, members=(a_member(),))

    snapshot = await follower.refresh(NOW + HOUR)
    restarted = national.follower(tmp_path)

    assert (snapshot.version, snapshot.member(PROVINCE)) == (2, None)
    assert restarted.load() == snapshot
    assert restarted.notes_key == dict(national.online.notes)


async def test_an_unchanged_directory_costs_two_questions(national: National, tmp_path: Path):
    national.publish(1)
    follower = national.follower(tmp_path)
    await follower.refresh(NOW)
    national.asked.clear()

    await follower.refresh(NOW)

    assert national.asked == ["2.root.json", "timestamp.json"]


async def test_a_missing_root_chain_does_not_stop_the_last_good_set(national: National, tmp_path: Path):
    national.publish(1)
    await national.follower(tmp_path).refresh(NOW)
    national.files.clear()
    national.files["1.root.json"] = national.root
    restarted = national.follower(tmp_path)

    with pytest.raises(DirectoryIncomplete):
        await restarted.refresh(NOW)

    assert restarted.snapshot is not None
    assert restarted.snapshot.version == 1


def rollback(national: National) -> None:
    national.publish(1)


def fork(national: National) -> None:
    national.publish(2, members=(a_member(),))


def mixed_snapshot(national: National) -> None:
    old = national.files["2.snapshot.json"]
    national.publish(3)
    national.files["3.snapshot.json"] = old


def mixed_targets(national: National) -> None:
    old = national.files["2.targets.json"]
    national.publish(3)
    national.files["3.targets.json"] = old


def mixed_document(national: National) -> None:
    national.publish(3)
    for name in national.files:
        if name.endswith(".directory.json"):
            national.files[name] = b"{}" + b" " * (len(national.files[name]) - 2)


def foreign_keys(national: National) -> None:
    national.new_online_keys()
    national.publish(3)


def unsigned(national: National) -> None:
    national.publish(3)
    body = json.loads(national.files["timestamp.json"])
    national.files["timestamp.json"] = json.dumps(body | {"signatures": []}).encode()


def altered(national: National) -> None:
    national.publish(3)
    body = json.loads(national.files["timestamp.json"])
    body["signed"]["version"] = 4
    national.files["timestamp.json"] = json.dumps(body).encode()


def endless(national: National) -> None:
    national.files["timestamp.json"] = b" " * (ROLE_LIMIT_BYTES + 1)


def not_metadata(national: National) -> None:
    national.files["timestamp.json"] = b"[]"


def another_role(national: National) -> None:
    national.files["timestamp.json"] = national.files["2.targets.json"]


def root_by_one_keeper(national: National) -> None:
    draft = draft_root(
        [key.public_key() for key in national.roots], 2,
        {role: national.online.targets.public_key() for role in ("timestamp", "snapshot", "targets")},
        NOW, national.root,
    )  # fmt: skip
    national.files["2.root.json"] = sign_root(draft, national.roots[0], "one", NOW)


def root_by_strangers(national: National) -> None:
    national.roots = [generate_ed25519() for _ in range(3)]
    national.files["2.root.json"] = national.make_root(None)


def root_again(national: National) -> None:
    national.files["2.root.json"] = national.root


ATTACKS: list[tuple[Callable[[National], None], type[Problem]]] = [
    (rollback, DirectoryRollback),
    (fork, DirectoryForked),
    (mixed_snapshot, DirectoryMixed),
    (mixed_targets, DirectoryMixed),
    (mixed_document, DirectoryMixed),
    (foreign_keys, DirectoryUnsigned),
    (unsigned, DirectoryUnsigned),
    (altered, DirectoryUnsigned),
    (endless, DirectoryTooLarge),
    (not_metadata, DirectoryMalformed),
    (another_role, DirectoryMalformed),
    (root_by_one_keeper, DirectoryUnsigned),
    (root_by_strangers, DirectoryUnsigned),
    (root_again, DirectoryRollback),
]


@pytest.mark.parametrize(("attack", "problem"), ATTACKS, ids=lambda each: getattr(each, "__name__", ""))
async def test_an_attack_is_refused_also_after_a_restart(
    national: National, tmp_path: Path, attack: Callable[[National], None], problem: type[Problem]
):
    national.publish(2)
    follower = national.follower(tmp_path)
    await follower.refresh(NOW)
    attack(national)

    for node in (follower, national.follower(tmp_path)):
        with pytest.raises(problem):
            await node.refresh(NOW)
        assert node.snapshot is not None
        assert (node.snapshot.version, node.snapshot.member(PROVINCE) is not None) == (2, True)


async def test_a_frozen_directory_is_said_to_be_and_goes_on_serving(national: National, tmp_path: Path):
    national.publish(1)
    follower = national.follower(tmp_path)
    await follower.refresh(NOW)

    with pytest.raises(DirectoryExpired):
        await follower.refresh(NOW + LIFETIME)

    assert follower.snapshot is not None


async def test_a_frozen_root_is_said_to_be(national: National, tmp_path: Path):
    later = NOW + timedelta(days=366)
    national.publish(1, now=later)

    with pytest.raises(DirectoryExpired) as refused:
        await national.follower(tmp_path).refresh(later)

    assert refused.value.facts["role"] == "root"


async def test_after_a_theft_of_online_keys_a_new_root_ends_what_the_thief_signed(national: National, tmp_path: Path):
    national.publish(1)
    follower = national.follower(tmp_path)
    await follower.refresh(NOW)
    stolen = national.online
    national.publish(2, members=(a_member(),))
    thief = {name: content for name, content in national.files.items() if "root" not in name}
    national.rotate()
    national.files |= thief

    with pytest.raises(DirectoryUnsigned):
        await follower.refresh(NOW)
    assert national.follower(tmp_path).load() is not None, "the last good set goes on serving"
    national.publish(2)
    snapshot = await follower.refresh(NOW)

    assert stolen is not national.online
    assert (snapshot.version, snapshot.member(PROVINCE) is not None) == (2, True)
    restarted = national.follower(tmp_path)
    assert (await restarted.refresh(NOW)).version == 2


async def test_a_chain_of_roots_without_end_is_followed_a_stretch_at_a_time(
    national: National, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    for _ in range(3):
        national.rotate()
    national.publish(1)
    monkeypatch.setattr("lienthong.directory.tuf.follow.MOST_ROTATIONS", 2)
    follower = national.follower(tmp_path)

    with pytest.raises(DirectoryUnsigned):
        await follower.refresh(NOW)

    assert (await follower.refresh(NOW)).version == 1
    assert MOST_ROTATIONS == 32


async def test_a_newer_root_given_by_hand_decides_while_the_last_set_serves(national: National, tmp_path: Path):
    national.publish(1)
    await national.follower(tmp_path).refresh(NOW)
    national.rotate()
    follower = TufFollower(national.fetch, national.root, ObjectStore(tmp_path))

    kept = follower.load()
    with pytest.raises(DirectoryUnsigned):
        await follower.refresh(NOW)

    assert kept is not None
    assert follower.snapshot is kept


def test_a_root_needs_its_threshold_and_copies_of_one_draft(national: National):
    def draft(now: Any = NOW) -> bytes:
        online = {role: getattr(national.online, role).public_key() for role in ("timestamp", "snapshot", "targets")}
        return draft_root([key.public_key() for key in national.roots], 2, online, now)

    first, second = (sign_root(draft(), key, "Bà Hoa", NOW) for key in national.roots[:2])

    with pytest.raises(DirectoryUnsigned):
        finish_root([first], None)
    with pytest.raises(CeremonyIncomplete):
        finish_root([first, sign_root(draft(NOW + HOUR), national.roots[1], "Ông Nam", NOW)], None)
    with pytest.raises(CeremonyIncomplete):
        draft_root([national.roots[0].public_key()] * 3, 2, {}, NOW)
    assert [one.signer for one in signings(finish_root([first, second], None))] == ["Bà Hoa", "Bà Hoa"]
