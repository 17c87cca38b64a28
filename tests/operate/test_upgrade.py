"""Data of the oldest schema come to this release with their backup made first; what is not ready is not begun."""

from __future__ import annotations

import itertools
import os
import shutil
from pathlib import Path

import psycopg
import pytest

from lienthong.config import Settings
from lienthong.node.supervise import write_dsns
from lienthong.operate.sealed import make_key, read_key
from lienthong.operate.upgrade import NotReadyToUpgrade, preflight, upgrade
from lienthong.storage.migrations.runner import revisions
from lienthong.storage.provision import prepare_database
from lienthong.storage.server import PostgresServer
from tests.conftest import drop_database
from tests.operate.living import NOW

pytestmark = pytest.mark.integration
_numbers = itertools.count(1)


@pytest.fixture
def old(pg_server: PostgresServer, tmp_path: Path):
    """A node whose data were made with the oldest revision."""
    name = f"upgrade_{os.getpid()}_{next(_numbers)}"
    dsns = prepare_database(pg_server.dsn(), name, to=revisions()[0])
    settings = Settings(
        node="nut-cu", data=tmp_path / "data", members=("VN/GOV/G01",), database=pg_server.dsn(), database_name=name
    )
    write_dsns(settings, dsns)
    yield settings, dsns
    drop_database(pg_server.dsn(), name)


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    make_key(tmp_path / "key")
    return read_key(tmp_path / "key")


def test_data_of_the_oldest_release_are_backed_up_then_brought_to_this_one_under_a_running_connection(
    old, key, tmp_path: Path
):
    settings, dsns = old
    with psycopg.connect(dsns.app, autocommit=True) as serving:
        with psycopg.connect(dsns.log, autocommit=True) as db:
            db.execute("INSERT INTO record (hash, leaf) VALUES ('\\x01', '\\x02')")

        found, manifest = upgrade(settings, tmp_path / "none.toml", tmp_path / "backups", key, now=NOW)

        assert serving.execute("SELECT leaf FROM record").fetchall() == [(b"\x02",)]
    assert (found.found, found.missing) == (revisions()[0], revisions()[1:])
    assert manifest.revision == revisions()[0]
    assert len(list((tmp_path / "backups").glob("nut-cu-before-*.lienthong"))) == 1
    assert preflight(settings, tmp_path / "backups").missing == ()


def test_an_upgrade_is_not_begun_over_a_newer_schema_or_without_room(old, key, tmp_path, monkeypatch):
    settings, dsns = old
    monkeypatch.setattr(shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 9, 1))
    with pytest.raises(NotReadyToUpgrade) as full:
        upgrade(settings, tmp_path / "none.toml", tmp_path / "backups", key, now=NOW)
    with psycopg.connect(dsns.owner, autocommit=True) as db:
        db.execute("UPDATE alembic_version SET version_num = '9999_future'")
    with pytest.raises(NotReadyToUpgrade) as newer:
        upgrade(settings, tmp_path / "none.toml", tmp_path / "backups", key, now=NOW)

    assert full.value.kind == "not-ready-to-upgrade"
    assert full.value.facts["free"] == 0
    assert newer.value.facts["found"] == "9999_future"
    assert list((tmp_path / "backups").iterdir()) == []
