"""The tables of promises and of threats are honest: every line names tests that exist, or says why it is not done."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from tests.docs.test_requirements import _cell_faults

DOCS = Path(__file__).parents[2] / "docs"
LINE = re.compile(r"\| ([PTV][-.\d]+) \| (.+) \| (.+?) \|")
EXCUSED = re.compile(r"not (applicable|done): \S.{10,}")
COUNTS = {("promises.md", "P"): 10, ("security.md", "T"): 25, ("security.md", "V"): 256}

ASVS = {
    "V1": 28,
    "V2": 12,
    "V3": 19,
    "V4": 11,
    "V5": 9,
    "V6": 35,
    "V7": 18,
    "V8": 7,
    "V9": 7,
    "V10": 29,
    "V11": 14,
    "V12": 9,
    "V13": 13,
    "V14": 9,
    "V15": 13,
    "V16": 16,
    "V17": 7,
}
"""Lines by chapter: the requirements of levels 1 and 2 of ASVS 5.0.0, and V1.2.10, V2.3.5, V4.1.5 of level 3."""


def faults(text: str, letter: str, least: int) -> list[str]:
    """What is wrong with the lines of ``letter``, a sentence each."""
    lines = [line for line in text.splitlines() if line.startswith(f"| {letter}") and line[3] in "-0123456789"]
    wrong = [] if len(lines) >= least else [f"{len(lines)} lines of {letter}, at least {least} are needed"]
    names: set[str] = set()
    for line in lines:
        shape = LINE.fullmatch(line)
        if shape is None:
            wrong.append(f"{line[:60]}: not of the form")
            continue
        name, said, cell = shape.groups()
        wrong += [f"{name}: twice"] if name in names else []
        names.add(name)
        if "::" not in cell and EXCUSED.search(cell):
            continue
        wrong += [f"{name}: {fault}" for fault in _cell_faults(said.ljust(30), cell)]
    return wrong


@pytest.mark.parametrize(("file", "letter"), COUNTS)
def test_every_line_names_tests_that_exist_or_a_reason(file: str, letter: str) -> None:
    assert faults((DOCS / file).read_text("utf-8"), letter, COUNTS[file, letter]) == []


def test_every_requirement_of_asvs_level_2_has_its_line() -> None:
    lines = re.findall(r"^\| (V\d+)(?:\.\d+){2} \|", (DOCS / "security.md").read_text("utf-8"), re.MULTILINE)

    assert Counter(lines) == ASVS
    assert sum(ASVS.values()) == 253 + 3


@pytest.mark.parametrize(
    ("was", "becomes", "fault"),
    [
        ("test_what_was_acknowledged_is_in_the_log", "test_absent", "P-01: tests/faults/test_kills.py::test_absent"),
        ("| P-02 |", "| P-03 |", "P-03: twice"),
        ("| P-10 |", "| 10 |", "9 lines of P"),
    ],
)
def test_an_absent_test_a_double_line_and_a_missing_one_are_found(was: str, becomes: str, fault: str) -> None:
    text = (DOCS / "promises.md").read_text("utf-8")
    spoiled = text.replace(was, becomes, 1)
    assert spoiled != text
    assert any(found.startswith(fault) for found in faults(spoiled, "P", 10)), faults(spoiled, "P", 10)
