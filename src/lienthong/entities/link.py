"""The matching job: new records meet those that are there, groups of records become entities that keep their names.

The first run has nothing that is there yet; later runs touch only entities that a new record belongs to.  Where labels
say who a record really is, the report says how good the answer is.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from lienthong.entities.engines.running import compare_elsewhere
from lienthong.entities.store import Store
from lienthong.i18n import T
from lienthong.linkage.matching.cluster import Clustering, Known
from lienthong.linkage.matching.columns import DUCKDB, SPLINK, Matching, MatchingRefused
from lienthong.linkage.matching.pairs import BLOCKS, too_large, unpack
from lienthong.linkage.matching.weights import Weights, shipped_weights

AGAINST: Final = 0.01
"""Pairs less likely than this speak against joining their groups."""


@dataclass(frozen=True, slots=True)
class Report:
    """What a run did: counts, seconds of each step, quality by labels (empty without), records in blocks too large."""

    records: int
    new: int
    compared: int
    joined: int
    kept_apart: int
    to_review: int
    entities: int
    merged: int
    seconds: Mapping[str, float]
    quality: Mapping[str, float]
    too_large: Mapping[str, int]

    def as_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {name: getattr(self, name) for name in self.__dataclass_fields__}


def match(
    store: Store, job: Matching, files: Sequence[Path], *, weights: Weights | None = None,
    say: Callable[[str], None] = lambda _: None,
) -> Report:  # fmt: skip
    """Match the records of ``files`` with each other and with those in ``store``, all or nothing.

    ``say`` hears the name of each step.  The same files in the same order give the same entities and identifiers.
    Raises MatchingRefused.
    """
    clock = _Clock(say)
    with store.change():
        store.load(job, files)
        first = store.admit(job)
        if not store.one("SELECT count(*) FROM norm"):
            raise MatchingRefused(T("The files hold no record."))
        clock.lap("normalise")
        store.count_names()
        if job.engine == DUCKDB:
            store.compare(job, first)
        else:
            compare_elsewhere(store, job, first)
        clock.lap("compare")
        if job.engine != SPLINK:
            _weigh(store, weights or shipped_weights())
        clustering, likely = _clustered(store, job)
        clock.lap("score and group")
        merged = _keep(store, clustering)
        store.run(
            "INSERT INTO grey SELECT a, b, p, code FROM weighed WHERE p >= ? AND p < ?",
            job.review, job.automatic,
        )  # fmt: skip
        clock.lap("keep")
        quality = _quality(store)
    names = list(BLOCKS)
    large = {names[reason]: int(held) for reason, _, held in store.all(too_large(job.most_in_a_block))}
    apart = len(clustering.kept_apart)
    return Report(
        records=store.one("SELECT count(*) FROM norm"), new=store.one("SELECT count(*) FROM fresh"),
        compared=store.one("SELECT count(*) FROM seen"), joined=likely - apart, kept_apart=apart,
        to_review=store.one("SELECT count(*) FROM grey"), entities=store.one("SELECT count(DISTINCT id) FROM entity"),
        merged=merged, seconds=clock.laps, quality=quality, too_large=large,
    )  # fmt: skip


def _weigh(store: Store, weights: Weights) -> None:
    """The table ``weighed``: each pair with the probability of its pattern."""
    codes = [code for (code,) in store.all("SELECT DISTINCT code FROM seen ORDER BY code")]
    store.keep("scored", {"code": pa.int32(), "p": pa.float64()}, [(c, weights.score(unpack(c))) for c in codes])
    store.table("weighed", "SELECT a, b, code, p FROM seen JOIN scored USING (code)")


def _clustered(store: Store, job: Matching) -> tuple[Clustering, int]:
    """Groups from the pairs at or above the automatic threshold, the likeliest first, ties in the order of the seed."""
    store.table("likely", f"SELECT a, b, p FROM weighed WHERE p >= {job.automatic!r}")
    store.table("touched", "SELECT DISTINCT unnest([a, b]) AS r FROM likely")
    store.table(
        "nearby", "SELECT r FROM touched UNION SELECT r FROM entity SEMI JOIN"
        " (SELECT id FROM entity SEMI JOIN touched USING (r)) USING (id)",
    )  # fmt: skip
    against = store.all(
        "SELECT a, b FROM weighed SEMI JOIN nearby t ON t.r = a SEMI JOIN nearby u ON u.r = b"
        " WHERE p < ? UNION ALL SELECT a, b FROM decision GROUP BY a, b"
        " HAVING count(DISTINCT who) >= 2 AND NOT bool_or(same)",
        AGAINST,
    )  # fmt: skip
    known = store.all("SELECT r, number, CASE WHEN d IS NOT NULL THEN y END, m, d FROM norm SEMI JOIN nearby USING (r)")
    clustering = Clustering(
        Known(
            {r: number for r, number, *_ in known if number is not None},
            {r: (y, m, d) for r, _, y, m, d in known if y is not None and m is not None},
        ),
        against,
    )
    held = defaultdict[str, list[int]](list)
    for record, entity in store.all("SELECT r, id FROM entity SEMI JOIN nearby USING (r) ORDER BY r"):
        held[entity].append(record)
    for entity, records in held.items():
        clustering.remember(entity, records)
    likely = store.all("SELECT a, b FROM likely ORDER BY p DESC, hash(a, b, CAST(? AS BIGINT)), a, b", job.seed)
    for a, b in likely:
        clustering.join(a, b)
    return clustering, len(likely)


def _keep(store: Store, clustering: Clustering) -> int:
    """Write the entities of new records and the merges of old ones; returns how many merges."""
    now, merged = datetime.now(UTC).replace(tzinfo=None), 0
    grouped: list[tuple[int, int, str | None]] = []
    number = int(store.one("SELECT coalesce(max(number), 0) FROM journal"))
    for group in clustering.groups():
        first = min(group.records)
        keeps = group.entities[0][0] if group.entities else None
        grouped += [(record, first, keeps) for record in group.records]
        for other, records in group.entities[1:]:
            number, merged = number + 1, merged + 1
            store.run(
                "INSERT INTO journal VALUES (?, ?, 'merge', ?, ?, ?, 'lienthong', false)",
                number, now, keeps, other, records,
            )  # fmt: skip
    store.keep("grouped", {"r": pa.int32(), "first": pa.int32(), "keeps": pa.string()}, grouped)
    store.run(
        "UPDATE entity SET id = keeps FROM grouped WHERE grouped.r = entity.r AND keeps IS NOT NULL AND keeps <> id"
    )
    store.run(
        "INSERT INTO entity SELECT f.r, coalesce(keeps, 'e-' || left(sha256(coalesce(o.source, '') || chr(0) ||"
        " o.record), 20)) FROM fresh f LEFT JOIN grouped g ON g.r = f.r JOIN norm o ON o.r = coalesce(g.first, f.r)"
    )
    return merged


def _quality(store: Store) -> dict[str, float]:
    """Precision and recall of the pairs in groups by the labels, and the share of true pairs that were compared."""
    if not store.one("SELECT count(person) FROM norm"):
        return {}
    pairs = "coalesce(sum(n * (n - 1) / 2), 0)"
    true = store.one(f"SELECT {pairs} FROM (SELECT count(*) AS n FROM norm WHERE person IS NOT NULL GROUP BY person)")
    held = "SELECT count(*) AS n FROM entity JOIN norm USING (r) WHERE person IS NOT NULL GROUP BY id"
    made = store.one(f"SELECT {pairs} FROM ({held})")
    right = store.one(f"SELECT {pairs} FROM ({held}, person)")
    precision, recall = float(right) / float(made or 1), float(right) / float(true or 1)
    f1 = 2 * precision * recall / ((precision + recall) or 1)
    return {"precision": precision, "recall": recall, "f1": f1}


class _Clock:
    def __init__(self, say: Callable[[str], None]) -> None:
        self._last = time.perf_counter()
        self._say = say
        self.laps: dict[str, float] = {}

    def lap(self, name: str) -> None:
        now = time.perf_counter()
        self.laps[name] = round(now - self._last, 2)
        self._last = now
        self._say(name)
