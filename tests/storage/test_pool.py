"""The pool: live connections, transactions of the caller's own, a clear word when there is no server."""

from __future__ import annotations

import pytest

from lienthong.storage.pool import open_pool
from lienthong.storage.provision import DatabaseUnavailable

pytestmark = pytest.mark.integration


async def test_what_a_caller_does_not_commit_is_not_there(database):
    pool = await open_pool(database.app, min_size=1, max_size=2)
    statement = "INSERT INTO checkpoint (size, root, note) VALUES (1, 'r', 'n')"
    try:
        async with pool.connection() as connection:
            await connection.execute(statement)
            await connection.rollback()
        async with pool.connection() as connection:
            assert await (await connection.execute("SELECT * FROM checkpoint")).fetchall() == []
            await connection.execute(statement)
        async with pool.connection() as connection:
            assert len(await (await connection.execute("SELECT * FROM checkpoint")).fetchall()) == 1
    finally:
        await pool.close()


async def test_a_pool_without_a_server_is_refused_with_the_reason(tmp_path):
    with pytest.raises(DatabaseUnavailable) as refused:
        await open_pool(f"postgresql:///x?host={tmp_path}", timeout_s=0.2)

    assert refused.value.kind == "database-unavailable"
