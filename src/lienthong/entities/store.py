"""Records, the entities they belong to and how that came about: one DuckDB file, whole after each change.

Tables: ``norm`` (records with their keys, numbered by ``r``), ``told`` (as they came, for people to look at), ``keyed``
(the blocks each is in, ordered by key so that one record is looked up quickly), ``entity`` (r, id), ``grey`` (pairs for
people to look at), ``decision`` (what people said of a pair), ``journal`` (every merge and split, so that it can be
undone), ``undoing`` (changes that one person wants undone), ``bearer`` (how many records bear a name).  Records and
entities have an index by ``r``, so that one record is looked up in milliseconds.
"""

from __future__ import annotations

from collections.abc import Generator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, Self

import duckdb
import pyarrow as pa

from lienthong.entities.models import SHOWN
from lienthong.i18n import T
from lienthong.linkage.matching import pairs
from lienthong.linkage.matching.columns import FIELDS, Matching, MatchingRefused
from lienthong.linkage.matching.normal import known, normalised

MEMORY: Final = "1500MB"
STATE: Final = "state.duckdb"
_READERS: Final = {".parquet": "read_parquet", ".csv": "read_csv"}
_NO_ROWS: Final = f"(SELECT {', '.join(f'NULL AS {name}' for name in FIELDS)} WHERE false)"
_TABLES: Final = (
    f"CREATE TABLE norm AS {normalised({name: name for name in FIELDS}, _NO_ROWS)}",
    "CREATE TABLE keyed (k UBIGINT, reason TINYINT, r INTEGER)",
    "CREATE TABLE entity (r INTEGER, id VARCHAR)",
    "CREATE TABLE grey (a INTEGER, b INTEGER, p DOUBLE, code INTEGER)",
    "CREATE TABLE decision (a INTEGER, b INTEGER, same BOOLEAN, who VARCHAR, moment TIMESTAMP)",
    "CREATE TABLE journal (number INTEGER, moment TIMESTAMP, kind VARCHAR, id VARCHAR, other VARCHAR,"
    " records INTEGER[], who VARCHAR, undone BOOLEAN)",
)

_ADDED: Final = (
    "CREATE TABLE IF NOT EXISTS bearer AS SELECT hash(bag) AS k, CAST(count(*) AS INTEGER) AS bearers FROM norm"
    " WHERE bag IS NOT NULL GROUP BY bag ORDER BY k",
    f"CREATE TABLE IF NOT EXISTS told (r INTEGER, {', '.join(f'{name} VARCHAR' for name in SHOWN)})",
    "CREATE TABLE IF NOT EXISTS undoing (number INTEGER, who VARCHAR, moment TIMESTAMP)",
    "CREATE INDEX IF NOT EXISTS norm_r ON norm (r)",
    "CREATE INDEX IF NOT EXISTS entity_r ON entity (r)",
)
"""What a state of before may lack."""


class Store:
    """The file ``state.duckdb`` in ``folder``, made when it is not there.  A context manager.

    Nothing but the files named to ``load`` is read; nothing leaves the process.
    """

    def __init__(self, folder: Path, *, threads: int = 2, memory: str = MEMORY) -> None:
        self.folder = folder
        self._read: dict[str, duckdb.Statement] = {}
        folder.mkdir(parents=True, exist_ok=True)
        fresh = not (folder / STATE).exists()
        config: dict[str, Any] = {"threads": threads, "memory_limit": memory, "preserve_insertion_order": False}
        try:
            self.db = duckdb.connect(str(folder / STATE), config=config)
        except duckdb.Error as failed:
            raise MatchingRefused(
                T("The state in {folder} can not be opened: {why}"),
                mend=T("Is another `lienthong link` at work on it?"), folder=folder, why=str(failed).splitlines()[0],
            ) from failed  # fmt: skip
        if fresh:
            with self.change():
                for statement in _TABLES:
                    self.run(statement)
        for statement in _ADDED:
            self.run(statement)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.db.close()

    @contextmanager
    def change(self) -> Generator[None]:
        """A transaction: all of it or nothing."""
        self.run("BEGIN")
        try:
            yield
        except BaseException:
            self.run("ROLLBACK")
            raise
        self.run("COMMIT")

    def load(self, job: Matching, files: Sequence[Path]) -> None:
        """The table ``source`` from ``files``.  Raises MatchingRefused for a file that is no table with the columns."""
        parts = " UNION ALL BY NAME ".join(f"SELECT * FROM {_reading(file)}" for file in files)
        try:
            self.table("source", parts)
        except duckdb.Error as failed:
            raise MatchingRefused(T("The records can not be read: {why}"), why=str(failed).splitlines()[0]) from failed
        held = {row[0] for row in self.all("SELECT column_name FROM (DESCRIBE source)")}
        missing = sorted(set(job.columns.values()) - held)
        if missing:
            raise MatchingRefused(
                T("The files have no column {column}."),
                mend=T("They have: {columns}."), column=missing[0], columns=", ".join(sorted(held)),
            )  # fmt: skip

    def admit(self, job: Matching) -> int:
        """Take new and changed records of ``source`` into ``norm`` and ``keyed``; returns the number of the first.

        A record that stands there as it is now is left alone; one that changed loses its place and is matched anew.
        Raises MatchingRefused for identifiers that are missing or used twice.
        """
        first = int(self.one("SELECT coalesce(max(r), -1) + 1 FROM norm"))
        self.table("gone", "SELECT bag FROM norm WHERE false")
        self.table("fresh", normalised(job.columns, "source", first))
        twice = self.one(
            "SELECT count(*) FROM (SELECT 1 FROM fresh GROUP BY source, record HAVING count(*) > 1 OR record IS NULL)"
        )
        if twice:
            raise MatchingRefused(
                T("{count} identifiers are missing or used twice in one source."),
                mend=T("Each record needs an identifier of its own in its source."), count=twice,
            )  # fmt: skip
        if first:
            self._leave_known()
        self.run("INSERT INTO norm SELECT * FROM fresh")
        self._keep_told(job)
        self.run("DROP TABLE source")
        self.table("coming", pairs.keys("fresh"))
        self.run("INSERT INTO keyed SELECT * FROM coming ORDER BY k")
        return first

    def _leave_known(self) -> None:
        same = "n.source IS NOT DISTINCT FROM f.source AND n.record = f.record"
        alike = " AND ".join(f"n.{name} IS NOT DISTINCT FROM f.{name}" for name in _TOLD)
        self.table("known", f"SELECT f.r AS fresh, n.r AS old, {alike} AS alike FROM fresh f JOIN norm n ON {same}")
        self.run("DELETE FROM fresh WHERE r IN (SELECT fresh FROM known WHERE alike)")
        self.run("INSERT INTO gone SELECT bag FROM norm WHERE r IN (SELECT old FROM known WHERE NOT alike)")
        for name in ("norm", "keyed", "entity", "told"):
            self.run(f"DELETE FROM {name} WHERE r IN (SELECT old FROM known WHERE NOT alike)")
        self.run("DELETE FROM grey WHERE a IN (SELECT old FROM known WHERE NOT alike)")
        self.run("DELETE FROM grey WHERE b IN (SELECT old FROM known WHERE NOT alike)")

    def _keep_told(self, job: Matching) -> None:
        """Records as they came, for people who review; a record alike but for what is compared keeps its old text."""
        picked = ", ".join(
            f"{known(job.columns[name]) if name in job.columns else 'CAST(NULL AS VARCHAR)'} AS came_{name}"
            for name in ("record", "source", *SHOWN)
        )
        self.run(
            f"INSERT INTO told SELECT f.r, {', '.join(f'came_{name}' for name in SHOWN)}"
            f" FROM (SELECT {picked} FROM source) JOIN fresh f"
            " ON f.record = came_record AND f.source IS NOT DISTINCT FROM came_source"
        )

    def count_names(self) -> None:
        """Bring ``bearer`` up to date and make ``named``, the names of new records with their bearers."""
        self.table("named", pairs.frequencies())
        self.run("DELETE FROM bearer WHERE k IN (SELECT hash(bag) FROM named UNION ALL SELECT hash(bag) FROM gone)")
        self.run("INSERT INTO bearer SELECT hash(bag) AS k, bearers FROM named ORDER BY k")
        self.run(
            "INSERT INTO bearer SELECT hash(bag), count(*) FROM norm WHERE bag IN (SELECT bag FROM gone)"
            " AND bag NOT IN (SELECT bag FROM named) GROUP BY bag"
        )

    def compare(self, job: Matching, first: int) -> None:
        """Make ``seen``: every pair of a new record with a record that shares a block, and its pattern."""
        self.table("block", pairs.blocks())
        self.table("pair", pairs.candidates(job.most_in_a_block, first))
        self.table("seen", pairs.compared())

    def keep(self, name: str, columns: dict[str, Any], rows: Sequence[tuple[Any, ...]]) -> None:
        """Remember ``rows`` as the table ``name``."""
        values = list(zip(*rows, strict=True)) if rows else [()] * len(columns)
        arrays = [pa.array(part, kind) for part, kind in zip(values, columns.values(), strict=True)]
        self.db.register("given", pa.table(arrays, list(columns)))
        self.table(name, "SELECT * FROM given")
        self.db.unregister("given")

    def table(self, name: str, select: str) -> None:
        """Make the table ``name``, for the time of this connection, from a SELECT."""
        self.run(f"CREATE OR REPLACE TEMP TABLE {name} AS {select}")

    def run(self, sql: str, *given: object) -> None:
        """Do a statement."""
        self.all(sql, *given)

    def one(self, sql: str, *given: object) -> Any:
        """The first value of the first row, None without rows."""
        rows = self.all(sql, *given)
        return rows[0][0] if rows else None

    def all(self, sql: str, *given: object) -> list[Any]:
        """All rows."""
        return self.db.execute(sql, list(given)).fetchall()

    def often(self, sql: str, *given: object) -> list[Any]:
        """All rows of a statement that is asked again and again: it is read once."""
        if sql not in self._read:
            (self._read[sql],) = self.db.extract_statements(sql)
        return self.db.execute(self._read[sql], list(given)).fetchall()


_TOLD: Final = ("name", "y", "m", "d", "number", "card", "phone", "unit", "street", "sex", "accents", "person")


def _reading(file: Path) -> str:
    """The call that reads ``file``; CSV as text, without guessing types."""
    reader = _READERS.get(file.suffix.lower())
    if reader is None or not file.is_file():
        raise MatchingRefused(T("{file} is no CSV and no Parquet file."), file=file.name)
    name = "'" + str(file).replace("'", "''") + "'"
    return f"{reader}({name})" if reader == "read_parquet" else f"{reader}({name}, all_varchar=true, header=true)"
