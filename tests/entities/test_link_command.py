"""``lienthong link`` at a terminal: match, ask why, say otherwise by four eyes, and what it says when it can not."""

from __future__ import annotations

import csv
import json
import re
from pathlib import Path

import pytest
from typer.testing import CliRunner

from lienthong.cli.link import app
from lienthong.linkage.matching.columns import MatchingRefused

RUN = CliRunner()
JOB = """
seed = 7
[columns]
record = "ma"
name = "ho_ten"
birth = "ngay_sinh"
number = "so"
[thresholds]
automatic = 0.9
review = 0.5
"""
ROWS = (
    ("1", "Nguyễn Thị Hoà An", "1984-03-12", "031184123456"),
    ("2", "Nguyen Thi Hoa An", "12/03/1984", "031184123456"),
    ("3", "Trần Văn Bình", "1990-01-02", "031090000017"),
)


@pytest.fixture
def job(tmp_path: Path) -> list[str]:
    """The words of one job: its table, its configuration, its folder."""
    table, config = tmp_path / "dan.csv", tmp_path / "link.toml"
    with table.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("ma", "ho_ten", "ngay_sinh", "so"), *ROWS])
    config.write_text(JOB, "utf-8")
    return [str(table), "--config", str(config), "--out", str(tmp_path / "out")]


def entities_of(told: str) -> list[str]:
    """The identifiers in the first line of an explanation."""
    return re.findall(r"e-[0-9a-f]{20}", told.splitlines()[0])


def test_a_table_is_matched_and_each_pair_is_explained(job: list[str], tmp_path: Path):
    out = job[-2:]
    assert RUN.invoke(app, job).exit_code == 0
    with (tmp_path / "out" / "entities.csv").open(encoding="utf-8-sig", newline="") as file:
        found = {row["record"]: row["entity"] for row in csv.DictReader(file)}
    assert found["1"] == found["2"] != found["3"]

    one = RUN.invoke(app, ["explain", "1", "2", *out])
    two = RUN.invoke(app, ["explain", "1", "3", *out])

    assert (one.exit_code, entities_of(one.stdout)) == (0, [found["1"]])
    assert (two.exit_code, entities_of(two.stdout)) == (0, [found["1"], found["3"]])
    assert "1.0000" in one.stdout.splitlines()[1]
    assert "0.0000" in two.stdout.splitlines()[1]
    assert any("(+" in line for line in one.stdout.splitlines()[2:])
    assert any("(-" in line for line in two.stdout.splitlines()[2:])


def test_a_second_run_adds_nothing_and_says_so_as_json(job: list[str]):
    first = json.loads(RUN.invoke(app, [*job, "--json"]).stdout)
    again = json.loads(RUN.invoke(app, ["run", *job, "--json"]).stdout)

    assert (first["records"], first["new"], first["entities"]) == (3, 3, 2)
    assert (again["records"], again["new"], again["entities"]) == (3, 0, 2)


def test_what_people_say_counts_when_two_say_it_and_can_be_undone(job: list[str]):
    out = job[-2:]

    def held_for() -> int:
        return len(entities_of(RUN.invoke(app, ["explain", "1", "2", *out]).stdout))

    RUN.invoke(app, job)
    counted = [held_for()]
    for who in ("hoa", "nam"):
        assert RUN.invoke(app, ["judge", "1", "2", "different", "--by", who, *out]).exit_code == 0
        counted.append(held_for())
    [split] = RUN.invoke(app, ["journal", *out]).stdout.splitlines()
    for who in ("hoa", "nam"):
        assert RUN.invoke(app, ["undo", split.split()[0], "--by", who, *out]).exit_code == 0
        counted.append(held_for())

    assert counted == [1, 1, 2, 2, 1]
    assert "split" in split
    assert "hoa, nam" in split
    assert RUN.invoke(app, ["judge", "1", "2", "perhaps", "--by", "hoa", *out]).exit_code == 2


def test_what_is_not_there_is_named(job: list[str], tmp_path: Path):
    nowhere = RUN.invoke(app, ["explain", "1", "2", "--out", str(tmp_path / "none")])
    assert isinstance(nowhere.exception, MatchingRefused)
    no_job = RUN.invoke(app, [job[0], "--config", str(tmp_path / "none.toml")])
    assert isinstance(no_job.exception, MatchingRefused)
    assert "none.toml" in str(no_job.exception)
