"""What a run leaves for people and other programs beside its state: entities, pairs to look at, the report."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Final

from lienthong.entities.link import Report
from lienthong.entities.store import Store
from lienthong.entities.words import reason_in_words
from lienthong.i18n import Language
from lienthong.linkage.matching.pairs import unpack
from lienthong.linkage.matching.weights import Weights, shipped_weights

MOST_REASONS: Final = 4


def write_results(store: Store, folder: Path, report: Report, language: Language) -> None:
    """Write ``entities.csv`` (source, record, entity), ``review.csv`` and ``report.json`` into ``folder``."""
    target = str(folder / "entities.csv").replace("'", "''")
    store.run(
        "COPY (SELECT source, record, id AS entity FROM entity JOIN norm USING (r) ORDER BY entity, source, record)"
        f" TO '{target}' (HEADER, DELIMITER ',')"
    )
    scale = shipped_weights()
    rows = store.all(
        "SELECT l.source, l.record, o.source, o.record, p, code FROM grey JOIN norm l ON l.r = a JOIN norm o ON o.r = b"
        " ORDER BY p DESC, a, b"
    )
    with (folder / "review.csv").open("w", encoding="utf-8-sig", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(("source_a", "record_a", "source_b", "record_b", "probability", "why"))
        for *records, p, code in rows:
            writer.writerow((*records, f"{p:.3f}", in_words(code, scale, language)))
    (folder / "report.json").write_text(json.dumps(report.as_dict(), ensure_ascii=False, indent=2) + "\n", "utf-8")


def in_words(code: int, weights: Weights, language: Language) -> str:
    """What spoke for and against, what says most first."""
    said = weights.reasons(unpack(code))[:MOST_REASONS]
    return "; ".join(reason_in_words(field, level, weight, language) for field, level, weight in said)
