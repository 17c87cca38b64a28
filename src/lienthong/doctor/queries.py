"""What the doctor asks a node's database."""

from __future__ import annotations

from collections.abc import Mapping

import psycopg

RIGHTS = (
    ("app", "entry", "INSERT"),
    ("app", "record", "SELECT"),
    ("app", "agreement", "SELECT"),
    ("app", "checkpoint", "INSERT"),
    ("app", "service", "SELECT"),
    ("app", "nonce", "DELETE"),
    ("log", "record", "INSERT"),
)
"""Rights without which a node can not work; the whole matrix is a test of the migrations."""
MUST_NOT_HAVE = (("log", "record", "UPDATE"), ("log", "record", "DELETE"), ("app", "record", "DELETE"))
"""Rights with which history could be rewritten."""


def role_rights(connection: psycopg.Connection, accounts: Mapping[str, str]) -> tuple[list[str], list[str]]:
    """Rights that are missing and rights that must not be, each as ``role RIGHT ON table``.

    ``accounts``: role (``app``, ``log``) to the account that plays it.
    """
    missing: list[str] = []
    surplus: list[str] = []
    for wanted, told in ((RIGHTS, missing), (MUST_NOT_HAVE, surplus)):
        for role, table, right in wanted:
            row = connection.execute(
                "SELECT has_table_privilege(%s, %s, %s)", (accounts[role], table, right)
            ).fetchone()
            if row is not None and row[0] != (told is missing):
                told.append(f"{role} {right} ON {table}")
    return missing, surplus


def free_connections(connection: psycopg.Connection) -> tuple[int, int]:
    """Connections that are free on the server, and how many there may be."""
    row = connection.execute(
        """
        SELECT current_setting('max_connections')::int - (SELECT count(*) FROM pg_stat_activity WHERE backend_type
               = 'client backend')::int, current_setting('max_connections')::int
        """
    ).fetchone()
    return (row[0], row[1]) if row else (0, 0)


def log_state(connection: psycopg.Connection) -> tuple[str, int, int, float]:
    """The open shard, its entries, records without a place, and seconds since the last checkpoint (or since ever)."""
    row = connection.execute(
        """
        SELECT h.name, s.size - h.begin,
               (SELECT count(*) FROM (SELECT 1 FROM record r WHERE (r.tx, r.seq) > (s.tx, s.seq) LIMIT 100000) w),
               extract(epoch FROM now() - (SELECT max(at) FROM checkpoint))::float8
          FROM sequenced s, (SELECT name, begin FROM log_shard ORDER BY begin DESC LIMIT 1) h
        """
    ).fetchone()
    return (row[0], row[1], row[2], row[3] if row[3] is not None else float("inf")) if row else ("", 0, 0, 0.0)
