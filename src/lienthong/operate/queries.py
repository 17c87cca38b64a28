"""The questions of backup and restore: every table's rows in one snapshot, and back again into an empty database.

Transaction numbers mean nothing in another cluster: ``renumber`` keeps what they say (which records were sequenced
and read, which come later) and lets every record written from then on come after all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Sequence
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg import sql

from lienthong.access.queries import SHARDS
from lienthong.access.shards import Shard
from lienthong.i18n import T
from lienthong.storage.provision import DatabaseUnavailable

Database = psycopg.Connection
"""What the verbs of this package pass on without knowing psycopg."""
POSITIONS = ("sequenced", "record_reader")
"""Tables whose (tx, seq) says how far a reader of the records is."""
FRESH = ("nonce",)
"""Not kept: a restored node has not seen any message, and refuses those sent before its start."""


@contextmanager
def snapshot(dsn: str) -> Generator[Database]:
    """A connection that sees the database as it is at this moment, until it is left.  Raises DatabaseUnavailable."""
    with _open(dsn) as db:
        db.execute("BEGIN TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        yield db


@contextmanager
def one_transaction(dsn: str) -> Generator[Database]:
    """A connection whose changes are all kept, or none when the block raises.  Raises DatabaseUnavailable."""
    with _open(dsn) as db, db.transaction():
        yield db


@contextmanager
def _open(dsn: str) -> Generator[Database]:
    try:
        with psycopg.connect(dsn, autocommit=True, connect_timeout=10) as db:
            yield db
    except psycopg.OperationalError as failed:
        raise DatabaseUnavailable(
            T("The database can not be read: {why}"),
            mend=T("See that the server runs and has free connections."),
            why=str(failed).strip(),
        ) from failed


def revision(db: Database) -> str:
    """The schema's revision."""
    return str(_rows(db, "SELECT version_num FROM alembic_version")[0][0])


def size_bytes(db: Database) -> int:
    """How large the database is on disk."""
    return int(_rows(db, "SELECT pg_database_size(current_database())")[0][0])


def server_version(db: Database) -> str:
    """PostgreSQL's version."""
    return str(_rows(db, "SHOW server_version")[0][0])


def estimated_rows(db: Database) -> dict[str, int]:
    """About how many rows each table has."""
    found = _rows(db, "SELECT relname, n_live_tup FROM pg_stat_user_tables ORDER BY relname")
    return {str(name): int(rows) for name, rows in found}


def connections(db: Database) -> dict[str, int]:
    """How many connections are in which state."""
    found = _rows(
        db,
        "SELECT COALESCE(state, 'none'), count(*) FROM pg_stat_activity WHERE datname = current_database() GROUP BY 1",
    )
    return {str(state): int(count) for state, count in found}


def tables(db: Database) -> list[str]:
    """Every table that is kept, those first to which others refer."""
    found = [
        str(row[0])
        for row in _rows(
            db,
            """
            SELECT relname FROM pg_class
             WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p') AND NOT relispartition
               AND relname <> 'alembic_version' ORDER BY relname
            """,
        )
        if row[0] not in FRESH
    ]
    refers: dict[str, set[str]] = {name: set() for name in found}
    for name, to in _rows(
        db,
        """
        SELECT a.relname, b.relname FROM pg_constraint AS c
          JOIN pg_class AS a ON a.oid = c.conrelid JOIN pg_class AS b ON b.oid = c.confrelid
         WHERE c.contype = 'f' AND a.oid <> b.oid AND a.relnamespace = 'public'::regnamespace
        """,
    ):
        refers[str(name)].add(str(to))
    return _referred_first(refers)


def columns(db: Database, table: str) -> list[str]:
    """The columns of ``table`` that hold what was written, in their order."""
    return [
        str(row[0])
        for row in _rows(
            db,
            """
            SELECT attname FROM pg_attribute
             WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped AND attgenerated = '' ORDER BY attnum
            """,
            table,
        )
    ]


def transaction_columns(db: Database) -> list[tuple[str, str]]:
    """Every table and column that holds a transaction's number."""
    return [
        (str(table), str(column))
        for table, column in _rows(
            db,
            """
            SELECT c.relname, a.attname FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
             WHERE a.atttypid = 'xid8'::regtype AND c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
             ORDER BY 1, 2
            """,
        )
    ]


def newest_checkpoint(db: Database) -> tuple[int, bytes] | None:
    """Size and signed note of the newest checkpoint, or None."""
    found = _rows(db, "SELECT size, note FROM checkpoint ORDER BY size DESC LIMIT 1")
    return (int(found[0][0]), bytes(found[0][1])) if found else None


def shards(db: Database) -> list[Shard]:
    """The shards of the log in their order."""
    return [
        Shard(str(name), str(half), int(str(begin)), None if end is None else int(str(end)))
        for name, half, begin, end in _rows(db, SHARDS)
    ]


def final_checkpoints(db: Database) -> list[bytes]:
    """The signed notes that froze the shards closed so far, oldest first."""
    ended = [shard.last for shard in shards(db) if shard.last is not None]
    found = _rows(db, "SELECT note FROM checkpoint WHERE size = ANY(%s) ORDER BY size", ended)
    return [bytes(note) for (note,) in found]


def copy_out(db: Database, table: str, names: Sequence[str], take: Callable[[bytes], object]) -> int:
    """Hand the rows of ``table`` as text to ``take``; returns their number."""
    statement = sql.SQL("COPY (SELECT {} FROM {}) TO STDOUT").format(_list(names), sql.Identifier(table))
    with db.cursor() as cursor, cursor.copy(statement) as copy:
        for piece in copy:
            take(bytes(piece))
        return cursor.rowcount


def empty(db: Database, names: Sequence[str]) -> None:
    """Take away what a new schema begins with; the nonces' mark too, so that a crash is noticed."""
    db.execute(sql.SQL("TRUNCATE {} CASCADE").format(_list([*names, *FRESH])))


def holds_records(db: Database) -> bool:
    """Whether anything was ever recorded, agreed or admitted here."""
    there = {"record", "agreement_document", "member", "service"} & set(tables(db))
    return any(_rows(db, f"SELECT 1 FROM {table} LIMIT 1") for table in there)  # noqa: S608 - names of our own


def copy_in(db: Database, table: str, names: Sequence[str], pieces: Iterable[bytes]) -> int:
    """Write rows as ``copy_out`` gave them, without setting off triggers; returns their number."""
    named = sql.Identifier(table)
    db.execute(sql.SQL("ALTER TABLE {} DISABLE TRIGGER USER").format(named))
    statement = sql.SQL("COPY {} ({}) FROM STDIN").format(named, _list(names))
    with db.cursor() as cursor:
        with cursor.copy(statement) as copy:
            for piece in pieces:
                copy.write(piece)
        rows = cursor.rowcount
    db.execute(sql.SQL("ALTER TABLE {} ENABLE TRIGGER USER").format(named))
    return rows


def advance_sequences(db: Database) -> None:
    """Let every generated number go on after the largest that is there."""
    for table, column, sequence in _rows(
        db,
        """
        SELECT c.relname, a.attname, pg_get_serial_sequence(quote_ident(c.relname), a.attname)
          FROM pg_attribute AS a JOIN pg_class AS c ON c.oid = a.attrelid
         WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND a.attnum > 0
           AND pg_get_serial_sequence(quote_ident(c.relname), a.attname) IS NOT NULL
        """,
    ):
        db.execute(
            sql.SQL("SELECT setval({}, COALESCE((SELECT max({}) FROM {}), 0) + 1, false)").format(
                sql.Literal(sequence), sql.Identifier(str(column)), sql.Identifier(str(table))
            )
        )


def renumber(db: Database) -> None:
    """Give restored records the transaction numbers 1, 2, ...: one for each stretch between two readers' positions.

    The numbers of a new cluster begin in the hundreds, so what is written later comes after them all.
    """
    there = [table for table in POSITIONS if _rows(db, "SELECT to_regclass(%s) IS NOT NULL", table)[0][0]]
    union = " UNION ".join(f"SELECT tx, seq FROM {table}" for table in there)  # noqa: S608 - names of our own
    _run(
        db,
        f"""
        CREATE TEMPORARY TABLE place ON COMMIT DROP AS
        SELECT tx, seq, row_number() OVER (ORDER BY tx, seq) AS n FROM ({union}) AS p
        """,  # noqa: S608 - names of our own
    )
    _run(
        db,
        """
        UPDATE record
           SET tx = (1 + (SELECT count(*) FROM place AS p WHERE (p.tx, p.seq) < (record.tx, record.seq)))::text::xid8
        """,
    )
    for table in there:
        # Everything up to the position has its number or a smaller one, everything after it a larger one.
        _run(
            db,
            f"""
            UPDATE {table} AS t SET tx = p.n::text::xid8, seq = 9223372036854775807
              FROM place AS p WHERE (p.tx, p.seq) = (t.tx, t.seq)
            """,  # noqa: S608 - names of our own
        )


def begin_recovery(db: Database, cause: str, facts: str) -> bool:
    """Note that nothing may be signed until an outside checkpoint was shown; False in a schema older than that."""
    if not _rows(db, "SELECT to_regclass('log_recovery') IS NOT NULL")[0][0]:
        return False
    db.execute("DELETE FROM log_recovery")
    db.execute("INSERT INTO log_recovery (cause, facts) VALUES (%s, %s::jsonb)", (cause, facts))
    return True


def in_recovery(db: Database) -> bool:
    """Whether the node waits for an outside checkpoint."""
    return bool(_rows(db, "SELECT 1 FROM log_recovery"))


def shut_out(superuser: str, name: str) -> None:
    """Let nobody into the database ``name`` any more, whoever is in it now.  Raises DatabaseUnavailable."""
    with _open(superuser) as db:
        db.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(sql.Identifier(name)))
        db.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])


def let_in(superuser: str, name: str) -> None:
    """Take back ``shut_out``."""
    with _open(superuser) as db:
        db.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(sql.Identifier(name)))


def _rows(db: Database, query: str, *values: object) -> list[tuple[Any, ...]]:  # Any: what PostgreSQL answers
    return db.execute(query.encode(), values or None).fetchall()


def _run(db: Database, statement: str) -> None:
    db.execute(statement.encode())


def _list(names: Sequence[str]) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, names))


def _referred_first(refers: dict[str, set[str]]) -> list[str]:
    order: list[str] = []
    left = dict(refers)
    while left:
        free = sorted(name for name, to in left.items() if to <= set(order))
        if not free:
            raise ValueError(f"tables refer to each other in a circle: {sorted(left)}")
        order += free
        for name in free:
            del left[name]
    return order
