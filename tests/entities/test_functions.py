"""Addresses in SQL: the same answers as everywhere, NULL where nothing is certain."""

from __future__ import annotations

import duckdb

from lienthong.entities.functions import add_functions


def test_a_column_of_addresses_becomes_codes_of_the_asked_day() -> None:
    with duckdb.connect() as connection:
        add_functions(connection)
        rows = connection.execute(
            """
            SELECT address_code(a, DATE '2026-11-23'), address_status(a, DATE '2026-11-23'), fold(a)
            FROM (VALUES ('12 Lê Lợi, P. Bến Nghé, Q.1, TP.HCM'), ('Phường Trúc Bạch, Quận Ba Đình, Hà Nội'),
                         ('😀'), (NULL)) t(a)
            """
        ).fetchall()

    assert rows == [
        ("26740", "exact", "12 le loi, p. ben nghe, q.1, tp.hcm"),
        ("00004", "exact", "phuong truc bach, quan ba dinh, ha noi"),
        (None, "none", "😀"),
        (None, None, None),
    ]
