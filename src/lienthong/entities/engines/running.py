"""A matching job done by another engine: records go out normalised, pairs come back; grouping stays with us.

The engine is a process of its own under the job's ``python`` (an interpreter that has Splink or pyspark; ours when none
is named), so that its packages need not live with ours.  What it prints goes to ``engine.log`` beside the state, which
holds personal data as it is; errors of ours name that file and nothing in it.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import ClassVar, Final

from lienthong.entities.store import Store
from lienthong.errors import Problem, Side
from lienthong.i18n import T
from lienthong.linkage.matching import pairs, spark
from lienthong.linkage.matching.columns import SPLINK, Matching

PROGRAMS: Final = Path(__file__).parent
LEAST: Final = 0.001
"""Pairs that Splink finds less likely are not told."""
_NORM: Final = (
    "SELECT r, name, bag, given, family, CAST(accents AS VARCHAR) AS accents, y, m, d, number, card, phone, unit,"
    " street, sex FROM norm ORDER BY r"
)


class EngineFailed(Problem):
    """The engine named in the job is not installed, can not be reached, or gave up."""

    kind: ClassVar[str] = "engine-failed"
    status: ClassVar[int] = 500
    side: ClassVar[Side] = "caller"
    title: ClassVar[str] = T("The matching engine did not do its work")


def compare_elsewhere(store: Store, job: Matching, first: int) -> None:
    """Make ``seen`` (and by Splink ``weighed``, pairs with their probability) with the job's engine.

    Raises EngineFailed.
    """
    package = "splink" if job.engine == SPLINK else "pyspark"
    python = job.python or sys.executable
    _must_have(python, package)
    with tempfile.TemporaryDirectory(prefix="engine-", dir=store.folder) as temporary:
        folder = Path(temporary)
        norm = folder / "norm.parquet"
        store.run(f"COPY ({_NORM}) TO {_quoted(norm)} (FORMAT parquet)")
        if job.engine == SPLINK:
            _by_splink(store, job, first, python, folder)
        else:
            _by_spark(store, job, first, python, folder)


def _by_splink(store: Store, job: Matching, first: int, python: str, folder: Path) -> None:
    found = folder / "pairs.parquet"
    _run(store, python, "splink_job.py", folder / "norm.parquet", found, LEAST, job.seed)
    store.table("predicted", f"SELECT a, b, p FROM read_parquet({_quoted(found)}) WHERE b >= {first}")
    store.table("pair", "SELECT a, b FROM predicted")
    store.table("block", "SELECT CAST(0 AS TINYINT) AS reason, CAST(0 AS BIGINT) AS records WHERE false")
    store.table("seen", pairs.compared())
    store.table("weighed", "SELECT a, b, code, p FROM seen JOIN predicted USING (a, b)")


def _by_spark(store: Store, job: Matching, first: int, python: str, folder: Path) -> None:
    told = {
        "master": job.engine,
        "settings": dict(job.spark),
        "norm": (folder / "norm.parquet").as_uri(),
        "steps": spark.steps(job.most_in_a_block, first),
        "kept": spark.KEPT,
        "out": {name: (folder / name).as_uri() for name in ("seen", "large")},
    }
    (folder / "job.json").write_text(json.dumps(told), "utf-8")
    _run(store, python, "spark_job.py", folder / "job.json")
    for table, name in (("seen", "seen"), ("block", "large")):
        files = _quoted(folder / name / "*.parquet")
        store.table(table, f"SELECT * FROM read_parquet({files})")


def _must_have(python: str, package: str) -> None:
    try:
        ended = subprocess.run([python, "-c", f"import {package}"], check=False, capture_output=True)
    except OSError as failed:
        raise EngineFailed(T("There is no interpreter {python}."), python=python) from failed
    if ended.returncode:
        raise EngineFailed(
            T("{python} has no package {package}, which this engine needs."),
            mend=T("Install it there, or name with `python` in the job an interpreter that has it."),
            python=python, package=package,
        )  # fmt: skip


def _run(store: Store, python: str, program: str, *words: object) -> None:
    log = store.folder / "engine.log"
    with log.open("wb") as said:
        ended = subprocess.run(
            [python, str(PROGRAMS / program), *map(str, words)], check=False, stdin=subprocess.DEVNULL,
            stdout=said, stderr=subprocess.STDOUT,
        )  # fmt: skip
    if ended.returncode:
        raise EngineFailed(
            T("The engine ended with code {code}."),
            mend=T("What it said stands in {log}."), code=ended.returncode, log=log,
        )  # fmt: skip


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
