"""Which columns of a table hold what, and what a matching job is asked to do."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import ClassVar, Final

from lienthong.errors import Problem, Side
from lienthong.i18n import T

FIELDS: Final = ("record", "source", "name", "birth", "gender", "number", "phone", "unit", "street", "person")
"""What a record may hold; ``person`` is a label (who it really is), used for reporting alone."""
MOST_IN_A_BLOCK: Final = 60
AUTOMATIC: Final = 0.95
REVIEW: Final = 0.20
DUCKDB: Final = "duckdb"
SPLINK: Final = "splink"
_TABLES: Final = ("columns", "thresholds", "spark")
_WORDS: Final = {"columns", "thresholds", "most_in_a_block", "seed", "engine", "python", "spark"}


class MatchingRefused(Problem):
    """A matching job can not be done as it is described."""

    kind: ClassVar[str] = "matching-refused"
    status: ClassVar[int] = 422
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The records can not be matched")


class MatchingUnknown(Problem):
    """A record or pair that is asked for is not in the state."""

    kind: ClassVar[str] = "matching-unknown"
    status: ClassVar[int] = 404
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("There is no such record")


@dataclass(frozen=True, slots=True)
class Matching:
    """A job: field -> column of the input, the thresholds (probabilities), the greatest block and the seed.

    Pairs at or above ``automatic`` are joined, those between ``review`` and it are shown to people.  A value shared by
    more than ``most_in_a_block`` records is no reason to compare them.  Ties are broken by ``seed``.
    ``engine``: ``duckdb``, ``splink`` or the address of a Spark cluster (``spark://...``, ``local[n]``), of which
    ``spark`` holds settings; ``python``: the interpreter that has its packages ("": ours).
    """

    columns: Mapping[str, str] = field(default_factory=lambda: {name: name for name in FIELDS})
    automatic: float = AUTOMATIC
    review: float = REVIEW
    most_in_a_block: int = MOST_IN_A_BLOCK
    seed: int = 0
    engine: str = DUCKDB
    python: str = ""
    spark: Mapping[str, str] = field(default_factory=dict[str, str])


def read_matching(text: str) -> Matching:
    """The job written as TOML: ``[columns]`` names columns, ``[thresholds]`` automatic and review.

    Raises MatchingRefused for unknown words, values of another type, thresholds out of order, or no column for a name.
    """
    try:
        told = tomllib.loads(text)
    except tomllib.TOMLDecodeError as failed:
        raise MatchingRefused(T("The job is no TOML: {why}"), why=str(failed)) from failed
    tables = {name: told.get(name, {}) for name in _TABLES}
    if not all(isinstance(table, dict) for table in tables.values()):
        raise MatchingRefused(T("Of a matching job, columns, thresholds and spark are tables: [columns] and the like."))
    columns, limits = tables["columns"], tables["thresholds"]
    unknown = sorted((set(told) - _WORDS) | (set(columns) - set(FIELDS)))
    if unknown:
        raise MatchingRefused(
            T("Nobody knows what {word} means in a matching job."),
            mend=T("The fields are: {fields}."), word=unknown[0], fields=", ".join(FIELDS),
        )  # fmt: skip
    try:
        job = Matching(
            columns={str(name): str(column) for name, column in columns.items()},
            automatic=float(limits.get("automatic", AUTOMATIC)),
            review=float(limits.get("review", REVIEW)),
            most_in_a_block=int(told.get("most_in_a_block", MOST_IN_A_BLOCK)),
            seed=int(told.get("seed", 0)),
            engine=str(told.get("engine", DUCKDB)),
            python=str(told.get("python", "")),
            spark={str(name): str(value) for name, value in tables["spark"].items()},
        )
    except (TypeError, ValueError) as failed:
        raise MatchingRefused(T("A threshold, a size or a seed of the matching job is no number.")) from failed
    if not {"record", "name"} <= set(job.columns):
        raise MatchingRefused(T("A matching job names at least the columns of `record` and `name`."))
    if job.engine not in (DUCKDB, SPLINK) and not job.engine.startswith(("spark://", "local[")):
        raise MatchingRefused(
            T("There is no engine {engine}."), mend=T("Engines: duckdb, splink, spark://host:port."), engine=job.engine
        )
    if not 0 < job.review <= job.automatic < 1 or not 2 <= job.most_in_a_block <= 1000:
        raise MatchingRefused(T("The thresholds must be 0 < review <= automatic < 1, a block 2 to 1000 records."))
    return job
