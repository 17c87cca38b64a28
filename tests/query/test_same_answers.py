"""A query answered by three members and merged says what one DuckDB with all three tables says."""

from __future__ import annotations

import math
import random
from collections import Counter

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.query.made_queries import Made, Maker
from tests.query.members import Federation, Row

SEEDED = 260


@pytest.fixture(scope="module")
def merged(federation: Federation) -> duckdb.DuckDBPyConnection:
    return federation.merged()


def comparable(rows: list[Row]) -> list[Row]:
    """Rows with doubles to twelve digits: the order of a sum's terms is nobody's promise."""
    return [tuple(_rounded(value) if isinstance(value, float) else value for value in row) for row in rows]


def _rounded(value: float) -> float | str:
    return float(f"{value:.11e}") + 0.0 if math.isfinite(value) else str(value)


def check_same(federation: Federation, merged: duckdb.DuckDBPyConnection, made: Made) -> None:
    expected = comparable(merged.sql(made.sql).fetchall())
    found = comparable(federation.ask(made.sql))
    if made.ordered:
        assert found == expected, made.sql
    else:
        assert Counter(found) == Counter(expected), made.sql


@pytest.mark.parametrize("seed", range(SEEDED))
def test_a_federated_answer_equals_that_of_the_merged_tables(
    federation: Federation, merged: duckdb.DuckDBPyConnection, seed: int
) -> None:
    check_same(federation, merged, Maker(random.Random(seed)).query())


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rng=st.randoms(use_true_random=False))
def test_a_federated_answer_equals_that_of_the_merged_tables_whatever_is_asked(
    federation: Federation, merged: duckdb.DuckDBPyConnection, rng: random.Random
) -> None:
    check_same(federation, merged, Maker(rng).query())
