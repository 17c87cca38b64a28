"""A backup taken while the node lives makes the same node elsewhere, which signs nothing before it was confirmed."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest

from lienthong.access.recovery import NotRecovered
from lienthong.config import Settings
from lienthong.node.supervise import write_dsns
from lienthong.operate import queries as operate_queries
from lienthong.operate.backup import BackupExists, back_up, manifest_path
from lienthong.operate.restore import NotEmpty, confirm, restore, unpack_config
from lienthong.operate.sealed import BackupUnreadable, BadBackupKey, make_key, read_key
from lienthong.storage.migrations.runner import revisions
from lienthong.storage.provision import DatabaseDsns, prepare_database
from lienthong.storage.server import PostgresServer
from lienthong.trust.note import NoteRefused
from lienthong.verify import verify_log, verify_receipt
from tests.conftest import drop_database
from tests.operate.living import NAME, NOW, PERSON, Living, a_node

pytestmark = pytest.mark.integration
_numbers = itertools.count(1)


@pytest.fixture
def make_node(pg_server: PostgresServer, tmp_path: Path) -> Iterator[Callable[[], Living]]:
    """Makes nodes with a folder and a database of their own."""
    made: list[str] = []

    def make() -> Living:
        made.append(f"operate_{os.getpid()}_{next(_numbers)}")
        folder = tmp_path / made[-1]
        folder.mkdir()
        return a_node(folder, pg_server.dsn(), made[-1])

    yield make
    for name in made:
        drop_database(pg_server.dsn(), name)
        drop_database(pg_server.dsn(), f"{name}_again")


@pytest.fixture
def key(tmp_path: Path) -> bytes:
    make_key(tmp_path / "backup.key")
    return read_key(tmp_path / "backup.key")


def elsewhere(node: Living, folder: Path) -> Living:
    """The same node on an empty server: another folder, another database, nothing in either."""
    settings = replace(
        node.settings, data=folder / "again" / "data", database_name=f"{node.settings.database_name}_again"
    )
    return Living(settings, folder / "again" / "lienthong.toml", DatabaseDsns("", "", ""))


def back_to_life(node: Living) -> Living:
    """As a start of the node does it."""
    node.dsns = prepare_database(node.settings.database or "", node.settings.database_name)
    write_dsns(node.settings, node.dsns)
    return node


async def test_a_restored_node_has_every_record_and_its_log_goes_on_where_it_was(make_node, key, tmp_path):
    node = make_node()
    hashes = await node.record(300)
    await node.sequence()
    waiting = await node.record(5)
    out = tmp_path / "backup.lt"

    manifest = back_up(node.settings, node.config, out, key, now=NOW)
    restored = restore(elsewhere(node, tmp_path).settings, out, key, now=NOW)

    again = back_to_life(elsewhere(node, tmp_path))
    assert (manifest.log_size, manifest.node) == (300, "nut-thu")
    assert restored.in_recovery
    assert again.checkpoint == node.checkpoint
    assert await confirm(again.settings, node.checkpoint) == 300
    assert await again.sequence() == 5
    later = await again.record(3)
    assert await again.sequence() == 3, "a record written after the restore was never sequenced"
    assert verify_log(str(again.settings.data / "log"), key=again.files.verifier_key).ok
    async with await psycopg.AsyncConnection.connect(again.dsns.app) as db:
        for each in (hashes[0], hashes[-1], waiting[-1], later[-1]):
            assert verify_receipt(await again.receipts.receipt(db, each.hex(), to_owner=True)).ok


async def test_readers_of_the_records_neither_skip_nor_repeat_any_after_a_restore(make_node, key, tmp_path):
    node = make_node()
    await node.record(4)
    with psycopg.connect(node.dsns.owner, autocommit=True) as db:
        tx, seq = db.execute("SELECT tx::text, seq FROM record ORDER BY tx, seq OFFSET 1 LIMIT 1").fetchone()
        db.execute("INSERT INTO record_reader (name, tx, seq) VALUES ('thu', %s::text::xid8, %s)", (tx, seq))
        behind = "SELECT hash FROM record, record_reader AS p WHERE (record.tx, record.seq) > (p.tx, p.seq)"
        wanted = {row[0] for row in db.execute(behind)}
    out = tmp_path / "backup.lt"

    back_up(node.settings, node.config, out, key, now=NOW)
    restore(elsewhere(node, tmp_path).settings, out, key, now=NOW)

    again = back_to_life(elsewhere(node, tmp_path))
    with psycopg.connect(again.dsns.owner) as db:
        assert {row[0] for row in db.execute(behind)} == wanted
        assert len(wanted) == 2


def test_every_column_with_a_transaction_number_is_known_to_the_restore(database: DatabaseDsns):
    with operate_queries.snapshot(database.owner) as db:
        known = {("record", "tx"), *((table, "tx") for table in operate_queries.POSITIONS)}

        assert set(operate_queries.transaction_columns(db)) == known


async def test_a_node_restored_from_an_old_backup_stays_in_recovery(make_node, key, tmp_path):
    node = make_node()
    await node.record(10)
    await node.sequence()
    back_up(node.settings, node.config, tmp_path / "old.lt", key, now=NOW)
    await node.record(1)
    await node.sequence()
    again = elsewhere(node, tmp_path)
    restore(again.settings, tmp_path / "old.lt", key, now=NOW)

    with pytest.raises(NotRecovered) as refused:
        await confirm(again.settings, node.checkpoint)

    assert refused.value.kind == "not-recovered"
    assert refused.value.facts["size"] == 11
    back_to_life(again)
    with operate_queries.snapshot(again.dsns.owner) as db:
        assert operate_queries.in_recovery(db)


async def test_recovery_does_not_end_by_a_checkpoint_of_another_history_or_another_log(make_node, key, tmp_path):
    node, other = make_node(), make_node()
    for each in (node, other):
        await each.record(3)
        await each.sequence()
    forked = elsewhere(node, tmp_path)
    back_up(node.settings, node.config, tmp_path / "one.lt", key, now=NOW)
    restore(forked.settings, tmp_path / "one.lt", key, now=NOW)
    with pytest.raises(NoteRefused):
        await confirm(forked.settings, other.checkpoint)
    for tile in (forked.settings.data / "log" / "tile").rglob("*"):
        if tile.is_file():
            tile.write_bytes(
                (other.settings.data / "log" / tile.relative_to(forked.settings.data / "log")).read_bytes()
            )

    with pytest.raises(NotRecovered) as refused:
        await confirm(forked.settings, node.checkpoint)

    assert refused.value.mend


async def test_a_backup_shows_nothing_to_whoever_has_not_its_key(make_node, key, tmp_path):
    node = make_node()
    await node.record(1)
    with psycopg.connect(node.dsns.owner, autocommit=True) as db:
        db.execute(
            "INSERT INTO service (id, member, enabled, version, description, source) "
            "VALUES (%s, %s, true, 1, '{}', %s)",
            ("VN/GOV/G01/x/y", "VN/GOV/G01", json.dumps({"dsn": "postgresql://reader:geheim@host/x", "name": NAME})),
        )
    out = tmp_path / "backup.lt"
    back_up(node.settings, node.config, out, key, now=NOW)
    make_key(tmp_path / "other.key")

    content, clear = out.read_bytes(), manifest_path(out).read_text()
    secret = node.keyring.secret("key-password").hex()

    assert (out.stat().st_mode & 0o777) == 0o600
    for hidden in (NAME, PERSON, "geheim", secret, "exchange-"):
        assert hidden.encode() not in content
        assert hidden not in clear
    with pytest.raises(BackupUnreadable) as refused:
        restore(elsewhere(node, tmp_path).settings, out, read_key(tmp_path / "other.key"), now=NOW)
    assert refused.value.kind == "backup-unreadable"
    assert not (tmp_path / "again" / "data").exists()


def spoilt(content: bytes) -> Iterator[tuple[str, bytes]]:
    """Ways a file comes back from a bad disk or from somebody's hands."""
    yield "cut", content[:-1]
    yield "cut behind its salt", content[:35]
    yield (
        "changed",
        content[: len(content) // 2] + bytes([content[len(content) // 2] ^ 1]) + content[len(content) // 2 + 1 :],
    )
    yield "joined", content + content
    yield "empty", b""
    yield "something else", b"PK" * 1000


async def test_a_spoilt_backup_is_refused_whole(make_node, key, tmp_path):
    node = make_node()
    await node.record(1)
    out = tmp_path / "backup.lt"
    back_up(node.settings, node.config, out, key, now=NOW)

    for how, content in spoilt(out.read_bytes()):
        out.write_bytes(content)
        with pytest.raises(BackupUnreadable):
            restore(elsewhere(node, tmp_path).settings, out, key, now=NOW)
        assert not (tmp_path / "again" / "data").exists(), how


async def test_nothing_that_exists_is_overwritten(make_node, key, tmp_path):
    node = make_node()
    await node.record(1)
    out = tmp_path / "backup.lt"
    back_up(node.settings, node.config, out, key, now=NOW)

    with pytest.raises(BackupExists) as twice:
        back_up(node.settings, node.config, out, key, now=NOW)
    with pytest.raises(NotEmpty) as folder:
        restore(node.settings, out, key, now=NOW)
    with pytest.raises(NotEmpty) as database:
        restore(replace(node.settings, data=tmp_path / "empty"), out, key, now=NOW)
    with pytest.raises(NotEmpty):
        unpack_config(out, key, node.config)
    unpack_config(out, key, tmp_path / "new" / "lienthong.toml")

    assert (twice.value.kind, folder.value.kind) == ("backup-exists", "not-empty")
    assert database.value.facts["place"] == node.settings.database_name
    assert (tmp_path / "new" / "lienthong.toml").read_bytes() == node.config.read_bytes()


def test_a_key_file_is_made_once_for_its_owner_alone(tmp_path):
    path = tmp_path / "backup.key"
    make_key(path)
    with pytest.raises(FileExistsError):
        make_key(path)
    assert (path.stat().st_mode & 0o777, len(read_key(path))) == (0o600, 32)
    path.chmod(0o640)
    with pytest.raises(BadBackupKey) as open_to_others:
        read_key(path)
    with pytest.raises(BadBackupKey):
        read_key(tmp_path / "none.key")
    assert open_to_others.value.kind == "bad-backup-key"


def test_a_backup_of_every_older_schema_is_restored_and_brought_to_the_newest(pg_server, key, tmp_path):
    oldest, newest = revisions()[0], revisions()[-1]
    name = f"operate_{os.getpid()}_{next(_numbers)}"
    try:
        dsns = prepare_database(pg_server.dsn(), name, to=oldest)
        with psycopg.connect(dsns.owner, autocommit=True) as db:
            db.execute("INSERT INTO record (hash, leaf) VALUES ('\\x01', '\\x02')")
        node = a_folder_only(tmp_path, pg_server.dsn(), name, dsns)

        manifest = back_up(node.settings, node.config, tmp_path / "old.lt", key, now=NOW)
        restore(elsewhere(node, tmp_path).settings, tmp_path / "old.lt", key, now=NOW)

        again = back_to_life(elsewhere(node, tmp_path))
        assert manifest.revision == oldest
        with psycopg.connect(again.dsns.owner) as db:
            assert db.execute("SELECT version_num FROM alembic_version").fetchone() == (newest,)
            assert db.execute("SELECT hash, leaf FROM record").fetchall() == [(b"\x01", b"\x02")]
    finally:
        for each in (name, f"{name}_again"):
            drop_database(pg_server.dsn(), each)


def a_folder_only(folder: Path, superuser: str, name: str, dsns: DatabaseDsns) -> Living:
    settings = Settings(
        node="nut-thu", data=folder / "data", members=("VN/GOV/G01",), database=superuser, database_name=name
    )
    write_dsns(settings, dsns)
    return Living(settings, folder / "none.toml", dsns)
