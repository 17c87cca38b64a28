"""Records are placed in the order of their transactions' numbers, not of the numbers' digits."""

from __future__ import annotations

import psycopg
from psycopg import AsyncConnection

from lienthong.access import queries
from lienthong.access.queries import Head
from lienthong.storage.provision import DatabaseDsns


async def test_a_batch_that_crosses_a_power_of_ten_is_placed_in_order_and_once(database: DatabaseDsns):
    with psycopg.connect(database.owner, autocommit=True) as db:
        for tx in (99, 100, 9, 10):
            db.execute("INSERT INTO record (tx, hash, leaf) VALUES (%s::text::xid8, %s, '')", (tx, bytes([tx])))

    async with await AsyncConnection.connect(database.app) as db:
        waiting = await queries.waiting_records(db, Head("0", 0, 0), 100)
        last = waiting[-1]
        again = await queries.waiting_records(db, Head(last.tx, last.seq, 4), 100)

    assert [record.hash[0] for record in waiting] == [9, 10, 99, 100]
    assert again == []
