"""Which records mean one person: ours beside Splink 5.  ``python bench/matching.py [records] [seed] [--again]``

The same records for both, by a generator of made-up people in households: the one whose other seeds the weights were
trained on, or with ``--again`` a second one, written without a look at the matcher.  Splink gets them normalised by us
and its own model, trained on them by its documented way (u by sampling with a seed, m by expectation maximisation); its
time holds no normalisation.  Then, ours alone: 10,000 records that come later, and single look-ups.  Each runs in a
process of its own.
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import people
import people_again

from lienthong.entities.link import match
from lienthong.entities.look import find
from lienthong.entities.store import Store
from lienthong.linkage.matching.columns import Matching

CLIENTS = Path(__file__).parents[1] / ".venv-clients" / "bin" / "python"
LATER = 10_000
SPLINK = """
import json, resource, sys, time
import duckdb
import splink.comparison_library as cl
from splink import DuckDBAPI, Linker, SettingsCreator, block_on
began = time.perf_counter()
db = duckdb.connect(config={"threads": 2})
db.execute("CREATE TABLE people AS SELECT r AS unique_id, given, bag, number, card, phone, unit, street, sex, person,"
           " CASE WHEN d IS NOT NULL THEN printf('%04d-%02d-%02d', y, m, d) END AS dob FROM '" + sys.argv[1] + "'")
shared = ("number", "card", "bag dob", "bag unit", "bag phone", "given dob", "phone dob", "given phone",
          "given unit street")
settings = SettingsCreator(
    link_type="dedupe_only", retain_matching_columns=False,
    blocking_rules_to_generate_predictions=[block_on(*each.split()) for each in shared],
    comparisons=[
        cl.JaroWinklerAtThresholds("bag", [0.95, 0.88]).configure(term_frequency_adjustments=True),
        cl.DateOfBirthComparison("dob", input_is_string=True), cl.DamerauLevenshteinAtThresholds("number", [1]),
        cl.ExactMatch("phone"), cl.ExactMatch("unit"), cl.ExactMatch("street"), cl.ExactMatch("sex")])
linker = Linker(DuckDBAPI(connection=db).register("people"), settings, log_level=50)
training = linker.training
training.estimate_probability_two_random_records_match([block_on("number"), block_on("bag", "dob")], recall=0.8)
training.estimate_u_using_random_sampling(max_pairs=2e6, seed=1)
for rule in (block_on("bag", "dob"), block_on("number")):
    training.estimate_parameters_using_expectation_maximisation(rule, record_sample_proportion=1.0)
predicted = linker.inference.predict(threshold_match_probability=0.5)
told = {}
for threshold in (0.9, 0.99, 0.999):
    groups = linker.clustering.cluster_pairwise_predictions_at_threshold(predicted, threshold)
    told.setdefault("seconds", time.perf_counter() - began)
    counted = ("SELECT sum(n * (n - 1) / 2) FROM (SELECT count(*) AS n FROM " + groups.physical_name
               + " g JOIN people p ON p.unique_id = g.unique_id GROUP BY {})")
    made, right, true = (float(db.sql(counted.format(by)).fetchall()[0][0])
                         for by in ("g.cluster_id", "g.cluster_id, p.person", "p.person"))
    p, r = right / (made or 1), right / (true or 1)
    told[str(threshold)] = {"precision": p, "recall": r, "f1": 2 * p * r / ((p + r) or 1)}
told["mb"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
print(json.dumps(told))
"""


def ours(file: Path, folder: Path) -> None:
    """Match ``file`` and print what it took."""
    began, used = time.perf_counter(), time.process_time()
    with Store(folder) as store:
        report = match(store, Matching(), [file])
    seconds, cpu = time.perf_counter() - began, time.process_time() - used
    told = {"seconds": seconds, "cpu": cpu, "mb": _peak(), **report.as_dict()}
    print(json.dumps(told))


def look_up(folder: Path) -> None:
    """Look up thirty records and print the median, the greatest time and the processor's time for each."""
    times: list[float] = []
    used = 0.0
    with Store(folder, threads=1) as store:
        told = "name, printf('%04d-%02d-%02d', y, m, d), phone, unit, street"
        names = ("name", "birth", "phone", "unit", "street")
        for row in store.all(f"SELECT {told} FROM norm WHERE d IS NOT NULL ORDER BY hash(r) LIMIT 33"):
            began, before = time.perf_counter(), time.process_time()
            find(store, dict(zip(names, row, strict=True)))
            times.append((time.perf_counter() - began) * 1000)
            used += (time.process_time() - before) * 1000
    print(json.dumps({"median_ms": statistics.median(times[3:]), "max_ms": max(times[3:]), "cpu_ms": used / 33}))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


def _child(*words: object, python: str = sys.executable) -> dict[str, object]:
    ended = subprocess.run([python, *map(str, words)], check=False, capture_output=True, text=True)
    if ended.returncode:
        return {"failed": ended.stderr.strip().splitlines()[-1:]}
    return json.loads(ended.stdout.strip().splitlines()[-1])


def main() -> None:
    """Draw, match, compare, print."""
    again = "--again" in sys.argv
    told = [int(word) for word in sys.argv[1:] if word.isdigit()]
    number, seed = (*told, *(100_000, 11)[len(told) :])
    records = people_again.records if again else people.records
    with tempfile.TemporaryDirectory(prefix="lienthong-bench-") as temporary:
        folder = Path(temporary)
        file, later, normal = folder / "people.parquet", folder / "later.parquet", folder / "normal.parquet"
        people.write(file, records(seed, number))
        people.write(
            later, ((f"later-{row[0]}", *row[1:-1], f"later-{row[-1]}") for row in records(seed + 1000, LATER))
        )
        print(f"{number:,} records, seed {seed}, {'second' if again else 'first'} generator")
        _print("ours", _child(__file__, "--ours", file, folder / "out"))
        with Store(folder / "out") as store:
            store.run(f"COPY norm TO '{normal}' (FORMAT parquet)")
        if CLIENTS.exists():
            _print("Splink", _child("-c", SPLINK, normal, python=str(CLIENTS)))
        _print(f"ours, {LATER:,} later", _child(__file__, "--ours", later, folder / "out"))
        _print("ours, one look-up", _child(__file__, "--look", folder / "out"))


def _print(name: str, told: dict[str, object]) -> None:
    print(f"{name}: {json.dumps(told, default=str)}", flush=True)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--ours"]:
        ours(Path(sys.argv[2]), Path(sys.argv[3]))
    elif sys.argv[1:2] == ["--look"]:
        look_up(Path(sys.argv[2]))
    else:
        main()
