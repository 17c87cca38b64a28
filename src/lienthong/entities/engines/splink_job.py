"""Pairs of normalised records with Splink's probability: run by a Python that has ``splink``, never imported by ours.

``python splink_job.py NORM.parquet PAIRS.parquet LEAST SEED``.  The model is trained on the records themselves in the
documented way: u by sampling with a seed, m by expectation maximisation.
"""

import sys
from importlib import import_module
from typing import Any

import duckdb

SHARED = (
    "number", "card", "bag dob", "bag unit", "bag phone", "given dob", "phone dob", "given phone", "given unit street",
)  # fmt: skip
"""What two records share to be compared."""


def main(norm: str, pairs: str, least: str, seed: str) -> None:
    """Train, predict, write a, b and p."""
    splink: Any = import_module("splink")  # of the other interpreter: unknown to ours
    cl: Any = import_module("splink.comparison_library")
    db = duckdb.connect(config={"threads": 2})
    db.execute(
        "CREATE TABLE people AS SELECT r AS unique_id, given, bag, number, card, phone, unit, street, sex,"
        " CASE WHEN d IS NOT NULL THEN printf('%04d-%02d-%02d', y, m, d) END AS dob FROM read_parquet(?)", [norm]
    )  # fmt: skip
    settings = splink.SettingsCreator(
        link_type="dedupe_only",
        retain_matching_columns=False,
        blocking_rules_to_generate_predictions=[splink.block_on(*each.split()) for each in SHARED],
        comparisons=[
            cl.JaroWinklerAtThresholds("bag", [0.95, 0.88]).configure(term_frequency_adjustments=True),
            cl.DateOfBirthComparison("dob", input_is_string=True),
            cl.DamerauLevenshteinAtThresholds("number", [1]),
            cl.ExactMatch("phone"),
            cl.ExactMatch("unit"),
            cl.ExactMatch("street"),
            cl.ExactMatch("sex"),
        ],
    )
    linker = splink.Linker(splink.DuckDBAPI(connection=db).register("people"), settings, log_level=50)
    training = linker.training
    training.estimate_probability_two_random_records_match(
        [splink.block_on("number"), splink.block_on("bag", "dob")], recall=0.8
    )
    training.estimate_u_using_random_sampling(max_pairs=2e6, seed=int(seed) + 1)
    for rule in (splink.block_on("bag", "dob"), splink.block_on("number")):
        training.estimate_parameters_using_expectation_maximisation(rule, record_sample_proportion=1.0)
    found = linker.inference.predict(threshold_match_probability=float(least)).physical_name
    db.execute(
        "COPY (SELECT least(unique_id_l, unique_id_r) AS a, greatest(unique_id_l, unique_id_r) AS b,"
        f" max(match_probability) AS p FROM {found} GROUP BY ALL) TO '{pairs.replace(chr(39), chr(39) * 2)}'"
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
