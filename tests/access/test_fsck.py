"""Whatever the owner of the database does to records, the check of the whole log finds it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from psycopg import AsyncConnection

from lienthong import verify
from lienthong.access.queries import kept_notes, placed_records
from lienthong.storage.provision import DatabaseDsns
from tests.access.witnesses import AskingLog, database  # noqa: F401 - a fixture


@pytest.fixture
async def log(database: DatabaseDsns, tmp_path: Path) -> AsyncIterator[AskingLog]:  # noqa: F811 - the fixture
    log = AskingLog(database, tmp_path)
    await log.grow(20)
    await log.grow(10)
    yield log
    await log.close()


def checked(log: AskingLog, folder: Path, *heads: bytes) -> set[str]:
    """Names of the checks that failed."""
    notes = [note.decode() for note in (*kept_notes(log.dsns.app), *heads)]
    rows = placed_records(log.dsns.app)
    report = verify.verify_log(str(folder / "log"), key=str(log.verifier), heads=notes, rows=rows)
    return {check.name for check in report.checks if check.ok is False}


async def by_the_owner(log: AskingLog, *statements: str) -> None:
    async with await AsyncConnection.connect(log.dsns.owner) as db:
        for statement in statements:
            await db.execute(statement)


async def test_an_untouched_log_is_good(log: AskingLog, tmp_path: Path):
    assert checked(log, tmp_path) == set()


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE record SET leaf = replace(convert_from(leaf, 'UTF8'), 'permitted', 'refused')::bytea WHERE seq = 7",
        "UPDATE entry SET consumer = 'VN/GOV/G99/khac' WHERE idx = 7",
        "UPDATE entry SET purpose = 'HP-99' WHERE idx = 7",
        "UPDATE entry SET at = at + interval '1 hour' WHERE idx = 7",
        "UPDATE entry SET rows = NULL WHERE idx = 7",
        "DELETE FROM record WHERE seq = 7",
        "DELETE FROM entry WHERE idx = 7",
        "DELETE FROM entry WHERE idx >= 25",
        "UPDATE entry SET idx = CASE idx WHEN 1007 THEN 8 ELSE 1007 END WHERE idx = 7",
        "INSERT INTO record (tx, hash, leaf) SELECT tx, hash, leaf FROM record WHERE seq = 7",
    ],
)
async def test_every_edit_of_the_database_is_found(log: AskingLog, tmp_path: Path, statement: str):
    await by_the_owner(log, statement)

    assert checked(log, tmp_path) == {"database"}


async def test_a_log_rewritten_with_its_tiles_is_found_by_a_checkpoint_kept_elsewhere(log: AskingLog, tmp_path: Path):
    head = log.published()
    await by_the_owner(
        log,
        "DELETE FROM record WHERE seq = 25",
        "TRUNCATE entry, checkpoint",
        "UPDATE sequenced SET tx = '0', seq = 0, size = 0",
    )
    for file in sorted((tmp_path / "log").rglob("*"), reverse=True):
        if file.is_file():
            file.unlink()
    await log.grow(0)

    assert checked(log, tmp_path) == set()
    assert checked(log, tmp_path, head) == {"heads"}
