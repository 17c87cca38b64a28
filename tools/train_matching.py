"""Writes ``linkage/matching/weights.toml``: what each level of a comparison says, from made-up people.

    PYTHONPATH=src:. python tools/train_matching.py src/lienthong/linkage/matching/weights.toml

A logistic regression with a small ridge over the patterns of ``bench/people.py`` (seeds 1 and 2, 100,000 records each).
The figures in ``docs/benchmarks.md`` come from another generator that this one has never seen.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import numpy as np

from bench.people import records, write
from lienthong.entities.store import Store
from lienthong.linkage.matching.columns import Matching
from lienthong.linkage.matching.pairs import FIELDS_COMPARED, unpack

SEEDS, SIZE, RIDGE = (1, 2), 100_000, 1.0
LABELLED = (
    "SELECT code, count(*), CAST(sum(CAST(l.person = o.person AS INTEGER)) AS INTEGER) FROM seen"
    " JOIN norm l ON l.r = a JOIN norm o ON o.r = b GROUP BY code ORDER BY code"
)
HEAD = "# Weights of the matcher: natural logarithms of odds.  Written by tools/train_matching.py; do not edit.\n"


def main(target: Path) -> None:
    """Write the file."""
    counted: dict[int, tuple[int, int]] = {}
    with tempfile.TemporaryDirectory() as folder:
        for seed in SEEDS:
            file = Path(folder) / f"{seed}.parquet"
            write(file, records(seed, SIZE))
            with Store(Path(folder) / str(seed)) as store:
                store.load(Matching(), [file])
                store.compare(Matching(), store.admit(Matching()))
                for code, pairs, right in store.all(LABELLED):
                    before = counted.get(code, (0, 0))
                    counted[code] = (before[0] + pairs, before[1] + right)
    bias, levels = fitted(counted)
    parts = [HEAD, f"bias = {bias:.4f}\n", f'trained_on = "bench/people.py, seeds 1 and 2, {SIZE:,} records each"\n']
    for name, words in FIELDS_COMPARED.items():
        parts += [f"\n[levels.{name}]\n", *(f'"{word}" = {levels[name][at]:.4f}\n' for at, word in enumerate(words))]
    target.write_text("".join(parts), "utf-8")


def fitted(counted: dict[int, tuple[int, int]]) -> tuple[float, dict[str, list[float]]]:
    """Bias and weights by Newton's method."""
    starts, width = {}, 1
    for name, words in FIELDS_COMPARED.items():
        starts[name] = width
        width += len(words)
    seen = np.zeros((len(counted), width))
    seen[:, 0] = 1
    for row, code in enumerate(counted):
        for name, level in zip(FIELDS_COMPARED, unpack(code).levels, strict=True):
            seen[row, starts[name] + level] = 1
    pairs, right = np.array(list(counted.values()), float).T
    weights, ridge = np.zeros(width), np.r_[0.0, np.full(width - 1, RIDGE)]
    for _ in range(60):
        chance = 1 / (1 + np.exp(-np.clip(seen @ weights, -30, 30)))
        slope = seen.T @ (right - pairs * chance) - ridge * weights
        curve = (seen.T * (pairs * chance * (1 - chance))) @ seen + np.diag(ridge + 1e-9)
        weights += np.linalg.solve(curve, slope)
    levels = {name: weights[at : at + len(FIELDS_COMPARED[name])].tolist() for name, at in starts.items()}
    return float(weights[0]), levels


if __name__ == "__main__":
    main(Path(sys.argv[1]))
